//! More sessions than there may be, and sessions of a node that shuts down.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use fulmar_core::config::Protocol;
use fulmar_core::model::Event;
use fulmar_tests::client::Client;

use super::{ALICE, below_trace, certified, far, ground};

const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";

#[test]
fn a_session_beyond_the_limit_is_told_to_come_again_and_may() {
    let node = ground(|config| config.smtp.sessions = 3).start();
    let mut clients: Vec<Client> = (0..3).map(|_| node.client()).collect();
    let rest = Client::connect(node.server()).rest();
    assert!(rest.starts_with("421 4.3.2 ") && rest.lines().count() == 1, "{rest}");
    for client in &mut clients {
        client.command("NOOP", "250 ");
    }
    clients.remove(0).command("QUIT", "221 ");
    node.session_closed("quit");
    // The place is given back just after that was reported.
    let mut client = loop {
        let mut client = Client::connect(node.server());
        if client.reply().starts_with("220 ") {
            break client;
        }
    };
    client.command("EHLO client.test", "250-");
    let id = client.deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
}

#[test]
fn at_shutdown_idle_sessions_end_and_content_on_its_way_is_taken() {
    let mut node = ground(|_| ()).start();
    let mut idle = node.client();
    idle.command("MAIL FROM:<sender@far.test>", "250 ");
    let mut busy = node.client();
    busy.begin(&[ALICE]);
    busy.send("Subject: hello\r\n");
    let id = thread::scope(|scope| {
        let clients = scope.spawn(|| {
            // From here on the node is known to be shutting down.
            let rest = idle.rest();
            assert!(rest.starts_with("421 4.3.2 ") && rest.lines().count() == 1, "{rest}");
            busy.send("\r\nIt works.\r\n.\r\nMAIL FROM:<sender@far.test>\r\n");
            let id = busy.accepted();
            let rest = busy.rest();
            assert!(rest.starts_with("421 4.3.2 ") && rest.lines().count() == 1, "{rest}");
            id
        });
        node.shut_down(Duration::from_secs(30));
        clients.join().unwrap()
    });
    // It was delivered at once, or is left to the next node.
    let is_queued = node.queue().iter().any(|item| item.queue_id.to_string() == id);
    let node = if is_queued {
        let next = node.into_ground().start();
        next.delivered(&id, ALICE);
        next
    } else {
        node
    };
    let inbox = node.inbox(ALICE);
    assert_eq!(inbox.len(), 1);
    assert_eq!(below_trace(&inbox[0]), MESSAGE.as_bytes());
}

#[test]
fn a_client_that_goes_on_sending_content_does_not_hold_up_a_shutdown() {
    let mut node = ground(|_| ()).start();
    let mut busy = node.client();
    busy.begin(&[ALICE]);
    busy.send("Subject: hello\r\n\r\n");
    node.shut_down(Duration::from_millis(200));
    busy.send(".\r\n");
    busy.expect("451 4.3.2 ");
    assert!(node.inbox(ALICE).is_empty() && node.queue().is_empty());
}

/// Of whoever has more connections than it may, one in the clear is told so, and one that waits for a handshake gets none.
#[test]
fn connections_that_never_come_to_the_end_of_their_handshake_count_like_any_others() {
    let mut node = ground(|config| config.policy.limits.connections_per_address = Some(3)).start();
    let _certificate = certified(&node);
    let (smtp, submissions) = (far(&mut node, Protocol::Smtp), far(&mut node, Protocol::Submissions));
    let silent: Vec<Client> = (0..3).map(|_| Client::connect(submissions)).collect();
    let opened = Cell::new(0);
    node.wait_for("three sessions", |event| {
        opened.set(opened.get() + usize::from(matches!(event, Event::SessionOpened { .. })));
        opened.get() == 3
    });
    let rest = Client::connect(smtp).rest();
    assert!(rest.starts_with("421 4.7.0 ") && rest.lines().count() == 1, "{rest}");
    assert_eq!(Client::connect(submissions).rest(), "");
    node.session_closed("turned away");
    drop(silent);
    node.session_closed("closed amid the handshake");
    // The places are given back just after that was reported.
    while !Client::connect(smtp).reply().starts_with("220 ") {}
}
