//! The parameters of MAIL and RCPT, as far as the server offers what they belong to, and what a message cannot do without.

use super::{Envelope, Extensions, Needed, Recipient};
use crate::model::{BodyType, options::Ret, xtext};

/// What the server would have to offer, and does not.
pub(super) fn lacks(envelope: &Envelope, offered: &Extensions, is_encrypted: bool) -> Option<Needed> {
    let (body, needs_tls) = (envelope.options.body, envelope.options.require_tls);
    if needs_tls && !(is_encrypted && offered.require_tls) {
        Some(Needed::RequireTls)
    } else if envelope.is_international() && !offered.smtputf8 {
        Some(Needed::Smtputf8)
    } else if body == BodyType::BinaryMime && !(offered.binary_mime && offered.chunking) {
        Some(Needed::BinaryMime)
    } else if body == BodyType::EightBitMime && !offered.eight_bit_mime {
        Some(Needed::EightBitMime)
    } else {
        None
    }
}

/// `*( SP esmtp-param )` for MAIL (RFC 5321 §4.1.1.2).
pub(super) fn of_mail(envelope: &Envelope, offered: &Extensions) -> String {
    let Envelope { options, size, now, .. } = envelope;
    let mut line = String::new();
    if offered.size {
        line += &format!(" SIZE={size}");
    }
    match options.body {
        BodyType::SevenBit => {}
        BodyType::EightBitMime => line += " BODY=8BITMIME",
        BodyType::BinaryMime => line += " BODY=BINARYMIME",
    }
    if envelope.is_international() {
        line += " SMTPUTF8";
    }
    if options.require_tls {
        line += " REQUIRETLS";
    }
    if offered.dsn {
        line += match options.ret {
            Some(Ret::Full) => " RET=FULL",
            Some(Ret::Headers) => " RET=HDRS",
            None => "",
        };
        if let Some(envid) = &options.envid {
            line += &format!(" ENVID={}", xtext::encode(envid));
        }
    }
    if let (Some(by), Some(_)) = (&options.deliver_by, offered.deliver_by) {
        // What is late already may only be told so with `N` (RFC 2852 §4); such a message is not handed over with `R`.
        let (left, late) = (by.at.since(*now).as_secs(), now.since(by.at).as_secs());
        let sign = if late > 0 { "-" } else { "" };
        let mode = if by.is_return { "R" } else { "N" };
        let trace = if by.is_traced { "T" } else { "" };
        line += &format!(" BY={sign}{};{mode}{trace}", left.max(late).min(LONGEST_BY));
    }
    if offered.priority && options.priority != 0 {
        line += &format!(" MT-PRIORITY={}", options.priority);
    }
    line
}

/// `by-time = ["-" / "+"] 1*9digit` (RFC 2852 §4).
const LONGEST_BY: u64 = 999_999_999;

/// `*( SP esmtp-param )` for RCPT (RFC 5321 §4.1.1.3).
pub(super) fn of_recipient(recipient: &Recipient, offered: &Extensions) -> String {
    let mut line = String::new();
    if !offered.dsn {
        return line;
    }
    if let Some(notify) = &recipient.options.notify {
        line += &format!(" NOTIFY={notify}");
    }
    if let Some(original) = &recipient.options.original {
        let address = match original.is_utf8() {
            true => xtext::encode_utf8_address(&original.address),
            false => xtext::encode(&original.address),
        };
        line += &format!(" ORCPT={};{address}", original.kind);
    }
    line
}
