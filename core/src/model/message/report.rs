//! Non-delivery reports (RFC 3464, RFC 6522 §3): what a sender is told of recipients that will never get the message.
//!
//! A report is 7-bit throughout, so that every host on the way back can take it: what is quoted from replies is reduced to printable
//! ASCII, and a header block that is not 7-bit is encoded, which RFC 6522 §4 allows. `mail-builder` writes the MIME structure; it
//! would draw dates, identities and boundaries of its own, so each is given to it.

use std::fmt::Write as _;
use std::time::Duration;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use memchr::memmem;

use super::header::field_body;
use crate::model::date::in_words;
use crate::model::id::ENTROPY_OCTETS;
use crate::model::{Address, Domain, EnhancedStatus, QueueId, Reply, UtcTime};

/// Characters of a reply that are quoted.
const REPLY_LIMIT: usize = 512;
/// Octets of the original header block that are returned.
const HEADER_LIMIT: usize = 32 << 10;
/// Octets in a line, its CRLF not counted (RFC 5322 §2.1.1).
const LINE_LIMIT: usize = 998;
/// Columns in which the text for people is set.
const COLUMNS: usize = 76;
/// Recipients that the text for people names; all stand in the part for programs.
const NAMED: usize = 20;
/// Octets of the part for programs after which a recipient gets only the fields that it must have.
const DETAILED: usize = 2 << 20;
/// Octets of the part for programs after which recipients are only counted: some 12,000 with addresses as long as they can be.
const STATUS_LIMIT: usize = 7 << 20;
/// Octets of a Message-ID that is referred to.
const MESSAGE_ID_LIMIT: usize = 250;

/// What is told of one message.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Names the report itself.
    pub id: QueueId,
    /// When it is written.
    pub now: UtcTime,
    /// The host that gave up.
    pub reporting_mta: &'a Domain,
    /// The message that was not delivered.
    pub original: QueueId,
    /// When that was accepted.
    pub accepted: UtcTime,
    /// Its reverse-path: whom the report is for.
    pub reverse_path: &'a Address,
    /// The recipients that failed.
    pub failures: &'a [Failure<'a>],
    /// Its header block; none where it is lost.
    pub header: Option<&'a [u8]>,
    /// Of this the boundary between the parts is made. Nobody may have known it when the message was written.
    pub entropy: [u8; ENTROPY_OCTETS],
}

/// One recipient that will never get the message.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The final address.
    pub recipient: &'a Address,
    /// What the client had named, where that was an alias.
    pub alias: Option<&'a Address>,
    /// Why.
    pub reply: &'a Reply,
    /// How often it was tried.
    pub attempts: u32,
}

impl Report<'_> {
    /// The report as header block, with the empty line that ends it, and body. Both are ASCII, with CRLF after every line and no line
    /// over 998 octets; the body stays below 8 MiB.
    pub fn compose(&self) -> (Vec<u8>, Vec<u8>) {
        let (status, listed) = self.delivery_status();
        let header = self.header.map(OriginalHeader::of);
        let mut parts = vec![
            seven_bit(
                ContentType::new("text/plain").attribute("charset", "us-ascii"),
                self.explanation(listed, header.as_ref()).into_bytes(),
            ),
            seven_bit(ContentType::new("message/delivery-status"), status.into_bytes()),
        ];
        parts.extend(header.map(OriginalHeader::into_part));
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
            .subject("Your message could not be delivered")
            .message_id(format!("{}@{}", self.id, self.reporting_mta))
            // RFC 3834 §3.1.7, §5.
            .header("Auto-Submitted", Raw::new("auto-replied"))
            .header("MIME-Version", Raw::new("1.0"))
            .body(MimePart::new(multipart, BodyPart::Multipart(parts)));
        if let Some(id) = self.header.and_then(message_id) {
            message = message.in_reply_to(MessageId::new(id.clone())).references(MessageId::new(id));
        }
        let mut octets = Vec::new();
        message.serialize(&mut octets);
        let end_of_header = memmem::find(&octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
        let body = octets.split_off(end_of_header);
        (octets, body)
    }

    /// The part for people. `listed` of the failures are in the part for programs.
    fn explanation(&self, listed: usize, header: Option<&OriginalHeader>) -> String {
        let (host, count) = (self.reporting_mta, self.failures.len());
        let whom = match count {
            1 => "the recipient below. It".to_owned(),
            _ => format!("the {count} recipients below. They"),
        };
        let mut text = paragraph(&format!("This is the mail system at {host}."), 0);
        text.push_str("\r\n");
        text += &paragraph(
            &format!(
                "The message that it took from you on {} could not be delivered to {whom} will not be tried again.",
                self.accepted.to_rfc5322(),
            ),
            0,
        );
        let age = self.now.since(self.accepted);
        for failure in self.failures.iter().take(NAMED) {
            text.push_str("\r\n");
            text += &failure.in_words(age);
        }
        if count > NAMED {
            let more = count - NAMED;
            let and_more = match count - listed {
                0 => format!("... and {more} more, all in the second part of this report."),
                left_out => {
                    format!(
                        "... and {more} more, of which {left_out} are too many to be listed in this report."
                    )
                }
            };
            text.push_str("\r\n");
            text += &paragraph(&and_more, 0);
        }
        let returned = match header {
            Some(header) if header.is_cut => {
                "Its first header fields are at the end of this report; the rest of it is not returned."
            }
            Some(_) => "Its header fields are at the end of this report; the rest of it is not returned.",
            None => "It cannot be read any more, so nothing of it is returned.",
        };
        let last = format!(
            "If you need help, send this report to <postmaster@{host}>. Your message is called {} there. {returned}",
            self.original
        );
        text.push_str("\r\n");
        text + &paragraph(&last, 0)
    }

    /// The part for programs (RFC 3464 §2.1), and how many of the failures are in it.
    fn delivery_status(&self) -> (String, usize) {
        let mut status = format!(
            "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n",
            self.reporting_mta,
            self.accepted.to_rfc5322()
        );
        for (listed, failure) in self.failures.iter().enumerate() {
            if status.len() >= STATUS_LIMIT {
                return (status, listed);
            }
            let is_detailed = status.len() < DETAILED;
            failure.write_fields(&mut status, is_detailed.then_some(self.now));
        }
        (status, self.failures.len())
    }
}

impl Failure<'_> {
    fn in_words(&self, age: Duration) -> String {
        let mut text = format!("<{}>\r\n", self.recipient);
        if let Some(alias) = self.alias {
            // Not folded: an address may hold blanks.
            let _ = write!(text, "    which is where mail for <{alias}> goes,\r\n");
        }
        let times = if self.attempts == 1 { "attempt" } else { "attempts" };
        text += &paragraph(&format!("given up after {} {times} in {}:", self.attempts, in_words(age)), 4);
        text + &paragraph(&quoted(self.reply), 4)
    }

    /// The fields of one recipient (RFC 3464 §2.3), with all that is known where the time of the last attempt is given.
    fn write_fields(&self, out: &mut String, details: Option<UtcTime>) {
        out.push_str("\r\n");
        if let (Some(_), Some(alias)) = (details, self.alias) {
            out.push_str(&format!("Original-Recipient: rfc822; {alias}\r\n"));
        }
        let status = match self.reply.enhanced_status {
            Some(status @ EnhancedStatus(5, ..)) => status,
            _ => EnhancedStatus(5, 0, 0),
        };
        let recipient = self.recipient;
        out.push_str(&format!(
            "Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n"
        ));
        if let Some(last_attempt) = details {
            let (reply, last_attempt) = (quoted(self.reply), last_attempt.to_rfc5322());
            out.push_str(&format!("Diagnostic-Code: smtp; {reply}\r\nLast-Attempt-Date: {last_attempt}\r\n"));
        }
    }
}

/// The original header block as it is returned (RFC 6522 §4): without the line that ends it, every line ended by CRLF, and no control
/// characters that could be taken for line ends.
struct OriginalHeader {
    octets: Vec<u8>,
    is_cut: bool,
    /// Whether it may go as it is.
    is_seven_bit: bool,
}

impl OriginalHeader {
    fn of(header: &[u8]) -> Self {
        let mut this = Self { octets: Vec::new(), is_cut: false, is_seven_bit: true };
        for line in header.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if this.octets.len() + line.len() + 2 > HEADER_LIMIT {
                this.is_cut = true;
                break;
            }
            this.is_seven_bit &= line.len() <= LINE_LIMIT && line.is_ascii();
            let is_harmless = |b: u8| b == b'\t' || !b.is_ascii_control();
            this.octets.extend(line.iter().map(|b| if is_harmless(*b) { *b } else { b'?' }));
            this.octets.extend_from_slice(b"\r\n");
        }
        this
    }

    fn into_part(self) -> MimePart<'static> {
        let content_type = ContentType::new("text/rfc822-headers");
        match self.is_seven_bit {
            true => seven_bit(content_type, self.octets),
            // Left to choose, the builder encodes it: quoted-printable, or base64 where that is shorter.
            false => MimePart::new(content_type, self.octets),
        }
    }
}

fn seven_bit(content_type: ContentType<'static>, octets: Vec<u8>) -> MimePart<'static> {
    MimePart::new(content_type, octets).transfer_encoding("7bit")
}

/// A reply on one line, in printable ASCII and not too long.
fn quoted(reply: &Reply) -> String {
    let harmless = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    reply.to_string().chars().take(REPLY_LIMIT).map(harmless).collect::<String>().trim_end().to_owned()
}

/// The Message-ID of a header block without its angle brackets, where it is one (RFC 5322 §3.6.4).
fn message_id(header: &[u8]) -> Option<String> {
    let field = field_body(header, "Message-ID")?;
    let id = field.strip_prefix(b"<")?.strip_suffix(b">")?;
    let is_plain = |b: &u8| b.is_ascii_graphic() && !b"<>".contains(b);
    let is_one = id.len() <= MESSAGE_ID_LIMIT && id.contains(&b'@') && id.iter().all(is_plain);
    is_one.then(|| String::from_utf8_lossy(id).into_owned())
}

/// Sets words in lines of [`COLUMNS`], indented; a longer word gets a line of its own.
fn paragraph(words: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in words.split_ascii_whitespace() {
        if column > 0 && column + 1 + word.len() <= COLUMNS {
            text.push(' ');
            column += 1;
        } else {
            text.push_str(if column > 0 { "\r\n" } else { "" });
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        text.push_str(word);
        column += word.len();
    }
    text + "\r\n"
}

#[cfg(test)]
mod tests;
