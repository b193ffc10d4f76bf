//! The client against scripted servers.

mod world;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join, join_all, poll_fn};
use hyper::body::Body;
use hyper::{Method, Request, Response};

use super::{Client, ClientSettings, HttpError, RepeatWhenStale, RequestBody, ResponseBody};
use crate::platform::{Clock, Target};
use world::Does::{ClosesIdle, EndsWith, Repeats, Resets, Says, TakesNothing};
use world::{Does, World};

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
const BODY_LIMIT: usize = 1 << 20;

/// `GET`, `PUT body`, `PUT! body` for one that may be repeated.
fn request(line: &str) -> Request<RequestBody> {
    let (method, body) = line.split_once(' ').unwrap_or((line, ""));
    let mut request = Request::new(RequestBody::from(Bytes::copy_from_slice(body.as_bytes())));
    if let Some(method) = method.strip_suffix('!') {
        request.extensions_mut().insert(RepeatWhenStale);
        *request.method_mut() = method.parse().unwrap();
    } else {
        *request.method_mut() = method.parse().unwrap();
    }
    *request.uri_mut() = "http://store.test:9000/key?part=1".parse().unwrap();
    request
}

async fn send(world: &World, client: &Client, line: &str) -> Result<Response<ResponseBody>, HttpError> {
    client.send(request(line), world.soon()).await
}

/// The answer's status and body, or what became of the request instead.
async fn outcome(world: &World, client: &Client, line: &str) -> String {
    let read = async {
        let (head, body) = send(world, client, line).await?.into_parts();
        let body = body.collect(BODY_LIMIT).await?;
        Ok(format!("{} {}", head.status.as_u16(), String::from_utf8_lossy(&body)))
    };
    match read.await {
        Ok(answer) => answer.trim_end().to_owned(),
        Err(HttpError::NotSent(error)) => format!("not sent: {}", error.kind()),
        Err(HttpError::Unanswered(error)) => format!("unanswered: {}", error.kind()),
        Err(HttpError::Malformed(error)) => format!("malformed: {}", error.kind()),
    }
}

/// Sends requests one after the other. Expected: what becomes of each, how many connections are opened, and how many of them
/// are kept.
fn check(scripts: &[&[Does]], lines: &[&str], expected: &[&str], opened: usize, kept: usize) {
    let name = format!("{scripts:?} {lines:?}");
    let (world, client) = World::new(scripts, ClientSettings::default());
    let mut outcomes = Vec::new();
    for line in lines {
        outcomes.push(world.run(outcome(&world, &client, line)));
    }
    assert_eq!(outcomes, expected, "{name}");
    assert_eq!(world.opened.lock().unwrap().len(), opened, "connections opened: {name}");
    assert_eq!(world.open(), kept, "connections kept: {name}");
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    check(&[&[Says(HELLO); 3]], &["GET"; 3], &["200 hello"; 3], 1, 1);
    check(&[&[Says(CHUNKS); 3]], &["GET"; 3], &["200 hello"; 3], 1, 1);
    check(&[&[Says(EMPTY); 3]], &["PUT text"; 3], &["200"; 3], 1, 1);
    check(&[&[Says(HEAD), Says(HELLO)]], &["HEAD", "GET"], &["200", "200 hello"], 1, 1);
    check(
        &[&[Says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), Says(HELLO)]],
        &["DELETE", "GET"],
        &["204", "200 hello"],
        1,
        1,
    );
}

#[test]
fn a_connection_that_its_server_gives_up_is_not_kept() {
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    let till_the_end = "HTTP/1.1 200 OK\r\n\r\nhello";
    for answer in [Says(close), Says(old), EndsWith(till_the_end)] {
        check(&[&[answer], &[answer]], &["GET"; 2], &["200 hello"; 2], 2, 0);
    }
    let surplus = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n";
    check(&[&[Says(surplus)], &[Says(HELLO)]], &["GET"; 2], &["200 hello"; 2], 2, 1);
}

#[test]
fn a_kept_connection_that_turns_out_closed_is_replaced_where_that_is_safe() {
    let both = &["200 hello", "200 hello"];
    // Nothing can have happened there.
    for stale in [ClosesIdle, TakesNothing] {
        check(&[&[Says(HELLO), stale], &[Says(HELLO)]], &["GET", "PUT x"], both, 2, 1);
    }
    for (stale, found) in [(EndsWith(""), "unexpected end of file"), (Resets, "connection reset")] {
        let scripts: &[&[Does]] = &[&[Says(HELLO), stale], &[Says(HELLO)]];
        check(scripts, &["GET", "GET"], both, 2, 1);
        check(scripts, &["GET", "HEAD"], &["200 hello", "200"], 2, 0);
        check(scripts, &["GET", "PUT! x"], both, 2, 1);
        check(scripts, &["GET", "PUT x"], &["200 hello", &format!("unanswered: {found}")], 1, 0);
        check(scripts, &["GET", "DELETE"], &["200 hello", &format!("unanswered: {found}")], 1, 0);
        // A second loss is not explained by age.
        check(
            &[&[Says(HELLO), stale], &[stale]],
            &["GET"; 2],
            &["200 hello", &format!("unanswered: {found}")],
            2,
            0,
        );
        // Nobody is there any more.
        check(&[&[Says(HELLO), stale]], &["GET"; 2], &["200 hello", "not sent: connection refused"], 1, 0);
        check(&[&[stale], &[Says(HELLO)]], &["GET"], &[&format!("unanswered: {found}")], 1, 0);
    }
}

#[test]
fn an_answer_that_is_cut_anywhere_is_no_answer_and_is_not_asked_for_again() {
    for whole in [HELLO, CHUNKS] {
        for cut in 1..whole.len() {
            let scripts: &[&[Does]] = &[&[Says(HELLO), EndsWith(&whole[..cut])], &[Says(HELLO)]];
            check(scripts, &["GET"; 2], &["200 hello", "unanswered: unexpected end of file"], 1, 0);
        }
    }
}

#[test]
fn what_is_no_http_is_malformed() {
    for answer in [
        "220 mail.test ESMTP\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ] {
        check(&[&[Says(answer)]], &["GET"], &["malformed: invalid data"], 1, 0);
    }
}

#[test]
fn the_head_of_an_answer_is_bounded_and_so_is_what_is_collected() {
    let (world, client) = World::new(
        &[
            &[Repeats("HTTP/1.1 200 OK\r\nx: y\r\n", 1 << 20)],
            &[Repeats("HTTP/1.1 100 Continue\r\n\r\n", 9)],
            &[Says(HELLO)],
        ],
        ClientSettings::default(),
    );
    assert_eq!(world.run(outcome(&world, &client, "GET")), "malformed: invalid data");
    assert_eq!(world.run(outcome(&world, &client, "GET")), "unanswered: timed out");
    let body = world.run(send(&world, &client, "GET")).unwrap().into_body();
    assert!(matches!(world.run(body.collect(4)), Err(HttpError::Malformed(_))));
    // Its last octet had been read.
    assert_eq!(world.open(), 1);
}

#[test]
fn one_deadline_holds_for_head_and_body() {
    let half = &HELLO[..HELLO.len() - 2];
    for script in [&[][..], &[Says("HTTP/1.1 200 OK\r\n")], &[Says(half)], &[Says(&CHUNKS[..50])]] {
        let (world, client) = World::new(&[script], ClientSettings::default());
        assert_eq!(world.run(outcome(&world, &client, "GET")), "unanswered: timed out", "{script:?}");
        assert_eq!(world.instant().since_origin(), Duration::from_secs(30));
        assert_eq!(world.open(), 0);
    }
}

#[test]
fn an_empty_answer_frees_its_connection_though_nobody_asks_for_its_body() {
    for (line, answer) in [("HEAD", HEAD), ("PUT x", EMPTY), ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n")] {
        let settings = ClientSettings { connections: 1, ..ClientSettings::default() };
        let (world, client) = World::new(&[&[Says(answer), Says(HELLO)]], settings);
        let kept = world.run(send(&world, &client, line)).unwrap();
        assert_eq!(world.run(outcome(&world, &client, "GET")), "200 hello", "{line}");
        assert!(kept.body().is_end_stream());
    }
}

#[test]
fn the_last_octet_of_a_known_length_frees_the_connection() {
    let settings = ClientSettings { connections: 1, ..ClientSettings::default() };
    let (world, client) = World::new(&[&[Says(HELLO), Says(HELLO)]], settings);
    let mut kept = world.run(send(&world, &client, "GET")).unwrap().into_body();
    assert_eq!(kept.size_hint().exact(), Some(5));
    let frame = world.run(poll_fn(|context| Pin::new(&mut kept).poll_frame(context)));
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "hello");
    assert_eq!(world.run(outcome(&world, &client, "GET")), "200 hello");
}

#[test]
fn who_wants_more_connections_than_allowed_waits_for_one_and_no_longer_than_the_deadline() {
    let settings = ClientSettings { connections: 2, ..ClientSettings::default() };
    let (world, client) = World::new(&[&[Says(HELLO); 5], &[Says(HELLO); 5]], settings);
    let all = join_all((0..5).map(|_| outcome(&world, &client, "GET")));
    assert_eq!(world.run(all), ["200 hello"; 5]);
    assert_eq!(world.opened.lock().unwrap().len(), 2);

    let one = ClientSettings { connections: 1, ..ClientSettings::default() };
    let (world, client) = World::new(&[&[], &[Says(HELLO)]], one);
    let hasty = client.send(request("GET"), world.soon() - Duration::from_secs(1));
    let (first, second) = world.run(join(outcome(&world, &client, "GET"), hasty));
    assert_eq!(first, "unanswered: timed out");
    assert!(matches!(second, Err(HttpError::NotSent(error)) if error.kind() == io::ErrorKind::TimedOut));
    assert_eq!(world.run(outcome(&world, &client, "GET")), "200 hello");
}

#[test]
fn whoever_stops_waiting_leaves_no_connection_and_no_slot_behind() {
    let settings = ClientSettings { connections: 1, ..ClientSettings::default() };
    let (world, client) = World::new(&[&[], &[Says(HEAD)], &[Says(HELLO)]], settings);
    {
        let mut asking = pin!(send(&world, &client, "GET"));
        assert!(world.turn(asking.as_mut()).is_pending());
        let mut waiting = pin!(send(&world, &client, "GET"));
        assert!(world.turn(waiting.as_mut()).is_pending());
        assert_eq!(world.open(), 1);
    }
    assert_eq!(world.open(), 0);
    let unread = world.run(send(&world, &client, "GET")).unwrap();
    assert_eq!(world.open(), 1);
    drop(unread);
    assert_eq!(world.open(), 0);
    assert_eq!(world.run(outcome(&world, &client, "GET")), "200 hello");
}

#[test]
fn idle_connections_are_few_and_are_closed_in_time() {
    let settings = ClientSettings { idle_connections: 2, ..ClientSettings::default() };
    let (world, client) = World::new(&[&[Says(HELLO); 5][..]; 4], settings);
    world.run(join_all((0..4).map(|_| outcome(&world, &client, "GET"))));
    assert_eq!((world.opened.lock().unwrap().len(), world.open()), (4, 2));
    world.pass(settings.idle_for / 2);
    world.run(outcome(&world, &client, "GET"));
    world.pass(settings.idle_for / 2);
    assert_eq!((world.open(), world.jobs()), (1, 1));
    world.pass(settings.idle_for / 2);
    assert_eq!((world.open(), world.jobs()), (0, 0));
}

#[test]
fn a_client_that_is_gone_keeps_nothing_open() {
    let (world, client) = World::new(&[&[Says(HELLO)]], ClientSettings::default());
    world.run(outcome(&world, &client, "GET"));
    assert_eq!(world.open(), 1);
    drop(client);
    assert_eq!(world.open(), 0);
    world.pass(ClientSettings::default().idle_for);
    assert_eq!((Arc::strong_count(&world), world.jobs()), (1, 0));
}

#[test]
fn a_request_goes_out_in_origin_form_with_host_and_length() {
    let (world, client) = World::new(&[&[Says(HELLO); 9]], ClientSettings::default());
    for (line, expected) in [
        ("GET", "GET /key?part=1 HTTP/1.1\r\nhost: store.test:9000\r\n\r\n"),
        ("PUT", "PUT /key?part=1 HTTP/1.1\r\nhost: store.test:9000\r\ncontent-length: 0\r\n\r\n"),
        ("PUT text", "PUT /key?part=1 HTTP/1.1\r\nhost: store.test:9000\r\ncontent-length: 4\r\n\r\ntext"),
    ] {
        world.run(outcome(&world, &client, line));
        assert_eq!(world.requests.lock().unwrap().pop().unwrap().1, expected);
    }
    let mut pieces = request("POST");
    *pieces.body_mut() = RequestBody::new(["a", "", "bc", "d"].map(Bytes::from));
    world.run(client.send(pieces, world.soon())).unwrap();
    assert!(world.requests.lock().unwrap().pop().unwrap().1.ends_with("content-length: 4\r\n\r\nabcd"));
}

#[test]
fn the_origin_is_that_of_the_uri() {
    let host = |name: &str, port| Target::Host(name.into(), port);
    let address = |address: &str| Target::Address(address.parse().unwrap());
    for (uri, target, sent_host) in [
        ("http://Store.test/a", host("store.test", 80), "Store.test"),
        ("http://a:b@store_1.test:81", host("store_1.test", 81), "store_1.test:81"),
        ("http://127.0.0.1/", address("127.0.0.1:80"), "127.0.0.1"),
        ("http://[::1]:9000/", address("[::1]:9000"), "[::1]:9000"),
    ] {
        let (world, client) = World::new(&[&[Says(HELLO)]], ClientSettings::default());
        let mut request = request("GET");
        *request.uri_mut() = uri.parse().unwrap();
        world.run(client.send(request, world.soon())).unwrap();
        assert_eq!(*world.opened.lock().unwrap(), [target], "{uri}");
        let (_, sent) = world.requests.lock().unwrap().pop().unwrap();
        assert!(sent.contains(&format!("\r\nhost: {sent_host}\r\n")), "{sent}");
    }
}

#[test]
fn a_request_that_cannot_be_addressed_is_refused_before_anything_is_opened() {
    for uri in ["/key", "ftp://store.test/", "https://store.test/", "store.test:80"] {
        let (world, client) = World::new(&[], ClientSettings::default());
        let mut request = request("GET");
        *request.uri_mut() = uri.parse().unwrap();
        *request.method_mut() = Method::GET;
        let refused = world.run(client.send(request, world.soon()));
        assert!(matches!(refused, Err(HttpError::NotSent(_))), "{uri}");
        assert_eq!(world.opened.lock().unwrap().len(), 0);
    }
}
