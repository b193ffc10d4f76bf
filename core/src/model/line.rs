//! Command lines out of a stream of octets.

use memchr::memchr;

/// Collects one command line at a time, within a limit.
#[derive(Debug)]
pub struct LineBuffer {
    octets: Vec<u8>,
    /// Octets of a line with its CRLF.
    limit: usize,
    /// Whether the current line is over the limit; the rest of it is swallowed.
    is_too_long: bool,
}

/// A line that has come to its LF.
#[derive(Debug)]
pub enum Line {
    /// Without its CRLF.
    Whole(Vec<u8>),
    /// It was over the limit.
    TooLong,
    /// Its LF had no CR before it.
    BareLf,
}

impl LineBuffer {
    /// For lines of at most this many octets, their CRLF included.
    pub fn new(limit: usize) -> Self {
        Self { octets: Vec::new(), limit, is_too_long: false }
    }

    /// Lines that end after this may have so many octets.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes octets from the front of `input`, up to and with the next LF. Nothing where there is none yet.
    pub fn take(&mut self, input: &mut &[u8]) -> Option<Line> {
        let end = memchr(b'\n', input);
        let (octets, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        *input = rest;
        if self.octets.len() + octets.len() > self.limit {
            self.is_too_long = true;
            self.octets.clear();
        }
        if !self.is_too_long {
            self.octets.extend_from_slice(octets);
        }
        end.map(|_| self.finish())
    }

    fn finish(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.octets);
        if std::mem::take(&mut self.is_too_long) {
            return Line::TooLong;
        }
        match line.strip_suffix(b"\r\n").map(<[u8]>::len) {
            Some(length) => {
                line.truncate(length);
                Line::Whole(line)
            }
            None => Line::BareLf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_never_ends_takes_no_memory() {
        let mut buffer = LineBuffer::new(512);
        for _ in 0..1000 {
            assert!(buffer.take(&mut &[b'x'; 100][..]).is_none());
            assert!(buffer.octets.len() <= 512);
        }
        let mut input = &b"x\r\nNOOP\r\n"[..];
        assert!(matches!(buffer.take(&mut input), Some(Line::TooLong)));
        assert!(matches!(buffer.take(&mut input), Some(Line::Whole(line)) if line == b"NOOP"));
    }

    #[test]
    fn the_limit_counts_the_crlf() {
        for (length, fits) in [(510, true), (511, false)] {
            let line = [&vec![b'x'; length][..], b"\r\n"].concat();
            let taken = LineBuffer::new(512).take(&mut &line[..]);
            assert_eq!(matches!(taken, Some(Line::Whole(_))), fits);
        }
    }
}
