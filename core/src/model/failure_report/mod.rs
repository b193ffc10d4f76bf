//! Reports of single failures (RFC 9991): what the owner of a domain is told of one message that named it as its author's, in the Abuse Reporting Format
//! (RFC 5965 §2) as it is for failures (RFC 6591 §3).
//!
//! The body of the message is never in it, of its recipients nothing but what stands in its header block, and of that only what `redaction` leaves.

mod redaction;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};

pub use self::redaction::Redactor;
use super::message::{fields, header_part};
use super::{Address, Domain, UtcTime};

/// Octets of a value that is quoted from a record or a signature. Beyond: cut.
const VALUE_LIMIT: usize = 800;
/// Octets in a line, its CRLF not counted (RFC 5322 §2.1.1).
const LINE_LIMIT: usize = 998;

/// What has failed (RFC 6591 §3.3, RFC 9991 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFailure {
    /// Some methods, or all, give no aligned identity.
    Dmarc,
    /// The body is not the one that was signed.
    BodyHash,
    /// The key has been withdrawn.
    Revoked,
    /// A signature does not verify, for another reason.
    Signature,
    /// SPF does not let the client use the domain.
    Spf,
}

impl AuthFailure {
    fn as_str(self) -> &'static str {
        match self {
            Self::Dmarc => "dmarc",
            Self::BodyHash => "bodyhash",
            Self::Revoked => "revoked",
            Self::Signature => "signature",
            Self::Spf => "spf",
        }
    }
}

/// What was done with the message (RFC 6591 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryResult {
    /// It is delivered, unless something else is in the way.
    Delivered,
    /// It is delivered as suspicious.
    Spam,
    /// It was refused.
    Reject,
}

impl DeliveryResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Spam => "spam",
            Self::Reject => "reject",
        }
    }
}

/// A signature that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSignature {
    /// Its `d=`.
    pub domain: Domain,
    /// Its `i=`, where it has one.
    pub identity: Option<String>,
    /// Its `s=`.
    pub selector: String,
}

/// A message that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What it is reported for.
    pub kind: AuthFailure,
    /// The author's domain.
    pub author_domain: Domain,
    /// Where the record was found that asks for the report. What is of this domain is its owner's own.
    pub owner: Domain,
    /// The client that brought it.
    pub source: IpAddr,
    /// When it came.
    pub arrived: UtcTime,
    /// Its reverse-path.
    pub reverse_path: Address,
    /// What was done with it.
    pub delivery: DeliveryResult,
    /// Whether no signature gives an aligned identity.
    pub is_dkim_unaligned: bool,
    /// Whether SPF gives none.
    pub is_spf_unaligned: bool,
    /// One that fails, if there is any.
    pub signature: Option<FailedSignature>,
    /// The domain that SPF was checked for and its record, where there is one.
    pub spf: Option<(Domain, String)>,
    /// What all methods came to: an Authentication-Results field, folded, with its final CRLF.
    pub results: String,
    /// Its header block, or the beginning of it.
    pub header: Vec<u8>,
}

/// A report to be sent.
#[derive(Clone, Debug)]
pub struct FailureReport<'a> {
    /// Letters and digits that no other report has, and that nobody knew when the message was written.
    pub id: &'a str,
    /// When it is written.
    pub now: UtcTime,
    /// The host that tells it.
    pub reporting_mta: &'a Domain,
    /// Its author.
    pub from: &'a Address,
    /// Whom it is for.
    pub to: &'a Address,
    /// What it is about.
    pub failure: &'a Failure,
    /// For how many messages it stands: this one, and those of the same author's domain that nothing was told of since the last report.
    pub incidents: u64,
    /// What hides the rest.
    pub redactor: &'a Redactor,
}

impl FailureReport<'_> {
    /// The message: 7-bit, with CRLF after every line, no line longer than 998 octets.
    pub fn compose(&self) -> Vec<u8> {
        let Self { id, from, failure, .. } = self;
        let Failure { author_domain, owner, source, .. } = failure;
        let words = format!(
            "This is a report of one message (RFC 9991) that named {author_domain} as its author's domain and did\r\n\
             not pass every check of that. It came from {source} on {}.\r\n\
             It was asked for by the record at _dmarc.{owner}. What is not its owner's has been replaced\r\n\
             by tokens, equal things by equal ones; the body is left out.\r\n",
            failure.arrived.to_rfc5322()
        );
        let plain = ContentType::new("text/plain").attribute("charset", "us-ascii");
        let part = |content_type, text: String| {
            MimePart::new(content_type, text.into_bytes()).transfer_encoding("7bit")
        };
        let parts = vec![
            part(plain, words),
            part(ContentType::new("message/feedback-report"), self.feedback()),
            header_part(&self.redactor.header(&failure.header, owner)),
        ];
        // An underscore after an equals sign occurs in no encoded part (RFC 2045 §6.7).
        let multipart = ContentType::new("multipart/report")
            .attribute("report-type", "feedback-report")
            .attribute("boundary", format!("=_{id}"));
        let message = MessageBuilder::new()
            .header("Date", Raw::new(self.now.to_rfc5322()))
            .from(Mailbox::new_address(None::<&str>, from.to_string()))
            .to(Mailbox::new_address(None::<&str>, self.to.to_string()))
            .header("Subject", Raw::new(format!("DMARC failure of a message in the name of {author_domain}")))
            .message_id(format!("{id}@{}", from.domain()))
            // RFC 3834 §5.
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .header("MIME-Version", Raw::new("1.0"))
            .body(MimePart::new(multipart, BodyPart::Multipart(parts)));
        let mut octets = Vec::new();
        message.serialize(&mut octets);
        octets
    }

    /// The part for machines (RFC 5965 §3, RFC 6591 §3.1, RFC 9991 §4).
    fn feedback(&self) -> String {
        let Self { failure, redactor, .. } = self;
        let owner = &failure.owner;
        let mut fields = vec![
            "Feedback-Type: auth-failure".to_owned(),
            concat!("User-Agent: Fulmar/", env!("CARGO_PKG_VERSION")).to_owned(),
            "Version: 1".to_owned(),
            format!("Auth-Failure: {}", failure.kind.as_str()),
            redactor.addresses(failure.results.trim_end(), owner),
            format!("Identity-Alignment: {}", self.unaligned()),
            format!("Delivery-Result: {}", failure.delivery.as_str()),
            format!("Original-Mail-From: {}", redactor.addresses(&failure.reverse_path.to_string(), owner)),
            format!("Arrival-Date: {}", failure.arrived.to_rfc5322()),
            format!("Source-IP: {}", failure.source.to_canonical()),
            format!("Reported-Domain: {}", failure.author_domain),
            format!("Reporting-MTA: dns; {}", self.reporting_mta),
        ];
        if self.incidents > 1 {
            fields.push(format!("Incidents: {}", self.incidents));
        }
        if let Some(FailedSignature { domain, identity, selector }) = &failure.signature {
            let identity = identity.clone().unwrap_or_else(|| format!("@{domain}"));
            fields.push(format!("DKIM-Domain: {domain}"));
            fields.push(format!("DKIM-Identity: {}", value(&redactor.addresses(&identity, owner))));
            fields.push(format!("DKIM-Selector: {}", value(selector)));
        }
        if let Some((domain, record)) = &failure.spf {
            let record = value(record).replace('\\', "\\\\").replace('"', "\\\"");
            fields.push(format!("SPF-DNS: txt : {domain} : \"{record}\""));
        }
        fields.iter().flat_map(|field| field.lines()).map(line).collect()
    }

    /// `id-align`: the methods that failed to authenticate an aligned identity (RFC 9991 §4).
    fn unaligned(&self) -> &'static str {
        match (self.failure.is_dkim_unaligned, self.failure.is_spf_unaligned) {
            (true, true) => "dkim, spf",
            (true, false) => "dkim",
            (false, true) => "spf",
            (false, false) => "none",
        }
    }
}

/// Whether a header block says that its message is a report, or was sent by a program (RFC 6522 §3, RFC 3834 §5). To answer such a one with a report could
/// go on for ever.
pub fn is_automatic(header: &[u8]) -> bool {
    fields(header).any(|field| {
        let body = String::from_utf8_lossy(field.body).trim().to_ascii_lowercase();
        let word = body.split([';', ' ', '\t', '\r', '\n', '(']).next().unwrap_or_default();
        match &field.name.to_ascii_lowercase()[..] {
            b"content-type" => word == "multipart/report" || word == "message/feedback-report",
            b"auto-submitted" => word != "no",
            _ => false,
        }
    })
}

/// What stands on one line and is of no use to whoever would write another one.
fn value(text: &str) -> String {
    let visible = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().take(VALUE_LIMIT).map(visible).collect()
}

fn line(text: &str) -> String {
    let is_plain = |c: &char| matches!(c, '\t' | ' '..='~');
    let plain = text.chars().map(|c| if is_plain(&c) { c } else { '?' });
    plain.take(LINE_LIMIT).chain("\r\n".chars()).collect()
}
