//! Content that is not taken, and content that hides commands.

use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_tests::node::Node;

use super::{ALICE, BOB, Way, below_trace, ground};

const GRACE: Duration = Duration::from_secs(10);
const MESSAGE: &str = "Subject: afterwards\r\n\r\nIt works.\r\n";

/// Content in its transport form is refused with `expected`, in a session that is of use afterwards, and nothing of it is kept.
fn refuses(change: impl FnOnce(&mut Config), content: &[u8], expected: &str) -> Node {
    let node = ground(change).start();
    let mut client = node.client();
    client.begin(&[ALICE]);
    client.send(content);
    client.send(".\r\n");
    client.expect(expected);
    let id = client.deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
    assert_eq!(node.inbox(ALICE).len(), 1);
    assert_eq!(below_trace(&node.inbox(ALICE)[0]), MESSAGE.as_bytes());
    assert_eq!(node.accepted(), 1);
    node
}

/// Lines of 1,000 octets, this many octets in all.
fn lines(octets: usize) -> Vec<u8> {
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    line.into_iter().cycle().take(octets / 1000 * 1000).collect()
}

#[test]
fn a_message_that_is_too_big_is_refused_by_its_declared_size() {
    let node = ground(|config| config.smtp.message_size = 100_000).start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test> SIZE=100001", "552 5.3.4 ");
    client.command("RCPT TO:<alice@home.test>", "503 5.5.1 ");
    client.command("MAIL FROM:<sender@far.test> SIZE=100000", "250 ");
    client.command("RSET", "250 ");
    let id = client.deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
}

#[test]
fn a_message_that_is_too_big_is_refused_by_its_content() {
    let small = |config: &mut Config| config.smtp.message_size = 100_000;
    let node = refuses(small, &[b"Subject: big\r\n\r\n", &lines(100_000)[..]].concat(), "552 5.3.4 ");
    assert_eq!(bodies(&node), 0);
}

#[test]
fn of_a_large_message_that_is_refused_only_pieces_are_left_that_nothing_names() {
    let small = |config: &mut Config| config.smtp.message_size = 5_000_000;
    let mut node = refuses(small, &[b"Subject: big\r\n\r\n", &lines(6_000_000)[..]].concat(), "552 5.3.4 ");
    assert_eq!(bodies(&node), 2);
    node.shut_down(GRACE);
    assert!(node.queue().is_empty());
}

/// Pieces of large bodies in the store.
fn bodies(node: &Node) -> usize {
    node.keys().iter().filter(|key| key.contains("/body/")).count()
}

#[test]
fn a_header_block_over_its_limit_is_refused() {
    let field = format!("X-Filler: {}\r\n", "x".repeat(980));
    refuses(|_| (), field.repeat(270).as_bytes(), "552 5.3.4 ");
}

#[test]
fn a_content_line_over_its_limit_is_refused() {
    refuses(|_| (), &[b"\r\n", &[b'x'; (64 << 10) - 1][..], b"\r\n"].concat(), "554 5.6.0 ");
}

#[test]
fn a_message_that_goes_in_circles_is_refused() {
    let received = "Received: from a.test by b.test;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n";
    refuses(|_| (), (received.repeat(101) + MESSAGE).as_bytes(), "554 5.4.6 ");
    let node = ground(|_| ()).start();
    node.client().deliver(&[ALICE], received.repeat(100) + MESSAGE);
}

#[test]
fn content_at_every_limit_is_taken_as_it_is() {
    let line = [&[b'x'; (64 << 10) - 2][..], b"\r\n"].concat();
    let content = [b"Subject: all\r\n\r\n", &line[..], b"NUL \0 and \xff\xfe\r\n", b" .\r\n"].concat();
    let node = ground(|config| config.smtp.message_size = content.len() as u64).start();
    let id = node.client().deliver(&[ALICE], &content);
    node.delivered(&id, ALICE);
    assert_eq!(below_trace(&node.inbox(ALICE)[0]), content);
}

/// What stands between two parts of content in the hope that it ends the first: every form that some server has taken for an end.
pub(super) const FALSE_ENDS: &[&str] = &[
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r\n.\r",
    "\r.\r",
    "\r.\r\n",
    "\r.\n",
    "\n.\r",
    "\n\n.\r\n",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n. \r\n",
    "\r\n..\r\n",
    "\r\n.\r\r\n",
    "\r\n.\n\r\n",
    "\r\n.\r\0\n",
    "\r\0\n.\r\0\n",
    "\r\n\u{0}\n.\n",
    "\u{85}.\u{85}",
    "\r\n.\u{2028}",
    "\r\n\u{ff0e}\r\n",
    "\u{b}.\u{b}",
    "\u{c}\r\n.\t\r\n",
];

#[test]
fn no_false_end_of_content_makes_a_second_message() {
    for false_end in FALSE_ENDS {
        for in_one_write in [true, false] {
            smuggle(Way::Clear, false_end, in_one_write);
        }
        smuggle(Way::StartTls, false_end, true);
    }
}

fn smuggle(way: Way, false_end: &str, in_one_write: bool) {
    let mut node = ground(|_| ()).start();
    let mut client = way.client(&mut node);
    client.begin(&[ALICE]);
    let first = format!("Subject: first\r\n\r\nx{false_end}");
    // A group of commands that may come in one write, content and all.
    let hidden = format!(
        "MAIL FROM:<forged@home.test>\r\nRCPT TO:<{BOB}>\r\nBDAT 6 LAST\r\nA: b\r\n\r\n.\r\nQUIT\r\n"
    );
    // A server that has closed the connection takes no more: that is as good.
    if in_one_write {
        let _ = client.try_send(first + &hidden);
    } else {
        let _ = client.try_send(first).and_then(|()| client.try_send(hidden));
    }
    let _ = client.rest();
    node.shut_down(GRACE);
    assert!(node.inbox(BOB).is_empty(), "{false_end:?} smuggled a message");
    // A message that was taken at the last moment may be left to the next node.
    let queue = node.queue();
    assert!(queue.iter().all(|item| item.forward_path.to_string() == ALICE), "{false_end:?}");
    let inbox = node.inbox(ALICE);
    assert!(inbox.len() + queue.len() <= 1, "{false_end:?} made two messages of one");
    assert!(inbox.iter().all(|message| message.starts_with(b"Return-Path: <sender@far.test>\r\n")));
}
