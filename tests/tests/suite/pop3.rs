//! POP3 against a whole engine over loopback TCP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fulmar_core::config::{Config, Protocol};
use fulmar_core::model::Event;
use fulmar_core::state::layout;
use fulmar_tests::node::{Ground, Node, address};
use fulmar_tests::pop3_client::Pop3Client;

const ALICE: &str = "alice@home.test";
/// As the ground gives it to every account.
const PASSWORD: &str = "password";

/// A node with one account that serves POP3, and where.
fn node(change: impl FnOnce(&mut Config)) -> (Node, SocketAddr) {
    let mut node = Ground::new(change).account(ALICE).start();
    let pop3 = node.listen(Protocol::Pop3, None);
    (node, pop3)
}

/// A node whose account has so many messages: `Subject: 1`, `Subject: 2` and so on.
fn node_with(messages: usize) -> (Node, SocketAddr) {
    let (node, pop3) = node(|_| ());
    (1..=messages).for_each(|number| node.deliver(ALICE, message(number)));
    (node, pop3)
}

fn message(number: usize) -> Vec<u8> {
    format!("Subject: {number}\r\n\r\n.\r\nline\r\n").into_bytes()
}

fn logged_in(pop3: SocketAddr) -> Pop3Client {
    Pop3Client::logged_in(pop3, ALICE, PASSWORD)
}

/// The subjects in Alice's INBOX.
fn subjects(node: &Node) -> Vec<String> {
    let subject = |message: Vec<u8>| {
        let text = String::from_utf8(message).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
    };
    node.inbox(ALICE).into_iter().map(subject).collect()
}

#[test]
fn messages_come_back_octet_for_octet_whatever_their_size() {
    let (node, pop3) = node(|_| ());
    let large =
        [&b"Subject: large\r\n\r\n"[..], &b"..\r\n.dots\r\n0123456789\r\n".repeat(5 << 20 >> 4)].concat();
    assert!(large.len() > 5 << 20);
    for content in
        [&message(1)[..], &large, b"Subject: no body\r\n\r\n", "Subject: grün\r\n\r\nß\r\n".as_bytes()]
    {
        node.deliver(ALICE, content.to_vec());
    }
    let inbox = node.inbox(ALICE);
    let mut client = logged_in(pop3);
    let octets: usize = inbox.iter().map(Vec::len).sum();
    client.command("STAT", &format!("+OK 4 {octets}\r\n"));
    let sizes: Vec<String> = inbox.iter().map(|message| message.len().to_string()).collect();
    assert_eq!(client.listing("LIST"), sizes);
    for (index, stored) in inbox.iter().enumerate() {
        let retrieved = client.multi_line(&format!("RETR {}", index + 1));
        assert!(retrieved == *stored, "message {} is not what is stored", index + 1);
        assert!(retrieved.starts_with(b"Return-Path: <>\r\n"));
    }
    assert!(inbox[1].ends_with(&large));
    client.quit();
    node.wait_for("a session's end", |event| matches!(event, Event::SessionClosed { messages: 4, .. }));
}

#[test]
fn top_gives_the_header_block_and_so_many_lines() {
    let (node, pop3) = node_with(1);
    let stored = String::from_utf8(node.inbox(ALICE).remove(0)).unwrap();
    let (header, _) = stored.split_once("\r\n\r\n").unwrap();
    let mut client = logged_in(pop3);
    for (lines, body) in [(0, ""), (1, ".\r\n"), (2, ".\r\nline\r\n"), (99, ".\r\nline\r\n")] {
        let top = String::from_utf8(client.multi_line(&format!("TOP 1 {lines}"))).unwrap();
        assert_eq!(top, format!("{header}\r\n\r\n{body}"));
    }
    client.quit();
}

#[test]
fn unique_ids_stay_the_same_and_are_never_given_again() {
    let (node, pop3) = node_with(3);
    let mut first = logged_in(pop3);
    let ids = first.listing("UIDL");
    assert!(ids.iter().all(|id| id.len() <= 70));
    first.command("DELE 3", "+OK ");
    first.command("DELE 1", "+OK ");
    first.quit();
    node.deliver(ALICE, message(4));
    let mut second = logged_in(pop3);
    let later = second.listing("UIDL");
    assert_eq!((later.len(), &later[0]), (2, &ids[1]));
    assert!(!ids.contains(&later[1]), "{later:?} after {ids:?}");
    second.command("UIDL 1", &format!("+OK 1 {}\r\n", ids[1]));
    second.quit();
}

#[test]
fn only_quit_deletes_and_only_what_is_still_marked() {
    let (node, pop3) = node_with(3);
    let mut dropped = logged_in(pop3);
    dropped.command("DELE 1", "+OK ");
    drop(dropped);
    node.session_closed("connection closed by the client or lost");
    assert_eq!(subjects(&node), ["1", "2", "3"]);

    let mut reset = logged_in(pop3);
    reset.command("DELE 1", "+OK ");
    reset.command("RSET", "+OK 3 messages ");
    reset.quit();
    assert_eq!(subjects(&node), ["1", "2", "3"]);

    let mut deleted = logged_in(pop3);
    deleted.command("DELE 2", "+OK ");
    deleted.command("STAT", "+OK 2 ");
    deleted.quit();
    assert_eq!(subjects(&node), ["1", "3"]);
}

#[test]
fn all_deletions_of_a_session_are_one_commit() {
    let (node, pop3) = node_with(10);
    let commits =
        || node.keys().iter().filter(|key| key.contains("/c/") && key.starts_with(layout::ACCOUNTS)).count();
    let before = commits();
    let mut client = logged_in(pop3);
    (1..=10).for_each(|number| drop(client.command(&format!("DELE {number}"), "+OK ")));
    client.quit();
    assert_eq!((commits(), node.inbox(ALICE).len()), (before + 1, 0));
}

#[test]
fn two_sessions_at_once_each_see_the_mailbox_as_it_was() {
    let (node, pop3) = node_with(2);
    let (mut one, mut other) = (logged_in(pop3), logged_in(pop3));
    one.command("DELE 1", "+OK ");
    one.command("DELE 2", "+OK ");
    one.quit();
    assert_eq!(subjects(&node), [""; 0]);
    // What has gone from the mailbox can still be read by whoever saw it there.
    assert_eq!(other.listing("LIST").len(), 2);
    assert!(other.multi_line("RETR 2").ends_with(&message(2)));
    other.command("DELE 2", "+OK ");
    other.quit();
    assert_eq!(subjects(&node), [""; 0]);
}

#[test]
fn what_arrives_during_a_session_is_seen_by_the_next_one() {
    let (node, pop3) = node_with(1);
    let mut client = logged_in(pop3);
    node.deliver(ALICE, message(2));
    client.command("STAT", "+OK 1 ");
    client.command("RETR 2", "-ERR ");
    client.command("DELE 1", "+OK ");
    client.quit();
    assert_eq!(subjects(&node), ["2"]);
    let mut next = logged_in(pop3);
    assert!(next.multi_line("RETR 1").ends_with(&message(2)));
    next.quit();
}

#[test]
fn a_deletion_that_cannot_be_committed_is_told() {
    let (node, pop3) = node_with(2);
    let mut client = logged_in(pop3);
    client.command("DELE 1", "+OK ");
    let commits = format!("{}c/", layout::account(&address(ALICE)));
    let tip = node.keys().iter().filter(|key| key.starts_with(&commits)).count();
    node.put(&layout::numbered(&commits, tip as u64 + 1), b"of a later version");
    client.command("QUIT", "-ERR [SYS/TEMP] ");
    assert_eq!(subjects(&node), ["1", "2"]);
    // The account can still be read.
    let mut next = logged_in(pop3);
    assert!(next.multi_line("RETR 1").ends_with(&message(1)));
    next.quit();
}

#[test]
fn refused_logins_take_their_time_and_tell_nothing() {
    let (node, pop3) = node(|_| ());
    let mut client = Pop3Client::connect(pop3);
    let mut refusals = Vec::new();
    for (name, password) in [(ALICE, "passwore"), ("nobody@home.test", "s3cret"), ("alice", "s3cret")] {
        client.command(&format!("USER {name}"), "+OK ");
        let began = Instant::now();
        refusals.push(client.command(&format!("PASS {password}"), "-ERR [AUTH] "));
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(1), "{name} was refused after {took:?}");
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    assert_eq!(client.rest(), "");
    node.session_closed("too many failed logins");

    // Names come in any case.
    Pop3Client::logged_in(pop3, "Alice@HOME.test", PASSWORD).quit();
    let events = node.events();
    let failed = events.iter().filter_map(|event| match event {
        Event::LoginFailed { account, .. } => Some(account.as_ref().map(ToString::to_string)),
        _ => None,
    });
    assert_eq!(
        failed.collect::<Vec<_>>(),
        // A name without a domain is of the only one there is.
        [Some(ALICE.to_owned()), Some("nobody@home.test".to_owned()), Some(ALICE.to_owned())]
    );
    let logged_in =
        |event: &Event| matches!(event, Event::LoggedIn { account, .. } if *account == address(ALICE));
    assert!(events.iter().any(logged_in));
    let told = format!("{events:?}");
    assert!(!told.contains("passwor") && !told.contains("s3cret"), "{told}");
}

#[test]
fn passwords_in_clear_text_are_taken_on_loopback_only_unless_allowed() {
    let far = Some(SocketAddr::from(([192, 0, 2, 7], 50_000)));
    for allow_plaintext in [false, true] {
        let (mut node, _) = node(|config| config.pop3.allow_plaintext = allow_plaintext);
        let pop3 = node.listen(Protocol::Pop3, far);
        let mut client = Pop3Client::connect(pop3);
        let capabilities = String::from_utf8(client.multi_line("CAPA")).unwrap();
        assert_eq!(capabilities.lines().any(|line| line == "USER"), allow_plaintext);
        client.command(&format!("USER {ALICE}"), if allow_plaintext { "+OK " } else { "-ERR [AUTH] " });
        client.quit();
    }
}

#[test]
fn hostile_input_is_refused_and_bounded() {
    let (node, pop3) = node_with(1);
    let mut client = logged_in(pop3);
    for line in
        ["RETR 0", "RETR 99999999999999999999999", "RETR -1", "TOP 1 -1", "DELE 2", "LIST \0", "USER x", ""]
    {
        client.command(line, "-ERR ");
    }
    client.send(vec![b'x'; 1 << 20]).unwrap();
    client.command("", "-ERR line too long");
    client.command("NOOP", "+OK ");
    client.send("RETR 1\r\n".repeat(1_000)).unwrap();
    for _ in 0..1_000 {
        client.expect("+OK ");
        while client.expect("") != ".\r\n" {}
    }
    client.send([&b"\xff\0\r\n"[..]; 30].concat()).unwrap();
    let rest = client.rest();
    assert!(rest.ends_with("-ERR too many errors; closing\r\n"), "{rest}");
    node.session_closed("too many errors");
    assert_eq!(subjects(&node), ["1"]);
}

#[test]
fn a_command_line_without_end_is_cut_off_however_fast_it_comes() {
    let (node, pop3) = node(|config| config.pop3.idle_timeout = Duration::from_millis(300));
    let mut client = Pop3Client::connect(pop3);
    let flood = vec![b'x'; 1 << 20];
    // Ends when the server closes the connection.
    while client.send(&flood).is_ok() {}
    node.session_closed("timed out");
}

#[test]
fn one_session_more_than_allowed_is_told_to_come_later() {
    let (_node, pop3) = node(|config| config.pop3.sessions = 1);
    let first = logged_in(pop3);
    let mut second = std::net::TcpStream::connect(pop3).unwrap();
    let mut told = String::new();
    std::io::Read::read_to_string(&mut second, &mut told).unwrap();
    assert_eq!(told, "-ERR [SYS/TEMP] too many connections, try again later\r\n");
    first.quit();
}

#[test]
fn a_node_that_shuts_down_says_so_and_deletes_nothing() {
    let (mut node, pop3) = node_with(1);
    let mut client = logged_in(pop3);
    client.command("DELE 1", "+OK ");
    let waiting = std::thread::spawn(move || client.rest());
    node.shut_down(Duration::from_secs(10));
    assert_eq!(waiting.join().unwrap(), "-ERR [SYS/TEMP] shutting down, try again later\r\n");
    assert_eq!(subjects(&node), ["1"]);
}
