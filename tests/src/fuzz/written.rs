//! What we write into header fields about mail of strangers, whose words must not leave their place.

use fulmar_core::model::message::fields;

use super::has_bare_line_end;

/// One whole field, in ASCII that can be shown.
pub(super) fn check_field(field: &str) {
    let shown = |b: u8| matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    assert!(field.bytes().all(shown) && !has_bare_line_end(field.as_bytes()), "{field:?}");
    let mut found = fields(field.as_bytes());
    assert_eq!(found.next().map(|first| first.octets), Some(field.as_bytes()), "{field:?}");
}

/// One method's part of an Authentication-Results field (RFC 8601 §2.2): what it quotes and remarks is closed, and no other part begins in it.
pub(super) fn check_method(method: &str) {
    let (mut is_quoted, mut is_comment) = (false, false);
    let mut octets = method.bytes();
    while let Some(octet) = octets.next() {
        assert!(matches!(octet, b' '..=b'~'), "{method:?}");
        match octet {
            b'\\' if is_quoted => drop(octets.next()),
            b'"' if !is_comment => is_quoted = !is_quoted,
            b'(' if !is_quoted => {
                assert!(!is_comment, "a comment in a comment: {method:?}");
                is_comment = true;
            }
            b')' if !is_quoted => {
                assert!(is_comment, "a comment ends that did not begin: {method:?}");
                is_comment = false;
            }
            b';' => assert!(is_quoted || is_comment, "a part in a part: {method:?}"),
            b'\\' => panic!("an escape in what is not quoted: {method:?}"),
            _ => {}
        }
    }
    assert!(!is_quoted && !is_comment, "not closed: {method:?}");
}
