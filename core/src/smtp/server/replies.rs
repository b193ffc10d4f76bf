//! Every reply that a session words by itself, once, with its source. Codes are those of RFC 5321 §4.2.3, enhanced status
//! codes those of RFC 3463 §3.

use super::Service;
use crate::model::{Domain, Reply};
use crate::smtp::data::Fault;
use crate::smtp::syntax::SyntaxError;

/// RFC 5321 §3.1, §4.2, RFC 2033 §4: the name comes first. Some clients say EHLO only to a server that says `ESMTP`.
pub(super) fn greeting(hostname: &Domain, service: Service, banner: Option<&str>) -> Reply {
    let protocol = if service == Service::Lmtp { "LMTP" } else { "ESMTP" };
    Reply::bare(220, format!("{hostname} {protocol} {}", banner.unwrap_or("Fulmar")))
}

/// RFC 5321 §4.1.1.1.
pub(super) fn helo(hostname: &Domain) -> Reply {
    Reply::bare(250, hostname.to_string())
}

/// RFC 5321 §4.1.1.2, RFC 3463 §3.2.
pub(super) fn reverse_path_taken() -> Reply {
    Reply::new(250, (2, 1, 0), "reverse-path taken")
}

/// RFC 5321 §4.1.1.3, RFC 3463 §3.2.
pub(super) fn forward_path_taken() -> Reply {
    Reply::new(250, (2, 1, 5), "forward-path taken")
}

/// RFC 5321 §4.1.1.4.
pub(super) fn go_ahead() -> Reply {
    Reply::bare(354, "go ahead; end with <CRLF>.<CRLF>")
}

/// RFC 5321 §4.1.1.5, §4.1.1.9.
pub(super) fn done() -> Reply {
    Reply::new(250, (2, 0, 0), "ok")
}

/// RFC 5321 §4.1.1.10.
pub(super) fn bye(hostname: &Domain) -> Reply {
    Reply::new(221, (2, 0, 0), format!("{hostname} closing"))
}

/// RFC 5321 §4.1.1.8.
pub(super) fn help(service: Service) -> Reply {
    let hello = if service == Service::Lmtp { "LHLO" } else { "HELO EHLO" };
    let text = format!(
        "commands: {hello} MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN ETRN STARTTLS AUTH HELP\n\
         see RFC 5321 for what they do, and the reply to {hello} for what is offered now"
    );
    Reply::new(214, (2, 0, 0), text)
}

/// A line that is no command: RFC 5321 §4.2.4 for unknown ones, §2.4 for octets beyond ASCII, §4.1.1.11 for parameters.
pub(super) fn not_a_command(error: &SyntaxError) -> Reply {
    let (code, detail) = match error {
        SyntaxError::InvalidCharacter => (500, (5, 5, 2)),
        // RFC 6531 §3.5.
        SyntaxError::NeedsUtf8 => (553, (5, 6, 7)),
        SyntaxError::Unrecognized | SyntaxError::Http => (500, (5, 5, 1)),
        SyntaxError::NotImplemented => (502, (5, 5, 1)),
        SyntaxError::Arguments(_) | SyntaxError::Parameter | SyntaxError::DuplicateParameter => {
            (501, (5, 5, 4))
        }
        SyntaxError::ReversePath(_) => (501, (5, 1, 7)),
        SyntaxError::ForwardPath(_) => (501, (5, 1, 3)),
        SyntaxError::UnknownParameter => (555, (5, 5, 4)),
    };
    Reply::new(code, detail, error.to_string())
}

/// RFC 5321 §4.5.3.1.9.
pub(super) fn long_command_line() -> Reply {
    Reply::new(500, (5, 5, 2), "line too long")
}

/// RFC 5321 §2.3.8.
pub(super) fn bare_lf_after_command() -> Reply {
    Reply::new(500, (5, 5, 2), "lines end with CRLF, this one ended with a bare LF (RFC 5321 section 2.3.8)")
}

/// RFC 5321 §4.1.4, RFC 2033 §4.1.
pub(super) fn greet_first(service: Service) -> Reply {
    let text = if service == Service::Lmtp { "say LHLO first" } else { "say EHLO or HELO first" };
    Reply::new(503, (5, 5, 1), text)
}

/// RFC 2033 §4.1: a server of LMTP does not answer to HELO, nor one of SMTP to LHLO.
pub(super) fn wrong_hello(service: Service) -> Reply {
    let text = if service == Service::Lmtp { "this is LMTP: say LHLO" } else { "this is SMTP: say EHLO" };
    Reply::new(500, (5, 5, 1), text)
}

/// RFC 5321 §4.1.1.2: MAIL amid a transaction is out of order.
pub(super) fn nested_mail() -> Reply {
    Reply::new(503, (5, 5, 1), "a transaction is under way; RSET drops it")
}

/// RFC 5321 §3.3.
pub(super) fn mail_first() -> Reply {
    Reply::new(503, (5, 5, 1), "MAIL comes first")
}

/// RFC 5321 §3.3.
pub(super) fn rcpt_first() -> Reply {
    Reply::new(503, (5, 5, 1), "RCPT comes before DATA")
}

/// RFC 5321 §3.3: what DATA is told when every RCPT was refused.
pub(super) fn no_valid_recipients() -> Reply {
    Reply::new(554, (5, 5, 1), "no valid recipients")
}

/// RFC 2920 §3.1: DATA is the last command of its group, since whether content may follow is not known before the 354.
pub(super) fn input_after_data() -> Reply {
    Reply::new(503, (5, 5, 0), "nothing may follow DATA before its reply (RFC 2920 section 3.1); closing")
}

/// RFC 5321 §4.5.3.1.10.
pub(super) fn too_many_recipients() -> Reply {
    Reply::new(452, (4, 5, 3), "too many recipients; send the rest in another transaction")
}

/// RFC 1870 §6.1.
pub(super) fn declared_too_big(message_size: u64) -> Reply {
    Reply::new(552, (5, 3, 4), format!("messages may have {message_size} octets here"))
}

/// Content that breaks a rule: RFC 5321 §2.3.8, §4.5.3.1.6, and RFC 1870 §6.3 for its size.
pub(super) fn faulty_content(fault: Fault) -> Reply {
    match fault {
        Fault::BareLineEnd => {
            Reply::new(550, (5, 6, 0), "content holds a bare CR or LF (RFC 5321 section 2.3.8)")
        }
        Fault::LongLine => Reply::new(554, (5, 6, 0), "content holds a line that is too long"),
        Fault::TooBig => too_big(),
    }
}

/// RFC 5321 §4.5.3.1.9.
pub(super) fn too_big() -> Reply {
    Reply::new(552, (5, 3, 4), "message too big")
}

/// RFC 5321 §7.8.
pub(super) fn too_many_errors(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} too many errors; closing"))
}

/// RFC 5321 §7.8.
pub(super) fn endless_content(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} refused content goes on for too long; closing"))
}

/// RFC 5321 §7.8.
pub(super) fn too_many_commands(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} too many commands without a message; closing"))
}

/// RFC 5321 §7.8: no mail client speaks HTTP.
pub(super) fn not_http(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} speaks SMTP, not HTTP; closing"))
}

/// RFC 5321 §4.5.3.2.
pub(super) fn too_slow(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 4, 2), format!("{hostname} waited too long; closing"))
}

/// RFC 5321 §3.8.
pub(super) fn shutting_down(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 3, 2), format!("{hostname} is shutting down; try again"))
}

/// RFC 5321 §3.1, §4.3.1.
pub(super) fn spoke_too_early(hostname: &Domain) -> Reply {
    Reply::new(554, (5, 5, 1), format!("{hostname} speaks first, and you did not wait for it"))
}

/// RFC 6531 §3.5.
pub(super) fn needs_utf8() -> Reply {
    Reply::new(553, (5, 6, 7), "the address needs SMTPUTF8 in MAIL")
}

/// RFC 3030 §2.
pub(super) fn chunk_taken(octets: u64) -> Reply {
    Reply::new(250, (2, 0, 0), format!("{octets} octets so far"))
}

/// RFC 3030 §2: only RSET, or another transaction, helps.
pub(super) fn failed_chunks() -> Reply {
    Reply::new(503, (5, 5, 1), "a chunk before was refused; RSET drops the transaction")
}

/// RFC 3030 §2: DATA and RCPT have no place between chunks.
pub(super) fn amid_chunks() -> Reply {
    Reply::new(503, (5, 5, 1), "content has begun with BDAT and ends with BDAT")
}

/// RFC 3030 §3.
pub(super) fn binary_needs_chunks() -> Reply {
    Reply::new(503, (5, 5, 1), "BINARYMIME is sent with BDAT")
}

/// RFC 5321 §3.8: what follows cannot be told from commands.
pub(super) fn bad_chunk(hostname: &Domain) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{hostname} cannot tell how many octets follow; closing"))
}

/// RFC 3207 §4.
pub(super) fn begin_tls() -> Reply {
    Reply::new(220, (2, 0, 0), "begin TLS")
}

/// RFC 3207 §4: STARTTLS is the last command of its group.
pub(super) fn input_before_tls() -> Reply {
    Reply::new(503, (5, 5, 0), "nothing may follow STARTTLS before its reply (RFC 3207 section 4); closing")
}

/// RFC 3207 §4.2.
pub(super) fn encrypted_already() -> Reply {
    Reply::new(503, (5, 5, 1), "TLS is active already")
}

/// RFC 3207 §4: there is no certificate.
pub(super) fn no_tls() -> Reply {
    Reply::new(502, (5, 5, 1), "TLS is not offered")
}

/// RFC 3207 §4.
pub(super) fn needs_tls() -> Reply {
    Reply::new(530, (5, 7, 0), "say STARTTLS first")
}

/// RFC 4954 §6.
pub(super) fn needs_auth() -> Reply {
    Reply::new(530, (5, 7, 0), "authentication required")
}

/// RFC 4954 §6.
pub(super) fn needs_tls_for_auth() -> Reply {
    Reply::new(538, (5, 7, 11), "encryption required before AUTH: say STARTTLS")
}

/// RFC 4954 §4.
pub(super) fn no_auth() -> Reply {
    Reply::new(502, (5, 5, 1), "AUTH is not offered")
}

/// RFC 4954 §4.
pub(super) fn no_such_mechanism() -> Reply {
    Reply::new(504, (5, 5, 4), "mechanism not offered")
}

/// RFC 4954 §4: one AUTH a session.
pub(super) fn known_already() -> Reply {
    Reply::new(503, (5, 5, 1), "authenticated already")
}

/// RFC 4954 §6.
pub(super) fn known() -> Reply {
    Reply::new(235, (2, 7, 0), "authenticated")
}

/// RFC 4954 §4.
pub(super) fn cancelled() -> Reply {
    Reply::new(501, (5, 7, 0), "authentication cancelled")
}

/// RFC 4954 §4.
pub(super) fn not_base64() -> Reply {
    Reply::new(501, (5, 5, 2), "not base64")
}

/// RFC 4954 §6.
pub(super) fn long_response() -> Reply {
    Reply::new(500, (5, 5, 6), "authentication line too long")
}
