//! What the tests have in common: a server that answers as it is told, and doors to reach it through.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::http::{Client, ClientSettings};
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Datagram, Instant, Job, Net, Spawn, Stream, Target};
use smol::Task;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

use super::environment::Environment;

/// A clock that goes only when it is told to.
pub(super) struct Standing(AtomicU64);

impl Standing {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_700_000_000)))
    }

    pub(super) fn advance(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    /// The time in so many seconds, as RFC 3339 has it.
    pub(super) fn later(&self, seconds: u64) -> String {
        self.utc().after(Duration::from_secs(seconds)).to_rfc3339()
    }
}

#[async_trait]
impl Clock for Standing {
    fn utc(&self) -> UtcTime {
        UtcTime(self.0.load(Ordering::Relaxed) * 1_000)
    }

    fn instant(&self) -> Instant {
        assert_no_tokio();
        Instant::from_origin(Duration::from_secs(self.0.load(Ordering::Relaxed)))
    }

    async fn sleep_until(&self, _instant: Instant) {
        std::future::pending().await
    }
}

/// Real streams.
struct Loopback;

#[async_trait]
impl Net for Loopback {
    async fn connect(&self, target: &Target, _deadline: Instant) -> io::Result<Box<dyn Stream>> {
        assert_no_tokio();
        Ok(match target {
            Target::Address(address) => Box::new(TcpStream::connect(address).await?),
            Target::Host(host, port) => Box::new(TcpStream::connect((&host[..], *port)).await?),
        })
    }

    async fn datagram(&self, _server: std::net::SocketAddr) -> io::Result<Box<dyn Datagram>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Jobs on smol.
pub(super) struct Jobs;

impl Spawn for Jobs {
    fn spawn(&self, job: Job) {
        smol::spawn(job).detach();
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        smol::unblock(work).detach();
    }
}

/// Core's client over them.
pub(super) fn client(clock: &Arc<Standing>) -> Client {
    Client::new(Arc::new(Loopback), clock.clone(), Arc::new(Jobs), None, ClientSettings::default())
}

pub(super) fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Whoever calls this runs on no tokio runtime.
pub(super) fn assert_no_tokio() {
    assert!(tokio::runtime::Handle::try_current().is_err(), "a tokio runtime is there");
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// `GET /path?query`.
    pub(super) line: String,
    /// The fields of the header.
    pub(super) head: String,
    pub(super) body: String,
}

/// What a server does about a request.
pub(super) enum Reply {
    /// Status, further fields of the header (each with its CRLF), body.
    Answer(u16, &'static str, String),
    /// The head of an answer, and half of what it announces.
    Cut,
    /// Closes.
    Nothing,
}

/// A server on a free port; it ends with the value.
pub(super) struct Server {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    _accepting: Task<()>,
}

type Handler = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

impl Server {
    pub(super) fn start(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let handler: Handler = Arc::new(handler);
        let listener = smol::block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = received.clone();
        let accepting = smol::spawn(async move {
            let mut serving = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log) = (handler.clone(), log.clone());
                serving.push(smol::spawn(async move {
                    // The client may close at any point.
                    let _ = serve(stream, &handler, &log).await;
                }));
            }
        });
        Self { url, received, _accepting: accepting }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, handler: &Handler, log: &Mutex<Vec<Received>>) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let request = receive(&mut stream, &mut buffer).await?;
        log.lock().unwrap().push(request.clone());
        let answer = match handler(&request) {
            Reply::Answer(status, fields, body) if request.line.starts_with("HEAD ") => {
                assert!(body.is_empty());
                let length = if fields.contains("content-length") { "" } else { "content-length: 0\r\n" };
                format!("HTTP/1.1 {status} X\r\n{fields}{length}\r\n")
            }
            Reply::Answer(status, fields, body) => {
                format!("HTTP/1.1 {status} X\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
            }
            Reply::Cut => {
                stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 8\r\n\r\nhalf").await?;
                return Ok(());
            }
            Reply::Nothing => return Ok(()),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Received> {
    let mut piece = [0; 4096];
    loop {
        if let Some((request, rest)) = split(buffer) {
            *buffer = rest;
            return Ok(request);
        }
        match stream.read(&mut piece).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            octets => buffer.extend_from_slice(&piece[..octets]),
        }
    }
}

/// The first request, if it is whole, and what follows it.
fn split(buffer: &[u8]) -> Option<(Received, Vec<u8>)> {
    let text = String::from_utf8_lossy(buffer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (line, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let length = head
        .lines()
        .find_map(|field| field.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.unwrap_or(0);
    let (body, rest) = (body.get(..length)?, body.get(length..)?);
    let line = line.strip_suffix(" HTTP/1.1")?.to_owned();
    Some((Received { line, head: head.to_owned(), body: body.to_owned() }, rest.as_bytes().to_vec()))
}
