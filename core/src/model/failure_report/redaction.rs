//! What of a header block the owner of a domain may read of mail that is not his (RFC 6590 §3, RFC 9991 §7.1).
//!
//! Which fields say what is a closed list: the trace, who it is from, and what others found and signed. Of all others the body is replaced as a whole,
//! Subject first; of addresses the local-part, unless they are of the owner's domain. What is equal becomes equal, so that messages of one campaign can be
//! seen to belong together; and without the secret nobody can tell what it was, nor try.

use ring::hmac::{self, HMAC_SHA256};

use crate::model::message::{fields, parse_address_list};
use crate::model::{Address, Domain};

/// Octets of a token: enough for unlike things to stay unlike.
const TOKEN_OCTETS: usize = 10;
/// Fields whose addresses are replaced and nothing else.
const LEGIBLE: [&str; 19] = [
    "arc-authentication-results",
    "arc-message-signature",
    "arc-seal",
    "authentication-results",
    "auto-submitted",
    "date",
    "dkim-signature",
    "from",
    "list-id",
    "mime-version",
    "precedence",
    "received",
    "received-spf",
    "reply-to",
    "resent-date",
    "resent-from",
    "resent-sender",
    "return-path",
    "sender",
];
/// Fields that list people, of whom the addresses are left and no names.
const LISTS: [&str; 6] = ["to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"];
/// By this the owner finds the message again. It is nobody's address, though it looks like one.
const IDENTITY: &str = "message-id";
/// What may stand before an address and is no part of it (RFC 8601 §2.7, RFC 7208 §9.1, RFC 6376 §3.5).
const PROPERTIES: [&str; 8] = [
    "smtp.mailfrom=",
    "smtp.rcptto=",
    "smtp.auth=",
    "header.from=",
    "header.sender=",
    "header.i=",
    "envelope-from=",
    "i=",
];

/// Replaces what is nobody else's business.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: hmac::Key,
}

impl Redactor {
    /// One with this secret, of any length.
    pub fn new(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(HMAC_SHA256, secret) }
    }

    /// The fields of a header block as the owner of `owner` may read them, in lines that end with CRLF. What is no UTF-8 is replaced.
    pub fn header(&self, header: &[u8], owner: &Domain) -> Vec<u8> {
        let mut redacted = Vec::new();
        for field in fields(header) {
            let name = field.name.to_ascii_lowercase();
            let body = String::from_utf8_lossy(field.body);
            let body = body.trim_end_matches(['\r', '\n']);
            let is = |known: &str| known.as_bytes() == name;
            let body = match () {
                () if is(IDENTITY) => body.to_owned(),
                () if LISTS.iter().any(|list| is(list)) => self.list(body, owner),
                () if is("dkim-signature") => self.addresses(&self.without_copies(body), owner),
                () if LEGIBLE.iter().any(|legible| is(legible)) => self.addresses(body, owner),
                () => format!(" {}", self.token(body.trim())),
            };
            redacted.extend_from_slice(field.name);
            redacted.extend_from_slice(format!(":{body}\r\n").as_bytes());
        }
        redacted
    }

    /// Text in which the local-part of every address is replaced that is not of the owner's domain, or of one below.
    pub(super) fn addresses(&self, text: &str, owner: &Domain) -> String {
        let mut redacted = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('@') {
            let (kept, local_part) = before.split_at(local_part_start(before));
            let (domain, others) = after.split_at(domain_len(after));
            let is_legible = local_part.trim().is_empty() || is_within(domain, owner);
            redacted.push_str(kept);
            match is_legible {
                true => redacted.push_str(local_part),
                false => redacted.push_str(&self.local_part(local_part, domain)),
            }
            redacted.push('@');
            redacted.push_str(domain);
            rest = others;
        }
        redacted.push_str(rest);
        redacted
    }

    /// The addresses of a list, one a line.
    fn list(&self, body: &str, owner: &Domain) -> String {
        match parse_address_list(body.as_bytes()) {
            Ok(found) if !found.is_empty() => {
                let shown = |address: &Address| match is_within(address.domain().as_str(), owner) {
                    true => format!(" {address}"),
                    false => {
                        let domain = address.domain().as_str();
                        format!(" {}@{domain}", self.local_part(address.local_part(), domain))
                    }
                };
                found.iter().map(shown).collect::<Vec<_>>().join(",\r\n")
            }
            _ => format!(" {}", self.token(body.trim())),
        }
    }

    /// A signature without the fields that its signer has copied into `z=` (RFC 6376 §3.5).
    fn without_copies(&self, body: &str) -> String {
        let without = |tag: &str| match tag.split_once('=') {
            Some((name, copies)) if name.trim().eq_ignore_ascii_case("z") => {
                format!("{name}={}", self.token(copies))
            }
            _ => tag.to_owned(),
        };
        body.split(';').map(without).collect::<Vec<_>>().join(";")
    }

    fn local_part(&self, local_part: &str, domain: &str) -> String {
        self.token(&format!("{}@{domain}", local_part.trim().trim_matches('"')))
    }

    /// What stands for a text, whatever the case of its letters.
    fn token(&self, text: &str) -> String {
        let tag = hmac::sign(&self.key, text.to_lowercase().as_bytes());
        tag.as_ref()[..TOKEN_OCTETS].iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// Where the local-part begins at the end of a text that an `@` follows. Where that cannot be told all of it counts as one.
fn local_part_start(before: &str) -> usize {
    let word = before.trim_end();
    let is_delimiter = |c: char| c.is_whitespace() || c.is_control() || "<>()[]:;,\"\\".contains(c);
    let start = |text: &str| {
        text.rfind(is_delimiter).map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8))
    };
    if word.ends_with(')') {
        // A comment within an address (RFC 5322 §4.4).
        return 0;
    }
    if let Some(mut quoted) = word.strip_suffix('"') {
        while let Some((earlier, _)) = quoted.rsplit_once('"') {
            if !earlier.ends_with('\\') {
                return start(earlier);
            }
            quoted = earlier;
        }
        return 0;
    }
    let start = start(word);
    let property = PROPERTIES.iter().find(|property| {
        word[start..].get(..property.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(property))
    });
    start + property.map_or(0, |property| property.len())
}

/// Octets of the domain, or the address literal, at the beginning of a text.
fn domain_len(after: &str) -> usize {
    if let Some(literal) = after.strip_prefix('[') {
        let is_of_literal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-');
        let len = literal.find(|c: char| !is_of_literal(c)).unwrap_or(literal.len());
        return if literal[len..].starts_with(']') { len + 2 } else { 0 };
    }
    let is_of_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || !c.is_ascii();
    after.find(|c: char| !is_of_domain(c)).unwrap_or(after.len())
}

fn is_within(domain: &str, owner: &Domain) -> bool {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let above = domain.strip_suffix(owner.as_str());
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}
