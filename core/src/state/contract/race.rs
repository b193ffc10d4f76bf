//! Whether of several creates at once only one succeeds.

use bytes::Bytes;
use futures::future::join_all;

use crate::platform::{Payload, Store, StoreError, When};

/// Creates that race for one key. Few, because SeaweedFS lets those that lost wait in turns of a second, of which a race for
/// one key takes about half as many as it has racers.
const RACERS: usize = 5;

/// Keys that are raced for at once: all racers together are as many as a busy node has requests under way.
const KEYS: usize = 10;

/// Rounds of such races, one after the other.
const ROUNDS: usize = 3;

/// Races in the place of one, each for a fresh key, until it tells something.
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

/// Races creates on fresh keys in `folder` (which ends with `/`), and deletes what they left. Fails unless for each key
/// exactly one succeeds and its content is what the key holds. Asking one after the other would not do: there are stores
/// that look before they write, and pass that.
///
/// A racer that gets no answer may have won. One that is told to come later has not. Where most fare like that the race
/// proves nothing and is run again.
pub async fn race_probe(store: &dyn Store, folder: &str) -> Result<(), RaceError> {
    let mut keys = Vec::new();
    let raced = race_all(store, folder, &mut keys).await;
    let cleared = store.delete(&keys).await;
    raced.and(cleared.map_err(RaceError::Failed))
}

/// Leaves in `keys` what is to be deleted.
async fn race_all(store: &dyn Store, folder: &str, keys: &mut Vec<String>) -> Result<(), RaceError> {
    for round in 0..ROUNDS {
        let places = (0..KEYS).map(|number| race_until_told(store, format!("{folder}race-{round}-{number}")));
        let mut outcomes = Vec::new();
        for (raced_for, outcome) in join_all(places).await {
            keys.extend(raced_for);
            outcomes.push(outcome);
        }
        outcomes.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

/// Gives the keys that were raced for, and what the last race told.
async fn race_until_told(store: &dyn Store, place: String) -> (Vec<String>, Result<(), RaceError>) {
    let mut keys = Vec::new();
    loop {
        let key = format!("{place}-{}", keys.len());
        let outcome = race(store, &key).await;
        keys.push(key);
        match outcome {
            Err(RaceError::Failed(error)) if error.is_transient() && keys.len() < TRIES => {}
            outcome => return (keys, outcome),
        }
    }
}

async fn race(store: &dyn Store, key: &str) -> Result<(), RaceError> {
    let creates = (0..RACERS).map(|racer| store.put(key, entry(racer), When::Absent));
    let answers = join_all(creates).await;
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
    if !is_won || (winners.len() + losers) * 2 < answers.len() {
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
