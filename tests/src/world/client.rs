//! Clients of SMTP: each keeps a message until it is told that it was taken, or that it never will be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::platform::{Instant, Net, Stream, Target};
use futures::future::{Either, select};
use futures::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use futures::pin_mut;

use super::content::stuffed;
use super::history::Answer;
use super::plan::Message;
use crate::sim::Simulator;

/// How long a client waits for one reply, but for the last.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long it waits for the last one.
const LONG_PATIENCE: Duration = Duration::from_mins(5);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(20);

/// What one attempt came to.
#[derive(Debug)]
pub struct Attempt {
    /// Whether the whole content and its end were sent.
    pub is_whole: bool,
    /// What the client was told.
    pub answer: Answer,
}

/// A client of one message.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its time.
    pub simulator: Simulator,
    /// What it sends.
    pub message: Arc<Message>,
    /// The same, as composed.
    pub content: Arc<Vec<u8>>,
}

impl Client {
    /// Tries to hand the message to the server at an address. One that `cuts` goes away after the final dot.
    pub async fn attempt(&self, net: &dyn Net, server: SocketAddr, cuts: bool) -> Attempt {
        let mut is_whole = false;
        let answer = self.transact(net, server, cuts, &mut is_whole).await;
        let answer = answer.unwrap_or_else(|error| Answer::Later(error.to_string()));
        Attempt { is_whole, answer }
    }

    async fn transact(
        &self,
        net: &dyn Net,
        server: SocketAddr,
        cuts: bool,
        is_whole: &mut bool,
    ) -> io::Result<Answer> {
        let deadline = Instant::from_origin(self.simulator.now() + CONNECT);
        let stream = net.connect(&Target::Address(server), deadline).await?;
        let mut stream = BufReader::new(stream);
        let greeting = self.reply(&mut stream, PATIENCE).await?;
        if let Some(answer) = unlike(&greeting, "220") {
            return Ok(answer);
        }
        if let Some(answer) = self.begin(&mut stream).await? {
            return Ok(answer);
        }
        let content = stuffed(&self.content);
        self.before(LONG_PATIENCE, async {
            stream.write_all(&content).await?;
            stream.flush().await
        })
        .await?;
        *is_whole = true;
        if cuts {
            return Err(io::Error::other("the client has cut after the final dot"));
        }
        let last = self.reply(&mut stream, LONG_PATIENCE).await?;
        let queue_id = last.strip_prefix("250 2.0.0 ").and_then(|rest| rest.split(' ').next());
        match queue_id.and_then(|id| id.parse().ok()) {
            Some(id) => {
                // Whether it hears that is the server's affair.
                let _ = stream.write_all(b"QUIT\r\n").await;
                Ok(Answer::Taken(id))
            }
            None => Ok(unlike(&last, "250").unwrap_or(Answer::Later(last))),
        }
    }

    /// Everything up to the 354, in one go or step by step. Gives an answer that ends it.
    async fn begin(&self, stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Option<Answer>> {
        let Message { reverse_path, recipients, is_pipelined, .. } = &*self.message;
        let mut commands = vec![("EHLO client.test".to_owned(), "250")];
        commands.push((format!("MAIL FROM:<{reverse_path}>"), "250"));
        commands.extend(recipients.iter().map(|recipient| (format!("RCPT TO:<{recipient}>"), "250")));
        commands.push(("DATA".to_owned(), "354"));
        // RFC 2920 §3.1: EHLO first, and its reply awaited.
        let (first, rest) = commands.split_at(1);
        let groups: Vec<&[(String, &str)]> =
            if *is_pipelined { vec![first, rest] } else { commands.chunks(1).collect() };
        let mut refused = None;
        for group in groups {
            let lines: String = group.iter().map(|(line, _)| format!("{line}\r\n")).collect();
            self.before(PATIENCE, async {
                stream.write_all(lines.as_bytes()).await?;
                stream.flush().await
            })
            .await?;
            for (_, expected) in group {
                let reply = self.reply(stream, PATIENCE).await?;
                refused = refused.or(unlike(&reply, expected));
            }
            if refused.is_some() {
                break;
            }
        }
        Ok(refused)
    }

    /// One reply; its last line where there are several.
    async fn reply(&self, stream: &mut BufReader<Box<dyn Stream>>, patience: Duration) -> io::Result<String> {
        self.before(patience, async {
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                if !line.ends_with('\n') {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                if line.as_bytes().get(3) != Some(&b'-') {
                    return Ok(line.trim_end().to_owned());
                }
            }
        })
        .await
    }

    async fn before<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let late = self.simulator.sleep(patience);
        pin_mut!(work);
        match select(work, late).await {
            Either::Left((done, _)) => done,
            Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// What a reply means that is not the one that was expected.
fn unlike(reply: &str, expected: &str) -> Option<Answer> {
    if reply.starts_with(expected) {
        None
    } else if reply.starts_with('5') {
        Some(Answer::Refused(reply.to_owned()))
    } else {
        Some(Answer::Later(reply.to_owned()))
    }
}
