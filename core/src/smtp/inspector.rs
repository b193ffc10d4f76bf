//! Content that comes as it is, by BDAT (RFC 3030 §2): whether it is what it was declared to be.
//!
//! Nothing in it ends it, so nothing can be smuggled past its end. But what is no BINARYMIME may have to be sent on with DATA, where a bare CR or
//! LF would be an end to some servers: it is refused here as it is there. Of BINARYMIME this holds for the header block.

use memchr::memchr2;

use super::data::Fault;
use crate::model::BodyType;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// Looks at content as it comes. How it is cut into pieces makes no difference.
#[derive(Clone, Debug)]
pub struct Inspector {
    /// Whether lines do not matter after the header block.
    is_binary: bool,
    /// Whether the empty line has come that ends the header block.
    is_body: bool,
    /// Whether the last octet was a CR.
    after_cr: bool,
    /// Octets of the current line so far.
    line: usize,
    line_limit: usize,
}

impl Inspector {
    /// At the start of content of this kind, whose lines may have `line_limit` octets with their CRLF.
    pub fn new(body: BodyType, line_limit: usize) -> Self {
        let is_binary = body == BodyType::BinaryMime;
        Self { is_binary, is_body: false, after_cr: false, line: 0, line_limit }
    }

    /// Takes the next octets. After a fault there is nothing more to be asked.
    pub fn inspect(&mut self, octets: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while at < octets.len() && !(self.is_binary && self.is_body) {
            if self.after_cr {
                if octets[at] != LF {
                    return Err(Fault::BareLineEnd);
                }
                at += 1;
                // An empty line has nothing but its CRLF.
                self.is_body |= self.line == 1;
                (self.after_cr, self.line) = (false, 0);
                continue;
            }
            let length = memchr2(CR, LF, &octets[at..]).unwrap_or(octets.len() - at);
            at += length;
            self.line += length;
            if self.line >= self.line_limit {
                return Err(Fault::LongLine);
            }
            match octets.get(at) {
                Some(&LF) => return Err(Fault::BareLineEnd),
                Some(_) => {
                    at += 1;
                    self.line += 1;
                    self.after_cr = true;
                }
                None => {}
            }
            if self.line >= self.line_limit {
                return Err(Fault::LongLine);
            }
        }
        Ok(())
    }

    /// There is no more.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.after_cr { Err(Fault::BareLineEnd) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inspect(body: BodyType, octets: &[u8], cuts: &[usize]) -> Result<(), Fault> {
        let mut inspector = Inspector::new(body, 8);
        let mut from = 0;
        for to in cuts.iter().copied().chain([octets.len()]) {
            inspector.inspect(&octets[from..to.max(from)])?;
            from = to.max(from);
        }
        inspector.finish()
    }

    #[test]
    fn text_has_whole_line_ends_and_short_lines_and_binary_content_only_in_its_header() {
        let (bare, long) = (Err(Fault::BareLineEnd), Err(Fault::LongLine));
        for (octets, text, binary) in [
            (&b"a: b\r\n\r\nbody\r\n"[..], Ok(()), Ok(())),
            (b"a: b\r\n\r\nbody", Ok(()), Ok(())),
            (b"", Ok(()), Ok(())),
            (b"\r\na\nb", bare, Ok(())),
            (b"a:b\r\n\r\na\rb\n", bare, Ok(())),
            (b"a: b\n\nbody", bare, bare),
            (b"a: b\r\r\n", bare, bare),
            (b"a: b\r", bare, bare),
            (b"\r\n.\r", bare, Ok(())),
            (b"a: 456\r\n", Ok(()), Ok(())),
            (b"a: 4567\r\n", long, long),
            (b"\r\n123456789", long, Ok(())),
        ] {
            let each: Vec<usize> = (0..octets.len()).collect();
            for cuts in [&[][..], &each] {
                let shown = String::from_utf8_lossy(octets);
                assert_eq!(inspect(BodyType::EightBitMime, octets, cuts), text, "text {shown:?}");
                assert_eq!(inspect(BodyType::BinaryMime, octets, cuts), binary, "binary {shown:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn cutting_the_content_changes_nothing(octets in "[\r\n.ab]{0,30}", mut cuts in prop::collection::vec(0usize..30, 0..9)) {
            cuts.retain(|cut| *cut <= octets.len());
            cuts.sort_unstable();
            for body in [BodyType::SevenBit, BodyType::BinaryMime] {
                prop_assert_eq!(inspect(body, octets.as_bytes(), &cuts), inspect(body, octets.as_bytes(), &[]));
            }
        }
    }
}
