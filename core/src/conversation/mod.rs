//! Drives a rank 3 session over a stream, with deadlines (rank 5).
//!
//! The session knows the protocol, a handler knows what mail is wanted and how it is kept, and what stands here knows only
//! how long to wait and how to end a connection so that its last reply is read.

mod smtp;

pub use smtp::{Handler, SessionEnd, serve};
