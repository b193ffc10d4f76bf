use rcgen::{CertificateParams, date_time_ymd};

use super::*;
use crate::transport::tls::testing::Authority;

#[test]
fn a_certificate_says_for_whom_and_how_long_it_is() {
    let authority = Authority::new("ours");
    let mut params =
        CertificateParams::new(vec!["MX.example.org".to_owned(), "*.b.test".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 4, 1));
    let made = authority.make(params);
    // In any order, with more of the chain and with words between.
    let pem = format!(
        "key:\n{}\nchain:\n{}{}",
        made.key.serialize_pem(),
        made.certificate.pem(),
        authority.certificate.pem()
    );
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(certificate.names(), ["mx.example.org", "*.b.test"]);
    assert_eq!(certificate.key().cert.len(), 2);
    let begins = UtcTime(1_767_225_600_000);
    assert_eq!(certificate.expires().to_rfc3339(), "2026-04-01T00:00:01.000Z");
    assert_eq!(certificate.fault_at(begins), None);
    assert!(certificate.fault_at(UtcTime(begins.0 - 1)).unwrap().starts_with("not valid before 2026-01-01"));
    assert_eq!(certificate.fault_at(UtcTime(certificate.expires().0 - 1)), None);
    assert!(certificate.fault_at(certificate.expires()).unwrap().starts_with("expired at 2026-04-01"));
    assert_eq!(certificate.named(["Other.test".to_owned()]).names(), ["other.test"]);
}

#[test]
fn what_is_no_certificate_with_its_key_is_refused() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.server(&["one.test"]), authority.server(&["other.test"]));
    let broken = one.pem().replacen("MII", "AAA", 1);
    for (pem, expected) in [
        (String::new(), CertificateError::NoCertificate),
        ("hello".to_owned(), CertificateError::NoCertificate),
        (one.key.serialize_pem(), CertificateError::NoCertificate),
        (one.certificate.pem(), CertificateError::NoKey),
        (one.certificate.pem() + &other.key.serialize_pem(), CertificateError::Mismatch),
        // The server's own goes first.
        (authority.certificate.pem() + &one.pem(), CertificateError::Mismatch),
        (one.certificate.pem().replace("-----END CERTIFICATE-----", ""), CertificateError::NotPem),
        ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(), CertificateError::NotPem),
        ("x".repeat(PEM_LIMIT + 1), CertificateError::TooLarge),
    ] {
        assert_eq!(Certificate::from_pem(pem.as_bytes()).err(), Some(expected), "{pem}");
    }
    let unusable = Certificate::from_pem(broken.as_bytes()).err();
    assert!(matches!(unusable, Some(CertificateError::Unusable(_))), "{unusable:?}");
}

#[test]
fn a_key_does_not_show() {
    let made = Authority::new("ours").server(&["mx.test"]);
    let shown = format!("{:?}", Certificate::from_pem(made.pem().as_bytes()).unwrap());
    assert!(shown.contains("mx.test") && shown.len() < 200, "{shown}");
}
