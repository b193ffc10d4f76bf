//! A name server in this process, which answers from a [`Zone`] over UDP and TCP, and lies on order.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

mod answer;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fulmar_core::model::DnsName;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use hickory_proto::op::Message;
use smol::future::or;
use smol::net::{TcpListener, TcpStream, UdpSocket};

use self::answer::{Transport, answers};
use crate::loopback::{Background, accept};
use crate::zone::Zone;

/// Octets of a datagram that it reads.
const QUERY_LIMIT: usize = 4_096;
/// Free ports that are tried until one is free for both kinds of socket.
const PORT_TRIES: usize = 100;

/// How it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// As it should: whole over TCP, and over UDP truncated where the client cannot take it.
    #[default]
    Honest,
    /// Not at all.
    Silent,
    /// That it cannot tell (SERVFAIL).
    ServFail,
    /// That it will not (REFUSED).
    Refused,
    /// Truncated over UDP, however short the answer is.
    Truncated,
    /// As it should, but a forgery comes first over UDP: NXDOMAIN under another id.
    ForgedFirst,
    /// About another name than was asked for.
    OtherName,
    /// With what is no DNS message.
    Garbage,
}

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
}

#[derive(Debug)]
struct Shared {
    zone: Arc<Zone>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    manner: Manner,
    manners: BTreeMap<DnsName, Manner>,
    queries: Vec<Message>,
}

impl NameServer {
    /// Starts one on a free port, the same for both kinds of socket. The zone may change while it runs.
    pub fn start(zone: Arc<Zone>) -> Self {
        let shared = Arc::new(Shared { zone, state: Mutex::default() });
        let (datagrams, streams) = (0..PORT_TRIES)
            .find_map(|_| smol::block_on(same_port()).ok())
            .expect("a port that is free for UDP and TCP");
        let address = streams.local_addr().expect("a bound socket");
        let in_background = shared.clone();
        let background = Background::start(move |executor| {
            let over_streams = in_background.clone();
            let streams =
                accept(streams, executor, move |stream| answer_stream(stream, over_streams.clone()));
            or(answer_datagrams(datagrams, in_background), streams)
        });
        Self { address, shared, _background: background }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers so from now on, but about names that have a manner of their own.
    pub fn misbehave(&self, manner: Manner) {
        self.shared.state().manner = manner;
    }

    /// Answers so about one name from now on.
    pub fn misbehave_about(&self, name: &str, manner: Manner) {
        let name = DnsName::parse(name).expect("a name");
        self.shared.state().manners.insert(name, manner);
    }

    /// Names that were asked about so far, in order, once for each query.
    pub fn asked(&self) -> Vec<String> {
        let state = self.shared.state();
        state
            .queries
            .iter()
            .flat_map(|query| &query.queries)
            .map(|question| question.name.to_ascii())
            .collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages that answer a query, in order.
    fn answers(&self, query: &[u8], transport: Transport) -> Vec<Vec<u8>> {
        // What is no query gets no answer.
        let Ok(query) = Message::from_vec(query) else { return Vec::new() };
        let Some(name) = query.queries.first().and_then(|question| answer::dns_name(&question.name)) else {
            return Vec::new();
        };
        let mut state = self.state();
        let manner = state.manners.get(&name).copied().unwrap_or(state.manner);
        state.queries.push(query.clone());
        drop(state);
        answers(&self.zone, &query, manner, transport)
    }
}

/// Two sockets on one free port. Another process may hold the port of the second kind already.
async fn same_port() -> io::Result<(UdpSocket, TcpListener)> {
    let streams = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    Ok((UdpSocket::bind(streams.local_addr()?).await?, streams))
}

async fn answer_datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let mut buffer = [0; QUERY_LIMIT];
    loop {
        // A client that is gone is told of by an error here, which is none of ours.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        for answer in shared.answers(&buffer[..length], Transport::Datagram) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

/// Answers every query of a connection, until the client closes it.
async fn answer_stream(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut converse = async || -> io::Result<()> {
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length).await?;
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query).await?;
            for answer in shared.answers(&query, Transport::Stream) {
                let length = u16::try_from(answer.len()).map_err(io::Error::other)?.to_be_bytes();
                // In pieces, as a network may bring it.
                let middle = answer.len() / 2;
                for piece in [&length[..1], &length[1..], &answer[..middle], &answer[middle..]] {
                    stream.write_all(piece).await?;
                }
            }
        }
    };
    // Connections end by the client's closing them.
    let _ = converse().await;
}
