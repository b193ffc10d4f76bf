//! Messages that carry a name and a password: PLAIN (RFC 4616 §2) and LOGIN.

use super::password::PASSWORD_LIMIT;
use super::{Failure, Question, Secret, prepare};

/// Octets in a name, at most: more than any address has.
pub(super) const NAME_LIMIT: usize = 512;
/// What LOGIN asks for first. Clients look for these very words.
pub(super) const USERNAME: &[u8] = b"Username:";
/// And then.
pub(super) const PASSWORD: &[u8] = b"Password:";

/// ```abnf
/// message = [authzid] UTF8NUL authcid UTF8NUL passwd
/// authcid = 1*SAFE ; MUST accept up to 255 octets
/// authzid = 1*SAFE ; MUST accept up to 255 octets
/// passwd  = 1*SAFE ; MUST accept up to 255 octets
/// ```
pub(super) fn message(octets: &[u8]) -> Result<Question, Failure> {
    let mut parts = octets.split(|octet| *octet == 0);
    let (Some(authzid), Some(authcid), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::Malformed);
    };
    let authzid = if authzid.is_empty() { String::new() } else { name(authzid)? };
    question(name(authcid)?, authzid, password)
}

/// What is asked about a name and a password.
pub(super) fn question(authcid: String, authzid: String, password: &[u8]) -> Result<Question, Failure> {
    let password = std::str::from_utf8(password).map_err(|_| Failure::Malformed)?;
    // A longer one is not hashed: that it is wrong is known without.
    if password.is_empty() || password.len() > PASSWORD_LIMIT || password.contains('\0') {
        return Err(Failure::Malformed);
    }
    Ok(Question::Password { authcid, authzid, password: Secret::new(password) })
}

/// A name, prepared; never empty and without control characters.
pub(super) fn name(octets: &[u8]) -> Result<String, Failure> {
    let name = std::str::from_utf8(octets).map_err(|_| Failure::Malformed)?;
    if name.len() > NAME_LIMIT || name.chars().any(char::is_control) {
        return Err(Failure::Malformed);
    }
    let prepared = prepare(name);
    if prepared.is_empty() { Err(Failure::Malformed) } else { Ok(prepared.into_owned()) }
}
