//! Other hosts: SMTP servers that follow a script, and take down what they took.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::Address;
use fulmar_core::platform::Stream;
use futures::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::content::Copy;
use super::history::{End, Fact, Node, Recorder, Taking};
use super::plan::{Host, Manner};
use crate::sim::Simulator;

/// How long a host waits for its client.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long one that stalls holds a connection open: longer than any client waits.
const STALL: Duration = Duration::from_mins(25);
/// Octets read at a time.
const BUFFER: usize = 16 << 10;

/// One of the other hosts.
#[derive(Clone, Debug)]
pub struct Remote {
    simulator: Simulator,
    recorder: Recorder,
    number: usize,
    host: Arc<Host>,
    /// What each message is, by its number, to tell whether a copy is one.
    contents: Arc<Vec<Vec<u8>>>,
}

/// Why a session ends, if not by QUIT.
enum Stop {
    /// The client is gone, or has been silent for too long.
    Gone,
    /// The script says so.
    Script,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

struct Session<'a> {
    remote: &'a Remote,
    stream: BufReader<Box<dyn Stream>>,
    node: Option<Node>,
    manner: Manner,
    /// The transaction that has begun.
    open: Option<Taking>,
    /// The fact that the host has ended one, as long as its client has not gone on.
    ended: Option<usize>,
}

impl Remote {
    /// A host that has taken nothing yet.
    pub fn new(
        simulator: Simulator,
        recorder: Recorder,
        number: usize,
        host: Host,
        contents: Arc<Vec<Vec<u8>>>,
    ) -> Self {
        Self { simulator, recorder, number, host: Arc::new(host), contents }
    }

    /// Serves one client until it goes, however it goes.
    pub async fn serve(self, stream: Box<dyn Stream>) {
        let manner = self.manner();
        let stream = BufReader::with_capacity(BUFFER, stream);
        let mut session = Session { remote: &self, stream, node: None, manner, open: None, ended: None };
        let stop = session.run().await;
        session.give_up();
        if matches!((stop, session.manner), (Err(Stop::Script), Manner::Stall)) {
            self.simulator.sleep(STALL).await;
        }
    }

    /// How the next client is treated.
    fn manner(&self) -> Manner {
        if self.simulator.now() >= self.host.behaves_from {
            return Manner::Take;
        }
        let weights = &self.host.manners;
        let total: usize = weights.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.simulator.chance(|dice| dice.below(total));
        for (manner, weight) in weights {
            if drawn < *weight {
                return *manner;
            }
            drawn -= weight;
        }
        Manner::Take
    }
}

impl Session<'_> {
    async fn run(&mut self) -> Result<(), Stop> {
        match self.manner {
            Manner::CutGreeting => return Err(Stop::Script),
            Manner::RefuseGreeting => {
                self.say("554 5.3.2 not now").await?;
                return Err(Stop::Script);
            }
            _ => self.say("220 host.test ESMTP").await?,
        }
        loop {
            let line = self.line().await?;
            self.went_on();
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let reply = match verb.as_str() {
                "EHLO" => {
                    self.node = Node::of(line[4..].trim());
                    "250-host.test\r\n250-PIPELINING\r\n250 8BITMIME".to_owned()
                }
                "MAIL" => self.mail(),
                "RCPT" => self.recipient(&line),
                "DATA" => self.data().await?,
                "RSET" => {
                    self.give_up();
                    "250 2.0.0 ok".to_owned()
                }
                "QUIT" => {
                    self.give_up();
                    self.say("221 2.0.0 bye").await?;
                    return Ok(self.stream.close().await?);
                }
                _ => "250 2.0.0 ok".to_owned(),
            };
            self.say(&reply).await?;
        }
    }

    fn mail(&mut self) -> String {
        if self.manner == Manner::Garbage {
            return "what was that? 250".to_owned();
        }
        if self.manner == Manner::RefuseMail {
            return "451 4.3.0 later".to_owned();
        }
        let began = self.remote.simulator.now();
        self.open = Some(Taking {
            host: self.remote.number,
            node: self.node,
            began,
            ended: began,
            queue_id: None,
            number: None,
            recipients: Vec::new(),
            is_same: false,
            end: End::Not,
        });
        "250 2.1.0 ok".to_owned()
    }

    fn recipient(&mut self, line: &str) -> String {
        let Some(address) = path(line) else { return "501 5.1.3 what?".to_owned() };
        if address.local_part().starts_with("nobody") {
            return "550 5.1.1 nobody of this name".to_owned();
        }
        match (self.manner, &mut self.open) {
            (Manner::RefuseRecipients, _) => "450 4.2.0 later".to_owned(),
            (Manner::RejectRecipients, _) => "550 5.7.1 not from you".to_owned(),
            (_, Some(open)) => {
                open.recipients.push(address);
                "250 2.1.5 ok".to_owned()
            }
            (_, None) => "503 5.5.1 MAIL first".to_owned(),
        }
    }

    async fn data(&mut self) -> Result<String, Stop> {
        if self.open.as_ref().is_none_or(|open| open.recipients.is_empty()) {
            self.give_up();
            return Ok("554 5.5.1 no valid recipients".to_owned());
        }
        if self.manner == Manner::CutData {
            return Err(Stop::Script);
        }
        self.say("354 go ahead").await?;
        let content = self.content().await?;
        let Some(mut open) = self.open.take() else { return Err(Stop::Script) };
        if let Some(copy) = Copy::read(&content) {
            open.queue_id = Some(copy.queue_id);
            open.number = copy.number;
            let sent = copy.number.and_then(|number| self.remote.contents.get(number));
            open.is_same = sent.is_some_and(|sent| sent == copy.content);
        }
        open.end = End::TakenUnheard;
        open.ended = self.remote.simulator.now();
        let reply = match self.manner {
            Manner::RefuseContent => {
                open.end = End::Not;
                "452 4.3.1 later"
            }
            Manner::RejectContent => {
                open.end = End::Not;
                "554 5.6.0 not this"
            }
            Manner::GarbageAfterDot => "yes yes yes",
            _ => "250 2.0.0 taken",
        };
        // At once: a run may end while the connection is idle.
        self.ended = Some(self.remote.recorder.record(Fact::Taken(open)));
        match self.manner {
            Manner::CutAfterDot | Manner::Stall => Err(Stop::Script),
            _ => Ok(reply.to_owned()),
        }
    }

    /// The client has sent more: it has heard the last reply, or at least goes on.
    fn went_on(&mut self) {
        if let Some(ended) = self.ended.take()
            && self.manner != Manner::GarbageAfterDot
        {
            self.remote.recorder.heard(ended);
        }
    }

    /// Takes down what has not come to an end.
    fn give_up(&mut self) {
        if let Some(open) = self.open.take() {
            let ended = self.remote.simulator.now();
            self.remote.recorder.record(Fact::Taken(Taking { ended, ..open }));
        }
    }

    async fn say(&mut self, reply: &str) -> Result<(), Stop> {
        if let Manner::Slow(pause) = self.manner {
            self.remote.simulator.sleep(pause).await;
        }
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    async fn line(&mut self) -> Result<String, Stop> {
        let mut line = Vec::new();
        let simulator = self.remote.simulator.clone();
        within(&simulator, self.stream.read_until(b'\n', &mut line)).await?;
        if line.ends_with(b"\n") { Ok(String::from_utf8_lossy(&line).into_owned()) } else { Err(Stop::Gone) }
    }

    /// Content out of its transport form.
    async fn content(&mut self) -> Result<Vec<u8>, Stop> {
        let simulator = self.remote.simulator.clone();
        let mut content = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            within(&simulator, self.stream.read_until(b'\n', &mut line)).await?;
            if !line.ends_with(b"\n") {
                return Err(Stop::Gone);
            }
            if line == b".\r\n" {
                return Ok(content);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

async fn within<T>(
    simulator: &Simulator,
    work: impl Future<Output = io::Result<T>> + Unpin,
) -> Result<T, Stop> {
    match futures::future::select(work, simulator.sleep(PATIENCE)).await {
        futures::future::Either::Left((done, _)) => Ok(done?),
        futures::future::Either::Right(_) => Err(Stop::Gone),
    }
}

/// What stands between the angle brackets.
fn path(command: &str) -> Option<Address> {
    Address::parse(command.split_once('<')?.1.split_once('>')?.0).ok()
}
