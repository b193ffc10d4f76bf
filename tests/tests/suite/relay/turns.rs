//! A destination that does not answer holds up no other.

use fulmar_tests::smtp_servers::{Act, Phase, Script, Sink};

use super::{CONTENT, ground, is_delivered, route, send};

#[test]
fn mail_for_others_goes_out_while_one_destination_does_not_answer() {
    let limit = 20;
    for phase in [Phase::Greeting, Phase::Mail, Phase::Content] {
        let slow = Sink::start(Script::default().always(phase, Act::Wait));
        let quick = Sink::start(Script::default());
        let ground = ground(|config| {
            route(config, Some("slow.test"), slow.address());
            route(config, None, quick.address());
            // Little more than what the slow one may have.
            config.relay.attempts = limit + 1;
            config.relay.attempts_per_destination = limit;
        });
        let node = ground.start();
        let waiting: Vec<String> =
            (0..2 * limit).map(|_| send(&node, "", &["a@slow.test"], CONTENT)).collect();
        slow.wait_for("as many connections as allowed", |connections| connections.len() == limit);
        for _ in 0..20 {
            let id = send(&node, "", &["a@quick.test", "a@slow.test"], CONTENT);
            assert!(is_delivered(&node.attempted(&id, "a@quick.test", 1)), "{phase:?}");
        }
        assert_eq!(slow.connections().len(), limit, "{phase:?}");
        assert!(slow.accepted().is_empty(), "{phase:?}");
        slow.release();
        for id in waiting {
            assert!(is_delivered(&node.attempted(&id, "a@slow.test", 1)), "{phase:?}");
        }
        assert_eq!(slow.wait_for_accepted(2 * limit + 20).len(), 2 * limit + 20, "{phase:?}");
        assert!(slow.most_at_once() <= limit, "{phase:?}: {} at once", slow.most_at_once());
    }
}
