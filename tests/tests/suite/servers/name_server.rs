//! The name server that lies on order.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::platform::{DnsError, RecordKind};
use fulmar_tests::name_server::{Manner, NameServer};
use fulmar_tests::zone::Zone;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

/// A query for an address, under an id.
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut query = Message::query();
    query.metadata.id = id;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    query.to_vec().unwrap()
}

fn server() -> NameServer {
    let zone = Zone::default();
    zone.host("host.test", &[[192, 0, 2, 1].into()]);
    zone.host("good.test", &[[192, 0, 2, 2].into()]);
    zone.alias("alias.test", "host.test");
    zone.set("broken.test", RecordKind::A, Err(DnsError::ServFail(String::new())));
    zone.mx("mail.test", &[(1, "host.test")]);
    NameServer::start(Arc::new(zone))
}

fn socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 4_096];
    let length = socket.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// What is answered about a name over UDP: the code, and how many records.
fn ask(server: &NameServer, name: &str) -> (ResponseCode, usize) {
    let socket = socket(server.address());
    socket.send(&query(7, name)).unwrap();
    let answer = Message::from_vec(&receive(&socket)).unwrap();
    assert_eq!(answer.metadata.id, 7);
    (answer.metadata.response_code, answer.answers.len())
}

#[test]
fn it_answers_what_stands_in_the_zone() {
    let server = server();
    for (name, expected) in [
        ("host.test.", (ResponseCode::NoError, 1)),
        ("alias.test.", (ResponseCode::NoError, 2)),
        ("mail.test.", (ResponseCode::NoError, 0)),
        ("absent.test.", (ResponseCode::NXDomain, 0)),
        ("broken.test.", (ResponseCode::ServFail, 0)),
    ] {
        assert_eq!(ask(&server, name), expected, "{name}");
    }
    assert_eq!(server.asked().len(), 5);
}

#[test]
fn it_misbehaves_as_it_is_told() {
    let server = server();
    server.misbehave_about("host.test", Manner::ServFail);
    assert_eq!(ask(&server, "host.test."), (ResponseCode::ServFail, 0));
    server.misbehave_about("host.test", Manner::Refused);
    assert_eq!(ask(&server, "host.test."), (ResponseCode::Refused, 0));
    assert_eq!(ask(&server, "good.test."), (ResponseCode::NoError, 1));

    let socket = socket(server.address());
    let answered = |manner| {
        server.misbehave_about("host.test", manner);
        socket.send(&query(7, "host.test.")).unwrap();
        receive(&socket)
    };
    assert!(Message::from_vec(&answered(Manner::Garbage)).is_err());
    let truncated = Message::from_vec(&answered(Manner::Truncated)).unwrap();
    assert!(truncated.metadata.truncation);
    let other = Message::from_vec(&answered(Manner::OtherName)).unwrap();
    assert_eq!(other.queries[0].name.to_ascii(), "other.test.");
    assert_eq!(other.answers[0].name, other.queries[0].name);
    let forged = Message::from_vec(&answered(Manner::ForgedFirst)).unwrap();
    assert_ne!(forged.metadata.id, 7);
    assert_eq!(Message::from_vec(&receive(&socket)).unwrap().answers.len(), 1);
}

#[test]
fn a_silent_server_answers_the_next_question_only() {
    let server = server();
    server.misbehave(Manner::Silent);
    server.misbehave_about("good.test", Manner::Honest);
    let socket = socket(server.address());
    socket.send(&query(1, "host.test.")).unwrap();
    socket.send(&query(2, "good.test.")).unwrap();
    assert_eq!(Message::from_vec(&receive(&socket)).unwrap().metadata.id, 2);
}

#[test]
fn a_truncated_answer_is_whole_over_a_stream_which_takes_further_queries() {
    let server = server();
    server.misbehave(Manner::Truncated);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    for id in [1, 2] {
        let query = query(id, "host.test.");
        stream.write_all(&u16::try_from(query.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&query).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!((answer.metadata.id, answer.answers.len()), (id, 1));
        assert!(!answer.metadata.truncation);
    }
}
