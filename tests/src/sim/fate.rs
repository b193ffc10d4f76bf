//! What becomes of one request: all of it is decided here, when it is sent.

use std::time::Duration;

use fulmar_core::platform::StoreError;

use super::executor::Simulator;
use super::measured::Sent;
use super::weather::{Latency, StoreHabits, Weather};
use crate::faults::Verb;

/// After this time a request without an answer is given up by the client of S3.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How likely, where no answer comes, the connection is seen to break, rather than to be silent.
const BREAKS: f64 = 0.5;
/// How likely a request is turned away while the store turns nearly all of them away.
const TURNED_AWAY: f64 = 0.95;
/// How likely a store that is away is seen to be so at once, because connections are refused.
const SEEN_TO_BE_AWAY: f64 = 0.5;

pub(super) struct Fate {
    /// How long after it was sent it takes effect; none where it does not.
    pub(super) effect: Option<Duration>,
    pub(super) answer: Answer,
}

pub(super) enum Answer {
    /// What the effect gave, this long after it.
    Told(Duration),
    /// This instead, this long after the request was sent.
    Failed(Duration, StoreError),
}

/// How one request of this machine goes.
pub(super) fn fate(simulator: &Simulator, weather: &Weather, machine: &str, sent: Sent<'_>) -> Fate {
    let (habits, faults) = (weather.habits(), weather.faults_of(machine));
    let verb = sent.verb;
    // What was measured is a whole round: half of it is the way there.
    let measured = habits.measured.as_ref().map(|store| store.round(simulator, sent) / 2);
    let trip = || measured.unwrap_or_else(|| trip(simulator, &habits.latency));
    let request = trip();
    let failed = |effect, error| Fate { effect, answer: Answer::Failed(request + trip(), error) };
    if weather.is_away(machine) {
        return away(simulator, request);
    }
    if faults.forbidden.contains(&verb) {
        return failed(None, StoreError::Refused("AccessDenied, status 403".to_owned()));
    }
    let is_turned_away = simulator.happens(faults.slow_down)
        || weather.is_slowed_down() && simulator.happens(TURNED_AWAY)
        || weather.is_throttled(verb, sent.key);
    if is_turned_away {
        return failed(None, StoreError::Unavailable("SlowDown, status 503".to_owned()));
    }
    if simulator.happens(faults.error_before) {
        return failed(None, internal_error());
    }
    if simulator.happens(faults.error_after) {
        return failed(Some(request), internal_error());
    }
    if verb == Verb::Get && simulator.happens(faults.truncated) {
        return failed(Some(request), StoreError::Unknown("the body was cut short".to_owned()));
    }
    if simulator.happens(faults.lost_request) {
        return Fate { effect: None, answer: unanswered(simulator, request) };
    }
    if simulator.happens(faults.lost_answer) {
        return Fate { effect: Some(request), answer: unanswered(simulator, request) };
    }
    if simulator.happens(faults.late_effect) {
        let effect = Some(late(simulator, &habits));
        return Fate { effect, answer: unanswered(simulator, request) };
    }
    Fate { effect: Some(request), answer: Answer::Told(trip()) }
}

fn trip(simulator: &Simulator, latency: &Latency) -> Duration {
    let is_slow = simulator.chance(|dice| dice.below(latency.slow_one_in)) == 0;
    let (least, most) = if is_slow { latency.slow } else { latency.usual };
    simulator.between(least, most)
}

/// Short and long times are equally likely: as many are between 2 s and 4 s as between 1 and 2 minutes.
fn late(simulator: &Simulator, habits: &StoreHabits) -> Duration {
    let (least, most) = habits.late_by;
    let doublings = (most.as_secs_f64() / least.as_secs_f64().max(0.001)).log2().max(0.0);
    let drawn = simulator.chance(|dice| (dice.draw() >> 11) as f64 / (1_u64 << 53) as f64);
    least.mul_f64((drawn * doublings).exp2())
}

/// Nobody is there: told at once, or by silence.
fn away(simulator: &Simulator, request: Duration) -> Fate {
    let answer = if simulator.happens(SEEN_TO_BE_AWAY) {
        Answer::Failed(request, StoreError::Unavailable("connection refused".to_owned()))
    } else {
        unanswered(simulator, request)
    };
    Fate { effect: None, answer }
}

fn unanswered(simulator: &Simulator, request: Duration) -> Answer {
    let after = if simulator.happens(BREAKS) {
        request + simulator.between(Duration::ZERO, Duration::from_secs(5))
    } else {
        REQUEST_TIMEOUT
    };
    Answer::Failed(after, StoreError::Unknown("the connection ended without an answer".to_owned()))
}

fn internal_error() -> StoreError {
    StoreError::Unknown("InternalError, status 500".to_owned())
}
