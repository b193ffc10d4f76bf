//! What becomes of messages whose senders ask for things by ESMTP parameters, in whole engines.

use std::time::Duration;

use fulmar_core::config::{Config, NextHop, Route};
use fulmar_core::model::options::{DeliverBy, Notify, OriginalRecipient, Ret};
use fulmar_core::model::{BodyType, Domain, Event, MailOptions, Outcome, RecipientOptions, UtcTime};
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::smtp_servers::{Act, Phase, Received, Script, Sink};

const ALICE: &str = "alice@home.test";
const BOB: &str = "bob@home.test";
const FAR: &str = "b@far.test";
const CONTENT: &str = "Message-ID: <1@client.test>\r\nSubject: lunch\r\n\r\nAt one?\r\n";
const NEVER: Notify = Notify { success: false, failure: false, delay: false };
const SUCCESS: Notify = Notify { success: true, ..NEVER };
/// How long a node that shuts down waits for what is under way.
const GRACE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_hours(1);

/// A node with two accounts, whose mail for all other domains goes to a server.
fn node(sink: &Sink, change: impl FnOnce(&mut Config)) -> Node {
    ground(sink.address(), change).start()
}

fn ground(next_hop: std::net::SocketAddr, change: impl FnOnce(&mut Config)) -> Ground {
    Ground::new(|config| {
        let next_hop = NextHop { host: next_hop.ip().to_string(), port: next_hop.port() };
        config.relay.routes.push(Route { domain: None, next_hop });
        config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.relay.private_networks = config.relay.networks.clone();
        change(config);
    })
    .account(ALICE)
    .account(BOB)
    .alias("team@home.test", &[ALICE, BOB])
}

fn notify(notify: Notify) -> RecipientOptions {
    RecipientOptions { notify: Some(notify), original: None }
}

/// Waits for the report of a message that is no failure's.
fn notified(node: &Node, id: &str) -> String {
    match node.wait_for(
        "a report",
        |event| matches!(event, Event::Notified { queue_id, .. } if queue_id.to_string() == id),
    ) {
        Event::Notified { report, .. } => report.to_string(),
        other => panic!("{other:?}"),
    }
}

fn bounced(node: &Node, id: &str) -> String {
    match node.wait_for(
        "a report of failure",
        |event| matches!(event, Event::Bounced { queue_id, .. } if queue_id.to_string() == id),
    ) {
        Event::Bounced { report, .. } => report.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The one report in an account's INBOX, once it has been delivered.
fn report(node: &Node, report: &str, account: &str) -> String {
    node.delivered(report, account);
    let inbox = node.inbox(account).into_iter().map(|message| String::from_utf8(message).unwrap());
    let mut reports: Vec<String> = inbox.filter(|message| message.contains("multipart/report")).collect();
    assert_eq!(reports.len(), 1, "{reports:?}");
    reports.remove(0)
}

/// Lets a node's time go on until so many attempts at the far recipient have ended.
fn attempts_while_time_flies(node: &Node, id: &str, attempts: usize) {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| node.attempted(id, FAR, attempts));
        while !waiting.is_finished() {
            node.advance(HOUR / 12);
            std::thread::sleep(Duration::from_millis(5));
        }
        waiting.join().unwrap();
    });
}

fn assert_has(text: &str, facts: &[&str]) {
    for fact in facts {
        assert!(text.contains(fact), "{fact:?} is not in\n{text}");
    }
}

fn failed(outcome: &Outcome, status: &str) {
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert_has(&outcome.reply().to_string(), &[status]);
}

#[test]
fn a_delivery_here_is_reported_where_that_is_asked_for_and_only_there() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |_| ());
    let original = OriginalRecipient { kind: "rfc822".into(), address: "Old@x.test".into() };
    let asked = RecipientOptions { notify: Some(SUCCESS), original: Some(original) };
    let options = MailOptions { envid: Some("e 1".into()), ..MailOptions::default() };
    let id = node.send_with(ALICE, options, &[(BOB, asked)], CONTENT);
    let text = report(&node, &notified(&node, &id), ALICE);
    assert_has(
        &text,
        &[
            "\r\nSubject: Your message was delivered\r\n",
            "\r\nOriginal-Envelope-Id: e 1\r\n",
            "\r\nOriginal-Recipient: rfc822; Old@x.test\r\nFinal-Recipient: rfc822; bob@home.test\r\nAction: delivered\r\n",
        ],
    );
    // A report about a report there is not, whatever was asked for.
    let id = node.send_with("", MailOptions::default(), &[(BOB, notify(SUCCESS))], CONTENT);
    node.delivered(&id, BOB);
    let reports = node.events().into_iter().filter(|event| matches!(event, Event::Notified { .. }));
    assert_eq!(reports.count(), 1);
}

#[test]
fn an_alias_of_several_is_reported_as_expanded_once() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |_| ());
    let id = node.send_with(BOB, MailOptions::default(), &[("team@home.test", notify(SUCCESS))], CONTENT);
    [ALICE, BOB].into_iter().for_each(|account| node.delivered(&id, account));
    let text = report(&node, &notified(&node, &id), BOB);
    assert_has(&text, &["Final-Recipient: rfc822; team@home.test\r\nAction: expanded\r\n"]);
    let reports = node.events().into_iter().filter(|event| matches!(event, Event::Notified { .. }));
    assert_eq!(reports.count(), 1);
}

#[test]
fn a_host_that_does_not_report_is_reported_and_one_that_does_is_asked() {
    let sink = Sink::start(Script::default());
    let here = node(&sink, |_| ());
    let id = here.send_with(ALICE, MailOptions::default(), &[(FAR, notify(SUCCESS))], CONTENT);
    let text = report(&here, &notified(&here, &id), ALICE);
    assert_has(&text, &["Action: relayed\r\n", "\r\nRemote-MTA: dns; 127.0.0.1\r\n"]);

    let sink = Sink::start(Script::default().offering(&["DSN"]));
    let here = node(&sink, |_| ());
    let options = MailOptions { ret: Some(Ret::Full), envid: Some("e+1".into()), ..MailOptions::default() };
    let id = here.send_with(ALICE, options, &[(FAR, notify(SUCCESS))], CONTENT);
    here.attempted(&id, FAR, 1);
    let commands = sink.connections().remove(0).commands;
    let asked = |command: &str| commands.iter().any(|line| line == command);
    assert!(asked("MAIL FROM:<alice@home.test> RET=FULL ENVID=e+2B1"), "{commands:?}");
    assert!(asked("RCPT TO:<b@far.test> NOTIFY=SUCCESS"), "{commands:?}");
    assert!(!here.events().iter().any(|event| matches!(event, Event::Notified { .. })));
}

#[test]
fn success_is_reported_once_across_two_nodes() {
    let reserved = Sink::start(Script::default());
    let there = Ground::new(|config| {
        config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()];
        let (host, port) = (reserved.address().ip().to_string(), reserved.address().port());
        config.relay.routes.push(Route { domain: None, next_hop: NextHop { host, port } });
    });
    let mut there = there.account(FAR).start();
    let mut here = ground(there.server(), |_| ()).start();
    let id = here.send_with(ALICE, MailOptions::default(), &[(FAR, notify(SUCCESS))], CONTENT);
    assert!(matches!(here.attempted(&id, FAR, 1), Outcome::Delivered(_)));
    there.wait_for("delivery", |event| {
        matches!(event, Event::Attempted { outcome: Outcome::Delivered(_), recipient, .. } if recipient.to_string() == FAR)
    });
    let is_notified = |node: &Node| node.events().iter().any(|event| matches!(event, Event::Notified { .. }));
    [&mut here, &mut there].into_iter().for_each(|node| node.shut_down(GRACE));
    // Who reports depends on whether the other one offers DSN; never both.
    assert_ne!(is_notified(&here), is_notified(&there));
}

#[test]
fn who_does_not_want_to_be_told_is_not() {
    let sink = Sink::start(Script::default().always(Phase::Mail, Act::Reply("550 5.7.1 no")));
    let node = node(&sink, |_| ());
    for asked in [NEVER, SUCCESS] {
        let id = node.send_with(ALICE, MailOptions::default(), &[(FAR, notify(asked))], CONTENT);
        node.wait_for(
            "a failure that is not told",
            |event| matches!(event, Event::BounceDropped { queue_id, .. } if queue_id.to_string() == id),
        );
    }
    assert!(!node.events().iter().any(|event| matches!(event, Event::Bounced { .. })));
}

#[test]
fn a_whole_message_is_returned_where_that_is_asked_for() {
    let sink = Sink::start(Script::default().always(Phase::Mail, Act::Reply("550 5.7.1 no")));
    let node = node(&sink, |_| ());
    let options = MailOptions { ret: Some(Ret::Full), ..MailOptions::default() };
    let id = node.send_with(ALICE, options, &[(FAR, RecipientOptions::default())], CONTENT);
    let text = report(&node, &bounced(&node, &id), ALICE);
    assert_has(&text, &["\r\nContent-Type: message/rfc822\r\n", "\r\n\r\nAt one?\r\n"]);
}

#[test]
fn a_delay_is_told_of_once() {
    let sink = Sink::start(Script::default().always(Phase::Mail, Act::Reply("451 4.7.1 later")));
    let node = node(&sink, |config| config.queue.retry = vec![HOUR]);
    let asked = notify(Notify { delay: true, failure: true, success: false });
    let id = node.send_with(ALICE, MailOptions::default(), &[(FAR, asked)], CONTENT);
    attempts_while_time_flies(&node, &id, 7);
    let text = report(&node, &notified(&node, &id), ALICE);
    assert_has(&text, &["\r\nAction: delayed\r\nStatus: 4.", "\r\nWill-Retry-Until: "]);
    let told = node.events().into_iter().filter(|event| matches!(event, Event::Notified { .. }));
    assert_eq!(told.count(), 1);
}

const EIGHT_BIT: &str = "Subject: gr\u{fc}n\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                         Content-Transfer-Encoding: 8bit\r\n\r\n\u{e4}\u{f6}\u{fc} = x\r\n";

#[test]
fn octets_that_a_host_does_not_take_are_encoded_and_what_is_signed_comes_back() {
    let sink = Sink::start(Script::default());
    // From memory, and read again from the store.
    for memory in [16 << 20, 0] {
        let node = node(&sink, |config| config.queue.memory = memory);
        let before = sink.accepted().len();
        let options = MailOptions::of(BodyType::EightBitMime);
        node.send_with(ALICE, options.clone(), &[(FAR, RecipientOptions::default())], EIGHT_BIT);
        let arrived = received(&sink.wait_for_accepted(before + 1)[before]);
        let tail = "\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4=C3=B6=C3=BC =3D x\r\n";
        assert!(arrived.ends_with(tail), "{arrived}");
        // ASCII goes as it is, whatever it was declared to be.
        node.send_with(ALICE, options.clone(), &[(FAR, RecipientOptions::default())], CONTENT);
        let arrived = received(&sink.wait_for_accepted(before + 2)[before + 1]);
        assert!(arrived.ends_with(CONTENT), "{arrived}");
        let signed = "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\u{e9}\r\n--s--\r\n";
        let id = node.send_with(ALICE, options, &[(FAR, RecipientOptions::default())], signed);
        failed(&node.attempted(&id, FAR, 1), "5.6.3");
    }
}

fn received(message: &Received) -> String {
    String::from_utf8(message.content.clone()).unwrap()
}

#[test]
fn binary_content_goes_in_chunks_or_encoded() {
    let content =
        "MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\0";
    let whole =
        Sink::start(Script::default().offering(&["PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"]));
    let lines = Sink::start(Script::default().offering(&["8BITMIME"]));
    for (sink, end) in [(whole, content), (lines, "Content-Transfer-Encoding: base64\r\n\r\nYQpiAA==\r\n")] {
        let node = node(&sink, |_| ());
        let asked = MailOptions::of(BodyType::BinaryMime);
        node.send_with(ALICE, asked, &[(FAR, RecipientOptions::default())], content);
        let arrived = received(&sink.wait_for_accepted(1)[0]);
        assert!(arrived.ends_with(end), "{arrived:?}");
    }
}

#[test]
fn addresses_beyond_ascii_go_only_where_they_are_taken() {
    let international = "jos\u{e9}@far.test";
    let plain = Sink::start(Script::default().offering(&["8BITMIME"]));
    let node_here = node(&plain, |_| ());
    let both = [(FAR, RecipientOptions::default()), (international, RecipientOptions::default())];
    let utf8 = MailOptions { smtputf8: true, ..MailOptions::of(BodyType::EightBitMime) };
    // The header is ASCII, so those whom the host can be told get the message.
    let id = node_here.send_with(ALICE, utf8.clone(), &both, CONTENT);
    assert!(matches!(node_here.attempted(&id, FAR, 1), Outcome::Delivered(_)));
    failed(&node_here.attempted(&id, international, 1), "5.6.7");
    assert_has(
        &report(&node_here, &bounced(&node_here, &id), ALICE),
        &["Final-Recipient: utf-8; jos\\x{E9}@far.test"],
    );
    let id = node_here.send_with(ALICE, utf8.clone(), &both[..1], EIGHT_BIT);
    failed(&node_here.attempted(&id, FAR, 1), "5.6.7");

    let taking = Sink::start(Script::default().offering(&["8BITMIME", "SMTPUTF8"]));
    let node_here = node(&taking, |_| ());
    node_here.send_with(ALICE, utf8, &both, EIGHT_BIT);
    let messages = taking.wait_for_accepted(1);
    assert_eq!(messages[0].forward_paths.len(), 2);
    assert_has(&messages[0].parameters, &["SMTPUTF8"]);
}

#[test]
fn what_requires_tls_goes_only_to_a_host_that_proves_its_name_and_offers_it() {
    let options = MailOptions { require_tls: true, ret: Some(Ret::Full), ..MailOptions::default() };
    for (offered, is_known, expected) in [
        (&["STARTTLS", "REQUIRETLS"][..], true, None),
        (&["STARTTLS"], true, Some("5.7.30")),
        (&["REQUIRETLS"], true, Some("5.7.10")),
        (&["STARTTLS", "REQUIRETLS"], false, Some("5.7.10")),
    ] {
        let sink = Sink::start(Script::default().offering(offered));
        let node = Ground::new(|config| {
            config.relay.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
            config.relay.port = sink.address().port();
            if is_known {
                config.relay.roots = vec![sink.certificate().der().to_vec()];
            }
        });
        let node = node.account(ALICE).start();
        node.zone().mx("far.test", &[(10, "sink.test")]);
        node.zone().host("sink.test", &["127.0.0.1".parse().unwrap()]);
        let id = node.send_with(ALICE, options.clone(), &[(FAR, RecipientOptions::default())], CONTENT);
        let outcome = node.attempted(&id, FAR, 1);
        match expected {
            None => {
                assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
                assert_has(&sink.accepted()[0].parameters, &["REQUIRETLS"]);
            }
            Some(status) => {
                failed(&outcome, status);
                let text = report(&node, &bounced(&node, &id), ALICE);
                assert!(!text.contains("At one?"), "{text}");
            }
        }
    }
}

#[test]
fn a_message_with_a_time_comes_back_when_it_is_over_or_its_delay_is_told_of() {
    let sink = Sink::start(Script::default().always(Phase::Mail, Act::Reply("451 4.7.1 later")));
    for is_return in [true, false] {
        let node = node(&sink, |config| config.queue.retry = vec![HOUR]);
        let at = UtcTime(node.now().0 + 90 * 60 * 1_000);
        let by = DeliverBy { at, is_return, is_traced: false };
        let options = MailOptions { deliver_by: Some(by), ..MailOptions::default() };
        let id = node.send_with(ALICE, options, &[(FAR, RecipientOptions::default())], CONTENT);
        if is_return {
            // This host does not offer DELIVERBY, so it is not to be trusted with it.
            failed(&node.attempted(&id, FAR, 1), "5.4.7");
            report(&node, &bounced(&node, &id), ALICE);
            continue;
        }
        attempts_while_time_flies(&node, &id, 4);
        let text = report(&node, &notified(&node, &id), ALICE);
        assert_has(&text, &["\r\nAction: delayed\r\n"]);
    }
}

#[test]
fn limits_that_a_server_names_are_kept() {
    let script = Script::default().offering(&["LIMITS MAILMAX=2 RCPTMAX=2 RCPTDOMAINMAX=1"]);
    let sink = Sink::start(script);
    let node = node(&sink, |_| ());
    let paths: Vec<String> = (0..9).map(|n| format!("u{n}@{}.test", ["p", "q"][n % 2])).collect();
    let recipients: Vec<_> = paths.iter().map(|path| (path.as_str(), RecipientOptions::default())).collect();
    let id = node.send_with(ALICE, MailOptions::default(), &recipients, CONTENT);
    for path in &paths {
        assert!(matches!(node.attempted(&id, path, 1), Outcome::Delivered(_)), "{path}");
    }
    for connection in sink.connections() {
        assert!(connection.messages.len() <= 2, "{connection:?}");
        for message in &connection.messages {
            let domain = |path: &String| Domain::parse(path.split_once('@').unwrap().1).unwrap();
            let domains: std::collections::BTreeSet<_> = message.forward_paths.iter().map(domain).collect();
            assert!(message.forward_paths.len() <= 2 && domains.len() == 1, "{message:?}");
        }
    }
    let taken: usize = sink.accepted().iter().map(|message| message.forward_paths.len()).sum();
    assert_eq!(taken, 9, "each once");
}
