//! Passwords as they are kept: argon2id in PHC string form (RFC 9106 §4).

use std::borrow::Cow;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::prepare;

/// Octets of salt (RFC 9106 §3.1 recommends 16).
pub const SALT_OCTETS: usize = 16;
/// KiB of memory that one hash takes.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over it.
const PASSES: u32 = 2;
/// Octets of a password, at most: a bound on the work that a client can ask for.
pub const PASSWORD_LIMIT: usize = 1024;

/// A verifier that belongs to nobody, to be tried where there is none: so that a login at an account that is not there takes
/// as long as at one that is.
pub const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It has no characters.
    #[error("the password is empty")]
    Empty,
    /// It has too many.
    #[error("the password is longer than {PASSWORD_LIMIT} octets")]
    Long,
    /// It holds a control character, which mechanisms of SASL cannot carry (RFC 4616 §2).
    #[error("the password holds a control character")]
    Control,
    /// The hash could not be computed.
    #[error("the password could not be hashed")]
    Hashing,
}

/// The verifier of a password, in the form of [`prepare`]. Takes some 20 ms and 19 MiB: run it off the executor's threads.
pub fn verifier(password: &str, salt: [u8; SALT_OCTETS]) -> Result<String, PasswordError> {
    let password = prepared(password)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Hashing)?;
    let hash = argon2id()?.hash_password(password.as_bytes(), &salt).map_err(|_| PasswordError::Hashing)?;
    Ok(hash.to_string())
}

/// A password in the form in which it is compared, if it can be one.
pub(super) fn prepared(password: &str) -> Result<Cow<'_, str>, PasswordError> {
    if password.len() > PASSWORD_LIMIT {
        return Err(PasswordError::Long);
    }
    if password.chars().any(char::is_control) {
        return Err(PasswordError::Control);
    }
    let prepared = prepare(password);
    if prepared.is_empty() { Err(PasswordError::Empty) } else { Ok(prepared) }
}

/// Whether this is the password, as it was sent. As costly as [`verifier`].
pub fn matches(verifier: &str, password: &str) -> bool {
    let Ok(hash) = PasswordHash::new(verifier) else { return false };
    password.len() <= PASSWORD_LIMIT
        && argon2id().is_ok_and(|argon2| argon2.verify_password(prepare(password).as_bytes(), &hash).is_ok())
}

fn argon2id() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::Hashing)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_matches() {
        let verifier = verifier("s3cret and long", [7; SALT_OCTETS]).unwrap();
        assert!(verifier.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{verifier}");
        assert!(matches(&verifier, "s3cret and long"));
        assert!(!matches(&verifier, "s3cret and lonG"));
        assert!(!matches("not a verifier", "s3cret and long"));
    }

    #[test]
    fn the_decoy_costs_what_a_verifier_costs_and_matches_nothing() {
        let hash = PasswordHash::new(DECOY).unwrap();
        let real = verifier("password", [7; SALT_OCTETS]).unwrap();
        let real = PasswordHash::new(&real).unwrap();
        let cost = |hash: &PasswordHash<'_>| {
            (hash.algorithm.to_string(), hash.version, hash.params.clone(), hash.hash.unwrap().len())
        };
        assert_eq!(cost(&hash), cost(&real));
        assert!(!matches(DECOY, "password"));
    }

    #[test]
    fn what_no_mechanism_could_carry_is_no_password() {
        for (password, error) in [
            (String::new(), PasswordError::Empty),
            ("x".repeat(1025), PasswordError::Long),
            ("a\0b".to_owned(), PasswordError::Control),
        ] {
            assert_eq!(verifier(&password, [7; SALT_OCTETS]), Err(error));
        }
    }
}
