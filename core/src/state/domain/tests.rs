use super::*;
use crate::model::UtcTime;

const HERE: Position = Position { commit: 1, time: UtcTime(0), data_at: 0 };

fn pattern(text: &str) -> LocalPattern {
    LocalPattern::parse(text).unwrap()
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
        Op::Settings(DomainSettings { kind: DomainKind::Relay, separator: None }),
        Op::Recipients { remove: vec!["a".into()], add: vec!["b".into()] },
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
