//! Who sent what cannot be delivered is told so, and nobody is told twice or of a report.

use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_core::model::Event;
use fulmar_core::state::layout;
use fulmar_tests::node::{Ground, Node, address};

/// Enough for whatever is under way, on a machine with much else to do.
const GRACE: Duration = Duration::from_secs(60);
const ALICE: &str = "alice@home.test";
const BOB: &str = "bob@home.test";
const CAROL: &str = "carol@home.test";
/// Comes to Alice and Carol.
const OFFICE: &str = "office@home.test";
/// Comes to Bob.
const TEAM: &str = "team@home.test";

const LETTER: &str = "Message-ID: <1@client.test>\r\nSubject: lunch\r\n\r\nsecret\r\n.\r\n";

fn node(change: impl FnOnce(&mut Config)) -> Node {
    Ground::new(change)
        .account(ALICE)
        .account(BOB)
        .account(CAROL)
        .alias(OFFICE, &[ALICE, CAROL])
        .alias(TEAM, &[BOB])
        .start()
}

/// Sends the letter; `meanwhile` happens when the recipients have been taken. Gives its queue id.
fn send(node: &Node, reverse_path: &str, recipients: &[&str], meanwhile: impl FnOnce()) -> String {
    let mut client = node.client();
    client.command(&format!("MAIL FROM:<{reverse_path}>"), "250 ");
    for recipient in recipients {
        client.command(&format!("RCPT TO:<{recipient}>"), "250 ");
    }
    meanwhile();
    client.command("DATA", "354 ");
    client.send(LETTER);
    client.accepted()
}

/// Waits for the report of a message, and gives its queue id.
fn bounced(node: &Node, id: &str) -> String {
    let is_it =
        |event: &Event| matches!(event, Event::Bounced { queue_id, .. } if queue_id.to_string() == id);
    match node.wait_for("a report", is_it) {
        Event::Bounced { report, .. } => report.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Waits until a failure is reported to nobody.
fn dropped(node: &Node, id: &str, account: &str) {
    node.wait_for("a failure that nobody is told of", |event| match event {
        Event::BounceDropped { queue_id, recipient, .. } => {
            queue_id.to_string() == id && *recipient == address(account)
        }
        _ => false,
    });
}

/// The only message in an account's INBOX.
fn only_message(node: &Node, account: &str) -> String {
    let mut inbox = node.inbox(account);
    assert_eq!(inbox.len(), 1, "{account}");
    String::from_utf8(inbox.remove(0)).unwrap()
}

fn assert_tells(report: &str, facts: &[&str]) {
    assert!(report.starts_with("Return-Path: <>\r\n"), "{report}");
    for fact in facts {
        assert!(report.contains(fact), "{fact:?} is not in\n{report}");
    }
    assert!(!report.contains("secret"), "{report}");
}

#[test]
fn who_wrote_to_an_account_that_has_gone_is_told_so() {
    let node = node(|_| ());
    let id = send(&node, ALICE, &[TEAM, CAROL], || node.remove_account(BOB));
    let report = bounced(&node, &id);
    node.delivered(&report, ALICE);
    node.delivered(&id, CAROL);
    assert_tells(
        &only_message(&node, ALICE),
        &[
            "\r\nTo: <alice@home.test>\r\n",
            "\r\nIn-Reply-To: <1@client.test>\r\n",
            "\r\nOriginal-Recipient: rfc822; team@home.test\r\n",
            "\r\nFinal-Recipient: rfc822; bob@home.test\r\n",
            "\r\nStatus: 5.1.1\r\n",
            "\r\nSubject: lunch\r\n",
        ],
    );
    assert!(!only_message(&node, CAROL).contains("multipart/report"));
}

#[test]
fn a_report_to_an_alias_goes_to_all_whom_it_leads_to() {
    let node = node(|_| ());
    let id = send(&node, OFFICE, &[BOB], || node.remove_account(BOB));
    let report = bounced(&node, &id);
    for account in [ALICE, CAROL] {
        node.delivered(&report, account);
        assert_tells(&only_message(&node, account), &["\r\nTo: <office@home.test>\r\n"]);
    }
}

#[test]
fn what_cannot_be_delivered_in_time_fails_and_its_sender_is_told_why() {
    let node = node(|config| config.queue.expire = Duration::ZERO);
    let commits = format!("{}c/", layout::account(&address(BOB)));
    let tip = node.keys().iter().filter(|key| key.starts_with(&commits)).count();
    let damage = || node.put(&layout::numbered(&commits, tip as u64 + 1), b"of a later version");
    let id = send(&node, ALICE, &[BOB], damage);
    node.delivered(&bounced(&node, &id), ALICE);
    let facts = ["\r\nStatus: 5.4.7\r\n", "\r\nDiagnostic-Code: smtp; 554 5.4.7 not delivered within "];
    assert_tells(&only_message(&node, ALICE), &facts);
}

#[test]
fn nobody_is_told_where_there_is_nobody_to_be_told() {
    for reverse_path in ["", "nobody@home.test"] {
        let mut node = node(|_| ());
        let id = send(&node, reverse_path, &[BOB], || node.remove_account(BOB));
        dropped(&node, &id, BOB);
        node.shut_down(GRACE);
        let reports = node.events().into_iter().filter(|event| matches!(event, Event::Bounced { .. }));
        assert_eq!(reports.count(), 0, "<{reverse_path}>");
        assert!(node.queue().is_empty(), "<{reverse_path}>");
    }
}

#[test]
fn a_report_that_fails_is_not_reported_on() {
    let mut node = node(|_| ());
    // What the directory has found it believes for a while, so that the report is made out to an account that has gone.
    send(&node, "", &[ALICE], || ());
    let remove_both = || {
        node.remove_account(ALICE);
        node.remove_account(BOB);
    };
    send(&node, ALICE, &[BOB], remove_both);
    node.wait_for("a dropped report", |event| matches!(event, Event::BounceDropped { .. }));
    node.shut_down(GRACE);
    let reports = node.events().into_iter().filter(|event| matches!(event, Event::Bounced { .. }));
    assert!(reports.count() <= 1);
    assert!(node.queue().is_empty());
}
