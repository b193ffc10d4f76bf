//! Fields that are wrong, or too many.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MESSAGE: &[u8] = b"From: a@example.org\r\nto: x\r\nTO: y\r\nSubject: s\r\n\r\nHi  there.\r\n\r\n";
const TAGS: &str = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=ed; h=from; bh={bh}";

fn check(tags: &str, expected: Result<(), Flaw>) {
    let signer = Signer::new();
    let report = verify_at(&signer.sign_with(tags, MESSAGE), &signer.zone(), NOW);
    let signature = &report.signatures[0];
    assert_eq!(signature.flaw.clone().map_or(Ok(()), Err), expected, "{tags}");
    let word = expected.map_or_else(|flaw| flaw.result(), |()| DkimResult::Pass);
    assert_eq!(signature.result, word, "{tags}");
}

#[test]
fn tags_that_are_wrong_say_which() {
    for (from, to, expected) in [
        ("", "", Ok(())),
        ("v=1;", "", Err(Flaw::Missing("v"))),
        ("v=1", "v=2", Err(Flaw::Unsupported("v"))),
        ("v=1", "v=01", Err(Flaw::Unsupported("v"))),
        ("v=1;", "v=1; v=1;", Err(TagError::Twice("v".to_owned()).into())),
        ("a=ed25519-sha256;", "", Err(Flaw::Missing("a"))),
        ("ed25519-sha256", "ED25519-SHA256", Ok(())),
        ("ed25519-sha256", "ed25519-sha1", Err(Flaw::Unsupported("a"))),
        ("ed25519-sha256", "rsa-sha1", Err(Flaw::Historic)),
        ("d=example.org", "d=", Err(Flaw::Missing("d"))),
        ("d=example.org", "d=exam ple.org", Err(Flaw::Malformed("d"))),
        ("d=example.org", "d=[192.0.2.1]", Err(Flaw::Malformed("d"))),
        ("d=example.org", "d=EXAMPLE.org", Ok(())),
        ("s=ed", "s=e/d", Err(Flaw::Malformed("s"))),
        ("s=ed", "s=none", Err(Flaw::NoKey)),
        ("h=from", "h=to", Err(Flaw::FromNotSigned)),
        ("h=from", "h=from:", Err(Flaw::Malformed("h"))),
        ("h=from", "h=from:a b", Err(Flaw::Malformed("h"))),
        ("h=from", "h= FROM :\r\n\tTo:to:to:tO: x-none ", Ok(())),
        ("c=relaxed/relaxed", "c=relaxed/lax", Err(Flaw::Unsupported("c"))),
        ("c=relaxed/relaxed", "c=relaxed/relaxed/relaxed", Err(Flaw::Unsupported("c"))),
        ("c=relaxed/relaxed", "c=Relaxed/RELAXED", Ok(())),
        // Without `c=`, or with half of it, what was signed is another form (RFC 6376 §3.5).
        ("c=relaxed/relaxed;", "", Err(Flaw::BodyAltered)),
        ("c=relaxed/relaxed", "c=relaxed", Err(Flaw::BodyAltered)),
        ("bh={bh}", "bh=", Err(Flaw::Missing("bh"))),
        ("bh={bh}", "bh=!!!", Err(Flaw::Malformed("bh"))),
        ("bh={bh}", "bh=AAAA", Err(Flaw::BodyAltered)),
        ("h=from;", "h=from; q=dns/txt;", Ok(())),
        ("h=from;", "h=from; q=other:dns/txt;", Ok(())),
        ("h=from;", "h=from; q=other;", Err(Flaw::Unsupported("q"))),
        ("h=from;", "h=from; z=From:x|To:y; atps=x; y_1=;", Ok(())),
        ("h=from;", "h=from; t=1795306347;", Ok(())),
        ("h=from;", "h=from; t=1795306647;", Ok(())),
        ("h=from;", "h=from; t=1795306648;", Err(Flaw::FromTheFuture)),
        ("h=from;", "h=from; t=soon;", Err(Flaw::Malformed("t"))),
        ("h=from;", "h=from; x=1795306347;", Ok(())),
        ("h=from;", "h=from; x=1795306346;", Err(Flaw::Expired)),
        ("h=from;", "h=from; x=never;", Err(Flaw::Malformed("x"))),
        ("h=from;", "h=from; x=999999999999999999999999;", Ok(())),
        ("h=from;", "h=from; t=1700000000; x=1700000000;", Err(Flaw::Malformed("x"))),
        ("h=from;", "h=from; l=0;", Ok(())),
        ("h=from;", "h=from; l=11;", Ok(())),
        ("h=from;", "h=from; l=12;", Err(Flaw::BodyCut)),
        ("h=from;", "h=from; l=-1;", Err(Flaw::Malformed("l"))),
        ("h=from;", "h=from; l=;", Err(Flaw::Malformed("l"))),
    ] {
        check(&TAGS.replacen(from, to, 1), expected);
    }
}

#[test]
fn a_body_that_goes_on_behind_its_signed_part_passes_and_is_told() {
    let signer = Signer::new();
    let signed = signer.sign_with(&TAGS.replacen("h=from", "h=from; l=11", 1), MESSAGE);
    let longer = [&signed[..], b"Buy gulls.\r\n"].concat();
    let cut = &signed[..signed.len() - 8];
    for (message, result, unsigned) in
        [(&signed[..], DkimResult::Pass, 0), (&longer, DkimResult::Pass, 2 + 12), (cut, DkimResult::Fail, 0)]
    {
        let report = verify_at(message, &signer.zone(), NOW);
        assert_eq!((results(&report), report.signatures[0].unsigned_octets), (vec![result], unsigned));
    }
}

#[test]
fn a_signature_that_is_no_base64_or_cut_is_no_signature() {
    let signer = Signer::new();
    let signed = String::from_utf8(signer.sign_with(TAGS, MESSAGE)).unwrap();
    let (before, rest) = signed.split_once(" b=").unwrap();
    let (value, rest) = rest.split_once("\r\n").unwrap();
    for (value, flaw) in [
        (value.to_owned(), None),
        (format!(" {}\r\n\t{} ", &value[..9], &value[9..]), None),
        (value.trim_end_matches('=').to_owned(), None),
        (value[..40].to_owned(), Some(Flaw::Signature)),
        ("%%%%".to_owned(), Some(Flaw::Malformed("b"))),
        (String::new(), Some(Flaw::Missing("b"))),
        ("=".to_owned(), Some(Flaw::Malformed("b"))),
    ] {
        let message = format!("{before} b={value}\r\n{rest}");
        let report = verify_at(message.as_bytes(), &signer.zone(), NOW);
        assert_eq!(report.signatures[0].flaw, flaw, "{value:?}");
    }
}

#[test]
fn of_ten_thousand_signatures_ten_are_looked_at() {
    let signer = Signer::new();
    let other = format!("DKIM-Signature: {}; b=AAAA\r\n", TAGS.replace("{bh}", "AAAA"));
    let message = [other.repeat(9_999).as_bytes(), &signer.sign_with(TAGS, MESSAGE)].concat();
    let report = verify_at(&message, &signer.zone(), NOW);
    assert_eq!((results(&report), report.unseen), (vec![DkimResult::Fail; 10], 9_990));
    let message = [signer.sign_with(TAGS, &[other.repeat(9_999).as_bytes(), MESSAGE].concat())].concat();
    let report = verify_at(&message, &signer.zone(), NOW);
    assert_eq!(
        (report.signatures[0].result, report.signatures.len(), report.unseen),
        (DkimResult::Pass, 10, 9_990)
    );
}

#[test]
fn ten_thousand_signatures_by_as_many_keys_cost_ten_look_ups() {
    let (header, body) = split(MESSAGE);
    let method = BodyMethod::SIGNING;
    let bh = STANDARD.encode(hash(body, [method]).find(method).unwrap().digest);
    let field = |n: u32, more: &str| {
        let tags = TAGS.replace("s=ed", &format!("s=s{n}{more}")).replace("{bh}", &bh);
        format!("DKIM-Signature: {tags}; b=AAAA\r\n")
    };
    // Those that sign more of the body than there is cannot pass, and no key is looked up for them.
    for (more, asked) in [("", 10), ("; l=12", 0)] {
        let fields: String = (0..10_000).map(|n| field(n, more)).collect();
        let block = [fields.as_bytes(), header].concat();
        assert_eq!(body_methods(&block).len(), 10);
        let zone = Signer::new().zone();
        let report = verify_at(&[&block, body].concat(), &zone, NOW);
        assert_eq!((report.signatures.len(), report.unseen), (10, 9_990));
        assert_eq!(zone.asked.lock().unwrap().len(), asked, "{more}");
    }
}

#[test]
fn a_signature_may_be_folded_wherever_white_space_may_stand() {
    let folded = TAGS.replace("; ", "\r\n\t;\r\n \t").replace('=', "\r\n =\t\r\n ");
    check(&folded, Ok(()));
    check(&folded.replace("from", "from \r\n\t:\r\n to\r\n : TO"), Ok(()));
    for (from, to, flaw) in [
        ("ed25519-sha256", "ed25519\r\n -sha256", Flaw::Unsupported("a")),
        ("relaxed/relaxed", "relaxed\r\n /relaxed", Flaw::Unsupported("c")),
        ("example.org", "example\r\n .org", Flaw::Malformed("d")),
        ("h=from", "h=fr\r\n om", Flaw::Malformed("h")),
        ("h=from", "h=from; x=17\r\n 95306347", Flaw::Malformed("x")),
    ] {
        check(&TAGS.replacen(from, to, 1), Err(flaw));
    }
}

#[test]
fn ten_thousand_names_and_fields_are_matched_from_the_last_on() {
    let signer = Signer::new();
    let fields: String =
        (0..10_000).map(|n| format!("{}: {n}\r\n", if n % 2 == 0 { "X" } else { "x" })).collect();
    let message = [fields.as_bytes(), MESSAGE].concat();
    let names = format!("h=from{}", ":x".repeat(10_001));
    let signed = signer.sign_with(&TAGS.replacen("h=from", &names, 1), &message);
    assert_eq!(results(&verify_at(&signed, &signer.zone(), NOW)), [DkimResult::Pass]);
    for field in ["X: 1\r\n", "x: 1\r\n"] {
        let altered = [field.as_bytes(), &signed].concat();
        assert_eq!(results(&verify_at(&altered, &signer.zone(), NOW)), [DkimResult::Fail]);
    }
}

#[test]
fn old_mail_with_odd_folding_and_bare_cr_is_verified_as_it_was_signed() {
    let signer = Signer::new();
    for message in [
        &b"From: a@example.org\r\nSubject:\r\n \r\n\t folded\r\n\t\r\n \r\n\r\nHi.\r\n"[..],
        b"From: a@example.org\r\nSubject: a\rb\r\r\n\r\nHi.\rHo.\r\n",
        b"From: a@example.org\nSubject: LF only\n\nHi.\n",
        b"From : a@example.org\r\nSUBJECT\t:x\r\nsubject: y\r\n\r\n",
        b"From: \xff\xfe latin\r\n\r\n\xff\0\r\n",
    ] {
        let signed = signer.sign(message);
        assert_eq!(results(&verify_at(&signed, &signer.zone(), NOW)), [DkimResult::Pass; 2], "{message:?}");
    }
}

#[test]
fn a_message_without_signatures_says_so_by_saying_nothing() {
    let report = verify_at(MESSAGE, &Zone::default(), NOW);
    assert_eq!(report, DkimReport::default());
    // What looks like one in a body, or folded into another field, is none.
    let inside = b"From: a\r\nX: 1\r\n DKIM-Signature: v=1\r\n\r\nDKIM-Signature: v=1\r\n";
    assert_eq!(verify_at(inside, &Zone::default(), NOW), DkimReport::default());
}

proptest! {
    #[test]
    fn no_field_makes_verification_panic_or_pass(
        value in "[ -~\r\n\t]{0,80}",
        octets in vec(any::<u8>(), 0..60),
    ) {
        let message = [b"DKIM-Signature: ", &octets[..], b"\r\nDKIM-Signature: ", value.as_bytes(), b"\r\n", MESSAGE].concat();
        let report = verify_at(&message, &Signer::new().zone(), NOW);
        prop_assert!(!results(&report).contains(&DkimResult::Pass));
    }

    #[test]
    fn no_key_record_makes_verification_panic_or_pass(text in "([vkptsh]=[ -~]{0,30};?){0,6}") {
        let signer = Signer::new();
        let zone = Zone::new([(ED25519_NAME, text.as_str())]);
        let report = verify_at(&signer.sign_with(TAGS, MESSAGE), &zone, NOW);
        prop_assert!(!results(&report).contains(&DkimResult::Pass));
    }
}
