//! What arrives is what was sent, over few connections, encrypted where that is offered.

use fulmar_core::config::Config;
use fulmar_tests::smtp_servers::{Act, Phase, Script, Sink};

use super::{CONTENT, below_received, ground, is_delivered, large, one_hop, route, send, submit};

const EVERYTHING: [&str; 4] = ["PIPELINING", "8BITMIME", "SIZE 100000000", "STARTTLS"];
/// Lines that begin with dots, and everything that is told from its end only by the dots before it.
const DOTS: &str = "Subject: dots\r\n\r\n..\r\n...\r\n..one\r\n.. \r\nan end..\r\n..\r\n";

#[test]
fn a_message_to_three_at_one_destination_goes_in_one_transaction_as_it_came() {
    let extensions: [&[&'static str]; 3] = [&[], &["PIPELINING"], &EVERYTHING];
    for offered in extensions {
        let (sink, node) = one_hop(Script::default().offering(offered), |_| ());
        let recipients = ["a@far.test", "b@far.test", "c@far.test"];
        let id = send(&node, "sender@client.test", &recipients, CONTENT);
        let messages = sink.wait_for_accepted(1);
        recipients.iter().for_each(|recipient| assert!(is_delivered(&node.attempted(&id, recipient, 1))));
        assert_eq!(messages.len(), 1, "{offered:?}");
        assert_eq!(messages[0].forward_paths, recipients, "{offered:?}");
        assert_eq!(messages[0].reverse_path, "sender@client.test", "{offered:?}");
        assert_eq!(below_received(&messages[0].content), CONTENT.as_bytes(), "{offered:?}");
        let size = format!("SIZE={}", messages[0].content.len());
        assert_eq!(messages[0].parameters.contains(&size), offered.len() > 1, "{offered:?}: {messages:?}");
        let received = String::from_utf8(messages[0].content.clone()).unwrap();
        assert!(received.contains(&id), "{received}");
    }
}

#[test]
fn content_arrives_octet_by_octet_as_it_came() {
    // In transport form, as the client sends it, and as it is.
    let cases = [
        ("dots", DOTS.to_owned(), DOTS.replace("\r\n.", "\r\n")),
        ("no body", "Subject: nothing\r\n".to_owned(), "Subject: nothing\r\n".to_owned()),
        ("large", large(), large()),
        (
            "a long line",
            format!("a: b\r\n\r\n{}\r\n", "y".repeat(60_000)),
            format!("a: b\r\n\r\n{}\r\n", "y".repeat(60_000)),
        ),
    ];
    // From memory, and read again from the store.
    for memory in [16 << 20, 0] {
        let (sink, node) = one_hop(Script::default(), |config| config.queue.memory = memory);
        for (at, (name, sent, expected)) in cases.iter().enumerate() {
            send(&node, "sender@client.test", &["a@far.test"], sent);
            let messages = sink.wait_for_accepted(at + 1);
            let arrived = below_received(&messages[at].content);
            assert!(
                arrived == expected.as_bytes(),
                "{name}: {} octets and not {}",
                arrived.len(),
                expected.len()
            );
        }
    }
}

#[test]
fn octets_beyond_ascii_go_as_such_or_encoded() {
    let content = "Subject: gr\u{fc}n\r\n\r\n\u{e4}\u{f6}\u{fc}\r\n";
    let mail_from = "<sender@client.test> BODY=8BITMIME";
    let (sink, node) = one_hop(Script::default().offering(&["8BITMIME"]), |_| ());
    submit(&mut node.client(), mail_from, &["a@far.test"], content);
    let messages = sink.wait_for_accepted(1);
    assert!(messages[0].parameters.contains("BODY=8BITMIME"), "{messages:?}");
    assert_eq!(below_received(&messages[0].content), content.as_bytes());

    let (sink, node) = one_hop(Script::default(), |_| ());
    submit(&mut node.client(), mail_from, &["a@far.test"], content);
    let messages = sink.wait_for_accepted(1);
    assert!(!messages[0].parameters.contains("BODY"), "{messages:?}");
    let encoded = b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4=C3=B6=C3=BC\r\n";
    assert!(messages[0].content.ends_with(encoded), "{messages:?}");
}

#[test]
fn messages_in_a_row_share_connections_and_never_are_there_more_than_allowed() {
    let limit = 3;
    let restrict = |config: &mut Config| config.relay.attempts_per_destination = limit;
    let (sink, node) = one_hop(Script::default(), restrict);
    let mut client = node.client();
    for message in 1..=20 {
        submit(&mut client, "<sender@client.test>", &["a@far.test"], CONTENT);
        sink.wait_for_accepted(message);
    }
    let in_a_row = sink.connections().len();
    // The message is at the sink a moment before its connection is free again.
    assert!(in_a_row <= limit, "{in_a_row} connections");
    let sending = (0..4).map(|_| {
        let mut client = node.client();
        std::thread::spawn(move || {
            (0..15).for_each(|_| drop(submit(&mut client, "<sender@client.test>", &["a@far.test"], CONTENT)));
        })
    });
    sending.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(sink.wait_for_accepted(80).len(), 80);
    assert!(sink.most_at_once() <= limit, "{} at once", sink.most_at_once());
    assert!(sink.connections().len() <= limit, "{} connections", sink.connections().len());
}

#[test]
fn a_session_is_encrypted_where_that_is_offered_and_works() {
    let offering = || Script::default().offering(&EVERYTHING);
    for (name, script, is_secured) in [
        ("works", offering(), true),
        ("refused", offering().always(Phase::StartTls, Act::Reply("454 4.7.0 not now")), false),
        ("refused for good", offering().always(Phase::StartTls, Act::Reply("502 5.5.1 what?")), false),
        ("closed", offering().always(Phase::Handshake, Act::Close), false),
        ("garbage", offering().always(Phase::Handshake, Act::Garbage), false),
    ] {
        let (sink, node) = one_hop(script, |_| ());
        let id = send(&node, "sender@client.test", &["a@far.test"], CONTENT);
        let outcome = node.attempted(&id, "a@far.test", 1);
        assert!(is_delivered(&outcome), "{name}: {outcome:?}");
        let connections = sink.connections();
        let last = connections.last().unwrap();
        assert_eq!(last.is_secured, is_secured, "{name}");
        assert_eq!(last.messages.len(), 1, "{name}: {connections:?}");
        assert_eq!(sink.accepted().len(), 1, "{name}");
        // RFC 3207 §4.2: what was said before the handshake is forgotten.
        let greetings = last.commands.iter().filter(|line| line.starts_with("EHLO ")).count();
        assert_eq!(greetings, 1 + usize::from(is_secured), "{name}: {connections:?}");
    }
}

#[test]
fn a_domains_own_route_goes_before_that_for_all_and_before_its_exchanges() {
    let [own, all, exchange] = [(); 3].map(|()| Sink::start(Script::default()));
    let ground = ground(|config| {
        route(config, Some("own.test"), own.address());
        route(config, None, all.address());
        config.relay.port = exchange.address().port();
    });
    for domain in ["own.test", "other.test"] {
        ground.zone().mx(domain, &[(1, "mx.other.test")]);
    }
    ground.zone().host("mx.other.test", &[[127, 0, 0, 1].into()]);
    let node = ground.start();
    send(&node, "sender@client.test", &["a@own.test", "b@other.test", "c@OWN.test"], CONTENT);
    assert_eq!(own.wait_for_accepted(1)[0].forward_paths, ["a@own.test", "c@own.test"]);
    assert_eq!(all.wait_for_accepted(1)[0].forward_paths, ["b@other.test"]);
    assert!(exchange.connections().is_empty());
}
