//! A next hop: an SMTP server that takes mail, or refuses recipients as it is told to, and remembers what it took.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use fulmar_core::platform::Stream;
use futures::channel::oneshot;
use futures::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// It listens for as long as this lives.
pub(super) struct Sink {
    pub(super) memory: Arc<Memory>,
    pub(super) _listening: oneshot::Sender<()>,
}

#[derive(Default)]
pub(super) struct Memory {
    /// What the next recipients are told instead of yes.
    refusals: Mutex<VecDeque<&'static str>>,
    taken: Mutex<Vec<Taken>>,
}

/// A message that was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) reverse_path: String,
    pub(super) forward_paths: Vec<String>,
    pub(super) content: Vec<u8>,
}

impl Sink {
    /// Refuses the next recipients with these replies.
    pub(super) fn refuse(&self, replies: impl IntoIterator<Item = &'static str>) {
        self.memory.refusals.lock().unwrap().extend(replies);
    }

    /// Refuses nobody from now on.
    pub(super) fn relent(&self) {
        self.memory.refusals.lock().unwrap().clear();
    }

    /// What it has taken so far.
    pub(super) fn taken(&self) -> Vec<Taken> {
        self.memory.taken.lock().unwrap().clone()
    }

    /// Whether everybody that was to be refused has been.
    pub(super) fn has_refused_all(&self) -> bool {
        self.memory.refusals.lock().unwrap().is_empty()
    }
}

impl Memory {
    /// Serves one client until it goes, however it goes.
    pub(super) async fn serve(self: Arc<Self>, stream: Box<dyn Stream>) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut message = Taken::default();
        let mut reply = "220 sink.test ESMTP\r\n".to_owned();
        loop {
            stream.write_all(reply.as_bytes()).await?;
            stream.flush().await?;
            let line = String::from_utf8_lossy(&line(&mut stream).await?).into_owned();
            reply = match line.get(..4).unwrap_or_default() {
                "EHLO" => "250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n".to_owned(),
                "MAIL" => {
                    message = Taken { reverse_path: path(&line), ..Taken::default() };
                    "250 2.1.0 ok\r\n".to_owned()
                }
                "RCPT" => match self.refusals.lock().unwrap().pop_front() {
                    Some(refusal) => format!("{refusal}\r\n"),
                    None => {
                        message.forward_paths.push(path(&line));
                        "250 2.1.5 ok\r\n".to_owned()
                    }
                },
                "DATA" if message.forward_paths.is_empty() => "554 5.5.1 no valid recipients\r\n".to_owned(),
                "DATA" => {
                    stream.write_all(b"354 go ahead\r\n").await?;
                    message.content = content(&mut stream).await?;
                    self.taken.lock().unwrap().push(std::mem::take(&mut message));
                    "250 2.0.0 taken\r\n".to_owned()
                }
                "RSET" | "NOOP" => "250 2.0.0 ok\r\n".to_owned(),
                "QUIT" => {
                    stream.write_all(b"221 2.0.0 bye\r\n").await?;
                    return stream.close().await;
                }
                _ => "500 5.5.2 what?\r\n".to_owned(),
            };
        }
    }
}

/// Content out of its transport form.
async fn content(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = line(stream).await?;
        if line == b".\r\n" {
            return Ok(content);
        }
        content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

async fn line(stream: &mut BufReader<Box<dyn Stream>>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What stands between the angle brackets.
fn path(command: &str) -> String {
    let rest = command.split_once('<').map_or("", |(_, rest)| rest);
    rest.split_once('>').map_or(rest, |(path, _)| path).to_owned()
}
