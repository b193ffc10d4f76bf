//! What a message's options, its verdict and a recipient's class and options come to in a row.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::BadRow;
use crate::model::verdict::Judgement;
use crate::model::{BodyType, MailOptions, RecipientOptions};
use crate::state::log::{Class, Recipient};

/// Mostly one octet. What is rare is JSON, which may grow without another form.
#[derive(Serialize, Deserialize)]
pub(super) enum PackedMailOptions<'a> {
    SevenBit,
    EightBit,
    /// Since form 2.
    More(#[serde(borrow)] Cow<'a, str>),
    /// Since form 3: the message was verified. Its options as JSON, of those that only say 8BITMIME [`EIGHT_BIT`], of none nothing.
    Verified(#[serde(borrow)] Cow<'a, str>, Judgement),
}

/// See [`PackedMailOptions::Verified`].
const EIGHT_BIT: &str = "8";

/// How a recipient is delivered, and its options as JSON where it has some.
#[derive(Serialize, Deserialize)]
pub(super) enum PackedClass<'a> {
    Local,
    Relay,
    /// Since form 2.
    LocalWith(#[serde(borrow)] Cow<'a, str>),
    /// Since form 2.
    RelayWith(#[serde(borrow)] Cow<'a, str>),
}

impl PackedMailOptions<'_> {
    pub(super) fn of(options: &MailOptions, verdict: Option<&Judgement>) -> Self {
        let is_plain = *options == MailOptions::default();
        let is_eight_bit = *options == MailOptions::of(BodyType::EightBitMime);
        match verdict {
            None if is_plain => Self::SevenBit,
            None if is_eight_bit => Self::EightBit,
            None => Self::More(json(options)),
            Some(verdict) if is_plain => Self::Verified(Cow::Borrowed(""), verdict.clone()),
            Some(verdict) if is_eight_bit => Self::Verified(Cow::Borrowed(EIGHT_BIT), verdict.clone()),
            Some(verdict) => Self::Verified(json(options), verdict.clone()),
        }
    }

    /// What the client asked for, and what verification came to.
    pub(super) fn read(self) -> Result<(MailOptions, Option<Judgement>), BadRow> {
        Ok(match self {
            Self::SevenBit => (MailOptions::default(), None),
            Self::EightBit => (MailOptions::of(BodyType::EightBitMime), None),
            Self::More(text) => (serde_json::from_str(&text)?, None),
            Self::Verified(text, verdict) => {
                let options = match &*text {
                    "" => MailOptions::default(),
                    EIGHT_BIT => MailOptions::of(BodyType::EightBitMime),
                    text => serde_json::from_str(text)?,
                };
                (options, Some(verdict))
            }
        })
    }
}

impl PackedClass<'_> {
    pub(super) fn of(recipient: &Recipient) -> Self {
        let is_plain = recipient.options == RecipientOptions::default();
        match recipient.class {
            Class::Local if is_plain => Self::Local,
            Class::Relay if is_plain => Self::Relay,
            Class::Local => Self::LocalWith(json(&recipient.options)),
            Class::Relay => Self::RelayWith(json(&recipient.options)),
        }
    }

    /// See [`RecipientOptions::without_delay`].
    pub(super) fn without_delay(&self) -> Result<PackedClass<'static>, BadRow> {
        let options = json(&self.options()?.without_delay());
        Ok(match self.class() {
            Class::Local => PackedClass::LocalWith(options),
            Class::Relay => PackedClass::RelayWith(options),
        })
    }

    pub(super) fn class(&self) -> Class {
        match self {
            Self::Local | Self::LocalWith(_) => Class::Local,
            Self::Relay | Self::RelayWith(_) => Class::Relay,
        }
    }

    pub(super) fn options(&self) -> Result<RecipientOptions, BadRow> {
        match self {
            Self::Local | Self::Relay => Ok(RecipientOptions::default()),
            Self::LocalWith(text) | Self::RelayWith(text) => Ok(serde_json::from_str(text)?),
        }
    }
}

/// Structs of plain values: there is nothing in them that JSON refuses.
fn json<T: Serialize>(value: &T) -> Cow<'static, str> {
    let text = serde_json::to_string(value);
    debug_assert!(text.is_ok(), "{text:?}");
    Cow::Owned(text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Domain;
    use crate::model::dmarc_policy::Policy;
    use crate::model::verdict::{DmarcResult, Reason};

    #[test]
    fn what_form_1_wrote_is_read_in_form_2() {
        for (was, is) in [(false, PackedMailOptions::SevenBit), (true, PackedMailOptions::EightBit)] {
            assert_eq!(postcard::to_allocvec(&was).unwrap(), postcard::to_allocvec(&is).unwrap());
        }
        for (was, is) in [(Class::Local, PackedClass::Local), (Class::Relay, PackedClass::Relay)] {
            assert_eq!(postcard::to_allocvec(&was).unwrap(), postcard::to_allocvec(&is).unwrap());
        }
    }

    #[test]
    fn a_verdict_is_kept_beside_any_options() {
        let verdict = Judgement {
            result: DmarcResult::Fail,
            author_domain: Some(Domain::parse("x.test").unwrap()),
            policy: Some(Policy::Reject),
            is_quarantined: true,
            spared: vec![Domain::parse("y.test").unwrap()],
            reason: Reason::LocalPolicy,
        };
        let options = MailOptions { smtputf8: true, ..MailOptions::default() };
        for options in [MailOptions::default(), MailOptions::of(BodyType::EightBitMime), options] {
            let octets = postcard::to_allocvec(&PackedMailOptions::of(&options, Some(&verdict))).unwrap();
            let packed: PackedMailOptions = postcard::from_bytes(&octets).unwrap();
            assert_eq!(packed.read().unwrap_or_default(), (options, Some(verdict.clone())));
        }
    }
}
