//! Commands that are none, come at the wrong time, or come for ever.

use std::time::Duration;

use fulmar_tests::client::Client;

use super::{ALICE, below_trace, ground};

const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";

#[test]
fn what_is_no_command_is_told_so_and_the_session_goes_on() {
    let node = ground(|_| ()).start();
    let mut client = node.client();
    for (line, expected) in [
        (&b"FROBNICATE now"[..], "500 5.5.1 "),
        (b"", "500 5.5.1 "),
        (b"EXPN staff", "502 5.5.1 "),
        (b"STARTTLS", "502 5.5.1 "),
        (b"NOOP \0", "500 5.5.2 "),
        (b"\0\0\0\0", "500 5.5.2 "),
        (b"NOOP \xff\xfe", "500 5.5.2 "),
        (b"MAIL FROM:<\xc3\xa9@home.test>", "553 5.6.7 "),
        (b"NOOP\rNOOP", "500 5.5.2 "),
        (b"NOOP\nNOOP", "500 5.5.2 "),
        (b"RCPT TO:<alice@home.test>", "503 5.5.1 "),
        (b"DATA", "503 5.5.1 "),
        (b"MAIL FROM:<sender@far.test> SIZE=many", "501 5.5.4 "),
        (b"MAIL FROM:<sender@far.test> X=1", "555 5.5.4 "),
        (b"MAIL FROM:sender@far.test", "501 5.1.7 "),
    ] {
        client.send(line);
        client.send("\r\n");
        let reply = client.reply();
        assert!(reply.starts_with(expected), "{:?}: {reply}", String::from_utf8_lossy(line));
        if line.contains(&b'\n') {
            client.expect("250 ");
        }
    }
    let id = client.deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
    assert_eq!(
        node.inbox(ALICE).iter().map(|message| below_trace(message)).collect::<Vec<_>>(),
        [MESSAGE.as_bytes()]
    );
}

#[test]
fn commands_out_of_order_change_nothing() {
    let node = ground(|_| ()).start();
    let mut client = Client::connect(node.server());
    client.expect("220 ");
    for line in ["MAIL FROM:<sender@far.test>", "RCPT TO:<alice@home.test>", "DATA"] {
        client.command(line, "503 5.5.1 ");
    }
    client.command("EHLO client.test", "250-");
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command("MAIL FROM:<other@far.test>", "503 5.5.1 ");
    client.command("DATA", "503 5.5.1 ");
    client.command("RCPT TO:<alice@home.test>", "250 ");
    client.command("DATA", "354 ");
    client.send("Subject: one\r\n\r\n.\r\n");
    let id = client.accepted();
    client.command("DATA", "503 5.5.1 ");
    node.delivered(&id, ALICE);
    let inbox = node.inbox(ALICE);
    assert_eq!(inbox.len(), 1);
    assert!(inbox[0].starts_with(b"Return-Path: <sender@far.test>\r\n"));
}

#[test]
fn an_overlong_command_line_is_refused_and_the_next_one_is_executed() {
    let node = ground(|_| ()).start();
    let mut client = node.client();
    client.command(&format!("NOOP {}", "x".repeat(4096 - 7)), "250 ");
    client.command(&format!("NOOP {}", "x".repeat(4096 - 6)), "500 5.5.2 ");
    client.command(&"x".repeat(1 << 20), "500 5.5.2 ");
    client.command("QUIT", "221 ");
}

#[test]
fn a_command_line_without_end_is_cut_off_however_fast_it_comes() {
    let node = ground(|config| config.smtp.command_timeout = Duration::from_millis(500)).start();
    let mut client = node.client();
    let flood = vec![b'x'; 1 << 20];
    // Ends when the server closes the connection.
    while client.try_send(&flood).is_ok() {}
    node.session_closed("timed out");
}

#[test]
fn many_errors_end_the_session() {
    let node = ground(|config| config.smtp.errors = 5).start();
    let mut client = node.client();
    for _ in 0..5 {
        client.command("FROBNICATE", "500 ");
    }
    client.send("FROBNICATE\r\nNOOP\r\n");
    let rest = client.rest();
    assert!(
        rest.starts_with("500 ") && rest.contains("\r\n421 4.7.0 ") && rest.ends_with("closing\r\n"),
        "{rest}"
    );
    node.session_closed("too many errors");
}

#[test]
fn a_session_that_brings_no_message_is_ended_and_one_that_does_goes_on() {
    let node = ground(|config| config.smtp.fruitless_commands = 10).start();
    let mut client = node.client();
    for _ in 0..3 {
        for line in ["NOOP", "RSET", "VRFY alice", "HELP", "EHLO client.test"] {
            client.command(line, "2");
        }
        client.deliver(&[ALICE], MESSAGE);
    }
    client.send("NOOP\r\n".repeat(11));
    let rest = client.rest();
    let codes: Vec<&str> = rest.lines().map(|line| &line[..9]).collect();
    assert_eq!(codes[..10], ["250 2.0.0"; 10]);
    assert_eq!(codes[10..], ["421 4.7.0"]);
    node.session_closed("too many commands without a message");
}

#[test]
fn recipients_that_are_not_taken_are_not_named_for_ever() {
    let node = ground(|config| {
        config.smtp.fruitless_commands = 10;
        config.smtp.recipients = 50;
    })
    .start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.send(format!("RCPT TO:<{ALICE}>\r\n").repeat(70));
    let rest = client.rest();
    let count = |code: &str| rest.lines().filter(|line| line.starts_with(code)).count();
    assert_eq!((count("250 2.1.5"), count("452 4.5.3"), count("421 4.7.0")), (50, 8, 1), "{rest}");
}
