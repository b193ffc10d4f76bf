//! Content on its way in: the header block is held, a small body is held, a large one goes to the store in pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::authn::dkim::{BodyHasher, BodyHashes, BodyMethod};
use crate::config::SmtpLimits;
use crate::model::Reply;
use crate::model::message::{HeaderScan, HeaderSplit, field_count};
use crate::queue::{AcceptedBody, Refusal, Upload};
use crate::service::Context;

/// A body up to this many octets goes into the segment.
const INLINE_LIMIT: usize = 1 << 20;
/// Octets in a piece of a larger one.
const PIECE: usize = 2 << 20;
/// When memory is short, pieces go out from this many octets on.
const LEAST_PIECE: usize = 256 << 10;
/// Octets in one buffer.
const BUFFER: usize = 64 << 10;

/// Why content is not taken.
#[derive(Debug)]
pub(in crate::service) enum ContentFault {
    /// Told to the client.
    Reply(Reply),
    /// The queue could not take it.
    Refusal(Refusal),
}

/// See the module. Dropped, it leaves at most pieces that nothing names.
#[derive(Debug)]
pub(in crate::service) struct ContentSink {
    context: Arc<Context>,
    scan: HeaderScan,
    /// Everything, until the header block is known; then the header block.
    header: Vec<u8>,
    is_header_whole: bool,
    body: Body,
    upload: Option<Upload>,
    hashing: Hashing,
}

/// How the body is hashed, as the header block says.
pub(in crate::service) type Methods = fn(&Context, &[u8]) -> Vec<BodyMethod>;

/// Hashes of the body, where somebody wants them.
#[derive(Debug)]
enum Hashing {
    /// Nobody does.
    Off,
    /// The header block will tell how.
    Asked(Methods),
    /// On its way.
    Begun(BodyHasher),
}

/// Content that is whole.
#[derive(Debug)]
pub(in crate::service) struct Content {
    /// The header block, whose octets may still be changed.
    pub(in crate::service) header: Vec<u8>,
    pub(in crate::service) body: AcceptedBody,
    /// Those that were asked for.
    pub(in crate::service) hashes: BodyHashes,
}

impl Content {
    /// Whether all of it is header block.
    pub(super) fn is_body_empty(&self) -> bool {
        matches!(&self.body, AcceptedBody::Inline(pieces, _) if pieces.is_empty())
    }
}

/// The part of the body that is in memory.
#[derive(Debug)]
struct Body {
    full: Vec<Bytes>,
    last: Vec<u8>,
    octets: usize,
    hasher: crc32fast::Hasher,
    in_memory: Arc<AtomicUsize>,
}

impl ContentSink {
    /// Nothing received yet.
    pub(in crate::service) fn new(context: Arc<Context>) -> Self {
        let in_memory = context.receiving.clone();
        let body = Body {
            full: Vec::new(),
            last: Vec::new(),
            octets: 0,
            hasher: crc32fast::Hasher::new(),
            in_memory,
        };
        Self {
            context,
            scan: HeaderScan::default(),
            header: Vec::new(),
            is_header_whole: false,
            body,
            upload: None,
            hashing: Hashing::Off,
        }
    }

    /// The same, with hashes made of the body while it comes.
    pub(in crate::service) fn hashing(context: Arc<Context>, methods: Methods) -> Self {
        Self { hashing: Hashing::Asked(methods), ..Self::new(context) }
    }

    /// Takes the next octets.
    pub(in crate::service) async fn push(&mut self, octets: &[u8]) -> Result<(), ContentFault> {
        if self.is_header_whole {
            return self.push_body(octets).await;
        }
        let known = self.header.len();
        // Mostly the header block comes whole with the first octets, and what follows it is copied once.
        let split = if known == 0 {
            self.scan.advance(octets)
        } else {
            self.header.extend_from_slice(octets);
            self.scan.advance(&self.header)
        };
        match split {
            HeaderSplit::At(end) if known == 0 => {
                self.header.extend_from_slice(&octets[..end]);
                self.end_header()?;
                return self.push_body(&octets[end..]).await;
            }
            HeaderSplit::At(end) => {
                let rest = self.header.split_off(end);
                self.end_header()?;
                return self.push_body(&rest).await;
            }
            HeaderSplit::Unfinished if known == 0 => self.header.extend_from_slice(octets),
            HeaderSplit::Unfinished => {}
        }
        self.check_header_size()
    }

    /// Everything has come.
    pub(in crate::service) async fn finish(mut self) -> Result<Content, ContentFault> {
        if !self.is_header_whole {
            let rest = self.header.split_off(self.scan.finish(&self.header));
            self.end_header()?;
            self.push_body(&rest).await?;
        }
        let header = std::mem::take(&mut self.header);
        let hashes = match std::mem::replace(&mut self.hashing, Hashing::Off) {
            Hashing::Begun(hasher) => hasher.finish(),
            Hashing::Off | Hashing::Asked(_) => BodyHashes::default(),
        };
        let (pieces, crc) = self.body.take();
        let Some(mut upload) = self.upload.take() else {
            return Ok(Content { header, body: AcceptedBody::Inline(pieces, crc), hashes });
        };
        if !pieces.is_empty() {
            upload.push(pieces, crc).await.map_err(ContentFault::Refusal)?;
        }
        Ok(Content { header, body: AcceptedBody::Uploaded(upload), hashes })
    }

    fn end_header(&mut self) -> Result<(), ContentFault> {
        self.is_header_whole = true;
        self.check_header_size()?;
        let SmtpLimits { hops, .. } = self.context.config.smtp;
        if field_count(&self.header, "Received") > hops {
            // RFC 5321 §6.3
            let text = format!("more than {hops} Received fields: this message is going round in circles");
            return Err(ContentFault::Reply(Reply::new(554, (5, 4, 6), text)));
        }
        if let Hashing::Asked(methods) = self.hashing {
            self.hashing = Hashing::Begun(BodyHasher::new(methods(&self.context, &self.header)));
        }
        Ok(())
    }

    fn check_header_size(&self) -> Result<(), ContentFault> {
        let limit = self.context.config.smtp.header_block;
        if self.header.len() <= limit {
            return Ok(());
        }
        let text = format!("header block longer than {limit} octets");
        Err(ContentFault::Reply(Reply::new(552, (5, 3, 4), text)))
    }

    async fn push_body(&mut self, octets: &[u8]) -> Result<(), ContentFault> {
        if let Hashing::Begun(hasher) = &mut self.hashing {
            hasher.push(octets);
        }
        self.body.push(octets);
        let held = self.body.octets;
        let is_memory_short =
            self.body.in_memory.load(Ordering::Relaxed) > self.context.config.queue.receiving;
        let is_large = held > INLINE_LIMIT && self.upload.is_none();
        if !is_large && held < PIECE && !(is_memory_short && held >= LEAST_PIECE) {
            return Ok(());
        }
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(self.context.spool.upload().await.map_err(ContentFault::Refusal)?),
        };
        // A body that has just outgrown the segment waits till it makes a whole piece.
        if held >= PIECE || is_memory_short {
            let (pieces, crc) = self.body.take_counted();
            let result = upload.push(pieces, crc).await;
            self.body.forget(held);
            result.map_err(ContentFault::Refusal)?;
        }
        Ok(())
    }
}

impl Body {
    fn push(&mut self, mut octets: &[u8]) {
        self.hasher.update(octets);
        self.octets += octets.len();
        self.in_memory.fetch_add(octets.len(), Ordering::Relaxed);
        while !octets.is_empty() {
            let (now, later) = octets.split_at(octets.len().min(BUFFER - self.last.len()));
            self.last.extend_from_slice(now);
            octets = later;
            if self.last.len() == BUFFER {
                self.full.push(std::mem::take(&mut self.last).into());
            }
        }
    }

    /// What there is, which still counts as being in memory until it is forgotten.
    fn take_counted(&mut self) -> (Vec<Bytes>, u32) {
        let mut pieces = std::mem::take(&mut self.full);
        if !self.last.is_empty() {
            self.last.shrink_to_fit();
            pieces.push(std::mem::take(&mut self.last).into());
        }
        (pieces, std::mem::take(&mut self.hasher).finalize())
    }

    fn forget(&mut self, octets: usize) {
        self.octets -= octets;
        self.in_memory.fetch_sub(octets, Ordering::Relaxed);
    }

    fn take(&mut self) -> (Vec<Bytes>, u32) {
        let taken = self.take_counted();
        self.forget(self.octets);
        taken
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.in_memory.fetch_sub(self.octets, Ordering::Relaxed);
    }
}
