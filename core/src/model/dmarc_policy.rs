//! What the owner of a domain publishes about mail that is not from it (RFC 9989 §4.7).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a domain's owner asks to be done with mail that fails; also what is to be done. The later, the stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Nothing.
    #[default]
    None,
    /// To be treated as suspicious.
    Quarantine,
    /// To be refused.
    Reject,
}

impl Policy {
    /// The word that stands for it in records, fields and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// Reads the word, in any case.
    pub fn parse(value: &str) -> Option<Self> {
        let all = [Self::None, Self::Quarantine, Self::Reject];
        all.into_iter().find(|policy| value.eq_ignore_ascii_case(policy.as_str()))
    }

    /// One level below (RFC 9989 §4.7, `t`).
    pub fn lowered(self) -> Self {
        match self {
            Self::None | Self::Quarantine => Self::None,
            Self::Reject => Self::Quarantine,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How alike the author's domain and an authenticated one must be (RFC 9989 §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Alignment {
    /// They have the same organizational domain.
    #[default]
    #[serde(rename = "r")]
    Relaxed,
    /// They are the same.
    #[serde(rename = "s")]
    Strict,
}

impl Alignment {
    /// The letter that stands for it in records and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relaxed => "r",
            Self::Strict => "s",
        }
    }
}
