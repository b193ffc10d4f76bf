//! What goes wrong: knobs that may be turned at any time. A new world's weather is calm.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::executor::{Simulator, lock};
use super::measured::{Measured, Throttle};
use super::net::SimNet;
use crate::faults::Verb;

/// How likely each thing is to go wrong, between 0 and 1: per request for those of the store, per connection for those of the
/// network, per question for those of DNS.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Faults {
    /// The request never arrives; its sender hears nothing, or that the connection broke.
    pub lost_request: f64,
    /// The request takes effect; its sender hears nothing, or that the connection broke.
    pub lost_answer: f64,
    /// Status 500, without effect.
    pub error_before: f64,
    /// Status 500, with effect.
    pub error_after: f64,
    /// The request takes effect long after its sender was told of a failure, or has given up: see [`StoreHabits::late_by`].
    pub late_effect: f64,
    /// Status 503 or 429, without effect.
    pub slow_down: f64,
    /// What a get reads is cut short on its way.
    pub truncated: f64,
    /// Verbs that are not permitted.
    pub forbidden: Vec<Verb>,
    /// The connection is refused.
    pub connect_refused: f64,
    /// The connection never comes about.
    pub connect_lost: f64,
    /// The connection is reset amid some octet.
    pub cut: f64,
    /// From some octet on nothing arrives any more, either way, and neither end is told.
    pub stalled: f64,
    /// From some octet on one direction is closed, and the other goes on.
    pub half_closed: f64,
    /// The name servers fail at once.
    pub dns_failure: f64,
    /// The name servers give no answer, until the resolver gives up.
    pub dns_timeout: f64,
    /// The answer takes seconds.
    pub dns_slow: f64,
}

/// How the store is, in good weather too. Not healed by [`Weather::calm`].
#[derive(Clone, Debug, PartialEq)]
pub struct StoreHabits {
    /// How long requests and their answers are under way.
    pub latency: Latency,
    /// A store's times and limits as they were measured. They count instead of `latency` where they are known.
    pub measured: Option<Measured>,
    /// After which time late effects come: between these.
    pub late_by: (Duration, Duration),
    /// Whether its clock tells whole seconds only, as that of S3 does in listings.
    pub whole_seconds: bool,
    /// How far its clock is off, in milliseconds.
    pub clock_offset: i64,
    /// Objects on one page of a listing: between these.
    pub page_objects: (usize, usize),
    /// Whether it lists `/` before every other character.
    pub slash_first: bool,
    /// What it makes of create-if-absent.
    pub create: CreateIfAbsent,
}

/// How long a request is under way to the store, and as long again its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Between these.
    pub usual: (Duration, Duration),
    /// Of one in `slow_one_in`.
    pub slow: (Duration, Duration),
    /// See `slow`.
    pub slow_one_in: usize,
}

impl Latency {
    /// A store nearby.
    pub const FAST: Self = Self {
        usual: (Duration::from_micros(200), Duration::from_millis(10)),
        slow: (Duration::from_millis(10), Duration::from_millis(800)),
        slow_one_in: 20,
    };
    /// S3 as it is measured: tens of milliseconds, seconds at worst.
    pub const S3: Self = Self {
        usual: (Duration::from_millis(5), Duration::from_millis(40)),
        slow: (Duration::from_millis(100), Duration::from_secs(3)),
        slow_one_in: 50,
    };
}

impl Default for StoreHabits {
    fn default() -> Self {
        Self {
            latency: Latency::FAST,
            measured: None,
            late_by: (Duration::from_secs(2), Duration::from_mins(3)),
            whole_seconds: false,
            clock_offset: 0,
            page_objects: (50, 1_000),
            slash_first: false,
            create: CreateIfAbsent::Kept,
        }
    }
}

/// What a store makes of create-if-absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateIfAbsent {
    /// Of several racing creates exactly one succeeds.
    Kept,
    /// It looks and then writes: several racers may succeed, latecomers do not.
    Raced,
    /// Every create replaces what is there.
    Ignored,
}

/// How questions about one name go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTrouble {
    /// The servers fail at once.
    Fails,
    /// The servers give no answer.
    TimesOut,
    /// The answer takes seconds.
    Slow,
}

/// A process that is made to stand still right where it asks the store for something: such moments are hardly ever met by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ambush {
    /// At requests of this verb,
    pub verb: Verb,
    /// whose key has this in it,
    pub part: &'static str,
    /// with this probability,
    pub probability: f64,
    /// for a time between these: before the request is sent, or after that, and then it takes its course meanwhile.
    pub stands_still: (Duration, Duration),
}

/// The weather of one world, shared by all that is in it.
pub struct Weather {
    simulator: Simulator,
    net: Arc<SimNet>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: Arc<Faults>,
    /// By machine; these count instead of those for all.
    machines: BTreeMap<String, Arc<Faults>>,
    habits: Arc<StoreHabits>,
    throttle: Throttle,
    /// Until when the store is away, for all and for single machines.
    away: Duration,
    machines_away: BTreeMap<String, Duration>,
    /// Until when the store tells everybody to slow down.
    slow_down: Duration,
    names: BTreeMap<String, NameTrouble>,
    ambushes: Arc<[Ambush]>,
    is_shortcut_off: bool,
}

impl Weather {
    pub(super) fn new(simulator: Simulator, net: Arc<SimNet>) -> Self {
        Self { simulator, net, state: Mutex::default() }
    }

    /// What goes wrong for those machines that have no faults of their own.
    pub fn faults(&self) -> Faults {
        Faults::clone(&self.state().all)
    }

    /// Sets what goes wrong, but for machines that have faults of their own.
    pub fn set(&self, faults: Faults) {
        self.simulator.note(format_args!("weather: {faults:?}"));
        self.state().all = Arc::new(faults);
    }

    /// Sets what goes wrong for one machine, instead of what goes wrong for all.
    pub fn set_for(&self, machine: &str, faults: Faults) {
        self.simulator.note(format_args!("weather for {machine}: {faults:?}"));
        self.state().machines.insert(machine.to_owned(), Arc::new(faults));
    }

    /// Changes how the store is.
    pub fn change_store(&self, change: impl FnOnce(&mut StoreHabits)) {
        change(Arc::make_mut(&mut self.state().habits));
    }

    /// Takes the store away, for this long from now: from one machine only, or from all.
    pub fn store_away(&self, machine: Option<&str>, how_long: Duration) {
        self.simulator.note(format_args!("the store is away from {machine:?} for {how_long:?}"));
        let until = self.simulator.now() + how_long;
        let mut state = self.state();
        match machine {
            Some(machine) => drop(state.machines_away.insert(machine.to_owned(), until)),
            None => state.away = until,
        }
    }

    /// Has the store turn nearly every request away as too many, for this long from now.
    pub fn slow_down(&self, how_long: Duration) {
        self.simulator.note(format_args!("the store slows everybody down for {how_long:?}"));
        self.state().slow_down = self.simulator.now() + how_long;
    }

    /// Makes questions about one name go wrong.
    pub fn trouble_name(&self, name: &str, trouble: NameTrouble) {
        self.simulator.note(format_args!("{name} {trouble:?}"));
        self.state().names.insert(name.to_owned(), trouble);
    }

    /// Has processes stand still at certain requests, whatever they are sent to.
    pub fn ambush(&self, ambushes: &[Ambush]) {
        self.simulator.note(format_args!("{ambushes:?}"));
        self.state().ambushes = ambushes.into();
    }

    /// Whether a process may be told that another one on its host is gone. On at first.
    pub fn set_same_host_shortcut(&self, is_on: bool) {
        self.state().is_shortcut_off = !is_on;
    }

    /// Heals everything, what [`SimNet`] blocks and connections that have stalled too. How the store is stays, and requests under
    /// way already go as they were to go.
    pub fn calm(&self) {
        self.simulator.note("all faults heal");
        let mut state = self.state();
        let (habits, is_shortcut_off) = (state.habits.clone(), state.is_shortcut_off);
        *state = State { habits, is_shortcut_off, ..State::default() };
        drop(state);
        self.net.heal();
    }

    pub(super) fn faults_of(&self, machine: &str) -> Arc<Faults> {
        let state = self.state();
        state.machines.get(machine).unwrap_or(&state.all).clone()
    }

    /// How long a process is to stand still at this request.
    pub(super) fn ambushed(&self, verb: Verb, key: &str) -> Option<Duration> {
        let ambushes = self.state().ambushes.clone();
        let is_meant = |ambush: &&Ambush| ambush.verb == verb && key.contains(ambush.part);
        let ambush = ambushes.iter().find(is_meant).filter(|it| self.simulator.happens(it.probability))?;
        Some(self.simulator.between(ambush.stands_still.0, ambush.stands_still.1))
    }

    /// Whether processes may still be made to stand still.
    pub(super) fn has_ambushes(&self) -> bool {
        !self.state().ambushes.is_empty()
    }

    pub(super) fn habits(&self) -> Arc<StoreHabits> {
        self.state().habits.clone()
    }

    pub(super) fn is_away(&self, machine: &str) -> bool {
        let (now, state) = (self.simulator.now(), self.state());
        let away = state.machines_away.get(machine).copied().unwrap_or_default();
        now < state.away.max(away)
    }

    pub(super) fn is_slowed_down(&self) -> bool {
        let (now, state) = (self.simulator.now(), self.state());
        now < state.slow_down
    }

    /// Whether a request is more than this part of the store takes.
    pub(super) fn is_throttled(&self, verb: Verb, key: &str) -> bool {
        let (now, mut state) = (self.simulator.now(), self.state());
        let State { habits, throttle, .. } = &mut *state;
        habits.measured.as_ref().is_some_and(|store| throttle.turns_away(store, verb, key, now))
    }

    pub(super) fn name_trouble(&self, name: &str) -> Option<NameTrouble> {
        let state = self.state();
        // Names are put in words only where some are in trouble.
        if state.names.is_empty() { None } else { state.names.get(name).copied() }
    }

    pub(super) fn has_shortcut(&self) -> bool {
        !self.state().is_shortcut_off
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Weather")
    }
}
