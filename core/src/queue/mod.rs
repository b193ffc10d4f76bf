//! The queue (rank 6): keeps what was accepted until it is done with.
//!
//! Each node writes one log at a time, under an incarnation, through one task (the [`Manager`]); every other part talks to it by channel
//! ([`Spool`]), so that a session may be dropped at any await without harm to a durable write.
//!
//! # Durable states
//!
//! | state of a log | `live/` | `log/`, `ck/`, `body/` | `own/` |
//! |---|---|---|---|
//! | not begun | – | – | – |
//! | idle, never written | `.beat` that announces 60 s | – | – |
//! | open | `.beat` | segments 0.., holes only among the last four numbers | – |
//! | released | `.free` | ... the last one holds Close | – |
//! | ended with nothing left | – | ... | 1: Closed |
//! | being adopted | `.beat` or `.free` | ... seals at the end | ... e: By(adopter) |
//! | adopted | `.beat` or `.free` | ... seals; Adopt stands in the adopter's log | ... e: By(adopter) |
//! | closed | – | ... seals; live entries of another log may have content here | ... e: By(adopter), e+1: Closed into a log |
//! | given up | – | ... seals | ... e+2: Ended |
//! | swept | – | – | ... e+2: Ended, for a day more |
//!
//! An open log is compacted by its own node ([`compaction`]); a log that is closed and in which nothing lives, by whichever node sweeps the
//! spool that day.
//!
//! # Crashes
//!
//! - *Amid a segment's create:* it is there or not; nobody was told. Whoever adopts the log reads it or seals its number.
//! - *After the create, before the `250`:* the message is in the queue and its client tries again: two messages, which is
//!   what SMTP gives (RFC 5321 §4.5.5, RFC 1047). Both are whole.
//! - *After the `250`:* the segment and a heartbeat that announces 10 s stand, so the heartbeat's standing still is noticed
//!   and the log adopted. This is why the `250` waits for both.
//! - *After a delivery, before its record:* the adopter delivers again; the mailbox knows the queue id and drops it.
//! - *After another host has taken a message, before its record:* the adopter hands it over again. Nothing can be done about
//!   that (RFC 1047); [`Spool::may_conclude`] keeps it from happening without a crash.
//! - *At a final failure:* its record and the report to the sender stand in one segment; neither is without the other.
//! - *Between a body's pieces and its segment:* the pieces lie in the log's folder and no entry names them.
//! - *Amid an adoption:* see [`adoption`].
//! - *Amid a compaction or a sweep:* see [`compaction`]; what is deleted is needed by nobody, so it may be deleted in part.
//! - *At a graceful end:* `.free` is written before `.beat` is deleted; with both there the log counts as released.
//!
//! A store that does not answer is no crash: a number whose create may or may not have happened is sent again with the same octets until it
//! is known; the clients in it are told `451` meanwhile. A number whose create certainly did not happen may carry other octets.

pub mod adoption;
mod command;
pub mod compaction;
mod intake;
mod lines;
pub mod liveness;
mod manager;
mod open_log;
mod ownership;
mod pulse;
mod schedule;
mod spool;

pub use command::{
    Acceptance, AcceptedBody, Addressee, Bounce, Current, Fresh, Ordered, Refusal, Upload, Work,
};
pub use intake::{Overload, Taken};
pub use manager::Manager;
pub use ownership::OwnersError;
pub use spool::Spool;
