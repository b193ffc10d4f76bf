//! One session of the sink.

use std::io;
use std::sync::Arc;

use fulmar_core::platform::Stream;
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use smol::net::TcpStream;

use super::super::script::{Act, Phase};
use super::{Received, Shared};

/// Octets of a line, beyond which the connection is closed.
const LINE_LIMIT: u64 = 64 << 10;
/// Octets of a content, beyond which the connection is closed.
const CONTENT_LIMIT: usize = 64 << 20;
/// What no client can take for a reply.
const GARBAGE: &[u8] = b"\x16\x03\x01\xff\x00 hello?\r\n\r\nxyz\n";

pub(super) struct Session {
    stream: BufReader<Box<dyn Stream>>,
    shared: Arc<Shared>,
    number: usize,
    /// Since MAIL was answered positively.
    transaction: Option<Received>,
    /// RCPT commands in it.
    recipients: usize,
    is_secured: bool,
}

impl Session {
    pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
        let stream: Box<dyn Stream> = Box::new(stream);
        let mut session = Self {
            stream: BufReader::new(stream),
            number: shared.open(),
            shared,
            transaction: None,
            recipients: 0,
            is_secured: false,
        };
        // However it ended, it is over: the client's part in that stands in its commands.
        let _ = session.run().await;
        let (shared, number) = (session.shared.clone(), session.number);
        drop(session);
        shared.record(number, |connection| connection.is_closed = true);
    }

    async fn run(&mut self) -> io::Result<()> {
        self.answer(|phase| phase == Phase::Greeting, "220 sink.test ESMTP").await?;
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            self.shared.record(self.number, |connection| connection.commands.push(line.clone()));
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.ehlo().await?,
                "HELO" => drop(self.answer(|phase| phase == Phase::Helo, "250 sink.test").await?),
                "STARTTLS" if self.offers("STARTTLS") => self.starttls().await?,
                "MAIL" => self.mail(argument).await?,
                "RCPT" if self.transaction.is_some() => self.rcpt(argument).await?,
                "DATA" => self.data().await?,
                "BDAT" if self.offers("CHUNKING") && self.transaction.is_some() => {
                    self.bdat(argument).await?
                }
                "RSET" => {
                    self.transaction = None;
                    self.answer(|phase| phase == Phase::Rset, "250 2.0.0 flushed").await?;
                }
                "NOOP" => self.send(b"250 2.0.0 ok\r\n").await?,
                "QUIT" => {
                    self.answer(|phase| phase == Phase::Quit, "221 2.0.0 bye").await?;
                    return Ok(());
                }
                "RCPT" => self.send(b"503 5.5.1 MAIL first\r\n").await?,
                _ => self.send(b"500 5.5.2 no such command here\r\n").await?,
            }
        }
    }

    async fn ehlo(&mut self) -> io::Result<()> {
        self.transaction = None;
        let mut lines = vec!["sink.test"];
        lines.extend(&self.shared.state().script.extensions);
        lines.retain(|line| !(self.is_secured && *line == "STARTTLS"));
        let (last, earlier) = lines.split_last().unwrap_or((&"", &[]));
        let earlier: String = earlier.iter().map(|line| format!("250-{line}\r\n")).collect();
        self.answer(|phase| phase == Phase::Ehlo, &format!("{earlier}250 {last}")).await.map(drop)
    }

    async fn starttls(&mut self) -> io::Result<()> {
        if !self.answer(|phase| phase == Phase::StartTls, "220 2.0.0 go ahead").await? {
            return Ok(());
        }
        if !self.stream.buffer().is_empty() {
            return Err(io::Error::other("clear text behind STARTTLS"));
        }
        match self.shared.next_act(|phase| phase == Phase::Handshake) {
            Some(Act::Wait) => self.shared.wait_for_release().await,
            Some(act) => return self.act(act, "").await.map(drop),
            None => {}
        }
        let nobody: Box<dyn Stream> = Box::new(futures::io::Cursor::new(Vec::new()));
        let clear = std::mem::replace(&mut self.stream, BufReader::new(nobody)).into_inner();
        let secured = self.shared.certificate.acceptor().accept(clear).await?;
        self.stream = BufReader::new(Box::new(secured));
        self.is_secured = true;
        self.transaction = None;
        self.shared.record(self.number, |connection| connection.is_secured = true);
        Ok(())
    }

    async fn mail(&mut self, argument: &str) -> io::Result<()> {
        self.transaction = None;
        self.recipients = 0;
        if self.answer(|phase| phase == Phase::Mail, "250 2.1.0 ok").await? {
            let (reverse_path, parameters) = path(argument);
            self.transaction = Some(Received { reverse_path, parameters, ..Received::default() });
        }
        Ok(())
    }

    async fn rcpt(&mut self, argument: &str) -> io::Result<()> {
        self.recipients += 1;
        let number = self.recipients;
        let (forward_path, _) = path(argument);
        let is_now = |phase| match phase {
            Phase::Rcpt(at) => at == number,
            Phase::RcptTo(mailbox) => mailbox == forward_path,
            _ => false,
        };
        let is_taken = self.answer(is_now, "250 2.1.5 ok").await?;
        if let (true, Some(transaction)) = (is_taken, &mut self.transaction) {
            transaction.forward_paths.push(forward_path);
        }
        Ok(())
    }

    async fn data(&mut self) -> io::Result<()> {
        let has_recipients = self.transaction.as_ref().is_some_and(|open| !open.forward_paths.is_empty());
        let usual = if has_recipients { "354 go on" } else { "554 5.5.1 no valid recipients" };
        if !self.answer(|phase| phase == Phase::Data, usual).await? {
            return Ok(());
        }
        // A client that is told to go on though nobody is to get it ends its content all the same.
        let mut message = self.transaction.take().unwrap_or_default();
        message.content = self.content().await?;
        let usual = "250 2.0.0 taken";
        let mut act = self.shared.next_act(|phase| phase == Phase::Content);
        if act == Some(Act::Wait) {
            self.shared.wait_for_release().await;
            act = None;
        }
        message.is_accepted = match act {
            None => true,
            Some(Act::Reply(reply) | Act::ReplyAndClose(reply)) => is_positive(reply),
            Some(_) => false,
        };
        // Before the reply, so that a client that has read it finds the message here.
        self.shared.record_message(self.number, message);
        match act {
            None => self.reply(usual).await.map(drop),
            Some(act) => self.act(act, usual).await.map(drop),
        }
    }

    /// One chunk (RFC 3030 §2).
    async fn bdat(&mut self, argument: &str) -> io::Result<()> {
        let (size, last) = argument.split_once(' ').unwrap_or((argument, ""));
        let size = size.parse().ok().filter(|size| *size <= CONTENT_LIMIT);
        let mut chunk = vec![0; size.ok_or_else(|| io::Error::other("not a chunk's size"))?];
        self.stream.read_exact(&mut chunk).await?;
        let mut message = self.transaction.take().unwrap_or_default();
        message.content.extend_from_slice(&chunk);
        if last.eq_ignore_ascii_case("LAST") {
            message.is_accepted = true;
            self.shared.record_message(self.number, message);
        } else {
            self.transaction = Some(message);
        }
        self.reply("250 2.0.0 taken").await.map(drop)
    }

    async fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let line = self.line().await?;
            if line == b".\r\n" && (content.is_empty() || content.ends_with(b"\r\n")) {
                return Ok(content);
            }
            let is_first = content.is_empty();
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            let act = if is_first { self.shared.next_act(|phase| phase == Phase::AmidContent) } else { None };
            match act {
                None => {}
                Some(Act::Wait) => self.shared.wait_for_release().await,
                Some(act) => drop(self.act(act, "").await?),
            }
            if content.len() > CONTENT_LIMIT {
                return Err(io::Error::other("the content is too large"));
            }
        }
    }

    /// Does what is usual or what the script wants here instead; gives whether the reply was positive.
    async fn answer(&mut self, is_now: impl Fn(Phase) -> bool, usual: &str) -> io::Result<bool> {
        let act = self.shared.next_act(is_now);
        match act {
            None => self.reply(usual).await,
            Some(act) => self.act(act, usual).await,
        }
    }

    async fn act(&mut self, act: Act, usual: &str) -> io::Result<bool> {
        match act {
            Act::Reply(reply) => self.reply(reply).await,
            Act::ReplyAndClose(reply) => {
                self.reply(reply).await?;
                Err(io::Error::other("as the script wants"))
            }
            Act::Close => Err(io::Error::other("as the script wants")),
            Act::Silence => loop {
                self.line().await?;
            },
            Act::Garbage => self.send(GARBAGE).await.map(|()| false),
            Act::Wait => {
                self.shared.wait_for_release().await;
                self.reply(usual).await
            }
        }
    }

    async fn reply(&mut self, reply: &str) -> io::Result<bool> {
        self.send(format!("{reply}\r\n").as_bytes()).await?;
        Ok(is_positive(reply))
    }

    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets).await?;
        self.stream.get_mut().flush().await
    }

    /// The next line with its end; an error where the client has closed.
    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.stream).take(LINE_LIMIT).read_until(b'\n', &mut line).await?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn offers(&self, extension: &str) -> bool {
        self.shared.state().script.offers(extension)
    }
}

fn is_positive(reply: &str) -> bool {
    reply.starts_with(['2', '3'])
}

/// What stands between the brackets, and behind them.
fn path(argument: &str) -> (String, String) {
    let inside = argument.split_once('<').map_or(argument, |(_, rest)| rest);
    let (path, parameters) = inside.rsplit_once('>').unwrap_or((inside, ""));
    (path.to_owned(), parameters.trim().to_owned())
}
