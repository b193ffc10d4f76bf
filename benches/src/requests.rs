//! What a Fulmar asked of its store.

use fulmar_tests::Fallible;
use fulmar_tests::process::LogLine;

use crate::report::{Figure, Round};

/// By their names in the log.
const KINDS: [(&str, Figure); 8] = [
    ("put", Figure::Put),
    ("get", Figure::Get),
    ("head", Figure::Head),
    ("list", Figure::List),
    ("delete", Figure::Delete),
    ("copy", Figure::Copy),
    ("put_bytes", Figure::PutOctets),
    ("get_bytes", Figure::GetOctets),
];

const MILLION: f64 = 1e6;

/// What it asked in its whole life for each of so many messages, and what that costs: from the `statistics` that it logs when
/// it stops.
pub(crate) fn per_message(log: &[LogLine], messages: usize) -> Fallible<Round> {
    let statistics = log.iter().rev().find(|line| line.fields["event"] == "statistics");
    let fields = &statistics.ok_or("the server logged no statistics")?.fields;
    let mut round = Round::new();
    for (name, figure) in KINDS {
        let count = fields["store"][name].as_f64().ok_or_else(|| format!("no {name} in {fields}"))?;
        round.insert(figure, count / messages as f64);
    }
    for (name, figure) in [("requests", Figure::Dollars), ("storage", Figure::StorageDollars)] {
        let dollars =
            fields["dollars"][name].as_f64().ok_or_else(|| format!("no cost of {name} in {fields}"))?;
        round.insert(figure, dollars * MILLION / messages as f64);
    }
    Ok(round)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn log(fields: Value) -> [LogLine; 2] {
        let line = |fields| LogLine { after: Duration::ZERO, fields };
        [line(fields), line(json!("what it says last"))]
    }

    #[test]
    fn requests_are_divided_by_messages_and_priced() {
        let store = json!({"put": 50, "get": 10, "head": 0, "list": 1, "delete": 3, "copy": 0,
            "put_bytes": 4096, "get_bytes": 0});
        let statistics =
            json!({"event": "statistics", "store": store, "dollars": {"requests": 0.25, "storage": 0.5}});
        let round = per_message(&log(statistics), 100).unwrap();
        assert_eq!((round[&Figure::Put], round[&Figure::PutOctets]), (0.5, 40.96));
        assert_eq!((round[&Figure::Dollars], round[&Figure::StorageDollars]), (2_500.0, 5_000.0));
    }

    #[test]
    fn a_log_without_all_the_counts_and_costs_is_an_error() {
        let counts: serde_json::Map<_, _> =
            KINDS.iter().map(|(name, _)| ((*name).to_owned(), json!(1))).collect();
        assert!(per_message(&log(json!({"event": "statistics", "store": counts})), 1).is_err());
        assert!(per_message(&log(json!({"event": "statistics", "store": {"put": 1}})), 1).is_err());
        assert!(per_message(&log(json!({"event": "attempted"})), 1).is_err());
    }
}
