use proptest::prelude::*;

use super::*;

fn convert(to: BodyType, message: &[u8], piece: usize) -> Result<Vec<u8>, Unconvertible> {
    let (mut downgrade, mut out) = (Downgrade::new(to), Vec::new());
    for piece in message.chunks(piece.max(1)) {
        downgrade.push(piece, &mut out)?;
    }
    downgrade.finish(&mut out)?;
    Ok(out)
}

/// Converts in pieces of several lengths, which must make no difference.
fn check(to: BodyType, message: &str, expected: Result<&str, Unconvertible>) {
    let crlf = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let expected = expected.map(crlf);
    for piece in [1, 2, 7, 1_000_000] {
        let converted = convert(to, &crlf(message), piece);
        let shown = |octets: &Vec<u8>| String::from_utf8_lossy(octets).into_owned();
        assert_eq!(
            converted.as_ref().map(shown),
            expected.as_ref().map(shown),
            "{message:?} in pieces of {piece}"
        );
    }
}

const TEXT: &str = "Subject: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
                    Content-Transfer-Encoding: 8bit\n\ngr\u{fc}n = a \nb\n";

#[test]
fn text_becomes_quoted_printable_and_its_label_says_so() {
    check(
        BodyType::SevenBit,
        TEXT,
        Ok("Subject: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
            Content-Transfer-Encoding: quoted-printable\n\ngr=C3=BCn =3D a=20\nb\n"),
    );
    check(BodyType::EightBitMime, TEXT, Ok(TEXT));
}

#[test]
fn what_says_nothing_of_itself_gets_labels() {
    check(
        BodyType::SevenBit,
        "Subject: a\n\n\u{e9}\n",
        Ok("Subject: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n\
            Content-Transfer-Encoding: quoted-printable\n\n=C3=A9\n"),
    );
    // Where a line comes that is no field, the header block has ended.
    check(
        BodyType::SevenBit,
        "Subject: a\nno field \u{e9}",
        Ok("Subject: a\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n\
            Content-Transfer-Encoding: quoted-printable\n\nno field =C3=A9\n"),
    );
}

#[test]
fn only_parts_that_need_it_are_encoded() {
    check(
        BodyType::SevenBit,
        "Content-Type: multipart/mixed; boundary=\"a b\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n\
         pre\u{e9}mble\n--a b\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\nplain\n--a b \n\n\
         \u{e9}\n--a b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n--a b\n\
         Content-Type: application/x; name=\";boundary=no\"\nContent-Transfer-Encoding: 8bit\n\n\u{e9}\nz\n--a b--\nepilogue\n",
        Ok("Content-Type: multipart/mixed; boundary=\"a b\"\nMIME-Version: 1.0\n\
            Content-Transfer-Encoding: 7bit\n\npre??mble\n--a b\nContent-Type: text/plain\n\
            Content-Transfer-Encoding: 7bit\n\nplain\n--a b \n\
            Content-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: quoted-printable\n\n\
            =C3=A9\n--a b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n--a b\n\
            Content-Type: application/x; name=\";boundary=no\"\nContent-Transfer-Encoding: base64\n\n\
            w6kNCno=\n--a b--\nepilogue\n"),
    );
}

#[test]
fn messages_within_are_looked_into_and_a_lost_end_is_found() {
    check(
        BodyType::SevenBit,
        "Content-Type: multipart/mixed; boundary=o\nMIME-Version: 1.0\n\n--o\n\
         Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: in\nMIME-Version: 1.0\n\
         Content-Type: multipart/digest; boundary=i\n\n--i\n\nSubject: deep\n\n\u{e9}\n--o\n\nlast\n--o--\n",
        Ok("Content-Type: multipart/mixed; boundary=o\nMIME-Version: 1.0\n\n--o\n\
            Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: in\nMIME-Version: 1.0\n\
            Content-Type: multipart/digest; boundary=i\n\n--i\n\nSubject: deep\nMIME-Version: 1.0\n\
            Content-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: quoted-printable\n\n\
            =C3=A9\n--o\n\nlast\n--o--\n"),
    );
}

#[test]
fn what_is_signed_is_not_altered() {
    let signed = |text: &str| {
        format!("Content-Type: multipart/signed; boundary=s\n\n--s\n\n{text}\n--s\n\nsignature\n--s--\n")
    };
    check(BodyType::SevenBit, &signed("plain"), Ok(&signed("plain")));
    check(BodyType::SevenBit, &signed("\u{e9}"), Err(Unconvertible));
    check(BodyType::EightBitMime, &signed("\u{e9}"), Ok(&signed("\u{e9}")));
    check(BodyType::SevenBit, "Content-Type: multipart/mixed\n\n\u{e9}\n", Err(Unconvertible));
}

#[test]
fn a_header_block_that_ends_with_a_bare_lf_takes_no_body_along() {
    for message in [&b"A: 1\n\t2\nB: 2\n\n\xe9\r\n"[..], b"A: 1\n\xe9 is no field\r\n"] {
        for piece in [1, 3, 1_000_000] {
            let converted = convert(BodyType::SevenBit, message, piece);
            let shown = converted.as_ref().map(|octets| String::from_utf8_lossy(octets));
            assert!(converted.as_ref().is_ok_and(|octets| octets.is_ascii()), "{message:?}: {shown:?}");
        }
    }
}

#[test]
fn binary_parts_are_encoded_for_hosts_that_take_lines_only() {
    let message = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
        Content-Transfer-Encoding: binary\r\n\r\n--b\r\nContent-Type: image/x\r\n\
        Content-Transfer-Encoding: binary\r\n\r\n\0\n--b\n\r\xff\r\n--b\r\nContent-Type: text/plain\r\n\
        Content-Transfer-Encoding: binary\r\n\r\n\xe9\r\n--b\r\nContent-Type: text/plain\r\n\
        Content-Transfer-Encoding: binary\r\n\r\na\nb\r\n--b--\r\n";
    let encoded = |to: &str, text: &str| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
             Content-Transfer-Encoding: {to}\r\n\r\n--b\r\nContent-Type: image/x\r\n\
             Content-Transfer-Encoding: base64\r\n\r\nAAotLWIKDf8=\r\n--b\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: {text}\r\n--b\r\nContent-Type: text/plain\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\na=0Ab\r\n--b--\r\n"
        )
    };
    for piece in [1, 3, 1_000] {
        let seven = convert(BodyType::SevenBit, message, piece).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&seven),
            encoded("7bit", "quoted-printable\r\n\r\n=E9"),
            "in pieces of {piece}"
        );
        let eight = convert(BodyType::EightBitMime, message, piece).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&eight),
            String::from_utf8_lossy(&[b"8bit\r\n\r\n", &b"\xe9"[..]].concat())
                .replace("8bit\r\n\r\n\u{fffd}", &encoded("8bit", "8bit\r\n\r\n\u{fffd}")),
            "in pieces of {piece}"
        );
    }
}

#[test]
fn a_long_part_is_encoded_in_bounded_memory_and_no_line_is_too_long() {
    let body = "\u{e9}".repeat(200_000);
    let message = format!("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n");
    let converted = convert(BodyType::SevenBit, message.as_bytes(), 4_000).unwrap();
    assert!(converted.split(|b| *b == b'\n').all(|line| line.len() <= 80));
    assert_eq!(decoded(&converted), [body.as_bytes(), b"\r\n"].concat());
}

/// What the body of a message of one part stands for.
fn decoded(message: &[u8]) -> Vec<u8> {
    let text = str::from_utf8(message).expect("ASCII");
    let (header, body) = text.split_once("\r\n\r\n").expect("an empty line");
    if header.contains("base64") {
        use base64::Engine as _;
        let joined: String = body.split_ascii_whitespace().collect();
        return base64::engine::general_purpose::STANDARD.decode(joined).expect("base64");
    }
    if !header.contains("quoted-printable") {
        return body.as_bytes().to_vec();
    }
    let body = body.replace("=\r\n", "");
    let mut octets = Vec::new();
    let mut rest = body.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'=' {
            let (hex, more) = rest.split_at(2);
            octets.push(u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).expect("two hex digits"));
            rest = more;
        } else {
            octets.push(*first);
        }
    }
    octets
}

proptest! {
    #[test]
    fn octets_survive_in_pieces_of_any_length(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..6),
        is_text: bool,
        piece in 1usize..200,
    ) {
        let body = lines.join(&b"\r\n"[..]);
        let kind = if is_text { "text/plain" } else { "application/x" };
        let header = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nMIME-Version: 1.0\r\n\r\n");
        let message = [header.as_bytes(), &body, b"\r\n"].concat();
        let converted = convert(BodyType::SevenBit, &message, piece).unwrap();
        prop_assert!(converted.is_ascii());
        // Text ends with a line end, which is put there where it has none.
        prop_assert_eq!(decoded(&converted), [&body[..], b"\r\n"].concat());
    }
}

#[test]
fn a_survey_says_what_a_host_must_take() {
    for (octets, labelled, least) in [
        (&b"a\r\nb\r\n"[..], BodyType::BinaryMime, BodyType::SevenBit),
        (b"a\r\n\xe9\r\n", BodyType::BinaryMime, BodyType::EightBitMime),
        (b"a\nb\r\n", BodyType::BinaryMime, BodyType::BinaryMime),
        (b"a\rb\r\n", BodyType::BinaryMime, BodyType::BinaryMime),
        (b"a\0b", BodyType::BinaryMime, BodyType::BinaryMime),
        (b"a\r", BodyType::BinaryMime, BodyType::BinaryMime),
        (&[b'x'; 999], BodyType::BinaryMime, BodyType::BinaryMime),
        (&[b'x'; 998], BodyType::BinaryMime, BodyType::SevenBit),
        (&[b'x'; 5_000], BodyType::EightBitMime, BodyType::SevenBit),
    ] {
        for piece in [1, 2, 10_000] {
            let mut survey = Survey::default();
            octets.chunks(piece).for_each(|piece| survey.advance(piece));
            assert_eq!(survey.least(labelled), least, "{:?}", String::from_utf8_lossy(octets));
        }
    }
}
