//! The two paths of an envelope (RFC 5321 §3.3, §4.1.1.2, §4.1.1.3).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Address, AddressError, Domain};

/// Where a non-delivery report goes. Null (`<>`) is what bounces carry, so that none is ever bounced (RFC 5321 §4.5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ReversePath {
    /// `<>`
    #[default]
    Null,
    /// `<local-part@domain>`
    Address(Address),
}

impl fmt::Display for ReversePath {
    /// Without angle brackets; empty for the null reverse-path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl TryFrom<String> for ReversePath {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Ok(Self::Null) } else { Address::parse_utf8(&text).map(Self::Address) }
    }
}

impl From<ReversePath> for String {
    fn from(path: ReversePath) -> Self {
        path.to_string()
    }
}

/// One recipient as the client named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, which every host accepts (RFC 5321 §4.5.1).
    Postmaster,
    /// `<local-part@domain>`
    Address(Address),
}

impl ForwardPath {
    /// The address meant, where `<Postmaster>` stands for the postmaster of `host`.
    pub fn address_at(&self, host: &Domain) -> Address {
        match self {
            Self::Postmaster => Address::postmaster(host.clone()),
            Self::Address(address) => address.clone(),
        }
    }
}

impl fmt::Display for ForwardPath {
    /// Without angle brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Address(address) => address.fmt(f),
        }
    }
}
