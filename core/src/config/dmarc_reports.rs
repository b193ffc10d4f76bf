//! Reports to the owners of domains about mail that names them as its authors.

use crate::model::{Address, Domain};

/// Whether and how it is reported (RFC 9990 §3, RFC 9991 §2).
#[derive(Clone, Debug, Default)]
pub struct DmarcReportSettings {
    /// Whether aggregate reports are sent. Off unless an operator says otherwise: reports tell others how much mail comes here, and are believed only
    /// from a domain that signs.
    pub is_on: bool,
    /// Whether owners are told of single messages as they fail (RFC 9991 §2). Off unless an operator says otherwise: what of a header block is not replaced
    /// still tells who writes to whom here.
    pub tells_failures: bool,
    /// The name of the organization that reports; the domain of the author's address where there is none.
    pub organization: Option<String>,
    /// The author of reports, who is also to be asked about them; the postmaster of this host where there is none. Its domain is the one that reports.
    pub from: Option<Address>,
    /// Addresses of ours that others send their reports to: those are read and stored, and delivered like other mail.
    pub inbox: Vec<Address>,
    /// Where else to ask.
    pub contact: Option<String>,
}

impl DmarcReportSettings {
    /// The author of reports of this host.
    pub fn author(&self, hostname: &Domain) -> Address {
        self.from.clone().unwrap_or_else(|| Address::postmaster(hostname.clone()))
    }
}
