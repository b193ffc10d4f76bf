//! Drives a rank 3 session over a stream, with deadlines (rank 5).
//!
//! The session knows the protocol, a handler knows what mail is wanted, how it is kept and who may read it, and what stands
//! here knows only how long to wait and how to end a connection so that its last reply is read.

mod connection;
pub mod pop3;
pub mod smtp;
pub mod smtp_client;
#[cfg(test)]
pub(crate) mod testing;
