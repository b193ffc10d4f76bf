//! Whether of several creates at once only one succeeds.

use bytes::Bytes;
use futures::future::join_all;

use crate::platform::{Payload, Store, StoreError, When};

/// Creates that race for one key.
const RACERS: usize = 50;

/// Keys that are raced for, one after the other.
const RACES: usize = 3;

/// Races creates on a few fresh keys in `folder` (which ends with `/`), and deletes what they left. Fails unless each time
/// exactly one succeeds and its content is what the key holds. Asking one after the other would not do: there are stores
/// that look before they write, and pass that.
///
/// A racer that gets no answer may have won. One that is told to come later has not.
pub async fn race_probe(store: &dyn Store, folder: &str) -> Result<(), String> {
    let keys: Vec<_> = (0..RACES).map(|race| format!("{folder}race-{race}")).collect();
    let mut raced = Ok(());
    for key in &keys {
        raced = raced.and(race(store, key).await);
    }
    let cleared = store.delete(&keys).await;
    raced.and(cleared.map_err(|error| format!("delete: {error}")))
}

async fn race(store: &dyn Store, key: &str) -> Result<(), String> {
    let creates = (0..RACERS).map(|racer| store.put(key, entry(racer), When::Absent));
    let answers = join_all(creates).await;
    let held = match store.get(key, None).await {
        Ok(object) => Some(object.bytes),
        Err(StoreError::NotFound) => None,
        Err(error) => return Err(format!("get: {error}")),
    };
    judge(&answers, held)
}

fn judge(answers: &[Result<(), StoreError>], held: Option<Bytes>) -> Result<(), String> {
    let mut winners = Vec::new();
    let mut unanswered = Vec::new();
    for (racer, answer) in answers.iter().enumerate() {
        match answer {
            Ok(()) => winners.push(racer),
            Err(StoreError::Unknown(_)) => unanswered.push(racer),
            Err(StoreError::AlreadyExists | StoreError::Unavailable(_)) => {}
            Err(error) => return Err(format!("create: {error}")),
        }
    }
    let possible = match winners[..] {
        [] if unanswered.is_empty() => return Err("no create succeeded".into()),
        [] => unanswered,
        [_] => winners,
        _ => return Err(format!("{} of {} creates on one key succeeded", winners.len(), answers.len())),
    };
    let Some(held) = held else { return Err("a create succeeded and the key holds nothing".into()) };
    let is_possible = possible.into_iter().any(|racer| entry(racer).to_bytes() == held);
    if is_possible { Ok(()) } else { Err("the key does not hold what the successful create wrote".into()) }
}

/// What a racer writes.
fn entry(racer: usize) -> Payload {
    Bytes::from(format!("racer {racer}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_has_exactly_one_winner_and_keeps_what_it_wrote() {
        let won = || Ok(());
        let lost = || Err(StoreError::AlreadyExists);
        let later = || Err(StoreError::Unavailable("slow down".into()));
        let unanswered = || Err(StoreError::Unknown("no answer".into()));
        let refused = || Err(StoreError::Refused("no permission".into()));
        for (answers, holder, is_sound) in [
            (vec![lost(), won(), lost()], Some(1), true),
            (vec![later(), won(), lost()], Some(1), true),
            (vec![unanswered(), won(), lost()], Some(1), true),
            (vec![unanswered(), lost(), unanswered()], Some(2), true),
            (vec![won(), won(), lost()], Some(1), false),
            (vec![lost(), won(), lost()], Some(0), false),
            (vec![lost(), won(), lost()], None, false),
            (vec![unanswered(), won(), lost()], Some(0), false),
            (vec![unanswered(), lost(), lost()], Some(1), false),
            (vec![lost(), later(), lost()], Some(1), false),
            (vec![refused(), won(), lost()], Some(1), false),
        ] {
            let held = holder.map(|racer| entry(racer).to_bytes());
            assert_eq!(judge(&answers, held).is_ok(), is_sound, "{answers:?} {holder:?}");
        }
    }
}
