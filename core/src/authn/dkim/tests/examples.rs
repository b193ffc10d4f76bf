//! The messages of the RFCs.

use super::*;
use crate::model::UtcTime;

const BODY: &str = "\r\nHi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n";
const AUTHOR: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
    To: Suzie Q <suzie@shopping.example.net>\r\n\
    Subject: Is dinner ready?\r\n\
    Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
    Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n";

/// RFC 6376 Appendix A.2, with the key of Appendix C.
#[test]
fn the_example_of_rfc_6376_verifies() {
    let zone = Zone::new([(
        "brisbane._domainkey.example.com",
        "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ\
         DwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt\
         IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7\
         od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfV\
         jH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYck\
         cQ2QIDAQAB",
    )]);
    let signature = "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n      \
        c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n      \
        h=Received : From : To : Subject : Date : Message-ID;\r\n      \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n      \
        b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n        \
        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n        \
        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n        \
        4bmp/YzhwvcubU4=;\r\n";
    let received = "Received: from client1.football.example.com  [192.0.2.1]\r\n      \
        by submitserver.example.com with SUBMISSION;\r\n      \
        Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n";
    let message = [signature, received, AUTHOR, BODY].concat();
    let report = verify_at(message.as_bytes(), &zone, NOW);
    let claim = report.signatures[0].claim.as_ref().unwrap();
    assert_eq!(results(&report), [DkimResult::Pass], "{report:?}");
    assert_eq!(
        (claim.domain.as_str(), claim.selector.as_str(), claim.identity.as_deref(), claim.b.as_str()),
        ("example.com", "brisbane", Some("joe@football.example.com"), "AuUoFEfD")
    );
    // Simple means simple.
    let message = message.replacen("  [192.0.2.1]", " [192.0.2.1]", 1);
    assert_eq!(results(&verify_at(message.as_bytes(), &zone, NOW)), [DkimResult::Fail]);
}

/// RFC 8463 Appendix A.3, with the keys of Appendix A.2.
#[test]
fn the_example_of_rfc_8463_verifies_with_both_keys() {
    let zone = Zone::new([
        (
            "brisbane._domainkey.football.example.com",
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ),
        (
            "test._domainkey.football.example.com",
            "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR\
             iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC\
             DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3\
             Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
        ),
    ]);
    let signatures = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
        d=football.example.com; i=@football.example.com;\r\n \
        q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
        subject : date : message-id : from : subject : date;\r\n \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
        b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n \
        Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n\
        DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n \
        d=football.example.com; i=@football.example.com;\r\n \
        q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n \
        date : message-id : from : subject : date;\r\n \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
        b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n \
        DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n \
        dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n";
    let message = [signatures, AUTHOR, BODY].concat();
    let report = verify_at(message.as_bytes(), &zone, NOW);
    assert_eq!(results(&report), [DkimResult::Pass; 2], "{report:?}");
    assert!(report.domains().all(|domain| domain.as_str() == "football.example.com"));
    // Written in 2018; before that, it could not be.
    let before = verify_at(message.as_bytes(), &zone, UtcTime(1_528_637_600_000));
    assert_eq!(results(&before), [DkimResult::Neutral; 2]);
    // From, Subject and Date are signed once more than they are there.
    let added = message.replacen("From: Joe", "Subject: Dinner is ready\r\nFrom: Joe", 1);
    assert_eq!(results(&verify_at(added.as_bytes(), &zone, NOW)), [DkimResult::Fail; 2]);
}
