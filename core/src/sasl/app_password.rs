//! Passwords that we make for one program of a user's: 24 characters of five bits each. The first four are kept in the clear as well,
//! so that a login is compared with one of them and not with all.

use super::Secret;

/// Characters in it, and octets of entropy that it takes.
pub const LENGTH: usize = 24;
/// Characters at its front by which it is found; the 100 bits behind them are the secret.
const SELECTOR: usize = 4;
/// 32 characters that are not taken for one another.
const CHARACTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A fresh one.
pub fn make(entropy: [u8; LENGTH]) -> Secret {
    Secret::new(
        entropy.map(|octet| char::from(CHARACTERS[usize::from(octet % 32)])).iter().collect::<String>(),
    )
}

/// What it is found by; nothing where the text is none of ours.
pub fn selector(password: &str) -> Option<&str> {
    let is_ours = password.len() == LENGTH && password.bytes().all(|octet| CHARACTERS.contains(&octet));
    password.get(..SELECTOR).filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_told_from_other_passwords() {
        let made = make(std::array::from_fn(|index| index as u8));
        assert_eq!(made.expose(), "abcdefghijkmnpqrstuvwxyz");
        assert_eq!(selector(made.expose()), Some("abcd"));
        for other in [
            "",
            "abcd",
            "abcdefghijkmnpqrstuvwxy",
            "abcdefghijklmnopqrstuvwx",
            "abcdefghijkmnpqrstuvwxy\u{e4}",
        ] {
            assert_eq!(selector(other), None, "{other}");
        }
    }
}
