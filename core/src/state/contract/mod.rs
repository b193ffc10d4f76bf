//! What every store must do, as cases that can be run against any of them.
//!
//! The tests run them against the stores that we bring, and `fulmar store check` against a bucket: some stores that call
//! themselves compatible ignore create-if-absent without a word, or let several racers win, and on those mail is lost.

mod ground;
mod listing;
mod race;
mod reading;
mod writing;

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};

use self::ground::Ground;
pub use self::race::{RaceError, race_probe};
use crate::model::id::ENTROPY_OCTETS;
use crate::model::{Nonce, UtcTime};
use crate::platform::Store;
use crate::state::layout;

/// How a store did in one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was asked of it, as a sentence.
    pub case: &'static str,
    /// What it did instead, where it failed.
    pub outcome: Result<(), String>,
}

/// Runs every case, one after the other. All that is written lies below `<prefix>check/<ulid>/`, with a ULID made of `draw`
/// ([`Platform::draw`](crate::platform::Platform::draw)), and is deleted at the end; `prefix` is empty or ends with `/`.
///
/// Takes about 1,500 requests. Nothing is repeated: where single requests may fail, hand in a store that repeats them.
pub async fn check(
    store: &dyn Store,
    prefix: &str,
    (now, entropy): (UtcTime, [u8; ENTROPY_OCTETS]),
) -> Vec<Verdict> {
    let folder = format!("{prefix}{}", layout::check(Nonce::draw(now, entropy)));
    let mut verdicts = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        let ground = Ground::new(store, format!("{folder}{number:02}/"));
        verdicts.push(Verdict { case: case.sentence, outcome: (case.run)(&ground).await });
    }
    let outcome = Ground::new(store, folder).clear().await;
    verdicts.push(Verdict { case: CLEARED, outcome });
    verdicts
}

struct Case {
    sentence: &'static str,
    run: for<'a> fn(&'a Ground<'a>) -> BoxFuture<'a, Result<(), String>>,
}

const CASES: &[Case] = &[
    Case {
        sentence: "what was put is read back identical, whether it came in one piece or in many",
        run: |ground| reading::round_trip(ground).boxed(),
    },
    Case {
        sentence: "an object of 4 MiB is read back identical",
        run: |ground| reading::large_object(ground).boxed(),
    },
    Case {
        sentence: "an object that does not exist is not found",
        run: |ground| reading::missing(ground).boxed(),
    },
    Case {
        sentence: "a range gives the part of it that lies within the object",
        run: |ground| reading::ranges(ground).boxed(),
    },
    Case {
        sentence: "get, head and list agree about an object",
        run: |ground| reading::agreement(ground).boxed(),
    },
    Case {
        sentence: "a key is kept as it is, whatever its characters",
        run: |ground| reading::special_keys(ground).boxed(),
    },
    Case {
        sentence: "last-modified times never go back from one write to the next",
        run: |ground| reading::modified(ground).boxed(),
    },
    Case {
        sentence: "a create succeeds where nothing is, and leaves alone what is there",
        run: |ground| writing::create(ground).boxed(),
    },
    Case {
        sentence: "of creates that race for one key exactly one succeeds, and what it wrote stays",
        run: |ground| race_probe(ground.store, &ground.folder).map_err(|error| error.to_string()).boxed(),
    },
    Case {
        sentence: "an overwrite replaces the whole content, and the ETag if there is one",
        run: |ground| writing::overwrite(ground).boxed(),
    },
    Case {
        sentence: "a reader beside a writer sees the old content or the new one, whole",
        run: |ground| writing::overwrite_beside_readers(ground).boxed(),
    },
    Case {
        sentence: "deleting works on one object or on many, and again on those that are gone",
        run: |ground| writing::delete(ground).boxed(),
    },
    Case {
        sentence: "a copy is identical, replaces what is there, and outlives its original",
        run: |ground| writing::copy(ground).boxed(),
    },
    Case {
        sentence: "a listing of over 1,000 objects gives each key once, with its size",
        run: |ground| listing::many(ground).boxed(),
    },
    Case { sentence: "a listing stays within its folder", run: |ground| listing::boundaries(ground).boxed() },
    Case {
        sentence: "a listing after a folder's name and a tilde skips the folder",
        run: |ground| listing::skipping(ground).boxed(),
    },
    Case {
        sentence: "a listing shows at once what was written and what was deleted",
        run: |ground| listing::freshness(ground).boxed(),
    },
];

const CLEARED: &str = "everything that was written can be found and deleted";
