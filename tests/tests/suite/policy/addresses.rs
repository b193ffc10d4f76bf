//! What addresses of a domain of ours come to.

use std::time::Duration;

use fulmar_core::admin::{DomainChange, DomainKind};
use fulmar_tests::node::{Ground, Node};

use super::{ALICE, BOB, MESSAGE};

const GRACE: Duration = Duration::from_secs(10);

fn ground() -> Ground {
    Ground::new(|_| ()).account(ALICE).account(BOB)
}

/// Sends to each recipient alone, and compares who got it; nobody where it was refused.
fn check(node: &mut Node, cases: &[(&str, &[&str])]) {
    let mut client = node.client();
    let mut sent = Vec::new();
    for (recipient, accounts) in cases {
        if accounts.is_empty() {
            client.command("MAIL FROM:<sender@far.test>", "250 ");
            client.command(&format!("RCPT TO:<{recipient}>"), "550 5.1.1 ");
            client.command("RSET", "250 ");
        } else {
            let content = format!("Subject: {recipient}\r\n\r\n");
            sent.push((client.deliver(&[recipient], content), *accounts));
        }
    }
    for (id, accounts) in &sent {
        accounts.iter().for_each(|account| node.delivered(id, account));
    }
    node.shut_down(GRACE);
    for account in [ALICE, BOB] {
        let expected = cases.iter().filter(|(_, accounts)| accounts.contains(&account));
        let mut expected: Vec<String> =
            expected.map(|(recipient, _)| format!("Subject: {recipient}\r\n\r\n")).collect();
        let got = node.inbox(account).into_iter();
        let mut got: Vec<String> = got.map(|message| subject(&message)).collect();
        expected.sort();
        got.sort();
        assert_eq!(got, expected, "{account}");
    }
}

/// A message from its subject on.
fn subject(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    text[text.find("Subject: ").expect("a subject")..].to_owned()
}

#[test]
fn what_is_more_exact_comes_first() {
    let mut node = ground()
        .alias("exact@home.test", &[ALICE])
        .alias("ex*@home.test", &[BOB])
        .alias("exa*@home.test", &[ALICE, BOB])
        .alias("/exaggerat.*/@home.test", &["nobody@home.test"])
        .alias("/number-[0-9]+/@home.test", &[ALICE])
        .alias("/number-.*/@home.test", &[BOB])
        .alias("*@home.test", &[BOB])
        .alias("alice+exact@home.test", &[BOB])
        .start();
    check(
        &mut node,
        &[
            ("Exact@home.test", &[ALICE]),
            ("ALICE@home.test", &[ALICE]),
            ("alice+exact@home.test", &[BOB]),
            ("alice+other@home.test", &[ALICE]),
            ("exact+detail@home.test", &[ALICE]),
            ("extra@home.test", &[BOB]),
            ("exaggerate@home.test", &[ALICE, BOB]),
            ("number-7@home.test", &[ALICE]),
            ("number-x@home.test", &[BOB]),
            ("whoever+detail@home.test", &[BOB]),
        ],
    );
}

#[test]
fn without_a_catch_all_others_are_refused() {
    let mut node = ground()
        .alias("sales-*@home.test", &[ALICE])
        .alias("list-?@home.test", &[BOB])
        .alias("/(al|b)-ice/@home.test", &["$1ice@home.test"])
        .start();
    check(
        &mut node,
        &[
            ("sales-eu@home.test", &[ALICE]),
            ("sales-@home.test", &[ALICE]),
            ("sales@home.test", &[]),
            ("presales-eu@home.test", &[]),
            ("list-a@home.test", &[BOB]),
            ("list-ab@home.test", &[]),
            ("al-ice@home.test", &[ALICE]),
            ("b-ice@home.test", &[]),
            ("+alice@home.test", &[]),
            ("alic@home.test", &[]),
        ],
    );
}

#[test]
fn a_domain_has_the_separator_that_it_was_given() {
    let dash = DomainChange { separator: Some(Some('-')), ..DomainChange::default() };
    let mut node = ground().domain("home.test", &dash).start();
    let cases: [(&str, &[&str]); 3] =
        [("alice-lists-rust@home.test", &[ALICE]), ("alice+lists@home.test", &[]), ("-alice@home.test", &[])];
    check(&mut node, &cases);
    let none = DomainChange { separator: Some(None), ..DomainChange::default() };
    let mut node = ground().domain("home.test", &none).start();
    check(&mut node, &[("alice-lists@home.test", &[]), ("alice+lists@home.test", &[]), (ALICE, &[ALICE])]);
}

#[test]
fn subaddresses_of_one_account_get_one_copy() {
    let mut node = ground().start();
    let id = node.client().deliver(&["alice+a@home.test", "alice+b@home.test", ALICE], MESSAGE);
    node.delivered(&id, ALICE);
    node.shut_down(GRACE);
    assert_eq!(node.inbox(ALICE).len(), 1);
}

#[test]
fn a_whole_domain_may_stand_for_another() {
    let mut node = ground()
        .domain("old.test", &DomainChange::default())
        .alias("*@old.test", &["$0@home.test"])
        .alias("boss@old.test", &[BOB])
        .start();
    check(
        &mut node,
        &[
            ("alice@old.test", &[ALICE]),
            ("alice+x@old.test", &[ALICE]),
            ("boss@old.test", &[BOB]),
            ("carol@old.test", &[]),
        ],
    );
}

#[test]
fn patterns_that_lead_in_circles_end() {
    let node = ground()
        .alias("*@home.test", &["absent@home.test"])
        .alias("/(grow.*)/@home.test", &["$1r@home.test"])
        .alias("/(ring.)(.)/@home.test", &["ring$2$2@home.test"])
        .alias("again-*@home.test", &["again-x@home.test", ALICE])
        .start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    for (recipient, reply) in [
        ("grow@home.test", "451 4.2.4 "),
        ("ring-a@home.test", "550 5.1.1 "),
        ("whoever@home.test", "550 5.1.1 "),
        ("again-y@home.test", "250 "),
    ] {
        client.command(&format!("RCPT TO:<{recipient}>"), reply);
    }
}

#[test]
fn mail_for_a_postmaster_goes_to_the_catch_all_where_there_is_one() {
    let mut node = ground().alias("*@home.test", &[BOB]).start();
    check(&mut node, &[("Postmaster@home.test", &[BOB])]);
}

#[test]
fn a_domain_that_becomes_local_again_has_its_accounts() {
    let kind = |kind| DomainChange { kind: Some(kind), ..DomainChange::default() };
    let ground = ground().domain("home.test", &kind(DomainKind::Relay));
    let mut node = ground.domain("home.test", &kind(DomainKind::Local)).start();
    check(&mut node, &[(ALICE, &[ALICE]), ("carol@home.test", &[])]);
}
