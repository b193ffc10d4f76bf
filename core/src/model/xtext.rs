//! xtext (RFC 3461 §4): text that may stand where SMTP wants printable ASCII without `+`, `=` and blanks.

/// Encodes octets: `+` and two hex digits in capitals for whatever is not `!` to `~`, and for `+` and `=`.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => encoded.push_str(&format!("+{octet:02X}")),
            b'!'..=b'~' => encoded.push(char::from(octet)),
            _ => encoded.push_str(&format!("+{octet:02X}")),
        }
    }
    encoded
}

/// `utf-8-addr-xtext` (RFC 6533 §3): an address with UTF-8 in it where only ASCII may stand. What xtext would encode octet by octet stands here
/// as `\x{...}`, character by character.
pub fn encode_utf8_address(address: &str) -> String {
    let mut encoded = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '!'..='~' if !matches!(c, '+' | '=' | '\\') => encoded.push(c),
            _ => encoded.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
        }
    }
    encoded
}

/// Decodes `xtext = *( xchar / hexchar )`. None where it is not xtext, or what it encodes is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'+' => decoded.push(hex(octets.next()?)? << 4 | hex(octets.next()?)?),
            b'=' => return None,
            b'!'..=b'~' => decoded.push(octet),
            _ => return None,
        }
    }
    String::from_utf8(decoded).ok()
}

/// RFC 3461 §4 wants capitals; some clients send small letters.
fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_smtp_cannot_carry_is_encoded() {
        for (text, encoded) in [("a+b=c d", "a+2Bb+3Dc+20d"), ("", ""), ("\u{e9}", "+C3+A9"), ("x@y", "x@y")]
        {
            assert_eq!(encode(text), encoded);
            assert_eq!(decode(encoded).as_deref(), Some(text));
        }
        assert_eq!(decode("+2b").as_deref(), Some("+"));
        for broken in ["+", "+4", "+4G", "a=b", "a b", "\u{e9}", "+FF"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn an_international_address_is_spelt_in_ascii() {
        for (address, encoded) in
            [("a@x", "a@x"), ("\u{e9}+\\@x", "\\x{E9}\\x{2B}\\x{5C}@x"), ("\u{1f60a}", "\\x{1F60A}")]
        {
            assert_eq!(encode_utf8_address(address), encoded);
        }
    }

    proptest! {
        #[test]
        fn every_text_survives(text in ".{0,40}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|octet| (b'!'..=b'~').contains(&octet) && octet != b'='));
            prop_assert_eq!(decode(&encoded), Some(text));
        }
    }
}
