//! Memory: of what a node holds, not of what clients send.

use std::thread;

use fulmar_tests::client::Client;
use fulmar_tests::node::Ground;

use super::test_node::TestNode;
use super::{ALICE, below_trace};

const CLIENTS: u64 = 40;
/// Octets in a message's body.
const BODY: usize = 30 << 20;
/// Octets in a block of a body; no two blocks of the test are alike.
const BLOCK: usize = 64 << 10;
/// Octets by which the node may grow: 4 MiB of content being received for all, some 0.6 MiB for each session, and what the
/// allocator keeps. The clients send 1,200 MiB.
const GROWTH: u64 = 40 << 20;

#[test]
fn forty_large_messages_at_once_take_little_memory_and_arrive_as_they_were_sent() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::in_directory(directory.path(), |_| ()).account(ALICE);
    let mut node = TestNode::start(directory.path(), CLIENTS, None);
    let (server, before) = (node.server(), node.peak());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || send(Client::greeted(server), client));
        }
    });
    assert_eq!(node.line(), "delivered");
    let growth = node.peak() - before;
    node.end();
    assert!(growth < GROWTH, "grew by {} KiB", growth >> 10);

    let mut senders = Vec::new();
    ground.each_message(ALICE, |message| senders.push(sender(below_trace(&message))));
    senders.sort_unstable();
    assert_eq!(senders, (0..CLIENTS).collect::<Vec<_>>());
}

fn header(client: u64) -> String {
    format!("Subject: {client}\r\n\r\n")
}

/// One block of a client's body: lines of 64 octets, the first of which says where it belongs.
fn block(client: u64, number: usize) -> Vec<u8> {
    let mut block = format!("{client:020} {number:041}\r\n").into_bytes();
    let line = [&[b'a' + (number % 26) as u8; 62][..], b"\r\n"].concat();
    block.extend(line.iter().cycle().take(BLOCK - block.len()));
    block
}

fn send(mut client: Client, number: u64) {
    client.begin(&[ALICE]);
    client.send(header(number));
    for at in 0..BODY / BLOCK {
        client.send(block(number, at));
    }
    client.send(".\r\n");
    client.accepted();
}

/// Whose message this is; it must be that of its sender, octet for octet.
fn sender(message: &[u8]) -> u64 {
    let end = message.iter().position(|octet| *octet == b'\r').unwrap();
    let client = std::str::from_utf8(&message[b"Subject: ".len()..end]).unwrap().parse().unwrap();
    let body = message.strip_prefix(header(client).as_bytes()).unwrap();
    assert_eq!(body.len(), BODY);
    let is_whole = body.chunks(BLOCK).enumerate().all(|(at, chunk)| chunk == block(client, at));
    assert!(is_whole, "the message of client {client} was changed");
    client
}
