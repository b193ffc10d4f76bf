//! The Authentication-Results field: what all methods came to, for whoever reads the message later (RFC 8601 §2.2).

#[cfg(test)]
mod tests;

use super::arc::ArcReport;
use super::dkim::{DkimReport, Verified};
use super::property::{behind_comment, comment, pvalue};
use crate::model::Domain;
use crate::model::message::without_fields;
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

/// Whether results that somebody else wrote say this of a method, and nothing else of it: `has_result(results, "dmarc", "pass")`. What they
/// quote, and what stands in comments, may come from whoever sent the message.
pub fn has_result(results: &str, method: &str, result: &str) -> bool {
    let bare = bare(results);
    let parts = bare.split(';').skip(1).filter_map(|part| part.split_once('='));
    let mut found = parts
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case(method))
        .map(|(_, value)| value.trim_start().split(|c: char| c.is_ascii_whitespace()).next());
    let is_result = |word: Option<&str>| word.is_some_and(|word| word.eq_ignore_ascii_case(result));
    found.next().is_some_and(is_result) && found.all(is_result)
}

/// Text with a blank in place of each comment and an empty string in place of each quoted string (RFC 5322 §3.2.2, §3.2.4). What follows a
/// quote or a parenthesis that nothing closes is left out.
fn bare(text: &str) -> String {
    let (mut bare, mut depth, mut is_quoted) = (String::new(), 0_usize, false);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if is_quoted || depth > 0 => drop(rest.next()),
            '"' if depth == 0 => {
                is_quoted = !is_quoted;
                bare.push('"');
            }
            _ if is_quoted => {}
            '(' => {
                depth += 1;
                bare.push(' ');
            }
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            other => bare.push(other),
        }
    }
    bare
}

/// A header block without the fields in which somebody else speaks in our name (RFC 8601 §5).
pub fn without_forged(header: &[u8], authserv_id: &Domain) -> Vec<u8> {
    without_fields(header, |field| {
        field.name.trim_ascii_end().eq_ignore_ascii_case(NAME.as_bytes())
            && [true, false]
                .into_iter()
                .any(|may_part| speaker(field.body, may_part).as_ref() == Some(authserv_id))
    })
}

/// `authserv-id`, the first word of a field's body, as whoever believes it may read it: whatever is no part of a word stands for nothing before
/// it and ends it, backslashes are passed over, and a quote or a comment within it either parts it or does not. Nothing where it is no domain.
fn speaker(body: &[u8], may_part: bool) -> Option<Domain> {
    let (mut word, mut may_close) = (Vec::new(), true);
    let mut rest = body;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'(' if may_close => match behind_comment(rest) {
                Some(_) if may_part && !word.is_empty() => break,
                Some(behind) => rest = behind,
                // Nor is any of those closed that follow, or it is within this one: looking again would only take long.
                None => may_close = false,
            },
            b'"' if may_part && !word.is_empty() => break,
            b'"' | b'\\' => {}
            b';' => break,
            _ if is_of_token(*octet) => word.push(*octet),
            _ if word.is_empty() => {}
            _ => break,
        }
    }
    Domain::parse_utf8(str::from_utf8(&word).ok()?).ok()
}

/// `token` (RFC 2045 §5.1), and what is beyond ASCII.
fn is_of_token(octet: u8) -> bool {
    !matches!(octet, 0..=b' ' | 0x7f) && !b"()<>@,;:\\\"/[]?=".contains(&octet)
}
