//! What may go wrong in a scenario, by name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $variant,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As it is given on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

faults! {
    /// Requests to the store that never arrive.
    LostRequests = "lost-requests",
    /// Requests that take effect and are never answered.
    LostResponses = "lost-responses",
    /// 500 without effect.
    ErrorsBefore = "errors-before",
    /// 500 with effect.
    ErrorsAfter = "errors-after",
    /// Requests that take effect long after they were given up.
    LateEffects = "late-effects",
    /// A store that tells everybody to slow down.
    Bursts = "bursts",
    /// A store that is away for minutes, from all or from one machine.
    Outages = "outages",
    /// What is read of the store is cut short.
    TruncatedReads = "truncated-reads",
    /// Connections that are refused, cut, or fall silent.
    NetCuts = "net-cuts",
    /// Name servers that fail or are slow.
    DnsFailures = "dns-failures",
    /// Machines that die, at any step of any job.
    Kills = "kills",
    /// Machines that stand still, for a second or for more than an hour.
    Suspensions = "suspensions",
    /// Nodes that are told to end, and come back.
    Shutdowns = "shutdowns",
    /// Clocks that are wrong by up to an hour, and drift.
    Clocks = "clocks",
    /// Machines that come late.
    Newcomers = "newcomers",
    /// Other hosts that refuse, answer nonsense, cut, stall, or take their time.
    Remotes = "remotes",
    /// Clients that cut after the final dot, and send again.
    Clients = "clients",
}

impl Fault {
    /// Whether it may have a message delivered twice where nothing else goes wrong.
    pub fn may_double(self) -> bool {
        !matches!(self, Self::Newcomers | Self::DnsFailures | Self::Clocks)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|fault| fault.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|fault| fault.name()).collect();
            format!("{text:?} is no fault; there are: {}", names.join(", "))
        })
    }
}

/// Reads names that commas divide; `none` stands for none.
pub fn parse_list(text: &str) -> Result<BTreeSet<Fault>, String> {
    if text == "none" {
        return Ok(BTreeSet::new());
    }
    text.split(',').map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_by_their_names() {
        let names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        let all = parse_list(&names.join(",")).unwrap();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), Fault::ALL);
        assert!(parse_list("none").unwrap().is_empty());
        assert!(parse_list("kills,earthquakes").unwrap_err().contains("\"earthquakes\" is no fault"));
    }
}
