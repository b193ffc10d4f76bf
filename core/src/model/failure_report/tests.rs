use proptest::prelude::*;

use super::*;

const HEADER: &str = "Received: from foe.test by relay.test for <Bob@home.test>; Sun, 22 Nov 2026 00:12:27 +0000\r\n\
    DKIM-Signature: v=1; d=far.test; s=old; i=ann@far.test;\r\n\tz=Subject:lunch|To:bob@home.test; h=from;\r\n\tbh=AAAA; b=BBBB\r\n\
    From: Ann <ann@far.test>\r\n\
    To: Bob B. <bob@home.test>, carol@far.test\r\n\
    Subject: lunch\r\n\
    X-Mark: bob\r\n\
    Message-ID: <1@other.test>\r\n\r\n";

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn redactor() -> Redactor {
    Redactor::new(b"secret")
}

fn failure() -> Failure {
    Failure {
        kind: AuthFailure::Dmarc,
        author_domain: domain("far.test"),
        owner: domain("far.test"),
        source: "192.0.2.7".parse().unwrap(),
        arrived: UtcTime(1_795_306_347_500),
        reverse_path: address("mallory@foe.test"),
        delivery: DeliveryResult::Reject,
        is_dkim_unaligned: true,
        is_spf_unaligned: true,
        signature: Some(FailedSignature {
            domain: domain("far.test"),
            identity: Some("ann@far.test".to_owned()),
            selector: "old".to_owned(),
        }),
        spf: Some((domain("foe.test"), "v=spf1 exp=\"x\\y\" -all".to_owned())),
        results: "Authentication-Results: mx.test;\r\n\tspf=fail smtp.mailfrom=mallory@foe.test;\r\n\tdmarc=fail header.from=far.test\r\n"
            .to_owned(),
        header: HEADER.as_bytes().to_vec(),
    }
}

fn compose(failure: &Failure, incidents: u64) -> String {
    let report = FailureReport {
        id: "01ABC",
        now: UtcTime(1_795_306_348_000),
        reporting_mta: &domain("mx.test"),
        from: &address("dmarc@home.test"),
        to: &address("ruf@far.test"),
        failure,
        incidents,
        redactor: &redactor(),
    };
    let message = String::from_utf8(report.compose()).unwrap();
    for line in message.split_inclusive('\n') {
        let line = line.strip_suffix("\r\n").expect("every line ends with CRLF");
        assert!(line.len() <= LINE_LIMIT, "{line}");
        assert!(line.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')), "{line:?}");
    }
    message
}

/// The three parts, each with its header block.
fn parts(message: &str) -> Vec<&str> {
    let (parts, end) = message.split_once("\r\n--=_01ABC--\r\n").expect("a closing boundary");
    assert_eq!(end, "");
    parts.split("\r\n--=_01ABC\r\n").skip(1).collect()
}

#[test]
fn a_report_has_all_that_is_asked_of_it_and_nothing_of_others() {
    let message = compose(&failure(), 4);
    let mut tokens = Vec::new();
    let parts = parts(&message);
    assert_eq!(parts.len(), 3);
    assert!(message.starts_with("Date: Sun, 22 Nov 2026 00:12:28 +0000\r\n"), "{message}");
    let unfolded = message.replace("\r\n\t", " ").replace("\r\n ", " ");
    for field in [
        "From: <dmarc@home.test>",
        "To: <ruf@far.test>",
        "Subject: DMARC failure of a message in the name of far.test",
        "Message-ID: <01ABC@home.test>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(unfolded.contains(&format!("{field}\r\n")), "{field}: {unfolded}");
    }
    assert!(
        unfolded.contains(
            "Content-Type: multipart/report; report-type=\"feedback-report\"; boundary=\"=_01ABC\""
        ),
        "{unfolded}"
    );
    // What hides the same is the same, wherever it stands.
    let hidden = |text: &str| redactor().addresses(text, &domain("far.test"));
    for text in ["mallory@foe.test", "bob@home.test"] {
        tokens.push(hidden(text));
    }
    let [mallory, bob] = &tokens[..] else { unreachable!() };
    assert_ne!(mallory.split('@').next(), bob.split('@').next());
    let feedback = format!(
        "Feedback-Type: auth-failure\r\n\
         User-Agent: Fulmar/{}\r\n\
         Version: 1\r\n\
         Auth-Failure: dmarc\r\n\
         Authentication-Results: mx.test;\r\n\
         \tspf=fail smtp.mailfrom={mallory};\r\n\
         \tdmarc=fail header.from=far.test\r\n\
         Identity-Alignment: dkim, spf\r\n\
         Delivery-Result: reject\r\n\
         Original-Mail-From: {mallory}\r\n\
         Arrival-Date: Sun, 22 Nov 2026 00:12:27 +0000\r\n\
         Source-IP: 192.0.2.7\r\n\
         Reported-Domain: far.test\r\n\
         Reporting-MTA: dns; mx.test\r\n\
         Incidents: 4\r\n\
         DKIM-Domain: far.test\r\n\
         DKIM-Identity: ann@far.test\r\n\
         DKIM-Selector: old\r\n\
         SPF-DNS: txt : foe.test : \"v=spf1 exp=\\\"x\\\\y\\\" -all\"\r\n",
        env!("CARGO_PKG_VERSION")
    );
    let (kind, content) = parts[1].split_once("\r\n\r\n").unwrap();
    assert!(kind.contains("Content-Type: message/feedback-report"), "{kind}");
    assert_eq!(content.trim_end(), feedback.trim_end());
    let (kind, content) = parts[2].split_once("\r\n\r\n").unwrap();
    assert!(kind.contains("Content-Type: text/rfc822-headers"), "{kind}");
    for line in [
        format!("Received: from foe.test by relay.test for <{}>;", bob),
        "i=ann@far.test".to_owned(),
        "From: Ann <ann@far.test>".to_owned(),
        format!("To: {bob},\r\n carol@far.test\r\n"),
        "Message-ID: <1@other.test>".to_owned(),
    ] {
        assert!(content.contains(&line), "{line}: {content}");
    }
    for secret in ["lunch", "bob", "Bob", "mallory"] {
        assert!(!message.contains(secret), "{secret}: {message}");
    }
}

#[test]
fn what_is_not_known_is_not_told() {
    let known = Failure { signature: None, spf: None, is_dkim_unaligned: false, ..failure() };
    let message = compose(&known, 1);
    assert!(message.contains("Identity-Alignment: spf\r\n"), "{message}");
    for field in ["DKIM-Domain", "DKIM-Identity", "DKIM-Selector", "SPF-DNS", "Incidents"] {
        assert!(!message.contains(&format!("\r\n{field}:")), "{field}: {message}");
    }
    let passing = Failure { is_spf_unaligned: false, kind: AuthFailure::BodyHash, ..known };
    let message = compose(&passing, 1);
    assert!(
        message.contains("Identity-Alignment: none\r\n") && message.contains("Auth-Failure: bodyhash\r\n")
    );
    let unnamed = FailedSignature {
        domain: domain("far.test"),
        identity: None,
        selector: "x\r\nVersion: 2".to_owned(),
    };
    let message = compose(&Failure { signature: Some(unnamed), ..failure() }, 1);
    assert!(message.contains("DKIM-Identity: @far.test\r\nDKIM-Selector: x??Version: 2\r\n"), "{message}");
}

#[test]
fn addresses_of_others_lose_their_local_part_however_they_are_written() {
    let owner = domain("far.test");
    let of = |text: &str| redactor().addresses(text, &owner);
    for kept in [
        "ann@far.test",
        "\"a b\"@far.test",
        "<ann@mail.FAR.test.>",
        "i=@other.test; d=other.test",
        "no address at all",
        "@",
        "",
    ] {
        assert_eq!(of(kept), kept);
    }
    for (text, around) in [
        ("bob@home.test", "*@home.test"),
        ("<BOB@home.test>", "<*@home.test>"),
        ("bob@HOME.test", "*@HOME.test"),
        ("smtp.mailfrom=bob@home.test;", "smtp.mailfrom=*@home.test;"),
        ("rfc822;bob@home.test", "rfc822;*@home.test"),
        ("\"bob\"@home.test", "*@home.test"),
        ("x <bob @ home.test>", "x <*@ home.test>"),
        ("bob@home.test,ann@far.test,bob@home.test", "*@home.test,ann@far.test,*@home.test"),
    ] {
        let token = of("bob@home.test").replace("@home.test", "");
        let found = of(text);
        let expected = around.replace('*', if text.contains("@ ") { "~" } else { &token });
        let found =
            if text.contains("@ ") { found.replace(&of("bob@ ").replace("@ ", ""), "~") } else { found };
        assert_eq!(found, expected, "{text}");
    }
    for text in [
        "bounce-bob=home.test@list.test",
        "\"a\\\"bob\"@home.test",
        "bob(at home)@home.test",
        "bob@notfar.test",
        "bob@far.test.home.test",
        "bob@[192.0.2.1]",
        "\u{fc}bob@home.test",
        "bob@@home.test",
    ] {
        assert!(!of(text).contains("bob"), "{text}: {}", of(text));
    }
    assert_ne!(of("bob@home.test"), Redactor::new(b"other").addresses("bob@home.test", &owner));
}

#[test]
fn fields_that_may_say_anything_say_nothing_and_equal_ones_the_same() {
    let of =
        |header: &str| String::from_utf8(redactor().header(header.as_bytes(), &domain("far.test"))).unwrap();
    let (first, second) =
        (of("Subject: free  lunch\r\n"), of("subject:\r\n FREE  lunch\r\nX: free  lunch\r\n"));
    let token = first.strip_prefix("Subject: ").unwrap().trim_end();
    assert!(token.len() == 20 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{first}");
    assert_eq!(second, format!("subject: {token}\r\nX: {token}\r\n"));
    assert_ne!(of("Subject: lunch\r\n"), first);
    for header in [
        "To: bob@home.test (bob\r\n",
        "To: bob at home.test\r\n",
        "Cc: bob, \"Bob\" <carol@home.test>, ann@far.test\r\n",
        "Bcc: undisclosed bob:;\r\n",
        "Thread-Topic: bob\r\n",
        "List-Unsubscribe: <https://list.test/?who=bob>\r\n",
        "Comments: \u{ff} bob\r\n",
    ] {
        let shown = of(header);
        assert!(!shown.to_lowercase().contains("bob"), "{header}: {shown}");
        assert_eq!(shown.lines().count(), 1, "{shown}");
    }
    assert_eq!(of("Date: today\r\nMessage-ID: <x@y.test>\r\n"), "Date: today\r\nMessage-ID: <x@y.test>\r\n");
}

#[test]
fn a_header_block_of_any_octets_is_returned_in_seven_bits() {
    let lines = ["From: \u{fc}\u{0}\u{1b}<a@far.test>\r\n", "From: x\n\tbare\r\n", "Received: y"].concat();
    let long = format!("Received: {}\r\n", "x".repeat(3_000));
    for header in [
        lines.into_bytes(),
        long.into_bytes(),
        b"From: \xff\xfe\r\n".to_vec(),
        b"no field\r\n".to_vec(),
        Vec::new(),
    ] {
        compose(&Failure { header, ..failure() }, 1);
    }
    compose(&Failure { results: format!("A: {}\r\n", "x".repeat(3_000)), ..failure() }, 1);
}

#[test]
fn reports_and_what_programs_send_are_known_by_their_header_blocks() {
    for (header, expected) in [
        ("Content-Type: multipart/report; report-type=feedback-report\r\n", true),
        ("content-type:\r\n Multipart/Report;\r\n\tboundary=x\r\n", true),
        ("Content-Type: multipart/report\r\n", true),
        ("Content-Type: message/feedback-report\r\n", true),
        ("Auto-Submitted: auto-generated (report)\r\n", true),
        ("Auto-Submitted: auto-replied; owner=x\r\n", true),
        ("Auto-Submitted: no\r\n", false),
        ("Auto-Submitted: no (by hand)\r\n", false),
        ("Content-Type: multipart/mixed; boundary=\"multipart/report\"\r\n", false),
        ("Subject: Auto-Submitted: auto-generated\r\n", false),
        ("", false),
    ] {
        assert_eq!(is_automatic(header.as_bytes()), expected, "{header}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_tell_a_name(
        name in "(To|From|Received|DKIM-Signature|X|Subject|Return-Path)",
        before in "[ -~\t\u{e9}]{0,30}",
        after in "[ -~\t\u{e9}]{0,30}",
    ) {
        // Whatever stands around it, an address in angle brackets is one.
        let header = format!("{name}: {before}<qqzzqq@home.test>{after}\r\n");
        let shown = redactor().header(header.as_bytes(), &domain("far.test"));
        prop_assert!(!String::from_utf8_lossy(&shown).contains("qqzzqq"), "{}", String::from_utf8_lossy(&shown));
    }
}
