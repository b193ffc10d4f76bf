//! Names that come from mail.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::DnsName;

/// What kind of record is asked for (RFC 1035 §3.2.2, RFC 3596 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum RecordKind {
    A,
    Aaaa,
    Mx,
    Txt,
    Ptr,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// About this name.
    pub name: DnsName,
    /// For these records.
    pub kind: RecordKind,
}

/// One record's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A or AAAA.
    Address(IpAddr),
    /// An exchange; absent in the null MX (RFC 7505 §3).
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The host, or what stands in its place.
        exchange: Option<DnsName>,
    },
    /// The strings of one TXT record, put together.
    Txt(Vec<u8>),
    /// A host's name, or what stands in its place.
    Ptr(DnsName),
}

/// A positive answer, aliases followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Never empty: see [`DnsError::NoData`].
    pub records: Vec<Record>,
    /// Whether the resolver vouches for DNSSEC.
    pub secure: bool,
    /// How long it holds.
    pub ttl: Duration,
}

/// Why there is no answer. The first two are answers too, and are cached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist.
    #[error("no such domain")]
    NxDomain,
    /// The name has no records of this kind.
    #[error("no records of this kind")]
    NoData,
    /// No server answered, or none could. To be tried again.
    #[error("name server failure: {0}")]
    ServFail(String),
}

/// Resolution of names.
#[async_trait]
pub trait Dns: Send + Sync {
    /// Answers one question.
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError>;
}
