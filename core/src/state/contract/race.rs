//! Whether of several creates at once only one succeeds.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::platform::{Clock, Instant, Payload, Store, StoreError, When};

/// Creates that race for one key.
const RACERS: usize = 50;

/// Keys that are raced for, at once.
const RACES: usize = 3;

/// Answers that are proof enough, where not all come: those that have seen nothing before the winner wrote come with it.
const DECISIVE: usize = 10;

/// Races on fresh keys until one tells something.
const TRIES: usize = 5;

/// Why a store did not pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaceError {
    /// Several creates won, or none, or another one than the store said.
    #[error("{0}")]
    Broken(String),
    /// Requests failed, and that says nothing about races.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// Races creates on a few fresh keys in `folder` (which ends with `/`), and deletes what they left. Fails unless each time
/// exactly one succeeds and its content is what the key holds. Asking one after the other would not do: there are stores
/// that look before they write, and pass that.
///
/// A racer that gets no answer may have won. One that is told to come later has not. Where most fare like that the race
/// proves nothing and is run again.
///
/// With `patience` no race takes longer, though answers are missing: there are sound stores that make the losers of a race
/// wait for half a minute.
pub async fn race_probe(
    store: &dyn Store,
    folder: &str,
    patience: Option<(&dyn Clock, Duration)>,
) -> Result<(), RaceError> {
    let races =
        (0..RACES).map(|number| race_until_decided(store, format!("{folder}race-{number}-"), patience));
    let raced: Result<(), RaceError> = join_all(races).await.into_iter().collect();
    let keys = (0..RACES).flat_map(|number| (1..=TRIES).map(move |tries| (number, tries)));
    let keys: Vec<_> = keys.map(|(number, tries)| format!("{folder}race-{number}-{tries}")).collect();
    let cleared = store.delete(&keys).await;
    raced.and(cleared.map_err(RaceError::Failed))
}

async fn race_until_decided(
    store: &dyn Store,
    keys: String,
    patience: Option<(&dyn Clock, Duration)>,
) -> Result<(), RaceError> {
    let mut tries = 1;
    loop {
        let until = patience.map(|(clock, patience)| (clock, clock.instant() + patience));
        match race(store, &format!("{keys}{tries}"), until).await {
            Err(RaceError::Failed(error)) if error.is_transient() && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

async fn race(store: &dyn Store, key: &str, until: Option<(&dyn Clock, Instant)>) -> Result<(), RaceError> {
    let create = |racer| async move { (racer, store.put(key, entry(racer), When::Absent).await) };
    let mut creates: FuturesUnordered<_> = (0..RACERS).map(create).collect();
    let mut answers = vec![Err(StoreError::Unknown("no answer in time".to_owned())); RACERS];
    loop {
        let next = match until {
            Some((clock, until)) => clock.before(until, creates.next()).await.flatten(),
            None => creates.next().await,
        };
        let Some((racer, answer)) = next else { break };
        answers[racer] = answer;
    }
    drop(creates);
    let held = match store.get(key, None).await {
        Ok(object) => Some(object.bytes),
        Err(StoreError::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    judge(&answers, held)
}

fn judge(answers: &[Result<(), StoreError>], held: Option<Bytes>) -> Result<(), RaceError> {
    let broken = |what: &str| Err(RaceError::Broken(what.to_owned()));
    let (mut winners, mut unanswered, mut losers) = (Vec::new(), Vec::new(), 0);
    for (racer, answer) in answers.iter().enumerate() {
        match answer {
            Ok(()) => winners.push(racer),
            Err(StoreError::AlreadyExists) => losers += 1,
            Err(StoreError::Unknown(_)) => unanswered.push(racer),
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => return Err(RaceError::Failed(error.clone())),
        }
    }
    if winners.len() > 1 {
        return broken(&format!("{} of {} creates on one key succeeded", winners.len(), answers.len()));
    }
    if losers == answers.len() {
        return broken("no create succeeded");
    }
    let is_won = !winners.is_empty() || !unanswered.is_empty();
    if !is_won || (winners.len() + losers) * 2 < answers.len().min(2 * DECISIVE) {
        let told = winners.len() + losers;
        let reason = format!("only {told} of {} creates at once on one key were answered", answers.len());
        return Err(StoreError::Unavailable(reason).into());
    }
    let possible = if winners.is_empty() { unanswered } else { winners };
    let Some(held) = held else { return broken("a create succeeded and the key holds nothing") };
    let is_possible = possible.into_iter().any(|racer| entry(racer).to_bytes() == held);
    if is_possible { Ok(()) } else { broken("the key does not hold what the successful create wrote") }
}

/// What a racer writes.
fn entry(racer: usize) -> Payload {
    Bytes::from(format!("racer {racer}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Judged {
        Sound,
        Broken,
        Undecided,
        Refused,
    }

    #[test]
    fn a_race_has_exactly_one_winner_and_keeps_what_it_wrote() {
        let won = || Ok(());
        let lost = || Err(StoreError::AlreadyExists);
        let later = || Err(StoreError::Unavailable("slow down".into()));
        let unanswered = || Err(StoreError::Unknown("no answer".into()));
        let refused = || Err(StoreError::Refused("no permission".into()));
        for (answers, holder, expected) in [
            (vec![lost(), won(), lost()], Some(1), Judged::Sound),
            (vec![later(), won(), lost()], Some(1), Judged::Sound),
            (vec![unanswered(), won(), lost()], Some(1), Judged::Sound),
            (vec![unanswered(), lost(), lost()], Some(0), Judged::Sound),
            (vec![won(), won(), lost()], Some(1), Judged::Broken),
            (vec![won(), won(), later(), later(), later()], Some(1), Judged::Broken),
            (vec![lost(), won(), lost()], Some(0), Judged::Broken),
            (vec![lost(), won(), lost()], None, Judged::Broken),
            (vec![lost(), lost(), lost()], None, Judged::Broken),
            (vec![unanswered(), won(), lost()], Some(0), Judged::Broken),
            (vec![unanswered(), lost(), lost()], Some(1), Judged::Broken),
            (vec![lost(), later(), lost()], Some(1), Judged::Undecided),
            (vec![unanswered(), lost(), unanswered()], Some(2), Judged::Undecided),
            (vec![later(), won(), later()], Some(1), Judged::Undecided),
            (vec![later(), later(), later()], None, Judged::Undecided),
            (vec![refused(), won(), lost()], Some(1), Judged::Refused),
        ] {
            let held = holder.map(|racer| entry(racer).to_bytes());
            let judged = match judge(&answers, held) {
                Ok(()) => Judged::Sound,
                Err(RaceError::Broken(_)) => Judged::Broken,
                Err(RaceError::Failed(error)) if error.is_transient() => Judged::Undecided,
                Err(RaceError::Failed(_)) => Judged::Refused,
            };
            assert_eq!(judged, expected, "{answers:?} {holder:?}");
        }
    }
}
