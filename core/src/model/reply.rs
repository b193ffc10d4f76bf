//! SMTP replies (RFC 5321 §4.2) with enhanced status codes (RFC 3463, RFC 2034).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Octets in one reply line with its CRLF (RFC 5321 §4.5.3.1.5).
pub const REPLY_LINE_LIMIT: usize = 512;

/// `class.subject.detail` (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnhancedStatus(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What a reply's first digit promises (RFC 5321 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// 2yz and 3yz
    Positive,
    /// 4yz: the same may be tried later
    Transient,
    /// 5yz: the same will fail again
    Permanent,
}

/// A reply: a code, perhaps an enhanced status, and text of one or more lines separated by `\n`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// Absent in greetings, EHLO answers and 3yz replies (RFC 2034 §4).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enhanced_status: Option<EnhancedStatus>,
    /// Printable text; what is not printable goes to the wire as `?`.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced status, whose class must be the code's first digit (RFC 2034 §4).
    pub fn new(
        code: u16,
        (class, subject, detail): (u8, u16, u16),
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        debug_assert_eq!(code / 100, u16::from(class), "class of the enhanced status");
        Self { code, enhanced_status: Some(EnhancedStatus(class, subject, detail)), text: text.into() }
    }

    /// A reply that carries no enhanced status.
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced_status: None, text: text.into() }
    }

    /// What the first digit promises.
    pub fn severity(&self) -> Severity {
        match self.code / 100 {
            2 | 3 => Severity::Positive,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    /// Appends the reply as it goes on the wire, each line with its CRLF and within 512 octets.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let start = out.len();
            let mark = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{:03}{mark}", self.code).as_bytes());
            if let Some(status) = self.enhanced_status {
                out.extend_from_slice(format!("{status} ").as_bytes());
            }
            let room = REPLY_LINE_LIMIT - 2 - (out.len() - start);
            out.extend(line.bytes().take(room).map(|b| if (b' '..=b'~').contains(&b) { b } else { b'?' }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// On one line, as logs and queue listings show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} ", self.code)?;
        if let Some(status) = self.enhanced_status {
            write!(f, "{status} ")?;
        }
        write!(f, "{}", self.text.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_carries_code_and_status() {
        let reply = Reply::new(550, (5, 1, 1), "no such user\nask postmaster");
        assert_eq!(wire(&reply), "550-5.1.1 no such user\r\n550 5.1.1 ask postmaster\r\n");
    }

    #[test]
    fn text_from_outside_cannot_break_the_line_or_outgrow_it() {
        let reply = Reply::new(500, (5, 5, 2), format!("bad \r\u{7}{}", "x".repeat(1000)));
        let wire = wire(&reply);
        assert_eq!(wire.len(), REPLY_LINE_LIMIT);
        assert!(wire.starts_with("500 5.5.2 bad ??xxx") && wire.ends_with("x\r\n"));
    }
}
