//! A node in a process of its own, whose memory can be measured: `fulmar-test-node PLACE MESSAGES [CERTIFICATE | key=RECORD]`, the place of its
//! store being a directory or the endpoint of an S3 server in a test, and the certificate a file, with its key. Given the record of a key of DKIM, which
//! it finds at `sel._domainkey.far.test`, it takes its clients for strangers, whose mail it verifies.
//!
//! It prints the address that it listens on, then `delivered` once it has delivered this many messages, where there are to be any, and ends
//! with its standard input.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::config::{Config, Protocol};
use fulmar_core::platform::{Record, RecordKind};
use fulmar_storage_s3::S3Settings;
use fulmar_tests::fake_s3::BUCKET;
use fulmar_tests::node::Ground;
use fulmar_tests::s3_store;

/// Octets of content being received that this node holds before pieces go out early.
const RECEIVING: usize = 4 << 20;
/// How long a job may wait for its turn in a crowd: the machine may be busy with other tests, and that is not what is asked here.
const TURN: Duration = Duration::from_secs(10);
/// Where strangers connect from.
const STRANGER: ([u8; 4], u16) = ([192, 0, 2, 10], 4711);

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(place), Some(messages)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::Error::other("usage: fulmar-test-node PLACE MESSAGES [CERTIFICATE]"));
    };
    let messages: u64 = messages.parse().map_err(std::io::Error::other)?;
    let option = arguments.next();
    let key = option.as_ref().and_then(|option| option.strip_prefix("key="));
    let change = |config: &mut Config| {
        config.verification.is_on = key.is_some();
        config.queue.receiving = RECEIVING;
        config.smtp.turn = TURN;
    };
    let ground = match place.starts_with("http://") {
        true => in_bucket(place, change),
        false => Ground::in_directory(Path::new(&place), change),
    };
    let mut node = ground.start();
    let mut server = node.server();
    match (key, option.as_ref()) {
        (Some(key), _) => {
            let record = Record::Txt(key.as_bytes().to_vec());
            node.zone().set("sel._domainkey.far.test", RecordKind::Txt, Ok(vec![record]));
            server = node.listen(Protocol::Smtp, Some(STRANGER.into()));
        }
        (None, Some(certificate)) => node.show(&[("mx.pem", fs::read_to_string(certificate)?)]),
        (None, None) => {}
    }
    tell(&server.to_string())?;
    if messages > 0 {
        node.delivered_in_all(messages);
        tell("delivered")?;
    }
    stdin().read_to_end(&mut Vec::new())?;
    node.shut_down(Duration::from_secs(10));
    Ok(())
}

/// On a server that has nothing to prove, and is soon given up.
fn in_bucket(endpoint: String, change: impl FnOnce(&mut Config)) -> Ground {
    let settings =
        S3Settings { bucket: BUCKET.to_owned(), endpoint: Some(endpoint), ..S3Settings::default() };
    let keys = [("AWS_ACCESS_KEY_ID", "right"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let change = |config: &mut Config| {
        change(config);
        config.store.attempt_timeout = Duration::from_millis(500);
        config.store.deadline = Duration::from_secs(1);
    };
    Ground::on(change, |runtime| Arc::new(s3_store::open(runtime, &settings, &keys)))
}

/// One line, seen at once.
fn tell(line: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
