//! Bare CR and LF: refused by default, mended for the clients that an operator lists, and an end of content for nobody.

use std::net::SocketAddr;

use fulmar_core::config::Protocol;
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node};

use super::content::FALSE_ENDS;
use super::{ALICE, BOB, below_trace, ground};

const LISTED: &str = "192.0.2.7:1024";
const UNLISTED: &str = "192.0.2.8:1024";
const MESSAGE: &str = "Subject: afterwards\r\n\r\nIt works.\r\n";

/// The same node and the same settings; who connects makes the difference.
fn port(node: &mut Node, peer: &str) -> SocketAddr {
    node.listen_as(Protocol::Smtp, Some(peer.parse().unwrap()), |listener| {
        listener.settings.bare_newlines_from = vec!["192.0.2.7/32".parse().unwrap()];
    })
}

#[test]
fn bare_line_ends_are_mended_for_listed_clients_alone() {
    for (sent, kept) in [
        ("Subject: a\nB: c\n\none\ntwo\r\n", "Subject: a\r\nB: c\r\n\r\none\r\ntwo\r\n"),
        ("Subject: a\r\rone\rtwo\r\n", "Subject: a\r\n\r\none\r\ntwo\r\n"),
        ("Subject: a\r\n\r\none\r\r\ntwo\n\r\n", "Subject: a\r\n\r\none\r\n\r\ntwo\r\n\r\n"),
        ("Subject: a\r\n\r\n.one\n..two\r...three\r\n", "Subject: a\r\n\r\none\r\n.two\r\n..three\r\n"),
    ] {
        let mut node = ground(|_| ()).start();
        let mut unlisted = Client::greeted(port(&mut node, UNLISTED));
        unlisted.begin(&[BOB]);
        unlisted.send(format!("{sent}.\r\n"));
        unlisted.expect("550 5.6.0 ");
        let id = unlisted.deliver(&[BOB], MESSAGE);
        node.delivered(&id, BOB);
        assert_eq!(node.inbox(BOB).len(), 1);

        let mut listed = Client::greeted(port(&mut node, LISTED));
        let id = listed.deliver(&[ALICE], sent);
        node.delivered(&id, ALICE);
        let inbox = node.inbox(ALICE);
        let shown = String::from_utf8_lossy(below_trace(&inbox[0]));
        assert_eq!(shown, kept, "{sent:?}");
    }
}

/// Commands have whole line ends whoever sends them, and BDAT has no line ends to be mended.
#[test]
fn nothing_but_content_after_data_is_mended() {
    let mut node = ground(|_| ()).start();
    let mut listed = Client::greeted(port(&mut node, LISTED));
    for line in ["NOOP\n", "NOOP\rNOOP\r\n", "MAIL FROM:<sender@far.test>\n"] {
        listed.send(line);
        listed.expect("500 5.5.2 ");
    }
    listed.command("MAIL FROM:<sender@far.test>", "250 ");
    listed.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
    listed.send("BDAT 5 LAST\r\na: b\n");
    listed.expect("550 5.6.0 ");
    assert_eq!(node.accepted(), 0);
}

/// For a listed client each of them is content, and what follows too, up to the one true end.
#[test]
fn no_false_end_of_content_is_one_for_listed_clients_either() {
    for false_end in FALSE_ENDS {
        let node = Ground::new(|_| ()).account(ALICE).account(BOB).start();
        is_one_message(node, false_end);
    }
}

fn is_one_message(mut node: Node, false_end: &str) {
    let mut client = Client::greeted(port(&mut node, LISTED));
    client.begin(&[ALICE]);
    let hidden = format!("MAIL FROM:<forged@home.test>\r\nRCPT TO:<{BOB}>\r\nBDAT 6 LAST\r\nA: b\r\n\r\n");
    client.send(format!("Subject: first\r\n\r\nx{false_end}{hidden}.\r\nNOOP\r\n"));
    let id = client.accepted();
    client.expect("250 2.0.0 ok");
    node.delivered(&id, ALICE);
    assert!(node.inbox(BOB).is_empty(), "{false_end:?} smuggled a message");
    let inbox = node.inbox(ALICE);
    assert_eq!(inbox.len(), 1, "{false_end:?}");
    let kept = below_trace(&inbox[0]);
    assert!(kept.ends_with(hidden.as_bytes()), "{false_end:?}: {}", kept.escape_ascii());
    // What goes on to other hosts cannot be taken for an end by them.
    let mut bare = kept.iter().enumerate().filter(|(at, octet)| match octet {
        b'\r' => kept.get(at + 1) != Some(&b'\n'),
        b'\n' => *at == 0 || kept[at - 1] != b'\r',
        _ => false,
    });
    assert_eq!(bare.next(), None, "{false_end:?}: {}", kept.escape_ascii());
}
