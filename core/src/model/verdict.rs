//! What authentication of a message comes to, in the words of RFC 8601 §2.7.

use std::fmt;

use serde::{Deserialize, Serialize};

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
