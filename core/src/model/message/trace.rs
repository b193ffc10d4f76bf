//! Trace fields (RFC 5321 §4.4).

use std::net::IpAddr;

use crate::model::{Address, Domain, QueueId, ReversePath, UtcTime};

/// What one `Received:` field says. Fields that it would reveal a blind recipient with are left out: `for` appears only
/// when there is exactly one recipient (RFC 5321 §7.2).
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// What the client called itself in HELO or EHLO; absent for local origin.
    pub helo: Option<&'a str>,
    /// Where the client connected from.
    pub peer: Option<IpAddr>,
    /// This host.
    pub by: &'a Domain,
    /// `SMTP`, `ESMTP`, `ESMTPS`, `ESMTPA`, `LMTP` ... (RFC 3848 §1).
    pub with: Option<&'a str>,
    /// The cipher suite, where it came encrypted (RFC 8314 §4.3).
    pub cipher: Option<&'a str>,
    /// The message.
    pub id: QueueId,
    /// The only recipient.
    pub only_recipient: Option<&'a Address>,
    /// When it was accepted.
    pub at: UtcTime,
}

impl Received<'_> {
    /// The field, folded, with its final CRLF (RFC 5321 §4.4, `Time-stamp-line`).
    pub fn to_field(&self) -> String {
        let mut field = String::from("Received: ");
        if let Some(helo) = self.helo {
            field.push_str(&format!("from {}", printable(helo)));
            if let Some(peer) = self.peer {
                field.push_str(&format!(" ({})", address_literal(peer)));
            }
            field.push_str("\r\n\t");
        }
        field.push_str(&format!("by {}", self.by));
        if let Some(with) = self.with {
            field.push_str(&format!(" with {with}"));
        }
        field.push_str(&format!(" id {}", self.id));
        if let Some(recipient) = self.only_recipient {
            field.push_str(&format!("\r\n\tfor <{recipient}>"));
        }
        if let Some(cipher) = self.cipher {
            field.push_str(&format!("\r\n\ttls {cipher}"));
        }
        field.push_str(&format!(";\r\n\t{}\r\n", self.at.to_rfc5322()));
        field
    }
}

/// `Return-Path: <...>`, which the final delivery puts first (RFC 5321 §4.4).
pub fn return_path_field(reverse_path: &ReversePath) -> String {
    format!("Return-Path: <{reverse_path}>\r\n")
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
fn address_literal(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// A HELO name is whatever the client sent: it must not end the field or open a comment.
fn printable(helo: &str) -> String {
    helo.chars()
        .take(255)
        .map(|c| if c.is_ascii_graphic() && !"()<>;\\\"".contains(c) { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_received_field_is_folded_and_survives_a_hostile_helo() {
        let by = Domain::parse("mx.example.org").unwrap();
        let to = Address::parse("u@example.org").unwrap();
        let received = Received {
            helo: Some("evil)\r\nX: 1"),
            peer: Some("::ffff:192.0.2.1".parse().unwrap()),
            by: &by,
            with: Some("ESMTPS"),
            cipher: Some("TLS_AES_128_GCM_SHA256"),
            id: QueueId::draw(UtcTime(0), [0; 10]),
            only_recipient: Some(&to),
            at: UtcTime(0),
        };
        assert_eq!(
            received.to_field(),
            "Received: from evil???X:?1 ([192.0.2.1])\r\n\tby mx.example.org with ESMTPS id \
             00000000000000000000000000\r\n\tfor <u@example.org>\r\n\ttls TLS_AES_128_GCM_SHA256;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"
        );
    }
}
