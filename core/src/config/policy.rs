//! Who may connect, speak and send, how often, and what they are told. Everything is off until an operator says so.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::relay::contain;
use crate::model::{Address, AddressError, Domain, Reply, ReversePath};

/// Octets of text that an operator may add to replies. With code, status and what placeholders come to it fits into one line
/// (RFC 5321 §4.5.3.1.5).
pub const REPLY_TEXT_LIMIT: usize = 200;

/// The settings of the door.
#[derive(Clone, Debug, Default)]
pub struct PolicySettings {
    /// Access lists, in the order in which they are looked through.
    pub access: Vec<AccessRule>,
    /// How often clients may come, and users may send.
    pub limits: ClientLimits,
    /// What is done about clients that cannot wait or do not listen.
    pub manners: Manners,
    /// What replies say beside what they must.
    pub replies: ReplySettings,
}

/// One rule of an access list. All criteria that it has must hold; it is looked at as soon as all of them are known, and the first rule
/// that holds decides.
#[derive(Clone, Debug)]
pub struct AccessRule {
    /// The list that it belongs to: it holds on listeners that name this list. On all of them where there is none.
    pub list: Option<String>,
    /// Networks of clients; any where this is empty.
    pub clients: Vec<IpNet>,
    /// Names that clients give in HELO and EHLO; any where this is empty.
    pub hellos: Vec<DomainPattern>,
    /// Reverse-paths; any where this is empty.
    pub senders: Vec<AddressPattern>,
    /// Forward-paths; any where this is empty.
    pub recipients: Vec<AddressPattern>,
    /// What comes of it.
    pub action: AccessAction,
    /// What is said, where that is not [`AccessAction::Allow`]. Its severity is that of the action.
    pub reply: Option<Reply>,
}

/// What comes of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessAction {
    /// No rule of a later stage is looked at.
    Allow,
    /// 5yz.
    Deny,
    /// 4yz.
    Defer,
}

/// How far a session has come, and with it what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The client's address.
    Connect,
    /// The name that it gives itself.
    Hello,
    /// The reverse-path.
    Mail,
    /// A forward-path.
    Recipient,
}

impl AccessRule {
    /// When all that it asks for is known.
    pub fn stage(&self) -> Stage {
        if !self.recipients.is_empty() {
            Stage::Recipient
        } else if !self.senders.is_empty() {
            Stage::Mail
        } else if !self.hellos.is_empty() {
            Stage::Hello
        } else {
            Stage::Connect
        }
    }
}

/// Domains: one, one with all below it, or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainPattern {
    /// `x.test`: this one, or an address literal.
    Only(Domain),
    /// `.x.test`: this one and all below it.
    Below(Domain),
    /// `*`
    Any,
}

impl DomainPattern {
    /// Whether a domain is one of these.
    pub fn matches(&self, domain: &Domain) -> bool {
        match self {
            Self::Only(only) => domain == only,
            Self::Below(top) => {
                let above = domain.as_str().strip_suffix(top.as_str());
                above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            Self::Any => true,
        }
    }
}

impl FromStr for DomainPattern {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('.') {
            Some(top) => Domain::parse_utf8(top).map(Self::Below),
            None if text == "*" => Ok(Self::Any),
            None => Domain::parse_utf8(text).map(Self::Only),
        }
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(domain) => domain.fmt(f),
            Self::Below(top) => write!(f, ".{top}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Addresses of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPattern {
    /// `<>`: the null reverse-path.
    Null,
    /// `user@x.test`, in normal form: case makes no difference.
    Address(Address),
    /// All of these domains.
    Domain(DomainPattern),
}

impl AddressPattern {
    /// Whether a reverse-path is one of these.
    pub fn matches_sender(&self, reverse_path: &ReversePath) -> bool {
        match reverse_path {
            ReversePath::Null => matches!(self, Self::Null | Self::Domain(DomainPattern::Any)),
            ReversePath::Address(address) => self.matches(address),
        }
    }

    /// Whether an address is one of these.
    pub fn matches(&self, address: &Address) -> bool {
        match self {
            Self::Null => false,
            Self::Address(only) => address.normalized() == *only,
            Self::Domain(domains) => domains.matches(address.domain()),
        }
    }
}

impl FromStr for AddressPattern {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text {
            "<>" => Ok(Self::Null),
            address if text.contains('@') => {
                Address::parse_utf8(address).map(|a| Self::Address(a.normalized()))
            }
            domains => domains.parse().map(Self::Domain),
        }
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => address.fmt(f),
            Self::Domain(domains) => domains.fmt(f),
        }
    }
}

/// How often clients may come, and users may send; none is no limit. An address is one of IPv4 or a /64 of IPv6, which is what one
/// customer gets; a network is a /24 or a /48.
///
/// What is counted at a time or by the minute protects a node, and each node counts for itself. What users and their domains may send in
/// an hour is theirs wherever they connect: the nodes that are alive share it, each has an equal part and at least one.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Clients whose address is not counted. What users and domains may send still is.
    pub exempt: Vec<IpNet>,
    /// Connections of one address at a time. Beyond: `421 4.7.0`.
    pub connections_per_address: Option<u32>,
    /// Connections of one network at a time. Beyond: `421 4.7.0`.
    pub connections_per_network: Option<u32>,
    /// Connections of one address in a minute. Beyond: `421 4.7.0`.
    pub connections_per_minute: Option<u32>,
    /// Messages of one address in a minute. Beyond: `450 4.7.1`.
    pub messages_per_minute: Option<u32>,
    /// Messages of one address in an hour. Beyond: `450 4.7.1`.
    pub messages_per_hour: Option<u32>,
    /// Recipients of one address in a minute. Beyond: `452 4.7.1`.
    pub recipients_per_minute: Option<u32>,
    /// Recipients of one address in an hour. Beyond: `452 4.7.1`.
    pub recipients_per_hour: Option<u32>,
    /// Messages of one user in an hour, on all nodes. Beyond: `450 4.7.1`.
    pub user_messages_per_hour: Option<u32>,
    /// Recipients of one user in an hour, on all nodes. Beyond: `452 4.7.1`.
    pub user_recipients_per_hour: Option<u32>,
    /// Messages of all users of one domain in an hour, on all nodes. Beyond: `450 4.7.1`.
    pub domain_messages_per_hour: Option<u32>,
    /// Recipients of all users of one domain in an hour, on all nodes. Beyond: `452 4.7.1`.
    pub domain_recipients_per_hour: Option<u32>,
    /// Counts that are kept, some 200 octets each. Beyond: the one that has least to wait is forgotten.
    pub remembered: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            exempt: Vec::new(),
            connections_per_address: None,
            connections_per_network: None,
            connections_per_minute: None,
            messages_per_minute: None,
            messages_per_hour: None,
            recipients_per_minute: None,
            recipients_per_hour: None,
            user_messages_per_hour: None,
            user_recipients_per_hour: None,
            domain_messages_per_hour: None,
            domain_recipients_per_hour: None,
            remembered: 100_000,
        }
    }
}

impl ClientLimits {
    /// Whether a client's address is not counted.
    pub fn is_exempt(&self, client: IpAddr) -> bool {
        contain(&self.exempt, client)
    }
}

/// What is done about clients that cannot wait or do not listen.
#[derive(Clone, Debug)]
pub struct Manners {
    /// How long the greeting is held back to see who speaks before it (RFC 5321 §4.3.1); zero for not at all.
    pub greet_delay: Duration,
    /// What comes of those.
    pub early_talkers: EarlyTalkers,
    /// Refused commands after which replies of refusal are held back.
    pub tarpit_after: usize,
    /// How long each of them is; zero for not at all.
    pub tarpit_delay: Duration,
}

impl Manners {
    /// How long a refusal is held back when so many commands, this one with them, have been refused.
    pub fn hold_back(&self, refused: usize, spoke_too_early: bool) -> Duration {
        let is_rude = spoke_too_early && self.early_talkers == EarlyTalkers::Delay;
        if refused > self.tarpit_after || is_rude { self.tarpit_delay } else { Duration::ZERO }
    }
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            greet_delay: Duration::ZERO,
            early_talkers: EarlyTalkers::Refuse,
            tarpit_after: 5,
            tarpit_delay: Duration::ZERO,
        }
    }
}

/// What comes of a client that speaks before the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyTalkers {
    /// `554 5.5.1` in place of the greeting.
    Refuse,
    /// It is greeted, and each refusal is held back from the first on.
    Delay,
}

/// What replies say beside what they must.
#[derive(Clone, Debug, Default)]
pub struct ReplySettings {
    /// A last line of each reply that refuses something.
    pub footer: Option<Footer>,
    /// What follows `ESMTP` in the greeting.
    pub banner: Option<Banner>,
}

/// Text with placeholders for a last line of replies. Printable ASCII, at most [`REPLY_TEXT_LIMIT`] octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer(Box<str>);

impl Footer {
    /// What may stand in braces.
    pub const PLACEHOLDERS: [&str; 3] = ["peer", "session", "hostname"];

    /// Nothing where the text cannot be said, or something else stands in braces.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            Self::PLACEHOLDERS.contains(&name).then_some(())?;
            rest = after;
        }
        is_reply_text(text).then(|| Self(text.into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text for the greeting. Printable ASCII, at most [`REPLY_TEXT_LIMIT`] octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner(Box<str>);

impl Banner {
    /// Nothing where the text cannot be said.
    pub fn parse(text: &str) -> Option<Self> {
        is_reply_text(text).then(|| Self(text.into()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `textstring` of RFC 5321 §4.2.1, without tabs.
fn is_reply_text(text: &str) -> bool {
    (1..=REPLY_TEXT_LIMIT).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_held_back_after_so_many_or_from_the_first_on() {
        let second = Duration::from_secs(1);
        let manners = |early_talkers| Manners { early_talkers, tarpit_delay: second, ..Manners::default() };
        for (early_talkers, refused, is_early, expected) in [
            (EarlyTalkers::Refuse, 5, false, Duration::ZERO),
            (EarlyTalkers::Refuse, 6, false, second),
            (EarlyTalkers::Delay, 1, true, second),
            (EarlyTalkers::Delay, 1, false, Duration::ZERO),
        ] {
            let held = manners(early_talkers).hold_back(refused, is_early);
            assert_eq!(held, expected, "{early_talkers:?} {refused}");
        }
    }

    #[test]
    fn domains_are_meant_alone_or_with_all_below_them() {
        for (pattern, domain, expected) in [
            ("x.test", "X.test", true),
            ("x.test", "a.x.test", false),
            (".x.test", "x.test", true),
            (".x.test", "a.b.x.test", true),
            (".x.test", "ax.test", false),
            ("*", "x.test", true),
            ("[192.0.2.1]", "[192.0.2.1]", true),
        ] {
            let parsed: DomainPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(&Domain::parse(domain).unwrap()), expected, "{pattern} {domain}");
            assert_eq!(parsed.to_string(), pattern);
        }
        assert!(["", ".", "*.x.test", "a b"].iter().all(|text| text.parse::<DomainPattern>().is_err()));
    }

    #[test]
    fn senders_are_meant_by_address_by_domain_or_as_null() {
        for (pattern, sender, expected) in [
            ("<>", "", true),
            ("<>", "a@x.test", false),
            ("*", "", true),
            (".x.test", "", false),
            ("A@x.test", "a@X.test", true),
            ("a@x.test", "b@x.test", false),
            (".x.test", "b@y.x.test", true),
        ] {
            let parsed: AddressPattern = pattern.parse().unwrap();
            let sender = ReversePath::try_from(sender.to_owned()).unwrap();
            assert_eq!(parsed.matches_sender(&sender), expected, "{pattern} {sender}");
        }
    }

    #[test]
    fn a_footer_has_only_known_placeholders_and_what_a_reply_may_hold() {
        for (text, is_one) in [
            ("see https://x.test/{session}?from={peer} at {hostname}", true),
            ("plain", true),
            ("{queue_id}", false),
            ("{peer", false),
            ("two\nlines", false),
            ("caf\u{e9}", false),
            ("", false),
        ] {
            assert_eq!(Footer::parse(text).is_some(), is_one, "{text:?}");
        }
        assert!(Banner::parse(&"x".repeat(REPLY_TEXT_LIMIT + 1)).is_none());
    }
}
