use std::path::PathBuf;

use super::*;

/// A ledger that has entered one message to two recipients.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    let job = Job {
        id: "m1".to_owned(),
        reverse_path: "a@x.test".to_owned(),
        forward_paths: vec!["u@y.test".to_owned(), "v@y.test".to_owned()],
        file: PathBuf::new(),
    };
    ledger.enter(job, content());
    ledger
}

fn content() -> Vec<u8> {
    format!("{ID_FIELD}m1\r\nSubject: s\r\n\r\nbody\r\n").into_bytes()
}

fn stored(queue_id: &str) -> Vec<u8> {
    let trace = format!(
        "Return-Path: <a@x.test>\r\nReceived: from c\r\n\tby mx.test with ESMTP id {queue_id};\r\n\tSun, 22 Nov 2026\r\n"
    );
    [trace.into_bytes(), content()].concat()
}

/// What a client reports: `Ok` with a queue id, or `Err` with whether everything was sent.
fn answer(ledger: &mut Ledger, outcome: Result<&str, bool>) {
    ledger.answer(Answer {
        id: "m1".to_owned(),
        whole: outcome != Err(false),
        queue_id: outcome.ok().map(ToOwned::to_owned),
        reply: "a reply".to_owned(),
    });
}

/// Counts of refused, lost, doubled, altered and unknown.
fn counts(ledger: &Ledger) -> [usize; 5] {
    let verdict = ledger.verdict();
    [&verdict.refused, &verdict.lost, &verdict.doubled, &verdict.altered, &verdict.unknown].map(Vec::len)
}

#[test]
fn one_copy_for_each_recipient_is_clean() {
    let mut ledger = ledger();
    answer(&mut ledger, Ok("Q1"));
    ledger.find("u@y.test", 1, &stored("Q1"));
    ledger.find("v@y.test", 1, &stored("Q1"));
    let verdict = ledger.verdict();
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!((verdict.sent, verdict.answered, verdict.owed, verdict.found), (1, 1, 2, 2));
}

#[test]
fn a_copy_that_is_missing_is_lost() {
    let mut ledger = ledger();
    answer(&mut ledger, Ok("Q1"));
    ledger.find("u@y.test", 1, &stored("Q1"));
    assert_eq!(counts(&ledger), [0, 1, 0, 0, 0]);
}

#[test]
fn a_second_copy_under_one_queue_id_is_doubled() {
    let mut ledger = ledger();
    answer(&mut ledger, Ok("Q1"));
    for (recipient, uid) in [("u@y.test", 1), ("u@y.test", 2), ("v@y.test", 1)] {
        ledger.find(recipient, uid, &stored("Q1"));
    }
    assert_eq!(counts(&ledger), [0, 0, 1, 0, 0]);
}

#[test]
fn a_copy_of_an_attempt_without_a_250_is_allowed_once_and_only_where_all_was_sent() {
    for (unanswered, expected) in [(Err(true), [0, 0, 0, 0, 0]), (Err(false), [0, 0, 2, 0, 0])] {
        let mut ledger = ledger();
        answer(&mut ledger, unanswered);
        answer(&mut ledger, Ok("Q2"));
        for recipient in ["u@y.test", "v@y.test"] {
            ledger.find(recipient, 1, &stored("Q1"));
            ledger.find(recipient, 2, &stored("Q2"));
        }
        assert_eq!(counts(&ledger), expected, "{unanswered:?}");
    }
}

#[test]
fn octets_that_differ_are_seen_in_content_and_in_the_envelope() {
    for (from, to) in
        [("body\r\n", "body \r\n"), ("<a@x.test>", "<b@x.test>"), ("Subject: s", "Received: x\r\nSubject: s")]
    {
        let mut ledger = ledger();
        answer(&mut ledger, Ok("Q1"));
        let changed = String::from_utf8(stored("Q1")).unwrap().replace(from, to);
        ledger.find("u@y.test", 1, changed.as_bytes());
        ledger.find("v@y.test", 1, &stored("Q1"));
        assert_eq!(counts(&ledger), [0, 0, 0, 1, 0], "{to}");
    }
}

#[test]
fn what_nobody_sent_and_what_nobody_accepted_are_found() {
    let mut ledger = ledger();
    answer(&mut ledger, Err(false));
    ledger.find("u@y.test", 1, b"Subject: stray\r\n\r\n");
    assert_eq!(counts(&ledger), [1, 0, 0, 0, 1]);
    ledger.find("w@y.test", 1, &stored("Q1"));
    assert_eq!(counts(&ledger), [1, 0, 0, 0, 2]);
}

#[test]
fn what_another_host_has_twice_is_repeated_and_what_it_lacks_is_lost() {
    let mut ledger = ledger();
    ledger.remote.insert("y.test".to_owned());
    answer(&mut ledger, Ok("Q1"));
    let stored = stored("Q1");
    let (_, content) = take_field(&stored, "Return-Path: ").unwrap();
    for place in ["1", "2"] {
        ledger.find_relayed("u@y.test", place, "a@x.test", content);
    }
    assert_eq!(counts(&ledger), [0, 1, 0, 0, 0]);
    ledger.find_relayed("v@y.test", "3", "b@x.test", content);
    assert_eq!(counts(&ledger), [0, 0, 0, 1, 0], "with another reverse-path");
    let verdict = ledger.verdict();
    assert_eq!(verdict.repeated, 1);
    let repeats: Vec<_> = verdict.repeats.iter().map(|repeat| repeat.places.join(" ")).collect();
    assert_eq!(repeats, ["1 2"]);
}

#[test]
fn a_trace_field_that_names_another_client_than_the_one_that_sent_is_found() {
    for (client, altered) in [("192.0.2.1", 0), ("192.0.2.10", 1)] {
        let mut ledger = ledger();
        ledger.comes_from("m1", client.parse().unwrap());
        answer(&mut ledger, Ok("Q1"));
        let from_client = String::from_utf8(stored("Q1")).unwrap().replace("from c", "from c ([192.0.2.1])");
        for recipient in ["u@y.test", "v@y.test"] {
            ledger.find(recipient, 1, from_client.as_bytes());
        }
        assert_eq!(counts(&ledger), [0, 0, 0, 2 * altered, 0], "{client}");
    }
}
