use std::time::Duration;

use super::*;
use crate::model::UtcTime;

const HERE: Position = Position { commit: 1, time: UtcTime(0), data_at: 0 };

fn pattern(text: &str) -> LocalPattern {
    LocalPattern::parse(text).unwrap()
}

const PRIVATE_KEY: &str = "c2VjcmV0";

fn key(selector: &str, state: KeyState) -> Op {
    let private_key = PrivateKey::new(PRIVATE_KEY.to_owned());
    Op::Key { selector: selector.to_owned(), algorithm: KeyAlgorithm::Ed25519Sha256, state, private_key }
}

fn after(ops: &[Op]) -> LocalDomain {
    let mut domain = LocalDomain::default();
    ops.iter().for_each(|op| domain.apply(op, &HERE));
    domain
}

#[test]
fn what_older_versions_wrote_is_read() {
    let snapshot = r#"{"exists":true,"domain":"x.test","aliases":{"a":["b@x.test"]}}"#;
    let domain: LocalDomain = serde_json::from_str(snapshot).unwrap();
    assert_eq!(domain.settings, DomainSettings::default());
    assert_eq!((domain.settings.kind, domain.settings.separator), (DomainKind::Local, Some('+')));
    assert!(domain.aliases.contains_key("a") && domain.patterns.is_empty() && domain.recipients.is_empty());
    assert!(domain.keys.is_empty() && domain.srs_secrets.is_empty());
    for op in [r#"{"create":{"domain":"x.test"}}"#, r#"{"alias":{"local_part":"a","targets":["b@x.test"]}}"#]
    {
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Op>(op).unwrap()).unwrap(), op);
    }
}

#[test]
fn what_is_written_is_read_again() {
    let targets: Vec<Address> = vec!["b-$1@x.test".parse().unwrap()];
    let ops = [
        Op::Pattern { pattern: pattern("/(a+)/"), targets: targets.clone() },
        Op::Pattern { pattern: pattern("a-*"), targets },
        Op::Settings(DomainSettings { kind: DomainKind::Relay, separator: None, dmarc: None }),
        Op::Recipients { remove: vec!["a".into()], add: vec!["b".into()] },
        key("one", KeyState::Published),
        Op::KeyState { selector: "one".into(), state: KeyState::Active },
        key("two", KeyState::Active),
        Op::RemoveKey { selector: "two".into() },
        Op::SrsSecret { secret: SecretText::new("s".into()) },
    ];
    for op in &ops {
        let text = serde_json::to_string(op).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&text).unwrap(), *op, "{text}");
    }
    let domain = after(&ops);
    let text = serde_json::to_string(&domain).unwrap();
    let again: LocalDomain = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), text);
    assert_eq!(again.matching("aa").unwrap(), ["b-aa@x.test".parse().unwrap()]);
    assert_eq!((again.settings.separator, again.recipients.contains("b")), (None, true));
    assert_eq!(again.active_keys().map(|(selector, _)| selector.as_str()).collect::<Vec<_>>(), ["one"]);
}

#[test]
fn a_key_remembers_when_it_was_made_and_when_its_state_changed() {
    let mut domain = LocalDomain::default();
    let at = |time| Position { time: UtcTime(time), ..HERE };
    domain.apply(&key("one", KeyState::Published), &at(10));
    for (time, state) in [(20, KeyState::Active), (30, KeyState::Retiring)] {
        domain.apply(&Op::KeyState { selector: "one".into(), state }, &at(time));
        let key = &domain.keys["one"];
        assert_eq!((key.created, key.since, key.state), (UtcTime(10), UtcTime(time), state));
    }
    let before = domain.keys.clone();
    domain.apply(&Op::KeyState { selector: "gone".into(), state: KeyState::Active }, &at(40));
    assert_eq!(domain.keys, before);
}

#[test]
fn private_keys_do_not_show() {
    let domain = after(&[key("one", KeyState::Active)]);
    assert!(!format!("{domain:?} {:?}", key("one", KeyState::Active)).contains(PRIVATE_KEY));
}

#[test]
fn patterns_are_tried_in_their_order_and_replaced_in_their_place() {
    let to = |text: &str, target: &str| {
        let targets = if target.is_empty() { Vec::new() } else { vec![target.parse().unwrap()] };
        Op::Pattern { pattern: pattern(text), targets }
    };
    let ops = [
        to("*", "rest@x.test"),
        to("/s.*/", "first@x.test"),
        to("/se.*/", "second@x.test"),
        to("s-*", "wild@x.test"),
        to("/s.*/", "again@x.test"),
    ];
    for (local_part, expected) in
        [("s-1", "wild@x.test"), ("sea", "again@x.test"), ("elsewhere", "rest@x.test")]
    {
        let found = after(&ops).matching(local_part).unwrap();
        assert_eq!(found, [expected.parse().unwrap()], "{local_part}");
    }
    let fewer = after(&[&ops[..], &[to("/s.*/", ""), to("*", "")]].concat());
    assert_eq!(fewer.matching("sea").unwrap(), ["second@x.test".parse().unwrap()]);
    assert_eq!(fewer.matching("elsewhere"), None);
}

#[test]
fn the_last_secrets_are_kept_and_the_last_of_them_signs_for_its_time() {
    let at = |days: u64| UtcTime(Duration::from_hours(24 * days).as_millis() as u64);
    let mut domain = LocalDomain::default();
    assert!(domain.wants_srs_secret(at(0)));
    for (number, days) in [0, 90, 180, 270].into_iter().enumerate() {
        assert!(domain.wants_srs_secret(at(days)));
        let secret = SecretText::new(number.to_string());
        domain.apply(&Op::SrsSecret { secret }, &Position { time: at(days), ..HERE });
        assert!(!domain.wants_srs_secret(at(days + 89)));
    }
    let kept = domain.srs_secrets.iter().map(|one| (one.created, one.secret.expose()));
    assert_eq!(kept.collect::<Vec<_>>(), [(at(90), "1"), (at(180), "2"), (at(270), "3")]);
    assert_eq!(format!("{:?}", domain.srs_secrets[0].secret), "***");
}
