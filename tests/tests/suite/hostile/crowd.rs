//! Thousands of sessions that do nothing: they cost little each, and nobody is held up by them.

use std::fs;

use fulmar_tests::certificate::Certificate;
use fulmar_tests::client::Client;
use fulmar_tests::node::Ground;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

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
    let ground = Ground::in_directory(directory.path(), |_| ()).account(ALICE);
    let certificate = Certificate::new(NAME);
    let pem = directory.path().join("certificate");
    fs::write(&pem, certificate.pem()).unwrap();
    let most = most_files().saturating_sub(OTHER_FILES);
    let share = |wanted: u64| wanted.min(most * wanted / (CLEAR + ENCRYPTED));
    let node = TestNode::start(directory.path(), 0, Some(&pem));
    let server = node.server();

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
    for client in &mut clients {
        client.command("NOOP", "250 ");
    }
    drop(clients);
    node.end();
    assert_eq!(ground.inbox(ALICE).len() + ground.queue().len(), 1);
}

/// How many files a process may have open from now on, here as in the node: as many as it is allowed to allow itself, up to what is wanted.
fn most_files() -> u64 {
    let wanted = CLEAR + ENCRYPTED + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = current.unwrap_or(wanted).max(maximum.unwrap_or(wanted).min(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: current.map(|_| most), maximum }).unwrap();
    most
}
