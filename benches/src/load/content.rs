//! What is sent: commands and contents, as octets that are ready before a transaction begins.
//!
//! A content is three pieces that go into one vectored write: its own header block, lines out of a pool that all messages
//! share, and a last line that brings it to its exact size, with the final dot. No line begins with a dot, so that a
//! content has as many octets on the wire as in a mailbox.

use std::fmt::Write;
use std::ops::Range;

use fulmar_core::model::UtcTime;
use fulmar_tests::dice::Dice;

use super::options::Options;
use super::sizes::Sizes;

/// Octets of a line with its CRLF. RFC 5322 §2.1.1 would have at most 80.
const LINE: usize = 64;
pub(super) const FINAL_DOT: &[u8] = b".\r\n";
const DIGITS: usize = 12;
/// What lines are made of: as base64, and thus as hard to compress.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The contents of a run.
#[derive(Debug)]
pub(super) struct Contents {
    sizes: Sizes,
    /// A header block, whose number is to be filled in.
    head: Vec<u8>,
    number_at: Range<usize>,
    lines: Vec<u8>,
    /// A line long enough for any last one, then the final dot.
    last: Vec<u8>,
}

/// The sizes that were asked for leave no room for the header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a content needs at least {least} octets")]
pub struct TooSmall {
    least: usize,
}

/// What stands in the `Message-ID` field of message `number` of a run (RFC 5322 §3.6.4).
pub fn message_id(run: u128, number: u64) -> String {
    format!("<{number:0DIGITS$}.{run:x}@load.invalid>")
}

impl Contents {
    /// For a run that began at `date`.
    pub(super) fn new(options: &Options, date: UtcTime, run: u128) -> Result<Self, TooSmall> {
        let sizes = Sizes::new(options.size, options.seed);
        let mut dice = Dice::new(options.seed);
        let mut line = || -> Vec<u8> {
            let text = (2..LINE).map(|_| ALPHABET[dice.below(ALPHABET.len())]);
            text.chain(*b"\r\n").collect()
        };
        let head = format!("Message-ID: {}\r\n", message_id(run, 0));
        let number_at = 13..13 + DIGITS;
        let head = format!(
            "{head}Date: {}\r\nFrom: <{}>\r\nTo: undisclosed-recipients:;\r\nSubject: load\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\n\r\n",
            date.to_rfc5322(),
            if options.from.is_empty() { "load@load.invalid" } else { &options.from },
        );
        // An empty line at least, so that no last line is of one octet.
        let least = head.len() + 2;
        if sizes.least() < least {
            return Err(TooSmall { least });
        }
        let lines = (0..sizes.most() / LINE).flat_map(|_| line()).collect();
        let mut last = line();
        last.insert(0, ALPHABET[0]);
        last.extend(FINAL_DOT);
        Ok(Self { sizes, head: head.into(), number_at, lines, last })
    }

    /// The size of content `number`, in octets.
    pub(super) fn octets(&self, number: u64) -> usize {
        self.sizes.of(number)
    }

    /// A header block that [`Self::content`] fills in.
    pub(super) fn head(&self) -> Vec<u8> {
        self.head.clone()
    }

    /// Content `number` and the final dot, to be written in this order; its header block is put into `head`.
    pub(super) fn content<'a>(&'a self, number: u64, head: &'a mut [u8]) -> [&'a [u8]; 3] {
        let mut rest = number;
        for digit in head[self.number_at.clone()].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let body = self.octets(number) - head.len();
        let last = match body % LINE {
            // No line is of one octet: the last of the others joins it.
            1 => LINE + 1,
            last => last,
        };
        let last_at = self.last.len() - FINAL_DOT.len() - last;
        [head, &self.lines[..body - last], &self.last[last_at..]]
    }
}

/// The commands of a transaction up to DATA, in a buffer that is used again.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    text: String,
}

impl Envelope {
    /// Puts in the commands of message `number`; its size is declared where the server wants to know it (RFC 1870 §6).
    pub(super) fn fill(&mut self, options: &Options, number: u64, declared: Option<usize>) {
        let text = &mut self.text;
        text.clear();
        // Writing to a String never fails.
        let _ = write!(text, "MAIL FROM:<{}>", options.from);
        if let Some(octets) = declared {
            let _ = write!(text, " SIZE={octets}");
        }
        text.push_str("\r\n");
        let known = options.rcpt.len() as u64;
        for at in 0..options.recipients {
            let address = &options.rcpt[((number * options.recipients + at) % known) as usize];
            let _ = match at / known {
                0 => write!(text, "RCPT TO:<{address}>\r\n"),
                round => write!(text, "RCPT TO:<{round}{address}>\r\n"),
            };
        }
        text.push_str("DATA\r\n");
    }

    /// All commands, for one write.
    pub(super) fn octets(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The commands one by one.
    pub(super) fn commands(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split_inclusive('\n').map(str::as_bytes)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn options(line: &str) -> Options {
        Options::try_parse_from(
            ["load", "--to", "[::1]:25", "--messages=1"].into_iter().chain(line.split(' ')),
        )
        .unwrap()
    }

    fn text(contents: &Contents, number: u64) -> String {
        let mut head = contents.head();
        let whole = String::from_utf8(contents.content(number, &mut head).concat()).unwrap();
        assert_eq!(whole.len(), contents.octets(number) + FINAL_DOT.len());
        whole
    }

    #[test]
    fn every_size_is_met_to_the_octet_by_proper_lines() {
        for octets in 1_000..1_000 + 3 * LINE {
            let options = options(&format!("--rcpt=a@b --size={octets}"));
            let contents = Contents::new(&options, UtcTime(0), 1).unwrap();
            let whole = text(&contents, 3);
            let content = whole.strip_suffix(".\r\n").unwrap();
            assert_eq!(content.len(), octets);
            for line in content.strip_suffix("\r\n").unwrap().split("\r\n") {
                assert!(line.len() < LINE * 2 && !line.starts_with('.'), "{octets}: {line:?}");
                assert!(!line.contains(['\r', '\n']), "{octets}: {line:?}");
            }
        }
    }

    #[test]
    fn every_message_has_a_number_of_its_own() {
        let contents = Contents::new(&options("--rcpt=a@b"), UtcTime(0), 0xabc).unwrap();
        for (number, id) in [(0, "000000000000"), (42, "000000000042"), (123_456_789_012, "123456789012")] {
            let expected = format!("Message-ID: <{id}.abc@load.invalid>\r\n");
            assert!(text(&contents, number).starts_with(&expected));
        }
    }

    #[test]
    fn a_size_without_room_for_the_header_block_is_refused() {
        let least = Contents::new(&options("--rcpt=a@b --size=1"), UtcTime(0), 1).unwrap_err().least;
        let with = |octets| Contents::new(&options(&format!("--rcpt=a@b --size={octets}")), UtcTime(0), 1);
        assert!(with(least - 1).is_err());
        assert!(text(&with(least).unwrap(), 0).ends_with("\r\n\r\n\r\n.\r\n"));
    }

    #[test]
    fn recipients_take_turns_and_are_numbered_when_there_are_too_few() {
        let cases: [(&str, u64, &[&str]); 4] = [
            ("--rcpt=a@x --rcpt=b@x", 0, &["a@x"]),
            ("--rcpt=a@x --rcpt=b@x", 3, &["b@x"]),
            ("--rcpt=a@x --rcpt=b@x --rcpt=c@x --recipients=2", 1, &["c@x", "a@x"]),
            ("--rcpt=a@x --rcpt=b@x --recipients=5", 0, &["a@x", "b@x", "1a@x", "1b@x", "2a@x"]),
        ];
        for (line, number, expected) in cases {
            let mut envelope = Envelope::default();
            envelope.fill(&options(line), number, Some(9));
            let mut commands = vec!["MAIL FROM:<load@load.invalid> SIZE=9\r\n".to_owned()];
            commands.extend(expected.iter().map(|address| format!("RCPT TO:<{address}>\r\n")));
            commands.push("DATA\r\n".to_owned());
            let filled: Vec<_> =
                envelope.commands().map(|command| String::from_utf8_lossy(command)).collect();
            assert_eq!(filled, commands, "{line}");
            assert_eq!(envelope.octets(), commands.concat().as_bytes());
        }
    }
}
