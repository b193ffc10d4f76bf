//! A message as octets (RFC 5322): where its header block ends, the trace fields in front of it, what it becomes for hosts that take less, and
//! the report of what became of it.

mod addresses;
mod downgrade;
mod header;
mod report;
mod trace;

pub use addresses::{AddressListError, parse_address_list};
pub use downgrade::{Downgrade, Survey, Unconvertible};
pub use header::{Field, HeaderScan, HeaderSplit, field_count, fields, without_fields};
pub(in crate::model) use report::header_part;
pub use report::{Action, Report, Returned, Told};
pub use trace::{Received, return_path_field};
