//! Jobs, processes, time, chance and the trace.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use fulmar_core::platform::Job;

use super::sleep::{Sleep, Timers};
use super::task::{Process, Ready, Task};
use super::trace::{Recorder, Trace};
use crate::dice::Dice;

/// The future that the simulation is about; the others are numbered from here on.
const MAIN: u64 = 0;
/// Virtual time after which a run counts as one that will never end.
const SPAN: Duration = Duration::from_hours(24 * 14);
/// Steps at one moment after which a run counts as one in which time will never pass.
const STEPS_AT_ONCE: u64 = 2_000_000;
/// Lines of the trace that are printed where a run goes wrong.
const TOLD_LINES: usize = 60;

/// Runs a future and the jobs that it starts until it is done. The jobs are then dropped where they stand. Takes a sum of what
/// happened; lines cost too much where thousands of seeds are run.
///
/// # Panics
///
/// Where nothing can happen any more, or the run does not end.
pub fn run<T>(seed: u64, main: impl AsyncFnOnce(Simulator) -> T) -> (T, Trace) {
    Simulator::new(seed, false).run(seed, main)
}

/// As [`run`], and takes down what happens.
///
/// # Panics
///
/// Where [`run`] does, with the same seed, and prints the last lines.
pub fn run_traced<T>(seed: u64, main: impl AsyncFnOnce(Simulator) -> T) -> (T, Trace) {
    Simulator::new(seed, true).run(seed, main)
}

/// The simulator, from within. Cheap to clone.
#[derive(Clone)]
pub struct Simulator {
    state: Arc<Mutex<State>>,
    ready: Ready,
}

pub(super) struct State {
    pub(super) now: Duration,
    pub(super) timers: Timers,
    dice: Dice,
    tasks: Vec<Option<Arc<Task>>>,
    free_slots: Vec<usize>,
    next_job: u64,
    /// By number.
    processes: Vec<Life>,
    /// Processes that have been killed in this step.
    dying: Vec<Process>,
    steps_at_once: u64,
    is_over: bool,
    recorder: Recorder,
}

/// How a process is.
struct Life {
    condition: Condition,
    /// Steps until it dies.
    doom: Option<u64>,
    /// What else is to be done when it dies, before its jobs are dropped.
    at_death: Option<Box<dyn FnOnce() + Send>>,
}

enum Condition {
    Running,
    /// With the jobs that were woken meanwhile.
    Suspended(Vec<Arc<Task>>),
    Dead,
}

impl Life {
    fn new(at_death: Option<Box<dyn FnOnce() + Send>>) -> Self {
        Self { condition: Condition::Running, doom: None, at_death }
    }
}

impl Simulator {
    fn new(seed: u64, is_traced: bool) -> Self {
        let state = State {
            now: Duration::ZERO,
            timers: Timers::default(),
            dice: Dice::new(seed),
            tasks: Vec::new(),
            free_slots: Vec::new(),
            next_job: MAIN + 1,
            processes: vec![Life::new(None)],
            dying: Vec::new(),
            steps_at_once: 0,
            is_over: false,
            recorder: Recorder::new(is_traced),
        };
        Self { state: Arc::new(Mutex::new(state)), ready: Ready::default() }
    }

    fn run<T>(self, seed: u64, main: impl AsyncFnOnce(Self) -> T) -> (T, Trace) {
        let _telling = Telling { simulator: &self, seed };
        let result = self.drive(main(self.clone()));
        let trace = self.end().recorder.end();
        (result, trace)
    }

    /// Virtual time since the run began.
    pub fn now(&self) -> Duration {
        self.state().now
    }

    /// Draws from the seed. `draw` must not use the simulator.
    pub fn chance<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.state().dice)
    }

    /// Whether something happens that does so with this probability, of 1.
    pub fn happens(&self, probability: f64) -> bool {
        // What never happens costs no draw.
        probability > 0.0
            && self.chance(|dice| (dice.draw() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }

    /// A time between these, drawn from the seed.
    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_nanos().max(1);
        self.chance(|dice| least + Duration::from_nanos((u128::from(dice.draw()) % span) as u64))
    }

    /// Whether lines are taken down.
    pub fn is_traced(&self) -> bool {
        self.state().recorder.is_traced()
    }

    /// Takes down what happened.
    pub fn note(&self, what: impl fmt::Display) {
        let mut state = self.state();
        let now = state.now;
        state.recorder.spell(&what);
        state.recorder.tell(now, what);
    }

    /// Takes down a fact, which is put in words only where somebody will read them.
    pub fn record(&self, fact: impl Hash, words: impl FnOnce() -> String) {
        let mut state = self.state();
        state.recorder.add(fact);
        if state.recorder.is_traced() {
            let now = state.now;
            drop(state);
            let words = words();
            self.state().recorder.tell(now, words);
        }
    }

    /// Starts a job that belongs to no host.
    pub fn spawn(&self, job: Job) {
        self.spawn_in(Process::WORLD, job);
    }

    /// Waits until this time.
    pub fn sleep_until(&self, until: Duration) -> Sleep {
        Sleep::new(self.clone(), until)
    }

    /// Waits this long.
    pub fn sleep(&self, delay: Duration) -> Sleep {
        self.sleep_until(self.now() + delay)
    }

    /// Starts a job of a process.
    pub(super) fn spawn_in(&self, process: Process, job: Job) {
        let mut state = self.state();
        if state.is_over || matches!(state.processes[process.0].condition, Condition::Dead) {
            drop(state);
            // Outside the lock: what the job holds may reach for the simulator when it is dropped.
            drop(job);
            return;
        }
        let number = state.next_job;
        state.next_job += 1;
        let slot = state.free_slots.pop().unwrap_or(state.tasks.len());
        let task = Task::new(number, process, slot, Some(job), &self.ready);
        if slot == state.tasks.len() {
            state.tasks.push(Some(task.clone()));
        } else {
            state.tasks[slot] = Some(task.clone());
        }
        drop(state);
        Waker::from(task).wake();
    }

    /// Begins a process.
    pub(super) fn begin(&self) -> Process {
        let mut state = self.state();
        state.processes.push(Life::new(None));
        Process(state.processes.len() - 1)
    }

    /// Has something done when a process dies, before its jobs are dropped.
    pub(super) fn at_death(&self, process: Process, what: impl FnOnce() + Send + 'static) {
        self.state().processes[process.0].at_death = Some(Box::new(what));
    }

    pub(super) fn is_alive(&self, process: Process) -> bool {
        !matches!(self.state().processes[process.0].condition, Condition::Dead)
    }

    /// Ends a process where it stands: none of its jobs makes another step. They are dropped after the step that is being made, because
    /// whoever makes that may hold what they would wait for.
    pub(super) fn kill(&self, process: Process) {
        let mut state = self.state();
        let condition = &mut state.processes[process.0].condition;
        if !matches!(condition, Condition::Dead) {
            let held = mem::replace(condition, Condition::Dead);
            state.dying.push(process);
            drop(state);
            drop(held);
        }
    }

    /// Drops what is left of processes that have been killed.
    fn bury(&self) {
        loop {
            let mut state = self.state();
            let Some(process) = state.dying.pop() else { return };
            let at_death = state.processes[process.0].at_death.take();
            let of_it = |task: &mut Option<Arc<Task>>| task.take_if(|task| task.process == process);
            let tasks: Vec<_> = state.tasks.iter_mut().filter_map(of_it).collect();
            state.free_slots.extend(tasks.iter().map(|task| task.slot));
            drop(state);
            if let Some(at_death) = at_death {
                at_death();
            }
            tasks.iter().for_each(|task| drop(task.take()));
        }
    }

    /// Ends a process when its jobs have made this many more steps.
    pub(super) fn doom(&self, process: Process, steps: u64) {
        self.state().processes[process.0].doom = Some(steps);
    }

    pub(super) fn suspend(&self, process: Process) {
        let condition = &mut self.state().processes[process.0].condition;
        if matches!(condition, Condition::Running) {
            *condition = Condition::Suspended(Vec::new());
        }
    }

    pub(super) fn resume(&self, process: Process) {
        let condition = &mut self.state().processes[process.0].condition;
        if let Condition::Suspended(held) = condition {
            lock(&self.ready).append(held);
            *condition = Condition::Running;
        }
    }

    fn drive<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        let task = Task::new(MAIN, Process::WORLD, usize::MAX, None, &self.ready);
        let waker = Waker::from(task);
        waker.wake_by_ref();
        loop {
            self.bury();
            match self.next_ready() {
                Some(task) if task.number == MAIN => {
                    self.state().count(MAIN);
                    task.leave_queue();
                    if let Poll::Ready(result) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return result;
                    }
                }
                Some(task) => self.step(task),
                None => self.jump(),
            }
        }
    }

    /// Chooses one of the jobs that can go on.
    fn next_ready(&self) -> Option<Arc<Task>> {
        let mut ready = lock(&self.ready);
        if ready.is_empty() {
            return None;
        }
        let mut state = self.state();
        let chosen = if ready.len() == 1 { 0 } else { state.dice.below(ready.len()) };
        Some(ready.swap_remove(chosen))
    }

    fn step(&self, task: Arc<Task>) {
        let mut state = self.state();
        let life = &mut state.processes[task.process.0];
        match &mut life.condition {
            Condition::Running => (),
            Condition::Suspended(held) => return held.push(task),
            Condition::Dead => return,
        }
        if let Some(steps) = &mut life.doom {
            if *steps == 0 {
                drop(state);
                self.kill(task.process);
                return;
            }
            *steps -= 1;
        }
        state.count(task.number);
        drop(state);
        task.leave_queue();
        // One that has ended may still be woken.
        let Some(mut job) = task.take() else { return };
        let waker = Waker::from(task.clone());
        let is_done = job.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if is_done {
            let mut state = self.state();
            let slot = state.tasks[task.slot].take();
            state.free_slots.push(task.slot);
            drop((state, slot));
            drop(job);
        } else {
            task.put_back(job);
        }
    }

    /// Lets time jump to the next timer.
    fn jump(&self) {
        let mut state = self.state();
        let Some((due, waker)) = state.timers.pop() else {
            let waiting = state.tasks.iter().flatten().count();
            panic!("nothing can happen any more: {waiting} jobs wait for one another");
        };
        assert!(due < SPAN, "the run has not ended in {SPAN:?}");
        if due > state.now {
            state.now = due;
            state.steps_at_once = 0;
        }
        drop(state);
        waker.wake();
    }

    /// Drops all jobs and gives what is left.
    fn end(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.is_over = true;
        let (tasks, timers) = (mem::take(&mut state.tasks), mem::take(&mut state.timers));
        let held: Vec<_> = state.processes.iter_mut().map(Life::let_go).collect();
        drop(state);
        tasks.iter().flatten().for_each(|task| drop(task.take()));
        drop((tasks, timers, held));
        lock(&self.ready).clear();
        self.state()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn count(&mut self, job: u64) {
        self.steps_at_once += 1;
        assert!(self.steps_at_once < STEPS_AT_ONCE, "time does not pass any more");
        self.recorder.step(self.now, job);
    }
}

impl Life {
    /// What it holds, to be dropped outside of locks.
    fn let_go(&mut self) -> (Condition, Option<Box<dyn FnOnce() + Send>>) {
        (mem::replace(&mut self.condition, Condition::Dead), self.at_death.take())
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simulator")
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
            let told = state.recorder.last_lines(TOLD_LINES).join("\n");
            eprintln!("{told}\nthis was seed {} at {:?}", self.seed, state.now);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
