//! Several senders that go on until they are told to stop, and the books of what they were given and answered.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ACCOUNTS, LATER_DOMAIN, REMOTE_DOMAIN, account};
use crate::Fallible;
use crate::clients::{Answer, smtplib};
use crate::corpus::{made_message, with_attachment};
use crate::dice::Dice;
use crate::haproxy::HaProxy;
use crate::ledger::ID_FIELD;

/// Of each sender.
const CONNECTIONS: usize = 4;
/// How long a message is tried: nothing that is done to the nodes lasts so long.
const CLIENT_PATIENCE: Duration = Duration::from_secs(300);
/// A sender pauses up to this long, and then sends up to so many messages.
const PAUSE: Duration = Duration::from_millis(1_000);
const BURST: usize = 4;
/// Messages that a sender has not got rid of yet.
const OUTSTANDING: usize = 30;
const LOOK: Duration = Duration::from_millis(20);
/// One in so many messages is over 1 MiB, so that its body goes out in pieces.
const LARGE_SHARE: usize = 60;
const LARGE_SIZE: usize = 3 << 20;

/// Senders at work. They end when this is dropped.
pub(super) struct Load {
    senders: Vec<Sender>,
    shared: Arc<Shared>,
}

struct Sender {
    child: Child,
    threads: Vec<JoinHandle<Fallible<()>>>,
}

struct Shared {
    is_over: AtomicBool,
    sent: Mutex<File>,
    answers: Mutex<File>,
    folder: PathBuf,
    real: Vec<Vec<u8>>,
    given: AtomicUsize,
    accepted: AtomicUsize,
    attempts: AtomicUsize,
}

impl Load {
    /// Starts a sender at each address; every other one of them at the balancer's second listener.
    pub(super) fn start(
        balancer: &HaProxy,
        clients: &[IpAddr],
        books: &Path,
        real: Vec<Vec<u8>>,
        seed: u64,
    ) -> Fallible<Self> {
        let folder = books.join("messages");
        fs::create_dir(&folder)?;
        let shared = Arc::new(Shared {
            is_over: AtomicBool::new(false),
            sent: Mutex::new(File::create(books.join("sent.jsonl"))?),
            answers: Mutex::new(File::create(books.join("answers.jsonl"))?),
            folder,
            real,
            given: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
        });
        let mut load = Self { senders: Vec::new(), shared };
        for (number, client) in clients.iter().enumerate() {
            let listeners = balancer.listeners();
            let server = listeners[number % listeners.len()];
            let dice = Dice::new(seed.wrapping_add(number as u64 + 1));
            load.senders.push(Sender::start(load.shared.clone(), server, *client, dice)?);
        }
        Ok(load)
    }

    /// Gives the senders nothing more, waits until they have sent what they have, and says how much that was.
    pub(super) fn finish(mut self, patience: Duration) -> Fallible<String> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + patience;
        for sender in &mut self.senders {
            while !sender.threads.iter().all(JoinHandle::is_finished) {
                if Instant::now() > deadline {
                    return Err(format!("clients are still not answered after {patience:?}").into());
                }
                thread::sleep(LOOK);
            }
            for thread in sender.threads.drain(..) {
                thread.join().map_err(|_| "a sender's thread panicked")??;
            }
            let status = sender.child.wait()?;
            if !status.success() {
                return Err(format!("clients/send.py: {status}").into());
            }
        }
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let Shared { given, accepted, attempts, .. } = &*self.shared;
        Ok(format!(
            "{} messages given to {} senders, {} accepted in {} attempts",
            count(given),
            self.senders.len(),
            count(accepted),
            count(attempts)
        ))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for sender in &mut self.senders {
            // Nothing can be done about a process that is gone already. Its threads end with it.
            let _ = sender.child.kill();
            let _ = sender.child.wait();
            for thread in sender.threads.drain(..) {
                let _ = thread.join();
            }
        }
    }
}

impl Sender {
    fn start(shared: Arc<Shared>, server: SocketAddr, client: IpAddr, dice: Dice) -> Fallible<Self> {
        let mut child = smtplib(server, CONNECTIONS, CLIENT_PATIENCE, Some(client)).spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let outstanding = Arc::new(AtomicUsize::new(0));
        let (of_feeder, of_reader) = ((shared.clone(), outstanding.clone()), (shared, outstanding));
        let feeder = thread::spawn(move || {
            let (shared, outstanding) = of_feeder;
            Feeder { shared, outstanding, client, dice, input, number: 0 }.run()
        });
        let reader = thread::spawn(move || {
            let (shared, outstanding) = of_reader;
            for line in output.lines() {
                let line = line?;
                append(&shared.answers, &line)?;
                let answer: Answer = serde_json::from_str(&line)?;
                shared.attempts.fetch_add(1, Ordering::Relaxed);
                if answer.queue_id.is_some() {
                    shared.accepted.fetch_add(1, Ordering::Relaxed);
                    outstanding.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(Self { child, threads: vec![feeder, reader] })
    }
}

/// Gives a sender its jobs.
struct Feeder {
    shared: Arc<Shared>,
    outstanding: Arc<AtomicUsize>,
    client: IpAddr,
    dice: Dice,
    input: ChildStdin,
    number: usize,
}

impl Feeder {
    fn run(mut self) -> Fallible<()> {
        let is_over = |shared: &Shared| shared.is_over.load(Ordering::Relaxed);
        while !is_over(&self.shared) {
            thread::sleep(PAUSE * self.dice.below(100) as u32 / 100);
            for _ in 0..=self.dice.below(BURST) {
                let job = self.compose()?;
                append(&self.shared.sent, &job.to_string())?;
                self.outstanding.fetch_add(1, Ordering::Relaxed);
                self.shared.given.fetch_add(1, Ordering::Relaxed);
                writeln!(self.input, "{job}")?;
            }
            while self.outstanding.load(Ordering::Relaxed) >= OUTSTANDING && !is_over(&self.shared) {
                thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Writes a message's file.
    fn compose(&mut self) -> Fallible<Value> {
        let dice = &mut self.dice;
        let size = 200 + dice.below(20_000);
        let message = match dice.below(LARGE_SHARE) {
            0 => with_attachment(dice, LARGE_SIZE),
            n if n % 3 == 0 => self.shared.real[dice.below(self.shared.real.len())].clone(),
            n => made_message(dice, size, n % 2 == 0),
        };
        let several = 1 + dice.below(3);
        let at = |domain: &str| (0..several).map(|n| format!("r{n}@{domain}")).collect::<Vec<_>>();
        let first = dice.below(ACCOUNTS);
        let local: Vec<String> = (0..several).map(|n| account((first + n) % ACCOUNTS)).collect();
        let forward_paths = match dice.below(10) {
            0..5 => local,
            5..8 => at(REMOTE_DOMAIN),
            8 => at(LATER_DOMAIN),
            _ => [local, at(REMOTE_DOMAIN), at(LATER_DOMAIN)].concat(),
        };
        let id = format!("{}-{}", self.client, self.number);
        self.number += 1;
        let file = self.shared.folder.join(format!("{id}.eml"));
        fs::write(&file, [format!("{ID_FIELD}{id}\r\n").into_bytes(), message].concat())?;
        Ok(json!({
            "id": id, "client": self.client, "reverse_path": "a@client.test",
            "forward_paths": forward_paths, "file": file,
        }))
    }
}

fn append(file: &Mutex<File>, line: &str) -> Fallible<()> {
    Ok(writeln!(file.lock().unwrap_or_else(PoisonError::into_inner), "{line}")?)
}
