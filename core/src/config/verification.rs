//! What is verified of mail that strangers bring, and what follows from it.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::Domain;

/// Who is verified, and what is done about those who fail. A stranger is a client that neither has logged in nor may relay.
#[derive(Clone, Debug)]
pub struct VerificationSettings {
    /// Whether anybody is.
    pub is_on: bool,
    /// Networks whose clients are taken for ourselves: those of this machine, unless an operator says otherwise.
    pub exempt: Vec<IpNet>,
    /// The name under which results are written (RFC 8601 §2.5); the listener's hostname where there is none.
    pub authserv_id: Option<Domain>,
    /// How far the policy of an author's domain is followed (RFC 9989 §5.4), where the recipient's domain does not say.
    pub dmarc: Obedience,
    /// What is done where SPF comes to `fail` (RFC 7208 §8.4), whatever DMARC says.
    pub spf_fail: Consequence,
    /// What is done where no name of the client's address leads back to it (RFC 8601 §3).
    pub unnamed_client: Consequence,
    /// Whether a message is put off where a name server's silence leaves open whether it is to be refused.
    pub defers_temporary: bool,
    /// Domains whose seals are believed: what they found good stays good though it does not verify any more (RFC 8617 §7.2.1).
    pub trusted_sealers: Vec<Domain>,
}

/// How far a policy is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obedience {
    /// What it wants refused is refused.
    Obey,
    /// Nothing is refused; what it wants refused is treated as what it wants quarantined.
    Quarantine,
    /// Nothing follows but what is written into the header.
    Report,
}

impl Obedience {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Obey, Self::Quarantine, Self::Report];

    /// As an operator types it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Obey => "obey",
            Self::Quarantine => "quarantine",
            Self::Report => "report",
        }
    }
}

/// What follows from a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It is written into the header.
    Mark,
    /// The message is refused.
    Refuse,
}

impl Default for VerificationSettings {
    fn default() -> Self {
        let loopback: [(std::net::IpAddr, u8); 2] =
            [(std::net::Ipv4Addr::new(127, 0, 0, 0).into(), 8), (std::net::Ipv6Addr::LOCALHOST.into(), 128)];
        Self {
            is_on: true,
            exempt: loopback.into_iter().map(|(at, bits)| IpNet::new_assert(at, bits)).collect(),
            authserv_id: None,
            dmarc: Obedience::Obey,
            spf_fail: Consequence::Mark,
            unnamed_client: Consequence::Mark,
            defers_temporary: false,
            trusted_sealers: Vec::new(),
        }
    }
}

impl VerificationSettings {
    /// Whether a client at this address is verified, if it is a stranger.
    pub fn covers(&self, client: std::net::IpAddr) -> bool {
        self.is_on && !super::relay::contain(&self.exempt, client)
    }
}
