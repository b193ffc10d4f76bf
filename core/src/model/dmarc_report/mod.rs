//! Aggregate reports of DMARC (RFC 9990): what a domain's owner is told of all mail of a day that named it as its author.
//!
//! | module | what it knows |
//! |---|---|
//! | `row` | what mail came to, as it is counted |
//! | `xml` | the document |
//! | `mail` | the message that carries it |
//! | `attachment` | how those of others are packed |
//! | `parts` | where in a message such an attachment may be |

mod attachment;
mod mail;
mod parts;
mod row;
mod xml;

pub use attachment::{find_report, read_report};
pub use mail::Mail;
pub use row::{DKIM_LIMIT, Disposition, Override, PublishedPolicy, Row, Rows, Signer};
pub use xml::{Feedback, Period, Record, Reporter};

use super::message::fields;

/// Whether a header block says that its message is such a report (RFC 9990 §3.5.2). Reporters there are who write it in lower case, or behind a
/// word in brackets: an answer to them would be one to a report, too.
pub fn is_report(header: &[u8]) -> bool {
    let subject = fields(header).find(|field| field.name.eq_ignore_ascii_case(b"Subject"));
    subject.is_some_and(|subject| {
        let text = String::from_utf8_lossy(subject.body).to_ascii_lowercase();
        let mut words = text.split_ascii_whitespace().skip_while(|word| word.starts_with('['));
        (words.next(), words.next()) == (Some("report"), Some("domain:"))
            && words.any(|word| word == "submitter:")
    })
}

#[cfg(test)]
mod tests;
