//! Where mail for other hosts goes, and what their replies mean (rank 6).
//!
//! | module | what it does |
//! |---|---|
//! | [`connections`] | keeps connections for the next message |
//! | [`exchanges`] | finds the hosts of a destination, in the order in which they are to be tried |
//! | [`meaning`] | says what a reply, or its absence, means for a recipient and for the rest of the attempt |
//! | `special_purpose` | tells addresses that are not of the Internet |
//!
//! Connecting and speaking are others' business: nothing here opens a stream.

pub mod connections;
pub mod exchanges;
pub mod meaning;
mod special_purpose;

use std::fmt;

use crate::platform::Target;

/// A host to which mail may be handed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, or its IP address without brackets where it has none: for logs, and for TLS to name the server.
    pub name: String,
    /// Where it is connected to.
    pub target: Target,
}

impl fmt::Display for Host {
    /// `name[address]:port`, where the name or the address may be missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Address(address) if self.name == address.ip().to_string() => {
                write!(f, "[{}]:{}", address.ip(), address.port())
            }
            Target::Address(address) => write!(f, "{}[{}]:{}", self.name, address.ip(), address.port()),
            Target::Host(_, port) => write!(f, "{}:{port}", self.name),
        }
    }
}
