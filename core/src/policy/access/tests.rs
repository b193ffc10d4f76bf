use super::*;
use crate::config::Protocol;

/// `list client hello sender recipient action`, `-` for what a rule does not ask for.
fn rule(text: &str) -> AccessRule {
    let parts: Vec<&str> = text.split(' ').collect();
    let [list, client, hello, sender, recipient, action] = parts[..] else { panic!("{text}") };
    fn all<T: std::str::FromStr>(text: &str) -> Vec<T> {
        text.split(',').filter(|part| *part != "-").map(|part| part.parse().ok().unwrap()).collect()
    }
    AccessRule {
        list: (list != "-").then(|| list.to_owned()),
        clients: all(client),
        hellos: all(hello),
        senders: all(sender),
        recipients: all(recipient),
        action: match action {
            "allow" => AccessAction::Allow,
            "deny" => AccessAction::Deny,
            _ => AccessAction::Defer,
        },
        reply: None,
    }
}

/// What a session hears, stage by stage, from 192.0.2.9 as `mail.client.test`, with `<joe@far.test>`, to each recipient.
fn check(rules: &[&str], lists: &[&str], expected: [&str; 5]) {
    let mut config = Config::new(Domain::parse("mx.test").unwrap());
    config.policy.access = rules.iter().map(|text| rule(text)).collect();
    let mut listener = Listener::new(Protocol::Smtp, ([127, 0, 0, 1], 25).into());
    listener.settings.access = lists.iter().map(|list| (*list).to_owned()).collect();
    let mut screening = Screening::new(&config, &listener, "::ffff:192.0.2.9".parse().unwrap());
    let address = |text: &str| text.parse::<Address>().unwrap();
    let heard = [
        screening.at_connect(),
        screening.at_hello("mail.client.test"),
        screening.at_mail(&ReversePath::Address(address("joe@far.test"))),
        screening.at_recipient(&address("alice@home.test")),
        screening.at_recipient(&address("bob@home.test")),
    ];
    let heard = heard.map(|verdict| match verdict {
        Verdict::Continue => "-".to_owned(),
        Verdict::Allow => "allow".to_owned(),
        Verdict::Refuse(reply) => reply.to_string().split(' ').next().unwrap().to_owned(),
    });
    assert_eq!(heard, expected, "{rules:?}");
}

#[test]
fn each_rule_is_looked_at_when_all_that_it_asks_for_is_known() {
    for (rules, expected) in [
        (&[][..], ["-"; 5]),
        (&["- 192.0.2.0/24 - - - deny"], ["554", "-", "-", "-", "-"]),
        (&["- 192.0.2.0/24 - - - defer"], ["421", "-", "-", "-", "-"]),
        (&["- 198.51.100.0/24 - - - deny"], ["-"; 5]),
        (&["- - .client.test - - deny"], ["-", "550", "-", "-", "-"]),
        (&["- - - far.test - defer"], ["-", "-", "450", "-", "-"]),
        (&["- - - other.test,joe@FAR.test - deny"], ["-", "-", "550", "-", "-"]),
        (&["- - - <> - deny"], ["-"; 5]),
        (&["- - - - bob@home.test deny"], ["-", "-", "-", "-", "550"]),
        (&["- 192.0.2.0/24 .client.test far.test home.test deny"], ["-", "-", "-", "550", "550"]),
        (&["- 192.0.2.0/24 .other.test far.test home.test deny"], ["-"; 5]),
    ] {
        check(rules, &[], expected);
    }
}

#[test]
fn the_first_rule_of_a_stage_decides_and_what_is_allowed_is_so_in_later_stages() {
    for (rules, expected) in [
        (&["- - - - alice@home.test allow", "- - - - home.test deny"][..], ["-", "-", "-", "allow", "550"]),
        (&["- - - - home.test deny", "- - - - alice@home.test allow"], ["-", "-", "-", "550", "550"]),
        (&["- - - far.test - allow", "- - - - * deny"], ["-", "-", "allow", "allow", "allow"]),
        (&["- - .client.test - - allow", "- - - * - deny"], ["-", "allow", "allow", "allow", "allow"]),
        (&["- 192.0.2.9/32 - - - allow", "- - - * - deny"], ["allow"; 5]),
        (&["- 192.0.2.9/32 - - - allow", "- 192.0.2.0/24 - - - deny"], ["allow"; 5]),
    ] {
        check(rules, &[], expected);
    }
}

#[test]
fn a_list_holds_on_the_listeners_that_name_it() {
    let rules = ["inside - - far.test - deny", "- - - - bob@home.test deny"];
    check(&rules, &[], ["-", "-", "-", "-", "550"]);
    check(&rules, &["other", "inside"], ["-", "-", "550", "-", "550"]);
}

#[test]
fn what_one_recipient_or_transaction_was_allowed_is_not_the_next_ones() {
    let mut config = Config::new(Domain::parse("mx.test").unwrap());
    config.policy.access = ["- - - far.test - allow", "- - - - * deny"].map(rule).into();
    let listener = Listener::new(Protocol::Smtp, ([127, 0, 0, 1], 25).into());
    let mut screening = Screening::new(&config, &listener, "192.0.2.9".parse().unwrap());
    let alice: Address = "alice@home.test".parse().unwrap();
    assert_eq!(screening.at_mail(&ReversePath::Address("a@far.test".parse().unwrap())), Verdict::Allow);
    assert_eq!(screening.at_recipient(&alice), Verdict::Allow);
    assert_eq!(screening.at_mail(&ReversePath::Null), Verdict::Continue);
    assert!(matches!(screening.at_recipient(&alice), Verdict::Refuse(_)));
}

#[test]
fn a_name_that_is_no_domain_is_meant_by_any_and_the_operators_words_are_said() {
    let mut config = Config::new(Domain::parse("mx.test").unwrap());
    let reply = Reply::new(554, (5, 7, 0), "go away");
    config.policy.access = vec![
        rule("- - .test - - allow"),
        AccessRule { reply: Some(reply.clone()), ..rule("- - * - - deny") },
    ];
    let listener = Listener::new(Protocol::Smtp, ([127, 0, 0, 1], 25).into());
    let mut screening = Screening::new(&config, &listener, "192.0.2.9".parse().unwrap());
    for (name, expected) in [
        ("not a name", Verdict::Refuse(reply.clone())),
        ("a.test", Verdict::Allow),
        ("[192.0.2.9]", Verdict::Refuse(reply)),
    ] {
        assert_eq!(screening.at_hello(name), expected, "{name}");
    }
}
