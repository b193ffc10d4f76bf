//! A client that sends one message after the other, and takes down what it is told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::QueueId;
use fulmar_core::platform::{Instant, Net, Stream, Target};
use fulmar_tests::sim::Simulator;
use futures::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(20);
/// Pause after a refusal.
const PAUSE: Duration = Duration::from_secs(2);

/// See the module. `told` hears what became of each message.
pub(super) struct Client {
    pub(super) simulator: Simulator,
    pub(super) net: Arc<dyn Net>,
    pub(super) server: SocketAddr,
    pub(super) to: String,
    /// In its transport form, with its end.
    pub(super) content: Vec<u8>,
    pub(super) from: Duration,
    /// No message is begun later.
    pub(super) until: Duration,
    pub(super) told: Box<dyn Fn(Told) + Send + Sync>,
}

/// What a client is told about one message.
pub(super) enum Told {
    Accepted(QueueId),
    /// Before the content, with this reply.
    RefusedEarly(String),
    /// After it.
    RefusedLate(String),
}

impl Client {
    pub(super) async fn run(self) {
        self.simulator.sleep_until(self.from).await;
        self.session().await.expect("a connection that holds");
    }

    async fn session(&self) -> io::Result<()> {
        let deadline = Instant::from_origin(self.simulator.now() + CONNECT);
        let stream = self.net.connect(&Target::Address(self.server), deadline).await?;
        let mut stream = BufReader::new(stream);
        reply(&mut stream).await?;
        stream.write_all(b"EHLO client.test\r\n").await?;
        reply(&mut stream).await?;
        while self.simulator.now() < self.until {
            let told = self.transaction(&mut stream).await?;
            let is_refused = !matches!(told, Told::Accepted(_));
            (self.told)(told);
            if is_refused {
                stream.write_all(b"RSET\r\n").await?;
                reply(&mut stream).await?;
                self.simulator.sleep(PAUSE).await;
            }
        }
        stream.write_all(b"QUIT\r\n").await?;
        reply(&mut stream).await.map(drop)
    }

    async fn transaction(&self, stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Told> {
        let rcpt = format!("RCPT TO:<{}>\r\n", self.to);
        for (command, expected) in
            [("MAIL FROM:<client@client.test>\r\n", "250"), (rcpt.as_str(), "250"), ("DATA\r\n", "354")]
        {
            stream.write_all(command.as_bytes()).await?;
            let reply = reply(stream).await?;
            if !reply.starts_with(expected) {
                return Ok(Told::RefusedEarly(reply));
            }
        }
        stream.write_all(&self.content).await?;
        let reply = reply(stream).await?;
        let id = reply.strip_prefix("250 2.0.0 ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        Ok(id.map_or(Told::RefusedLate(reply), Told::Accepted))
    }
}

/// The last line of the next reply.
async fn reply(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<String> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}
