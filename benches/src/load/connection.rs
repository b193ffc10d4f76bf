//! One connection as an SMTP client has it: commands out, replies in, each read for the command it answers.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use async_io::Timer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fulmar_core::transport::TlsClient;
use smol::future::or;

use super::options::Options;
use super::reply::{Garbage, Replies, Reply};
use super::stream::Stream;
use super::tally::{Phase, Trouble};

/// RFC 5321 §4.1.1.1
const EHLO: &[u8] = b"EHLO load.invalid\r\n";
/// RFC 5321 §4.2.1: the service closes the connection.
pub(super) const CLOSING: u16 = 421;

/// A connection on which EHLO was answered.
pub(super) struct Connection {
    stream: Stream,
    replies: Replies,
    pub(super) extensions: Extensions,
}

/// What the server announced (RFC 5321 §4.1.1.1), as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// RFC 2920 §3
    pub(super) pipelining: bool,
    /// RFC 1870 §3
    pub(super) size: bool,
    /// RFC 3207 §2
    pub(super) starttls: bool,
}

/// Why a step did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Refused(u16),
    Failed(Trouble),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Failed(Trouble::Cut)
    }
}

impl From<Garbage> for Stop {
    fn from(_: Garbage) -> Self {
        Self::Failed(Trouble::Garbage)
    }
}

impl Connection {
    /// Connects, and goes as far as the reply to the EHLO that counts, or to AUTH.
    pub(super) async fn open(
        options: &Options,
        tls: Option<&TlsClient>,
        progress: &Progress,
    ) -> Result<Self, Stop> {
        progress.begin(Phase::Connect);
        let mut stream = Stream::connect(options.to).await?;
        if let Some(tls) = tls.filter(|_| options.tls) {
            progress.begin(Phase::Tls);
            stream = stream.secured(tls).await?;
            progress.begin(Phase::Connect);
        }
        let mut connection = Self { stream, replies: Replies::new(), extensions: Extensions::default() };
        completed(connection.reply().await?)?;
        connection.ehlo(progress).await?;
        if let Some(tls) = tls.filter(|_| options.starttls) {
            connection = connection.starttls(tls, progress).await?;
        }
        connection.extensions.pipelining &= options.pipelining;
        if let (Some(user), Some(password)) = (&options.user, &options.password) {
            connection.log_in(user, password, progress).await?;
        }
        Ok(connection)
    }

    /// RFC 4954 §4, with the mechanism of RFC 4616 §2.
    async fn log_in(&mut self, user: &str, password: &str, progress: &Progress) -> Result<(), Stop> {
        progress.begin(Phase::Auth);
        let response = STANDARD.encode(format!("\0{user}\0{password}"));
        self.write(&mut [IoSlice::new(format!("AUTH PLAIN {response}\r\n").as_bytes())]).await?;
        completed(self.reply().await?)
    }

    async fn ehlo(&mut self, progress: &Progress) -> Result<(), Stop> {
        progress.begin(Phase::Ehlo);
        self.write(&mut [IoSlice::new(EHLO)]).await?;
        let (code, extensions) = self.reply_as(|reply| (reply.code, Extensions::of(reply.lines))).await?;
        completed(code)?;
        self.extensions = extensions;
        Ok(())
    }

    /// RFC 3207 §4.2: what was announced before counts no more.
    async fn starttls(mut self, tls: &TlsClient, progress: &Progress) -> Result<Self, Stop> {
        progress.begin(Phase::StartTls);
        if !self.extensions.starttls {
            return Err(Stop::Failed(Trouble::Unexpected));
        }
        self.write(&mut [IoSlice::new(b"STARTTLS\r\n")]).await?;
        completed(self.reply().await?)?;
        if !self.replies.is_empty() {
            return Err(Garbage.into());
        }
        progress.begin(Phase::Tls);
        self.stream = self.stream.secured(tls).await?;
        self.ehlo(progress).await?;
        Ok(self)
    }

    /// Writes at once what asks for a reply. A reply that was there before cannot be the one to it: the server may say 421 at
    /// any time (RFC 5321 §3.8), and nothing else.
    pub(super) async fn write(&mut self, pieces: &mut [IoSlice<'_>]) -> Result<(), Stop> {
        if !self.replies.is_empty() {
            return Err(match self.replies.take()? {
                Some(Reply { code: CLOSING, .. }) => Stop::Refused(CLOSING),
                _ => Garbage.into(),
            });
        }
        match self.stream.write(pieces).await {
            Ok(()) => Ok(()),
            // It may have said why before it hung up.
            Err(_) => match self.reply().await {
                Ok(code @ 400..) => Err(Stop::Refused(code)),
                _ => Err(Stop::Failed(Trouble::Cut)),
            },
        }
    }

    /// The code of the next reply.
    pub(super) async fn reply(&mut self) -> Result<u16, Stop> {
        self.reply_as(|reply| reply.code).await
    }

    async fn reply_as<T>(&mut self, of: impl Fn(Reply<'_>) -> T) -> Result<T, Stop> {
        loop {
            if let Some(reply) = self.replies.take()? {
                return Ok(of(reply));
            }
            match self.stream.read(self.replies.space()?).await? {
                0 => return Err(Stop::Failed(Trouble::Cut)),
                octets => self.replies.received(octets),
            }
        }
    }

    /// Whether the server has said nothing since, and keeps the connection.
    pub(super) async fn is_silent(&mut self) -> bool {
        self.replies.is_empty() && self.stream.is_silent().await
    }
}

impl Extensions {
    fn of(lines: &[u8]) -> Self {
        let mut extensions = Self::default();
        for line in lines.split(|octet| *octet == b'\n').skip(1) {
            let keyword = line.get(4..).unwrap_or_default();
            let keyword = keyword.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            match keyword.to_ascii_uppercase().as_slice() {
                b"PIPELINING" => extensions.pipelining = true,
                b"SIZE" => extensions.size = true,
                b"STARTTLS" => extensions.starttls = true,
                _ => {}
            }
        }
        extensions
    }
}

/// What a reply means where only success and refusal can be (RFC 5321 §4.3.2).
pub(super) fn completed(code: u16) -> Result<(), Stop> {
    match code / 100 {
        2 => Ok(()),
        4 | 5 => Err(Stop::Refused(code)),
        _ => Err(Stop::Failed(Trouble::Unexpected)),
    }
}

/// Where a session is, and since when.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Cell<Phase>,
    since: Cell<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { phase: Cell::new(Phase::Connect), since: Cell::new(Instant::now()) }
    }

    /// A step begins, with all of its time before it.
    pub(super) fn begin(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// The same step goes on.
    pub(super) fn pass(&self, phase: Phase) {
        self.phase.set(phase);
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// When the step began.
    pub(super) fn since(&self) -> Instant {
        self.since.get()
    }
}

/// Bounds the steps of a session. Its one timer is set again only when it has gone off, and not for every step: that
/// would cost more than the step.
pub(super) struct Watch<'a> {
    progress: &'a Progress,
    limit: Duration,
    timer: Timer,
}

impl<'a> Watch<'a> {
    pub(super) fn new(progress: &'a Progress, limit: Duration) -> Self {
        Self { progress, limit, timer: Timer::after(limit) }
    }

    /// Does this work, unless a step of it takes too long.
    pub(super) async fn over<T>(&mut self, work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
        or(work, async {
            self.overdue().await;
            Err(Stop::Failed(Trouble::Timeout))
        })
        .await
    }

    async fn overdue(&mut self) {
        loop {
            (&mut self.timer).await;
            let (now, due) = (Instant::now(), self.progress.since() + self.limit);
            // A timer that has gone off is dead until it is set again.
            if now >= due {
                self.timer.set_at(now + self.limit);
                return;
            }
            self.timer.set_at(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_keywords_on_the_lines_after_the_first() {
        let pipelining = Extensions { pipelining: true, ..Extensions::default() };
        for (lines, expected) in [
            ("250-PIPELINING\r\n250 mx\r\n", Extensions::default()),
            ("250-mx\r\n250 PIPELINING\r\n", pipelining),
            ("250-mx\r\n250-XPIPELINING\r\n250-pipelining\r\n250 8BITMIME\r\n", pipelining),
            (
                "250-mx\r\n250-SIZE 1000\r\n250 STARTTLS\r\n",
                Extensions { pipelining: false, size: true, starttls: true },
            ),
            ("250-mx\r\n250-\r\n250 PIPELININGS\r\n", Extensions::default()),
            ("250\r\n", Extensions::default()),
        ] {
            assert_eq!(Extensions::of(lines.as_bytes()), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_success_and_refusal_answer_a_command() {
        for (code, expected) in [
            (250, Ok(())),
            (252, Ok(())),
            (354, Err(Stop::Failed(Trouble::Unexpected))),
            (421, Err(Stop::Refused(421))),
            (550, Err(Stop::Refused(550))),
        ] {
            assert_eq!(completed(code), expected, "{code}");
        }
    }
}
