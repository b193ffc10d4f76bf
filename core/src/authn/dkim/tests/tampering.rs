//! Every octet of a signed message altered in every way that matters. What a signature comes to must be what a reader of RFC 6376 would say
//! who goes by the letter: it passes where what was signed has the same canonical form, and nowhere else.

use super::*;
use crate::model::message::{Field, fields};

/// Fields that come twice, that are folded, that lists add to, that nobody signs; a body with all that canonicalisation takes away.
const MESSAGE: &str = "Received: from a by b\r\n\
    From: Ann <a@example.org>\r\n\
    to: x@y.test,\r\n\tz@y.test\r\n\
    Subject:\r\n  Of \t gulls\r\n\
    Date: Sun, 22 Nov 2026 00:12:27 +0000\r\n\
    References: <1@x>\r\n\
    REFERENCES: <2@x>\r\n\
    List-Id: <l.x>\r\n\
    X-Own: 1\r\n\
    \r\n\
    A  b. \r\n\r\n \t\r\nC\r\r\n\r\n";
/// Signatures that each message begins with.
const SIGNATURES: usize = 2;

/// What one signature is over, in its canonical form, made the slow way: its own field, the fields that it names, the body.
#[derive(Debug, PartialEq, Eq)]
struct Signed {
    own: Vec<u8>,
    fields: Vec<Vec<u8>>,
    body: Vec<u8>,
}

impl Signed {
    /// Of each of the first fields of a message, which are its signatures. None where they are none.
    fn of(message: &[u8], names: &[String]) -> Vec<Self> {
        let (header, body) = split(message);
        let found: Vec<Field<'_>> = fields(header).collect();
        let own = found.iter().take(SIGNATURES).filter(|field| field.name == b"DKIM-Signature");
        let body = relaxed_body(body);
        own.map(|own| Self { own: relaxed(own), fields: select(&found, names), body: body.clone() }).collect()
    }
}

/// Of the fields of one name the last, then the one before (RFC 6376 §5.4.2).
fn select(found: &[Field<'_>], names: &[String]) -> Vec<Vec<u8>> {
    let mut left: Vec<Field<'_>> = found.to_vec();
    let mut selected = Vec::new();
    for name in names {
        if let Some(at) = left.iter().rposition(|field| field.name.eq_ignore_ascii_case(name.as_bytes())) {
            selected.push(relaxed(&left.remove(at)));
        }
    }
    selected
}

/// RFC 6376 §3.4.2, step by step.
fn relaxed(field: &Field<'_>) -> Vec<u8> {
    let unfolded = String::from_utf8_lossy(field.body).replace("\r\n", "").replace('\t', " ");
    let words: Vec<&str> = unfolded.split(' ').filter(|word| !word.is_empty()).collect();
    // A line end that is no CRLF is content, but for the last, which ends the field however it is written.
    let value = words.join(" ");
    let value = value.strip_suffix('\n').unwrap_or(&value).trim_end_matches(' ');
    format!("{}:{value}", String::from_utf8_lossy(field.name).to_ascii_lowercase()).into_bytes()
}

/// RFC 6376 §3.4.4, step by step.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let text: String = body.iter().map(|octet| char::from(*octet)).collect();
    let shorten = |line: &str| {
        let mut short = line.replace('\t', " ");
        while short.contains("  ") {
            short = short.replace("  ", " ");
        }
        short.trim_end_matches(' ').to_owned()
    };
    let mut lines: Vec<String> = text.split("\r\n").map(shorten).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.into_iter().flat_map(|line| (line + "\r\n").chars().map(|c| c as u8).collect::<Vec<_>>()).collect()
}

struct Tampering {
    zone: Zone,
    signed: Vec<u8>,
    /// Where the message begins behind its signatures.
    start: usize,
    names: Vec<String>,
    original: Vec<Signed>,
    /// Messages that pass, and that do not.
    seen: (usize, usize),
}

impl Tampering {
    fn new() -> Self {
        let signer = Signer::new();
        let signed = signer.sign(MESSAGE.as_bytes());
        let names = Signature::parse(fields(&signed).next().unwrap()).unwrap().names;
        let original = Signed::of(&signed, &names);
        let start = signed.len() - MESSAGE.len();
        Self { zone: signer.zone(), signed, start, names, original, seen: (0, 0) }
    }

    fn check(&mut self, altered: &[u8]) {
        let now = Signed::of(altered, &self.names);
        let report = verify_at(altered, &self.zone, NOW);
        for (at, original) in self.original.iter().enumerate() {
            let found = report.signatures.get(at).map(|signature| signature.result);
            let is_same = now.get(at) == Some(original);
            assert_eq!(found == Some(DkimResult::Pass), is_same, "{at}: {}", altered.escape_ascii());
        }
        match now == self.original {
            true => self.seen.0 += 1,
            false => self.seen.1 += 1,
        }
    }

    /// Of the message behind its signatures, an alteration.
    fn check_text(&mut self, text: &str) {
        let altered = [&self.signed[..self.start], text.as_bytes()].concat();
        self.check(&altered);
    }
}

#[test]
fn an_octet_altered_removed_or_added_anywhere_is_caught_unless_canonicalisation_absorbs_it() {
    let mut tampering = Tampering::new();
    tampering.check_text(MESSAGE);
    assert_eq!(tampering.seen, (1, 0));
    for at in tampering.start..tampering.signed.len() {
        let octet = tampering.signed[at];
        for other in [b'#', b'A', b'0', b' ', b'\t', b'\r', b'\n', b':', 0, 0xff, octet ^ 0x20] {
            let mut altered = tampering.signed.clone();
            altered[at] = other;
            tampering.check(&altered);
            altered[at] = octet;
            altered.insert(at, other);
            tampering.check(&altered);
        }
        let mut altered = tampering.signed.clone();
        altered.remove(at);
        tampering.check(&altered);
    }
    // Both happen: names in another case and more white space, and all else.
    let (passed, failed) = tampering.seen;
    assert!(passed > 500 && failed > 4_000, "{passed} passed, {failed} failed");
}

#[test]
fn a_field_removed_doubled_moved_or_added_is_caught_where_it_is_signed() {
    let mut tampering = Tampering::new();
    let (header, body) = MESSAGE.split_at(MESSAGE.find("\r\n\r\n").unwrap() + 2);
    let own: Vec<&str> =
        fields(header.as_bytes()).map(|field| std::str::from_utf8(field.octets).unwrap()).collect();
    let joined = |fields: Vec<&str>| fields.concat() + body;
    for at in 0..own.len() {
        let mut without = own.clone();
        let field = without.remove(at);
        tampering.check_text(&joined(without.clone()));
        // Everywhere else, and where it was.
        for place in 0..=without.len() {
            let mut moved = without.clone();
            moved.insert(place, field);
            tampering.check_text(&joined(moved));
        }
        for place in 0..=own.len() {
            let mut doubled = own.clone();
            doubled.insert(place, field);
            tampering.check_text(&joined(doubled));
        }
    }
    for name in tampering.names.clone().iter().map(String::as_str).chain(["x-other", "received", "bcc"]) {
        let field = format!("{name}: added\r\n");
        for place in 0..=own.len() {
            let mut added = own.clone();
            added.insert(place, &field);
            tampering.check_text(&joined(added));
        }
    }
    let (passed, failed) = tampering.seen;
    assert!(passed > 50 && failed > 200, "{passed} passed, {failed} failed");
}

#[test]
fn what_readers_are_shown_cannot_be_exchanged_for_anything() {
    let mut tampering = Tampering::new();
    for (from, to) in [
        ("Ann <a@example.org>", "Eve <e@evil.test>"),
        ("From: Ann", "From: Eve <e@evil.test>, Ann"),
        ("From: Ann", "From: Eve <e@evil.test>\r\nFrom: Ann"),
        ("a@example.org>\r\n", "a@example.org>\r\nFrom: e@evil.test\r\n"),
        ("Subject:\r\n  Of \t gulls", "Subject: Re:\r\n  Of \t gulls"),
        ("to: x@y.test,\r\n\tz@y.test", "to: z@y.test,\r\n\tx@y.test"),
        ("Date: Sun, 22 Nov", "Date: Mon, 23 Nov"),
        ("<1@x>\r\nREFERENCES: <2@x>", "<2@x>\r\nREFERENCES: <1@x>"),
        ("A  b. ", "B  a. "),
        ("A  b. \r\n\r\n", "A  b. \r\n"),
        ("\r\nC\r\r\n", "\r\n"),
        ("C\r\r\n", "C\r\nD\r\n"),
    ] {
        let altered = MESSAGE.replacen(from, to, 1);
        assert_ne!(altered, MESSAGE, "{from}");
        tampering.check_text(&altered);
        assert_eq!(tampering.seen.0, 0, "{to}");
    }
}
