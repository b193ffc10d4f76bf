//! The envelope of a message that comes with none, out of its header (RFC 5322 §3.6).

use crate::model::message::{AddressListError, Field, fields, parse_address_list};
use crate::model::{Address, ReversePath};

/// Names the reverse-path; once at most. Empty or `<>` is the null one.
const FROM: &str = "X-Fulmar-From";
/// Names forward-paths; any number of them.
const TO: &str = "X-Fulmar-To";
/// Fields of one block of resending, each at most once (RFC 5322 §3.6.6).
const RESENT: &str = "Resent-";

/// What a header says about where its message comes from and goes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) reverse_path: ReversePath,
    /// In the order of the header, each once; never empty.
    pub(super) forward_paths: Vec<Address>,
    /// The header block without the fields that are not for recipients.
    pub(super) header: Vec<u8>,
}

/// Why there is no envelope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvelopeError {
    #[error("it names no recipient")]
    NoRecipient,
    #[error("it names no sender")]
    NoSender,
    #[error("{0}: more than one address, or more than one field")]
    Many(&'static str),
    #[error("{0}: {1}")]
    Unreadable(String, AddressListError),
}

/// Reads the envelope out of a header block: `X-Fulmar-From` and `X-Fulmar-To` where they are there, each for itself; else the latest
/// block of `Resent-` fields; else Sender or From, and To, Cc and Bcc.
pub(super) fn read(header: &[u8]) -> Result<Envelope, EnvelopeError> {
    let all: Vec<Field<'_>> = fields(header).collect();
    let resent = latest_resent(&all);
    let (prefix, described) = if resent.is_empty() { ("", &all[..]) } else { (RESENT, resent) };
    let reverse_path = match stated_reverse_path(&all)? {
        Some(stated) => stated,
        None => ReversePath::Address(author(prefix, described)?),
    };
    let stated = addresses(&all, "", &[TO])?;
    let mut forward_paths = match stated.is_empty() {
        true => addresses(described, prefix, &["To", "Cc", "Bcc"])?,
        false => stated,
    };
    let mut seen = std::collections::BTreeSet::new();
    forward_paths.retain(|address| seen.insert(address.clone()));
    if forward_paths.is_empty() {
        return Err(EnvelopeError::NoRecipient);
    }
    Ok(Envelope { reverse_path, forward_paths, header: without_secrets(header, &all) })
}

/// The block of `Resent-` fields that was put in front last: the uppermost ones that stand side by side, up to one that repeats.
fn latest_resent<'a, 'b>(all: &'b [Field<'a>]) -> &'b [Field<'a>] {
    let is_resent = |field: &Field<'_>| {
        field.name.get(..RESENT.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESENT.as_bytes()))
    };
    let Some(first) = all.iter().position(is_resent) else { return &[] };
    let mut names: Vec<Vec<u8>> = Vec::new();
    let block = all[first..].iter().take_while(|field| {
        let name = field.name.to_ascii_lowercase();
        let is_part = is_resent(field) && !names.contains(&name);
        names.push(name);
        is_part
    });
    let len = block.count();
    &all[first..first + len]
}

fn stated_reverse_path(all: &[Field<'_>]) -> Result<Option<ReversePath>, EnvelopeError> {
    let mut stated = all.iter().filter(|field| is(field, "", FROM));
    let Some(field) = stated.next() else { return Ok(None) };
    if stated.next().is_some() {
        return Err(EnvelopeError::Many(FROM));
    }
    if matches!(field.body.trim_ascii(), b"" | b"<>") {
        return Ok(Some(ReversePath::Null));
    }
    match &list(field)?[..] {
        [only] => Ok(Some(ReversePath::Address(only.clone()))),
        _ => Err(EnvelopeError::Many(FROM)),
    }
}

/// Who is answerable for the message: Sender, else the first address of From (RFC 5322 §3.6.2).
fn author(prefix: &str, described: &[Field<'_>]) -> Result<Address, EnvelopeError> {
    for name in ["Sender", "From"] {
        if let Some(address) = addresses(described, prefix, &[name])?.into_iter().next() {
            return Ok(address);
        }
    }
    Err(EnvelopeError::NoSender)
}

/// All addresses in fields of these names.
fn addresses(described: &[Field<'_>], prefix: &str, names: &[&str]) -> Result<Vec<Address>, EnvelopeError> {
    let mut found = Vec::new();
    for field in described.iter().filter(|field| names.iter().any(|name| is(field, prefix, name))) {
        found.extend(list(field)?);
    }
    Ok(found)
}

fn list(field: &Field<'_>) -> Result<Vec<Address>, EnvelopeError> {
    parse_address_list(field.body)
        .map_err(|error| EnvelopeError::Unreadable(String::from_utf8_lossy(field.name).into_owned(), error))
}

/// Whether a field's name is `prefix` and `name`, in any case.
fn is(field: &Field<'_>, prefix: &str, name: &str) -> bool {
    let (start, end) = field.name.split_at(prefix.len().min(field.name.len()));
    start.eq_ignore_ascii_case(prefix.as_bytes()) && end.eq_ignore_ascii_case(name.as_bytes())
}

/// Our own fields are for us, and who gets a blind copy is nobody's business (RFC 5322 §3.6.3).
fn without_secrets(header: &[u8], all: &[Field<'_>]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(header.len());
    let is_secret = |field: &Field<'_>| {
        [FROM, TO, "Bcc"].iter().any(|name| is(field, "", name)) || is(field, RESENT, "Bcc")
    };
    for field in all.iter().filter(|field| !is_secret(field)) {
        kept.extend_from_slice(field.octets);
    }
    let fields: usize = all.iter().map(|field| field.octets.len()).sum();
    kept.extend_from_slice(&header[fields..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reverse-path, forward-paths and the header that is sent, with LF for CRLF.
    fn check(header: &str, reverse_path: &str, forward_paths: &[&str], sent: &str) {
        let found = read(header.replace('\n', "\r\n").as_bytes()).unwrap_or_else(|e| panic!("{header}: {e}"));
        let forward: Vec<String> = found.forward_paths.iter().map(ToString::to_string).collect();
        assert_eq!(
            (found.reverse_path.to_string().as_str(), &forward[..]),
            (reverse_path, &forward_paths.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{header}"
        );
        assert_eq!(String::from_utf8(found.header).unwrap(), sent.replace('\n', "\r\n"), "{header}");
    }

    #[test]
    fn our_own_fields_go_before_the_header_and_are_not_sent() {
        check(
            "X-Fulmar-From: <bounces@x.test>\nFrom: a@x.test\nx-fulmar-to: b@y.test,\n c@z.test\nTo: list@x.test\nX-FULMAR-TO: b@y.test\nBcc: d@x.test\n\n",
            "bounces@x.test",
            &["b@y.test", "c@z.test"],
            "From: a@x.test\nTo: list@x.test\n\n",
        );
        check(
            "X-Fulmar-From:\nFrom: a@x.test\nTo: b@y.test\n",
            "",
            &["b@y.test"],
            "From: a@x.test\nTo: b@y.test\n",
        );
        check("X-Fulmar-From: <>\nX-Fulmar-To: b@y.test\n\n", "", &["b@y.test"], "\n");
    }

    #[test]
    fn without_them_the_header_is_the_envelope_but_for_blind_copies() {
        check(
            "From: Ann <a@x.test>, b@x.test\nSender: s@x.test\nTo: c@y.test\nCC: c@y.test, d@y.test\nBcc: e@y.test\n\n",
            "s@x.test",
            &["c@y.test", "d@y.test", "e@y.test"],
            "From: Ann <a@x.test>, b@x.test\nSender: s@x.test\nTo: c@y.test\nCC: c@y.test, d@y.test\n\n",
        );
        check("From: a@x.test\nBcc: e@y.test\n\n", "a@x.test", &["e@y.test"], "From: a@x.test\n\n");
    }

    #[test]
    fn of_a_message_that_was_resent_only_the_latest_resending_counts() {
        check(
            "Received: by y\nResent-From: r@x.test\nResent-To: n@y.test\nResent-Bcc: o@y.test\n\
             Resent-From: old@x.test\nResent-To: older@y.test\nFrom: a@x.test\nTo: b@y.test\n\n",
            "r@x.test",
            &["n@y.test", "o@y.test"],
            "Received: by y\nResent-From: r@x.test\nResent-To: n@y.test\n\
             Resent-From: old@x.test\nResent-To: older@y.test\nFrom: a@x.test\nTo: b@y.test\n\n",
        );
        check(
            "Resent-Sender: s@x.test\nResent-From: r@x.test\nResent-Cc: n@y.test\nReceived: by y\nResent-To: m@y.test\nTo: b@y.test\n\n",
            "s@x.test",
            &["n@y.test"],
            "Resent-Sender: s@x.test\nResent-From: r@x.test\nResent-Cc: n@y.test\nReceived: by y\nResent-To: m@y.test\nTo: b@y.test\n\n",
        );
    }

    #[test]
    fn a_header_that_says_too_little_or_nonsense_is_no_envelope() {
        for (header, reason) in [
            ("Subject: x\r\n\r\n", "no sender"),
            ("From: a@x.test\r\n\r\n", "no recipient"),
            ("From: a@x.test\r\nTo: undisclosed:;\r\n\r\n", "no recipient"),
            ("To: b@y.test\r\nFrom: nobody\r\n\r\n", "From: \"nobody\""),
            ("From: a@x.test\r\nTo: b@y.test\r\nCc: c\r\n\r\n", "Cc: \"c\""),
            ("X-Fulmar-From: a@x.test\r\nX-Fulmar-From: b@x.test\r\nTo: b@y.test\r\n", "X-Fulmar-From: more"),
            ("X-Fulmar-From: a@x.test, b@x.test\r\nTo: b@y.test\r\n", "X-Fulmar-From: more"),
            ("X-Fulmar-From: a@x.test\r\nX-Fulmar-To: b@\r\nTo: b@y.test\r\n", "X-Fulmar-To: "),
            ("Resent-From: a@x.test\r\nTo: b@y.test\r\nFrom: c@x.test\r\n", "no recipient"),
            ("", "no sender"),
        ] {
            let error = read(header.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{header}: {error}");
        }
    }
}
