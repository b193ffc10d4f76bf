//! Thousands of sessions that do nothing: they cost little each, and nobody is held up by them.

use std::fs;
use std::path::Path;

use fulmar_tests::certificate::Certificate;
use fulmar_tests::client::Client;
use fulmar_tests::node::Ground;

use super::test_node::TestNode;
use super::{ALICE, NAME};

/// Sessions in the clear, of which fewer come where a process may not have so many connections.
const CLEAR: u64 = 2_000;
/// Sessions within TLS, likewise.
const ENCRYPTED: u64 = 500;
/// Files that this process and the node may have open for anything else.
const OTHER_FILES: u64 = 300;
/// Octets that an idle session may take: its read buffer of 16 KiB, and as much for everything else.
const CLEAR_OCTETS: u64 = 32 << 10;
/// The same within TLS, whose library has buffers of its own.
const ENCRYPTED_OCTETS: u64 = 48 << 10;
const MESSAGE: &str = "Subject: in a crowd\r\n\r\nIt works.\r\n";

#[test]
fn thousands_of_idle_sessions_take_little_memory_and_a_client_beside_them_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let _ground = Ground::in_directory(directory.path(), |_| ()).account(ALICE);
    let certificate = Certificate::new(NAME);
    let pem = directory.path().join("certificate");
    fs::write(&pem, certificate.pem()).unwrap();
    let mut node = TestNode::start(directory.path(), 1, Some(&pem));
    let server = node.server();

    let share =
        |wanted: u64| wanted.min(most_files().saturating_sub(OTHER_FILES) * wanted / (CLEAR + ENCRYPTED));
    let fill = |count: u64, bound: u64, open: &dyn Fn() -> Client| {
        let before = node.peak();
        let clients: Vec<Client> = (0..count).map(|_| open()).collect();
        let each = (node.peak() - before) / count;
        assert!(each < bound, "{count} sessions take {each} octets each");
        clients
    };
    let mut clients = fill(share(CLEAR), CLEAR_OCTETS, &|| Client::greeted(server));
    clients.extend(fill(share(ENCRYPTED), ENCRYPTED_OCTETS, &|| {
        Client::greeted_by_starttls(server, &certificate)
    }));
    assert!(clients.len() >= 1_000, "{} connections are no crowd", clients.len());

    Client::greeted(server).deliver(&[ALICE], MESSAGE);
    assert_eq!(node.line(), "delivered");
    for client in &mut clients {
        client.command("NOOP", "250 ");
    }
    drop(clients);
    node.end();
}

/// How many files a process may have open, here as in the node.
fn most_files() -> u64 {
    let limits = fs::read_to_string(Path::new("/proc/self/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(u64::MAX)
}
