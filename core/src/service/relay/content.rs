//! A message's content on its way out of the queue.

use async_trait::async_trait;
use bytes::Bytes;

use super::Relay;
use super::plan::Nature;
use super::renewal::{CONVERTED_AT_ONCE, Front};
use crate::conversation::smtp_client::{Content, Withdrawn};
use crate::model::BodyType;
use crate::model::message::{Downgrade, Survey, Unconvertible};
use crate::queue::{Refusal, Work};
use crate::state::StateError;
use crate::state::content::ContentReader;

/// See the module.
pub(super) struct Spooled<'a> {
    relay: &'a Relay,
    work: &'a Work,
    /// Once it was asked for: a host that wants none of it costs no request.
    reader: Option<ContentReader>,
    conversion: Option<Conversion>,
    /// Why it was withdrawn.
    pub(super) trouble: Option<Trouble>,
}

/// What was read and is not converted yet.
struct Conversion {
    /// Goes first, where it is not sent yet.
    front: Option<Bytes>,
    /// Octets of what the content is converted to that are left out for it.
    replaced: usize,
    unread: Bytes,
    /// None once the end has been converted.
    downgrade: Option<Downgrade>,
}

/// Why content does not arrive.
pub(super) enum Trouble {
    /// It cannot be read.
    Content(StateError),
    /// The host does not take it, and it cannot be converted.
    Structure(Unconvertible),
    /// It may not be sent now.
    Refusal(Refusal),
}

impl<'a> Spooled<'a> {
    /// The message's content, converted to what is given, with another header block where there is one.
    pub(super) fn new(
        relay: &'a Relay,
        work: &'a Work,
        convert_to: Option<BodyType>,
        front: Option<&Front>,
    ) -> Self {
        let conversion = convert_to.map(|to| Conversion {
            front: front.map(|front| front.header.clone()),
            replaced: front.map_or(0, |front| front.replaces),
            unread: Bytes::new(),
            downgrade: Some(Downgrade::new(to)),
        });
        Self { relay, work, reader: None, conversion, trouble: None }
    }

    /// Looks at all of it.
    pub(super) async fn nature(&mut self) -> Result<Nature, StateError> {
        let (mut survey, mut is_header, mut has_ascii_header) = (Survey::default(), true, true);
        let has_header = self.work.envelope.content.header.extent.len > 0;
        while let Some(part) = self.read().await? {
            if std::mem::take(&mut is_header) && has_header {
                has_ascii_header = part.is_ascii();
            }
            survey.advance(&part);
        }
        Ok(Nature { least: survey.least(self.work.envelope.options.body), has_ascii_header })
    }

    async fn read(&mut self) -> Result<Option<Bytes>, StateError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let (requests, work) = (&self.relay.requests, self.work);
                none.insert(ContentReader::open(requests, &work.envelope, work.fresh.as_ref()).await?)
            }
        };
        reader.next().await
    }

    async fn read_or_withdraw(&mut self) -> Result<Option<Bytes>, Withdrawn> {
        self.read().await.map_err(|error| {
            self.trouble = Some(Trouble::Content(error));
            Withdrawn
        })
    }

    fn is_conversion_hungry(&self) -> bool {
        let conversion = self.conversion.as_ref();
        conversion.is_some_and(|conversion| conversion.unread.is_empty() && conversion.downgrade.is_some())
    }
}

#[async_trait]
impl Content for Spooled<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Withdrawn> {
        match &mut self.conversion {
            None => return self.read_or_withdraw().await,
            Some(Conversion { front, .. }) if front.is_some() => return Ok(front.take()),
            Some(_) => {}
        }
        loop {
            let more = if self.is_conversion_hungry() { Some(self.read_or_withdraw().await?) } else { None };
            let Some(conversion) = &mut self.conversion else { return Ok(None) };
            match conversion.go_on(more) {
                Ok(Some(octets)) if octets.is_empty() => {}
                Ok(octets) => return Ok(octets),
                Err(error) => {
                    self.trouble = Some(Trouble::Structure(error));
                    return Err(Withdrawn);
                }
            }
        }
    }

    async fn may_conclude(&mut self) -> Result<(), Withdrawn> {
        let asked = self.relay.context.spool.may_conclude(self.work.incarnation).await;
        asked.map_err(|refusal| {
            self.trouble = Some(Trouble::Refusal(refusal));
            Withdrawn
        })
    }
}

impl Conversion {
    /// Converts some octets, `more` of which may have been read: none of it at the end of the content. None when all is converted.
    fn go_on(&mut self, more: Option<Option<Bytes>>) -> Result<Option<Bytes>, Unconvertible> {
        let mut converted = Vec::new();
        match more {
            Some(Some(part)) => self.unread = part,
            Some(None) => {
                if let Some(downgrade) = self.downgrade.take() {
                    downgrade.finish(&mut converted)?;
                }
                return Ok(Some(self.unreplaced(converted)));
            }
            None => {}
        }
        let Some(downgrade) = &mut self.downgrade else { return Ok(None) };
        let piece = self.unread.split_to(self.unread.len().min(CONVERTED_AT_ONCE));
        downgrade.push(&piece, &mut converted)?;
        Ok(Some(self.unreplaced(converted)))
    }

    fn unreplaced(&mut self, converted: Vec<u8>) -> Bytes {
        let mut converted = Bytes::from(converted);
        self.replaced -= converted.split_to(converted.len().min(self.replaced)).len();
        converted
    }
}
