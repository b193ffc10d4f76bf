//! Production has no tokio runtime, though libraries that it uses are made for one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fulmar_core::platform::Spawn;
use fulmar_runtime_smol::SmolRuntime;
use fulmar_tests::client::Client;
use fulmar_tests::node::Ground;
use fulmar_tests::tokio_runtime::TokioRuntime;
use futures::channel::oneshot;
use std::sync::Arc;
use tokio::runtime::Handle;

const ALICE: &str = "alice@home.test";
/// Whose threads a node has: the first one, the workers, async-io's, and those for work that blocks.
const THREADS: [&str; 4] = ["fulmar-test-nod", "fulmar-", "async-io", "blocking-"];

#[test]
fn no_job_on_smol_is_within_a_tokio_runtime() {
    let (smol, tokio) = (SmolRuntime::new(1).unwrap(), TokioRuntime::new().unwrap());
    for (spawn, is_tokio) in [(smol.spawn(), false), (tokio.spawn(), true)] {
        assert_eq!(smol::block_on(sees_tokio(&spawn)), [is_tokio; 2]);
    }
}

/// Whether a job and a piece of blocking work see a tokio runtime around them.
async fn sees_tokio(spawn: &Arc<dyn Spawn>) -> [bool; 2] {
    let is_inside = || Handle::try_current().is_ok();
    let (tell, told) = oneshot::channel();
    spawn.spawn(Box::pin(async move { tell.send(is_inside()).unwrap() }));
    [told.await.unwrap(), spawn.unblock(is_inside).await.unwrap()]
}

#[test]
fn a_node_has_no_threads_but_those_of_its_own_runtime() {
    let directory = tempfile::tempdir().unwrap();
    drop(Ground::in_directory(directory.path(), |_| ()).account(ALICE));
    let mut process = Command::new(env!("CARGO_BIN_EXE_fulmar-test-node"))
        .arg(directory.path())
        .arg("1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let server = lines.next().unwrap().unwrap().parse().unwrap();
    Client::greeted(server).deliver(&[ALICE], "Subject: one\r\n\r\n");
    assert_eq!(lines.next().unwrap().unwrap(), "delivered");
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    // A thread may end while the list is read.
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    let names: Vec<String> = names.collect();
    drop(process.stdin.take());
    assert!(process.wait().unwrap().success());
    assert!(names.iter().any(|name| name.starts_with("fulmar-0")), "{names:?}");
    let strangers: Vec<_> =
        names.iter().filter(|name| !THREADS.iter().any(|known| name.starts_with(known))).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}
