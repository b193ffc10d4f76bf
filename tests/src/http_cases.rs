//! What a real node tells over HTTP, and how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Fallible;
use crate::case::RECIPIENT;
use crate::client::Client;
use crate::fake_s3::{BUCKET, FakeS3};
use crate::openmetrics::Metrics;
use crate::process::{Server, Settings, Site, free_address};

const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a page may take to say what is expected of it.
const CHANGE_LIMIT: Duration = Duration::from_secs(90);
/// Between two looks at a page.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// A node that is told to end twice must be gone within this, though its grace is far longer.
const AT_ONCE: Duration = Duration::from_secs(5);

/// One node through all that may befall it: its store is away when it starts, comes, goes, comes back; then it is told to
/// end amid a message.
pub fn pages_follow_the_node(program: &Path) -> Fallible<String> {
    let (store, pages) = (FakeS3::start(), free_address()?);
    let site = site(program, pages, s3(&store))?;

    store.go_away();
    let mut server = site.launch(free_address()?)?;
    wait_for(pages, 503, |page| page["reason"] == "starting" && page["detail"].is_string())?;
    expect_alive(pages)?;
    store.come_back();
    server.wait_for_listener()?;
    wait_for(pages, 200, |page| *page == json!({"ready": true}))?;

    let series = metrics_of_one_delivery(&mut server, pages)?;
    store_goes_and_comes_back(&store, &server, pages)?;
    let ended = ends_amid_a_message(server, pages)?;
    Ok(format!("{series} series; told to end, it was gone after {ended:.1?}"))
}

/// A second signal does not wait for the grace period.
pub fn second_signal_ends_at_once(program: &Path) -> Fallible<String> {
    let pages = free_address()?;
    let site = site(program, pages, vec![("FULMAR_SHUTDOWN_GRACE".to_owned(), "1h".to_owned())])?;
    let server = site.serve(free_address()?)?;
    let mut busy = Client::greeted(server.address());
    busy.begin(&[RECIPIENT]);
    server.ask_to_stop()?;
    wait_for(pages, 503, |page| page["reason"] == "draining")?;
    let asked = Instant::now();
    server.ask_to_stop()?;
    let (status, _) = server.wait_for_end()?;
    match (status.code(), asked.elapsed()) {
        (Some(1), took) if took < AT_ONCE => Ok(format!("after {took:.1?}")),
        (_, took) => Err(format!("{status} after {took:.1?}").into()),
    }
}

fn site(program: &Path, pages: SocketAddr, environment: Vec<(String, String)>) -> Fallible<Site> {
    let settings = Settings { environment, http: Some(pages), ..Settings::default() };
    Site::with(&std::env::temp_dir(), program, &[RECIPIENT.to_owned()], settings)
}

fn s3(store: &FakeS3) -> Vec<(String, String)> {
    [
        ("FULMAR_STORE_URL", format!("s3://{BUCKET}/fulmar")),
        ("FULMAR_STORE_ENDPOINT", store.endpoint()),
        ("FULMAR_STORE_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Gives how many series there are.
fn metrics_of_one_delivery(server: &mut Server, pages: SocketAddr) -> Fallible<usize> {
    let mut client = Client::greeted(server.address());
    client.deliver(&[RECIPIENT], MESSAGE);
    client.command("RCPT TO:<nobody@elsewhere.test>", "503 ");
    client.command("QUIT", "221 ");
    server.wait_for_log("\"attempted\"", 1)?;
    let (_, text) = ask(pages, "/metrics")?;
    let metrics = Metrics::parse(&text)?;
    for (series, value) in [
        ("fulmar_ready", 1.0),
        ("fulmar_store_ready", 1.0),
        ("fulmar_messages_accepted_total", 1.0),
        ("fulmar_recipients_delivered_total", 1.0),
        ("fulmar_attempts_total{outcome=\"delivered\"}", 1.0),
        ("fulmar_attempts_total{outcome=\"failed\"}", 0.0),
        ("fulmar_sessions_opened_total{protocol=\"smtp\"}", 1.0),
        ("fulmar_events_total{event=\"accepted\"}", 1.0),
        ("fulmar_events_total{event=\"refused\"}", 1.0),
        ("fulmar_events_total{event=\"login_failed\"}", 0.0),
    ] {
        let told = metrics.value(series)?;
        if told != value {
            return Err(format!("{series} is {told} and not {value}").into());
        }
    }
    if metrics.value("fulmar_store_requests_total{work=\"accept\",verb=\"put\"}")? < 1.0 || text.contains('@')
    {
        return Err(format!("a delivery without a PUT, or an address: {text}").into());
    }
    Ok(metrics.len())
}

fn store_goes_and_comes_back(store: &FakeS3, server: &Server, pages: SocketAddr) -> Fallible<()> {
    store.go_away();
    let mut client = Client::greeted(server.address());
    client.begin(&[RECIPIENT]);
    client.send(MESSAGE);
    client.send(".\r\n");
    client.expect("451 4.3.0 ");
    wait_for(pages, 503, |page| page["reason"] == "store_away" && page["since"].is_string())?;
    expect_alive(pages)?;
    store.come_back();
    // It finds out by itself, by its heartbeat.
    wait_for(pages, 200, |page| page["ready"] == true)?;
    client.deliver(&[RECIPIENT], MESSAGE);
    Ok(())
}

/// Gives how long it took to end.
fn ends_amid_a_message(server: Server, pages: SocketAddr) -> Fallible<Duration> {
    let address = server.address();
    let idle = Client::greeted(address);
    let mut busy = Client::greeted(address);
    busy.begin(&[RECIPIENT]);
    busy.send("Subject: amid\r\n");
    let asked = Instant::now();
    server.ask_to_stop()?;
    expect_farewell(&idle.rest())?;
    wait_for(pages, 503, |page| page["reason"] == "draining")?;
    expect_alive(pages)?;
    // The listener is closed, or a client that came at the last moment is told.
    if let Ok(mut late) = TcpStream::connect(address) {
        let mut said = String::new();
        let _ = late.read_to_string(&mut said);
        if !said.is_empty() {
            expect_farewell(said.trim_start_matches(|c| c != '\n').trim_start())?;
        }
    }
    busy.send("\r\nIt works.\r\n.\r\n");
    busy.accepted();
    expect_farewell(&busy.rest())?;
    let (status, _) = server.wait_for_end()?;
    if !status.success() || ask(pages, "/healthz").is_ok() {
        return Err(format!("it ended with {status}, or its pages did not end with it").into());
    }
    Ok(asked.elapsed())
}

fn expect_farewell(said: &str) -> Fallible<()> {
    match said.starts_with("421 4.3.2 ") && said.lines().count() == 1 {
        true => Ok(()),
        false => Err(format!("a node that ends said {said:?}").into()),
    }
}

fn expect_alive(pages: SocketAddr) -> Fallible<()> {
    match ask(pages, "/healthz")? {
        (200, body) if body == "ok\n" => Ok(()),
        other => Err(format!("/healthz said {other:?}").into()),
    }
}

/// Waits until `/readyz` says so.
fn wait_for(pages: SocketAddr, status: u16, is_it: impl Fn(&Value) -> bool) -> Fallible<()> {
    let deadline = Instant::now() + CHANGE_LIMIT;
    loop {
        let answer = ask(pages, "/readyz");
        if let Ok((told, body)) = &answer
            && *told == status
            && is_it(&serde_json::from_str(body)?)
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("/readyz never said {status} as expected, last {answer:?}").into());
        }
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// The status and the body of a page.
fn ask(pages: SocketAddr, path: &str) -> Fallible<(u16, String)> {
    let mut stream = TcpStream::connect(pages)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {pages}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of the head")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok((status, body.to_owned()))
}
