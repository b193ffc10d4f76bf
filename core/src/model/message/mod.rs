//! A message as octets (RFC 5322): where its header block ends, and the trace fields in front of it.

mod header;
mod trace;

pub use header::{HeaderScan, HeaderSplit, field_count};
pub use trace::{Received, return_path_field};
