//! What we sign verifies, and what is altered behind our back does not.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::UtcTime;
use crate::model::message::fields;

const MESSAGE: &str = "Received: from a by b; Sun, 22 Nov 2026 00:12:27 +0000\r\n\
    From: Ann <ann@example.org>\r\n\
    To: Bob <bob@example.net>,\r\n\tCarol <carol@example.net>\r\n\
    Subject: =?utf-8?q?M=C3=B6wen?= and\r\n  other  birds\r\n\
    Date: Sun, 22 Nov 2026 00:12:27 +0000\r\n\
    Message-ID: <1@example.org>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    List-Id: <birds.example.org>\r\n\
    X-Unknown: whatever\r\n\
    \r\n\
    A fulmar  stays aloft.\r\n \t\r\nFor days.\r\n\r\n\r\n";

#[test]
fn what_is_signed_with_both_algorithms_verifies_with_both() {
    let signer = Signer::new();
    let empty_field = "From: a@example.org\r\nSubject:\r\n\r\n";
    let no_body = "From: a@example.org\r\n\r\n";
    let international = "From: j\u{f6}rg@example.org\r\nSubject: \u{1f426}\r\n\r\n\u{1f426}\r\n";
    for message in [MESSAGE, empty_field, no_body, international, "From: a@example.org", "\r\nno fields"] {
        let report = verify_at(&signer.sign(message.as_bytes()), &signer.zone(), NOW);
        assert_eq!(results(&report), [DkimResult::Pass; 2], "{message:?}: {report:?}");
        assert!(report.signatures.iter().all(|signature| signature.unsigned_octets == 0));
    }
}

#[test]
fn the_same_message_is_always_signed_with_the_same_octets_in_short_lines() {
    let signer = Signer::new();
    let signed = signer.sign(MESSAGE.as_bytes());
    assert_eq!(signed, signer.sign(MESSAGE.as_bytes()));
    let added = &signed[..signed.len() - MESSAGE.len()];
    let text = std::str::from_utf8(added).unwrap();
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    assert_eq!(fields(added).count(), 2, "{text}");
    let unfolded = text.replace("\r\n ", "");
    assert!(unfolded.contains("h=from:from:reply-to:to:to:cc:subject:subject:date:date:"), "{unfolded}");
    assert!(unfolded.contains(":content-transfer-encoding:list-id;"), "{unfolded}");
}

#[test]
fn a_signature_ends_when_it_was_said_to() {
    let signer = Signer::new();
    let (header, body) = split(MESSAGE.as_bytes());
    let bodies = hash(body, [BodyMethod::SIGNING]);
    let body = bodies.find(BodyMethod::SIGNING).unwrap();
    let signatory = Signatory { domain: &signer.domain, selector: "ed", key: &signer.ed25519 };
    let validity = Duration::from_hours(24);
    let field = sign(header, body, &[signatory], NOW, Some(validity)).unwrap();
    let signed = format!("{field}{MESSAGE}");
    for (time, result) in [
        (NOW, DkimResult::Pass),
        (NOW.after(validity), DkimResult::Pass),
        (NOW.after(validity + Duration::from_secs(1)), DkimResult::Neutral),
    ] {
        assert_eq!(results(&verify_at(signed.as_bytes(), &signer.zone(), time)), [result], "{time}");
    }
}

#[test]
fn whatever_a_reader_sees_cannot_be_added_removed_or_altered() {
    let signer = Signer::new();
    let signed = String::from_utf8(signer.sign(MESSAGE.as_bytes())).unwrap();
    for name in [
        "From",
        "Reply-To",
        "To",
        "Cc",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ] {
        let field = format!("{name}: attacker\r\n");
        let below = signed.replacen("\r\n\r\n", &format!("\r\n{field}\r\n"), 1);
        for message in [format!("{field}{signed}"), below] {
            let report = verify_at(message.as_bytes(), &signer.zone(), NOW);
            assert_eq!(results(&report), [DkimResult::Fail; 2], "{name}");
        }
    }
    for field in fields(MESSAGE.as_bytes()) {
        let field = std::str::from_utf8(field.octets).unwrap();
        let is_signed = !field.starts_with("Received") && !field.starts_with("X-Unknown");
        let expected = if is_signed { DkimResult::Fail } else { DkimResult::Pass };
        let altered = field.replacen(": ", ": x", 1);
        for message in [signed.replacen(field, "", 1), signed.replacen(field, &altered, 1)] {
            assert_eq!(
                results(&verify_at(message.as_bytes(), &signer.zone(), NOW)),
                [expected; 2],
                "{field}"
            );
        }
    }
    for body in ["", "A fulmar stays aloft.\r\n", "A fulmar stays aloft.\r\n\r\nFor days.\r\nAnd nights.\r\n"]
    {
        let message = format!("{}\r\n\r\n{body}", signed.split_once("\r\n\r\n").unwrap().0);
        let report = verify_at(message.as_bytes(), &signer.zone(), NOW);
        assert_eq!(report.signatures[0].flaw, Some(Flaw::BodyAltered), "{body}");
        assert_eq!(results(&report), [DkimResult::Fail; 2], "{body}");
    }
}

#[test]
fn what_relays_do_to_white_space_does_no_harm() {
    let signer = Signer::new();
    let signed = String::from_utf8(signer.sign(MESSAGE.as_bytes())).unwrap();
    for (from, to) in [
        ("From: Ann", "FROM :\tAnn"),
        (",\r\n\tCarol", ", Carol"),
        ("A fulmar  stays aloft.", "A fulmar\tstays aloft. \t"),
        ("For days.\r\n\r\n\r\n", "For days.\r\n \r\n"),
        ("From: Ann", "Received: from c\r\nX-More: yes\r\nFrom: Ann"),
    ] {
        let message = signed.replacen(from, to, 1);
        assert_ne!(message, signed);
        assert_eq!(
            results(&verify_at(message.as_bytes(), &signer.zone(), NOW)),
            [DkimResult::Pass; 2],
            "{to:?}"
        );
    }
}

#[test]
fn a_message_that_its_author_has_signed_is_known() {
    let signer = Signer::new();
    let signed = signer.sign(MESSAGE.as_bytes());
    let altered = String::from_utf8(signed.clone()).unwrap().replace("days", "weeks").into_bytes();
    let expired = signer.sign_with(
        "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=ed; x=1700000000; h=from; bh=AA==",
        MESSAGE.as_bytes(),
    );
    let other = Domain::parse("example.net").unwrap();
    for (domain, message, expected) in [
        (&signer.domain, &signed[..], true),
        (&other, &signed, false),
        (&signer.domain, &altered, false),
        (&signer.domain, &expired, false),
        (&signer.domain, MESSAGE.as_bytes(), false),
    ] {
        let (header, body) = split(message);
        let bodies = hash(body, body_methods(header));
        assert_eq!(has_signature_of(domain, header, &bodies, NOW), expected);
    }
}

#[test]
fn keys_are_made_of_entropy_and_published_as_records() {
    for seed in [1, 2] {
        let key = SigningKey::from_pkcs8(&generate_ed25519(&Dice::new(seed))).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Ed25519Sha256);
        assert!(key.public_record().starts_with("v=DKIM1; k=ed25519; p="));
        assert_eq!(key.public_record().len(), "v=DKIM1; k=ed25519; p=".len() + 44);
    }
    // RFC 8032 §7.1, TEST 1, as in RFC 8463 Appendix A.2.
    struct Fixed;
    impl crate::platform::Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            let seed = 0x9d61_b19d_effd_5a60_ba84_4af4_92ec_2cc4_u128.to_be_bytes();
            let rest = 0x4449_c569_7b32_6919_703b_ac03_1cae_7f60_u128.to_be_bytes();
            buffer.copy_from_slice(&[seed, rest].concat());
        }
    }
    let key = SigningKey::from_pkcs8(&generate_ed25519(&Fixed)).unwrap();
    assert_eq!(key.public_record(), "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
}

#[test]
fn an_rsa_key_of_2048_bits_is_made_of_entropy_and_signs() {
    let der = generate_rsa(&Dice::new(3)).unwrap();
    assert_eq!(der, generate_rsa(&Dice::new(3)).unwrap());
    let signer = Signer { rsa: SigningKey::from_pkcs8(&der).unwrap(), ..Signer::new() };
    assert!(signer.rsa.public_record().starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
    let report = verify_at(&signer.sign(MESSAGE.as_bytes()), &signer.zone(), NOW);
    assert_eq!(results(&report), [DkimResult::Pass; 2], "{report:?}");
}

#[test]
fn what_is_no_key_is_refused() {
    for der in [&b""[..], b"\x30\x00", &generate_ed25519(&Dice::new(1))[..40]] {
        assert_eq!(SigningKey::from_pkcs8(der).unwrap_err(), SigningError::NoKey);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_message_is_signed_and_an_octet_altered_in_what_is_signed_is_caught(
        subject in "[ -~]{0,60}",
        folded in "[!-~]{1,20}",
        body in "([ -~\t]{0,30}(\r\n)?){0,8}",
        place in any::<prop::sample::Index>(),
    ) {
        let signer = Signer::new();
        let message =
            format!("From: a@example.org\r\nSubject: {subject}\r\n {folded}\r\nTo: b@example.org\r\n\r\n{body}");
        let signed = signer.sign(message.as_bytes());
        prop_assert_eq!(results(&verify_at(&signed, &signer.zone(), NOW)), [DkimResult::Pass; 2]);

        let start = signed.len() - message.len();
        let visible: Vec<usize> = (start..signed.len()).filter(|at| signed[*at].is_ascii_graphic()).collect();
        let mut altered = signed;
        let at = visible[place.index(visible.len())];
        // Never another case of the same letter, which the name of a field may have.
        altered[at] = if altered[at] == b'#' { b'%' } else { b'#' };
        let report = verify_at(&altered, &signer.zone(), UtcTime(NOW.0));
        prop_assert!(!results(&report).contains(&DkimResult::Pass), "{:?}", String::from_utf8_lossy(&altered));
    }
}
