//! What is asked of the real S3 servers, one by one: each is started on an empty folder, and ended with the case.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use fulmar_core::platform::{Clock, Entropy, Store, StoreError, When};
use fulmar_core::state::contract::{check, race_probe};
use fulmar_runtime_smol::{SmolClock, SmolEntropy, SmolRuntime};
use fulmar_storage_s3::S3Settings;
use tempfile::TempDir;

use crate::Fallible;
use crate::case::{PATIENCE, RECIPIENT, jobs, read_back};
use crate::clients::send_by_smtplib;
use crate::corpus::made_message;
use crate::ledger::Ledger;
use crate::process::{Settings, Site, free_address};
use crate::relay_run::s3_environment;
use crate::s3_server::{CephRgw, S3Server, SeaweedFs};
use crate::s3_store;

/// Objects that are written before the server is killed.
const OBJECTS: usize = 20;
/// Cases of the contract suite.
const CONTRACT_CASES: usize = 18;

/// The contract suite on SeaweedFS.
pub fn seaweedfs_keeps_contract() -> Fallible<String> {
    let folder = TempDir::with_prefix("fulmar-s3-")?;
    keeps_contract(&SeaweedFs::start(folder.path())?)
}

/// The contract suite on Ceph; and a bucket that nobody made there, which SeaweedFS would make.
pub fn ceph_rgw_keeps_contract() -> Fallible<String> {
    let folder = TempDir::with_prefix("fulmar-s3-")?;
    let server = CephRgw::start(folder.path())?;
    let report = keeps_contract(&server)?;
    let settings = S3Settings { bucket: "missing".to_owned(), ..s3_store::settings(server.bucket()) };
    let runtime = SmolRuntime::new(SmolRuntime::default_threads())?;
    let store = s3_store::open(&runtime, &settings, &[]);
    match runtime.block_on(store.put("key", Bytes::from_static(b"text").into(), When::Always)) {
        Err(StoreError::Refused(reason)) if reason.contains("there is no such bucket") => {
            Ok(format!("{report}\nof a missing bucket: {reason}"))
        }
        other => Err(format!("a put in a bucket that is not there gave {other:?}").into()),
    }
}

fn keeps_contract(server: &impl S3Server) -> Fallible<String> {
    let runtime = SmolRuntime::new(SmolRuntime::default_threads())?;
    let store = s3_store::open(&runtime, &s3_store::settings(server.bucket()), &[]);
    let mut races = Vec::new();
    for number in 0..3 {
        let began = Instant::now();
        runtime.block_on(race_probe(&store, &format!("race-{number}/")))?;
        races.push(began.elapsed());
    }
    let mut entropy = [0; 10];
    SmolEntropy.fill(&mut entropy);
    let began = Instant::now();
    let verdicts = runtime.block_on(check(&store, "contract/", (SmolClock.utc(), entropy)));
    let took = began.elapsed();
    let failed: Vec<String> = verdicts
        .iter()
        .filter_map(|verdict| Some(format!("{}: {}", verdict.case, verdict.outcome.as_ref().err()?)))
        .collect();
    if !failed.is_empty() || verdicts.len() != CONTRACT_CASES {
        return Err(format!("{} cases, of which failed:\n{}", verdicts.len(), failed.join("\n")).into());
    }
    Ok(format!("{} cases passed in {took:.1?}; race probes alone took {races:.2?}", verdicts.len()))
}

/// The binary on SeaweedFS: `store check`, a node that makes sure of races by itself, and messages sent and read.
pub fn seaweedfs_is_taken_by_binary(program: &Path) -> Fallible<String> {
    let folder = TempDir::with_prefix("fulmar-s3-")?;
    let server = SeaweedFs::start(folder.path())?;
    let settings = Settings { environment: s3_environment(server.bucket()), ..Settings::default() };
    let site = Site::with(&std::env::temp_dir(), program, &[RECIPIENT.to_owned()], settings)?;
    let began = Instant::now();
    let verdicts = site.list(&["store", "check", "--json"])?;
    let checked = began.elapsed();
    if verdicts.len() != CONTRACT_CASES || verdicts.iter().any(|verdict| verdict["passed"] != true) {
        return Err(format!("store check said {verdicts:?}").into());
    }
    let kept = verdicts_kept(&server)?;
    if kept != 0 {
        return Err(format!("{kept} verdicts are kept before a node has started").into());
    }
    let mut starts = Vec::new();
    for _ in 0..2 {
        let node = site.serve(free_address()?)?;
        starts.push(node.ready_after);
        node.stop()?;
    }
    let kept = verdicts_kept(&server)?;
    if kept != 1 {
        return Err(format!("{kept} verdicts are kept after two starts").into());
    }
    let node = site.serve(free_address()?)?;
    let mut ledger = Ledger::default();
    let jobs = jobs(&site, &mut ledger, "s3", 3, |dice, number| made_message(dice, 2_000, number % 2 == 0))?;
    send_by_smtplib(&jobs, node.address(), 1, PATIENCE, |answer| ledger.answer(answer))?;
    let report = read_back(&site, ledger)?;
    Ok(format!("store check took {checked:.1?}, starts without and with a verdict {starts:.1?}\n{report}"))
}

/// Verdicts on the store's races in the deployment of [`s3_environment`].
fn verdicts_kept(server: &impl S3Server) -> Fallible<usize> {
    let runtime = SmolRuntime::new(SmolRuntime::default_threads())?;
    let settings = S3Settings { prefix: "fulmar".to_owned(), ..s3_store::settings(server.bucket()) };
    let page = runtime.block_on(s3_store::open(&runtime, &settings, &[]).list("probe/", None))?;
    Ok(page.objects.len())
}

/// SeaweedFS keeps through a kill what it acknowledged.
pub fn seaweedfs_keeps_objects() -> Fallible<String> {
    keeps_objects(SeaweedFs::start)
}

/// Ceph keeps through a kill what it acknowledged.
pub fn ceph_rgw_keeps_objects() -> Fallible<String> {
    keeps_objects(CephRgw::start)
}

fn keeps_objects<S: S3Server>(start: fn(&Path) -> Fallible<S>) -> Fallible<String> {
    let folder = TempDir::with_prefix("fulmar-s3-")?;
    let began = Instant::now();
    let mut server = start(folder.path())?;
    let started = began.elapsed();
    let key = |number: usize| format!("folder/object-{number}");
    for number in 0..OBJECTS {
        server.bucket().put(&key(number), key(number).as_bytes())?;
    }
    server.kill()?;
    if server.bucket().get(&key(0)).is_ok() {
        return Err("it answers though it was killed".into());
    }
    let began = Instant::now();
    server.restart()?;
    let restarted = began.elapsed();
    for number in 0..OBJECTS {
        let given = server.bucket().get(&key(number))?;
        if given != key(number).as_bytes() {
            return Err(format!("{} holds {:?}", key(number), String::from_utf8_lossy(&given)).into());
        }
    }
    Ok(format!("started in {started:.1?}, and in {restarted:.1?} after a kill; {OBJECTS} objects kept"))
}
