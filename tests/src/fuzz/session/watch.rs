//! The order that the steps of a session keep.

use fulmar_core::config::SmtpLimits;
use fulmar_core::model::reply::Severity;
use fulmar_core::model::{BodyType, Reply};
use fulmar_core::smtp::Mail;
use fulmar_core::smtp::server::{Offers, Session};

use super::super::has_bare_line_end;

/// What a driver knows of the session. Each step is held against it: nothing comes out of order, a transaction that has begun ends once, and
/// no content comes but between the two.
#[derive(Debug)]
pub(super) struct Watch {
    limits: SmtpLimits,
    offers: Offers,
    greeting: Option<String>,
    is_known: bool,
    transaction: Option<Transaction>,
    messages: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Transaction {
    body: BodyType,
    recipients: usize,
    /// Whether content may come.
    is_invited: bool,
    content: Vec<u8>,
}

impl Watch {
    pub(super) fn new(limits: SmtpLimits, offers: Offers) -> Self {
        Self {
            limits,
            offers,
            greeting: None,
            is_known: false,
            transaction: None,
            messages: 0,
            is_closed: false,
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.offers.is_encrypted
    }

    pub(super) fn hello(&mut self, name: &str, verdict: Result<(), Reply>) -> Result<(), Reply> {
        self.idle();
        self.greeting = verdict.is_ok().then(|| name.to_owned());
        verdict
    }

    pub(super) fn mail(&mut self, mail: &Mail, verdict: Result<(), Reply>) -> Result<(), Reply> {
        self.idle();
        assert_eq!(Some(&mail.greeting), self.greeting.as_ref(), "MAIL under a name that was not taken");
        assert!(self.offers.is_encrypted || !self.offers.needs_tls, "MAIL without TLS");
        assert!(self.is_known || !self.offers.needs_auth, "MAIL without AUTH");
        assert!(self.offers.is_encrypted || mail.parameters.require_tls.is_none(), "REQUIRETLS without TLS");
        assert!(mail.parameters.size.is_none_or(|size| size <= self.limits.message_size));
        if verdict.is_ok() {
            let body = mail.parameters.body.unwrap_or_default();
            self.transaction =
                Some(Transaction { body, recipients: 0, is_invited: false, content: Vec::new() });
        }
        verdict
    }

    pub(super) fn recipient(&mut self, verdict: Result<(), Reply>) -> Result<(), Reply> {
        let limit = self.limits.recipients;
        let transaction = self.open();
        assert!(!transaction.is_invited, "RCPT amid content");
        assert!(transaction.recipients < limit, "more recipients than may be");
        transaction.recipients += usize::from(verdict.is_ok());
        verdict
    }

    /// Content of BINARYMIME is refused here where anything is.
    pub(super) fn data(&mut self, refuses: bool) -> Result<(), Reply> {
        let transaction = self.open();
        assert!(transaction.recipients > 0 && !transaction.is_invited, "content for nobody, or twice");
        if refuses && transaction.body == BodyType::BinaryMime {
            return Err(super::refusal(554));
        }
        transaction.is_invited = true;
        Ok(())
    }

    pub(super) fn content(&mut self, octets: &[u8]) {
        let limit = self.limits.message_size;
        let transaction = self.open();
        assert!(transaction.is_invited && !octets.is_empty(), "content that was not asked for");
        transaction.content.extend_from_slice(octets);
        assert!(transaction.content.len() as u64 <= limit, "more content than may be");
    }

    /// Gives the content. Where it has lines, they are whole and short enough.
    pub(super) fn end_of_content(&mut self, reply: &Reply) -> Vec<u8> {
        assert!(self.open().is_invited);
        self.messages += u64::from(reply.severity() == Severity::Positive);
        let Some(Transaction { content, body, .. }) = self.transaction.take() else { return Vec::new() };
        if body != BodyType::BinaryMime {
            assert!(!has_bare_line_end(&content) && !content.ends_with(b"\r"), "{}", content.escape_ascii());
            let mut lines = content.split_inclusive(|octet| *octet == b'\n');
            assert!(lines.all(|line| line.len() <= self.limits.content_line));
        }
        content
    }

    pub(super) fn reset(&mut self) {
        assert!(self.transaction.take().is_some(), "the end of what has not begun, or has ended");
    }

    /// After STARTTLS or XCLIENT nothing is known any more.
    pub(super) fn restart(&mut self, offers: Offers) {
        self.idle();
        (self.greeting, self.is_known, self.offers) = (None, false, offers);
    }

    pub(super) fn auth(&mut self) {
        self.idle();
        assert!(self.greeting.is_some() && !self.is_known, "AUTH before EHLO, or twice");
    }

    /// What is offered to a client that is known.
    pub(super) fn known(&mut self) -> Offers {
        self.is_known = true;
        self.offers.clone()
    }

    /// Whether it was closed before.
    pub(super) fn closed(&mut self) -> bool {
        assert!(self.transaction.is_none(), "closed amid a transaction");
        std::mem::replace(&mut self.is_closed, true)
    }

    pub(super) fn end(&self, session: &Session) {
        assert_eq!(session.messages(), self.messages);
    }

    fn idle(&self) {
        assert!(self.transaction.is_none(), "amid a transaction");
        assert!(!self.is_closed, "after the end");
    }

    fn open(&mut self) -> &mut Transaction {
        assert!(!self.is_closed, "after the end");
        self.transaction.as_mut().expect("a transaction")
    }
}
