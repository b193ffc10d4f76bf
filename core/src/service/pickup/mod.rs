//! Sends what is put into `pickup/`: any object there whose name ends with `.eml` is taken for a message, sent once, and removed.
//!
//! Its envelope is what its `X-Fulmar-From` and `X-Fulmar-To` fields say, which are not sent, or else what its header says. Lines may end
//! with LF. An object under a name that is in use is another message as soon as it differs in ETag or time; a name should not be used
//! again before its object is gone, since no store removes an object only as long as it is the one that was read.
//!
//! # Durable states
//!
//! `e` stands for the last epoch of the chain `spool/pickup/<hash>/`; only its last link counts.
//!
//! | state | `pickup/` | chain | the owner's log |
//! |---|---|---|---|
//! | put | yes | – or e: GivenUp | – |
//! | claimed | yes | e: By(owner) | – |
//! | accepted | yes | e: By(owner) | Accept, under the queue id that the hash gives |
//! | done | – | e: By(owner) | Accept |
//! | accepted, and cannot be removed | yes | e: Accepted | Accept, perhaps no more |
//! | refused | yes | e: Refused | – |
//!
//! **The Accept is the transfer.** A claim names a log, and only that log takes the message ([`Acceptance::under`]): a node that has been fenced
//! since, or has begun another log, is refused. Whoever finds a claim of a log that is released or closed, and so cannot grow, reads the
//! segments that were written since the claim: the Accept is there, and only the object is left to be removed; or it is not and never will
//! be, and the next epoch is claimed. So one log at a time may take the message, and two Accepts never live side by side. All give it the
//! same queue id, so that no mailbox takes it twice whatever happens.
//!
//! # Crashes of the owner
//!
//! - *Before the claim:* nothing was written.
//! - *After the claim:* its heartbeat stood when it claimed, so the log is adopted like any other and closed; then the next node claims.
//! - *After the Accept:* the same, but the Accept is found. A segment stays for a day after its log was closed, and whoever adopts
//!   looks here in the same round.
//! - *Before the object is removed:* the same.
//! - *After it was removed:* nobody sees the hash any more. The chain is garbage.
//! - *Amid a refusal:* the next node comes to the same one.
//!
//! An Accept without an answer is no crash: the claim stays, and this node looks into its own log until the Accept is there or the log is closed.
//! Where it was certainly not written the claim is given up, and tried again after a pause that doubles.
//!
//! # Garbage
//!
//! A chain whose links are all a day old, by the store's clock, and whose hash is that of no object in `pickup/` may be removed: who
//! claims it nevertheless, having slept for a day, finds no object.
//!
//! [`Acceptance::under`]: crate::queue::Acceptance::under

mod claims;
mod content;
mod envelope;

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};

use self::claims::{ChainError, Fate};
use self::content::{Fault, Reader};
use super::reception::{ContentFault, ContentSink, Submission, accept, resolve_all};
use super::{Context, signing};
use crate::model::reply::Severity;
use crate::model::{BodyType, Event, Incarnation, MailOptions, QueueId, Reply};
use crate::platform::{Instant, Listed, StoreError};
use crate::queue::{AcceptedBody, Refusal};
use crate::state::layout;
use crate::state::pickup::{PickupClaim, PickupHash};
use crate::state::requests::{Purpose, Requests};

/// What names of messages end with. Others are left alone without a word.
const SUFFIX: &str = ".eml";
/// Objects that are seen to in one round.
const ROUND: usize = 256;
/// After this long a round begins with no other object: whoever calls it has more to do.
const ROUND_TIME: Duration = Duration::from_secs(5);
/// Pages of the listing that are looked at in one round, where what is on them is known already.
const PAGES: usize = 4;
/// Objects at a time, each with at most one piece of a large body (2 MiB) and one range of the object (1 MiB) in memory.
const AT_ONCE: usize = 8;
/// Objects that are remembered. Beyond, those that will not be sent are forgotten, and reported once more.
const REMEMBERED: usize = 10_000;
/// How long an object that somebody else has claimed is left to them before it is looked at again.
const CLAIMED_REST: Duration = Duration::from_secs(5);
/// Pause after an object could not be sent or removed; it doubles up to `PAUSE_LIMIT`.
const PAUSE: Duration = Duration::from_secs(30);
/// See `PAUSE`.
const PAUSE_LIMIT: Duration = Duration::from_hours(1);

/// See the module. Remembers what it has seen, so that a round in which nothing is new costs one listing. A node has one: what was asked of
/// the queue is known to nobody else.
#[derive(Debug)]
pub struct Pickup {
    context: Arc<Context>,
    requests: Requests,
    known: Mutex<BTreeMap<PickupHash, Known>>,
    /// Where the next round goes on, if the last one did not come to the end.
    after: Option<String>,
}

/// What is known of an object that was looked at and is still there.
#[derive(Clone, Copy, Debug)]
struct Known {
    state: State,
    /// It is not looked at before.
    until: Instant,
    /// How long it rests after the next failure.
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It can be looked at again.
    Waiting,
    /// It will not be sent.
    Left,
    /// It was handed to the queue under the claim of this owner, and there was no answer yet.
    Asked(Incarnation),
    /// It is in the queue.
    Accepted,
}

/// What came of looking at an object.
enum Taken {
    /// It is in the queue, and gone.
    Done(QueueId),
    /// It is gone, or another one.
    Replaced,
    /// It will not be sent.
    Left(String),
    /// Somebody else is about it, or it comes to nothing now for a reason that needs no words.
    Claimed,
    /// It was not accepted and may be later.
    Later(String),
    /// It was accepted and is still there.
    Unremoved(String),
    /// Whether it was accepted will be seen.
    Unanswered(String),
}

impl From<ChainError> for Taken {
    fn from(error: ChainError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<StoreError> for Taken {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl Pickup {
    /// A pickup that has seen nothing.
    pub fn new(context: Arc<Context>) -> Self {
        Self { requests: context.requests.of(Purpose::Pickup), context, known: Mutex::default(), after: None }
    }

    /// Looks into `pickup/` and sees to what is new there, a bounded part of it. Gives how many objects are done with. May be dropped at any
    /// await. Fails where the folder cannot be listed; trouble with one object is reported, and keeps nobody else waiting.
    pub async fn round(&mut self) -> Result<usize, StoreError> {
        let until = self.requests.platform().clock.instant() + ROUND_TIME;
        let found = self.look().await?;
        let this = &*self;
        let done = stream::iter(found).map(|listed| this.see_to(listed, until)).buffer_unordered(AT_ONCE);
        Ok(done.filter(|is_done| ready(*is_done)).count().await)
    }

    /// Whether the last round did not come to the end of the folder.
    pub fn has_more(&self) -> bool {
        self.after.is_some()
    }

    /// Whether there are objects that may be sent or removed later.
    pub fn is_waiting(&self) -> bool {
        self.known().values().any(|known| known.state != State::Left)
    }

    /// Whether it is done with. What is not begun in time is as new to the next round.
    async fn see_to(&self, listed: Listed, until: Instant) -> bool {
        if self.requests.platform().clock.instant() > until {
            return false;
        }
        let taken = self.take(&listed).await.unwrap_or_else(|early| early);
        self.note(&listed, taken)
    }

    /// The objects to be seen to in this round.
    async fn look(&mut self) -> Result<Vec<Listed>, StoreError> {
        let requests = self.requests.clone();
        let now = requests.platform().clock.instant();
        let (mut found, mut seen) = (Vec::<Listed>::new(), BTreeSet::new());
        let is_from_start = self.after.is_none();
        for _ in 0..PAGES {
            let page = requests.page(layout::PICKUP, self.after.as_deref()).await?;
            self.after = page.objects.last().filter(|_| page.more).map(|last| last.key.clone());
            for listed in page.objects.into_iter().filter(|listed| listed.key.ends_with(SUFFIX)) {
                let hash = PickupHash::of(&listed);
                seen.insert(hash);
                let is_due = self
                    .known()
                    .get(&hash)
                    .is_none_or(|known| known.state != State::Left && known.until <= now);
                if is_due && found.len() == ROUND {
                    self.after = found.last().map(|last| last.key.clone());
                    return Ok(found);
                }
                if is_due {
                    found.push(listed);
                }
            }
            if self.after.is_none() {
                if is_from_start {
                    self.forget_all_but(&seen).await;
                }
                break;
            }
        }
        Ok(found)
    }

    /// Forgets objects that are gone. What was asked of the log that is still being written stays known though a listing may leave it out:
    /// asked once more it would be sent twice.
    async fn forget_all_but(&self, seen: &BTreeSet<PickupHash>) {
        let current = self.current().await;
        self.known().retain(|hash, known| {
            seen.contains(hash) || matches!(known.state, State::Asked(owner) if Some(owner) == current)
        });
    }

    async fn current(&self) -> Option<Incarnation> {
        self.context.spool.current().await.map(|current| current.incarnation)
    }

    /// Does whatever can be done now about one object. What ends it early is no failure.
    async fn take(&self, listed: &Listed) -> Result<Taken, Taken> {
        let (requests, hash) = (&self.requests, PickupHash::of(listed));
        let limit = self.context.config.smtp.message_size;
        if listed.size > limit {
            return Ok(Taken::Left(format!("it has more than {limit} octets")));
        }
        let id = hash.queue_id(listed.modified);
        let end = claims::end(requests, &hash).await?;
        let owner = match end.claim {
            None | Some(PickupClaim::GivenUp) => return self.claim(listed, end.epoch + 1).await,
            Some(PickupClaim::Refused(reason)) => return Ok(Taken::Left(reason)),
            Some(PickupClaim::Accepted(_)) => return Ok(self.remove(listed, id).await),
            Some(PickupClaim::By(owner)) => owner,
        };
        let state = self.known().get(&hash).map(|known| known.state);
        let fate = match state {
            Some(State::Accepted) => Fate::Accepted,
            Some(State::Asked(asked)) if asked == owner => {
                claims::fate(requests, owner, end.written, id, true).await?
            }
            // The claim had no answer, or the round was cut off behind it: nothing was asked yet.
            _ if self.current().await == Some(owner) => return self.send(listed, end.epoch, owner).await,
            _ => claims::fate(requests, owner, end.written, id, false).await?,
        };
        match fate {
            Fate::Accepted => Ok(self.finish(listed, end.epoch, id).await),
            Fate::Never => self.claim(listed, end.epoch + 1).await,
            Fate::Open => Ok(Taken::Claimed),
        }
    }

    async fn claim(&self, listed: &Listed, epoch: u64) -> Result<Taken, Taken> {
        // A claim without a heartbeat would stay for good if this node died.
        let owner = match self.context.spool.stand().await {
            Ok(owner) => owner,
            Err(Refusal::Closing) => return Ok(Taken::Claimed),
            Err(refusal) => return Ok(Taken::Later(refusal.to_string())),
        };
        if !claims::link(&self.requests, listed, epoch, PickupClaim::By(owner)).await? {
            return Ok(Taken::Claimed);
        }
        self.send(listed, epoch, owner).await
    }

    /// Accepts an object that this node has claimed. Nothing has been asked of the queue under this claim yet.
    async fn send(&self, listed: &Listed, epoch: u64, owner: Incarnation) -> Result<Taken, Taken> {
        let (submission, header, body) = match self.compose(listed, owner).await {
            Ok(composed) => composed,
            Err(Fault::Replaced) => return Ok(Taken::Replaced),
            Err(Fault::Later(reason)) => return self.give_up(listed, epoch, reason).await,
            Err(Fault::Unsendable(reason)) => {
                let refused = PickupClaim::Refused(reason.clone());
                claims::link(&self.requests, listed, epoch + 1, refused).await?;
                return Ok(Taken::Left(reason));
            }
        };
        // Before it is asked: this may be dropped while it waits for the answer.
        self.set(listed, State::Asked(owner));
        match accept(&self.context, submission, header, body).await {
            Ok(id) => {
                self.set(listed, State::Accepted);
                Ok(self.finish(listed, epoch, id).await)
            }
            // This alone promises that it was not accepted.
            Err(Refusal::Store(reason)) => self.give_up(listed, epoch, reason).await,
            Err(refusal) => Ok(Taken::Unanswered(refusal.to_string())),
        }
    }

    async fn give_up(&self, listed: &Listed, epoch: u64, reason: String) -> Result<Taken, Taken> {
        self.set(listed, State::Waiting);
        // If that fails the claim is still ours, and a later round goes on with it.
        claims::link(&self.requests, listed, epoch + 1, PickupClaim::GivenUp).await?;
        Ok(Taken::Later(reason))
    }

    /// Removes an object that is in the queue. If that cannot be done now it is written down, to be known also when the Accept is not to be
    /// found any more.
    async fn finish(&self, listed: &Listed, epoch: u64, id: QueueId) -> Taken {
        let taken = self.remove(listed, id).await;
        if let Taken::Unremoved(_) = taken {
            // If that fails, too, the next round does the same.
            let _ = claims::link(&self.requests, listed, epoch + 1, PickupClaim::Accepted(id)).await;
        }
        taken
    }

    /// Removes an object that is in the queue, unless it is another one by now.
    async fn remove(&self, listed: &Listed, id: QueueId) -> Taken {
        let requests = &self.requests;
        let removed = match requests.head(&listed.key).await {
            Ok(Some(now)) if content::is_same(listed, &now) => {
                requests.delete(std::slice::from_ref(&listed.key)).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_or_else(|error| Taken::Unremoved(error.to_string()), |()| Taken::Done(id))
    }

    /// The message that an object is, its body in the store where it is large.
    async fn compose(
        &self,
        listed: &Listed,
        owner: Incarnation,
    ) -> Result<(Submission<'_>, Vec<u8>, AcceptedBody), Fault> {
        let mut reader = Reader::new(&self.requests, listed);
        let (envelope, first) = reader.header(self.context.config.smtp.header_block).await?;
        let recipients = resolve_all(&self.context, &envelope.forward_paths).await.map_err(refused)?;
        let mut sink = ContentSink::hashing(self.context.clone(), signing::body_methods);
        let (mut body, mut size) = (BodyType::SevenBit, 0);
        let mut next = Some([envelope.header, first].concat());
        while let Some(octets) = next {
            if !octets.is_ascii() {
                body = BodyType::EightBitMime;
            }
            size += octets.len() as u64;
            sink.push(&octets).await.map_err(untaken)?;
            next = reader.next().await?;
        }
        let limit = self.context.config.smtp.message_size;
        if size > limit {
            return Err(Fault::Unsendable(format!("with CRLF line ends it has more than {limit} octets")));
        }
        let content = sink.finish().await.map_err(untaken)?;
        let signed = signing::sign_for_author(&self.context, &content.header, &content.hashes).await;
        let signatures = signed.map_err(|error| Fault::Later(error.to_string()))?;
        let submission = Submission {
            verdict: None,
            id: PickupHash::of(listed).queue_id(listed.modified),
            under: Some(owner),
            session: None,
            received_from: None,
            by: &self.context.config.hostname,
            with: None,
            cipher: None,
            reverse_path: envelope.reverse_path,
            options: MailOptions::of(body),
            recipients,
            named: envelope.forward_paths,
            results: signatures,
        };
        Ok((submission, content.header, content.body))
    }

    /// Remembers and reports what came of looking at an object; whether it is done with.
    fn note(&self, listed: &Listed, taken: Taken) -> bool {
        let key = listed.key.clone();
        let is_done = matches!(taken, Taken::Done(_));
        let trouble = |doing: String, error| Some(Event::Trouble { doing, error });
        let event = match taken {
            Taken::Done(queue_id) => {
                self.known().remove(&PickupHash::of(listed));
                Some(Event::PickedUp { key, queue_id })
            }
            Taken::Replaced => {
                self.known().remove(&PickupHash::of(listed));
                None
            }
            Taken::Left(reason) => {
                self.set(listed, State::Left);
                Some(Event::PickupLeft { key, reason })
            }
            Taken::Claimed => {
                self.rest(listed, Some(CLAIMED_REST));
                None
            }
            Taken::Unanswered(error) => {
                self.rest(listed, Some(CLAIMED_REST));
                trouble(format!("taking {key}"), error)
            }
            Taken::Later(error) => {
                self.rest(listed, None);
                trouble(format!("taking {key}"), error)
            }
            Taken::Unremoved(error) => {
                self.set(listed, State::Accepted);
                self.rest(listed, None);
                trouble(format!("removing {key}, which is in the queue"), error)
            }
        };
        if let Some(event) = event {
            self.context.journal.report(&event);
        }
        is_done
    }

    fn set(&self, listed: &Listed, state: State) {
        self.change(listed, |known, _| known.state = state);
    }

    /// Leaves an object alone for so long, or for its own pause, which doubles.
    fn rest(&self, listed: &Listed, time: Option<Duration>) {
        self.change(listed, |known, now| {
            known.until = now + time.unwrap_or(known.pause);
            if time.is_none() {
                known.pause = (known.pause * 2).min(PAUSE_LIMIT);
            }
        });
    }

    fn change(&self, listed: &Listed, change: impl FnOnce(&mut Known, Instant)) {
        let now = self.requests.platform().clock.instant();
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.retain(|_, known| known.state != State::Left);
        }
        let new = Known { state: State::Waiting, until: now, pause: PAUSE };
        change(known.entry(PickupHash::of(listed)).or_insert(new), now);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<PickupHash, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client would be told of a recipient.
fn refused(reply: Reply) -> Fault {
    match reply.severity() {
        Severity::Transient => Fault::Later(reply.to_string()),
        Severity::Positive | Severity::Permanent => Fault::Unsendable(reply.to_string()),
    }
}

/// Content that was not taken: nothing of it has been accepted.
fn untaken(fault: ContentFault) -> Fault {
    match fault {
        ContentFault::Reply(reply) => refused(reply),
        ContentFault::Refusal(refusal) => Fault::Later(refusal.to_string()),
    }
}
