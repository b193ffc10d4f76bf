//! A node that shuts down finishes what it has begun.

use fulmar_core::config::Config;
use fulmar_tests::smtp_servers::{Act, Connection, Phase, Script, Sink};

use super::{CONTENT, GRACE, is_delivered, one_hop, send};

fn last_command(sink: &Sink, connection: usize) -> String {
    sink.connections()[connection].commands.last().cloned().unwrap_or_default()
}

#[test]
fn an_idle_connection_is_told_quit_when_the_node_shuts_down() {
    let (sink, mut node) = one_hop(Script::default(), |_| ());
    let id = send(&node, "", &["a@far.test"], CONTENT);
    assert!(is_delivered(&node.attempted(&id, "a@far.test", 1)));
    node.shut_down(GRACE);
    sink.wait_for("its end", |connections| connections.iter().all(|connection| connection.is_closed));
    assert_eq!(sink.connections().len(), 1);
    assert_eq!(last_command(&sink, 0), "QUIT");
}

#[test]
fn a_transaction_under_way_is_waited_for_and_what_is_left_goes_out_once() {
    for phase in [Phase::Mail, Phase::Data, Phase::Content] {
        let one_at_a_time = |config: &mut Config| config.relay.attempts_per_destination = 1;
        let (sink, mut node) = one_hop(Script::default().always(phase, Act::Wait), one_at_a_time);
        let first = send(&node, "", &["a@far.test"], CONTENT);
        let has_begun =
            |connection: &Connection| connection.commands.iter().any(|line| line.starts_with("MAIL "));
        sink.wait_for("its MAIL", |connections| connections.iter().any(has_begun));
        send(&node, "", &["b@far.test"], CONTENT);
        let mut client = node.client();
        std::thread::scope(|scope| {
            let ending = scope.spawn(|| node.shut_down(GRACE));
            client.expect("421 ");
            drop(client);
            sink.release();
            ending.join().unwrap();
        });
        assert!(is_delivered(&node.attempted(&first, "a@far.test", 1)), "{phase:?}");
        sink.wait_for("its end", |connections| connections.iter().all(|connection| connection.is_closed));
        assert_eq!(last_command(&sink, 0), "QUIT", "{phase:?}");
        // The next node sends what was left.
        let mut next = node.into_ground().start();
        sink.wait_for_accepted(2);
        next.shut_down(GRACE);
        assert!(next.queue().is_empty(), "{phase:?}");
        assert_eq!(sink.accepted().len(), 2, "{phase:?}");
    }
}
