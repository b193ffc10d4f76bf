//! Makes a scenario happen, heals everything, waits until nothing is left to do, and gathers what the checks need.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::admin::{Action, Admin, QueueItem};
use fulmar_core::config::Config;
use fulmar_core::engine::Statistics;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, Event, Incarnation, QueueId, UtcTime};
use fulmar_core::state::account::INBOX;
use fulmar_core::state::requests::RequestCounts;

use super::answers::Answers;
use super::archive::Archive;
use super::client::Client;
use super::content::compose;
use super::crew::{Crew, host_address, machine_name};
use super::history::{Answer, Fact, History, Node, Offer, Place, Recorder, Turn};
use super::plan::{Deed, HOME, Message, Plan, account};
use super::reader;
use super::remote::Remote;
use super::{Doors, ground};
use crate::sim::{Faults, Latency, Machine, Simulator};

/// How long after everything is healed mail that is due may wait.
pub const PROMPTNESS: Duration = Duration::from_secs(120);
/// How often the queue is looked at then.
const SAMPLING: Duration = Duration::from_secs(60);
/// After this time without mail a node is idle: one that has adopted something is seen to live for ten minutes after that.
const QUIETING: Duration = Duration::from_mins(12);
/// Pause of a client before it tries again; it doubles up to the limit.
const CLIENT_PAUSE: Duration = Duration::from_secs(3);
const CLIENT_PAUSE_LIMIT: Duration = Duration::from_mins(2);
/// The operator's machine, on which nothing fails but by its own mistakes.
const OPERATOR: &str = "operator";
/// Places of nodes that send one message and end.
const SENDERS: Place = 1_000;
/// How long such a node has to end.
const SENDER_GRACE: Duration = Duration::from_secs(20);

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was to happen.
    pub plan: Arc<Plan>,
    /// When it began, by the bucket's clock.
    pub began: UtcTime,
    /// When it ended, since it began.
    pub ended: Duration,
    /// What has happened.
    pub history: History,
    /// Everything that was in the bucket.
    pub archive: Archive,
    /// The queue at the end.
    pub queue: Vec<QueueItem>,
    /// The mailboxes at the end.
    pub mailboxes: BTreeMap<Address, Vec<Held>>,
    /// Mail that was due for too long after everything was healed: when it was seen, and for how long.
    pub overdue: Vec<(Duration, QueueItem, Duration)>,
    /// What could not be read at the end though nothing fails any more.
    pub troubles: Vec<String>,
    /// What the nodes that live at the end have done.
    pub statistics: Vec<Statistics>,
    /// Requests of each machine while it was left alone, and for how long that was.
    pub idle: (Duration, Vec<(Place, RequestCounts)>),
    /// How the nodes' requests ended.
    pub answers: Answers,
}

/// A message in a mailbox.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its UID.
    pub uid: u32,
    /// Under which it went through the queue.
    pub queue_id: Option<QueueId>,
    /// The whole message.
    pub octets: Vec<u8>,
}

struct Run {
    crew: Arc<Crew>,
    admin: Admin,
    operator: Machine,
    contents: Arc<Vec<Vec<u8>>>,
    archive: Mutex<Archive>,
    began: UtcTime,
    clients: Arc<Mutex<usize>>,
}

/// Lives through a scenario.
pub async fn live(simulator: Simulator, plan: Plan, doors: Doors) -> Case {
    let plan = Arc::new(plan);
    let run = Run::new(simulator, plan.clone(), doors);
    run.prepare();
    let profile = plan.profile;
    for (place, machine) in plan.machines.iter().enumerate() {
        let (crew, simulator, from) = (run.crew.clone(), run.simulator().clone(), machine.from);
        run.simulator().spawn(Box::pin(async move {
            simulator.sleep_until(from).await;
            crew.start(place);
        }));
    }
    for number in 0..plan.messages.len() {
        run.send(number);
    }
    let mut deeds = plan.deeds.iter().peekable();
    while run.simulator().now() < profile.trouble {
        let next = run.simulator().now() + profile.observing;
        while let Some((at, deed)) = deeds.next_if(|(at, _)| *at < next) {
            run.simulator().sleep_until(*at).await;
            run.carry_out(deed);
        }
        run.simulator().sleep_until(next.min(profile.trouble)).await;
        run.observe();
    }
    run.heal().await;
    let overdue = run.settle().await;
    run.rest(QUIETING).await;
    let before = run.crew.requests();
    run.rest(profile.resting).await;
    run.gather(overdue, before).await
}

impl Run {
    fn new(simulator: Simulator, plan: Arc<Plan>, doors: Doors) -> Self {
        let recorder = Recorder::new(simulator.clone());
        let crew = Crew::new(simulator, plan.clone(), recorder, doors);
        let operator = crew.simulation.machine(OPERATOR, &crew.zone);
        let admin = Admin::new(operator_config(), operator.platform(), Journal::silent());
        let sizes = plan.messages.iter().map(|message| message.octets).enumerate();
        let contents = Arc::new(sizes.map(|(number, octets)| compose(number, octets)).collect());
        let began = crew.simulation.bucket().now();
        Self { crew, admin, operator, contents, archive: Mutex::default(), began, clients: Arc::default() }
    }

    fn simulator(&self) -> &Simulator {
        &self.crew.simulator
    }

    fn recorder(&self) -> &Recorder {
        &self.crew.recorder
    }

    fn plan(&self) -> &Arc<Plan> {
        &self.crew.plan
    }

    /// Before the first node: what stands in the bucket, and the other hosts.
    fn prepare(&self) {
        let Crew { simulation, zone, .. } = &*self.crew;
        for (key, bytes) in ground::objects() {
            simulation.bucket().put(key, bytes.clone());
        }
        simulation.weather().set_for(OPERATOR, Faults::default());
        simulation.weather().ambush(self.plan().profile.ambushes);
        simulation.weather().change_store(|store| store.latency = self.plan().profile.latency);
        for (number, host) in self.plan().hosts.iter().enumerate() {
            let name = format!("mx.{}", host.domain);
            zone.mx(&host.domain, &[(10, &name)]);
            zone.host(&name, &[host_address(number).ip()]);
            let remote = Remote::new(
                self.simulator().clone(),
                self.recorder().clone(),
                number,
                host.clone(),
                self.contents.clone(),
            );
            let spawner = self.simulator().clone();
            let serve = move |stream, _: SocketAddr| spawner.spawn(Box::pin(remote.clone().serve(stream)));
            let machine = simulation.machine(&host.domain, zone);
            // Every host has its own address.
            let _ = machine.listen(host_address(number), Box::new(serve));
        }
    }

    /// Has the client of a message come.
    fn send(&self, number: usize) {
        *lock(&self.clients) += 1;
        let (crew, clients) = (self.crew.clone(), self.clients.clone());
        let message = Arc::new(self.plan().messages[number].clone());
        let content = Arc::new(self.contents[number].clone());
        self.simulator().spawn(Box::pin(async move {
            crew.simulator.sleep_until(message.at).await;
            match message.place {
                Some(_) => send_by_smtp(&crew, number, message, content).await,
                None => send_by_node(&crew, number, &message, &content).await,
            }
            *lock(&clients) -= 1;
        }));
    }

    fn carry_out(&self, deed: &Deed) {
        let (crew, simulation) = (self.crew.clone(), &self.crew.simulation);
        let weather = simulation.weather();
        let name = |place: &Option<Place>| place.map(machine_name);
        match deed.clone() {
            Deed::Weather(place, faults) => {
                self.recorder().record(Fact::Weather(format!("{place:?}: {}", in_words(&faults))));
                match name(&place) {
                    Some(machine) => weather.set_for(&machine, faults),
                    None => weather.set(faults),
                }
            }
            Deed::StoreAway(place, how_long) => {
                self.recorder().record(Fact::Weather(format!("{place:?}: no store for {how_long:?}")));
                weather.store_away(name(&place).as_deref(), how_long);
            }
            Deed::SlowDown(how_long) => {
                self.recorder().record(Fact::Weather(format!("the store slows down for {how_long:?}")));
                weather.slow_down(how_long);
            }
            Deed::Kill { place, steps, back_after } => {
                self.spawn(async move { crew.kill(place, steps, back_after).await });
            }
            Deed::Suspend { place, how_long } => {
                self.spawn(async move { crew.suspend(place, how_long).await })
            }
            Deed::Stop { place, grace, back_after } => {
                self.spawn(async move { crew.stop(place, grace, back_after).await });
            }
            Deed::Read { account: number, place, deletes_one_in } => {
                let net = self.crew.simulation.outside(&self.crew.zone).net;
                self.spawn(async move {
                    reader::visit(&crew, &*net, account(number), place, deletes_one_in).await
                });
            }
            Deed::Order { is_cancel } => self.order(is_cancel),
            Deed::Look { account: number } => self.look(number),
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.simulator().spawn(Box::pin(work));
    }

    /// An operator orders something about a message in the queue.
    fn order(&self, is_cancel: bool) {
        let (crew, platform) = (self.crew.clone(), self.operator.platform());
        self.spawn(async move {
            let admin = Admin::new(operator_config(), platform, Journal::silent());
            let Ok(queue) = admin.queue().await else { return };
            if queue.is_empty() {
                return;
            }
            let chosen = crew.simulator.chance(|dice| dice.below(queue.len()));
            let queue_id = queue[chosen].queue_id;
            let action = if is_cancel { Action::Cancel } else { Action::Retry };
            crew.recorder.record(Fact::Ordered { queue_id, action: action.name() });
            // One that nobody has heard of may have come about all the same.
            let _ = admin.order(queue_id, action).await;
        });
    }

    /// An operator reads a mailbox's list.
    fn look(&self, number: usize) {
        let (crew, platform) = (self.crew.clone(), self.operator.platform());
        self.spawn(async move {
            let admin = Admin::new(operator_config(), platform, Journal::silent());
            if let Ok(listed) = admin.mailbox(&account(number), INBOX).await {
                let shown = (0, listed.iter().map(|listing| listing.uid).collect());
                crew.recorder.record(Fact::Read { account: account(number), node: None, shown });
            }
        });
    }

    fn observe(&self) {
        let objects = self.crew.simulation.bucket().objects();
        lock(&self.archive).observe(self.simulator().now(), objects);
    }

    async fn heal(&self) {
        let simulation = &self.crew.simulation;
        simulation.weather().calm();
        simulation.weather().change_store(|store| store.latency = Latency::FAST);
        // Connections that fell silent would be waited for, for as long as RFC 5321 §4.5.3.2 wants it.
        for number in 0..self.plan().hosts.len() {
            simulation.net().reset(host_address(number));
        }
        self.crew.heal().await;
        self.recorder().record(Fact::Healed);
    }

    /// Waits until every client has been answered and nothing is queued that can be delivered, and sees whether mail waits longer than it
    /// should.
    async fn settle(&self) -> Vec<(Duration, QueueItem, Duration)> {
        let healed = self.simulator().now();
        let mut overdue = Vec::new();
        self.simulator().sleep(PROMPTNESS).await;
        loop {
            self.observe();
            let queue = self.admin.queue().await.unwrap_or_default();
            let holders = self.holders();
            for item in &queue {
                let place = holders.get(&item.node).map_or(0, |node| node.place);
                let place = if place < SENDERS { place } else { 0 };
                let late = self.crew.utc(place).since(item.next_attempt);
                if late > PROMPTNESS {
                    overdue.push((self.simulator().now(), item.clone(), late));
                }
            }
            let is_done = queue.is_empty() && *lock(&self.clients) == 0;
            if is_done || self.simulator().now() >= healed + self.plan().profile.settling {
                return overdue;
            }
            self.simulator().sleep(SAMPLING).await;
        }
    }

    /// Whose each log is.
    fn holders(&self) -> BTreeMap<Incarnation, Node> {
        let history = self.recorder().history();
        let begun = history.events().filter_map(|(_, node, event)| match event {
            Event::IncarnationBegun { incarnation } => Some((*incarnation, node)),
            _ => None,
        });
        begun.collect()
    }

    /// Leaves the nodes alone.
    async fn rest(&self, how_long: Duration) {
        let until = self.simulator().now() + how_long;
        while self.simulator().now() < until {
            let next = self.simulator().now() + self.plan().profile.observing;
            self.simulator().sleep_until(next.min(until)).await;
            self.observe();
        }
    }

    async fn gather(
        &self,
        overdue: Vec<(Duration, QueueItem, Duration)>,
        before: Vec<(Place, RequestCounts)>,
    ) -> Case {
        let mut troubles = Vec::new();
        let idle = (self.plan().profile.resting, difference(&before, &self.crew.requests()));
        let queue = self.admin.queue().await.unwrap_or_else(|error| {
            troubles.push(format!("the queue cannot be listed: {error}"));
            Vec::new()
        });
        let mut mailboxes = BTreeMap::new();
        for address in &self.plan().accounts {
            match self.mailbox(address).await {
                Ok(held) => drop(mailboxes.insert(address.clone(), held)),
                Err(error) => troubles.push(format!("the mailbox of {address} cannot be read: {error}")),
            }
        }
        self.observe();
        Case {
            plan: self.plan().clone(),
            began: self.began,
            ended: self.simulator().now(),
            history: self.recorder().history(),
            archive: std::mem::take(&mut *lock(&self.archive)),
            queue,
            mailboxes,
            overdue,
            troubles,
            statistics: self.crew.statistics(),
            idle,
            answers: self.crew.answers.so_far(),
        }
    }

    async fn mailbox(&self, address: &Address) -> Result<Vec<Held>, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let mut held = Vec::new();
        for listing in self.admin.mailbox(address, INBOX).await.map_err(|error| words(&error))? {
            let mut octets = Vec::new();
            let reader = self.admin.message(address, INBOX, listing.uid).await;
            let mut reader = reader.map_err(|error| format!("UID {}: {error}", listing.uid))?;
            while let Some(part) = reader.next().await.map_err(|error| words(&error))? {
                octets.extend_from_slice(&part);
            }
            held.push(Held { uid: listing.uid, queue_id: listing.queue_id, octets });
        }
        Ok(held)
    }
}

/// A client that goes from one machine to the next until it is told that its message was taken, or never will be.
async fn send_by_smtp(crew: &Arc<Crew>, number: usize, message: Arc<Message>, content: Arc<Vec<u8>>) {
    let simulator = &crew.simulator;
    let net = crew.simulation.outside(&crew.zone).net;
    let client = Client { simulator: simulator.clone(), message: message.clone(), content };
    let mut pause = CLIENT_PAUSE;
    for attempt in 0.. {
        let place = (message.place.unwrap_or(0) + attempt as usize) % crew.plan.machines.len();
        let (server, _) = crew.addresses(place);
        let made = client.attempt(&*net, server, attempt < message.cuts).await;
        let is_last = !matches!(made.answer, Answer::Later(_));
        let offer = Offer { number, attempt, place, is_whole: made.is_whole, answer: made.answer };
        crew.recorder.record(Fact::Offered(offer));
        if is_last {
            return;
        }
        let spread = simulator.between(Duration::ZERO, pause);
        simulator.sleep(pause + spread).await;
        pause = (pause * 2).min(CLIENT_PAUSE_LIMIT);
    }
}

/// `fulmar send`: a node of its own, which commits the message and releases it.
async fn send_by_node(crew: &Arc<Crew>, number: usize, message: &Message, content: &[u8]) {
    let node = Node { place: SENDERS + number, life: 1 };
    let machine = crew.simulation.machine(&machine_name(node.place), &crew.zone);
    let (theirs, sender) = (crew.clone(), machine.clone());
    let (reverse_path, recipients) = (message.reverse_path.clone(), message.recipients.clone());
    let content = Bytes::copy_from_slice(content);
    let sent = machine.run(async move {
        let engine = theirs.visitor(&sender, node).await;
        theirs.recorder.record(Fact::Life(node, Turn::Started));
        let sent = engine.send(reverse_path, recipients, content).await;
        let answer = match sent {
            Ok(queue_id) => Answer::Taken(queue_id),
            Err(reply) if reply.code >= 500 => Answer::Refused(reply.to_string()),
            Err(reply) => Answer::Later(reply.to_string()),
        };
        let offer = Offer { number, attempt: 0, place: node.place, is_whole: true, answer };
        theirs.recorder.record(Fact::Offered(offer));
        engine.shutdown(SENDER_GRACE).await;
    });
    sent.await;
    machine.kill();
    crew.recorder.record(Fact::Life(node, Turn::Stopped));
}

fn difference(
    before: &[(Place, RequestCounts)],
    after: &[(Place, RequestCounts)],
) -> Vec<(Place, RequestCounts)> {
    let of = |place| before.iter().find(|(other, _)| *other == place).map(|(_, counts)| *counts);
    let left = |(place, after): &(Place, RequestCounts)| {
        let before = of(*place)?;
        let mut counts = *after;
        counts.put -= before.put;
        counts.get -= before.get;
        counts.list -= before.list;
        counts.head -= before.head;
        counts.delete -= before.delete;
        counts.copy -= before.copy;
        Some((*place, counts))
    };
    after.iter().filter_map(left).collect()
}

/// The faults that are there.
fn in_words(faults: &Faults) -> String {
    if *faults == Faults::default() { "good weather".to_owned() } else { format!("{faults:?}") }
}

#[expect(clippy::expect_used, reason = "our own domain is one")]
fn operator_config() -> Config {
    Config::new(Domain::parse(HOME).expect("a domain"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
