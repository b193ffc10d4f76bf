use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::config::Config;
use fulmar_core::engine::{Current, Engine, Readiness, Statistics, Taken};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, Event, Incarnation, Outcome, QueueId, Reply, UtcTime};
use fulmar_core::platform::{Host, Instant};
use fulmar_core::resolver::{NameServers, Resolver};
use fulmar_core::state::requests::{Purpose, PurposeCounts, RequestCounts};
use fulmar_runtime_smol::{SmolClock, SmolEntropy, SmolNet, SmolRuntime, listen};
use fulmar_storage_s3::MemoryStore;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;
use serde_json::{Value, json};

use super::metrics::{Figures, Metrics};
use super::*;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
const GET: &str = " HTTP/1.1\r\nHost: node.test\r\n\r\n";

/// Pages of a node that starts, on a free port of loopback.
struct Pages {
    runtime: SmolRuntime,
    platform: Platform,
    node: Arc<Node>,
    address: SocketAddr,
}

impl Pages {
    fn new() -> Self {
        Self::by(Arc::new(SmolClock))
    }

    fn by(clock: Arc<dyn Clock>) -> Self {
        let runtime = SmolRuntime::new(SmolRuntime::default_threads()).unwrap();
        let (net, spawn) = (Arc::new(SmolNet::new(runtime.spawn())), runtime.spawn());
        let entropy = Arc::new(SmolEntropy);
        let dns = Arc::new(Resolver::new(
            Arc::new(NameServers::default()),
            net.clone(),
            clock.clone(),
            entropy.clone(),
            spawn.clone(),
        ));
        let platform = Platform { store: Arc::new(MemoryStore::new()), dns, net, clock, entropy, spawn };
        let node = Node::new(UtcTime(1_795_306_347_500));
        let socket = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        platform.spawn.spawn(Box::pin(serve(socket, node.clone(), platform.clone())));
        Self { runtime, platform, node, address }
    }

    /// What a client gets that sends this and no more.
    fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.write_all(request.as_ref()).unwrap();
        rest(client)
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    fn start_engine(&self) {
        let config = Config::new(Domain::parse("mx.test").unwrap());
        let journal = self.node.watching(Journal::silent());
        let engine = Engine::start(config, self.platform.clone(), Host::unknown(), journal);
        self.node.runs(self.runtime.block_on(engine).unwrap());
    }
}

/// What comes until the other side closes.
fn rest(mut client: TcpStream) -> String {
    let mut received = Vec::new();
    match client.read_to_end(&mut received) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} behind {:?}", String::from_utf8_lossy(&received)),
    }
    String::from_utf8(received).unwrap()
}

#[test]
fn each_request_has_its_status() {
    let pages = Pages::new();
    let many_fields: String = (0..=FIELDS).map(|n| format!("A{n}: b\r\n")).collect();
    let large = "x".repeat(HEAD_OCTETS);
    for (request, status, part) in [
        (format!("GET /healthz{GET}"), "200", "\r\n\r\nok\n"),
        (format!("GET /healthz?now=1{GET}"), "200", "\r\n\r\nok\n"),
        (format!("GET http://node.test/healthz{GET}"), "200", "\r\n\r\nok\n"),
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), "200", "\r\n\r\nok\n"),
        (format!("GET /metrics{GET}"), "200", "content-type: application/openmetrics-text; version=1.0.0"),
        (format!("GET /readyz{GET}"), "503", "content-type: application/json\r\n"),
        (format!("GET /{GET}"), "404", "here are"),
        (format!("GET /healthz/{GET}"), "404", "here are"),
        (format!("GET /HEALTHZ{GET}"), "404", "here are"),
        (format!("POST /healthz{GET}"), "405", "allow: GET, HEAD\r\n"),
        (format!("DELETE /metrics{GET}"), "405", "allow: GET, HEAD\r\n"),
        (format!("BREW /metrics{GET}"), "405", "allow: GET, HEAD\r\n"),
        (format!("OPTIONS *{GET}"), "404", ""),
        ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), "400", "names its host"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_owned(), "400", "has a body"),
        (
            "GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            "400",
            "has a body",
        ),
        ("EHLO client.test\r\n\r\n".to_owned(), "400", ""),
        ("GET /healthz HTTP/1.1\r\nHost\r\n\r\n".to_owned(), "400", ""),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{many_fields}\r\n"), "431", ""),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\nB: {large}\r\n\r\n"), "431", ""),
    ] {
        let answer = pages.ask(&request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} "))
                || answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{request:?}: {answer}"
        );
        assert!(answer.contains(part), "{request:?}: {answer}");
    }
}

#[test]
fn a_head_is_answered_as_a_get_without_the_body() {
    let pages = Pages::new();
    for path in ["/healthz", "/readyz", "/nothing"] {
        let head_of = |answer: String| {
            let (head, body) =
                answer.split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            (head.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n"), body)
        };
        let (of_get, body) = head_of(pages.ask(format!("GET {path}{GET}")));
        assert!(of_get.contains(&format!("content-length: {}", body.len())), "{of_get}");
        assert_eq!(head_of(pages.ask(format!("HEAD {path}{GET}"))), (of_get, String::new()), "{path}");
    }
}

#[test]
fn an_answer_arrives_though_a_body_was_sent_that_nobody_reads() {
    let pages = Pages::new();
    let body = "x".repeat(LINGER_OCTETS / 2);
    let length = body.len();
    let answer =
        pages.ask(format!("POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"));
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[test]
fn one_connection_serves_one_request() {
    let pages = Pages::new();
    let answer = pages.ask(format!("GET /healthz{GET}GET /healthz{GET}"));
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[test]
fn a_client_that_has_closed_its_side_is_answered() {
    let pages = Pages::new();
    let mut client = pages.connect();
    client.write_all(format!("GET /healthz{GET}").as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(rest(client).ends_with("ok\n"));
}

#[test]
fn connections_beyond_the_limit_are_closed_and_others_go_on() {
    let pages = Pages::new();
    let mut idle: Vec<TcpStream> = (0..CONNECTIONS).map(|_| pages.connect()).collect();
    assert_eq!(rest(pages.connect()), "");
    let mut first = idle.remove(0);
    first.write_all(format!("GET /healthz{GET}").as_bytes()).unwrap();
    assert!(rest(first).ends_with("ok\n"));
    // Its place is given back just after that.
    while !pages.ask(format!("GET /healthz{GET}")).ends_with("ok\n") {}
}

/// A clock by which nothing is late until it strikes, and then everything is.
struct Striking(Shared<oneshot::Receiver<()>>);

#[async_trait]
impl Clock for Striking {
    fn utc(&self) -> UtcTime {
        UtcTime::default()
    }
    fn instant(&self) -> Instant {
        Instant::from_origin(Duration::ZERO)
    }
    async fn sleep_until(&self, _: Instant) {
        let _ = self.0.clone().await;
    }
}

#[test]
fn a_connection_has_an_end_whatever_its_client_does() {
    let (strike, struck) = oneshot::channel();
    let pages = Pages::by(Arc::new(Striking(struck.shared())));
    let begun: Vec<TcpStream> = ["", "GET /heal", "GET /healthz HTTP/1.1\r\nHost: a\r\n"]
        .into_iter()
        .map(|begin| {
            let mut client = pages.connect();
            client.write_all(begin.as_bytes()).unwrap();
            client
        })
        .collect();
    strike.send(()).unwrap();
    for client in begun {
        assert_eq!(rest(client), "");
    }
}

#[test]
fn a_node_is_ready_from_its_engines_start_until_it_is_told_to_end() {
    let pages = Pages::new();
    let readiness = || {
        let answer = pages.ask(format!("GET /readyz{GET}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), serde_json::from_str::<Value>(body).unwrap())
    };
    let is = |status: &str, body| (status.to_owned(), body);
    assert_eq!(readiness(), is("503", json!({"ready": false, "reason": "starting", "detail": null})));
    let journal = pages.node.watching(Journal::silent());
    journal.report(&Event::StartDelayed { reason: "no bucket".to_owned(), pause_seconds: 1 });
    assert_eq!(readiness(), is("503", json!({"ready": false, "reason": "starting", "detail": "no bucket"})));
    pages.start_engine();
    assert_eq!(readiness(), is("200", json!({"ready": true})));
    pages.node.drains();
    assert_eq!(readiness(), is("503", json!({"ready": false, "reason": "draining"})));
    assert!(pages.ask(format!("GET /healthz{GET}")).ends_with("ok\n"));
}

#[test]
fn metrics_tell_what_happened_and_name_nobody() {
    let metrics = Metrics::new(UtcTime(1_795_306_347_500));
    let id = QueueId::draw(UtcTime(1), [1; 10]);
    let reply = Reply::new(451, (4, 3, 0), "somebody@person.test is away");
    for event in [
        Event::SessionOpened { session: 1, protocol: "smtp", peer: "192.0.2.1:4000".to_owned() },
        Event::SessionOpened { session: 2, protocol: "smtp", peer: "192.0.2.1:4001".to_owned() },
        Event::SessionClosed { session: 1, protocol: "smtp", messages: 1, reason: "quit".to_owned() },
        Event::Attempted {
            queue_id: id,
            recipient: Address::parse("somebody@person.test").unwrap(),
            outcome: Outcome::Deferred(reply),
            attempts: 1,
        },
        Event::Bounced { queue_id: id, report: id },
    ] {
        metrics.count(&event);
    }
    let accept = RequestCounts { put: 5, put_bytes: 30 << 30, ..RequestCounts::default() };
    let deliver = RequestCounts {
        put: 2,
        get: 4,
        head: 1,
        list: 7,
        delete: 8,
        copy: 9,
        put_bytes: 50,
        get_bytes: 200,
        copy_bytes: (1 << 30) - 50,
    };
    let counted = [(Purpose::Accept, accept), (Purpose::Deliver, deliver)];
    let by_purpose: PurposeCounts = counted.into_iter().collect();
    let incarnation = Incarnation::draw(UtcTime(1), [1; 10]);
    let queue = Current {
        incarnation,
        is_holding: true,
        is_busy: true,
        entries: 7,
        attempts: 2,
        next_due: Some(UtcTime(2_500)),
    };
    let taken = Taken {
        waiting: 3,
        longest_wait: Duration::from_millis(1_500),
        octets: 4_096,
        refused: [4, 5, 0, 1, 0],
    };
    let text = metrics.render(&Figures {
        is_ready: true,
        readiness: Some(Readiness::Ready),
        statistics: Some(Statistics {
            accepted: 12,
            delivered: 9,
            store: by_purpose.total(),
            by_purpose,
            taken,
            turned_away: 6,
        }),
        queue: Some(Some(queue)),
    });
    // What was never asked for has its series as well.
    let idle = |line: &&str| {
        ["accept", "deliver"].iter().all(|work| !line.contains(&format!("work=\"{work}\"")))
            && line.contains("work=")
            && (line.ends_with(" 0") || line.ends_with(" 0.0"))
    };
    let series = text.lines().filter(idle).count();
    assert_eq!(series, (Purpose::ALL.len() - counted.len()) * 11);
    let is_left =
        |line: &&str| !line.starts_with('#') && !line.contains("fulmar_events_total") && !idle(line);
    let samples: BTreeSet<&str> = text.lines().filter(is_left).collect();
    let version = format!("fulmar_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    let expected = [
        version.as_str(),
        "process_start_time_seconds 1795306347.5",
        "fulmar_ready 1",
        "fulmar_store_ready 1",
        "fulmar_messages_accepted_total 12",
        "fulmar_recipients_delivered_total 9",
        "fulmar_attempts_total{outcome=\"delivered\"} 0",
        "fulmar_attempts_total{outcome=\"failed\"} 0",
        "fulmar_attempts_total{outcome=\"deferred\"} 1",
        "fulmar_attempts_total{outcome=\"cancelled\"} 0",
        "fulmar_sessions_opened_total{protocol=\"smtp\"} 2",
        "fulmar_sessions_opened_total{protocol=\"pop3\"} 0",
        "fulmar_sessions_opened_total{protocol=\"pop3s\"} 0",
        "fulmar_sessions_opened_total{protocol=\"submission\"} 0",
        "fulmar_sessions_opened_total{protocol=\"submissions\"} 0",
        "fulmar_sessions_opened_total{protocol=\"lmtp\"} 0",
        "fulmar_sessions_closed_total{protocol=\"smtp\"} 1",
        "fulmar_sessions_closed_total{protocol=\"pop3\"} 0",
        "fulmar_sessions_closed_total{protocol=\"pop3s\"} 0",
        "fulmar_sessions_closed_total{protocol=\"submission\"} 0",
        "fulmar_sessions_closed_total{protocol=\"submissions\"} 0",
        "fulmar_sessions_closed_total{protocol=\"lmtp\"} 0",
        "fulmar_store_requests_total{work=\"accept\",verb=\"put\"} 5",
        "fulmar_store_requests_total{work=\"accept\",verb=\"get\"} 0",
        "fulmar_store_requests_total{work=\"accept\",verb=\"head\"} 0",
        "fulmar_store_requests_total{work=\"accept\",verb=\"list\"} 0",
        "fulmar_store_requests_total{work=\"accept\",verb=\"delete\"} 0",
        "fulmar_store_requests_total{work=\"accept\",verb=\"copy\"} 0",
        "fulmar_store_requests_total{work=\"deliver\",verb=\"put\"} 2",
        "fulmar_store_requests_total{work=\"deliver\",verb=\"get\"} 4",
        "fulmar_store_requests_total{work=\"deliver\",verb=\"head\"} 1",
        "fulmar_store_requests_total{work=\"deliver\",verb=\"list\"} 7",
        "fulmar_store_requests_total{work=\"deliver\",verb=\"delete\"} 8",
        "fulmar_store_requests_total{work=\"deliver\",verb=\"copy\"} 9",
        "fulmar_store_transferred_bytes_total{work=\"accept\",verb=\"put\"} 32212254720",
        "fulmar_store_transferred_bytes_total{work=\"accept\",verb=\"copy\"} 0",
        "fulmar_store_transferred_bytes_total{work=\"deliver\",verb=\"copy\"} 1073741774",
        "fulmar_store_cost_dollars_total{work=\"accept\",bill=\"requests\"} 0.000025",
        "fulmar_store_cost_dollars_total{work=\"accept\",bill=\"storage\"} 0.023",
        "fulmar_store_cost_dollars_total{work=\"deliver\",bill=\"requests\"} 0.000092",
        "fulmar_store_cost_dollars_total{work=\"deliver\",bill=\"storage\"} 0.023",
        "fulmar_store_transferred_bytes_total{work=\"accept\",verb=\"get\"} 0",
        "fulmar_store_transferred_bytes_total{work=\"deliver\",verb=\"put\"} 50",
        "fulmar_store_transferred_bytes_total{work=\"deliver\",verb=\"get\"} 200",
        "fulmar_intake_messages 3",
        "fulmar_sessions_encrypted_total{version=\"1.2\"} 0",
        "fulmar_sessions_encrypted_total{version=\"1.3\"} 0",
        "fulmar_intake_bytes 4096",
        "fulmar_intake_wait_seconds 1.5",
        "fulmar_transactions_refused_total{reason=\"commit_wait\"} 5",
        "fulmar_transactions_refused_total{reason=\"intake\"} 0",
        "fulmar_transactions_refused_total{reason=\"entries\"} 1",
        "fulmar_transactions_refused_total{reason=\"processor\"} 4",
        "fulmar_transactions_refused_total{reason=\"delivery_wait\"} 0",
        "fulmar_connections_turned_away_total 6",
        "fulmar_queue_entries 7",
        "fulmar_queue_attempts 2",
        "fulmar_queue_next_due_timestamp_seconds 2.5",
    ];
    assert_eq!(samples, BTreeSet::from(expected));
    for (kind, count) in [("session_opened", 2), ("attempted", 1), ("bounced", 1), ("fenced", 0)] {
        let line = format!("\nfulmar_events_total{{event=\"{kind}\"}} {count}\n");
        assert!(text.contains(&line), "{line}: {text}");
    }
    assert_eq!(text.matches("\nfulmar_events_total{").count(), Event::KINDS.len());
    assert!(!text.contains("person") && !text.contains("192.0.2.1"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn metrics_of_a_node_that_runs_hold_its_own_figures() {
    let pages = Pages::new();
    let text = || pages.ask(format!("GET /metrics{GET}"));
    let of_engine = ["fulmar_store_ready 1", "fulmar_messages_accepted_total 0", "fulmar_queue_entries 0"];
    let before = text();
    assert!(before.contains("\nfulmar_ready 0\n") && !before.contains(of_engine[0]), "{before}");
    pages.start_engine();
    let after = text();
    assert!(after.contains("\nfulmar_ready 1\n"), "{after}");
    for line in of_engine {
        assert!(after.contains(line), "{line}: {after}");
    }
    // A node that has started has written.
    let put = "fulmar_store_requests_total{work=\"administer\",verb=\"put\"} ";
    let put = after.lines().find_map(|line| line.strip_prefix(put)).unwrap();
    assert_ne!(put, "0");
}
