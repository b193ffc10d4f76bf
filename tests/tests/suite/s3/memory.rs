//! Memory of a node whose store takes nothing and says nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use fulmar_tests::client::Client;
use fulmar_tests::fake_s3::{FakeS3, Fault, Times};
use fulmar_tests::faults::Which;

use super::{ALICE, ground, message};

const CLIENTS: usize = 20;
/// Octets of a message.
const SIZE: usize = 20 << 20;
/// Octets by which the node may grow: 4 MiB of content being received for all, some 0.6 MiB for each session, and what the
/// allocator keeps. The clients send 400 MiB.
const GROWTH: u64 = 40 << 20;

#[test]
fn large_messages_for_a_store_that_never_answers_take_little_memory() {
    let fake = FakeS3::start();
    drop(ground(&fake, |_| ()));
    let process = Command::new(env!("CARGO_BIN_EXE_fulmar-test-node"))
        .args([&fake.endpoint()[..], "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut node = Node(process.unwrap());
    let mut address = String::new();
    BufReader::new(node.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let server = address.trim().parse().unwrap();
    let before = node.peak();
    let clients = (0..CLIENTS).map(|_| {
        let mut client = Client::greeted(server);
        client.begin(&[ALICE]);
        client
    });
    let clients: Vec<_> = clients.collect();
    fake.misbehave(Fault::Silence, Which::any(""), Times::Always);
    thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                client.send(message(number, SIZE));
                client.send(".\r\n");
                client.expect("451 4.3.0 ");
            });
        }
    });
    let growth = node.peak() - before;
    println!("grew by {} KiB", growth >> 10);
    assert!(growth < GROWTH, "grew by {} KiB", growth >> 10);
}

/// The process. It ends with this.
struct Node(Child);

impl Node {
    /// The most memory that it has had so far, in octets.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
