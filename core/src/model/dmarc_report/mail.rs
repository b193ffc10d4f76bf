//! The message that carries a report (RFC 9990 §3.5.2).

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

use super::Period;
use crate::model::{Address, Domain, UtcTime};

/// A report to be sent.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// Letters and digits that no other report to the same owner has; again the same where it is sent again.
    pub id: &'a str,
    /// When it is written.
    pub now: UtcTime,
    /// The domain that it is about.
    pub domain: &'a Domain,
    /// What it tells of.
    pub period: Period,
    /// Its author, whose domain is the one that reports.
    pub from: &'a Address,
    /// Whom it is for.
    pub to: &'a Address,
    /// The document.
    pub xml: &'a str,
}

impl Mail<'_> {
    /// The name of the file: the same whenever the same report is sent.
    pub fn file_name(&self) -> String {
        let Self { id, domain, period: Period { begin, end }, from, .. } = self;
        format!("{}!{domain}!{begin}!{end}!{id}.xml.gz", from.domain())
    }

    /// The message, 7-bit, with CRLF after every line.
    pub fn compose(&self) -> Vec<u8> {
        let Self { id, domain, from, .. } = self;
        let reporter = from.domain();
        let words = format!(
            "This is an aggregate report of DMARC (RFC 9990) about mail that named {domain} as its author's\r\n\
             domain, from {reporter}. It was asked for by the record at _dmarc.{domain}.\r\n"
        );
        let name = self.file_name();
        let parts = vec![
            MimePart::new(
                ContentType::new("text/plain").attribute("charset", "us-ascii"),
                words.into_bytes(),
            )
            .transfer_encoding("7bit"),
            MimePart::new(
                ContentType::new("application/gzip").attribute("name", name.clone()),
                gzip(self.xml),
            )
            .attachment(name),
        ];
        // An underscore after an equals sign occurs in no base64 (RFC 2045 §6.8).
        let multipart = ContentType::new("multipart/mixed").attribute("boundary", format!("=_{id}"));
        let message = MessageBuilder::new()
            .header("Date", Raw::new(self.now.to_rfc5322()))
            .from(Mailbox::new_address(None::<&str>, from.to_string()))
            .to(Mailbox::new_address(None::<&str>, self.to.to_string()))
            // RFC 9990 §3.5.2
            .header(
                "Subject",
                Raw::new(format!("Report Domain: {domain} Submitter: {reporter} Report-ID: <{id}>")),
            )
            .message_id(format!("{id}@{reporter}"))
            // RFC 3834 §5.
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .header("MIME-Version", Raw::new("1.0"))
            .body(MimePart::new(multipart, BodyPart::Multipart(parts)));
        let mut octets = Vec::new();
        message.serialize(&mut octets);
        octets
    }
}

/// RFC 1952 §2.2, without a name or a time: the same text gives the same octets.
fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing into memory does not fail.
    let written = encoder.write_all(text.as_bytes());
    debug_assert!(written.is_ok(), "{written:?}");
    encoder.finish().unwrap_or_default()
}
