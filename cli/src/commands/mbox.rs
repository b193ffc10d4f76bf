//! Messages in mbox format, the variant in which quoting can be undone: every line of `>`s before `From ` gets one more.

use std::io::{self, Write};

use fulmar_core::model::UtcTime;

/// Writes one message as it comes in pieces, with LF line ends.
pub(super) struct MboxWriter<'a, W> {
    out: &'a mut W,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
}

impl<'a, W: Write> MboxWriter<'a, W> {
    /// Begins a message that arrived then.
    pub(super) fn begin(out: &'a mut W, received: UtcTime) -> io::Result<Self> {
        writeln!(out, "From MAILER-DAEMON {}", asctime(received))?;
        Ok(Self { out, line: Vec::new() })
    }

    /// Takes the next piece.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        for part in piece.split_inclusive(|octet| *octet == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(())
    }

    /// Ends the message.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        writeln!(self.out)
    }

    fn end_line(&mut self) -> io::Result<()> {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            self.out.write_all(b">")?;
        }
        self.out.write_all(line)?;
        self.out.write_all(b"\n")?;
        self.line.clear();
        Ok(())
    }
}

/// `Sun Nov 22 00:12:27 2026`, out of `Sun, 22 Nov 2026 00:12:27 +0000`.
fn asctime(time: UtcTime) -> String {
    let date = time.to_rfc5322();
    let words: Vec<&str> = date.split_whitespace().collect();
    match words[..] {
        [weekday, day, month, year, clock, _] => {
            let (weekday, day) = (weekday.trim_end_matches(','), day.trim_start_matches('0'));
            format!("{weekday} {month} {day:>2} {clock} {year}")
        }
        _ => date,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cut_anywhere_give_the_same_quoted_message() {
        let message = b"A: b\r\n\r\nFrom here\r\n>From there\r\n From\r\nlast";
        let expected = "From MAILER-DAEMON Sun Nov 22 00:12:27 2026\n\
                        A: b\n\n>From here\n>>From there\n From\nlast\n\n";
        for size in 1..=message.len() {
            let mut out = Vec::new();
            let mut writer = MboxWriter::begin(&mut out, UtcTime(1_795_306_347_500)).unwrap();
            for piece in message.chunks(size) {
                writer.write(piece).unwrap();
            }
            writer.finish().unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{size}");
        }
    }

    #[test]
    fn the_day_of_the_month_takes_two_columns() {
        assert_eq!(asctime(UtcTime(0)), "Thu Jan  1 00:00:00 1970");
    }
}
