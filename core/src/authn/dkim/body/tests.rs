use proptest::collection::vec;
use proptest::prelude::*;
use ring::digest::digest;

use super::*;

const BOTH: [BodyMethod; 2] =
    [method(Canonicalization::Simple, None), method(Canonicalization::Relaxed, None)];

const fn method(canonicalization: Canonicalization, length: Option<u64>) -> BodyMethod {
    BodyMethod { canonicalization, length }
}

fn hash(pieces: &[&[u8]], methods: &[BodyMethod]) -> BodyHashes {
    let mut hasher = BodyHasher::new(methods.iter().copied());
    pieces.iter().for_each(|piece| hasher.push(piece));
    hasher.finish()
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest(&SHA256, octets).as_ref().to_vec()
}

/// The canonical forms, made the slow way, line by line.
fn canonical(body: &[u8], form: Canonicalization) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = body;
    while let Some((first, others)) = rest.split_first() {
        if rest.starts_with(b"\r\n") {
            lines.push(Vec::new());
            rest = &rest[2..];
        } else {
            lines.last_mut().unwrap().push(*first);
            rest = others;
        }
    }
    if form == Canonicalization::Relaxed {
        for line in &mut lines {
            let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
            let mut short: Vec<u8> = Vec::new();
            for octet in line.iter() {
                if !is_blank(octet) {
                    short.push(*octet);
                } else if short.last() != Some(&b' ') {
                    short.push(b' ');
                }
            }
            if short.last() == Some(&b' ') {
                short.pop();
            }
            *line = short;
        }
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let mut out: Vec<u8> = lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect();
    if out.is_empty() && form == Canonicalization::Simple {
        out = b"\r\n".to_vec();
    }
    out
}

fn check(body: &[u8], pieces: &[&[u8]]) {
    let hashes = hash(pieces, &BOTH);
    for method in BOTH {
        let canonical = canonical(body, method.canonicalization);
        let found = hashes.find(method).unwrap();
        let shown = String::from_utf8_lossy(body);
        assert_eq!(found.digest[..], sha256(&canonical)[..], "{:?} {shown:?}", method.canonicalization);
        assert_eq!((found.octets, found.unsigned), (canonical.len() as u64, 0), "{shown:?}");
    }
}

#[test]
fn bodies_are_hashed_as_the_rfc_says() {
    for (body, simple, relaxed) in [
        // RFC 6376 §3.4.5, §3.4.3, §3.4.4.
        (" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"),
        ("", "\r\n", ""),
        ("\r\n\r\n", "\r\n", ""),
        ("text", "text\r\n", "text\r\n"),
        ("text \t", "text \t\r\n", "text\r\n"),
        ("a\r\n \t \r\n  \r\n", "a\r\n \t \r\n  \r\n", "a\r\n"),
        (" \t", " \t\r\n", ""),
        ("a\r\n\r\n\r\nb\r\n\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
        ("a\rb \r \r\n", "a\rb \r \r\n", "a\rb \r\r\n"),
        ("a\nb\n", "a\nb\n\r\n", "a\nb\n\r\n"),
        ("a\r\r\n\r", "a\r\r\n\r\r\n", "a\r\r\n\r\r\n"),
    ] {
        assert_eq!(canonical(body.as_bytes(), Canonicalization::Simple), simple.as_bytes(), "{body:?}");
        assert_eq!(canonical(body.as_bytes(), Canonicalization::Relaxed), relaxed.as_bytes(), "{body:?}");
        check(body.as_bytes(), &[body.as_bytes()]);
        let octets: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        check(body.as_bytes(), &octets);
    }
}

#[test]
fn only_so_many_octets_of_the_canonical_body_are_hashed_as_were_asked_for() {
    let body = b"one  two\r\n\r\n\r\n";
    let lengths = [Some(0), Some(5), Some(8), Some(9), Some(100), None];
    let methods = lengths.map(|length| method(Canonicalization::Relaxed, length));
    let hashes = hash(&[body], &methods);
    let canonical = b"one two\r\n";
    for (method, length) in methods.into_iter().zip([0, 5, 8, 9, 9, 9]) {
        let found = hashes.find(method).unwrap();
        assert_eq!(found.digest[..], sha256(&canonical[..length])[..], "{method:?}");
        assert_eq!((found.octets, found.unsigned), (9, 9 - length as u64), "{method:?}");
    }
    assert_eq!(hashes.find(BOTH[0]), None);
}

#[test]
fn what_may_end_a_body_is_counted_and_not_kept() {
    let mut hasher = BodyHasher::new(BOTH);
    hasher.push(b"a\r\n");
    for _ in 0..1_000 {
        hasher.push(&b"\r\n".repeat(2_000));
        hasher.push(&b" \t".repeat(2_000));
        hasher.push(b"\r\n");
    }
    let relaxed = hasher.relaxed.as_ref().unwrap();
    assert_eq!((relaxed.lines, relaxed.sink.octets), (1_000 * 2_001 + 1, 1));
    let simple = hasher.simple.as_ref().unwrap();
    assert!(relaxed.sink.scratch.capacity() + simple.sink.scratch.capacity() <= 4 * SCRATCH);
    hasher.push(b"b");
    assert_eq!(hasher.finish().find(BOTH[1]).unwrap().octets, 1 + 2 * (1_000 * 2_001 + 1) + 3);
}

#[test]
fn a_body_of_50_mb_is_hashed_in_a_few_kilobytes() {
    let mut hasher = BodyHasher::new(BOTH);
    let line = format!("{}\r\n", "twelve words ".repeat(6));
    let piece = line.repeat(800);
    for _ in 0..50_000_000 / piece.len() {
        hasher.push(piece.as_bytes());
    }
    let sinks = [&hasher.simple.as_ref().unwrap().sink, &hasher.relaxed.as_ref().unwrap().sink];
    assert!(sinks.iter().all(|sink| sink.scratch.capacity() <= 4 * SCRATCH));
}

proptest! {
    #[test]
    fn a_hash_is_the_same_however_the_body_is_cut(
        body in vec(prop_oneof![Just(b'a'), Just(b' '), Just(b'\t'), Just(b'\r'), Just(b'\n'), Just(b'.')], 0..60),
        cuts in vec(0..60usize, 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &body[ends[0]..ends[1]]).collect();
        check(&body, &pieces);
    }

    #[test]
    fn lines_of_text_are_hashed_alike_in_any_pieces(lines in vec("[a-z \t]{0,12}", 0..40), step in 1..50usize) {
        let body = lines.join("\r\n").into_bytes();
        let pieces: Vec<&[u8]> = body.chunks(step).collect();
        check(&body, &pieces);
    }
}
