//! What a server keeps in place of a password (RFC 5802 §3). Whoever steals it can try passwords against it, but not log in with it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};
use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use serde::{Deserialize, Serialize};

use crate::sasl::password::PasswordError;
use crate::sasl::prepare;

/// Octets of SHA-256, and so of every key.
pub const KEY_OCTETS: usize = 32;
/// Octets of salt.
pub const SALT_OCTETS: usize = 16;
/// Rounds that a client has to go; RFC 7677 §4 asks for 4,096 at least.
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
/// Of which it must know in advance what they are for.
const SCHEME: &str = "SCRAM-SHA-256";

/// Salt, rounds, StoredKey and ServerKey. Written as text after RFC 5803 §2: `SCRAM-SHA-256$<i>:<salt>$<StoredKey>:<ServerKey>`. None
/// of it shows in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verifier {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    stored_key: [u8; KEY_OCTETS],
    server_key: [u8; KEY_OCTETS],
}

/// That a text is no verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a verifier of the form {SCHEME}$<iterations>:<salt>$<StoredKey>:<ServerKey>")]
pub struct VerifierError;

impl Verifier {
    /// The verifier of a password. Takes some milliseconds: run it off the executor's threads.
    pub fn of(password: &str, salt: [u8; SALT_OCTETS]) -> Result<Self, PasswordError> {
        let prepared = crate::sasl::password::prepared(password)?;
        Ok(Self::salted(&prepared, &salt, ITERATIONS))
    }

    pub(super) fn salted(prepared: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; KEY_OCTETS];
        pbkdf2::derive(PBKDF2_HMAC_SHA256, iterations, salt, prepared.as_bytes(), &mut salted);
        let stored_key = sha256(&hmac_sha256(&salted, b"Client Key"));
        let server_key = hmac_sha256(&salted, b"Server Key");
        Self { salt: salt.to_vec(), iterations, stored_key, server_key }
    }

    /// A verifier that belongs to nobody and that nothing proves: for a name without an account. The same name and the same secret
    /// give the same one, on every node, as a real one would be the same.
    pub fn decoy(secret: &[u8], name: &str) -> Self {
        let drawn = |label: &str| hmac_sha256(secret, format!("{label}\0{}", prepare(name)).as_bytes());
        let salt = drawn("salt")[..SALT_OCTETS].to_vec();
        Self { salt, iterations: ITERATIONS, stored_key: drawn("stored"), server_key: drawn("server") }
    }

    /// The salt, as the client is told.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The rounds, as the client is told.
    pub fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    /// Whether a proof shows that its sender knows the password: `ClientProof XOR ClientSignature` is then the ClientKey.
    pub(super) fn is_proved_by(&self, message: &[u8], proof: &[u8; KEY_OCTETS]) -> bool {
        let signature = hmac_sha256(&self.stored_key, message);
        let mut client_key = *proof;
        client_key.iter_mut().zip(signature).for_each(|(octet, mask)| *octet ^= mask);
        // Looks at every octet, whichever differs.
        let found = sha256(&client_key);
        found.iter().zip(self.stored_key).fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
    }

    /// What shows the client that we know the verifier.
    pub(super) fn signature(&self, message: &[u8]) -> [u8; KEY_OCTETS] {
        hmac_sha256(&self.server_key, message)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(***)")
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        let Verifier { salt, iterations, stored_key, server_key } = verifier;
        let [salt, stored_key, server_key] =
            [&salt[..], &stored_key, &server_key].map(|octets| STANDARD.encode(octets));
        format!("{SCHEME}${iterations}:{salt}${stored_key}:{server_key}")
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        let parts: Vec<&str> = text.split('$').collect();
        let [SCHEME, info, value] = parts[..] else { return Err(VerifierError) };
        let ((iterations, salt), (stored_key, server_key)) =
            info.split_once(':').zip(value.split_once(':')).ok_or(VerifierError)?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| VerifierError);
        let key = |text: &str| decode(text)?.try_into().map_err(|_| VerifierError);
        let iterations = iterations.parse().map_err(|_| VerifierError)?;
        let (stored_key, server_key) = (key(stored_key)?, key(server_key)?);
        Ok(Self { salt: decode(salt)?, iterations, stored_key, server_key })
    }
}

impl TryFrom<String> for Verifier {
    type Error = VerifierError;

    fn try_from(text: String) -> Result<Self, VerifierError> {
        text.parse()
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; KEY_OCTETS] {
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, key), message);
    let mut octets = [0; KEY_OCTETS];
    octets.copy_from_slice(tag.as_ref());
    octets
}

fn sha256(message: &[u8]) -> [u8; KEY_OCTETS] {
    let hash = digest(&SHA256, message);
    let mut octets = [0; KEY_OCTETS];
    octets.copy_from_slice(hash.as_ref());
    octets
}
