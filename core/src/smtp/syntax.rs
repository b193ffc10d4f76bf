//! Command lines (RFC 5321 §4.1.1). Each parser stands below its rule in ABNF and bears its name.
//!
//! More is read than the ABNF allows where clients in the field need it: blanks at the end of a line (RFC 5321 §4.1.1) and
//! after the colon of MAIL and RCPT, and names in HELO and EHLO that are no domains.

use super::BodyType;
use crate::model::{Address, AddressError, Domain, ForwardPath, ReversePath};

/// Octets in the name that a client gives itself: as long as a domain may be (RFC 5321 §4.5.3.1.2).
const NAME_LIMIT: usize = 255;

/// One command line that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// What the client calls itself.
    Helo(&'a str),
    /// What the client calls itself.
    Ehlo(&'a str),
    /// The reverse-path and its parameters.
    Mail(ReversePath, MailParameters),
    /// The forward-path.
    Rcpt(ForwardPath),
    /// Content is to follow.
    Data,
    /// The transaction is dropped.
    Rset,
    /// Nothing; its argument is ignored.
    Noop,
    /// The session ends.
    Quit,
    /// A question that is never answered with yes or no, whatever its argument.
    Vrfy,
    /// Help; its argument is ignored.
    Help,
}

/// Parameters of MAIL, each given at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` (RFC 1870 §6.1), in octets. What does not fit 64 bits is the largest number that does.
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152 §2).
    pub body: Option<BodyType>,
}

/// Why a line is not a command that is executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// An octet that is neither printable ASCII nor a blank.
    #[error("invalid character: commands are printable ASCII")]
    InvalidCharacter,
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

/// Why a text is not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not stand in angle brackets.
    #[error("no angle brackets around it")]
    Brackets,
    /// A source route that is not `@domain,@domain:`.
    #[error("malformed source route")]
    SourceRoute,
    /// What the brackets hold is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// Reads one line, without its CRLF.
pub fn command(line: &[u8]) -> Result<Command<'_>, SyntaxError> {
    let text = str::from_utf8(line).map_err(|_| SyntaxError::InvalidCharacter)?;
    if !text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
        return Err(SyntaxError::InvalidCharacter);
    }
    let text = text.trim_end_matches(is_blank);
    let (verb, argument) = text.split_once(is_blank).unwrap_or((text, ""));
    let argument = argument.trim_start_matches(is_blank);
    match verb.to_ascii_uppercase().as_str() {
        "HELO" => name(argument).map(Command::Helo).ok_or(SyntaxError::Arguments("HELO domain")),
        "EHLO" => name(argument).map(Command::Ehlo).ok_or(SyntaxError::Arguments("EHLO domain")),
        "MAIL" => mail(argument),
        "RCPT" => rcpt(argument),
        "DATA" => no_argument(argument, Command::Data, "DATA"),
        "RSET" => no_argument(argument, Command::Rset, "RSET"),
        "QUIT" => no_argument(argument, Command::Quit, "QUIT"),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if argument.is_empty() => Err(SyntaxError::Arguments("VRFY string")),
        "VRFY" => Ok(Command::Vrfy),
        // RFC 5321 §7.3 lets EXPN be left out; the others are obsolete (RFC 5321 Appendix F).
        "EXPN" | "TURN" | "SEND" | "SOML" | "SAML" => Err(SyntaxError::NotImplemented),
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

/// `"DATA" CRLF`, `"RSET" CRLF`, `"QUIT" CRLF` (RFC 5321 §4.1.1.4, §4.1.1.5, §4.1.1.10).
fn no_argument<'a>(
    argument: &str,
    command: Command<'a>,
    usage: &'static str,
) -> Result<Command<'a>, SyntaxError> {
    if argument.is_empty() { Ok(command) } else { Err(SyntaxError::Arguments(usage)) }
}

/// `"MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF`, `Reverse-path = Path / "<>"` (RFC 5321 §4.1.1.2).
fn mail(argument: &str) -> Result<Command<'_>, SyntaxError> {
    const USAGE: SyntaxError = SyntaxError::Arguments("MAIL FROM:<address> [SIZE=octets] [BODY=type]");
    let argument = after_keyword(argument, "FROM:").ok_or(USAGE)?;
    let (inside, rest) = path(argument).map_err(SyntaxError::ReversePath)?;
    let reverse_path = match inside {
        "" => ReversePath::Null,
        mailbox => ReversePath::Address(
            Address::parse(mailbox).map_err(|error| SyntaxError::ReversePath(error.into()))?,
        ),
    };
    Ok(Command::Mail(reverse_path, mail_parameters(blanks_before(rest).ok_or(USAGE)?)?))
}

/// `"RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path ) [SP Rcpt-parameters] CRLF`
/// (RFC 5321 §4.1.1.3). No extension announced has parameters here.
fn rcpt(argument: &str) -> Result<Command<'_>, SyntaxError> {
    const USAGE: SyntaxError = SyntaxError::Arguments("RCPT TO:<address>");
    let argument = after_keyword(argument, "TO:").ok_or(USAGE)?;
    let (inside, rest) = path(argument).map_err(SyntaxError::ForwardPath)?;
    let forward_path = if inside.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        ForwardPath::Address(Address::parse(inside).map_err(|error| SyntaxError::ForwardPath(error.into()))?)
    };
    match esmtp_params(blanks_before(rest).ok_or(USAGE)?).next() {
        None => Ok(Command::Rcpt(forward_path)),
        Some(parameter) => Err(parameter.err().unwrap_or(SyntaxError::UnknownParameter)),
    }
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

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"` (RFC 5321 §4.1.2). Gives what stands for `Mailbox`, perhaps nothing, and what
/// follows the path. A source route is accepted and ignored (RFC 5321 §4.1.1.3, Appendix C).
fn path(text: &str) -> Result<(&str, &str), PathError> {
    let text = text.strip_prefix('<').ok_or(PathError::Brackets)?;
    let (inside, rest) = split_at_closing_bracket(text).ok_or(PathError::Brackets)?;
    if !inside.starts_with('@') {
        return Ok((inside, rest));
    }
    let (route, mailbox) = inside.split_once(':').ok_or(PathError::SourceRoute)?;
    if !at_domain_list(route) || mailbox.is_empty() {
        return Err(PathError::SourceRoute);
    }
    Ok((mailbox, rest))
}

/// Splits at the first `>` that no quoted local-part holds.
fn split_at_closing_bracket(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut octets = text.bytes().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => quoted = !quoted,
            b'\\' if quoted => drop(octets.next()),
            b'>' if !quoted => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// `A-d-l = At-domain *( "," At-domain )`, `At-domain = "@" Domain` (RFC 5321 §4.1.2).
fn at_domain_list(text: &str) -> bool {
    text.split(',').all(|item| item.strip_prefix('@').is_some_and(|domain| Domain::parse(domain).is_ok()))
}

/// `Mail-parameters = esmtp-param *(SP esmtp-param)` (RFC 5321 §4.1.2).
fn mail_parameters(text: &str) -> Result<MailParameters, SyntaxError> {
    let mut parameters = MailParameters::default();
    for parameter in esmtp_params(text) {
        let (keyword, value) = parameter?;
        let is_first = match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => parameters.size.replace(size_value(value)?).is_none(),
            "BODY" => parameters.body.replace(body_value(value)?).is_none(),
            _ => return Err(SyntaxError::UnknownParameter),
        };
        if !is_first {
            return Err(SyntaxError::DuplicateParameter);
        }
    }
    Ok(parameters)
}

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]`,
/// `esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")`,
/// `esmtp-value = 1*(%d33-60 / %d62-126)` (RFC 5321 §4.1.2). The value is empty where there is none.
fn esmtp_params(text: &str) -> impl Iterator<Item = Result<(&str, &str), SyntaxError>> {
    text.split(is_blank).filter(|word| !word.is_empty()).map(|word| {
        let (keyword, value) = word.split_once('=').unwrap_or((word, ""));
        let keyword_is_good = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let value_is_good = !value.contains('=') && value.is_empty() != word.contains('=');
        if keyword_is_good && value_is_good { Ok((keyword, value)) } else { Err(SyntaxError::Parameter) }
    })
}

/// `size-value = 1*20DIGIT` (RFC 1870 §3).
fn size_value(value: &str) -> Result<u64, SyntaxError> {
    let is_number = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    // Twenty digits can exceed 64 bits; a size that large is beyond every limit.
    if is_number { Ok(value.parse().unwrap_or(u64::MAX)) } else { Err(SyntaxError::Parameter) }
}

/// `body-value = "7BIT" / "8BITMIME"` (RFC 6152 §2). Other values belong to extensions that are not announced.
fn body_value(value: &str) -> Result<BodyType, SyntaxError> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(BodyType::SevenBit),
        "8BITMIME" => Ok(BodyType::EightBitMime),
        "" => Err(SyntaxError::Parameter),
        _ => Err(SyntaxError::UnknownParameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reverse(text: &str) -> ReversePath {
        ReversePath::try_from(text.to_owned()).unwrap()
    }

    fn forward(text: &str) -> ForwardPath {
        ForwardPath::Address(Address::parse(text).unwrap())
    }

    #[test]
    fn commands_are_read_as_clients_write_them() {
        let plain = MailParameters::default();
        let sized = MailParameters { size: Some(1000), body: Some(BodyType::EightBitMime) };
        let huge = MailParameters { size: Some(u64::MAX), body: Some(BodyType::SevenBit) };
        for (line, expected) in [
            ("HELO foo_bar", Command::Helo("foo_bar")),
            ("ehlo [192.0.2.1]  \t", Command::Ehlo("[192.0.2.1]")),
            ("EHLO  -odd.$name$", Command::Ehlo("-odd.$name$")),
            ("MAIL FROM:<>", Command::Mail(ReversePath::Null, plain.clone())),
            ("mail from: <a@X.test> ", Command::Mail(reverse("a@x.test"), plain.clone())),
            ("MAIL FROM:<\">\"@x.test>", Command::Mail(reverse("\">\"@x.test"), plain.clone())),
            ("MAIL FROM:<\"\\\">\"@x.test>", Command::Mail(reverse("\"\\\">\"@x.test"), plain.clone())),
            ("MAIL FROM:<@a.test,@b.test:u@x.test>", Command::Mail(reverse("u@x.test"), plain)),
            ("MAIL FROM:<> SIZE=1000  body=8bitmime", Command::Mail(ReversePath::Null, sized)),
            ("MAIL FROM:<> BODY=7BIT SIZE=99999999999999999999", Command::Mail(ReversePath::Null, huge)),
            ("RCPT TO:<POSTmaster>", Command::Rcpt(ForwardPath::Postmaster)),
            ("rcpt to:\t<@relay.test:u@x.test>", Command::Rcpt(forward("u@x.test"))),
            ("DATA ", Command::Data),
            ("rSeT", Command::Rset),
            ("NOOP whatever this is", Command::Noop),
            ("QUIT", Command::Quit),
            ("VRFY alice", Command::Vrfy),
            ("HELP MAIL", Command::Help),
        ] {
            assert_eq!(command(line.as_bytes()), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_named() {
        use SyntaxError as E;
        let reverse_path = |error| E::ReversePath(error);
        let forward_path = |error| E::ForwardPath(error);
        let mail_usage = E::Arguments("MAIL FROM:<address> [SIZE=octets] [BODY=type]");
        for (line, expected) in [
            (&b""[..], E::Unrecognized),
            (b" NOOP", E::Unrecognized),
            (b"NOOPX", E::Unrecognized),
            (b"GET / HTTP/1.1", E::Http),
            (b"EXPN staff", E::NotImplemented),
            (b"NOOP \0", E::InvalidCharacter),
            (b"NOOP\rNOOP", E::InvalidCharacter),
            (b"MAIL FROM:<\xc3\xa9@x.test>", E::InvalidCharacter),
            (b"MAIL FROM:<\xff@x.test>", E::InvalidCharacter),
            (b"HELO", E::Arguments("HELO domain")),
            (b"EHLO two words", E::Arguments("EHLO domain")),
            (b"VRFY", E::Arguments("VRFY string")),
            (b"DATA now", E::Arguments("DATA")),
            (b"MAIL", mail_usage.clone()),
            (b"MAIL TO:<a@x.test>", mail_usage.clone()),
            (b"MAIL FROM:<a@x.test>SIZE=1", mail_usage),
            (b"MAIL FROM:a@x.test", reverse_path(PathError::Brackets)),
            (b"MAIL FROM:<a@x.test", reverse_path(PathError::Brackets)),
            (b"MAIL FROM:< a@x.test>", reverse_path(PathError::Address(AddressError::BadLocalPart))),
            (b"MAIL FROM:<@a.test>", reverse_path(PathError::SourceRoute)),
            (b"MAIL FROM:<@a.test,b.test:u@x.test>", reverse_path(PathError::SourceRoute)),
            (b"MAIL FROM:<@a.test:>", reverse_path(PathError::SourceRoute)),
            (b"MAIL FROM:<> SIZE", E::Parameter),
            (b"MAIL FROM:<> SIZE=", E::Parameter),
            (b"MAIL FROM:<> SIZE=-1", E::Parameter),
            (b"MAIL FROM:<> SIZE=123456789012345678901", E::Parameter),
            (b"MAIL FROM:<> -X=1", E::Parameter),
            (b"MAIL FROM:<> BODY=7BIT=8BITMIME", E::Parameter),
            (b"MAIL FROM:<> SIZE=1 SIZE=1", E::DuplicateParameter),
            (b"MAIL FROM:<> BODY=BINARYMIME", E::UnknownParameter),
            (b"MAIL FROM:<> SMTPUTF8", E::UnknownParameter),
            (b"RCPT TO:<>", forward_path(PathError::Address(AddressError::NoAt))),
            (b"RCPT TO:<a@>", forward_path(PathError::Address(AddressError::EmptyDomain))),
            (b"RCPT TO:<a@x.test> NOTIFY=NEVER", E::UnknownParameter),
            (b"RCPT TO:<a@x.test> =", E::Parameter),
        ] {
            assert_eq!(command(line), Err(expected), "{:?}", String::from_utf8_lossy(line));
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(head in "(MAIL FROM:|RCPT TO:|EHLO |)", tail in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = command(&[head.as_bytes(), &tail].concat());
        }
    }
}
