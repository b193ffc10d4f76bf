//! The scripted next hop.

use std::sync::Arc;

use fulmar_tests::client::Client;
use fulmar_tests::smtp_servers::{Act, Phase, Received, Script, Sink};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsConnector;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use smol::net::TcpStream;

const ENVELOPE: [&str; 2] = ["MAIL FROM:<a@x.test> SIZE=20", "RCPT TO:<b@y.test>"];

/// Sends one message and gives all replies to it, one code a command.
fn send(client: &mut Client) -> Vec<String> {
    let mut codes = Vec::new();
    for line in [ENVELOPE[0], ENVELOPE[1], "RCPT TO:<c@y.test>", "DATA", "Subject: s\r\n\r\n..dot\r\n."] {
        client.send(format!("{line}\r\n"));
        let reply = client.reply();
        codes.push(reply[..3].to_owned());
        // Without leave to send it the content would be taken for commands.
        if line == "DATA" && !reply.starts_with("354") {
            break;
        }
    }
    codes
}

#[test]
fn a_message_is_kept_with_its_envelope_and_without_stuffed_dots() {
    let sink = Sink::start(Script::default().offering(&["PIPELINING", "SIZE 1000"]));
    let mut client = Client::connect(sink.address());
    client.expect("220 sink.test ");
    let offered = client.command("EHLO client.test", "250-sink.test\r\n");
    assert_eq!(offered, "250-sink.test\r\n250-PIPELINING\r\n250 SIZE 1000\r\n");
    assert_eq!(send(&mut client), ["250", "250", "250", "354", "250"]);
    client.command("QUIT", "221 ");
    assert_eq!(client.rest(), "");
    let expected = Received {
        reverse_path: "a@x.test".to_owned(),
        parameters: "SIZE=20".to_owned(),
        forward_paths: vec!["b@y.test".to_owned(), "c@y.test".to_owned()],
        content: b"Subject: s\r\n\r\n.dot\r\n".to_vec(),
        is_accepted: true,
    };
    assert_eq!(sink.wait_for_accepted(1), [expected]);
    let connections = sink.wait_for("the end", |connections| connections[0].is_closed);
    assert_eq!(connections[0].commands[..2], ["EHLO client.test", ENVELOPE[0]]);
}

#[test]
fn a_script_can_answer_at_each_phase() {
    use Phase::{Content, Data, Mail, Rcpt, RcptTo};
    let later = Act::Reply("451 4.3.0 later");
    let never = Act::Reply("550-5.1.1 no\r\n550 5.1.1 never");
    for (phase, act, codes, accepted) in [
        (Mail, later, &["451", "503", "503", "554"][..], None),
        (Rcpt(1), never, &["250", "550", "250", "354", "250"], Some(&["c@y.test"][..])),
        (Rcpt(2), later, &["250", "250", "451", "354", "250"], Some(&["b@y.test"])),
        (RcptTo("c@y.test"), never, &["250", "250", "550", "354", "250"], Some(&["b@y.test"])),
        (Data, later, &["250", "250", "250", "451"], None),
        (Content, never, &["250", "250", "250", "354", "550"], None),
    ] {
        let sink = Sink::start(Script::default().always(phase, act));
        let mut client = Client::connect(sink.address());
        client.expect("220 ");
        client.command("HELO client.test", "250 ");
        assert_eq!(send(&mut client), codes, "{phase:?}");
        let forward_paths: Vec<_> =
            sink.accepted().into_iter().map(|message| message.forward_paths).collect();
        let expected: Vec<Vec<String>> =
            accepted.iter().map(|paths| paths.iter().map(|path| path.to_string()).collect()).collect();
        assert_eq!(forward_paths, expected, "{phase:?}");
    }
}

#[test]
fn a_script_can_close_the_connection_at_each_phase() {
    let commands = ["EHLO client.test", ENVELOPE[0], ENVELOPE[1], "DATA", "text\r\n."];
    let phases = [Phase::Greeting, Phase::Ehlo, Phase::Mail, Phase::Rcpt(1), Phase::Data, Phase::Content];
    for (at, phase) in phases.into_iter().enumerate() {
        for (act, last_words) in
            [(Act::Close, ""), (Act::ReplyAndClose("421 4.3.2 bye"), "421 4.3.2 bye\r\n")]
        {
            let sink = Sink::start(Script::default().offering(&["8BITMIME"]).first(1, phase, act));
            let mut client = Client::connect(sink.address());
            for command in &commands[..at] {
                client.reply();
                client.send(format!("{command}\r\n"));
            }
            assert_eq!(client.rest(), last_words, "{phase:?}");
            let connections = sink.wait_for("the end", |connections| connections[0].is_closed);
            let contents: Vec<_> =
                connections[0].messages.iter().map(|message| message.is_accepted).collect();
            assert_eq!(contents, if phase == Phase::Content { vec![false] } else { vec![] }, "{phase:?}");
            // Once only: the next connection is served.
            Client::greeted(sink.address());
        }
    }
}

#[test]
fn garbage_is_no_reply_and_silence_lasts_until_the_client_leaves() {
    let script =
        Script::default().first(1, Phase::Greeting, Act::Garbage).first(1, Phase::Ehlo, Act::Silence);
    let sink = Sink::start(script);
    let mut client = Client::connect(sink.address());
    client.wait_unread();
    client.send("EHLO client.test\r\n");
    sink.wait_for("EHLO", |connections| !connections[0].commands.is_empty());
    drop(client);
    sink.wait_for("the end", |connections| connections[0].is_closed);
}

#[test]
fn what_waits_goes_on_at_release_and_connections_are_counted() {
    let sink = Sink::start(Script::default().offering(&["8BITMIME"]).always(Phase::Mail, Act::Wait));
    let mut clients: Vec<_> = (0..3).map(|_| Client::greeted(sink.address())).collect();
    for client in &mut clients {
        client.send(format!("{}\r\n", ENVELOPE[0]));
    }
    let has_mail = |commands: &[String]| commands.iter().any(|line| line.starts_with("MAIL"));
    sink.wait_for("MAIL from all", |connections| connections.iter().all(|one| has_mail(&one.commands)));
    sink.release();
    for client in &mut clients {
        client.expect("250 2.1.0 ");
    }
    drop(clients);
    sink.wait_for("the end", |connections| connections.iter().all(|connection| connection.is_closed));
    drop(Client::greeted(sink.address()));
    assert_eq!((sink.connections().len(), sink.most_at_once()), (4, 3));
}

#[test]
fn starttls_leads_to_a_session_under_its_certificate() {
    let sink = Sink::start(Script::default().offering(&["STARTTLS", "8BITMIME"]));
    let mut roots = RootCertStore::empty();
    roots.add(sink.certificate().der()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    smol::block_on(async {
        let mut stream = TcpStream::connect(sink.address()).await.unwrap();
        stream.write_all(b"EHLO client.test\r\n").await.unwrap();
        stream.write_all(b"STARTTLS\r\n").await.unwrap();
        let expected =
            "220 sink.test ESMTP\r\n250-sink.test\r\n250-STARTTLS\r\n250 8BITMIME\r\n220 2.0.0 go ahead\r\n";
        let mut received = vec![0; expected.len()];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&received), expected);
        let mut stream = connector.connect("sink.test".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(b"EHLO client.test\r\nQUIT\r\n").await.unwrap();
        let mut received = String::new();
        stream.read_to_string(&mut received).await.unwrap_or_default();
        assert_eq!(received, "250-sink.test\r\n250 8BITMIME\r\n221 2.0.0 bye\r\n");
    });
    assert!(sink.connections()[0].is_secured);
}

#[test]
fn a_sink_that_is_dropped_is_gone_whatever_it_was_doing() {
    let sink = Sink::start(Script::default().always(Phase::Ehlo, Act::Silence));
    let address = sink.address();
    let mut client = Client::connect(address);
    client.expect("220 ");
    client.send("EHLO client.test\r\n");
    sink.wait_for("EHLO", |connections| !connections[0].commands.is_empty());
    drop(sink);
    assert_eq!(client.rest(), "");
    assert!(std::net::TcpStream::connect(address).is_err());
}
