//! Hashes of a body, made while it streams by (RFC 6376 §3.4.3, §3.4.4, §3.7).
//!
//! A body is canonicalised at most twice, once in each form, however many signatures there are; each distinct `l=` is one more hash over the
//! same octets. What may turn out to stand at the end of a line or of the body, and thus not to count, is a number and two flags: an endless
//! run of blanks or of empty lines takes no memory. Only SHA-256 is made: nothing that is made with SHA-1 is verified (RFC 8301 §3.1).

#[cfg(test)]
mod tests;

use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use super::Canonicalization;

/// Canonical octets that are hashed together.
const SCRATCH: usize = 4 << 10;
/// Empty lines that are hashed together.
const EMPTY_LINES: &[u8; 512] = &{
    let mut lines = [b'\r'; 512];
    let mut at = 1;
    while at < lines.len() {
        lines[at] = b'\n';
        at += 2;
    }
    lines
};

/// What of a body is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyMethod {
    /// In which form.
    pub canonicalization: Canonicalization,
    /// Octets of the canonical form, from its start (`l=`); all of them where there is no limit.
    pub length: Option<u64>,
}

impl BodyMethod {
    /// What we sign ourselves: all of the body, relaxed.
    pub const SIGNING: Self = Self { canonicalization: Canonicalization::Relaxed, length: None };
}

/// A body's hash by one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHash {
    /// SHA-256.
    pub digest: [u8; SHA256_OUTPUT_LEN],
    /// Octets of the canonical body, hashed or not.
    pub octets: u64,
    /// Octets of it that were not hashed, since they are beyond `l=`.
    pub unsigned: u64,
}

/// A body's hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyHashes(Vec<(BodyMethod, BodyHash)>);

impl BodyHashes {
    /// The hash by this method, where the hasher had been told to make it.
    pub fn find(&self, method: BodyMethod) -> Option<&BodyHash> {
        self.0.iter().find(|(made, _)| *made == method).map(|(_, hash)| hash)
    }
}

/// Hashes a body. Takes it in pieces, however it is cut: all that follows the empty line behind the header block, with CRLF as line ends and
/// dots as they were before SMTP doubled them.
#[derive(Debug)]
pub struct BodyHasher {
    simple: Option<Simple>,
    relaxed: Option<Relaxed>,
}

impl BodyHasher {
    /// A hasher by these methods; those that are named twice are made once.
    pub fn new(methods: impl IntoIterator<Item = BodyMethod>) -> Self {
        let (mut simple, mut relaxed): (Option<Simple>, Option<Relaxed>) = (None, None);
        for method in methods {
            let sink = match method.canonicalization {
                Canonicalization::Simple => &mut simple.get_or_insert_default().sink,
                Canonicalization::Relaxed => &mut relaxed.get_or_insert_default().sink,
            };
            sink.add(method.length);
        }
        Self { simple, relaxed }
    }

    /// Takes the next octets.
    pub fn push(&mut self, octets: &[u8]) {
        if let Some(simple) = &mut self.simple {
            simple.push(octets);
        }
        if let Some(relaxed) = &mut self.relaxed {
            relaxed.push(octets);
        }
    }

    /// The body has ended.
    pub fn finish(self) -> BodyHashes {
        let simple = self.simple.map(|form| form.finish().hashes(Canonicalization::Simple));
        let relaxed = self.relaxed.map(|form| form.finish().hashes(Canonicalization::Relaxed));
        BodyHashes(simple.into_iter().chain(relaxed).flatten().collect())
    }
}

/// The body as it is, but for empty lines at its end (RFC 6376 §3.4.3).
#[derive(Debug, Default)]
struct Simple {
    /// Line ends that may be the last.
    lines: u64,
    /// A CR came last, and what it belongs to is not known.
    has_cr: bool,
    sink: Sink,
}

impl Simple {
    fn push(&mut self, mut octets: &[u8]) {
        if self.has_cr && !octets.is_empty() {
            self.has_cr = false;
            match octets.strip_prefix(b"\n") {
                Some(rest) => (self.lines, octets) = (self.lines + 1, rest),
                None => {
                    self.sink.lines(&mut self.lines);
                    self.sink.push(b"\r");
                }
            }
        }
        let mut content = octets;
        if let Some(rest) = content.strip_suffix(b"\r") {
            (self.has_cr, content) = (true, rest);
        }
        let mut lines = 0;
        while let Some(rest) = content.strip_suffix(b"\r\n") {
            (lines, content) = (lines + 1, rest);
        }
        if !content.is_empty() {
            self.sink.lines(&mut self.lines);
            self.sink.push(content);
        }
        self.lines += lines;
    }

    /// Even an empty body is one line end.
    fn finish(mut self) -> Sink {
        if self.has_cr {
            self.sink.lines(&mut self.lines);
            self.sink.push(b"\r");
        }
        self.sink.push(b"\r\n");
        self.sink
    }
}

/// The body without blanks at the ends of lines, with one space for each run of others, without empty lines at its end (RFC 6376 §3.4.4).
#[derive(Debug, Default)]
struct Relaxed {
    /// Line ends that may be the last.
    lines: u64,
    /// Behind them, blanks that may be the last of their line.
    has_blank: bool,
    /// Behind these, a CR of which is not known what it belongs to.
    has_cr: bool,
    sink: Sink,
}

impl Relaxed {
    fn push(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while let Some((first, others)) = rest.split_first() {
            match first {
                b'\n' if self.has_cr => {
                    (self.has_cr, self.has_blank) = (false, false);
                    self.lines += 1;
                    rest = others;
                }
                _ if self.has_cr => self.settle(),
                b'\r' => (self.has_cr, rest) = (true, others),
                b' ' | b'\t' => (self.has_blank, rest) = (true, others),
                _ => {
                    self.settle();
                    let (content, others) = rest.split_at(unchanged(rest));
                    self.sink.push(content);
                    rest = others;
                }
            }
        }
    }

    /// What was in doubt is content: something comes behind it.
    fn settle(&mut self) {
        self.sink.lines(&mut self.lines);
        if std::mem::take(&mut self.has_blank) {
            self.sink.push(b" ");
        }
        if std::mem::take(&mut self.has_cr) {
            self.sink.push(b"\r");
        }
    }

    /// A last line that no CRLF ends gets one; a body without anything but empty lines is none.
    fn finish(mut self) -> Sink {
        if self.has_cr {
            self.settle();
        }
        if self.sink.octets > 0 {
            self.sink.push(b"\r\n");
        }
        self.sink
    }
}

/// How many of these octets, of which the first is content, stay as they are: up to a line end, and to blanks that are not one space between
/// two words.
fn unchanged(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(octet) = octets.get(at) {
        let is_word = match octet {
            b'\t' | b'\r' => false,
            b' ' => !matches!(octets.get(at + 1), None | Some(b' ' | b'\t' | b'\r')),
            _ => true,
        };
        if !is_word {
            break;
        }
        at += 1;
    }
    at
}

/// Where canonical octets go.
#[derive(Debug, Default)]
struct Sink {
    octets: u64,
    /// Not hashed yet: many small pieces are dear.
    scratch: Vec<u8>,
    hashes: Vec<Hash>,
}

#[derive(Debug)]
struct Hash {
    length: Option<u64>,
    context: ContextOf,
    hashed: u64,
}

/// [`Context`] that can be shown.
struct ContextOf(Context);

impl std::fmt::Debug for ContextOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SHA-256")
    }
}

impl Sink {
    fn add(&mut self, length: Option<u64>) {
        if self.hashes.iter().all(|hash| hash.length != length) {
            self.hashes.push(Hash { length, context: ContextOf(Context::new(&SHA256)), hashed: 0 });
        }
    }

    fn push(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        if octets.len() >= SCRATCH {
            self.flush();
            self.hashes.iter_mut().for_each(|hash| hash.update(octets));
            return;
        }
        self.scratch.extend_from_slice(octets);
        if self.scratch.len() >= SCRATCH {
            self.flush();
        }
    }

    /// Empty lines that turned out not to be the last.
    fn lines(&mut self, count: &mut u64) {
        while *count > 0 {
            let now = (*count).min(EMPTY_LINES.len() as u64 / 2);
            self.push(&EMPTY_LINES[..now as usize * 2]);
            *count -= now;
        }
    }

    fn flush(&mut self) {
        self.hashes.iter_mut().for_each(|hash| hash.update(&self.scratch));
        self.scratch.clear();
    }

    fn hashes(mut self, canonicalization: Canonicalization) -> Vec<(BodyMethod, BodyHash)> {
        self.flush();
        let octets = self.octets;
        let finish = |hash: Hash| {
            let mut digest = [0; SHA256_OUTPUT_LEN];
            digest.copy_from_slice(hash.context.0.finish().as_ref());
            let method = BodyMethod { canonicalization, length: hash.length };
            (method, BodyHash { digest, octets, unsigned: octets - hash.hashed })
        };
        self.hashes.into_iter().map(finish).collect()
    }
}

impl Hash {
    fn update(&mut self, octets: &[u8]) {
        let room = self.length.map_or(u64::MAX, |length| length - self.hashed);
        let octets = &octets[..octets.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        self.context.0.update(octets);
        self.hashed += octets.len() as u64;
    }
}
