//! What the nodes say of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use super::cluster::{Cluster, hostname};
use crate::Fallible;

/// Messages that are told of when something is wrong with them.
const SHOWN: usize = 5;
/// Lines about one message.
const SHOWN_LINES: usize = 60;

/// One line that a node has logged.
#[derive(Debug)]
pub(super) struct Fact {
    /// The node.
    pub(super) node: usize,
    /// Since 1970.
    pub(super) at: Duration,
    /// All of it.
    pub(super) fields: Value,
}

impl Fact {
    /// Its name, if it is an event.
    pub(super) fn event(&self) -> &str {
        self.text("event")
    }

    /// A field, or nothing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }
}

/// Every fact, in the order of time.
pub(super) fn read(cluster: &Cluster) -> Fallible<Vec<Fact>> {
    let mut facts = Vec::new();
    for (node, log) in cluster.logs().iter().enumerate() {
        let text = fs::read(log)?;
        // What is no JSON stands there for people; the last line of a killed process may be half of one.
        for line in String::from_utf8_lossy(&text).lines() {
            let Ok(fields) = serde_json::from_str::<Value>(line) else { continue };
            let Some(at) = fields["time"].as_str().and_then(|time| DateTime::parse_from_rfc3339(time).ok())
            else {
                continue;
            };
            let at = Duration::from_micros(u64::try_from(at.timestamp_micros())?);
            facts.push(Fact { node, at, fields });
        }
    }
    facts.sort_by_key(|fact| fact.at);
    Ok(facts)
}

/// Whom the nodes took for their clients, and whether it was none but these, and all of them at every node.
pub(super) fn clients(logs: &[Fact], expected: &[IpAddr]) -> (String, bool) {
    let mut sessions: BTreeMap<(usize, Option<IpAddr>), usize> = BTreeMap::new();
    for fact in logs.iter().filter(|fact| fact.event() == "session_opened") {
        let peer = fact.text("peer").parse::<SocketAddr>().ok().map(|peer| peer.ip());
        *sessions.entry((fact.node, peer)).or_default() += 1;
    }
    let nodes: BTreeSet<usize> = sessions.keys().map(|(node, _)| *node).collect();
    let are_known = sessions.keys().all(|(_, peer)| peer.is_some_and(|peer| expected.contains(&peer)))
        && nodes
            .iter()
            .all(|node| expected.iter().all(|client| sessions.contains_key(&(*node, Some(*client)))));
    let mut text = "sessions as nodes saw their clients:".to_owned();
    for node in nodes {
        let of_node = sessions.iter().filter(|((at, _), _)| *at == node);
        let of_node: Vec<String> = of_node
            .map(|((_, peer), count)| {
                format!("{} {count}", peer.map_or("unknown".to_owned(), |peer| peer.to_string()))
            })
            .collect();
        // Writing to a string cannot fail.
        let _ = write!(text, " {} ({})", hostname(node), of_node.join(", "));
    }
    (text, are_known && !sessions.is_empty())
}

/// All that is known of the messages that are named in `findings`, by ledger id or queue id: what clients were answered,
/// and what the nodes say.
pub(super) fn post_mortem(findings: &str, books: &Path, logs: &[Fact]) -> Fallible<String> {
    let answers = fs::read_to_string(books.join("answers.jsonl"))?;
    let answers: Vec<Value> = answers.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let words: BTreeSet<&str> =
        findings.split(|c: char| c.is_whitespace() || ":,;\"{}".contains(c)).collect();
    let is_named = |answer: &&Value| {
        ["id", "queue_id"].iter().any(|name| answer[name].as_str().is_some_and(|word| words.contains(word)))
    };
    let named: BTreeSet<&str> =
        answers.iter().filter(is_named).filter_map(|answer| answer["id"].as_str()).collect();
    let mut text = format!("{} messages are named; of the first {SHOWN}:", named.len());
    for id in named.iter().take(SHOWN) {
        write!(text, "\n message {id}")?;
        let of_message: Vec<&Value> = answers.iter().filter(|answer| answer["id"] == **id).collect();
        for answer in &of_message {
            write!(text, "\n  answer {answer}")?;
        }
        let mut queue_ids: BTreeSet<&str> =
            of_message.iter().filter_map(|answer| answer["queue_id"].as_str()).collect();
        queue_ids.extend(words.iter().filter(|word| {
            word.len() == 26 && findings.lines().any(|line| line.contains(*id) && line.contains(**word))
        }));
        let about = |fact: &&Fact| queue_ids.contains(fact.text("queue_id"));
        for fact in logs.iter().filter(about).take(SHOWN_LINES) {
            write!(text, "\n  {} {}", hostname(fact.node), fact.fields)?;
        }
    }
    let of_logs = ["incarnation_begun", "fenced", "adopted", "adoption_left", "object_damaged"];
    write!(text, "\n what became of logs:")?;
    for fact in logs.iter().filter(|fact| of_logs.contains(&fact.event())) {
        write!(text, "\n  {} {}", hostname(fact.node), fact.fields)?;
    }
    Ok(text)
}
