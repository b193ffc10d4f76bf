//! A client: one connection, and one message after the other over it.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::QueueId;
use fulmar_core::platform::{Instant, Net, Stream, Target};
use fulmar_tests::sim::Simulator;
use fulmar_tests::world::plan::account;
use futures::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::tally::{Taken, Tally};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(20);
/// Pause after a refusal or a broken connection.
const PAUSE: Duration = Duration::from_secs(1);
/// Octets of replies that are read at a time.
const BUFFER: usize = 512;

pub(super) struct Client {
    pub(super) simulator: Simulator,
    pub(super) net: Arc<dyn Net>,
    pub(super) server: SocketAddr,
    /// To which of them a message goes is drawn.
    pub(super) accounts: Range<usize>,
    /// In its transport form, with its end.
    pub(super) content: Arc<[u8]>,
    pub(super) tally: Arc<Tally>,
    pub(super) from: Duration,
    /// No message is begun later.
    pub(super) until: Duration,
}

impl Client {
    /// Sends until its time is over.
    pub(super) async fn run(self) {
        self.simulator.sleep_until(self.from).await;
        while self.simulator.now() < self.until {
            if self.session().await.is_err() {
                self.simulator.sleep(PAUSE).await;
            }
        }
    }

    async fn session(&self) -> io::Result<()> {
        let deadline = Instant::from_origin(self.simulator.now() + CONNECT);
        let stream = self.net.connect(&Target::Address(self.server), deadline).await?;
        let mut stream = BufReader::with_capacity(BUFFER, stream);
        expect(&mut stream, "220").await?;
        stream.write_all(b"EHLO client.test\r\n").await?;
        expect(&mut stream, "250").await?;
        while self.simulator.now() < self.until {
            self.transaction(&mut stream).await?;
        }
        stream.write_all(b"QUIT\r\n").await?;
        expect(&mut stream, "221").await?;
        Ok(())
    }

    async fn transaction(&self, stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<()> {
        let number = self.accounts.start + self.simulator.chance(|dice| dice.below(self.accounts.len()));
        let to = account(number);
        let commands = format!("MAIL FROM:<client@client.test>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        let began = self.simulator.now();
        stream.write_all(commands.as_bytes()).await?;
        let answer = async {
            expect(stream, "250").await?;
            expect(stream, "250").await?;
            expect(stream, "354").await?;
            let begun = self.simulator.now() - began;
            stream.write_all(&self.content).await?;
            let sent = self.simulator.now();
            let reply = expect(stream, "250").await?;
            let at = self.simulator.now();
            let queue_id = reply.split(' ').nth(2).and_then(|id| id.parse::<QueueId>().ok());
            let queue_id = queue_id.ok_or(io::ErrorKind::InvalidData)?;
            self.tally.taken(Taken { queue_id, at, begun, latency: at - sent });
            Ok(())
        };
        answer.await.inspect_err(|_| self.tally.refused(self.simulator.now()))
    }
}

/// The last line of a reply, which must have this code.
async fn expect(stream: &mut BufReader<Box<dyn Stream>>, code: &str) -> io::Result<String> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            let is_expected = line.starts_with(code);
            return if is_expected { Ok(line) } else { Err(io::Error::other(line)) };
        }
    }
}
