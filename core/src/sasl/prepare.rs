//! Names and passwords in the one form in which they are compared.

use std::borrow::Cow;

/// Prepares a name or a password (SASLprep, RFC 4013 §2). What the profile does not allow stays as it is: it knows the characters of
/// Unicode 3.2 only, and a password with a newer one is better compared octet by octet than not at all.
pub fn prepare(text: &str) -> Cow<'_, str> {
    stringprep::saslprep(text).unwrap_or(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_text_become_one() {
        // The first five are the examples of RFC 4013 §3.
        for (text, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{a0}b", "a b"),
            ("\u{7}", "\u{7}"),
            ("\u{627}1", "\u{627}1"),
            ("a\u{1f426}", "a\u{1f426}"),
        ] {
            assert_eq!(prepare(text), prepared, "{text:?}");
        }
    }
}
