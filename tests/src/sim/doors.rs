//! Jobs, time, chance and names, as a simulated node sees them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Answer, Clock, Dns, DnsError, Entropy, Instant, Job, Question, Spawn};

use super::executor::{Simulator, lock};
use super::machine::Place;
use super::task::Process;
use super::weather::{NameTrouble, Weather};
use crate::zone::Zone;

/// When every run begins.
const BEGINNING: UtcTime = UtcTime(1_795_306_347_500);
/// How long an answer about a name takes.
const LOOKUP: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(80));
/// How long a slow one takes.
const SLOW_LOOKUP: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// When the resolver gives up on servers that do not answer.
const NO_LOOKUP: Duration = Duration::from_secs(20);
/// A clock that runs right, of which drifts are parts.
const MILLION: i64 = 1_000_000;

/// Wall time as it really is.
pub(super) fn true_utc(now: Duration) -> UtcTime {
    BEGINNING.after(now)
}

pub(super) struct SimSpawn {
    pub(super) simulator: Simulator,
    pub(super) process: Process,
}

impl Spawn for SimSpawn {
    fn spawn(&self, job: Job) {
        self.simulator.spawn_in(self.process, job);
    }

    /// There is no other thread: it takes no virtual time.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.spawn(Box::pin(async move { work() }));
    }
}

/// A host's clocks. Both run on one oscillator, which may be off; only that of the wall may be set.
pub(super) struct HostClock {
    simulator: Simulator,
    setting: Mutex<Setting>,
}

#[derive(Clone, Copy)]
struct Setting {
    /// When, in virtual time, it was set.
    at: Duration,
    /// The boot clock at that time.
    boot: Duration,
    /// How far the wall's clock was off then, in milliseconds.
    offset: i64,
    drift_ppm: i64,
}

impl Setting {
    /// How much passes by this clock while this much does.
    fn elapsed(&self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at);
        if self.drift_ppm == 0 {
            return passed;
        }
        let true_nanos = passed.as_nanos();
        let rate = u128::from((MILLION + self.drift_ppm).max(1).unsigned_abs());
        Duration::from_nanos((true_nanos * rate / u128::from(MILLION.unsigned_abs())) as u64)
    }

    fn boot(&self, now: Duration) -> Duration {
        self.boot + self.elapsed(now)
    }

    /// The first virtual time at which the boot clock shows this.
    fn when(&self, boot: Duration) -> Duration {
        let rate = u128::from((MILLION + self.drift_ppm).max(1).unsigned_abs());
        let nanos = boot.saturating_sub(self.boot).as_nanos() * u128::from(MILLION.unsigned_abs());
        self.at + Duration::from_nanos(u64::try_from(nanos.div_ceil(rate)).unwrap_or(u64::MAX))
    }
}

impl HostClock {
    /// A right clock of a host that booted this long before the run.
    pub(super) fn new(simulator: Simulator, booted_before: Duration) -> Self {
        let setting = Setting { at: Duration::ZERO, boot: booted_before, offset: 0, drift_ppm: 0 };
        Self { simulator, setting: Mutex::new(setting) }
    }

    pub(super) fn set(&self, offset: i64, drift_ppm: i64) {
        let at = self.simulator.now();
        let mut setting = lock(&self.setting);
        *setting = Setting { at, boot: setting.boot(at), offset, drift_ppm };
    }

    /// Waits until the boot clock shows this.
    pub(super) async fn wait_until(&self, instant: Instant) {
        // The clock may be set meanwhile.
        while self.instant() < instant {
            let due = lock(&self.setting).when(instant.since_origin());
            self.simulator.sleep_until(due).await;
        }
    }

    pub(super) fn instant(&self) -> Instant {
        Instant::from_origin(lock(&self.setting).boot(self.simulator.now()))
    }

    pub(super) fn utc(&self) -> UtcTime {
        let (now, setting) = (self.simulator.now(), *lock(&self.setting));
        let UtcTime(shown) = true_utc(setting.at).after(setting.elapsed(now));
        UtcTime(shown.saturating_add_signed(setting.offset))
    }
}

pub(super) struct SimClock(pub(super) Place);

#[async_trait]
impl Clock for SimClock {
    fn utc(&self) -> UtcTime {
        self.0.host.clock.utc()
    }

    fn instant(&self) -> Instant {
        self.0.host.clock.instant()
    }

    async fn sleep_until(&self, instant: Instant) {
        self.0.host.clock.wait_until(instant).await;
    }
}

pub(super) struct SimEntropy(pub(super) Simulator);

impl Entropy for SimEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.chance(|dice| buffer.fill_with(|| dice.draw() as u8));
    }
}

/// The zone, which takes its time.
pub(super) struct SimDns {
    pub(super) simulator: Simulator,
    pub(super) weather: Arc<Weather>,
    pub(super) place: Place,
    pub(super) zone: Arc<Zone>,
}

impl SimDns {
    fn trouble(&self, question: &Question) -> Option<NameTrouble> {
        let faults = self.weather.faults_of(&self.place.host.name);
        let by_chance = [
            (faults.dns_failure, NameTrouble::Fails),
            (faults.dns_timeout, NameTrouble::TimesOut),
            (faults.dns_slow, NameTrouble::Slow),
        ];
        let drawn = || by_chance.into_iter().find(|(chance, _)| self.simulator.happens(*chance));
        self.weather.name_trouble(question.name.as_str()).or_else(|| drawn().map(|(_, trouble)| trouble))
    }
}

#[async_trait]
impl Dns for SimDns {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let trouble = self.trouble(question);
        let (least, most) = match trouble {
            Some(NameTrouble::TimesOut) => (NO_LOOKUP, NO_LOOKUP),
            Some(NameTrouble::Slow) => SLOW_LOOKUP,
            Some(NameTrouble::Fails) | None => LOOKUP,
        };
        self.simulator.sleep(self.simulator.between(least, most)).await;
        let answer = match trouble {
            Some(NameTrouble::Fails) => Err(DnsError::ServFail("the servers fail".to_owned())),
            Some(NameTrouble::TimesOut) => Err(DnsError::ServFail("no server answers".to_owned())),
            Some(NameTrouble::Slow) | None => self.zone.lookup(question).await,
        };
        let machine = &self.place.host.name;
        self.simulator.record((question.kind as u8, answer.is_ok()), || {
            format!("{machine} looks up {} {:?}: {answer:?}", question.name, question.kind)
        });
        answer
    }
}
