//! The resolver over real sockets on loopback.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;

use fulmar_core::model::Domain;
use fulmar_core::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};
use fulmar_core::resolver::Resolver;
use fulmar_runtime_smol::{SmolClock, SmolEntropy, SmolNet, SmolRuntime};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, SOA};
use hickory_proto::rr::{Name, RData, Record as Entry};

/// Octets of a datagram that the server below can read.
const QUERY_LIMIT: usize = 4096;

/// A name server that answers by a table, on one port over both UDP and TCP. Its threads live as long as the process.
fn serve() -> SocketAddr {
    let (datagrams, streams) = same_port();
    let address = datagrams.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; QUERY_LIMIT];
        loop {
            let (length, client) = datagrams.recv_from(&mut buffer).unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = answer(&query);
            // A forgery comes first.
            let mut forged = answer.clone();
            forged.metadata.id ^= 1;
            forged.metadata.response_code = ResponseCode::NXDomain;
            datagrams.send_to(&forged.to_vec().unwrap(), client).unwrap();
            if answer.to_vec().unwrap().len() > query.max_payload().into() {
                answer = answer.truncate();
            }
            datagrams.send_to(&answer.to_vec().unwrap(), client).unwrap();
        }
    });
    thread::spawn(move || {
        for stream in streams.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut query = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut query).unwrap();
            let answer = answer(&Message::from_vec(&query).unwrap()).to_vec().unwrap();
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            // In pieces, as a network may bring it.
            for piece in [&length[..1], &length[1..], &answer[..7], &answer[7..]] {
                stream.write_all(piece).unwrap();
            }
        }
    });
    address
}

/// Two sockets on one free port. Another process may hold the port of the second kind already.
fn same_port() -> (UdpSocket, TcpListener) {
    let bind = || -> io::Result<_> {
        let streams = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok((UdpSocket::bind(streams.local_addr()?)?, streams))
    };
    (0..100).find_map(|_| bind().ok()).unwrap()
}

fn answer(query: &Message) -> Message {
    let asked = query.queries[0].name.clone();
    let mut answer = query.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    let records = match asked.to_ascii().as_str() {
        "host.test." => vec![RData::A(A::new(192, 0, 2, 1))],
        "alias.test." => {
            let real = Entry::from_rdata(name("host.test."), 60, RData::A(A::new(192, 0, 2, 1)));
            answer.add_answer(real);
            vec![RData::CNAME(CNAME(name("host.test.")))]
        }
        "null.test." => vec![RData::MX(MX::new(0, Name::root()))],
        "many.test." => {
            (0..100).map(|at| RData::MX(MX::new(at, name(&format!("mx{at}.many.test."))))).collect()
        }
        _ => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(name("ns.test."), name("root.test."), 1, 2, 3, 4, 60);
            answer.add_authority(Entry::from_rdata(name("test."), 60, RData::SOA(soa)));
            vec![]
        }
    };
    answer.add_answers(records.into_iter().map(|data| Entry::from_rdata(asked.clone(), 60, data)));
    answer
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

#[test]
fn a_real_server_is_heard_over_udp_and_tcp_and_the_next_one_where_nobody_listens() {
    let runtime = SmolRuntime::new(2).unwrap();
    let net = Arc::new(SmolNet::new(runtime.spawn()));
    // A port that was free a moment ago.
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let servers = vec![closed, serve()];
    let resolver = Resolver::new(servers, net, Arc::new(SmolClock), Arc::new(SmolEntropy), runtime.spawn());
    let host = vec![Record::Address([192, 0, 2, 1].into())];
    let many = (0..100).map(|preference| {
        let exchange = Some(Domain::parse(&format!("mx{preference}.many.test")).unwrap());
        Record::Mx { preference, exchange }
    });
    for (name, kind, expected) in [
        ("host.test", RecordKind::A, Ok(host.clone())),
        ("alias.test", RecordKind::A, Ok(host)),
        ("null.test", RecordKind::Mx, Ok(vec![Record::Mx { preference: 0, exchange: None }])),
        ("many.test", RecordKind::Mx, Ok(many.collect())),
        ("absent.test", RecordKind::A, Err(DnsError::NxDomain)),
    ] {
        let question = Question { name: Domain::parse(name).unwrap(), kind };
        let result = runtime.block_on(resolver.lookup(&question));
        assert_eq!(result.map(|Answer { records, .. }| records), expected, "{name}");
    }
}
