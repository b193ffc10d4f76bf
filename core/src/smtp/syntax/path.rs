//! Paths (RFC 5321 §4.1.2).

use super::SyntaxError;
use crate::model::{Address, AddressError, Domain, ForwardPath, ReversePath};

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

/// `Reverse-path = Path / "<>"` (RFC 5321 §4.1.2), without its brackets.
pub(super) fn reverse_path(inside: &str) -> Result<ReversePath, SyntaxError> {
    match inside {
        "" => Ok(ReversePath::Null),
        mailbox => match Address::parse_utf8(mailbox) {
            Ok(address) => Ok(ReversePath::Address(address)),
            Err(error) => Err(SyntaxError::ReversePath(error.into())),
        },
    }
}

/// `"<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path` (RFC 5321 §4.1.1.3), without its brackets.
pub(super) fn forward_path(inside: &str) -> Result<ForwardPath, SyntaxError> {
    if inside.eq_ignore_ascii_case("postmaster") {
        return Ok(ForwardPath::Postmaster);
    }
    match Address::parse_utf8(inside) {
        Ok(address) => Ok(ForwardPath::Address(address)),
        Err(error) => Err(SyntaxError::ForwardPath(error.into())),
    }
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"` (RFC 5321 §4.1.2). Gives what stands for `Mailbox`, perhaps nothing, and what
/// follows the path. A source route is accepted and ignored (RFC 5321 §4.1.1.3, Appendix C).
pub(super) fn path(text: &str) -> Result<(&str, &str), PathError> {
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
