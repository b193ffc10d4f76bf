//! What a client asks for beside the two paths, as ESMTP parameters of MAIL and RCPT. It travels with the message through the queue and, where
//! the next hop offers the extension, on to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::UtcTime;

/// What is asked of a whole message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailOptions {
    /// Of what kind the content is.
    #[serde(skip_serializing_if = "is_default")]
    pub body: BodyType,
    /// `SMTPUTF8`: header or envelope hold UTF-8 (RFC 6531 §3.4).
    #[serde(skip_serializing_if = "is_default")]
    pub smtputf8: bool,
    /// `RET=`: how much of the message a report of failure returns (RFC 3461 §4.3).
    #[serde(skip_serializing_if = "is_default")]
    pub ret: Option<Ret>,
    /// `ENVID=`, decoded: what the sender calls the transaction in reports (RFC 3461 §4.4).
    #[serde(skip_serializing_if = "is_default")]
    pub envid: Option<String>,
    /// `BY=`: until when it is to be delivered (RFC 2852 §4).
    #[serde(skip_serializing_if = "is_default")]
    pub deliver_by: Option<DeliverBy>,
    /// `HOLDFOR=` or `HOLDUNTIL=`: before when it is not to be delivered (RFC 4865 §5).
    #[serde(skip_serializing_if = "is_default")]
    pub hold_until: Option<UtcTime>,
    /// `MT-PRIORITY=`, from -9 to 9 (RFC 6710 §5).
    #[serde(skip_serializing_if = "is_default")]
    pub priority: i8,
    /// `REQUIRETLS`: never without verified TLS (RFC 8689 §2).
    #[serde(skip_serializing_if = "is_default")]
    pub require_tls: bool,
}

/// What is asked for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecipientOptions {
    /// `NOTIFY=`: what is reported (RFC 3461 §4.1); none where the client did not say.
    #[serde(skip_serializing_if = "is_default")]
    pub notify: Option<Notify>,
    /// `ORCPT=`: whom the sender had named (RFC 3461 §4.2).
    #[serde(skip_serializing_if = "is_default")]
    pub original: Option<OriginalRecipient>,
}

impl MailOptions {
    /// Options of content of this kind, and nothing else.
    pub fn of(body: BodyType) -> Self {
        Self { body, ..Self::default() }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The BODY parameter (RFC 6152 §2, RFC 3030 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyType {
    /// `7BIT`, also where the parameter is left out.
    #[default]
    SevenBit,
    /// `8BITMIME`
    EightBitMime,
    /// `BINARYMIME`: lines need not end with CRLF, nor have a limit.
    BinaryMime,
}

/// The RET parameter (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ret {
    /// `FULL`
    Full,
    /// `HDRS`
    Headers,
}

/// The BY parameter, reckoned from when the message came in (RFC 2852 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverBy {
    /// Until when.
    pub at: UtcTime,
    /// Whether the message is returned then (`R`); else its delay is reported and it goes on (`N`).
    pub is_return: bool,
    /// Whether relays report what they do (`T`).
    #[serde(skip_serializing_if = "is_default", default)]
    pub is_traced: bool,
}

/// The NOTIFY parameter: all of them false is `NEVER` (RFC 3461 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notify {
    /// `SUCCESS`
    #[serde(skip_serializing_if = "is_default")]
    pub success: bool,
    /// `FAILURE`
    #[serde(skip_serializing_if = "is_default")]
    pub failure: bool,
    /// `DELAY`
    #[serde(skip_serializing_if = "is_default")]
    pub delay: bool,
}

/// The ORCPT parameter, decoded (RFC 3461 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// The kind of address, such as `rfc822` or `utf-8`; an atom.
    pub kind: String,
    /// The address.
    pub address: String,
}

impl fmt::Display for Notify {
    /// `"NEVER" / 1#notify-list-element` (RFC 3461 §4.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let named: Vec<&str> =
            elements.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, name)| name).collect();
        f.write_str(if named.is_empty() { "NEVER".to_owned() } else { named.join(",") }.as_str())
    }
}

impl OriginalRecipient {
    /// Whether the address is of the kind that holds UTF-8 (RFC 6533 §3).
    pub fn is_utf8(&self) -> bool {
        self.kind.eq_ignore_ascii_case("utf-8")
    }
}

impl RecipientOptions {
    /// Whether nothing at all is to be reported.
    pub fn is_never(&self) -> bool {
        self.notify.is_some_and(|notify| notify == Notify::default())
    }

    /// The same, but that a delay is not reported any more: what is reported unless the sender says otherwise is said then.
    pub fn without_delay(self) -> Self {
        let unsaid = Notify { failure: true, ..Notify::default() };
        Self { notify: Some(Notify { delay: false, ..self.notify.unwrap_or(unsaid) }), ..self }
    }

    /// Whether a failure is reported: unless the sender said otherwise (RFC 3461 §5.2.5).
    pub fn reports_failure(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }

    /// Whether a delivery is reported (RFC 3461 §5.2.6).
    pub fn reports_success(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }

    /// Whether a delay is reported: RFC 3461 §4.1 leaves it to the server where the sender did not say.
    pub fn reports_delay(&self) -> bool {
        self.notify.is_some_and(|notify| notify.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_takes_no_room_and_is_read_again() {
        assert_eq!(serde_json::to_string(&MailOptions::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<RecipientOptions>("{}").unwrap(), RecipientOptions::default());
        let options = MailOptions {
            body: BodyType::BinaryMime,
            ret: Some(Ret::Headers),
            priority: -3,
            deliver_by: Some(DeliverBy { at: UtcTime(5), is_return: true, is_traced: false }),
            ..MailOptions::default()
        };
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<MailOptions>(&text).unwrap(), options, "{text}");
    }

    #[test]
    fn failures_are_reported_unless_the_sender_said_otherwise() {
        let with = |notify| RecipientOptions { notify, original: None };
        let never = Notify::default();
        let success = Notify { success: true, ..never };
        for (notify, expected) in
            [(None, [true, false, false]), (Some(never), [false; 3]), (Some(success), [false, true, false])]
        {
            let options = with(notify);
            assert_eq!(
                [options.reports_failure(), options.reports_success(), options.reports_delay()],
                expected
            );
        }
    }
}
