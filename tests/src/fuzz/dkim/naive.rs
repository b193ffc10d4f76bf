//! What is signed, as RFC 6376 tells it step by step, on the whole message and with no thought for time.

use fulmar_core::authn::dkim::Canonicalization;
use fulmar_core::model::message::{Field, fields};

/// What one signature is over, relaxed: its own field, the fields that it names, and the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    own: Vec<u8>,
    fields: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// Of the first so many fields, which are signatures of ours: relaxed, of the whole body. Fewer where they are none any more.
pub(super) fn signed((header, body): (&[u8], &[u8]), signatures: usize) -> Vec<Signed> {
    let found: Vec<Field<'_>> = fields(header).collect();
    let body = self::body(body, Canonicalization::Relaxed);
    let own = found.iter().take(signatures).take_while(|field| field.name == b"DKIM-Signature");
    own.map(|own| Signed { own: relaxed(own), fields: select(&found, &names(own)), body: body.clone() })
        .collect()
}

/// `h=` of a signature of ours, in which white space stands only between words.
fn names(own: &Field<'_>) -> Vec<String> {
    let text = String::from_utf8_lossy(own.body).replace(['\r', '\n', ' '], "");
    let list = text.split(';').find_map(|tag| tag.strip_prefix("h="));
    list.unwrap_or_default().split(':').map(str::to_owned).collect()
}

/// Of the fields of one name the last, then the one before (RFC 6376 §5.4.2).
fn select(found: &[Field<'_>], names: &[String]) -> Vec<Vec<u8>> {
    let mut left = found.to_vec();
    let mut selected = Vec::new();
    for name in names {
        if let Some(at) = left.iter().rposition(|field| field.name.eq_ignore_ascii_case(name.as_bytes())) {
            selected.push(relaxed(&left.remove(at)));
        }
    }
    selected
}

/// RFC 6376 §3.4.2. The line end of the field is the last, whatever it consists of.
fn relaxed(field: &Field<'_>) -> Vec<u8> {
    let body =
        field.body.strip_suffix(b"\r\n").or_else(|| field.body.strip_suffix(b"\n")).unwrap_or(field.body);
    let unfolded = lines(body).concat();
    let words: Vec<&[u8]> = words(&unfolded).collect();
    [&field.name.to_ascii_lowercase(), &b":"[..], &words.join(&b' ')].concat()
}

/// RFC 6376 §3.4.3, §3.4.4.
pub(super) fn body(body: &[u8], form: Canonicalization) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = lines(body).into_iter().map(<[u8]>::to_vec).collect();
    if form == Canonicalization::Relaxed {
        for line in &mut lines {
            let is_indented = matches!(line.first(), Some(b' ' | b'\t'));
            let words: Vec<&[u8]> = words(line).collect();
            let indentation = if is_indented && !words.is_empty() { &b" "[..] } else { b"" };
            *line = [indentation, &words.join(&b' ')].concat();
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let whole: Vec<u8> = lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect();
    match form {
        Canonicalization::Simple if whole.is_empty() => b"\r\n".to_vec(),
        _ => whole,
    }
}

/// What stands between one CRLF and the next.
fn lines(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while let Some(end) = octets.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&octets[..end]);
        octets = &octets[end + 2..];
    }
    lines.push(octets);
    lines
}

/// What stands between blanks.
fn words(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    octets.split(|octet| matches!(octet, b' ' | b'\t')).filter(|word| !word.is_empty())
}
