//! Jobs, time, chance and the trace.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use fulmar_core::platform::Job;

use crate::dice::Dice;

/// The future that the simulation is about; the others are numbered from here on.
const MAIN: u64 = 0;
/// Virtual time after which a run counts as one that will never end.
const SPAN: Duration = Duration::from_hours(24 * 14);
/// Steps at one moment after which a run counts as one in which time will never pass.
const STEPS_AT_ONCE: u64 = 2_000_000;
/// Lines of the trace that are printed where a run goes wrong.
const TOLD_LINES: usize = 60;

/// What happened in a run. Two runs of one seed have equal traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// What the doors noted, each line with its time.
    pub lines: Vec<String>,
    /// A sum of every step of every job, in order.
    pub steps: u64,
}

/// Runs a future and the jobs that it starts until it is done. The jobs are then dropped where they stand.
///
/// # Panics
///
/// Where nothing can happen any more, or the run does not end.
pub fn run<T>(seed: u64, main: impl AsyncFnOnce(Simulator) -> T) -> (T, Trace) {
    let simulator = Simulator::new(seed);
    let _telling = Telling { simulator: &simulator, seed };
    let result = simulator.drive(main(simulator.clone()));
    let mut state = simulator.end();
    (result, mem::take(&mut state.trace))
}

/// The simulator, from within. Cheap to clone.
#[derive(Clone)]
pub struct Simulator {
    state: Arc<Mutex<State>>,
    /// Apart from the state, so that waking a job never has to wait for anything.
    ready: Arc<Mutex<Vec<u64>>>,
}

struct State {
    now: Duration,
    dice: Dice,
    jobs: BTreeMap<u64, Job>,
    next_job: u64,
    timers: BTreeMap<(Duration, u64), Waker>,
    next_timer: u64,
    steps_at_once: u64,
    is_over: bool,
    trace: Trace,
}

impl Simulator {
    fn new(seed: u64) -> Self {
        let state = State {
            now: Duration::ZERO,
            dice: Dice::new(seed),
            jobs: BTreeMap::new(),
            next_job: MAIN + 1,
            timers: BTreeMap::new(),
            next_timer: 0,
            steps_at_once: 0,
            is_over: false,
            trace: Trace::default(),
        };
        Self { state: Arc::new(Mutex::new(state)), ready: Arc::default() }
    }

    /// Virtual time since the run began.
    pub fn now(&self) -> Duration {
        self.state().now
    }

    /// Draws from the seed.
    pub fn chance<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.state().dice)
    }

    /// A time between these, drawn from the seed.
    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_nanos().max(1);
        self.chance(|dice| least + Duration::from_nanos((u128::from(dice.draw()) % span) as u64))
    }

    /// Writes a line into the trace.
    pub fn note(&self, what: impl fmt::Display) {
        let mut state = self.state();
        let line = format!("{:?} {what}", state.now);
        state.trace.lines.push(line);
    }

    /// Starts a job.
    pub fn spawn(&self, job: Job) {
        let mut state = self.state();
        if state.is_over {
            drop(state);
            // Outside the lock: what the job holds may reach for the simulator when it is dropped.
            drop(job);
            return;
        }
        let number = state.next_job;
        state.next_job += 1;
        state.jobs.insert(number, job);
        drop(state);
        lock(&self.ready).push(number);
    }

    /// Waits until this time.
    pub fn sleep_until(&self, until: Duration) -> Sleep {
        Sleep { simulator: self.clone(), until, timer: None }
    }

    /// Waits this long.
    pub fn sleep(&self, delay: Duration) -> Sleep {
        self.sleep_until(self.now() + delay)
    }

    fn drive<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        lock(&self.ready).push(MAIN);
        loop {
            match self.next_ready() {
                Some(MAIN) => {
                    let waker = self.waker(MAIN);
                    if let Poll::Ready(result) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return result;
                    }
                }
                Some(number) => self.step(number),
                None => self.jump(),
            }
        }
    }

    /// Chooses one of the jobs that can go on.
    fn next_ready(&self) -> Option<u64> {
        let mut ready = lock(&self.ready);
        if ready.is_empty() {
            return None;
        }
        let mut state = self.state();
        let chosen = state.dice.below(ready.len());
        let number = ready.swap_remove(chosen);
        state.steps_at_once += 1;
        assert!(state.steps_at_once < STEPS_AT_ONCE, "time does not pass any more");
        let mut sum = DefaultHasher::new();
        (state.trace.steps, state.now, number).hash(&mut sum);
        state.trace.steps = sum.finish();
        Some(number)
    }

    fn step(&self, number: u64) {
        // One that has ended may still be woken.
        let Some(mut job) = self.state().jobs.remove(&number) else { return };
        let waker = self.waker(number);
        if job.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.state().jobs.insert(number, job);
        }
    }

    /// Lets time jump to the next timer.
    fn jump(&self) {
        let mut state = self.state();
        let next = state.timers.pop_first();
        let Some(((due, _), waker)) = next else {
            panic!("nothing can happen any more: {} jobs wait for one another", state.jobs.len());
        };
        assert!(due < SPAN, "the run has not ended in {SPAN:?}");
        if due > state.now {
            state.now = due;
            state.steps_at_once = 0;
        }
        drop(state);
        waker.wake();
    }

    fn waker(&self, number: u64) -> Waker {
        Waker::from(Arc::new(JobWaker { number, ready: self.ready.clone() }))
    }

    /// Drops all jobs and gives what is left.
    fn end(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.is_over = true;
        let (jobs, timers) = (mem::take(&mut state.jobs), mem::take(&mut state.timers));
        drop(state);
        drop((jobs, timers));
        self.state()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulator")
    }
}

struct JobWaker {
    number: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for JobWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready);
        if !ready.contains(&self.number) {
            ready.push(self.number);
        }
    }
}

/// See [`Simulator::sleep_until`].
#[derive(Debug)]
pub struct Sleep {
    simulator: Simulator,
    until: Duration,
    timer: Option<(Duration, u64)>,
}

impl Sleep {
    fn forget(&mut self) {
        if let Some(timer) = self.timer.take() {
            let waker = self.simulator.state().timers.remove(&timer);
            drop(waker);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.forget();
        let simulator = self.simulator.clone();
        let mut state = simulator.state();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let timer = (self.until, state.next_timer);
        state.next_timer += 1;
        state.timers.insert(timer, context.waker().clone());
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Tells, where a run panics, which one it was.
struct Telling<'a> {
    simulator: &'a Simulator,
    seed: u64,
}

impl Drop for Telling<'_> {
    #[expect(clippy::print_stderr, reason = "only a failing test prints")]
    fn drop(&mut self) {
        if thread::panicking() {
            let state = self.simulator.end();
            let lines = &state.trace.lines;
            let told = lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n");
            eprintln!("{told}\nthis was seed {} at {:?}", self.seed, state.now);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
