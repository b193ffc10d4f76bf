//! Who is at the other end of a session of SMTP, what it may do, and how it becomes known.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::config::{Authentication, Listener, Protocol};
use crate::conversation::smtp::Progress;
use crate::model::{Address, Domain, Event, Reply};
use crate::policy::access::{Screening, Verdict};
use crate::policy::limits::Sender;
use crate::policy::{Origin, may_relay};
use crate::sasl::{Channel, Exchange, Failure, Mechanism, NONCE_OCTETS, Step};
use crate::service::Context;
use crate::service::authentication::{Attempt, How, Identity};
use crate::smtp::server::{Offers, Service};
use crate::smtp::syntax::Attribute;
use crate::state::account::credentials::Scope;
use crate::transport::TlsFacts;

/// A client, and what is known of it so far.
#[derive(Debug)]
pub(super) struct Client<'a> {
    context: &'a Arc<Context>,
    listener: &'a Listener,
    pub(super) session: u64,
    /// Where it connects from; or, where a proxy that is believed has said so, whoever connects to that.
    pub(super) peer: SocketAddr,
    screening: Screening<'a>,
    /// Whether STARTTLS may be offered.
    may_encrypt: bool,
    pub(super) tls: Option<TlsFacts>,
    pub(super) identity: Option<Identity>,
    login: Option<(Exchange, Attempt)>,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        context: &'a Arc<Context>,
        listener: &'a Listener,
        session: u64,
        peer: SocketAddr,
        tls: Option<TlsFacts>,
        may_encrypt: bool,
    ) -> Self {
        Self {
            context,
            listener,
            session,
            peer,
            screening: Screening::new(&context.config, listener, peer.ip()),
            may_encrypt,
            tls,
            identity: None,
            login: None,
        }
    }

    /// What its listener is for.
    pub(super) fn service(&self) -> Service {
        service(self.listener.protocol)
    }

    /// What is offered to it now.
    pub(super) fn offers(&self) -> Offers {
        let config = &self.context.config;
        let ip = self.peer.ip();
        let is_encrypted = self.tls.is_some();
        let auth = self.authentication();
        let mechanisms = if auth == Authentication::None { Vec::new() } else { self.mechanisms() };
        let is_trusted = self.identity.is_some() || may_relay(config, Origin::Client(ip));
        Offers {
            starttls: self.may_encrypt && !is_encrypted,
            is_encrypted,
            mechanisms,
            needs_tls: false,
            needs_auth: auth == Authentication::Required && self.identity.is_none(),
            longest_hold: (self.service() == Service::Submission).then_some(config.queue.expire.as_secs()),
            expn: is_trusted,
            etrn: may_relay(config, Origin::Client(ip)),
            xclient: self.listener.settings.takes_xclient_from(ip),
            xforward: self.listener.settings.takes_xforward_from(ip),
        }
    }

    /// Submission is for those who log in (RFC 6409 §4.3); port 25 knows nobody unless an operator says so.
    fn authentication(&self) -> Authentication {
        let usual = if self.service() == Service::Submission {
            Authentication::Required
        } else {
            Authentication::None
        };
        self.listener.settings.auth.unwrap_or(usual)
    }

    /// None in the clear where others may read along (RFC 8314 §3.3), loopback and listeners apart that are set so.
    fn mechanisms(&self) -> Vec<&'static str> {
        let is_private = self.tls.is_some()
            || self.listener.settings.allow_plaintext_auth
            || self.peer.ip().to_canonical().is_loopback();
        if is_private { Mechanism::over(&self.channel()).map(Mechanism::name).collect() } else { Vec::new() }
    }

    fn channel(&self) -> Channel {
        let tls = self.tls.as_ref();
        let shown = tls.and_then(|facts| facts.client.as_ref()).filter(|client| client.is_verified);
        let addresses =
            |names: &Vec<String>| names.iter().filter_map(|name| Address::parse_utf8(name).ok()).collect();
        Channel {
            binding: tls.and_then(|facts| facts.exporter).map(|binding| Bytes::copy_from_slice(&binding)),
            certificate: shown.map(|client| addresses(&client.emails)),
            takes_tokens: self.context.authentication.takes_tokens(),
        }
    }

    /// Where its transactions come from, as far as relaying goes.
    pub(super) fn origin(&self) -> Origin {
        if self.identity.is_some() { Origin::User } else { Origin::Client(self.peer.ip()) }
    }

    /// Whether it may send for authors of ours, whose domains sign what it sends.
    pub(super) fn is_trusted(&self) -> bool {
        may_relay(&self.context.config, self.origin())
    }

    /// Its address, where it is a stranger whose mail is verified.
    pub(super) fn stranger(&self) -> Option<IpAddr> {
        let config = &self.context.config;
        let ip = self.peer.ip();
        let is_stranger = self.service() == Service::Transfer && !self.is_trusted();
        (is_stranger && config.verification.covers(ip)).then_some(ip)
    }

    /// As rates count it.
    pub(super) fn sender(&self) -> Sender<'_> {
        Sender { client: self.peer.ip(), user: self.identity.as_ref().map(|identity| &identity.account) }
    }

    /// What the access lists say, of those who have logged in as of others.
    pub(super) fn screen(&mut self, judge: impl FnOnce(&mut Screening<'a>) -> Verdict) -> Result<(), Reply> {
        match judge(&mut self.screening) {
            Verdict::Refuse(reply) => Err(reply),
            Verdict::Continue | Verdict::Allow => Ok(()),
        }
    }

    /// The session is encrypted now; who it was before is forgotten (RFC 3207 §4.2).
    pub(super) fn encrypted(&mut self, facts: TlsFacts) {
        self.tls = Some(facts);
        (self.identity, self.login) = (None, None);
    }

    pub(super) async fn log_in(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Progress {
        let Some(mechanism) = Mechanism::parse(mechanism) else { return Progress::Done(Err(not_offered())) };
        let mut nonce = [0; NONCE_OCTETS];
        self.context.requests.platform().entropy.fill(&mut nonce);
        let mut exchange = Exchange::begin(mechanism, self.channel(), nonce);
        let step = exchange.start(initial.as_deref());
        let attempt = Attempt::new(self.context.clone(), self.session, self.peer, Scope::Smtp);
        self.go_on(exchange, attempt, step).await
    }

    pub(super) async fn respond(&mut self, response: &[u8]) -> Progress {
        let Some((mut exchange, attempt)) = self.login.take() else {
            return Progress::Done(Err(Reply::new(503, (5, 5, 1), "no challenge to respond to")));
        };
        let step = exchange.respond(response);
        self.go_on(exchange, attempt, step).await
    }

    pub(super) fn give_up_login(&mut self) {
        self.login = None;
    }

    async fn go_on(&mut self, mut exchange: Exchange, mut attempt: Attempt, mut step: Step) -> Progress {
        loop {
            match step {
                Step::Challenge(challenge) => {
                    self.login = Some((exchange, attempt));
                    return Progress::Challenge(challenge);
                }
                Step::Ask(question) => step = exchange.answer(attempt.answer(question).await),
                Step::Over(end) => {
                    return Progress::Done(match attempt.conclude(end).await {
                        Ok(identity) => {
                            self.identity = Some(identity);
                            Ok(self.offers())
                        }
                        Err(failure) => Err(refusal(failure)),
                    });
                }
            }
        }
    }

    /// A proxy says who the client is: its address, and whether it has logged in there.
    pub(super) fn stand_for(&mut self, attributes: &[Attribute]) -> Result<(), Reply> {
        let value = |name: &str| attributes.iter().find(|attribute| attribute.name == name)?.value.as_deref();
        let ip = value("ADDR").map(|text| address(text).ok_or_else(bad_attribute)).transpose()?;
        let port = value("PORT").map(|text| text.parse().map_err(|_| bad_attribute())).transpose()?;
        let account =
            value("LOGIN").map(|name| Address::parse_utf8(name).map_err(|_| bad_attribute())).transpose()?;
        self.report("XCLIENT", attributes);
        self.peer = SocketAddr::new(ip.unwrap_or(self.peer.ip()), port.unwrap_or(self.peer.port()));
        self.screening = Screening::new(&self.context.config, self.listener, self.peer.ip());
        self.identity = account.map(|account| Identity { account: account.normalized(), how: How::Proxy });
        self.login = None;
        self.screen(Screening::at_connect)
    }

    /// What a proxy or filter says is told to whoever reads the events.
    pub(super) fn report(&self, command: &'static str, attributes: &[Attribute]) {
        let words = attributes.iter().map(|Attribute { name, value }| {
            format!("{name}={}", value.as_deref().unwrap_or("[UNAVAILABLE]"))
        });
        let said = words.collect::<Vec<_>>().join(" ");
        self.context.journal.report(&Event::ClientNamed { session: self.session, command, said });
    }

    /// The name under which it knows this host.
    pub(super) fn hostname(&self) -> &'a Domain {
        self.listener.settings.hostname(&self.context.config)
    }
}

/// What a listener of this protocol is for.
pub(crate) fn service(protocol: Protocol) -> Service {
    match protocol {
        Protocol::Submission | Protocol::Submissions => Service::Submission,
        Protocol::Lmtp => Service::Lmtp,
        Protocol::Smtp | Protocol::Pop3 | Protocol::Pop3s => Service::Transfer,
    }
}

/// `192.0.2.1` or `IPV6:2001:db8::1`, with or without the tag.
fn address(text: &str) -> Option<IpAddr> {
    let tag = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPV6:"));
    text[if tag { 5 } else { 0 }..].parse().ok()
}

fn bad_attribute() -> Reply {
    Reply::new(501, (5, 5, 4), "an attribute whose value makes no sense")
}

/// RFC 4954 §4.
fn not_offered() -> Reply {
    Reply::new(504, (5, 5, 4), "mechanism not offered")
}

/// RFC 4954 §4, §6.
fn refusal(failure: Failure) -> Reply {
    let (code, status) = match failure {
        Failure::Malformed => (501, (5, 5, 2)),
        Failure::TooLong => (500, (5, 5, 6)),
        Failure::Cancelled => (501, (5, 7, 0)),
        Failure::Credentials | Failure::Downgraded => (535, (5, 7, 8)),
        Failure::Unavailable => (454, (4, 7, 0)),
    };
    Reply::new(code, status, failure.to_string())
}
