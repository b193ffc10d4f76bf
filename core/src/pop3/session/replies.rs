//! Every reply of a session, once, with its source. Response codes are those of RFC 2449 §8 and RFC 3206 §4.

use std::borrow::Cow;

use crate::model::Domain;
use crate::pop3::Denial;
use crate::pop3::syntax::SyntaxError;

/// A status indicator with its text, one line of less than 512 octets (RFC 1939 §3): what is put into it is bounded.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) is_positive: bool,
    text: Cow<'static, str>,
}

impl Reply {
    fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { is_positive: true, text: text.into() }
    }

    fn err(text: impl Into<Cow<'static, str>>) -> Self {
        Self { is_positive: false, text: text.into() }
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        let status = if self.is_positive { "+OK" } else { "-ERR" };
        out.extend_from_slice(format!("{status} {}\r\n", self.text).as_bytes());
    }
}

/// RFC 1939 §4. Without a timestamp in angle brackets, which would offer APOP.
pub(super) fn greeting(hostname: &Domain) -> Reply {
    Reply::ok(format!("{hostname} POP3 Fulmar"))
}

/// RFC 2449 §5, with the capabilities of its §6, of RFC 3206 §6 and of RFC 2595 §4. USER and STLS stand there only where they are
/// allowed.
pub(super) fn capabilities(allows_password: bool, allows_stls: bool) -> (Reply, String) {
    const ALWAYS: [&str; 7] = [
        "TOP",
        "UIDL",
        "PIPELINING",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "EXPIRE NEVER",
        "IMPLEMENTATION Fulmar",
    ];
    let user = allows_password.then_some("USER");
    let stls = allows_stls.then_some("STLS");
    let lines = user.into_iter().chain(stls).chain(ALWAYS).chain(["."]);
    (Reply::ok("capabilities follow"), lines.map(|line| format!("{line}\r\n")).collect())
}

/// RFC 2595 §4.
pub(super) fn begin_tls() -> Reply {
    Reply::ok("begin TLS negotiation")
}

/// RFC 2595 §4: there is no certificate, or the connection is encrypted already.
pub(super) fn no_tls() -> Reply {
    Reply::err("TLS cannot begin here")
}

/// RFC 2595 §4: nothing follows STLS before its reply.
pub(super) fn octets_behind_stls() -> Reply {
    Reply::err("nothing may follow STLS but the handshake; closing")
}

/// RFC 1939 §7: said of every name, whether there is such an account or not.
pub(super) fn send_password() -> Reply {
    Reply::ok("send PASS")
}

/// RFC 2449 §8.1.1, RFC 3206 §4: a password is not taken over a connection that others may read.
pub(super) fn no_plaintext() -> Reply {
    Reply::err("[AUTH] passwords are not taken in clear text here")
}

/// RFC 1939 §7: PASS follows USER.
pub(super) fn user_first() -> Reply {
    Reply::err("say USER first")
}

/// RFC 3206 §4.
pub(super) fn denied(denial: Denial) -> Reply {
    match denial {
        Denial::Credentials => Reply::err("[AUTH] no such account, or another password"),
        Denial::Unavailable => Reply::err("[SYS/TEMP] mail storage is not available, try again later"),
    }
}

/// RFC 1939 §7, §5 (RSET): what there is.
pub(super) fn maildrop(messages: usize, octets: u64) -> Reply {
    Reply::ok(format!("{messages} messages ({octets} octets)"))
}

/// RFC 1939 §5: two numbers and nothing else.
pub(super) fn drop_listing(messages: usize, octets: u64) -> Reply {
    Reply::ok(format!("{messages} {octets}"))
}

/// RFC 1939 §5, §7: the listing of one message.
pub(super) fn listing(line: String) -> Reply {
    Reply::ok(line)
}

/// RFC 1939 §7.
pub(super) fn unique_ids_follow() -> Reply {
    Reply::ok("unique-ids follow")
}

/// RFC 1939 §5.
pub(super) fn message_follows(octets: u64) -> Reply {
    Reply::ok(format!("{octets} octets"))
}

/// RFC 1939 §7.
pub(super) fn top_follows() -> Reply {
    Reply::ok("top of message follows")
}

/// RFC 1939 §5.
pub(super) fn deleted(number: u64) -> Reply {
    Reply::ok(format!("message {number} deleted"))
}

/// RFC 1939 §5.
pub(super) fn done() -> Reply {
    Reply::ok("done")
}

/// RFC 1939 §6.
pub(super) fn bye(hostname: &Domain) -> Reply {
    Reply::ok(format!("{hostname} closing"))
}

/// RFC 1939 §6, RFC 3206 §4.
pub(super) fn not_deleted() -> Reply {
    Reply::err("[SYS/TEMP] no message was deleted, try again later")
}

/// RFC 3206 §4: the message is there, but cannot be read now.
pub(super) fn not_readable() -> Reply {
    Reply::err("[SYS/TEMP] the message cannot be read, try again later")
}

/// RFC 1939 §5.
pub(super) fn no_such_message() -> Reply {
    Reply::err("no such message")
}

/// RFC 1939 §5.
pub(super) fn is_deleted(number: u64) -> Reply {
    Reply::err(format!("message {number} is deleted"))
}

/// RFC 1939 §3.
pub(super) fn not_a_command(error: SyntaxError) -> Reply {
    Reply::err(error.to_string())
}

/// RFC 2449 §4.
pub(super) fn long_command_line() -> Reply {
    Reply::err("line too long")
}

/// RFC 1939 §3.
pub(super) fn bare_lf() -> Reply {
    Reply::err("lines end with CRLF, this one ended with a bare LF")
}

/// RFC 1939 §3: a command in the wrong state.
pub(super) fn log_in_first() -> Reply {
    Reply::err("log in first")
}

/// RFC 1939 §3: a command in the wrong state.
pub(super) fn logged_in_already() -> Reply {
    Reply::err("logged in already")
}

/// The client reads this as the reply to its next command.
pub(super) fn too_many_errors() -> Reply {
    Reply::err("too many errors; closing")
}

/// RFC 3206 §4. The client reads this as the reply to its next command, which is not executed.
pub(super) fn shutting_down() -> Reply {
    Reply::err("[SYS/TEMP] shutting down, try again later")
}
