//! The header block of content that is converted, where our signatures in it have to be made anew.
//!
//! It goes first, and a signature in it is over all that follows. So the content is converted twice: now, to be hashed and let go, and again as it
//! is sent. What is held is the header block, and a part of the content at a time.

use bytes::Bytes;

use super::Relay;
use crate::authn::dkim::{BodyHasher, BodyHashes, BodyMethod};
use crate::delivery::Host;
use crate::delivery::meaning::{self, Verdict};
use crate::model::message::{Downgrade, HeaderScan, HeaderSplit, Unconvertible};
use crate::model::{BodyType, Event, Outcome, Reply};
use crate::queue::Work;
use crate::service::signing::renewal::{Converted, Renewal};
use crate::state::StateError;
use crate::state::content::ContentReader;

/// Octets that are converted at a time; they may come to three times as many.
pub(super) const CONVERTED_AT_ONCE: usize = 64 << 10;

/// A header block to be sent in the place of another.
#[derive(Debug)]
pub(super) struct Front {
    /// All of it.
    pub(super) header: Bytes,
    /// Octets of the converted content that it stands for.
    pub(super) replaces: usize,
}

/// The header block for content that a host gets converted to this; nothing where the one that it has is as good.
pub(super) async fn front(
    relay: &Relay,
    work: &Work,
    convert_to: BodyType,
    host: &Host,
) -> Result<Option<Front>, Verdict> {
    let made = find(relay, work, convert_to).await;
    made.map_err(|fault| match fault {
        Fault::Content(error) => meaning::unreadable(&error),
        Fault::Structure(error) => meaning::unconvertible(error, host),
        // As it is the message might be refused for good.
        Fault::Keys(error) => {
            let doing = "signing anew what is converted".to_owned();
            relay.context.journal.report(&Event::Trouble { doing, error: error.to_string() });
            let text = "storage is not available to sign the converted message";
            Verdict::Settled(Outcome::Deferred(Reply::new(451, (4, 3, 0), text)))
        }
    })
}

/// Why there is no answer.
enum Fault {
    Content(StateError),
    Structure(Unconvertible),
    Keys(StateError),
}

async fn find(relay: &Relay, work: &Work, convert_to: BodyType) -> Result<Option<Front>, Fault> {
    let (context, envelope) = (&relay.context, &work.envelope);
    if envelope.content.header.extent.len == 0 {
        return Ok(None);
    }
    let reader = ContentReader::open(&relay.requests, envelope, work.fresh.as_ref()).await;
    let mut reader = reader.map_err(Fault::Content)?;
    let Some(header) = reader.next().await.map_err(Fault::Content)? else { return Ok(None) };
    let Some(renewal) = Renewal::of(context, &header).await.map_err(Fault::Keys)? else { return Ok(None) };

    let spawn = &context.requests.platform().spawn;
    let interrupted = || Fault::Content(StateError::Unavailable("conversion was interrupted".to_owned()));
    let mut pass = Pass::new(convert_to);
    pass.convert(&header).map_err(Fault::Structure)?;
    while let Some(part) = reader.next().await.map_err(Fault::Content)? {
        // Some milliseconds of a processor.
        let taken = spawn.unblock(move || pass.take(&part)).await.ok_or_else(interrupted)?;
        pass = taken.map_err(Fault::Structure)?;
    }
    let converted = pass.finish(header).map_err(Fault::Structure)?;
    let replaces = converted.after.0.len();
    let made = renewal.make(context, converted).await.map_err(Fault::Keys)?;
    Ok(made.map(|header| Front { header: header.into(), replaces }))
}

/// A message on its way through, of which nothing is kept but the header block and hashes.
struct Pass {
    /// Of the body as it is.
    before: BodyHasher,
    downgrade: Downgrade,
    after: Split,
}

impl Pass {
    fn new(convert_to: BodyType) -> Self {
        let (before, downgrade) = (BodyHasher::new([BodyMethod::SIGNING]), Downgrade::new(convert_to));
        Self { before, downgrade, after: Split::new() }
    }

    /// Takes a part of the body.
    fn take(mut self, part: &[u8]) -> Result<Self, Unconvertible> {
        self.before.push(part);
        self.convert(part)?;
        Ok(self)
    }

    fn convert(&mut self, octets: &[u8]) -> Result<(), Unconvertible> {
        for piece in octets.chunks(CONVERTED_AT_ONCE) {
            let mut converted = Vec::new();
            self.downgrade.push(piece, &mut converted)?;
            self.after.push(&converted);
        }
        Ok(())
    }

    /// With this header block, which was converted with the body.
    fn finish(mut self, header: Bytes) -> Result<Converted, Unconvertible> {
        let mut converted = Vec::new();
        self.downgrade.finish(&mut converted)?;
        self.after.push(&converted);
        Ok(Converted { before: (header, self.before.finish()), after: self.after.finish() })
    }
}

/// What content is converted to: the header block, and hashes of what follows it.
struct Split {
    /// And all that comes till it is whole.
    header: Vec<u8>,
    scan: HeaderScan,
    is_header_whole: bool,
    body: BodyHasher,
}

impl Split {
    fn new() -> Self {
        let body = BodyHasher::new([BodyMethod::SIGNING]);
        Self { header: Vec::new(), scan: HeaderScan::default(), is_header_whole: false, body }
    }

    fn push(&mut self, octets: &[u8]) {
        if self.is_header_whole {
            return self.body.push(octets);
        }
        self.header.extend_from_slice(octets);
        if let HeaderSplit::At(end) = self.scan.advance(&self.header) {
            self.is_header_whole = true;
            self.body.push(&self.header.split_off(end));
        }
    }

    fn finish(mut self) -> (Vec<u8>, BodyHashes) {
        if !self.is_header_whole {
            self.body.push(&self.header.split_off(self.scan.finish(&self.header)));
        }
        (self.header, self.body.finish())
    }
}
