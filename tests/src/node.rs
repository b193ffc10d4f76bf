//! A whole node: engine, runtime and listeners as in production, on free ports.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fulmar_core::admin::{Action, Admin, DomainChange, QueueItem};
use fulmar_core::config::{Config, Listener, Protocol};
use fulmar_core::engine::{CertificateFile, Engine, StartError};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{
    Address, AliasName, Domain, Event, MailOptions, Outcome, QueueId, RecipientOptions, ReversePath, UtcTime,
};
use fulmar_core::platform::{Clock as _, Host, Platform, Store, When};
use fulmar_core::resolver::{NameServers, Resolver};
use fulmar_runtime_smol::{SmolEntropy, SmolNet, SmolRuntime, accept, listen};
use fulmar_storage_s3::{DirectoryStore, MemoryStore};
use futures::FutureExt;
use futures::channel::oneshot;

use crate::client::Client;
use crate::clock::AdvancedClock;
use crate::zone::Zone;

/// How long an event may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// An address that is known to be one.
pub fn address(text: &str) -> Address {
    Address::parse_utf8(text).expect("an address")
}

/// A store with its domains, accounts and aliases, made before a node sees it: what a node has looked up it believes for a while.
#[derive(Debug)]
pub struct Ground {
    runtime: SmolRuntime,
    platform: Platform,
    zone: Arc<Zone>,
    clock: Arc<AdvancedClock>,
    admin: Admin,
    config: Config,
}

impl Ground {
    /// An empty store in memory, for nodes called `mx.test` whose settings `change` may alter.
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(change, |_| Arc::new(MemoryStore::new()))
    }

    /// The same in a directory.
    pub fn in_directory(path: &std::path::Path, change: impl FnOnce(&mut Config)) -> Self {
        let open = |runtime: &SmolRuntime| {
            Arc::new(DirectoryStore::open(path, runtime.spawn()).expect("a directory")) as Arc<dyn Store>
        };
        Self::on(change, open)
    }

    /// The same on the store that `open` gives.
    pub fn on(change: impl FnOnce(&mut Config), open: impl FnOnce(&SmolRuntime) -> Arc<dyn Store>) -> Self {
        let runtime = SmolRuntime::new(SmolRuntime::default_threads()).expect("threads");
        let (zone, clock) = (Arc::<Zone>::default(), Arc::<AdvancedClock>::default());
        let platform = Platform {
            store: open(&runtime),
            dns: zone.clone(),
            net: Arc::new(SmolNet::new(runtime.spawn())),
            clock: clock.clone(),
            entropy: Arc::new(SmolEntropy),
            spawn: runtime.spawn(),
        };
        let mut config = Config::new(Domain::parse("mx.test").expect("a domain"));
        // Where that matters is told by tests of it alone.
        config.verification.is_on = false;
        change(&mut config);
        let admin = Admin::new(config.clone(), platform.clone(), Journal::silent());
        Self { runtime, platform, zone, clock, admin, config }
    }

    /// Has nodes ask this name server, where else they look into the zone.
    pub fn resolving_by(mut self, server: SocketAddr) -> Self {
        let Platform { net, clock, entropy, spawn, .. } = self.platform.clone();
        self.platform.dns =
            Arc::new(Resolver::new(Arc::new(NameServers::from(vec![server])), net, clock, entropy, spawn));
        self
    }

    /// The names that nodes find. Empty at first.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Gives an order about a message, as an operator does.
    pub fn order(&self, id: &str, action: Action) {
        let id: QueueId = id.parse().expect("a queue id");
        self.runtime.block_on(self.admin.order(id, action)).expect("the message is in the queue");
    }

    /// Makes an account, and its domain ours.
    pub fn account(self, account: &str) -> Self {
        let account = address(account);
        self.runtime.block_on(async {
            self.admin.domain_add(account.domain()).await.expect("a domain is made");
            self.admin.account_add(&account, "password").await.expect("an account is made");
        });
        self
    }

    /// Makes an alias in a domain that is ours already. It may be a pattern.
    pub fn alias(self, alias: &str, targets: &[&str]) -> Self {
        let targets: Vec<Address> = targets.iter().map(|target| address(target)).collect();
        let made = self.runtime.block_on(async {
            match alias.parse().expect("the name of an alias") {
                AliasName::Exact(alias) => self.admin.alias_add(&alias, &targets).await,
                AliasName::Pattern(pattern, domain) => {
                    self.admin.pattern_add(&pattern, &domain, &targets).await
                }
            }
        });
        made.expect("an alias is made");
        self
    }

    /// Has mail taken for a domain, if it was not yet, for which this is to hold.
    pub fn domain(self, domain: &str, change: &DomainChange) -> Self {
        let domain = Domain::parse(domain).expect("a domain");
        self.runtime.block_on(async {
            self.admin.domain_add(&domain).await.expect("a domain is made");
            self.admin.domain_set(&domain, change).await.expect("a domain is changed");
        });
        self
    }

    /// Removes an account, behind the backs of nodes.
    pub fn remove_account(&self, account: &str) {
        let account = address(account);
        self.runtime.block_on(self.admin.account_remove(&account)).expect("the account was there");
    }

    /// Every message of an account's INBOX, whole.
    pub fn inbox(&self, account: &str) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        self.each_message(account, |message| messages.push(message));
        messages
    }

    /// Every message in an account's mailbox for what is suspicious; none where it was not made yet.
    pub fn junk(&self, account: &str) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let listed = self.runtime.block_on(self.admin.mailbox(&address(account), "Junk"));
        if listed.is_ok() {
            self.each_message_in(account, "Junk", |message| messages.push(message));
        }
        messages
    }

    /// Reads every message of an account's INBOX, one at a time.
    pub fn each_message(&self, account: &str, look: impl FnMut(Vec<u8>)) {
        self.each_message_in(account, "INBOX", look);
    }

    /// The same of any of its mailboxes.
    pub fn each_message_in(&self, account: &str, mailbox: &str, mut look: impl FnMut(Vec<u8>)) {
        let account = address(account);
        self.runtime.block_on(async {
            for listing in self.admin.mailbox(&account, mailbox).await.expect("the mailbox is there") {
                let opened = self.admin.message(&account, mailbox, listing.uid).await;
                let mut reader = opened.expect("it was listed");
                let mut message = Vec::new();
                while let Some(part) = reader.next().await.expect("it can be read") {
                    message.extend_from_slice(&part);
                }
                look(message);
            }
        });
    }

    /// What stands in the queue.
    pub fn queue(&self) -> Vec<QueueItem> {
        self.runtime.block_on(self.admin.queue()).expect("the queue can be read")
    }

    /// The names of all objects.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let listing = self.platform.store.list("", keys.last().map(String::as_str));
            let page = self.runtime.block_on(listing).expect("a listing");
            keys.extend(page.objects.into_iter().map(|object| object.key));
            if !page.more {
                return keys;
            }
        }
    }

    /// Writes an object, behind the backs of nodes.
    pub fn put(&self, key: &str, octets: &'static [u8]) {
        let payload = std::iter::once(Bytes::from_static(octets)).collect();
        let put = self.platform.store.put(key, payload, When::Always);
        self.runtime.block_on(put).expect("the store takes it");
    }

    /// Starts a node on it.
    pub fn start(self) -> Node {
        self.try_start().expect("the node starts")
    }

    /// Starts a node on it, or tells why that cannot be done now.
    pub fn try_start(self) -> Result<Node, StartError> {
        let events = Arc::new(Events::default());
        let seen = events.clone();
        let journal = Journal::new(move |event| seen.push(event));
        let started = Engine::start(self.config.clone(), self.platform.clone(), Host::unknown(), journal);
        let engine = self.runtime.block_on(started)?;
        Ok(self.serve(engine, events))
    }

    /// Starts a node that does not give up while its store is away; `meanwhile` is shown what it reports before it serves.
    pub fn start_patiently(
        self,
        meanwhile: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<Node, StartError> {
        let events = Arc::new(Events::default());
        let seen = events.clone();
        let journal = Journal::new(move |event| {
            meanwhile(event);
            seen.push(event);
        });
        let (config, platform) = (self.config.clone(), self.platform.clone());
        let started = Engine::start_patiently(config, platform, Host::unknown(), journal);
        let engine = self.runtime.block_on(started)?;
        Ok(self.serve(engine, events))
    }

    fn serve(self, engine: Engine, events: Arc<Events>) -> Node {
        let unbound = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut node = Node { ground: self, engine, server: unbound, events, stop: Vec::new() };
        node.server = node.listen(Protocol::Smtp, None);
        node
    }
}

/// A node that serves.
#[derive(Debug)]
pub struct Node {
    ground: Ground,
    engine: Engine,
    server: SocketAddr,
    events: Arc<Events>,
    /// A listener ends when its sender is dropped.
    stop: Vec<oneshot::Sender<()>>,
}

impl Node {
    /// Opens another listener on a free port. Clients of it count as connecting from `peer` where that is given.
    pub fn listen(&mut self, protocol: Protocol, peer: Option<SocketAddr>) -> SocketAddr {
        self.listen_behind(protocol, peer, &[])
    }

    /// The same; connections from the networks of `balancers` must begin with a PROXY header.
    pub fn listen_behind(
        &mut self,
        protocol: Protocol,
        peer: Option<SocketAddr>,
        balancers: &[&str],
    ) -> SocketAddr {
        let networks = balancers.iter().map(|network| network.parse().expect("a network")).collect();
        self.listen_as(protocol, peer, |listener| listener.proxy_protocol_from = networks)
    }

    /// The same; `change` says what is different there.
    pub fn listen_as(
        &mut self,
        protocol: Protocol,
        peer: Option<SocketAddr>,
        change: impl FnOnce(&mut Listener),
    ) -> SocketAddr {
        let socket = listen((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let (stop, stopped) = oneshot::channel::<()>();
        let (engine, spawn) = (self.engine.clone(), self.ground.platform.spawn.clone());
        let mut listener = Listener::new(protocol, address);
        change(&mut listener);
        let accepting = accept(socket, stopped.map(drop), move |stream, client| {
            let (engine, peer, listener) = (engine.clone(), peer.unwrap_or(client), listener.clone());
            spawn.spawn(Box::pin(async move { engine.serve(Box::new(stream), peer, &listener).await }));
        });
        self.ground.platform.spawn.spawn(Box::pin(accepting));
        self.stop.push(stop);
        address
    }

    /// Has it show these certificates, each with its key in PEM form and under the name by which events call it.
    pub fn show(&self, certificates: &[(&str, String)]) {
        let file = |(source, pem): &(&str, String)| CertificateFile {
            source: (*source).to_owned(),
            pem: Ok(pem.clone().into_bytes()),
            names: Vec::new(),
        };
        self.engine.set_certificates(&certificates.iter().map(file).collect::<Vec<_>>());
    }

    /// What operators do.
    pub fn administer<T>(&self, order: impl AsyncFnOnce(&Admin) -> T) -> T {
        self.ground.runtime.block_on(order(&self.ground.admin))
    }

    /// Where it listens for SMTP.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// A client of it that has said EHLO.
    pub fn client(&self) -> Client {
        Client::greeted(self.server)
    }

    /// Waits for an event, past or to come.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        self.events.wait(is_it).unwrap_or_else(|| panic!("no event: {what}"))
    }

    /// Waits for a message to be delivered to an account.
    pub fn delivered(&self, id: &str, account: &str) {
        let account = address(account);
        self.wait_for(&format!("delivery of {id} to {account}"), |event| match event {
            Event::Attempted { queue_id, recipient, outcome: Outcome::Delivered(_), .. } => {
                queue_id.to_string() == id && *recipient == account
            }
            _ => false,
        });
    }

    /// Waits for the end of so many attempts at a recipient, and gives how the last of them ended. These are counted here: what is
    /// tried again within milliseconds is, before the queue has written how often that was.
    pub fn attempted(&self, id: &str, recipient: &str, attempts: usize) -> Outcome {
        let wanted = address(recipient);
        let left = Cell::new(attempts);
        let event =
            self.wait_for(&format!("attempt {attempts} of {id} at {recipient}"), |event| match event {
                Event::Attempted { queue_id, recipient, .. }
                    if queue_id.to_string() == id && *recipient == wanted =>
                {
                    left.set(left.get().saturating_sub(1));
                    left.get() == 0
                }
                _ => false,
            });
        match event {
            Event::Attempted { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Takes a message of the operator's, and returns when it is in the recipient's INBOX.
    pub fn deliver(&self, recipient: &str, content: impl Into<Bytes>) {
        let sent = self.engine.send(ReversePath::Null, vec![address(recipient)], content.into());
        let id = self.ground.runtime.block_on(sent).expect("the message is taken");
        self.delivered(&id.to_string(), recipient);
    }

    /// Takes a message as from a client that asks for things by parameters, and gives its queue id.
    pub fn send_with(
        &self,
        reverse_path: &str,
        options: MailOptions,
        recipients: &[(&str, RecipientOptions)],
        content: impl Into<Bytes>,
    ) -> String {
        let reverse_path = ReversePath::try_from(reverse_path.to_owned()).expect("a reverse-path");
        let to = |text: &str| Address::parse_utf8(text).expect("an address");
        let recipients = recipients.iter().map(|(path, options)| (to(path), options.clone())).collect();
        let sent = self.engine.send_with(reverse_path, options, recipients, content.into());
        self.ground.runtime.block_on(sent).expect("the message is taken").to_string()
    }

    /// See [`Ground::put`].
    pub fn put(&self, key: &str, octets: &'static [u8]) {
        self.ground.put(key, octets);
    }

    /// Everything reported so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.all.lock().expect("no panic while locked").clone()
    }

    /// Waits until this many recipients have been delivered to.
    pub fn delivered_in_all(&self, recipients: u64) {
        self.wait_for(&format!("{recipients} deliveries"), |event| {
            matches!(event, Event::Attempted { outcome: Outcome::Delivered(_), .. })
                && self.engine.statistics().delivered >= recipients
        });
    }

    /// Waits for the end of the first session whose reason reads so.
    pub fn session_closed(&self, expected: &str) {
        self.wait_for(
            &format!("session closed: {expected}"),
            |event| matches!(event, Event::SessionClosed { reason, .. } if reason == expected),
        );
    }

    /// See [`Ground::remove_account`].
    pub fn remove_account(&self, account: &str) {
        self.ground.remove_account(account);
    }

    /// See [`Ground::inbox`].
    pub fn inbox(&self, account: &str) -> Vec<Vec<u8>> {
        self.ground.inbox(account)
    }

    /// See [`Ground::junk`].
    pub fn junk(&self, account: &str) -> Vec<Vec<u8>> {
        self.ground.junk(account)
    }

    /// See [`Ground::queue`].
    pub fn queue(&self) -> Vec<QueueItem> {
        self.ground.queue()
    }

    /// See [`Ground::zone`].
    pub fn zone(&self) -> &Zone {
        self.ground.zone()
    }

    /// See [`Ground::order`].
    pub fn order(&self, id: &str, action: Action) {
        self.ground.order(id, action);
    }

    /// Lets its time jump ahead.
    pub fn advance(&self, by: Duration) {
        self.ground.clock.advance(by);
    }

    /// See [`Ground::keys`].
    pub fn keys(&self) -> Vec<String> {
        self.ground.keys()
    }

    /// What time it is there.
    pub fn now(&self) -> UtcTime {
        self.ground.clock.utc()
    }

    /// Messages that it acknowledged so far.
    pub fn accepted(&self) -> u64 {
        self.engine.statistics().accepted
    }

    /// Stops it as a signal would: no more connections, then an orderly end within `grace`.
    pub fn shut_down(&mut self, grace: Duration) {
        self.stop.clear();
        self.ground.runtime.block_on(self.engine.shutdown(grace));
    }

    /// The store again, for a node that comes after.
    pub fn into_ground(self) -> Ground {
        self.ground
    }
}

/// Everything that a node has reported.
#[derive(Debug, Default)]
struct Events {
    all: Mutex<Vec<Event>>,
    more: Condvar,
}

impl Events {
    fn push(&self, event: &Event) {
        self.all.lock().expect("no panic while locked").push(event.clone());
        self.more.notify_all();
    }

    fn wait(&self, is_it: impl Fn(&Event) -> bool) -> Option<Event> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.all.lock().expect("no panic while locked");
        let mut looked_at = 0;
        loop {
            if let Some(event) = events[looked_at..].iter().find(|event| is_it(event)) {
                return Some(event.clone());
            }
            looked_at = events.len();
            let left = deadline.checked_duration_since(Instant::now())?;
            events = self.more.wait_timeout(events, left).expect("no panic while locked").0;
        }
    }
}
