//! What authentication of a message comes to, in the words of RFC 8601 §2.7.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Domain;
use super::dmarc_policy::Policy;

/// Declares the results that one method knows, and the word for each.
macro_rules! results {
    ($(#[$of:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$what])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word that stands for it in an Authentication-Results field.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

results! {
    /// Of SPF (RFC 7208 §2.6).
    SpfResult {
        /// No record, or no domain to look for one at.
        None = "none",
        /// The domain says nothing about this client.
        Neutral = "neutral",
        /// The client may send for the domain.
        Pass = "pass",
        /// The client may not.
        Fail = "fail",
        /// The client probably may not.
        SoftFail = "softfail",
        /// To be asked again: names could not be looked up.
        TempError = "temperror",
        /// The record cannot be understood.
        PermError = "permerror",
    }
}

results! {
    /// Of one DKIM signature (RFC 8601 §2.7.1).
    DkimResult {
        /// There is no signature.
        None = "none",
        /// It verifies, and is strong enough.
        Pass = "pass",
        /// It does not verify.
        Fail = "fail",
        /// It is not accepted by local rule, whether it verifies or not: a weak key or hash (RFC 8301 §3).
        Policy = "policy",
        /// It cannot be processed: its syntax is wrong, or it expired.
        Neutral = "neutral",
        /// To be asked again: its key could not be looked up.
        TempError = "temperror",
        /// It can never be verified: there is no key, or no usable one.
        PermError = "permerror",
    }
}

results! {
    /// Of a chain of ARC sets (RFC 8617 §5.2, §10.1).
    ArcResult {
        /// There is no chain.
        None = "none",
        /// Every seal of it verifies, and the newest message signature.
        Pass = "pass",
        /// It is broken.
        Fail = "fail",
    }
}

results! {
    /// Of DMARC (RFC 9989 §5.3).
    DmarcResult {
        /// The author's domain has no policy.
        None = "none",
        /// SPF or DKIM passes in alignment with the author's domain.
        Pass = "pass",
        /// Neither does.
        Fail = "fail",
        /// To be asked again: names could not be looked up.
        TempError = "temperror",
        /// The author's domain, or its policy, cannot be told.
        PermError = "permerror",
    }
}

results! {
    /// Of the client's address and its name (RFC 8601 §3).
    IprevResult {
        /// A name of the address leads back to it.
        Pass = "pass",
        /// No name does.
        Fail = "fail",
        /// To be asked again: names could not be looked up.
        TempError = "temperror",
        /// The address has no name.
        PermError = "permerror",
    }
}

results! {
    /// Why a message is treated as it is.
    Reason {
        /// SPF or DKIM passes in alignment.
        Aligned = "aligned",
        /// Nobody asks for anything: there is no record, or its policy is `none`.
        NoPolicy = "no policy",
        /// It fails, and the owner of the author's domain wants it treated so.
        Policy = "policy",
        /// It fails, and the owner is testing (RFC 9989 §4.7, `t`).
        Testing = "testing",
        /// It fails, and a sealer who is trusted here found that it passed.
        TrustedSealer = "trusted sealer",
        /// It fails, and not everybody here follows policies as far.
        LocalPolicy = "local policy",
        /// It could not be found out, or there is no one author's domain.
        Undecided = "undecided",
    }
}

/// What DMARC came to for a message that was taken, and what follows from it (RFC 9989 §5.3, §5.4). Kept with the message in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// In a word.
    pub result: DmarcResult,
    /// The domain in From.
    pub author_domain: Option<Domain>,
    /// What its owner wants done with what fails; none where nobody says.
    pub policy: Option<Policy>,
    /// Whether it is delivered as suspicious.
    pub is_quarantined: bool,
    /// Domains of ours that do not have it so.
    pub spared: Vec<Domain>,
    /// Why.
    pub reason: Reason,
}

impl Judgement {
    /// Whether a recipient who was named at this domain of ours gets it as suspicious.
    pub fn is_suspicious_at(&self, domain: &Domain) -> bool {
        self.is_quarantined && !self.spared.contains(domain)
    }
}
