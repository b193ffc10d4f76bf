//! Why a copy came more than once: what was done to the hosts that handed it over.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Repeat;

/// How long content may lie in sockets before the other host has written it down.
const TRANSIT_SECONDS: f64 = 5.0;

/// What was done to a host; times in seconds since 1970.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    /// The host's name in its greetings; none for the store.
    pub host: Option<String>,
    /// Such as `kill`, `stop` or `term`.
    pub kind: String,
    /// When it began.
    pub at: f64,
    /// When it was over.
    pub until: f64,
}

/// When a copy came, in seconds since 1970, and from whom.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When.
    pub at: f64,
    /// The sending host's name in its greeting.
    pub host: String,
}

/// For each copy after the first: why it is there, or a complaint that nothing explains it.
pub fn explain(
    repeat: &Repeat,
    arrivals: &BTreeMap<String, Arrival>,
    faults: &[Fault],
) -> Vec<Result<String, String>> {
    let mut copies: Vec<(&String, &Arrival)> =
        repeat.places.iter().filter_map(|place| Some((place, arrivals.get(place)?))).collect();
    copies.sort_by(|(_, one), (_, other)| one.at.total_cmp(&other.at));
    let explain_pair = |pair: &[(&String, &Arrival)]| {
        let [(first_place, first), (second_place, second)] = pair else { return Err(String::new()) };
        let is_reason = |fault: &&Fault| {
            let is_theirs =
                fault.host.as_ref().is_some_and(|host| *host == first.host || *host == second.host);
            is_theirs
                && fault.kind != "term"
                && fault.at <= second.at
                && fault.until >= first.at - TRANSIT_SECONDS
        };
        let reason = faults.iter().rev().find(is_reason);
        reason.map(|fault| fault.kind.clone()).ok_or_else(|| {
            format!(
                "{}: {first_place} at {:.3} from {}, {second_place} at {:.3} from {}",
                repeat.message, first.at, first.host, second.at, second.host
            )
        })
    };
    copies.windows(2).map(explain_pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(host: Option<&str>, kind: &str, at: f64, until: f64) -> Fault {
        Fault { host: host.map(ToOwned::to_owned), kind: kind.to_owned(), at, until }
    }

    #[test]
    fn a_second_copy_is_explained_by_what_was_done_to_a_host_that_handed_one_over_and_by_nothing_else() {
        let arrivals = [("1", 100.0, "a.test"), ("2", 140.0, "b.test")];
        let arrivals =
            arrivals.map(|(place, at, host)| (place.to_owned(), Arrival { at, host: host.to_owned() }));
        let arrivals = BTreeMap::from(arrivals);
        let repeat = Repeat { message: "m".to_owned(), places: vec!["2".to_owned(), "1".to_owned()] };
        for (fault, is_reason) in [
            (fault(Some("a.test"), "kill", 101.0, 103.0), true),
            (fault(Some("a.test"), "kill", 90.0, 94.0), false),
            (fault(Some("a.test"), "kill", 141.0, 143.0), false),
            (fault(Some("b.test"), "stop", 80.0, 139.0), true),
            (fault(Some("c.test"), "kill", 101.0, 103.0), false),
            (fault(Some("a.test"), "term", 101.0, 103.0), false),
            (fault(None, "store kill", 101.0, 103.0), false),
        ] {
            let reasons = explain(&repeat, &arrivals, &[fault]);
            assert_eq!(reasons.iter().map(Result::is_ok).collect::<Vec<_>>(), [is_reason]);
        }
    }
}
