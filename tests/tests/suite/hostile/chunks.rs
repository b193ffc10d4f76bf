//! Sizes of BDAT that lie, and BDAT where there is DATA (RFC 3030 §2).

use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_tests::client::Client;
use fulmar_tests::node::Node;

use super::patience::keeps_nothing;
use super::{ALICE, BOB, Way, below_trace, ground};

const EVIL: &str = "MAIL FROM:<evil@far.test>\r\nRCPT TO:<bob@home.test>\r\nBDAT 6 LAST\r\nA: b\r\n";

/// A client whose transaction has a recipient.
fn client(node: &mut Node, way: Way) -> Client {
    let mut client = way.client(node);
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
    client
}

/// What Alice has got, trace fields apart; Bob has nothing.
fn kept(node: &Node, id: &str) -> Vec<u8> {
    node.delivered(id, ALICE);
    assert!(node.inbox(BOB).is_empty());
    let inbox = node.inbox(ALICE);
    assert_eq!(inbox.len(), 1);
    below_trace(&inbox[0]).to_vec()
}

#[test]
fn where_nobody_knows_how_much_is_content_nothing_more_is_executed() {
    for size in [
        "",
        " ",
        " LAST",
        " -1",
        " +5",
        " 0x10",
        " 1e3",
        " 5 5",
        " 5 LAST LAST",
        " 5,5",
        " 5LAST",
        " LAST 5",
        " five",
        " \u{665}",
        " 5\0",
        " 5\rLAST",
        "5",
        " 18446744073709551616",
        " 99999999999999999999 LAST",
        " 00000000000000000000000000000000000000000005 LAST",
    ] {
        // In the transaction, between chunks, and without a transaction.
        for before in ["", "BDAT 6\r\nC: d\r\n", "RSET\r\n"] {
            let mut node = ground(|_| ()).start();
            let mut client = client(&mut node, Way::Clear);
            client.send(before);
            if !before.is_empty() {
                client.expect("250 ");
            }
            client.send(format!("BDAT{size}\r\n{EVIL}QUIT\r\n"));
            let rest = client.rest();
            let lines: Vec<&str> = rest.lines().collect();
            let is_closed =
                lines.len() == 2 && lines[0].starts_with("50") && lines[1].starts_with("421 4.7.0 ");
            assert!(is_closed, "BDAT{size:?} after {before:?}: {rest}");
            keeps_nothing(node, "BDAT without a size");
        }
    }
}

#[test]
fn a_chunk_is_as_long_as_was_said_whatever_is_in_it() {
    let hidden = format!("A: b\r\n\r\n.\r\n{EVIL}QUIT\r\n");
    for way in Way::ALL {
        let mut node = ground(|_| ()).start();
        let mut client = client(&mut node, way);
        let (first, second) = hidden.split_at(11);
        client.send(format!("BDAT {}\r\n{first}BDAT {} LAST\r\n{second}", first.len(), second.len()));
        client.expect("250 ");
        let id = client.accepted();
        assert_eq!(kept(&node, &id), hidden.as_bytes(), "{way:?}");
        client.command("NOOP", "250 ");
    }
}

#[test]
fn what_is_sent_beyond_a_chunk_is_no_part_of_it() {
    let mut node = ground(|_| ()).start();
    let mut client = client(&mut node, Way::Clear);
    client.send("BDAT 6 LAST\r\nA: b\r\nX-Evil: 1\r\n\r\n.\r\nNOOP\r\n");
    let id = client.accepted();
    for expected in ["500 5.5.1 ", "500 5.5.1 ", "500 5.5.1 ", "250 "] {
        client.expect(expected);
    }
    assert_eq!(kept(&node, &id), b"A: b\r\n");
}

#[test]
fn chunks_that_are_larger_than_a_message_may_be_are_swallowed_up_to_a_bound() {
    let limits = |config: &mut Config| {
        config.smtp.message_size = 100_000;
        config.smtp.refused_content = 1 << 20;
    };
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    // Beyond by one octet, at once or in sum: the reply comes when all has come.
    for chunks in [&[100_001][..], &[60_000, 40_001], &[99_000, 1_000, 1]] {
        let mut node = ground(limits).start();
        let mut client = client(&mut node, Way::Clear);
        let mut expected = vec!["250 "; chunks.len()];
        *expected.last_mut().unwrap() = "552 5.3.4 ";
        for (octets, expected) in chunks.iter().zip(&expected) {
            let content: Vec<u8> = line.iter().copied().cycle().take(*octets).collect();
            client.send([format!("BDAT {octets}\r\n").as_bytes(), &content].concat());
            client.expect(expected);
        }
        client.command("BDAT 0 LAST", "503 5.5.1 ");
        client.command("MAIL FROM:<sender@far.test>", "250 ");
        drop(client);
        keeps_nothing(node, "connection closed by the client or lost");
    }
    // So large that it never comes to its end, and that sums of it overflow.
    for sizes in ["9999999999999999999", "9223372036854775807 LAST"] {
        let mut node = ground(limits).start();
        let mut client = client(&mut node, Way::Clear);
        client.send("BDAT 6\r\nA: b\r\n");
        client.expect("250 ");
        client.send(format!("BDAT {sizes}\r\n"));
        let flood = line.repeat(100);
        let is_cut = (0..100).any(|_| client.try_send(&flood).is_err());
        assert!(is_cut, "BDAT {sizes} is swallowed for ever");
        keeps_nothing(node, "refused content without end");
    }
}

#[test]
fn chunks_and_data_are_not_mixed() {
    let mut node = ground(|_| ()).start();
    let mut client = client(&mut node, Way::Clear);
    client.send("BDAT 6\r\nA: b\r\nDATA\r\n");
    client.expect("250 ");
    client.expect("503 5.5.1 ");
    for line in ["MAIL FROM:<evil@far.test>", "RCPT TO:<bob@home.test>", "DATA", "STARTTLS", "AUTH PLAIN"] {
        client.command(line, "50");
    }
    // What was refused was no command, and no content.
    client.send("BDAT 8 LAST\r\n\r\nbody\r\n");
    let id = client.accepted();
    assert_eq!(kept(&node, &id), b"A: b\r\n\r\nbody\r\n");

    // After DATA, BDAT is content.
    let second = client.deliver(&[ALICE], "Subject: second\r\n\r\nBDAT 6 LAST\r\nA: b\r\n");
    node.delivered(&second, ALICE);
    assert_eq!(node.inbox(ALICE).len(), 2);
    assert!(node.inbox(ALICE)[1].ends_with(b"\r\n\r\nBDAT 6 LAST\r\nA: b\r\n"));

    // Chunks that RSET, EHLO or QUIT comes after are no message.
    for ended in ["RSET", "EHLO client.test", "QUIT"] {
        client.command("MAIL FROM:<sender@far.test>", "250 ");
        client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
        client.send("BDAT 6\r\nA: b\r\n");
        client.expect("250 ");
        client.command(ended, "2");
        if ended != "QUIT" {
            client.send("BDAT 0 LAST\r\n");
            client.expect("503 5.5.1 ");
        }
    }
    node.shut_down(Duration::from_secs(10));
    assert_eq!((node.accepted(), node.inbox(ALICE).len()), (2, 2));
}

/// A message is decided on once, after its last chunk.
#[test]
fn empty_chunks_are_not_sent_for_ever() {
    let mut node = ground(|config| config.smtp.fruitless_commands = 20).start();
    let mut client = client(&mut node, Way::Clear);
    client.send("BDAT 0\r\n".repeat(40));
    let rest = client.rest();
    assert!(rest.lines().last().is_some_and(|line| line.starts_with("421 4.7.0 ")), "{rest}");
    keeps_nothing(node, "too many commands without a message");
}
