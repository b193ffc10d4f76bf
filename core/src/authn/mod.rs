//! Who a message is from, as far as DNS and signatures tell (RFC 8601): what is verified of mail that comes, and signed of mail that leaves.
//!
//! Names are looked up through [`Dns`](crate::platform::Dns) alone. What a method comes to is a plain value of
//! [`model::verdict`](crate::model::verdict); what follows from it is decided in `service`.

pub mod arc;
pub mod dkim;
pub mod dmarc;
pub mod iprev;
pub mod results;
pub mod spf;
pub mod srs;

mod property;
#[cfg(test)]
mod testing;
