//! Command lines (RFC 5321 §4.1.1). Each parser stands below its rule in ABNF and bears its name.
//!
//! More is read than the ABNF allows where clients in the field need it: blanks at the end of a line (RFC 5321 §4.1.1) and
//! after the colon of MAIL and RCPT, and names in HELO and EHLO that are no domains. Whether a command or a parameter is offered to this
//! client is not known here.

mod parameters;
mod path;
#[cfg(test)]
mod tests;
mod xclient;

pub use self::parameters::{By, Hold, MailParameters, RcptParameters};
pub use self::path::PathError;
pub use self::xclient::Attribute;
use crate::model::{ForwardPath, ReversePath};

/// Octets in the name that a client gives itself: as long as a domain may be (RFC 5321 §4.5.3.1.2).
const NAME_LIMIT: usize = 255;
/// Octets in the name of a SASL mechanism (RFC 4422 §3.1).
const MECHANISM_LIMIT: usize = 20;
/// What a proxy may say with XCLIENT.
pub(super) const XCLIENT_ATTRIBUTES: &[&str] =
    &["NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"];
/// What a proxy may say with XFORWARD.
pub(super) const XFORWARD_ATTRIBUTES: &[&str] = &["NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"];

/// One command line that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// What the client calls itself.
    Helo(&'a str),
    /// What the client calls itself.
    Ehlo(&'a str),
    /// What the client calls itself (RFC 2033 §4.1).
    Lhlo(&'a str),
    /// The reverse-path and its parameters.
    Mail(ReversePath, Box<MailParameters>),
    /// The forward-path and its parameters.
    Rcpt(ForwardPath, RcptParameters),
    /// Content is to follow.
    Data,
    /// A chunk of content follows (RFC 3030 §2).
    Bdat {
        /// Its octets.
        octets: u64,
        /// Whether the content ends with it.
        is_last: bool,
    },
    /// The transaction is dropped.
    Rset,
    /// Nothing; its argument is ignored.
    Noop,
    /// The session ends.
    Quit,
    /// Whom a string means.
    Vrfy(Question<'a>),
    /// Whom a list leads to.
    Expn(Question<'a>),
    /// Help; its argument is ignored.
    Help,
    /// Mail that waits for this is to be sent now (RFC 1985 §5).
    Etrn(&'a str),
    /// TLS begins with the next octet (RFC 3207 §4).
    StartTls,
    /// The client wants to be known (RFC 4954 §4).
    Auth {
        /// In capitals.
        mechanism: String,
        /// The initial response in base64; `=` for an empty one.
        initial: Option<&'a str>,
    },
    /// A proxy says who the client is.
    Xclient(Vec<Attribute>),
    /// A filter says who the client was.
    Xforward(Vec<Attribute>),
}

/// The argument of VRFY and EXPN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// A local-part, an address or a name.
    pub text: &'a str,
    /// `SMTPUTF8`: the answer may hold UTF-8 (RFC 6531 §3.7.4.2).
    pub smtputf8: bool,
}

/// Why a line is not a command that is executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// An octet that is neither printable nor a blank, or no UTF-8.
    #[error("invalid character")]
    InvalidCharacter,
    /// Characters beyond ASCII where the client has not said SMTPUTF8, or can not.
    #[error("characters beyond ASCII need SMTPUTF8")]
    NeedsUtf8,
    /// No command that this server knows of.
    #[error("command unrecognized")]
    Unrecognized,
    /// A request of HTTP.
    #[error("this is SMTP, not HTTP")]
    Http,
    /// A command of some standard that is not executed here.
    #[error("command not implemented")]
    NotImplemented,
    /// The arguments are not of the form given.
    #[error("syntax: {0}")]
    Arguments(&'static str),
    /// The argument of MAIL is not a reverse-path.
    #[error("reverse-path: {0}")]
    ReversePath(PathError),
    /// The argument of RCPT is not a forward-path.
    #[error("forward-path: {0}")]
    ForwardPath(PathError),
    /// A parameter that breaks the syntax, or whose value breaks its own.
    #[error("malformed parameter")]
    Parameter,
    /// The same parameter twice.
    #[error("parameter given twice")]
    DuplicateParameter,
    /// A parameter, or a value of one, that belongs to no extension announced.
    #[error("parameter not recognized or not implemented")]
    UnknownParameter,
}

/// Reads one line, without its CRLF. Characters beyond ASCII are let through in MAIL, VRFY and EXPN with SMTPUTF8, and in RCPT, where
/// whoever knows the transaction says whether they may be.
pub fn command(line: &[u8]) -> Result<Command<'_>, SyntaxError> {
    let text = str::from_utf8(line).map_err(|_| SyntaxError::InvalidCharacter)?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(SyntaxError::InvalidCharacter);
    }
    let text = text.trim_end_matches(is_blank);
    let (verb, argument) = text.split_once(is_blank).unwrap_or((text, ""));
    let argument = argument.trim_start_matches(is_blank);
    let verb = verb.to_ascii_uppercase();
    if !text.is_ascii() && !matches!(verb.as_str(), "MAIL" | "RCPT" | "VRFY" | "EXPN" | "NOOP") {
        return Err(SyntaxError::InvalidCharacter);
    }
    match verb.as_str() {
        "HELO" => name(argument).map(Command::Helo).ok_or(SyntaxError::Arguments("HELO domain")),
        "EHLO" => name(argument).map(Command::Ehlo).ok_or(SyntaxError::Arguments("EHLO domain")),
        "LHLO" => name(argument).map(Command::Lhlo).ok_or(SyntaxError::Arguments("LHLO domain")),
        "MAIL" => mail(argument),
        "RCPT" => rcpt(argument),
        "DATA" => no_argument(argument, Command::Data, "DATA"),
        "BDAT" => bdat(argument),
        "RSET" => no_argument(argument, Command::Rset, "RSET"),
        "QUIT" => no_argument(argument, Command::Quit, "QUIT"),
        "STARTTLS" => no_argument(argument, Command::StartTls, "STARTTLS"),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" => question(argument, "VRFY string [SMTPUTF8]").map(Command::Vrfy),
        "EXPN" => question(argument, "EXPN string [SMTPUTF8]").map(Command::Expn),
        "ETRN" => etrn(argument),
        "AUTH" => auth(argument),
        "XCLIENT" => xclient::attributes(argument, XCLIENT_ATTRIBUTES).map(Command::Xclient),
        "XFORWARD" => xclient::attributes(argument, XFORWARD_ATTRIBUTES).map(Command::Xforward),
        // Obsolete (RFC 5321 Appendix F).
        "TURN" | "SEND" | "SOML" | "SAML" => Err(SyntaxError::NotImplemented),
        // A browser that was led here would let a web page write commands into its request's body.
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => {
            Err(SyntaxError::Http)
        }
        _ => Err(SyntaxError::Unrecognized),
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// `"HELO" SP Domain CRLF`, `"EHLO" SP ( Domain / address-literal ) CRLF` (RFC 5321 §4.1.1.1): any one word is let
/// through, since a name proves nothing and mail must not be refused for it (RFC 5321 §4.1.4).
fn name(argument: &str) -> Option<&str> {
    let is_one_word = !argument.is_empty() && !argument.contains(is_blank);
    (is_one_word && argument.len() <= NAME_LIMIT).then_some(argument)
}

/// `"DATA" CRLF`, `"RSET" CRLF`, `"QUIT" CRLF` (RFC 5321 §4.1.1.4, §4.1.1.5, §4.1.1.10), `"STARTTLS" CRLF` (RFC 3207 §4).
fn no_argument<'a>(
    argument: &str,
    command: Command<'a>,
    usage: &'static str,
) -> Result<Command<'a>, SyntaxError> {
    if argument.is_empty() { Ok(command) } else { Err(SyntaxError::Arguments(usage)) }
}

/// `"MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF`, `Reverse-path = Path / "<>"` (RFC 5321 §4.1.1.2).
fn mail(argument: &str) -> Result<Command<'_>, SyntaxError> {
    const USAGE: SyntaxError = SyntaxError::Arguments("MAIL FROM:<address> [parameters]");
    let argument = after_keyword(argument, "FROM:").ok_or(USAGE)?;
    let (inside, rest) = path::path(argument).map_err(SyntaxError::ReversePath)?;
    let parameters = parameters::mail_parameters(blanks_before(rest).ok_or(USAGE)?)?;
    if !argument.is_ascii() && parameters.smtputf8.is_none() {
        return Err(SyntaxError::NeedsUtf8);
    }
    Ok(Command::Mail(path::reverse_path(inside)?, Box::new(parameters)))
}

/// `"RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF`
/// (RFC 5321 §4.1.1.3).
fn rcpt(argument: &str) -> Result<Command<'_>, SyntaxError> {
    const USAGE: SyntaxError = SyntaxError::Arguments("RCPT TO:<address> [parameters]");
    let argument = after_keyword(argument, "TO:").ok_or(USAGE)?;
    let (inside, rest) = path::path(argument).map_err(SyntaxError::ForwardPath)?;
    let forward_path = path::forward_path(inside)?;
    let parameters = parameters::rcpt_parameters(blanks_before(rest).ok_or(USAGE)?)?;
    Ok(Command::Rcpt(forward_path, parameters))
}

/// `bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CRLF`, `chunk-size = 1*DIGIT`, `end-marker = "LAST"` (RFC 3030 §2).
fn bdat(argument: &str) -> Result<Command<'_>, SyntaxError> {
    const USAGE: SyntaxError = SyntaxError::Arguments("BDAT octets [LAST]");
    let mut words = argument.split(is_blank).filter(|word| !word.is_empty());
    let size = words.next().unwrap_or_default();
    let is_last = match (words.next(), words.next()) {
        (None, None) => false,
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => true,
        _ => return Err(USAGE),
    };
    let is_number = (1..=19).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_digit());
    let octets = size.parse().ok().filter(|_| is_number).ok_or(USAGE)?;
    Ok(Command::Bdat { octets, is_last })
}

/// `"VRFY" SP String CRLF`, `"EXPN" SP String CRLF` (RFC 5321 §4.1.1.6, §4.1.1.7), with RFC 6531 §3.7.4.2.
fn question<'a>(argument: &'a str, usage: &'static str) -> Result<Question<'a>, SyntaxError> {
    let (text, smtputf8) = match argument.rsplit_once(is_blank) {
        Some((text, word)) if word.eq_ignore_ascii_case("SMTPUTF8") => {
            (text.trim_end_matches(is_blank), true)
        }
        _ => (argument, false),
    };
    match text {
        "" => Err(SyntaxError::Arguments(usage)),
        text if !text.is_ascii() && !smtputf8 => Err(SyntaxError::NeedsUtf8),
        text => Ok(Question { text, smtputf8 }),
    }
}

/// `"ETRN" SP [ "@" / "#" ] node-name CRLF` (RFC 1985 §5).
fn etrn(argument: &str) -> Result<Command<'_>, SyntaxError> {
    name(argument).map(Command::Etrn).ok_or(SyntaxError::Arguments("ETRN domain"))
}

/// `"AUTH" SP sasl-mech [SP initial-response] CRLF`, `initial-response = base64 / "="` (RFC 4954 §8).
fn auth(argument: &str) -> Result<Command<'_>, SyntaxError> {
    const USAGE: SyntaxError = SyntaxError::Arguments("AUTH mechanism [initial-response]");
    let mut words = argument.split(is_blank).filter(|word| !word.is_empty());
    let mechanism = words.next().unwrap_or_default();
    let initial = words.next();
    let is_name = (1..=MECHANISM_LIMIT).contains(&mechanism.len())
        && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !is_name || words.next().is_some() {
        return Err(USAGE);
    }
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

/// What follows `FROM:` or `TO:`, in any case, and blanks.
fn after_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(is_blank))
}

/// What follows a path: nothing, or something set off by a blank.
fn blanks_before(rest: &str) -> Option<&str> {
    (rest.is_empty() || rest.starts_with(is_blank)).then_some(rest)
}
