//! One node's way to the store, which can fail, hold requests back, or end together with the node.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, pending};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use event_listener::Event;
use fulmar_core::platform::{Job, Listed, Object, Page, Payload, Spawn, Store, StoreError, When};
use fulmar_core::state::requests::RequestCounts;
use futures::future::select;
use futures::pin_mut;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Put,
    Get,
    Head,
    Delete,
    Copy,
    List,
}

impl Verb {
    /// Whether it changes the store.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Put | Self::Delete | Self::Copy)
    }

    /// One request of it.
    pub fn counted(self) -> RequestCounts {
        let mut counts = RequestCounts::default();
        *match self {
            Self::Put => &mut counts.put,
            Self::Get => &mut counts.get,
            Self::Head => &mut counts.head,
            Self::Delete => &mut counts.delete,
            Self::Copy => &mut counts.copy,
            Self::List => &mut counts.list,
        } = 1;
        counts
    }
}

/// Which requests are meant: those of a verb (or any) whose key contains a text. Copies go by the key that they write.
#[derive(Clone, Debug)]
pub struct Which {
    /// Any where there is none.
    pub verb: Option<Verb>,
    /// Part of the key.
    pub part: String,
}

impl Which {
    /// Requests of this verb to keys with this part.
    pub fn new(verb: Verb, part: &str) -> Self {
        Self { verb: Some(verb), part: part.to_owned() }
    }

    /// Requests of any verb to keys with this part.
    pub fn any(part: &str) -> Self {
        Self { verb: None, part: part.to_owned() }
    }

    pub(crate) fn matches(&self, verb: Verb, key: &str) -> bool {
        self.verb.is_none_or(|wanted| wanted == verb) && key.contains(&self.part)
    }
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It certainly did not happen, and may later.
    Unavailable,
    /// It did not happen and will not.
    Refused,
    /// Without an answer, and without effect.
    LostRequest,
    /// Without an answer, but with effect.
    LostAnswer,
}

/// When a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// At which request, from 1 on, counted from now.
    pub at: usize,
    /// Whether only writes are counted.
    pub of_writes: bool,
    /// Only requests for keys with this part are counted; all where it is empty.
    pub among: &'static str,
    /// Whether that request still takes effect. Its answer is lost either way.
    pub after_effect: bool,
}

/// The request that a node died at, once it has.
#[derive(Clone, Debug, Default)]
pub struct Fate(Arc<OnceLock<(Verb, String)>>);

impl Fate {
    /// What the request did, and its key.
    pub fn get(&self) -> Option<&(Verb, String)> {
        self.0.get()
    }
}

/// A node's life. When it ends, its jobs are dropped and its requests are never answered.
#[derive(Debug, Default)]
pub struct Life {
    is_over: Mutex<bool>,
    end: Event,
}

impl Life {
    /// Ends it.
    pub fn end(&self) {
        *lock(&self.is_over) = true;
        self.end.notify(usize::MAX);
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        *lock(&self.is_over)
    }

    /// What the work gives, or nothing if life ends before; the work is then dropped.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let ended = async {
            loop {
                let end = self.end.listen();
                if self.is_over() {
                    return;
                }
                end.await;
            }
        };
        pin_mut!(work, ended);
        match select(ended, work).await {
            futures::future::Either::Left(_) => None,
            futures::future::Either::Right((done, _)) => Some(done),
        }
    }
}

/// Jobs that end with a node's life.
#[allow(missing_debug_implementations)]
pub struct MortalSpawn {
    /// Where they run.
    pub spawn: Arc<dyn Spawn>,
    /// How long.
    pub life: Arc<Life>,
}

impl Spawn for MortalSpawn {
    fn spawn(&self, job: Job) {
        let life = self.life.clone();
        self.spawn.spawn(Box::pin(async move {
            let _ = life.during(job).await;
        }));
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.spawn.blocking(work);
    }
}

/// Requests that are held back, before they take effect or after it, until the test lets them go.
#[derive(Clone, Debug)]
pub struct Hold {
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    /// How many wait, and whether they may go.
    state: Mutex<(usize, bool)>,
    turned: Event,
}

impl Hold {
    /// Waits until so many requests are held back.
    pub async fn reached(&self, requests: usize) {
        self.gate.until(|(waiting, _)| waiting >= requests).await;
    }

    /// Lets all go, those to come as well.
    pub fn release(&self) {
        self.gate.turn(|state| state.1 = true);
    }
}

impl Gate {
    async fn pass(&self) {
        self.turn(|state| state.0 += 1);
        self.until(|(_, open)| open).await;
    }

    fn turn(&self, change: impl FnOnce(&mut (usize, bool))) {
        change(&mut lock(&self.state));
        self.turned.notify(usize::MAX);
    }

    async fn until(&self, condition: impl Fn((usize, bool)) -> bool) {
        loop {
            let turned = self.turned.listen();
            if condition(*lock(&self.state)) {
                return;
            }
            turned.await;
        }
    }
}

/// See the module.
pub struct Faulty {
    store: Arc<dyn Store>,
    life: Arc<Life>,
    /// Told of every request that was answered.
    changed: Arc<Event>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    death: Option<(Death, Fate)>,
    rules: VecDeque<(Which, Treatment, usize)>,
    requests: Vec<(Verb, String)>,
}

#[derive(Clone)]
enum Treatment {
    Fail(Failure),
    Hold(Arc<Gate>),
    HoldAnswer(Arc<Gate>),
}

enum Verdict {
    Pass,
    Die { after_effect: bool, fate: Fate },
    Treat(Treatment),
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    /// A way to the store that has no fault yet. `changed` is notified of every request that was answered.
    pub fn new(store: Arc<dyn Store>, life: Arc<Life>, changed: Arc<Event>) -> Self {
        Self { store, life, changed, state: Mutex::default() }
    }

    /// Ends the node's life at a request to come. Gives what will be known of that.
    pub fn die(&self, death: Death) -> Fate {
        let fate = Fate::default();
        lock(&self.state).death = Some((death, fate.clone()));
        fate
    }

    /// Lets the next so many of these requests fail.
    pub fn fail(&self, which: Which, failure: Failure, times: usize) {
        lock(&self.state).rules.push_back((which, Treatment::Fail(failure), times));
    }

    /// Holds back the next so many of these requests, before they take effect.
    pub fn hold(&self, which: Which, times: usize) -> Hold {
        let gate = Arc::<Gate>::default();
        lock(&self.state).rules.push_back((which, Treatment::Hold(gate.clone()), times));
        Hold { gate }
    }

    /// Holds back the answers to the next so many of these requests.
    pub fn hold_answers(&self, which: Which, times: usize) -> Hold {
        let gate = Arc::<Gate>::default();
        lock(&self.state).rules.push_back((which, Treatment::HoldAnswer(gate.clone()), times));
        Hold { gate }
    }

    /// Nothing fails and nothing is held back from now on.
    pub fn heal(&self) {
        lock(&self.state).rules.clear();
    }

    /// How many of these requests were sent.
    pub fn count(&self, which: &Which) -> usize {
        lock(&self.state).requests.iter().filter(|(verb, key)| which.matches(*verb, key)).count()
    }

    /// Everything that was asked for, in order.
    pub fn requests(&self) -> Vec<(Verb, String)> {
        lock(&self.state).requests.clone()
    }

    async fn pass<T>(
        &self,
        verb: Verb,
        key: &str,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let unanswered = || StoreError::Unknown("the answer was lost".to_owned());
        if self.life.is_over() {
            pending::<()>().await;
        }
        let result = match self.judge(verb, key) {
            Verdict::Pass => effect.await,
            Verdict::Die { after_effect, fate } => {
                if after_effect {
                    drop(effect.await);
                }
                // There is one death at most.
                let _ = fate.0.set((verb, key.to_owned()));
                self.life.end();
                self.changed.notify(usize::MAX);
                pending().await
            }
            Verdict::Treat(Treatment::Hold(gate)) => {
                gate.pass().await;
                effect.await
            }
            Verdict::Treat(Treatment::HoldAnswer(gate)) => {
                let result = effect.await;
                gate.pass().await;
                result
            }
            Verdict::Treat(Treatment::Fail(Failure::Unavailable)) => {
                Err(StoreError::Unavailable("out of order".to_owned()))
            }
            Verdict::Treat(Treatment::Fail(Failure::Refused)) => {
                Err(StoreError::Refused("no permission".to_owned()))
            }
            Verdict::Treat(Treatment::Fail(Failure::LostRequest)) => Err(unanswered()),
            Verdict::Treat(Treatment::Fail(Failure::LostAnswer)) => {
                drop(effect.await);
                Err(unanswered())
            }
        };
        if self.life.is_over() {
            pending::<()>().await;
        }
        self.changed.notify(usize::MAX);
        result
    }

    fn judge(&self, verb: Verb, key: &str) -> Verdict {
        let mut state = lock(&self.state);
        state.requests.push((verb, key.to_owned()));
        if let Some((death, fate)) = &mut state.death
            && (verb.is_write() || !death.of_writes)
            && key.contains(death.among)
        {
            death.at = death.at.saturating_sub(1);
            if death.at == 0 {
                let (after_effect, fate) = (death.after_effect, fate.clone());
                state.death = None;
                return Verdict::Die { after_effect, fate };
            }
        }
        let rule = state.rules.iter_mut().find(|(which, _, left)| *left > 0 && which.matches(verb, key));
        let Some((_, treatment, left)) = rule else { return Verdict::Pass };
        *left -= 1;
        Verdict::Treat(treatment.clone())
    }
}

#[async_trait]
impl Store for Faulty {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        self.pass(Verb::Put, key, self.store.put(key, payload, when)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.pass(Verb::Get, key, self.store.get(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.pass(Verb::Head, key, self.store.head(key)).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let first = keys.first().map_or("", String::as_str);
        self.pass(Verb::Delete, first, self.store.delete(keys)).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.pass(Verb::Copy, to, self.store.copy(from, to)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.pass(Verb::List, prefix, self.store.list(prefix, after)).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
