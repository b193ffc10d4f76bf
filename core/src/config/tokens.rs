//! Whose tokens are taken for logins.

use std::fmt;

/// An issuer of tokens in the form of JWT (RFC 7519 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What its tokens say in `iss`.
    pub issuer: String,
    /// What they must say in `aud`: that they were made for us.
    pub audience: String,
    /// Its keys.
    pub keys: KeySource,
    /// The claim that holds the account's address.
    pub account_claim: String,
}

/// Where the keys of an issuer are, as a JWK Set (RFC 7517 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// At this address. Fetched when needed.
    Url(String),
    /// Here.
    Set(String),
}

/// A server that is asked about each token that is not a JWT of a known issuer (RFC 7662 §2). The secret does not show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Where it is.
    pub url: String,
    /// What it knows us by.
    pub client_id: String,
    /// And what proves it.
    pub client_secret: String,
    /// What its answers must say in `aud`; nothing where they need not say anything.
    pub audience: Option<String>,
    /// The member of its answers that holds the account's address.
    pub account_claim: String,
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection").field("url", &self.url).finish_non_exhaustive()
    }
}
