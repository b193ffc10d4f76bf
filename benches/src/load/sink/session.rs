//! One connection of the sink.

use std::io::{self, IoSlice};
use std::ops::Range;

use async_io::Timer;
use memchr::memmem;

use super::{State, Verdict};
use crate::load::stream::Stream;

/// Octets that a connection reads at a time; no command is longer.
const BUFFER: usize = 32 << 10;
const GREETING: &[u8] = b"220 sink.invalid ESMTP\r\n";
const EXTENSIONS: &[u8] = b"250-sink.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n";
const OK: &[u8] = b"250 2.0.0 ok\r\n";
const GO_AHEAD: &[u8] = b"354 go ahead\r\n";
const BYE: &[u8] = b"221 2.0.0 bye\r\n";
const CANNOT_VERIFY: &[u8] = b"252 2.1.5 send it and see\r\n";
const UNKNOWN: &[u8] = b"500 5.5.2 unknown command\r\n";
const OUT_OF_ORDER: &[u8] = b"503 5.5.1 out of order\r\n";
const NO_RECIPIENTS: &[u8] = b"554 5.5.1 no recipients\r\n";
/// RFC 5321 §4.2.1
const CLOSING: u16 = 421;
const CRLF: &[u8] = b"\r\n";
/// What begins the end of a content, and every line of it that began with a dot (RFC 5321 §4.5.2).
const LINE_WITH_DOT: &[u8] = b"\r\n.";
/// With the CRLF of the line before (RFC 5321 §4.1.1.4).
const END: &[u8] = b"\r\n.\r\n";

/// Greets, and serves until the client says QUIT or is gone.
pub(super) async fn serve(stream: &mut Stream, state: &State) -> io::Result<()> {
    stream.write(&mut [IoSlice::new(GREETING)]).await?;
    converse(stream, state).await
}

/// The same without a greeting, as after STARTTLS.
pub(super) async fn converse(stream: &mut Stream, state: &State) -> io::Result<()> {
    let mut input = Input { stream, octets: vec![0; BUFFER].into(), unread: 0..0 };
    let mut replies = Vec::new();
    // How many recipients there are, once there is a reverse-path.
    let mut recipients: Option<u64> = None;
    loop {
        let Some(line) = input.line() else {
            // All commands of a group are answered at once (RFC 2920 §3.2).
            input.answer(&mut replies).await?;
            input.read().await?;
            continue;
        };
        let verb = input.octets[line.clone()].get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply = match (&verb[..], recipients) {
            (b"EHLO", _) => {
                recipients = None;
                EXTENSIONS
            }
            (b"HELO" | b"RSET", _) => {
                recipients = None;
                OK
            }
            (b"NOOP", _) => OK,
            (b"VRFY", _) => CANNOT_VERIFY,
            (b"MAIL", None) => {
                recipients = Some(0);
                OK
            }
            (b"RCPT", Some(count)) => {
                recipients = Some(count + 1);
                OK
            }
            (b"DATA", Some(0)) => NO_RECIPIENTS,
            (b"DATA", Some(count)) => {
                replies.extend(GO_AHEAD);
                input.answer(&mut replies).await?;
                // The CRLF of DATA stays: a content may begin with the final dot.
                input.unread.start = line.end;
                let octets = input.content().await?;
                recipients = None;
                if !conclude(state, &mut replies, count, octets).await {
                    return input.answer(&mut replies).await;
                }
                continue;
            }
            (b"MAIL" | b"RCPT" | b"DATA", _) => OUT_OF_ORDER,
            (b"QUIT", _) => {
                replies.extend(BYE);
                return input.answer(&mut replies).await;
            }
            _ => UNKNOWN,
        };
        replies.extend(reply);
        input.unread.start = line.end + CRLF.len();
    }
}

/// Decides on a message, and counts it. False when the connection ends with it.
async fn conclude(state: &State, replies: &mut Vec<u8>, recipients: u64, octets: u64) -> bool {
    let verdict = state.verdict();
    if !state.delay.is_zero() {
        Timer::after(state.delay).await;
    }
    match verdict {
        Verdict::Accept => {
            state.count(|counts| {
                counts.messages += 1;
                counts.recipients += recipients;
                counts.octets += octets;
            });
            replies.extend(OK);
            true
        }
        Verdict::Refuse(code) => {
            state.count(|counts| counts.errors += 1);
            replies.extend(format!("{code} {}.0.0 as told\r\n", code / 100).bytes());
            code != CLOSING
        }
        Verdict::Stall => std::future::pending().await,
    }
}

/// What a client says.
struct Input<'a> {
    stream: &'a mut Stream,
    octets: Box<[u8]>,
    unread: Range<usize>,
}

impl Input<'_> {
    /// The first line that is not read yet, without its CRLF.
    fn line(&self) -> Option<Range<usize>> {
        let unread = &self.octets[self.unread.clone()];
        let length = memmem::find(unread, CRLF)?;
        Some(self.unread.start..self.unread.start + length)
    }

    /// Writes the replies that have gathered, if any.
    async fn answer(&mut self, replies: &mut Vec<u8>) -> io::Result<()> {
        if !replies.is_empty() {
            self.stream.write(&mut [IoSlice::new(replies)]).await?;
            replies.clear();
        }
        Ok(())
    }

    /// Reads more. Fails at the end, and where a line does not fit.
    async fn read(&mut self) -> io::Result<()> {
        self.octets.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        // Room for nothing reads nothing: too long a line ends the connection like its own end.
        match self.stream.read(&mut self.octets[self.unread.end..]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            octets => {
                self.unread.end += octets;
                Ok(())
            }
        }
    }

    /// Takes a content with its end; it must begin with the CRLF of the line before. Its octets, as it was before
    /// transport.
    async fn content(&mut self) -> io::Result<u64> {
        let finder = memmem::Finder::new(LINE_WITH_DOT);
        let mut octets = 0;
        loop {
            let unread = &self.octets[self.unread.clone()];
            let (passed, doubled) = match finder.find(unread) {
                Some(at) if unread[at..].starts_with(END) => {
                    self.unread.start += at + END.len();
                    // The CRLF of the line before the content counts for the one of its last line.
                    return Ok(octets + at as u64);
                }
                Some(at) if unread.len() < at + END.len() => (at, 0),
                Some(at) => (at + LINE_WITH_DOT.len(), 1),
                // Its last two octets may be the CRLF before a dot.
                None => (unread.len().saturating_sub(CRLF.len()), 0),
            };
            octets += (passed - doubled) as u64;
            self.unread.start += passed;
            if doubled == 0 {
                self.read().await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};

    use smol::io::{AsyncRead, AsyncWrite};

    use super::*;
    use crate::load::sink::{Counts, Options};

    /// A client that says these pieces, one for each read, and keeps what is said to it.
    struct Script {
        pieces: VecDeque<Vec<u8>>,
        heard: Arc<Mutex<Vec<u8>>>,
    }

    impl AsyncRead for Script {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            space: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some(mut piece) = self.pieces.pop_front() else { return Poll::Ready(Ok(0)) };
            let length = piece.len().min(space.len());
            space[..length].copy_from_slice(&piece[..length]);
            if length < piece.len() {
                self.pieces.push_front(piece.split_off(length));
            }
            Poll::Ready(Ok(length))
        }
    }

    impl AsyncWrite for Script {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
            self.heard.lock().unwrap().extend(octets);
            Poll::Ready(Ok(octets.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What was said to a client that said these pieces, and what was counted.
    fn spoken(pieces: &[&[u8]]) -> (String, Counts) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        let mut stream = Stream::Layered(Box::new(Script { pieces, heard: Arc::clone(&heard) }));
        let listen = "[::1]:25".parse().unwrap();
        let state = State::new(Options { listen, delay: 0, error: None, every: None, stall_every: None });
        smol::block_on(serve(&mut stream, &state)).unwrap();
        let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
        (heard, state.counts.get())
    }

    fn codes(heard: &str) -> Vec<&str> {
        heard.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect()
    }

    #[test]
    fn contents_are_counted_as_they_were_before_transport() {
        let long = "x".repeat(3 * BUFFER);
        for (content, octets) in [
            (".\r\n", 0),
            ("a\r\n.\r\n", 3),
            ("..\r\n.\r\n", 3),
            ("a\r\n..b\r\n\r\n...\r\n.\r\n", 3 + 4 + 2 + 4),
            ("a\r\n.b\r\n.\r\n", 6),
            ("a\n.\nb\r.\r\n.\r\n", 9),
            (&format!("{long}\r\n.\r\n"), long.len() as u64 + 2),
            (&format!("{long}\r\n..\r\n{long}\r\n.\r\n"), 2 * long.len() as u64 + 2 + 3 + 2),
        ] {
            for piece in [1, 2, 3, usize::MAX] {
                let mut pieces: Vec<&[u8]> = vec![b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a>\r\nDATA\r\n"];
                pieces.extend(content.as_bytes().chunks(piece.min(content.len())));
                pieces.push(b"QUIT\r\n");
                let (heard, counts) = spoken(&pieces);
                assert_eq!(codes(&heard), ["220", "250", "250", "250", "354", "250", "221"], "{content:?}");
                assert_eq!(
                    (counts.messages, counts.recipients, counts.octets),
                    (1, 1, octets),
                    "{content:?}"
                );
            }
        }
    }

    #[test]
    fn commands_have_their_order() {
        let commands: &[(&str, &[&str])] = &[
            ("DATA\r\nRCPT TO:<a>\r\nNOOP\r\nnoise\r\nx\r\n", &["503", "503", "250", "500", "500"]),
            ("MAIL FROM:<>\r\nMAIL FROM:<>\r\nDATA\r\n", &["250", "503", "554"]),
            ("mail from:<>\r\nrcpt to:<a>\r\nRSET\r\nDATA\r\n", &["250", "250", "250", "503"]),
        ];
        for (said, expected) in commands {
            let (heard, counts) = spoken(&[said.as_bytes(), b"QUIT\r\n"]);
            let expected = [&["220"], *expected, &["221"]].concat();
            assert_eq!(codes(&heard), expected, "{said}");
            assert_eq!(counts, Counts::default());
        }
    }
}
