//! Whether a domain lets a client use its name: Sender Policy Framework (RFC 7208).
//!
//! | module | what it does |
//! |---|---|
//! | `record` | reads records; no I/O |
//! | `macros` | what stands for something else in them; no I/O |
//! | `evaluation` | `check_host()`: asks, counts what it asks, and decides |
//! | `fields` | what is written about it into the header |
//!
//! Records are read by code of our own. The parser of mail-auth takes what RFC 7208 §4.6 wants refused: several qualifiers, control characters
//! as blanks, mechanisms that do not exist, octets and prefix lengths that are too large; and the suite of test cases for the RFC tells.
//!
//! Whatever a sender publishes, one check asks for at most [`Limits::terms`] policies and hosts, each with [`Limits::names`] names, and its
//! recursion is no deeper than that. A client's name that DNS does not know is never searched for in other domains.

mod evaluation;
mod fields;
mod macros;
mod record;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use crate::model::verdict::SpfResult;
use crate::model::{Domain, ReversePath, UtcTime};
use crate::platform::{Dns, Question, Record as DnsRecord, RecordKind};

pub use record::RECORD_LIMIT;

use record::is_spf;

/// How long a check may take, the least that RFC 7208 §4.6.4 suggests. Whoever has a clock holds it to that; see [`Verdict::overdue`].
pub const TIME_LIMIT: Duration = Duration::from_secs(20);

/// How much a check may ask for (RFC 7208 §4.6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Terms that cause queries, those of included and redirected records counted in. Beyond: [`SpfResult::PermError`].
    pub terms: usize,
    /// Terms whose target does not exist, or has no such records. Beyond: [`SpfResult::PermError`].
    pub voids: usize,
    /// Names of one MX or PTR answer whose addresses are looked up. Beyond: [`SpfResult::PermError`] for MX; for PTR they are left out.
    pub names: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { terms: 10, voids: 2, names: 10 }
    }
}

/// Who sends, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Where it connected from. An IPv4 address within an IPv6 address counts as such (RFC 7208 §5).
    pub address: IpAddr,
    /// What it called itself in HELO or EHLO, as it was.
    pub helo: &'a str,
    /// The host that checks.
    pub receiver: &'a Domain,
    /// The time, for those who want it in their explanation.
    pub now: UtcTime,
}

/// Which name is checked (RFC 7208 §2.3, §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// That of HELO or EHLO.
    Helo,
    /// That of the reverse-path; where it is null, the postmaster of that of HELO.
    MailFrom,
}

/// `<sender>`, whose domain is checked. Any text: what is no domain has no policy (RFC 7208 §4.3).
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Where it was taken from.
    pub identity: Identity,
    /// Without quotes. Empty stands for `postmaster` (RFC 7208 §4.3).
    pub local_part: &'a str,
    /// What follows the `@`.
    pub domain: &'a str,
}

impl<'a> Sender<'a> {
    /// The HELO identity.
    pub fn of_helo(helo: &'a str) -> Self {
        Self { identity: Identity::Helo, local_part: "", domain: helo }
    }

    /// The MAIL FROM identity (RFC 7208 §2.4).
    pub fn of_mail_from(reverse_path: &'a ReversePath, helo: &'a str) -> Self {
        let (local_part, domain) = match reverse_path {
            ReversePath::Null => ("", helo),
            ReversePath::Address(address) => (address.local_part(), address.domain().as_str()),
        };
        Self { identity: Identity::MailFrom, local_part, domain }
    }

    fn local_part(&self) -> &'a str {
        if self.local_part.is_empty() { "postmaster" } else { self.local_part }
    }
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In one word.
    pub result: SpfResult,
    /// Which name was checked.
    pub identity: Identity,
    /// The local-part of the sender; `postmaster` where it has none.
    pub local_part: String,
    /// The domain that was checked, as the client said it.
    pub domain: String,
    /// The directive that matched, as it was written. None where none did.
    pub mechanism: Option<Box<str>>,
    /// Why there is no answer, or none that can be relied on. For people.
    pub problem: Option<String>,
    /// Why the client is refused, in the words of the domain's owner: printable ASCII, to be shown as such (RFC 7208 §6.2).
    pub explanation: Option<String>,
    /// Terms that caused queries.
    pub lookups: usize,
}

impl Verdict {
    /// What a check comes to that took longer than [`TIME_LIMIT`] (RFC 7208 §4.6.4).
    pub fn overdue(sender: &Sender<'_>) -> Self {
        let problem = Some("looking up the domain's policy took too long".to_owned());
        Self { problem, ..Self::new(SpfResult::TempError, sender) }
    }

    fn new(result: SpfResult, sender: &Sender<'_>) -> Self {
        Self {
            result,
            identity: sender.identity,
            local_part: sender.local_part().to_owned(),
            domain: sender.domain.to_owned(),
            mechanism: None,
            problem: None,
            explanation: None,
            lookups: 0,
        }
    }
}

/// Checks whether the sender's domain lets the client use its name (RFC 7208 §4).
pub async fn check_host(client: &Client<'_>, sender: &Sender<'_>, limits: Limits, dns: &dyn Dns) -> Verdict {
    evaluation::check(client, sender, limits, dns).await
}

/// The record of a domain as it was published, whatever it is worth; the first of several. None where there is none, or it cannot be looked up.
pub async fn published_record(domain: &Domain, dns: &dyn Dns) -> Option<String> {
    let answer = dns.lookup(&Question { name: domain.into(), kind: RecordKind::Txt }).await.ok()?;
    answer.records.iter().find_map(|record| match record {
        DnsRecord::Txt(text) if is_spf(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    })
}
