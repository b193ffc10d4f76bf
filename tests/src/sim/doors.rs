//! Jobs, time, chance and names, as a simulated node sees them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Answer, Clock, Dns, DnsError, Entropy, Instant, Job, Question, Spawn};

use super::executor::Simulator;
use crate::zone::Zone;

/// When every run begins.
const BEGINNING: UtcTime = UtcTime(1_795_306_347_500);
/// How long an answer about a name takes.
const LOOKUP: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(80));

pub(super) struct SimSpawn(pub(super) Simulator);

impl Spawn for SimSpawn {
    fn spawn(&self, job: Job) {
        self.0.spawn(job);
    }

    /// There is no other thread: it takes no virtual time.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn(Box::pin(async move { work() }));
    }
}

pub(super) struct SimClock(pub(super) Simulator);

#[async_trait]
impl Clock for SimClock {
    fn utc(&self) -> UtcTime {
        utc(&self.0)
    }

    fn instant(&self) -> Instant {
        Instant::from_origin(self.0.now())
    }

    async fn sleep_until(&self, instant: Instant) {
        self.0.sleep_until(instant.since_origin()).await;
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
    pub(super) zone: Arc<Zone>,
}

#[async_trait]
impl Dns for SimDns {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let delay = self.simulator.between(LOOKUP.0, LOOKUP.1);
        self.simulator.sleep(delay).await;
        let answer = self.zone.lookup(question).await;
        self.simulator.note(format_args!("lookup {} {:?}: {answer:?}", question.name, question.kind));
        answer
    }
}

/// Wall time; nobody's clock is wrong.
pub(super) fn utc(simulator: &Simulator) -> UtcTime {
    BEGINNING.after(simulator.now())
}
