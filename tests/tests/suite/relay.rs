//! Mail on its way out of a whole engine, to next hops in this process that take it, refuse it or misbehave.
//!
//! | module | what is shown |
//! |---|---|
//! | `handing_over` | what arrives is what was sent, over few connections, encrypted where that is offered |
//! | `misbehaviour` | a next hop that fails at any point costs neither the message nor, where that can be avoided, a copy |
//! | `names` | where the names in DNS lead |
//! | `reports` | who is told of what failed |
//! | `orders` | an operator has a message tried again or given up |
//! | `turns` | a destination that does not answer holds up no other |
//! | `ending` | a node that shuts down finishes what it has begun |
//!
//! Death, adoption and fencing of nodes that relay are in `crash`.

mod ending;
mod handing_over;
mod misbehaviour;
mod names;
mod orders;
mod reports;
mod turns;

use std::net::SocketAddr;
use std::time::Duration;

use fulmar_core::config::{Config, NextHop, Route};
use fulmar_core::model::{Domain, Outcome};
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::smtp_servers::{Script, Sink};

/// An account of ours.
const ALICE: &str = "alice@home.test";
/// Pause before another attempt.
const RETRY: Duration = Duration::from_millis(50);
/// How long a node that shuts down waits for what is under way.
const GRACE: Duration = Duration::from_secs(20);
/// Octets.
const LARGE: usize = 12 << 20;
const CONTENT: &str = "Subject: lunch\r\n\r\nAt one?\r\n";

/// A store whose nodes relay for every client here, and connect to every host here.
fn ground(change: impl FnOnce(&mut Config)) -> Ground {
    Ground::new(|config| {
        config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.relay.private_networks = config.relay.networks.clone();
        config.queue.retry = vec![RETRY];
        change(config);
    })
}

/// Sends mail for a domain, or for every one that has no route of its own, to a server.
fn route(config: &mut Config, domain: Option<&str>, to: SocketAddr) {
    let domain = domain.map(|domain| Domain::parse(domain).unwrap());
    let next_hop = NextHop { host: to.ip().to_string(), port: to.port() };
    config.relay.routes.push(Route { domain, next_hop });
}

/// A next hop for everything, and a node.
fn one_hop(script: Script, change: impl FnOnce(&mut Config)) -> (Sink, Node) {
    let sink = Sink::start(script);
    let ground = ground(|config| {
        route(config, None, sink.address());
        change(config);
    });
    (sink, ground.start())
}

/// Sends a message, and gives its queue id.
fn send(node: &Node, reverse_path: &str, recipients: &[&str], content: impl AsRef<[u8]>) -> String {
    submit(&mut node.client(), &format!("<{reverse_path}>"), recipients, content)
}

/// The same in a session that is open, with parameters behind the reverse-path.
fn submit(client: &mut Client, mail_from: &str, recipients: &[&str], content: impl AsRef<[u8]>) -> String {
    client.command(&format!("MAIL FROM:{mail_from}"), "250 ");
    for recipient in recipients {
        client.command(&format!("RCPT TO:<{recipient}>"), "250 ");
    }
    client.command("DATA", "354 ");
    client.send(content);
    client.send(".\r\n");
    client.accepted()
}

/// A message of more than one piece in the store, and more than buffers on the way hold.
fn large() -> String {
    let mut content = String::from("Subject: large\r\n\r\n");
    let mut line = 0;
    while content.len() < LARGE {
        content.push_str(&format!("{line:>9} {}\r\n", "x".repeat(line % 70)));
        line += 1;
    }
    content
}

/// What was sent: without the one field that we put in front.
fn below_received(content: &[u8]) -> &[u8] {
    assert!(content.starts_with(b"Received: from client.test "), "{}", String::from_utf8_lossy(content));
    let next = content.windows(3).position(|end| end.starts_with(b"\r\n") && !end[2].is_ascii_whitespace());
    &content[next.expect("something follows") + 2..]
}

/// Lets a node's time go on in such steps until an attempt, the first at this recipient, has ended.
fn attempted_while_time_flies(node: &Node, id: &str, recipient: &str, step: Duration) -> Outcome {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| node.attempted(id, recipient, 1));
        while !waiting.is_finished() {
            node.advance(step);
            std::thread::sleep(Duration::from_millis(5));
        }
        waiting.join().unwrap()
    })
}

fn is_delivered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered(_))
}
