//! Delivery status notifications (RFC 3464, RFC 6522 §3): what a sender is told of what became of recipients.
//!
//! A report is 7-bit, so that every host on the way back can take it: what is quoted from replies is reduced to printable ASCII, a header
//! block that is not 7-bit is encoded, which RFC 6522 §4 allows, and addresses beyond ASCII are spelt in it (RFC 6533 §3). There are two
//! exceptions: a sender whose own address is not ASCII gets a report in UTF-8, which goes to nobody but hosts that take such addresses
//! (RFC 6533 §4), and a whole message that is returned is as it was. `mail-builder` writes the MIME structure; it would draw dates, identities
//! and boundaries of its own, so each is given to it.

mod returned;
mod status;
mod words;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use memchr::memmem;

use self::returned::Part;
pub use self::returned::Returned;
use super::header::field_body;
use crate::model::id::ENTROPY_OCTETS;
use crate::model::options::OriginalRecipient;
use crate::model::{Address, BodyType, Domain, MailOptions, QueueId, Reply, UtcTime};

/// Octets of a Message-ID that is referred to.
const MESSAGE_ID_LIMIT: usize = 250;

/// What is told of one message.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Names the report itself.
    pub id: QueueId,
    /// When it is written.
    pub now: UtcTime,
    /// The host that tells it.
    pub reporting_mta: &'a Domain,
    /// The message that it is about.
    pub original: QueueId,
    /// When that was accepted.
    pub accepted: UtcTime,
    /// Its reverse-path: whom the report is for.
    pub reverse_path: &'a Address,
    /// What its sender calls it.
    pub envid: Option<&'a str>,
    /// The recipients of whom something is told; never empty.
    pub recipients: &'a [Told<'a>],
    /// What is returned of it.
    pub returned: Returned<'a>,
    /// Of this the boundary between the parts is made. Nobody may have known it when the message was written.
    pub entropy: [u8; ENTROPY_OCTETS],
}

/// What became of one recipient.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The final address.
    pub recipient: &'a Address,
    /// What the client had named, where that was an alias.
    pub alias: Option<&'a Address>,
    /// What the sender had named, where it said so.
    pub original: Option<&'a OriginalRecipient>,
    /// What was done.
    pub action: Action,
    /// Why.
    pub reply: &'a Reply,
    /// How often it was tried.
    pub attempts: u32,
    /// The host that gave the reply, where it was another one.
    pub remote_mta: Option<&'a str>,
}

/// What was done with a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It will never get the message.
    Failed,
    /// It does not have the message yet, and is tried until then.
    Delayed {
        /// When it is given up.
        until: UtcTime,
    },
    /// It has the message.
    Delivered,
    /// A host has the message that will not tell what becomes of it.
    Relayed,
    /// Those have the message, or will, whom its address stands for.
    Expanded,
}

impl Report<'_> {
    /// The report as header block, with the empty line that ends it, and body: with CRLF after every line. But for a whole message in it no line
    /// is over 998 octets, and the body stays below 8 MiB.
    pub fn compose(&self) -> (Vec<u8>, Vec<u8>) {
        let is_utf8 = self.is_international();
        let (status, listed) = self.delivery_status();
        let returned = self.returned.part(is_utf8);
        let charset = if is_utf8 { "utf-8" } else { "us-ascii" };
        let mut parts = vec![
            unencoded(
                ContentType::new("text/plain").attribute("charset", charset),
                self.explanation(listed, returned.as_ref()).into_bytes(),
            ),
            // RFC 6533 §5.1.
            unencoded(
                ContentType::new(match is_utf8 {
                    true => "message/global-delivery-status",
                    false => "message/delivery-status",
                }),
                status.into_bytes(),
            ),
        ];
        parts.extend(returned.map(Part::into_mime));
        // An underscore after an equals sign occurs in no encoded part (RFC 2045 §6.7).
        let boundary =
            self.entropy.iter().fold("=_".to_owned(), |boundary, octet| boundary + &format!("{octet:02x}"));
        let multipart = ContentType::new("multipart/report")
            .attribute("report-type", "delivery-status")
            .attribute("boundary", boundary);

        let from = format!("MAILER-DAEMON@{}", self.reporting_mta);
        let mut message = MessageBuilder::new()
            .header("Date", Raw::new(self.now.to_rfc5322()))
            .from(Mailbox::new_address(Some("Mail Delivery System"), from))
            .to(Mailbox::new_address(None::<&str>, self.reverse_path.to_string()))
            .subject(self.subject())
            .message_id(format!("{}@{}", self.id, self.reporting_mta))
            // RFC 3834 §3.1.7, §5.
            .header("Auto-Submitted", Raw::new("auto-replied"))
            .header("MIME-Version", Raw::new("1.0"))
            .body(MimePart::new(multipart, BodyPart::Multipart(parts)));
        if let Some(id) = self.returned.header().and_then(message_id) {
            message = message.in_reply_to(MessageId::new(id.clone())).references(MessageId::new(id));
        }
        let mut octets = Vec::new();
        message.serialize(&mut octets);
        let end_of_header = memmem::find(&octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
        let body = octets.split_off(end_of_header);
        (octets, body)
    }

    /// What hosts on the way back have to know of it.
    pub fn options(&self) -> MailOptions {
        let is_ascii = !self.is_international() && self.returned.is_ascii();
        let body = if is_ascii { BodyType::SevenBit } else { BodyType::EightBitMime };
        MailOptions { smtputf8: self.is_international(), ..MailOptions::of(body) }
    }

    /// Whether it may be in UTF-8: where it goes, every host must take that anyhow.
    fn is_international(&self) -> bool {
        !self.reverse_path.is_ascii()
    }

    fn count(&self, wanted: impl Fn(Action) -> bool) -> usize {
        self.recipients.iter().filter(|told| wanted(told.action)).count()
    }
}

/// A part that goes as it is.
fn unencoded(content_type: ContentType<'static>, octets: Vec<u8>) -> MimePart<'static> {
    let encoding = if octets.is_ascii() { "7bit" } else { "8bit" };
    MimePart::new(content_type, octets).transfer_encoding(encoding)
}

/// A header block as a part of a report: encoded where it is not 7-bit, without control characters.
pub(in crate::model) fn header_part(header: &[u8]) -> MimePart<'static> {
    Part::header(header, false).into_mime()
}

/// The Message-ID of a header block without its angle brackets, where it is one (RFC 5322 §3.6.4).
fn message_id(header: &[u8]) -> Option<String> {
    let field = field_body(header, "Message-ID")?;
    let id = field.strip_prefix(b"<")?.strip_suffix(b">")?;
    let is_plain = |b: &u8| b.is_ascii_graphic() && !b"<>".contains(b);
    let is_one = id.len() <= MESSAGE_ID_LIMIT && id.contains(&b'@') && id.iter().all(is_plain);
    is_one.then(|| String::from_utf8_lossy(id).into_owned())
}

#[cfg(test)]
mod tests;
