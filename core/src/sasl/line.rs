//! What stands on a line of the protocols: base64 (RFC 4648 §4), with the signs for *cancel* and *empty*.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Failure;

/// Octets of a line of base64 without its CRLF (RFC 4954 §4). Beyond: [`Failure::TooLong`].
pub const LINE_LIMIT: usize = 12_288;

/// A client's response, decoded. `*` cancels the exchange.
pub fn decode(line: &[u8]) -> Result<Vec<u8>, Failure> {
    match line {
        b"*" => Err(Failure::Cancelled),
        line if line.len() > LINE_LIMIT => Err(Failure::TooLong),
        // Strict: nothing but the alphabet, padded, no bits left over. What decodes in two ways is no proof of anything.
        line => STANDARD.decode(line).map_err(|_| Failure::Malformed),
    }
}

/// The initial response that stands behind a mechanism's name. `=` is an empty one; none at all is another thing, and not for here.
pub fn decode_initial(argument: &[u8]) -> Result<Vec<u8>, Failure> {
    match argument {
        b"=" => Ok(Vec::new()),
        b"" | b"*" => Err(Failure::Malformed),
        argument => decode(argument),
    }
}

/// A challenge as it is sent, behind whatever the protocol puts before it. Empty for an empty one.
pub fn encode(challenge: &[u8]) -> String {
    STANDARD.encode(challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_base64_is_a_response() {
        for (line, expected) in [
            ("", Ok("")),
            ("YQ==", Ok("a")),
            ("AGEAYg==", Ok("\0a\0b")),
            ("*", Err(Failure::Cancelled)),
            ("=", Err(Failure::Malformed)),
            ("YQ", Err(Failure::Malformed)),
            ("YQ=", Err(Failure::Malformed)),
            ("YR==", Err(Failure::Malformed)),
            ("YQ==YQ==", Err(Failure::Malformed)),
            (" YQ==", Err(Failure::Malformed)),
            ("YQ==\r", Err(Failure::Malformed)),
            ("Y_==", Err(Failure::Malformed)),
            ("**", Err(Failure::Malformed)),
        ] {
            assert_eq!(decode(line.as_bytes()), expected.map(|text| text.as_bytes().to_vec()), "{line:?}");
        }
        assert_eq!(decode(&vec![b'A'; LINE_LIMIT]).map(|octets| octets.len()), Ok(LINE_LIMIT / 4 * 3));
        assert_eq!(decode(&vec![b'A'; LINE_LIMIT + 4]), Err(Failure::TooLong));
    }

    #[test]
    fn an_initial_response_is_empty_only_if_it_says_so() {
        assert_eq!(decode_initial(b"="), Ok(Vec::new()));
        assert_eq!(decode_initial(b"YQ=="), Ok(b"a".to_vec()));
        for wrong in ["", "*", "=="] {
            assert_eq!(decode_initial(wrong.as_bytes()), Err(Failure::Malformed), "{wrong:?}");
        }
    }
}
