//! Mail that an alias leads to another host: under which reverse-path it goes, how reports of it come back, and what it is sealed with.

mod return_addresses;
mod seals;

use fulmar_core::admin::{DomainChange, DomainKind};
use fulmar_core::config::{Config, NextHop, Route};
use fulmar_core::model::{Domain, Event, Outcome};
use fulmar_core::state::layout;
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node, address};
use fulmar_tests::smtp_servers::{Act, Phase, Received, Script, Sink};

const ALICE: &str = "alice@home.test";
/// Comes to Bob.
const AWAY: &str = "away@home.test";
/// The same from another domain of ours.
const OTHER: &str = "away@other.test";
const BOB: &str = "bob@far.test";
/// Who writes to them.
const ANN: &str = "ann@stranger.test";
const CONTENT: &str = "Message-ID: <1@client.test>\r\nFrom: ann@stranger.test\r\nSubject: s\r\n\r\nHi\r\n";

/// A store with the aliases above, for nodes whose mail for all other domains goes to a server.
fn prepare(ground: Ground) -> Ground {
    ground.account(ALICE).account("carol@other.test").alias(AWAY, &[BOB]).alias(OTHER, &[BOB, "b2@far.test"])
}

fn settings(sink: &Sink, config: &mut Config) {
    let address = sink.address();
    let next_hop = NextHop { host: address.ip().to_string(), port: address.port() };
    config.relay.routes.push(Route { domain: None, next_hop });
    config.relay.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
}

fn node(sink: &Sink, change: impl FnOnce(&mut Config)) -> Node {
    prepare(Ground::new(|config| {
        settings(sink, config);
        change(config);
    }))
    .start()
}

/// Sends a message, and gives its queue id.
fn send(node: &Node, reverse_path: &str, recipients: &[&str]) -> String {
    let mut client = node.client();
    client.command(&format!("MAIL FROM:<{reverse_path}>"), "250 ");
    for recipient in recipients {
        client.command(&format!("RCPT TO:<{recipient}>"), "250 ");
    }
    client.command("DATA", "354 ");
    client.send(format!("{CONTENT}.\r\n"));
    client.accepted()
}

/// What is said to a recipient.
fn recipient(node: &Node, reverse_path: &str, recipient: &str) -> String {
    let mut client = node.client();
    client.command(&format!("MAIL FROM:<{reverse_path}>"), "250 ");
    client.send(format!("RCPT TO:<{recipient}>\r\n"));
    client.reply()
}

/// The reverse-path and the recipients of the newest of so many messages.
fn newest(sink: &Sink, messages: usize) -> (String, Vec<String>) {
    let Received { reverse_path, forward_paths, .. } = sink.wait_for_accepted(messages).pop().unwrap();
    (reverse_path, forward_paths)
}

fn assert_stands_for(rewritten: &str, original: &str, at: &str) {
    let (local_part, domain) = original.split_once('@').unwrap();
    let end = format!("={domain}={local_part}@{at}");
    assert!(rewritten.starts_with("SRS0=") && rewritten.ends_with(&end), "{rewritten} for {original}");
}

#[test]
fn what_an_alias_leads_away_goes_under_an_address_of_its_domain_and_reports_come_back() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |_| ());
    send(&node, ANN, &[AWAY]);
    let (rewritten, recipients) = newest(&sink, 1);
    assert_stands_for(&rewritten, ANN, "home.test");
    assert_eq!(recipients, [BOB]);

    send(&node, "", &[&rewritten]);
    assert_eq!(newest(&sink, 2), (String::new(), vec![ANN.to_owned()]));
    send(&node, "", &[&rewritten.to_lowercase()]);
    assert_eq!(newest(&sink, 3), (String::new(), vec![ANN.to_owned()]));
    // An answer that has a reverse-path of its own is itself forwarded.
    send(&node, BOB, &[&rewritten.to_uppercase()]);
    let (answer, recipients) = newest(&sink, 4);
    assert_stands_for(&answer, BOB, "home.test");
    assert_eq!(recipients, ["ANN@stranger.test"]);
    // What another forwarder has rewritten leads back to it.
    send(&node, "SRS0=AbCd=JL=first.test=eve@two.test", &[AWAY]);
    let (twice, _) = newest(&sink, 5);
    assert!(twice.starts_with("SRS1=") && twice.ends_with("=two.test==AbCd=JL=first.test=eve@home.test"));
    send(&node, "", &[&twice]);
    assert_eq!(newest(&sink, 6).1, ["SRS0=AbCd=JL=first.test=eve@two.test"]);
}

#[test]
fn recipients_under_different_reverse_paths_go_in_different_transactions() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |config| config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()]);
    send(&node, ANN, &[AWAY, OTHER, "direct@far.test"]);
    let mut messages = sink.wait_for_accepted(3);
    messages.sort_by_key(|message| message.forward_paths.clone());
    let [at_other, at_home, direct] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(at_other.forward_paths, ["b2@far.test"]);
    assert_stands_for(&at_other.reverse_path, ANN, "other.test");
    // Two aliases come to him: he gets one copy, by the first.
    assert_eq!(at_home.forward_paths, [BOB]);
    assert_stands_for(&at_home.reverse_path, ANN, "home.test");
    assert_eq!(
        (direct.reverse_path.as_str(), &direct.forward_paths[..]),
        (ANN, &["direct@far.test".to_owned()][..])
    );
}

#[test]
fn what_needs_no_other_reverse_path_keeps_its_own() {
    let sink = Sink::start(Script::default());
    let relayed = DomainChange { kind: Some(DomainKind::Relay), ..DomainChange::default() };
    let node = prepare(Ground::new(|config| settings(&sink, config)))
        .domain("backend.test", &relayed)
        .alias("inward@home.test", &["dave@backend.test"])
        .start();
    let cases = [
        ("", AWAY),
        (ALICE, AWAY),
        ("x@backend.test", AWAY),
        (ANN, "inward@home.test"),
        (ANN, "eve@backend.test"),
    ];
    for (number, (reverse_path, recipient)) in cases.into_iter().enumerate() {
        send(&node, reverse_path, &[recipient]);
        assert_eq!(newest(&sink, number + 1).0, reverse_path, "{recipient}");
    }

    let sink = Sink::start(Script::default());
    let node = self::node(&sink, |config| config.forwarding.rewrites = false);
    send(&node, ANN, &[AWAY]);
    assert_eq!(newest(&sink, 1).0, ANN);
}

#[test]
fn our_own_report_goes_to_who_sent_it_in_the_first_place() {
    let refusing = Script::default().first(1, Phase::Rcpt(1), Act::Reply("550 5.1.1 nobody"));
    let sink = Sink::start(refusing.offering(&["DSN"]));
    let node = node(&sink, |_| ());
    let mut client = node.client();
    client.command(&format!("MAIL FROM:<{ANN}> RET=HDRS ENVID=e1"), "250 ");
    client.command(&format!("RCPT TO:<{AWAY}> NOTIFY=FAILURE ORCPT=rfc822;{AWAY}"), "250 ");
    client.command("DATA", "354 ");
    client.send(format!("{CONTENT}.\r\n"));
    let id = client.accepted();
    assert!(matches!(node.attempted(&id, BOB, 1), Outcome::Failed(_)));
    let report = sink.wait_for_accepted(1).remove(0);
    assert_eq!((report.reverse_path.as_str(), &report.forward_paths[..]), ("", &[ANN.to_owned()][..]));
    let content = String::from_utf8(report.content).unwrap();
    for fact in ["Original-Envelope-Id: e1", "Original-Recipient: rfc822; away@home.test", "Status: 5.1.1"] {
        assert!(content.contains(fact), "{fact}: {content}");
    }
    assert!(!content.contains("SRS0="), "{content}");
    // What the next hop was asked is all that the sender asked.
    let commands = &sink.connections()[0].commands;
    let mail = commands.iter().find(|command| command.starts_with("MAIL")).unwrap();
    assert!(mail.contains("<SRS0=") && mail.contains(" RET=HDRS ENVID=e1"), "{mail}");
    let rcpt = commands.iter().find(|command| command.starts_with("RCPT")).unwrap();
    assert!(rcpt.contains(&format!("NOTIFY=FAILURE ORCPT=rfc822;{AWAY}")), "{rcpt}");
}

#[test]
fn a_reverse_path_too_long_to_come_back_is_reported_and_the_mail_not_sent_under_it() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |_| ());
    let long = format!("{}@stranger.test", "a".repeat(120));
    let id = send(&node, &long, &[AWAY]);
    let Outcome::Failed(reply) = node.attempted(&id, BOB, 1) else { panic!("it was sent") };
    assert!(reply.to_string().starts_with("553 5.1.7 "), "{reply}");
    assert_eq!(newest(&sink, 1), (String::new(), vec![long]));
}

#[test]
fn nothing_goes_out_as_it_is_while_no_secret_can_be_made() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |_| ());
    let folder = layout::domain(&Domain::parse("home.test").unwrap());
    let commits = layout::commits(&folder);
    let tip = node.keys().iter().filter(|key| key.starts_with(&commits)).count() as u64;
    // What a later version has written, say: the alias before it is known, and nothing can be added.
    let key = layout::numbered(&commits, tip + 1);
    node.put(&key, b"not a commit");
    let id = send(&node, ANN, &[AWAY]);
    let Outcome::Deferred(reply) = node.attempted(&id, BOB, 1) else { panic!("not put off") };
    assert!(reply.to_string().starts_with("451 4.3.0 "), "{reply}");
    assert!(sink.accepted().is_empty());
    let queued = node.queue();
    assert!(queued.iter().any(|item| item.forward_path == address(BOB)), "{queued:?}");
    node.wait_for(
        "the reason",
        |event| matches!(event, Event::Trouble { doing, .. } if doing.contains("reverse-path")),
    );
}

/// A client that connects from elsewhere.
fn stranger(server: std::net::SocketAddr, reverse_path: &str, recipients: &[&str], message: &str) {
    let mut client = Client::greeted(server);
    client.command(&format!("MAIL FROM:<{reverse_path}>"), "250 ");
    for recipient in recipients {
        client.command(&format!("RCPT TO:<{recipient}>"), "250 ");
    }
    client.command("DATA", "354 ");
    client.send(format!("{message}.\r\n"));
    client.accepted();
}
