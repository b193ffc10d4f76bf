//! What is measured of Fulmar alone.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fulmar_tests::Fallible;
use fulmar_tests::case::{PATIENCE, jobs, read_back, site};
use fulmar_tests::clients::send_by_smtplib;
use fulmar_tests::corpus::with_attachment;
use fulmar_tests::daemon::run;
use fulmar_tests::ledger::Ledger;
use fulmar_tests::process::{Settings, Site, free_address};
use fulmar_tests::relay_run::s3_environment;
use fulmar_tests::s3_server::{S3Server, SeaweedFs};
use tempfile::TempDir;

use crate::cells::{Flow, Load, Size};
use crate::generator;
use crate::report::{Alone, Figure, Peer, floors};
use crate::servers::{Setup, recipients};
use crate::spread::Spread;
use crate::stores::OwnStore;

const LARGE_CLIENTS: usize = 20;
const LARGE_SIZE: usize = 25 << 20;
const COLD_STARTS: usize = 20;
const DOMAINS: usize = 100;
const ACCOUNTS: usize = 10_000;
const IDLE_SESSIONS: usize = 1_000;
const LONE_ROUNDS: usize = 5;
const LONE_MESSAGES: usize = 100;
const LONE_SIZE: usize = 10 << 10;
/// What [`s3_environment`] has a node write below.
const PREFIX: &str = "fulmar";
/// Octets.
const MEBIBYTE: f64 = (1 << 20) as f64;
const KIBIBYTE: f64 = 1024.0;

/// Measures all of it; with what could not be measured, and why.
pub(crate) fn measure(setup: &Setup) -> (Vec<Alone>, Vec<String>) {
    let (mut measured, mut remarks) = (Vec::new(), Vec::new());
    let mut enter = |name: &'static str, unit: &'static str, figures: Fallible<Vec<f64>>| {
        let spread = figures.and_then(|figures| Spread::of(figures).ok_or_else(|| "no figures".into()));
        match spread {
            Ok(spread) => measured.push(Alone { name, unit, spread }),
            Err(error) => remarks.push(format!("{name}: {error}")),
        }
    };
    enter("20 clients with 25 MiB each", "MiB", large_messages(&setup.fulmar).map(|peak| vec![peak]));
    enter(floors::IDLE_SESSION, "KiB", idle_session(&setup.fulmar).map(|octets| vec![octets]));
    enter(floors::LARGE_QUEUE, "MiB", large_queue().map(|octets| vec![octets]));
    enter(floors::WAIT_ON_DIRECTORY, "ms", wait_on_directory(setup));
    enter(floors::WAIT_ON_S3, "ms", wait_on_s3(setup));
    enter(floors::COLD_START, "ms", cold_start(&setup.fulmar));
    enter(floors::COLD_START_ON_S3, "ms", cold_start_on_s3(&setup.fulmar));
    (measured, remarks)
}

/// Peak resident set while many clients send large messages at a time. All of them must be stored as they were sent.
fn large_messages(program: &Path) -> Fallible<f64> {
    let mut ledger = Ledger::default();
    let site = site(program)?;
    let server = site.serve(free_address()?)?;
    let jobs = jobs(&site, &mut ledger, "large", LARGE_CLIENTS, |dice, _| with_attachment(dice, LARGE_SIZE))?;
    send_by_smtplib(&jobs, server.address(), LARGE_CLIENTS, PATIENCE, |answer| ledger.answer(answer))?;
    read_back(&site, ledger)?;
    Ok(server.peak_memory()? as f64 / MEBIBYTE)
}

/// What a session takes that has said EHLO and then nothing, in KiB.
fn idle_session(program: &Path) -> Fallible<f64> {
    let site = site(program)?;
    let server = site.serve(free_address()?)?;
    let processes = crate::process_tree::ProcessTree { root: server.pid() };
    let open = || -> Fallible<TcpStream> {
        let mut stream = TcpStream::connect(server.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"EHLO client.test\r\n")?;
        for line in BufReader::new(&stream).lines() {
            // The last line of the reply (RFC 5321 §4.2.1).
            if line?.starts_with("250 ") {
                return Ok(stream);
            }
        }
        Err("the server closed an idle session".into())
    };
    // The first ones also bring what is there once for all.
    let _first: Vec<TcpStream> = (0..10).map(|_| open()).collect::<Fallible<_>>()?;
    let before = processes.memory()?;
    let _idle: Vec<TcpStream> = (0..IDLE_SESSIONS).map(|_| open()).collect::<Fallible<_>>()?;
    let grown = processes.memory()?.saturating_sub(before);
    Ok(grown as f64 / IDLE_SESSIONS as f64 / KIBIBYTE)
}

/// What a queue of a million entries takes when all of them are due, in MiB: by the program beside this one.
fn large_queue() -> Fallible<f64> {
    const ENTRIES: f64 = 1e6;
    let printed = run(&mut Command::new(std::env::current_exe()?.with_file_name("queue-size")))?;
    let printed = String::from_utf8(printed)?;
    let each =
        printed.lines().find_map(|line| line.strip_prefix("memory, all due")?.trim().split(' ').next());
    let each: f64 = each.ok_or_else(|| format!("no memory in {printed}"))?.parse()?;
    Ok(each * ENTRIES / MEBIBYTE)
}

fn wait_on_directory(setup: &Setup) -> Fallible<Vec<f64>> {
    let folder = TempDir::with_prefix("fulmar-bench-")?;
    lone_waits(setup, Peer::Fulmar, &OwnStore::directory(folder.path())?)
}

fn wait_on_s3(setup: &Setup) -> Fallible<Vec<f64>> {
    let folder = TempDir::with_prefix("fulmar-bench-s3-")?;
    let store = SeaweedFs::start(folder.path())?;
    lone_waits(setup, Peer::FulmarOnS3, &OwnStore::bucket(store.bucket(), "beside")?)
}

/// The median time that a lone client waits for its `250`, less the median time of a bare write of as many octets to such a store,
/// in ms, round by round.
fn lone_waits(setup: &Setup, peer: Peer, store: &OwnStore) -> Fallible<Vec<f64>> {
    let mut waits = Vec::new();
    let load = Load { sessions: 1, messages: LONE_MESSAGES, size: Size::Octets(LONE_SIZE), kept: true };
    for round in 0..LONE_ROUNDS {
        let mut server = setup.start(peer, Flow::Relay)?;
        let sent = generator::send(load, server.address(), &recipients(Flow::Relay))?;
        server.wait_for_deliveries(LONE_MESSAGES)?;
        server.finish(LONE_MESSAGES)?;
        let waited = *sent.latency.get(&Figure::P50).ok_or("no latency")?;
        let writes = store.write_times(round, LONE_MESSAGES, LONE_SIZE)?;
        let write = Spread::of(writes.into_iter().map(milliseconds)).ok_or("no writes")?;
        waits.push(waited - write.median);
    }
    Ok(waits)
}

fn cold_start(program: &Path) -> Fallible<Vec<f64>> {
    let folder = TempDir::with_prefix("fulmar-bench-")?;
    OwnStore::directory(folder.path())?.populate(DOMAINS, ACCOUNTS)?;
    cold_starts(program, vec![("FULMAR_STORE_URL".to_owned(), format!("file:{}", folder.path().display()))])
}

fn cold_start_on_s3(program: &Path) -> Fallible<Vec<f64>> {
    let folder = TempDir::with_prefix("fulmar-bench-s3-")?;
    let store = SeaweedFs::start(folder.path())?;
    OwnStore::bucket(store.bucket(), PREFIX)?.populate(DOMAINS, ACCOUNTS)?;
    cold_starts(program, s3_environment(store.bucket()))
}

/// From the start of the process, on a store with many accounts, until a client has read the greeting; in ms. The first start is not
/// counted: on S3 it sees for 30 days that the store is sound.
fn cold_starts(program: &Path, environment: Vec<(String, String)>) -> Fallible<Vec<f64>> {
    let site =
        Site::with(&std::env::temp_dir(), program, &[], Settings { environment, ..Settings::default() })?;
    site.serve(free_address()?)?.stop()?;
    let mut starts = Vec::new();
    for _ in 0..COLD_STARTS {
        let server = site.serve(free_address()?)?;
        starts.push(milliseconds(server.first_greeting()?));
        server.stop()?;
    }
    Ok(starts)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
