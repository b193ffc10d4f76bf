//! Everything that a node reports, as one closed enum. Logs, metrics and the simulator's checkers feed on it.
//! An event holds facts about mail, never its content and never a credential.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};

use super::verdict::{ArcResult, DmarcResult, IprevResult, SpfResult};
use super::{Address, Incarnation, Outcome, QueueId, Reply, ReversePath, UtcTime};

/// One fact. Serialises as one JSON object with the variant's name under `event`.
#[derive(Clone, Debug, Serialize, IntoStaticStr, VariantNames)]
#[serde(tag = "event", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// A client's connection was taken in.
    SessionOpened {
        /// Number of the session on this node.
        session: u64,
        /// What is spoken, by its name in settings.
        protocol: &'static str,
        /// The client's address and port.
        peer: String,
    },
    /// A load balancer's connection did not begin with a PROXY header as it must, and was closed.
    ProxyHeaderRefused {
        /// The balancer's address and port.
        peer: String,
        /// Why, in words.
        reason: String,
    },
    /// A client's session is encrypted from here on.
    TlsAccepted {
        /// Number of the session on this node.
        session: u64,
        /// `1.2` or `1.3`.
        version: &'static str,
        /// The cipher suite, by its name at IANA.
        cipher: String,
        /// The name that the client asked for.
        server_name: Option<String>,
        /// The subject of the client's certificate, proven or not.
        client: Option<String>,
    },
    /// A client's handshake came to nothing, and its connection was closed.
    TlsFailed {
        /// Number of the session on this node.
        session: u64,
        /// The client's address and port.
        peer: String,
        /// Why, in words.
        reason: String,
    },
    /// A certificate is shown to clients from now on, where it is new or another.
    CertificateLoaded {
        /// The file, or the object in the store.
        source: String,
        /// The names for which it is shown.
        names: Vec<String>,
        /// The first moment at which it is not valid any more.
        expires: UtcTime,
    },
    /// A certificate cannot be used as it stands. Where there was another under this source, that one stays.
    CertificateRefused {
        /// The file, or the object in the store.
        source: String,
        /// Why, in words.
        reason: String,
    },
    /// A session ended, however it ended.
    SessionClosed {
        /// Number of the session on this node.
        session: u64,
        /// What was spoken, by its name in settings.
        protocol: &'static str,
        /// Messages accepted or retrieved in it.
        messages: u64,
        /// Why, in words.
        reason: String,
    },
    /// A proxy that is believed has said who the client is, or a filter whose mail it hands on.
    ClientNamed {
        /// Number of the session on this node.
        session: u64,
        /// `XCLIENT` or `XFORWARD`.
        command: &'static str,
        /// What it said.
        said: String,
    },
    /// A client has proved to be the owner of an account.
    LoggedIn {
        /// Number of the session on this node.
        session: u64,
        /// The account.
        account: Address,
    },
    /// A client could not prove to be the owner of an account.
    LoginFailed {
        /// Number of the session on this node.
        session: u64,
        /// The client's address and port.
        peer: String,
        /// What it named, where that is an address. There may be no such account.
        account: Option<Address>,
    },
    /// So many logins have failed that further ones are refused for a while, whatever they bring.
    LockedOut {
        /// Which address, network or account, in words.
        subject: String,
        /// For how long.
        seconds: u64,
    },
    /// A command, a recipient or a content was answered with 4yz or 5yz.
    Refused {
        /// Number of the session on this node.
        session: u64,
        /// The recipient, where there is one.
        recipient: Option<String>,
        /// What the client was told.
        reply: Reply,
    },
    /// What verification of a stranger's message came to. It is accepted next, unless its recipients or the store refuse it.
    Verified {
        /// The message.
        queue_id: QueueId,
        /// Whether the client's address has a name that leads back to it.
        iprev: IprevResult,
        /// Whether the domain of the reverse-path lets the client send for it.
        spf: SpfResult,
        /// Domains whose signatures verify.
        dkim: Vec<String>,
        /// What its chain of seals came to.
        arc: ArcResult,
        /// Whether the author's domain is proven.
        dmarc: DmarcResult,
        /// That domain.
        author_domain: Option<String>,
        /// What its policy wants done with what fails: `none`, `quarantine` or `reject`.
        policy: Option<&'static str>,
        /// The sealer for whose word a failure was passed over.
        override_by: Option<String>,
        /// Whether it is delivered as suspicious, to whoever has it so.
        quarantined: bool,
        /// Why it is treated as it is.
        reason: &'static str,
    },
    /// A message is durable, and its client is being told so.
    Accepted {
        /// The message.
        queue_id: QueueId,
        /// The log that holds it.
        incarnation: Incarnation,
        /// The session it came through, or none for `fulmar send`.
        session: Option<u64>,
        /// From the envelope.
        reverse_path: ReversePath,
        /// Recipients after expansion.
        recipients: usize,
        /// Octets of content, trace fields included.
        size: u64,
    },
    /// An attempt at one recipient ended.
    Attempted {
        /// The message.
        queue_id: QueueId,
        /// The final recipient.
        recipient: Address,
        /// How it ended.
        outcome: Outcome,
        /// Attempts so far, this one included.
        attempts: u32,
    },
    /// A message's sender is being told that some recipients were not delivered to; durable together with these failures.
    Bounced {
        /// The message.
        queue_id: QueueId,
        /// The report, a message of its own.
        report: QueueId,
    },
    /// A message's sender is being told something else about recipients: that they have it, or that they do not yet. Durable together with
    /// what it tells of.
    Notified {
        /// The message.
        queue_id: QueueId,
        /// The report, a message of its own.
        report: QueueId,
    },
    /// Nobody is told that a recipient was not delivered to: there is nobody to be told.
    BounceDropped {
        /// The message.
        queue_id: QueueId,
        /// The final recipient.
        recipient: Address,
        /// Why, in words.
        reason: &'static str,
    },
    /// An operator's order was carried out.
    Ordered {
        /// The message.
        queue_id: QueueId,
        /// What was done, in words.
        action: &'static str,
    },
    /// This node has begun a log.
    IncarnationBegun {
        /// The log.
        incarnation: Incarnation,
    },
    /// This node may no longer write a log: another node has sealed it, or the hour is over.
    Fenced {
        /// The log.
        incarnation: Incarnation,
        /// Why, in words.
        reason: String,
    },
    /// The live entries of another log are now this node's.
    Adopted {
        /// The log they were in.
        from: Incarnation,
        /// The log they are in now.
        into: Incarnation,
        /// How many.
        entries: usize,
    },
    /// A log was rid of what nothing needs any more.
    Compacted {
        /// The log.
        incarnation: Incarnation,
        /// Objects deleted.
        deleted: usize,
        /// Messages whose content was written anew, so that what it lay in can go.
        rewritten: usize,
        /// Folders of adopted logs in which nothing lives any more.
        ended: usize,
    },
    /// An adoption was begun and left to somebody else, or to later.
    AdoptionLeft {
        /// The log that was not adopted.
        from: Incarnation,
        /// Why, in words.
        reason: String,
    },
    /// An object of `pickup/` is in the queue, durably, and has been removed.
    PickedUp {
        /// The object.
        key: String,
        /// The message.
        queue_id: QueueId,
    },
    /// An object of `pickup/` stays where it is: as it is now it will not be sent.
    PickupLeft {
        /// The object.
        key: String,
        /// Why, in words.
        reason: String,
    },
    /// An object in the store cannot be read as what its name says. The rest goes on.
    ObjectDamaged {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store did not do as asked.
    StoreTrouble {
        /// What was asked, with the key.
        operation: String,
        /// Its answer.
        error: String,
    },
    /// A node cannot start yet, and will try again.
    StartDelayed {
        /// Why, in words.
        reason: String,
        /// Until the next try.
        pause_seconds: u64,
    },
    /// Nobody has made sure that of racing creates one wins, because the operator says that there is only this node.
    StoreNotProbed {
        /// The store's endpoint.
        endpoint: String,
    },
    /// Nothing that was asked of the store has been done for a while: clients are told to come later.
    StoreAway {
        /// When it began, by this node's clock.
        since: UtcTime,
        /// What the store did instead.
        reason: String,
    },
    /// The store does as asked again.
    StoreBack {
        /// When it went away.
        since: UtcTime,
    },
    /// This node has looked through the whole store for what nothing needs any more.
    Swept {
        /// The day, counted from 1970 by the store's clock.
        day: u64,
        /// Objects seen.
        objects: u64,
        /// Objects deleted.
        deleted: u64,
        /// Octets in them.
        octets: u64,
        /// Logs found that nobody looks after.
        unattended: usize,
        /// Whether it came to its end: the node was not told to shut down, and nothing went wrong.
        complete: bool,
    },
    /// The owner of a domain is sent what came in its name on a day.
    DmarcReported {
        /// The message that carries it.
        queue_id: QueueId,
        /// At which the policy was found.
        domain: String,
        /// The day, counted from 1970.
        day: u64,
        /// Who gets it.
        to: Address,
        /// Its Report-ID.
        report: String,
        /// Rows in it.
        rows: usize,
        /// Messages that they stand for.
        messages: u64,
    },
    /// Whoever a domain's owner has named is told of a message that failed.
    DmarcFailureReported {
        /// The message that carries the report.
        queue_id: QueueId,
        /// The author's domain of the one that failed.
        domain: String,
        /// Who gets it.
        to: Address,
    },
    /// A report about a domain is not sent.
    DmarcReportDropped {
        /// The domain that it is about.
        domain: String,
        /// Who would have got it, where that is one.
        to: Option<Address>,
        /// Why, in words.
        reason: String,
    },
    /// A report of others about mail in the name of a domain has come, and is stored.
    DmarcReportReceived {
        /// The message that it came in.
        queue_id: QueueId,
        /// What it is about.
        domain: String,
        /// Who says that they send it.
        organization: String,
        /// What verification of the message came to, where it was verified.
        dmarc: Option<DmarcResult>,
        /// Messages that it tells of.
        messages: u64,
    },
    /// A message for an address that reports are to come to is delivered like any other, and nothing of it is stored as a report.
    DmarcReportIgnored {
        /// The message.
        queue_id: QueueId,
        /// Why, on one line; words of a stranger's may be among it.
        reason: String,
    },
    /// A housekeeping step of the node did not succeed and will be tried again.
    Trouble {
        /// What was being done.
        doing: String,
        /// What went wrong.
        error: String,
    },
}

impl Event {
    /// The names of all kinds.
    pub const KINDS: &[&str] = Self::VARIANTS;

    /// The variant's name, as it stands under `event`.
    pub fn kind(&self) -> &'static str {
        self.into()
    }
}

/// Where events go. Cheap to clone; must not block.
#[derive(Clone)]
pub struct Journal(Arc<dyn Fn(&Event) + Send + Sync>);

impl Journal {
    /// A journal that hands each event to `sink`.
    pub fn new(sink: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// A journal that keeps nothing.
    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    /// Reports one fact.
    pub fn report(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_name_under_which_it_is_serialised() {
        let reason = "because".to_owned();
        for event in [
            Event::StoreNotProbed { endpoint: String::new() },
            Event::ProxyHeaderRefused { peer: String::new(), reason: reason.clone() },
            Event::Trouble { doing: String::new(), error: reason },
        ] {
            assert_eq!(serde_json::to_value(&event).unwrap()["event"], event.kind());
            assert!(Event::KINDS.contains(&event.kind()));
        }
    }
}
