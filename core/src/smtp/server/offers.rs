//! What is offered to this client now, and how EHLO says it.

use crate::config::SmtpLimits;
use crate::model::Domain;
use crate::smtp::syntax::{XCLIENT_ATTRIBUTES, XFORWARD_ATTRIBUTES};

/// What a listener is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// Mail from other hosts (RFC 5321 §3).
    #[default]
    Transfer,
    /// Mail from users (RFC 6409 §3).
    Submission,
    /// Mail from a host that wants a reply for each recipient (RFC 2033 §4.2).
    Lmtp,
}

/// What is offered to this client now. Changes with TLS, with XCLIENT, and when the client becomes known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// STARTTLS: there is a certificate, and the session is not encrypted.
    pub starttls: bool,
    /// The session is encrypted.
    pub is_encrypted: bool,
    /// Names of SASL mechanisms, in the order in which they are preferred; none where passwords may not be sent as things are.
    pub mechanisms: Vec<&'static str>,
    /// MAIL is refused until the session is encrypted: `530 5.7.0` (RFC 3207 §4).
    pub needs_tls: bool,
    /// MAIL is refused until the client is known: `530 5.7.0` (RFC 4954 §6).
    pub needs_auth: bool,
    /// Seconds that a message may be held, where that is offered (RFC 4865 §4).
    pub longest_hold: Option<u64>,
    /// Whether EXPN is answered.
    pub expn: bool,
    /// Whether ETRN is carried out.
    pub etrn: bool,
    /// Whether this client may say who it stands for.
    pub xclient: bool,
    /// Whether this client may say whose mail it forwards.
    pub xforward: bool,
}

/// RFC 5321 §4.1.1.1: the name, then a line for each extension that works as things are: RFC 2920 §2, RFC 1870 §3, RFC 6152 §2,
/// RFC 2034 §3, RFC 3030 §2, RFC 6531 §3.1, RFC 3461 §3, RFC 2852 §3, RFC 6710 §4, RFC 9422 §4, RFC 8689 §2, RFC 3207 §2, RFC 4954 §3, RFC 4865 §4,
/// RFC 1985 §3, RFC 5321 §4.1.1.8.
pub(super) fn ehlo_text(
    hostname: &Domain,
    service: Service,
    offers: &Offers,
    is_known: bool,
    limits: &SmtpLimits,
) -> String {
    let mut lines = vec![
        hostname.to_string(),
        "PIPELINING".to_owned(),
        format!("SIZE {}", limits.message_size),
        "8BITMIME".to_owned(),
        "ENHANCEDSTATUSCODES".to_owned(),
        "CHUNKING".to_owned(),
        "BINARYMIME".to_owned(),
        "SMTPUTF8".to_owned(),
        "DSN".to_owned(),
        "DELIVERBY".to_owned(),
        "MT-PRIORITY".to_owned(),
        format!("LIMITS RCPTMAX={}", limits.recipients),
    ];
    let mut offer = |is_offered: bool, line: String| lines.extend(is_offered.then_some(line));
    offer(offers.starttls, "STARTTLS".to_owned());
    offer(offers.is_encrypted, "REQUIRETLS".to_owned());
    let mechanisms = offers.mechanisms.join(" ");
    offer(!is_known && !mechanisms.is_empty(), format!("AUTH {mechanisms}"));
    if let Some(seconds) = offers.longest_hold.filter(|_| !offers.needs_auth || is_known) {
        // RFC 4865 §4 wants the last moment as well, which moves: the largest there is says that the interval alone counts.
        offer(true, format!("FUTURERELEASE {seconds} 9999-12-31T23:59:59Z"));
    }
    offer(offers.expn, "EXPN".to_owned());
    offer(offers.etrn && service == Service::Transfer, "ETRN".to_owned());
    offer(offers.xclient, format!("XCLIENT {}", XCLIENT_ATTRIBUTES.join(" ")));
    offer(offers.xforward, format!("XFORWARD {}", XFORWARD_ATTRIBUTES.join(" ")));
    offer(true, "HELP".to_owned());
    lines.join("\n")
}
