//! SASL (rank 2; RFC 4422 §3): the server's side of authentication, the same for SMTP, POP3 and IMAP. Sans-IO, deterministic: no
//! store, no clock, and the entropy is handed in.
//!
//! # How it is driven
//!
//! [`Exchange::begin`], then [`Exchange::start`] with the initial response, if there was one, then [`Exchange::respond`] with each
//! response. Each gives one [`Step`]: a challenge to be sent, a question, or the end. A question is answered with
//! [`Exchange::answer`], which gives the next step. [`line`] has the base64 in between.
//!
//! ```text
//! PLAIN, XOAUTH2, EXTERNAL   response ─► Ask ─► Over
//! LOGIN                      "Username:" ─► "Password:" ─► Ask ─► Over
//! SCRAM                      response ─► Ask ─► challenge ─► response ─► Ask ─► challenge (our proof) ─► empty response ─► Over
//! XOAUTH2, OAUTHBEARER       response ─► Ask ─► Over, or: challenge (why not) ─► response ─► Over
//! ```
//!
//! Whoever drives it learns of a SCRAM proof that is wrong from the end alone, so refusals are delayed and counted there.
//!
//! | mechanism | source | a secret crosses the line |
//! |---|---|---|
//! | `SCRAM-SHA-256-PLUS`, `SCRAM-SHA-256` | RFC 5802 §5, RFC 7677 §3, RFC 9266 §4 | no |
//! | `EXTERNAL` | RFC 4422 §A | no |
//! | `OAUTHBEARER` | RFC 7628 §3 | a token |
//! | `XOAUTH2` | Google's, older | a token |
//! | `PLAIN` | RFC 4616 §2 | the password |
//! | `LOGIN` | never more than a draft | the password |

pub mod app_password;
mod bearer;
mod exchange;
pub mod line;
mod mechanism;
pub mod password;
mod plain;
mod prepare;
pub mod scram;
mod secret;
#[cfg(test)]
mod tests;

pub use exchange::{Answer, Channel, Exchange, Failure, NONCE_OCTETS, Proof, Question, Step};
pub use mechanism::Mechanism;
pub use prepare::prepare;
pub use secret::Secret;
