//! Command lines (RFC 1939 §3, RFC 2449 §3). Each parser stands below its rule in ABNF and bears its name.
//!
//! More is read than the ABNF allows where clients in the field need it: blanks at the end of a line, except in a password.

/// One command line that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The name of an account.
    User(&'a str),
    /// Its password.
    Pass(&'a str),
    /// Number and octets of all messages.
    Stat,
    /// Octets of one message, or of each.
    List(Option<u64>),
    /// Unique identifier of one message, or of each.
    Uidl(Option<u64>),
    /// A whole message.
    Retr(u64),
    /// Header block of a message, and so many lines of its body.
    Top(u64, u64),
    /// A message is to be deleted at QUIT.
    Dele(u64),
    /// Nothing.
    Noop,
    /// No message is to be deleted.
    Rset,
    /// The session ends.
    Quit,
    /// What this server can do.
    Capa,
    /// The connection is to be encrypted.
    Stls,
}

/// Why a line is not a command that is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// An octet that no command holds: a control character, or one beyond ASCII where no credentials are meant.
    #[error("invalid character")]
    InvalidCharacter,
    /// No command that this server knows of.
    #[error("command unrecognized")]
    Unrecognized,
    /// The arguments are not of the form given.
    #[error("syntax: {0}")]
    Arguments(&'static str),
}

/// Reads a line without its CRLF.
///
/// ```abnf
/// command = keyword *(SP param)
/// keyword = 3*4VCHAR           ; in any case
/// param   = 1*VCHAR
/// ```
///
/// Names and passwords may be UTF-8, which the ABNF does not know.
pub fn command(line: &[u8]) -> Result<Command<'_>, SyntaxError> {
    let line = std::str::from_utf8(line).map_err(|_| SyntaxError::InvalidCharacter)?;
    if line.chars().any(char::is_control) {
        return Err(SyntaxError::InvalidCharacter);
    }
    let (keyword, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let keyword = keyword.to_ascii_uppercase();
    let trimmed = arguments.trim_matches(' ');
    if keyword != "PASS" && keyword != "USER" && !line.is_ascii() {
        return Err(SyntaxError::InvalidCharacter);
    }
    match keyword.as_str() {
        "USER" => user(trimmed),
        "PASS" => pass(arguments),
        "STAT" => bare(trimmed, Command::Stat, "STAT"),
        "LIST" => Ok(Command::List(optional_msg(trimmed, "LIST [message]")?)),
        "UIDL" => Ok(Command::Uidl(optional_msg(trimmed, "UIDL [message]")?)),
        "RETR" => Ok(Command::Retr(msg(trimmed).ok_or(SyntaxError::Arguments("RETR message"))?)),
        "TOP" => top(trimmed),
        "DELE" => Ok(Command::Dele(msg(trimmed).ok_or(SyntaxError::Arguments("DELE message"))?)),
        "NOOP" => bare(trimmed, Command::Noop, "NOOP"),
        "RSET" => bare(trimmed, Command::Rset, "RSET"),
        "QUIT" => bare(trimmed, Command::Quit, "QUIT"),
        "CAPA" => bare(trimmed, Command::Capa, "CAPA"),
        "STLS" => bare(trimmed, Command::Stls, "STLS"),
        _ => Err(SyntaxError::Unrecognized),
    }
}

/// ```abnf
/// user = "USER" SP name
/// name = 1*VCHAR
/// ```
fn user(name: &str) -> Result<Command<'_>, SyntaxError> {
    if name.is_empty() || name.contains(' ') {
        return Err(SyntaxError::Arguments("USER name"));
    }
    Ok(Command::User(name))
}

/// ```abnf
/// pass     = "PASS" SP password
/// password = 1*(VCHAR / SP)    ; its blanks are its own: RFC 1939 §7
/// ```
fn pass(password: &str) -> Result<Command<'_>, SyntaxError> {
    if password.is_empty() {
        return Err(SyntaxError::Arguments("PASS password"));
    }
    Ok(Command::Pass(password))
}

/// ```abnf
/// top = "TOP" SP msg SP n
/// n   = 1*DIGIT
/// ```
fn top(arguments: &str) -> Result<Command<'_>, SyntaxError> {
    let (message, lines) = arguments.split_once(' ').unwrap_or((arguments, ""));
    match (msg(message), msg(lines.trim_start_matches(' '))) {
        (Some(message), Some(lines)) => Ok(Command::Top(message, lines)),
        _ => Err(SyntaxError::Arguments("TOP message lines")),
    }
}

/// `[SP msg]`
fn optional_msg(argument: &str, form: &'static str) -> Result<Option<u64>, SyntaxError> {
    match argument {
        "" => Ok(None),
        argument => msg(argument).map(Some).ok_or(SyntaxError::Arguments(form)),
    }
}

/// ```abnf
/// msg = 1*DIGIT
/// ```
///
/// What does not fit 64 bits is the largest number that does, which no message has.
fn msg(argument: &str) -> Option<u64> {
    if argument.is_empty() || !argument.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    Some(argument.parse().unwrap_or(u64::MAX))
}

/// A command that has no arguments.
fn bare<'a>(arguments: &str, command: Command<'a>, form: &'static str) -> Result<Command<'a>, SyntaxError> {
    if arguments.is_empty() { Ok(command) } else { Err(SyntaxError::Arguments(form)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_grammar_says() {
        for (line, expected) in [
            ("USER u@example.org", Ok(Command::User("u@example.org"))),
            ("user  u@example.org ", Ok(Command::User("u@example.org"))),
            ("USER", Err(SyntaxError::Arguments("USER name"))),
            ("USER two words", Err(SyntaxError::Arguments("USER name"))),
            ("PASS correct horse ", Ok(Command::Pass("correct horse "))),
            ("pass  ", Ok(Command::Pass(" "))),
            ("PASS pässword", Ok(Command::Pass("pässword"))),
            ("PASS", Err(SyntaxError::Arguments("PASS password"))),
            ("PASS ", Err(SyntaxError::Arguments("PASS password"))),
            ("PASS a\tb", Err(SyntaxError::InvalidCharacter)),
            ("STAT ", Ok(Command::Stat)),
            ("STAT 1", Err(SyntaxError::Arguments("STAT"))),
            ("LIST", Ok(Command::List(None))),
            ("List 0002", Ok(Command::List(Some(2)))),
            ("LIST -1", Err(SyntaxError::Arguments("LIST [message]"))),
            ("UIDL +1", Err(SyntaxError::Arguments("UIDL [message]"))),
            ("RETR 99999999999999999999", Ok(Command::Retr(u64::MAX))),
            ("RETR", Err(SyntaxError::Arguments("RETR message"))),
            ("RETR 1 2", Err(SyntaxError::Arguments("RETR message"))),
            ("TOP 1 0", Ok(Command::Top(1, 0))),
            ("TOP 1  10", Ok(Command::Top(1, 10))),
            ("TOP 1", Err(SyntaxError::Arguments("TOP message lines"))),
            ("TOP 1 2 3", Err(SyntaxError::Arguments("TOP message lines"))),
            ("NOOP", Ok(Command::Noop)),
            ("stls", Ok(Command::Stls)),
            ("STLS now", Err(SyntaxError::Arguments("STLS"))),
            ("", Err(SyntaxError::Unrecognized)),
            (" NOOP", Err(SyntaxError::Unrecognized)),
            ("APOP a b", Err(SyntaxError::Unrecognized)),
            ("NOOPé", Err(SyntaxError::InvalidCharacter)),
        ] {
            assert_eq!(command(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(command(b"PASS \xff"), Err(SyntaxError::InvalidCharacter));
    }
}
