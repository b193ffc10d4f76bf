//! A writer with segments under way, its checkpoints and its compaction, and whoever adopts its log.
//!
//! Segment n carries message n, so a log's state is a set of numbers. The adopter may begin at any time, since nothing that the
//! writer does keeps others from thinking it dead; it may end at any step and begin anew, as itself or as the next adopter. A
//! segment may be deleted as soon as a checkpoint covers it: that is sooner than in production, where a day passes.
//!
//! Left out: records that end entries (replay is idempotent: property-tested beside it), damaged objects, and the
//! chain of owners, which is `adoption`'s.

use super::explorer::Model;

/// Segments that may be under way at once, and numbers that an adopter looks at from the first hole on.
const WINDOW: u8 = 2;
/// Segments that the writer writes.
const SEGMENTS: u8 = 4;
/// Numbers that somebody may put an object under.
const NUMBERS: usize = (SEGMENTS + WINDOW) as usize;
/// Numbers that a checkpoint may cover up to.
const COVERS: usize = SEGMENTS as usize + 1;

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The adopter seals the first missing number and looks no further.
    SealsOnlyTheFirstHole,
    /// The adopter looks at fewer numbers than may be under way.
    ReadsFewerThanTheWindow,
    /// An adopter that finds a seal takes it for the end of the log.
    TakesASealForTheEnd,
    /// The adopter does not look for newer checkpoints once it has read.
    NoSecondLook,
    /// A checkpoint covers everything that was sent.
    CheckpointAboveAHole,
    /// Segments are deleted before the checkpoint is known to stand.
    DeletesBeforeTheCheckpointStands,
    /// The writer replaces what is under its number.
    WriterOverwrites,
    /// The adopter's seal replaces what is under its number.
    SealOverwrites,
    /// The writer sends more than the window allows.
    SendsBeyondTheWindow,
    /// Seals are deleted while the writer still has the right to write.
    DeletesSealsEarly,
    /// Heartbeats renew the right to write.
    HeartbeatsRenewTheRight,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Writer {
    /// What is broken.
    pub mutant: Option<Mutant>,
}

/// What is under a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Object {
    #[default]
    Nothing,
    Segment,
    Seal,
}

/// A checkpoint, with the messages in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Checkpoint {
    #[default]
    Never,
    UnderWay(u8),
    Stands(u8),
    Deleted,
}

/// Where the adopter is. Sets of messages and numbers are bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Adopter {
    #[default]
    Idle,
    /// It has read the latest checkpoint, and lists the log next.
    HasCheckpoint { from: u8, live: u8 },
    /// It has listed the log, and reads or seals `number` next.
    Reads { listed: u8, number: u8, hole: Option<u8>, live: u8 },
    /// It lists checkpoints once more.
    LooksAgain { hole: u8, live: u8 },
    /// Its Adopt stands.
    Done { live: u8 },
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    log: [Object; NUMBERS],
    checkpoints: [Checkpoint; COVERS],
    /// The first number that was never used.
    next: u8,
    /// Numbers whose create was sent, and whose answer has not come.
    under_way: u8,
    acknowledged: u8,
    /// The highest number that the writer knows a checkpoint to cover up to.
    covered: u8,
    /// The writer has ended, or knows that the log is not its own any more.
    is_gone: bool,
    adopter: Adopter,
    /// A day has passed since the log was adopted.
    day_over: bool,
}

/// A step.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Action {
    Send(u8),
    TakesEffect(u8),
    CertainlyFails(u8),
    Acknowledge(u8),
    FoundForeign(u8),
    WriterEnds,
    SendCheckpoint(u8),
    CheckpointTakesEffect(u8),
    CheckpointIsAnswered(u8),
    DeleteSegment(u8),
    DeleteCheckpoint(u8),
    AdopterReadsCheckpoint,
    AdopterLists,
    AdopterReads(u8),
    AdopterSeals(u8),
    AdopterStartsOver,
    AdopterAdopts,
    DayPasses,
    DeleteSeal(u8),
}

fn bit(number: u8) -> u8 {
    1 << number
}

fn below(number: u8) -> u8 {
    bit(number) - 1
}

impl State {
    fn lowest_unacknowledged(&self) -> u8 {
        self.acknowledged.trailing_ones() as u8
    }

    /// The latest checkpoint that stands: what it covers up to, and what is in it.
    fn latest_checkpoint(&self) -> (u8, u8) {
        let standing = (0..).zip(self.checkpoints).filter_map(|(covers, checkpoint)| match checkpoint {
            Checkpoint::Stands(live) => Some((covers, live)),
            _ => None,
        });
        standing.last().unwrap_or((0, 0))
    }

    fn at(&mut self, number: u8) -> &mut Object {
        &mut self.log[number as usize]
    }

    fn checkpoint(&mut self, covers: u8) -> &mut Checkpoint {
        &mut self.checkpoints[covers as usize]
    }
}

impl Writer {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn writer(&self, state: &State, step: &mut impl FnMut(Action, &dyn Fn(&mut State))) {
        for number in 0..SEGMENTS {
            let object = state.log[number as usize];
            if state.under_way & bit(number) == 0 {
                let is_vacant = number < state.next && state.acknowledged & bit(number) == 0;
                let window = if self.is(Mutant::SendsBeyondTheWindow) { WINDOW + 1 } else { WINDOW };
                let is_next = number == state.next && number < state.lowest_unacknowledged() + window;
                if !state.is_gone && (is_vacant || is_next) {
                    step(Action::Send(number), &|next| {
                        next.under_way |= bit(number);
                        next.next = next.next.max(number + 1);
                    });
                }
                continue;
            }
            match object {
                // Long after it was sent, and after its sender has ended.
                Object::Nothing => {
                    step(Action::TakesEffect(number), &|next| *next.at(number) = Object::Segment);
                    step(Action::CertainlyFails(number), &|next| next.under_way &= !bit(number));
                }
                Object::Seal if self.is(Mutant::WriterOverwrites) => {
                    step(Action::TakesEffect(number), &|next| *next.at(number) = Object::Segment);
                }
                Object::Segment if !state.is_gone => step(Action::Acknowledge(number), &|next| {
                    next.under_way &= !bit(number);
                    next.acknowledged |= bit(number);
                }),
                Object::Seal if !state.is_gone => {
                    step(Action::FoundForeign(number), &|next| next.is_gone = true);
                }
                Object::Segment | Object::Seal => {}
            }
        }
        if !state.is_gone {
            step(Action::WriterEnds, &|next| next.is_gone = true);
        }
    }

    fn compaction(&self, state: &State, step: &mut impl FnMut(Action, &dyn Fn(&mut State))) {
        for (covers, checkpoint) in (0..).zip(state.checkpoints) {
            match checkpoint {
                Checkpoint::UnderWay(live) => {
                    step(Action::CheckpointTakesEffect(covers), &|next| {
                        *next.checkpoint(covers) = Checkpoint::Stands(live);
                    });
                }
                Checkpoint::Stands(_) if state.is_gone => {}
                Checkpoint::Stands(_) if covers > state.covered => {
                    step(Action::CheckpointIsAnswered(covers), &|next| next.covered = covers);
                }
                Checkpoint::Stands(_) if covers < state.covered => {
                    step(Action::DeleteCheckpoint(covers), &|next| {
                        *next.checkpoint(covers) = Checkpoint::Deleted;
                    });
                }
                Checkpoint::Stands(_) | Checkpoint::Never | Checkpoint::Deleted => {}
            }
        }
        if state.is_gone {
            return;
        }
        let covers = match self.is(Mutant::CheckpointAboveAHole) {
            true => state.next,
            false => state.lowest_unacknowledged(),
        };
        let sent = (0..).zip(state.checkpoints).filter(|(_, checkpoint)| *checkpoint != Checkpoint::Never);
        let sent = sent.map(|(covers, _)| covers).max().unwrap_or(0);
        if covers > sent {
            step(Action::SendCheckpoint(covers), &|next| {
                *next.checkpoint(covers) = Checkpoint::UnderWay(next.acknowledged);
            });
        }
        let known = if self.is(Mutant::DeletesBeforeTheCheckpointStands) { sent } else { state.covered };
        for number in (0..known).filter(|number| state.log[*number as usize] == Object::Segment) {
            step(Action::DeleteSegment(number), &|next| *next.at(number) = Object::Nothing);
        }
    }

    fn adopter(&self, state: &State, step: &mut impl FnMut(Action, &dyn Fn(&mut State))) {
        match state.adopter {
            Adopter::Idle => {
                let (from, live) = state.latest_checkpoint();
                step(Action::AdopterReadsCheckpoint, &|next| {
                    next.adopter = Adopter::HasCheckpoint { from, live };
                });
            }
            Adopter::HasCheckpoint { from, live } => {
                let numbers = (0..).zip(state.log).filter(|(_, object)| *object != Object::Nothing);
                let listed = numbers.fold(0, |listed, (number, _)| listed | bit(number)) & !below(from);
                step(Action::AdopterLists, &|next| {
                    next.adopter = Adopter::Reads { listed, number: from, hole: None, live };
                });
            }
            Adopter::Reads { listed, number, hole, live } => {
                self.adopter_reads(state, [listed, number, live], hole, step);
            }
            Adopter::LooksAgain { hole, live } => {
                if state.latest_checkpoint().0 > hole && !self.is(Mutant::NoSecondLook) {
                    step(Action::AdopterStartsOver, &|next| next.adopter = Adopter::Idle);
                } else {
                    step(Action::AdopterAdopts, &|next| next.adopter = Adopter::Done { live });
                }
            }
            Adopter::Done { .. } => {}
        }
        if !matches!(state.adopter, Adopter::Idle | Adopter::Done { .. }) {
            step(Action::AdopterStartsOver, &|next| next.adopter = Adopter::Idle);
        }
    }

    fn adopter_reads(
        &self,
        state: &State,
        [listed, number, live]: [u8; 3],
        hole: Option<u8>,
        step: &mut impl FnMut(Action, &dyn Fn(&mut State)),
    ) {
        let window = match self.mutant {
            Some(Mutant::SealsOnlyTheFirstHole) => 1,
            Some(Mutant::ReadsFewerThanTheWindow) => WINDOW - 1,
            _ => WINDOW,
        };
        let goes_on = |hole: Option<u8>, live: u8| match hole {
            Some(hole) if number + 1 >= hole + window => Adopter::LooksAgain { hole, live },
            _ => Adopter::Reads { listed, number: number + 1, hole, live },
        };
        let was_listed = listed & bit(number) != 0;
        match state.log[number as usize] {
            // Compacted since it was listed.
            Object::Nothing if was_listed => {
                step(Action::AdopterStartsOver, &|next| next.adopter = Adopter::Idle);
            }
            Object::Segment if !was_listed && self.is(Mutant::SealOverwrites) => {
                step(Action::AdopterSeals(number), &|next| {
                    *next.at(number) = Object::Seal;
                    next.adopter = goes_on(hole.or(Some(number)), live);
                });
            }
            Object::Nothing => step(Action::AdopterSeals(number), &|next| {
                *next.at(number) = Object::Seal;
                next.adopter = goes_on(hole.or(Some(number)), live);
            }),
            Object::Segment => step(Action::AdopterReads(number), &|next| {
                next.adopter = goes_on(hole, live | bit(number));
            }),
            Object::Seal if self.is(Mutant::TakesASealForTheEnd) => {
                step(Action::AdopterReads(number), &|next| {
                    next.adopter = Adopter::LooksAgain { hole: hole.unwrap_or(number), live };
                });
            }
            Object::Seal => step(Action::AdopterReads(number), &|next| {
                next.adopter = goes_on(hole.or(Some(number)), live);
            }),
        }
    }

    /// What happens once the log's entries live elsewhere.
    fn afterwards(&self, state: &State, step: &mut impl FnMut(Action, &dyn Fn(&mut State))) {
        if !matches!(state.adopter, Adopter::Done { .. }) {
            return;
        }
        if !state.day_over {
            step(Action::DayPasses, &|next| {
                next.day_over = true;
                // Its last success was long ago, for its next number has a seal or is a hole between seals.
                next.is_gone |= !self.is(Mutant::HeartbeatsRenewTheRight);
            });
        }
        if state.day_over || self.is(Mutant::DeletesSealsEarly) {
            for (number, _) in (0..).zip(state.log).filter(|(_, object)| *object == Object::Seal) {
                step(Action::DeleteSeal(number), &|next| *next.at(number) = Object::Nothing);
            }
        }
    }
}

impl Model for Writer {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        State::default()
    }

    fn next(&self, state: &State) -> Vec<(Action, State)> {
        let mut steps = Vec::new();
        let mut step = |action: Action, effect: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            effect(&mut next);
            steps.push((action, next));
        };
        self.writer(state, &mut step);
        self.compaction(state, &mut step);
        self.adopter(state, &mut step);
        self.afterwards(state, &mut step);
        steps
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        match state.adopter {
            Adopter::Done { live } if state.acknowledged & !live != 0 => {
                Some("a message was acknowledged and is not among those adopted")
            }
            _ => None,
        }
    }

    fn is_end(&self, state: &State) -> bool {
        matches!(state.adopter, Adopter::Done { .. }) && state.is_gone
    }
}
