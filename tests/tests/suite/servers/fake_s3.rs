//! The S3 server that misbehaves on order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use fulmar_tests::fake_s3::{FakeS3, Fault, Times};
use fulmar_tests::faults::{Verb, Which};

const CREATE: &str = "If-None-Match: *\r\n";

fn connect(server: &FakeS3) -> TcpStream {
    let stream = TcpStream::connect(server.endpoint().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn send(stream: &mut TcpStream, line: &str, fields: &str, body: &str) {
    let length = body.len();
    write!(stream, "{line} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n{body}").unwrap();
}

/// One answer: its status, its head and its body.
fn receive(stream: &mut TcpStream, has_body: bool) -> (u16, String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .split("Content-Length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; if has_body { length } else { 0 }];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), head, String::from_utf8(body).unwrap())
}

/// One request over a connection of its own: the status and the body of its answer.
fn ask(server: &FakeS3, line: &str, fields: &str, body: &str) -> (u16, String) {
    let mut stream = connect(server);
    send(&mut stream, line, fields, body);
    let (status, _, body) = receive(&mut stream, !line.starts_with("HEAD"));
    (status, body)
}

/// What comes until the server closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

fn status(server: &FakeS3, line: &str, fields: &str, body: &str) -> u16 {
    ask(server, line, fields, body).0
}

#[test]
fn objects_are_put_created_read_copied_and_deleted() {
    let server = FakeS3::start();
    for (line, fields, body, expected) in [
        ("PUT /mail/a%20b", "", "0123456789", (200, "")),
        ("PUT /mail/a%20b", CREATE, "other", (412, "PreconditionFailed")),
        ("PUT /mail/c&d", CREATE, "created", (200, "")),
        ("GET /mail/a%20b", "", "", (200, "0123456789")),
        ("GET /mail/a%20b", "Range: bytes=2-4\r\n", "", (206, "234")),
        ("GET /mail/a%20b", "Range: bytes=8-99\r\n", "", (206, "89")),
        ("GET /mail/a%20b", "Range: bytes=10-12\r\n", "", (416, "InvalidRange")),
        ("HEAD /mail/a%20b", "", "", (200, "")),
        ("HEAD /mail/absent", "", "", (404, "")),
        ("GET /mail/absent", "", "", (404, "NoSuchKey")),
        ("GET /none/a", "", "", (404, "NoSuchBucket")),
        ("PUT /none", "", "", (200, "")),
        ("GET /none/a", "", "", (404, "NoSuchKey")),
        ("PUT /mail/copy", "x-amz-copy-source: /mail/a%20b\r\n", "", (200, "CopyObjectResult")),
        ("DELETE /mail/a%20b", "", "", (204, "")),
        ("GET /mail/copy", "", "", (200, "0123456789")),
        ("POST /mail?delete", "", "<Key>copy</Key><Key>c&amp;d</Key>", (200, "<Key>c&amp;d</Key>")),
        ("GET /mail/c&d", "", "", (404, "NoSuchKey")),
    ] {
        let (status, told) = ask(&server, line, fields, body);
        assert_eq!(status, expected.0, "{line} {fields}");
        assert!(told.contains(expected.1), "{line} {fields}: {told}");
    }
    assert_eq!(server.requests()[0], (Verb::Put, "a b".to_owned()));
}

#[test]
fn a_listing_comes_in_pages_and_begins_after_a_key() {
    let server = FakeS3::start();
    for key in ["a/1", "a/2", "a/3", "b/1"] {
        status(&server, &format!("PUT /mail/{key}"), "", "text");
    }
    for (query, keys, is_truncated) in [
        ("prefix=a/", &["a/1", "a/2", "a/3"][..], false),
        ("prefix=a%2F&max-keys=2", &["a/1", "a/2"], true),
        ("prefix=a/&max-keys=2&continuation-token=a/2", &["a/3"], false),
        ("start-after=a~", &["b/1"], false),
        ("prefix=a/&start-after=0", &["a/1", "a/2", "a/3"], false),
        ("prefix=c/", &[], false),
    ] {
        let (_, page) = ask(&server, &format!("GET /mail?list-type=2&{query}"), "", "");
        let found: Vec<_> = page.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
        assert_eq!(found, keys, "{query}");
        assert_eq!(page.contains("<IsTruncated>true"), is_truncated, "{query}");
    }
}

#[test]
fn errors_are_told_as_often_as_ordered_and_with_or_without_effect() {
    let server = FakeS3::start();
    server.misbehave(Fault::SLOW_DOWN, Which::new(Verb::Put, "slow"), Times::Next(2));
    let put = |key: &str| status(&server, &format!("PUT /mail/{key}"), "", "text");
    assert_eq!([put("slow"), put("other"), put("slow"), put("slow")], [503, 200, 503, 200]);
    server.misbehave(Fault::SLOW_DOWN, Which::new(Verb::Put, "third"), Times::EveryNth(3));
    assert_eq!([put("third"), put("third"), put("third"), put("third")], [503, 200, 200, 503]);
    server.misbehave(Fault::EXPIRED_TOKEN, Which::any("denied"), Times::Always);
    server.misbehave(Fault::FAILURE_AFTER_EFFECT, Which::any("effect"), Times::Next(1));
    assert_eq!([put("denied"), put("effect")], [403, 500]);
    server.behave();
    let get = |key: &str| status(&server, &format!("GET /mail/{key}"), "", "");
    assert_eq!([get("denied"), get("effect")], [404, 200]);
    server.accept_only("good");
    let signed = |key: &str| format!("Authorization: AWS4-HMAC-SHA256 Credential={key}/2026/x\r\n");
    assert_eq!(status(&server, "GET /mail/effect", &signed("good"), ""), 200);
    assert_eq!(ask(&server, "GET /mail/effect", &signed("bad"), "").0, 403);
}

#[test]
fn racing_creates_have_one_winner_unless_it_is_ordered_otherwise() {
    for (fault, expected) in [
        (None, [200, 412]),
        (Some(Fault::IgnoreCondition), [200, 200]),
        (Some(Fault::LookThenWrite), [200, 200]),
    ] {
        let server = FakeS3::start();
        if let Some(fault) = fault {
            server.misbehave(fault, Which::any(""), Times::Always);
        }
        server.hold();
        let mut answers = thread::scope(|scope| {
            let create = || status(&server, "PUT /mail/key", CREATE, "text");
            let racers = [scope.spawn(create), scope.spawn(create)];
            server.wait_for_in_flight(2);
            server.release();
            racers.map(|racer| racer.join().unwrap())
        });
        answers.sort_unstable();
        assert_eq!(answers, expected, "{fault:?}");
        assert_eq!((server.take_most_at_once(), server.take_most_at_once()), (2, 0));
        // One after the other, only the crudest fault shows.
        let again = status(&server, "PUT /mail/key", CREATE, "text");
        assert_eq!(again, if fault == Some(Fault::IgnoreCondition) { 200 } else { 412 }, "{fault:?}");
    }
}

#[test]
fn answers_are_cut_or_no_answers_and_connections_close_unannounced() {
    let server = FakeS3::start();
    status(&server, "PUT /mail/key", "", "0123456789");
    let answered = |fault| {
        server.behave();
        server.misbehave(fault, Which::any(""), Times::Always);
        let mut stream = connect(&server);
        send(&mut stream, "GET /mail/key", "", "");
        rest(stream)
    };
    let whole = answered(Fault::Close);
    assert!(whole.starts_with("HTTP/1.1 200 ") && whole.ends_with("\r\n\r\n0123456789"), "{whole}");
    assert!(whole.strip_suffix("56789").is_some_and(|cut| cut == answered(Fault::CutBody)));
    let head = answered(Fault::CutHead);
    assert!(whole.starts_with(&head) && !head.contains("\r\n\r\n"), "{head}");
    assert!(!answered(Fault::Garbage).starts_with("HTTP/"));
}

#[test]
fn a_silent_server_may_have_done_what_it_was_asked() {
    let server = FakeS3::start();
    server.misbehave(Fault::Silence, Which::any("lost"), Times::Always);
    server.misbehave(Fault::SilenceAfterEffect, Which::any("done"), Times::Next(1));
    let mut silent = Vec::new();
    for key in ["lost", "done"] {
        let mut stream = connect(&server);
        send(&mut stream, &format!("PUT /mail/{key}"), "", "text");
        silent.push(stream);
    }
    server.wait_for_in_flight(2);
    server.behave();
    assert_eq!(status(&server, "GET /mail/lost", "", ""), 404);
    assert_eq!(status(&server, "GET /mail/done", "", ""), 200);
    drop(server);
    assert_eq!(silent.into_iter().map(rest).collect::<Vec<_>>(), ["", ""]);
}

#[test]
fn a_connection_carries_request_after_request() {
    let server = FakeS3::start();
    let mut stream = connect(&server);
    for line in ["PUT /mail/key", "HEAD /mail/key", "GET /mail/key", "DELETE /mail/key"] {
        send(&mut stream, line, "", "text");
        let (_, head, _) = receive(&mut stream, !line.starts_with("HEAD"));
        assert!(head.starts_with("HTTP/1.1 20"), "{line}: {head}");
    }
}
