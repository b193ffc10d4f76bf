//! A node in a process of its own, whose memory can be measured: `fulmar-test-node DIRECTORY MESSAGES`.
//!
//! It prints the address that it listens on, then `delivered` once it has delivered this many messages, and ends with its
//! standard input.

#![forbid(unsafe_code)]

use std::io::{Read, Write, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use fulmar_tests::node::Ground;

/// Octets of content being received that this node holds before pieces go out early.
const RECEIVING: usize = 4 << 20;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(messages)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::Error::other("usage: fulmar-test-node DIRECTORY MESSAGES"));
    };
    let messages: u64 = messages.parse().map_err(std::io::Error::other)?;
    let mut node =
        Ground::in_directory(Path::new(&directory), |config| config.queue.receiving = RECEIVING).start();
    tell(&node.server().to_string())?;
    node.delivered_in_all(messages);
    tell("delivered")?;
    stdin().read_to_end(&mut Vec::new())?;
    node.shut_down(Duration::from_secs(10));
    Ok(())
}

/// One line, seen at once.
fn tell(line: &str) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
