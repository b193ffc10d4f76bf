//! Nodes on a bucket, over real sockets, whose server is in this process and misbehaves.
//!
//! | module | what is wrong |
//! |---|---|
//! | `starting` | races with several winners, credentials that are not taken, no bucket |
//! | `credentials` | credentials that expire |
//! | `answers` | answers that are errors, cut, late, garbage, or none |
//! | `permissions` | requests that are denied, for good or once more |
//! | `pressure` | more requests than the server can serve |
//! | `away` | no server, or one that never answers |
//! | `memory` | the same, for many large messages |

mod answers;
mod away;
mod credentials;
mod memory;
mod permissions;
mod pressure;
mod starting;

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_core::model::Event;
use fulmar_storage_s3::S3Settings;
use fulmar_tests::fake_s3::{BUCKET, FakeS3};
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::s3_store;

const ALICE: &str = "alice@home.test";
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "right"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// A bucket of the server, for a node that asks again soon and has to prove that of racing creates one wins.
fn ground_in(
    fake: &FakeS3,
    bucket: &str,
    variables: &[(&str, &str)],
    change: impl FnOnce(&mut Config),
) -> Ground {
    let endpoint = fake.endpoint();
    let settings =
        S3Settings { bucket: bucket.to_owned(), endpoint: Some(endpoint.clone()), ..S3Settings::default() };
    let change = |config: &mut Config| {
        config.store.name = Some(format!("s3://{bucket} at {endpoint}"));
        config.store.endpoint = Some(format!("{endpoint}/{bucket}"));
        config.store.attempt_timeout = Duration::from_millis(500);
        config.store.pause = Duration::from_millis(10);
        config.store.pause_limit = Duration::from_millis(100);
        config.queue.window = Duration::from_millis(2);
        change(config);
    };
    Ground::on(change, |runtime| Arc::new(s3_store::open(runtime, &settings, variables)))
}

/// The same with an account, in the bucket that is there from the start.
fn ground(fake: &FakeS3, change: impl FnOnce(&mut Config)) -> Ground {
    ground_in(fake, BUCKET, &KEYS, change).account(ALICE)
}

/// A message that is unlike others of another number.
fn message(number: usize, octets: usize) -> String {
    format!("Subject: {number}\r\n\r\n{}", format!("line of {number:08}\r\n").repeat(1 + octets / 18))
}

/// Whether the mailbox holds these messages, whole and each once, below what we put in front.
fn assert_holds(node: &Node, mut sent: Vec<String>, context: &str) {
    let mut kept: Vec<String> = node
        .inbox(ALICE)
        .iter()
        .map(|message| {
            let message = String::from_utf8_lossy(message);
            let at = message.find("Subject: ").expect("it was sent with a subject");
            message[at..].to_owned()
        })
        .collect();
    kept.sort_unstable();
    sent.sort_unstable();
    let subject = |message: &String| message.lines().next().unwrap_or_default().to_owned();
    let (subjects_kept, subjects_sent): (Vec<_>, Vec<_>) =
        (kept.iter().map(subject).collect(), sent.iter().map(subject).collect());
    assert_eq!(subjects_kept, subjects_sent, "{context}");
    assert!(kept == sent, "{context}: a message was changed");
}

/// What the node could not do though it had tried for long.
fn trouble(node: &Node) -> Vec<Event> {
    let mut events = node.events();
    events.retain(|event| matches!(event, Event::StoreTrouble { .. }));
    events
}
