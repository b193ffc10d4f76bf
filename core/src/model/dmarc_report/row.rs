//! What DMARC came to for messages that are alike in all that is told of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::model::Domain;
use crate::model::dmarc_policy::{Alignment, Policy};
use crate::model::verdict::{DkimResult, SpfResult};

/// Signatures that are told of one message, the best first (RFC 9990 §3.1.3 allows a hundred; each makes every row longer).
pub const DKIM_LIMIT: usize = 10;

/// Rows, and how many messages each stands for.
pub type Rows = BTreeMap<Row, u64>;

/// Messages that are alike (RFC 9990 §3.1.1.7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// What was published when they came.
    pub policy: PublishedPolicy,
    /// The client.
    pub source: IpAddr,
    /// What was done with them.
    pub disposition: Disposition,
    /// Whether a signature passes that is aligned.
    pub is_dkim_aligned: bool,
    /// Whether SPF passes for a domain that is aligned.
    pub is_spf_aligned: bool,
    /// Why it is not what the policy asks for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overridden: Option<Override>,
    /// The author's domain.
    pub header_from: Domain,
    /// The domain of the reverse-path; none where that is null.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub envelope_from: Option<Domain>,
    /// The signatures, at most [`DKIM_LIMIT`].
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dkim: Vec<Signer>,
    /// The domain that SPF was checked for, and what that came to; none where there is no such domain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spf: Option<(Domain, SpfResult)>,
}

/// The policy that applied (RFC 9990 §3.1.1.5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPolicy {
    /// Where its record was found.
    pub domain: Domain,
    /// Of that domain.
    pub p: Policy,
    /// Of domains below.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sp: Option<Policy>,
    /// Of domains below that do not exist.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub np: Option<Policy>,
    /// For signatures.
    pub adkim: Alignment,
    /// For SPF.
    pub aspf: Alignment,
    /// Whether it is being tested.
    pub is_testing: bool,
}

/// What was done with messages (RFC 9990 §3.1.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Nothing.
    None,
    /// Nothing: they pass, where the policy would have had something done otherwise.
    Pass,
    /// They were treated as suspicious.
    Quarantine,
    /// They were refused.
    Reject,
}

impl Disposition {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// Why something else was done than the policy asks for (RFC 9990 §3.1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Override {
    /// The operator follows policies only so far.
    LocalPolicy,
    /// The owner is testing.
    PolicyTestMode,
    /// This sealer, who is trusted here, found that they passed.
    TrustedForwarder(Domain),
    /// Names could not be looked up.
    Undecided,
}

/// What one signature came to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signer {
    /// Its `d=`.
    pub domain: Domain,
    /// Its `s=`.
    pub selector: String,
    /// In one word.
    pub result: DkimResult,
}
