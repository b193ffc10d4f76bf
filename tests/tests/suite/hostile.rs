//! Hostile and broken SMTP clients against a whole engine over loopback TCP: each gets a clear answer, costs bounded
//! resources, and loses nothing.
//!
//! | module | what the client does |
//! |---|---|
//! | `commands` | unknown and overlong commands, wrong order, octets that no command holds, floods |
//! | `content` | content too big, too long, too old, or of a form that hides commands |
//! | `patience` | too slow, too early, half-closed, or gone |
//! | `recipients` | recipients it must not have, and more than it may |
//! | `sessions` | too many sessions, and sessions of a node that shuts down |
//! | `memory` | forty large messages at once |

mod commands;
mod content;
mod memory;
mod patience;
mod recipients;
mod sessions;

use fulmar_core::config::Config;
use fulmar_tests::node::Ground;

const ALICE: &str = "alice@home.test";
const BOB: &str = "bob@home.test";

/// A store with two accounts.
fn ground(change: impl FnOnce(&mut Config)) -> Ground {
    Ground::new(change).account(ALICE).account(BOB)
}

/// What was received of a message: all below the trace fields that we put in front.
fn below_trace(message: &[u8]) -> &[u8] {
    let mut rest = message;
    for field in ["Return-Path: ", "Received: "] {
        assert!(rest.starts_with(field.as_bytes()), "{:?}", String::from_utf8_lossy(rest));
        // Up to the first line that does not go on the field.
        let next = rest.windows(3).position(|end| end.starts_with(b"\r\n") && !end[2].is_ascii_whitespace());
        rest = &rest[next.expect("something follows") + 2..];
    }
    rest
}
