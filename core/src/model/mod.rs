//! Plain values of mail (rank 0): no I/O, no clock, no store. Words are those of RFC 5321 and RFC 5598.

pub mod address;
pub mod alias;
pub mod date;
pub mod dmarc_policy;
pub mod dmarc_report;
pub mod dns_name;
pub mod event;
pub mod failure_report;
pub mod id;
pub mod line;
pub mod message;
pub mod options;
pub mod outcome;
pub mod path;
pub mod reply;
pub mod verdict;
pub mod xtext;

pub use address::{Address, AddressError, Domain};
pub use alias::{AliasError, AliasName, LocalPattern};
pub use date::UtcTime;
pub use dns_name::DnsName;
pub use event::Event;
pub use id::{BodyId, Incarnation, Nonce, QueueId};
pub use options::{BodyType, MailOptions, RecipientOptions};
pub use outcome::Outcome;
pub use path::{ForwardPath, ReversePath};
pub use reply::{EnhancedStatus, Reply};
