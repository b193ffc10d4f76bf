//! The Authentication-Results field: what all methods came to, for whoever reads the message later (RFC 8601 §2.2).

#[cfg(test)]
mod tests;

use super::arc::ArcReport;
use super::dkim::{DkimReport, Verified};
use super::property::{comment, pvalue};
use crate::model::Domain;
use crate::model::message::fields;
use crate::model::verdict::DkimResult;

/// The name of the field.
const NAME: &str = "Authentication-Results";

/// The field, folded, with its final CRLF: one line for each method's part.
pub fn to_field(authserv_id: &Domain, methods: &[String]) -> String {
    format!("{NAME}: {}\r\n", to_body(authserv_id, methods))
}

/// What stands behind the field's name, and in the field of an ARC set.
pub fn to_body(authserv_id: &Domain, methods: &[String]) -> String {
    let none = [String::from("none")];
    let parts = if methods.is_empty() { &none } else { methods };
    let mut body = pvalue(authserv_id.as_str());
    for part in parts {
        body.push_str(";\r\n\t");
        body.push_str(part);
    }
    body
}

/// The parts of DKIM, one for each signature that was looked at (RFC 8601 §2.7.1).
pub fn dkim_methods(report: &DkimReport) -> Vec<String> {
    if report.signatures.is_empty() {
        return vec![format!("dkim={}", DkimResult::None)];
    }
    report.signatures.iter().map(dkim_method).collect()
}

fn dkim_method(verified: &Verified) -> String {
    let mut method = format!("dkim={}", verified.result);
    if let Some(flaw) = &verified.flaw {
        method.push_str(&format!(" ({})", comment(&flaw.to_string())));
    }
    if verified.unsigned_octets > 0 {
        method.push_str(&format!(" ({} octets of the body are not signed)", verified.unsigned_octets));
    }
    if verified.is_testing {
        method.push_str(" (the key is being tested)");
    }
    if let Some(claim) = &verified.claim {
        let properties = [
            ("d", Some(claim.domain.as_str())),
            ("i", claim.identity.as_deref()),
            ("s", Some(claim.selector.as_str())),
            ("a", Some(claim.algorithm.as_str())),
            ("b", Some(claim.b.as_str())),
        ];
        for (tag, value) in properties {
            if let Some(value) = value {
                method.push_str(&format!(" header.{tag}={}", pvalue(value)));
            }
        }
    }
    method
}

/// The part of ARC (RFC 8617 §10.1).
pub fn arc_method(report: &ArcReport) -> String {
    let mut method = format!("arc={}", report.result);
    if let Some(flaw) = &report.flaw {
        method.push_str(&format!(" ({})", comment(&flaw.to_string())));
    }
    if let Some(newest) = report.sets.last() {
        let domain = pvalue(newest.domain.as_str());
        method.push_str(&format!(" (i={} sealed by {domain})", report.sets.len()));
    }
    method
}

/// Whether results that somebody else wrote say this of a method: `has_result(results, "dmarc", "pass")`.
pub fn has_result(results: &str, method: &str, result: &str) -> bool {
    let wanted = format!("{method}={result}");
    results.split(';').skip(1).any(|part| {
        let word = part.trim_start().split(|c: char| c.is_ascii_whitespace() || c == '(').next();
        word.is_some_and(|word| word.eq_ignore_ascii_case(&wanted))
    })
}

/// A header block without the fields in which somebody else speaks in our name (RFC 8601 §5).
pub fn without_forged(header: &[u8], authserv_id: &Domain) -> Vec<u8> {
    let mut kept = Vec::with_capacity(header.len());
    let mut rest = header;
    for field in fields(header) {
        let is_ours = field.name.trim_ascii_end().eq_ignore_ascii_case(NAME.as_bytes())
            && speaker(field.body).eq_ignore_ascii_case(authserv_id.as_str());
        if !is_ours {
            kept.extend_from_slice(field.octets);
        }
        rest = &rest[field.octets.len()..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// `authserv-id`, the first word of a field's body, without comments, blanks and quotes.
fn speaker(body: &[u8]) -> String {
    let (mut name, mut depth, mut is_quoted, mut is_escaped) = (String::new(), 0_usize, false, false);
    for octet in body.iter().copied() {
        match octet {
            _ if is_escaped => {
                is_escaped = false;
                if depth == 0 {
                    name.push(char::from(octet));
                }
            }
            b'\\' if is_quoted || depth > 0 => is_escaped = true,
            b'"' if depth == 0 => is_quoted = !is_quoted,
            b'(' if !is_quoted => depth += 1,
            b')' if !is_quoted && depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            b';' if !is_quoted => break,
            _ if octet.is_ascii_whitespace() && !is_quoted => {
                if !name.is_empty() {
                    break;
                }
            }
            _ => name.push(char::from(octet)),
        }
    }
    name
}
