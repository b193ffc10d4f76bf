//! Makes a scenario happen, heals everything, waits until nothing is left to do, and gathers what the checks need.

mod ending;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fulmar_core::admin::{Action, Admin};
use fulmar_core::config::Config;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::state::account::INBOX;

use self::ending::QUIETING;
use super::archive::Archive;
use super::case::Case;
use super::content::compose;
use super::crew::{Crew, host_address, machine_name};
use super::history::{Fact, Place, Recorder};
use super::plan::{Deed, HOME, Plan, account};
use super::reader;
use super::remote::Remote;
use super::senders::{send_by_node, send_by_smtp};
use super::{Doors, ground};
use crate::sim::{Faults, Machine, Simulator};

/// The operator's machine, on which nothing fails but by its own mistakes.
const OPERATOR: &str = "operator";
/// What is said of weather in which nothing goes wrong.
pub const GOOD_WEATHER: &str = "good weather";

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
}

/// The faults that there are, with how likely each is.
fn in_words(faults: &Faults) -> String {
    let all = format!("{faults:?}");
    let inner = all.split_once('{').map_or(all.as_str(), |(_, rest)| rest).trim_end_matches('}');
    let there: Vec<_> = inner
        .split(", ")
        .map(str::trim)
        .filter(|part| !part.ends_with(": 0.0") && !part.ends_with("[]"))
        .collect();
    if there.is_empty() { GOOD_WEATHER.to_owned() } else { there.join(", ") }
}

#[expect(clippy::expect_used, reason = "our own domain is one")]
fn operator_config() -> Config {
    let mut config = Config::new(Domain::parse(HOME).expect("a domain"));
    config.verification.is_on = false;
    config
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
