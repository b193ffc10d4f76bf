//! Aggregate reports of DMARC (RFC 9990): what a domain's owner is told of all mail of a day that named it as its author.
//!
//! | module | what it knows |
//! |---|---|
//! | `row` | what mail came to, as it is counted |
//! | `xml` | the document |
//! | `mail` | the message that carries it |

mod mail;
mod row;
mod xml;

pub use mail::Mail;
pub use row::{DKIM_LIMIT, Disposition, Override, PublishedPolicy, Row, Rows, Signer};
pub use xml::{Feedback, Period, Reporter};

use super::message::fields;

/// Whether a header block says that its message is such a report (RFC 9990 §3.5.2).
pub fn is_report(header: &[u8]) -> bool {
    let subject = fields(header).find(|field| field.name.eq_ignore_ascii_case(b"Subject"));
    subject.is_some_and(|subject| {
        let text = String::from_utf8_lossy(subject.body);
        let mut words = text.split_ascii_whitespace();
        (words.next(), words.next()) == (Some("Report"), Some("Domain:"))
            && words.any(|word| word == "Submitter:")
    })
}

#[cfg(test)]
mod tests;
