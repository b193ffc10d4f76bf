//! The part of a report for programs (RFC 3464 §2.1).

use super::words::quoted;
use super::{Action, Report, Told};
use crate::model::{Address, EnhancedStatus, UtcTime, xtext};

/// Octets of the part after which a recipient gets only the fields that it must have.
const DETAILED: usize = 2 << 20;
/// Octets of the part after which recipients are only counted: some 12,000 with addresses as long as they can be.
const STATUS_LIMIT: usize = 7 << 20;

impl Report<'_> {
    /// The part, and how many of the recipients are in it.
    pub(super) fn delivery_status(&self) -> (String, usize) {
        let is_utf8 = self.is_international();
        let mut status = String::new();
        if let Some(envid) = self.envid {
            status.push_str(&format!("Original-Envelope-Id: {}\r\n", plain(envid)));
        }
        status.push_str(&format!(
            "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n",
            self.reporting_mta,
            self.accepted.to_rfc5322()
        ));
        for (listed, told) in self.recipients.iter().enumerate() {
            if status.len() >= STATUS_LIMIT {
                return (status, listed);
            }
            let is_detailed = status.len() < DETAILED;
            told.write_fields(&mut status, is_detailed.then_some(self.now), is_utf8);
        }
        (status, self.recipients.len())
    }
}

impl Told<'_> {
    /// The fields of one recipient (RFC 3464 §2.3), with all that is known where the time of the last attempt is given.
    fn write_fields(&self, out: &mut String, details: Option<UtcTime>, is_utf8: bool) {
        out.push_str("\r\n");
        if details.is_some() {
            match (self.original, self.alias) {
                (Some(original), _) => {
                    let address = match original.is_utf8() {
                        true => spelt(&original.address, is_utf8),
                        false => plain(&original.address),
                    };
                    out.push_str(&format!("Original-Recipient: {}; {address}\r\n", original.kind));
                }
                (None, Some(alias)) => {
                    out.push_str(&format!("Original-Recipient: {}\r\n", typed(alias, is_utf8)));
                }
                (None, None) => {}
            }
        }
        let action = self.action;
        let class = action.class();
        let status = match self.reply.enhanced_status {
            Some(status) if status.0 == class => status,
            _ => EnhancedStatus(class, 0, 0),
        };
        let recipient = typed(self.recipient, is_utf8);
        out.push_str(&format!(
            "Final-Recipient: {recipient}\r\nAction: {}\r\nStatus: {status}\r\n",
            action.name()
        ));
        let Some(last_attempt) = details else { return };
        if let Some(remote_mta) = self.remote_mta {
            out.push_str(&format!("Remote-MTA: dns; {remote_mta}\r\n"));
        }
        // What a positive reply said helps nobody.
        if class != 2 {
            out.push_str(&format!("Diagnostic-Code: smtp; {}\r\n", quoted(self.reply)));
        }
        out.push_str(&format!("Last-Attempt-Date: {}\r\n", last_attempt.to_rfc5322()));
        if let Action::Delayed { until } = action {
            out.push_str(&format!("Will-Retry-Until: {}\r\n", until.to_rfc5322()));
        }
    }
}

impl Action {
    /// What the status must begin with (RFC 3464 §2.3.4).
    fn class(self) -> u8 {
        match self {
            Self::Failed => 5,
            Self::Delayed { .. } => 4,
            Self::Delivered | Self::Relayed | Self::Expanded => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed { .. } => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// What a client said as xtext, as it meant it: the fields hold it decoded (RFC 3461 §6.3).
fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

/// `address-type ";" generic-address` (RFC 3464 §2.3.2, RFC 6533 §3).
fn typed(address: &Address, is_utf8: bool) -> String {
    match address.is_ascii() {
        true => format!("rfc822; {address}"),
        false => format!("utf-8; {}", spelt(&address.to_string(), is_utf8)),
    }
}

/// `utf-8-addr-unitext`, or `utf-8-addr-xtext` where there may be nothing but ASCII (RFC 6533 §3).
fn spelt(address: &str, is_utf8: bool) -> String {
    match is_utf8 {
        true => address.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
        false => xtext::encode_utf8_address(address),
    }
}
