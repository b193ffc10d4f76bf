//! The ledger run: mixed real messages by real clients, while the server is killed again and again and started anew on
//! the same store. Afterwards every mailbox is read by another process, and the ledger judges.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::clients::{Answer, Job, send_by_smtplib, send_by_swaks};
use crate::corpus::{made_message, real_messages, with_attachment};
use crate::dice::Dice;
use crate::ledger::{ID_FIELD, Ledger};
use crate::process::{LogLine, Server, Site, free_address};

/// Accounts that ordinary messages go to.
const ACCOUNTS: usize = 10;
/// Accounts that the messages with many recipients go to, all of them.
const LIST_ACCOUNTS: usize = 200;
const LIST_MESSAGES: usize = 5;
const ATTACHMENT_MESSAGES: usize = 3;
/// Octets of a large attachment once it is encoded: 20 MiB before.
const ATTACHMENT_SIZE: usize = (20 << 20) / 3 * 4;
const SMTPLIB_CONNECTIONS: usize = 6;
const SWAKS_AT_A_TIME: usize = 3;
/// A large message may have to outlive every kill before it gets through.
const PATIENCE: Duration = Duration::from_secs(300);
/// One in so many messages goes out by `swaks`, which takes a process for each.
const SWAKS_SHARE: usize = 5;
/// Octets up to which a message is sent by `swaks`, which reads it line by line.
const SWAKS_SIZE_LIMIT: usize = 256 << 10;
/// A kill falls within this long after its turn has come.
const KILL_SPREAD: Duration = Duration::from_millis(60);
/// Processes that read mailboxes at a time.
const READERS: usize = 2;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Messages to send.
    pub messages: usize,
    /// How often the server is killed while they are sent.
    pub kills: usize,
    /// For every choice.
    pub seed: u64,
}

/// Runs it and gives the report; a breach of the ledger's rules is an error that holds the report.
pub fn run(program: &Path, target: &Path, plan: Plan) -> Fallible<String> {
    let started = Instant::now();
    let accounts: Vec<String> =
        (0..ACCOUNTS).map(account).chain((0..LIST_ACCOUNTS).map(list_account)).collect();
    let site = Site::new(program, &accounts)?;
    let real = real_messages(target)?;
    let (ledger, jobs) = compose(&site, &real, plan)?;
    let mut report =
        format!("{plan:?}, {} real messages among them, prepared in {:.1?}", real.len(), started.elapsed());

    let sending = Instant::now();
    let address = free_address()?;
    let (mut ledger, server, mut lives) = send_and_kill(&site, ledger, &jobs, plan, address, |_| Ok(()))?;
    write!(report, "\nsent in {:.1?}", sending.elapsed())?;
    let draining = Instant::now();
    site.wait_until_delivered()?;
    write!(report, ", queue empty {:.1?} later", draining.elapsed())?;
    let reading = Instant::now();
    read_mailboxes(&site, &accounts, &mut ledger)?;
    write!(report, ", read back in {:.1?}", reading.elapsed())?;
    lives.learn(&server.stop()?);

    let verdict = ledger.verdict();
    write!(report, "\n{lives}\n{verdict}")?;
    if verdict.is_clean() && lives.kills == plan.kills { Ok(report) } else { Err(report.into()) }
}

fn account(number: usize) -> String {
    format!("u{number}@example.org")
}

fn list_account(number: usize) -> String {
    format!("r{number}@example.org")
}

/// Writes every message to a file and enters it in the books.
fn compose(site: &Site, real: &[Vec<u8>], plan: Plan) -> Fallible<(Ledger, Vec<Job>)> {
    let mut dice = Dice::new(plan.seed);
    let folder = site.scratch()?;
    let mut ledger = Ledger::default();
    let mut jobs = Vec::with_capacity(plan.messages);
    let made_until = ATTACHMENT_MESSAGES + LIST_MESSAGES + plan.messages / 5;
    for number in 0..plan.messages {
        let size = 200 + dice.below(60_000);
        let is_list = (ATTACHMENT_MESSAGES..ATTACHMENT_MESSAGES + LIST_MESSAGES).contains(&number);
        let message = match number {
            n if n < ATTACHMENT_MESSAGES => with_attachment(&mut dice, ATTACHMENT_SIZE),
            n if n < made_until => made_message(&mut dice, size, n % 2 == 0),
            n => real[n % real.len()].clone(),
        };
        let forward_paths = if is_list {
            (0..LIST_ACCOUNTS).map(list_account).collect()
        } else {
            let first = dice.below(ACCOUNTS);
            (first..=first + dice.below(3)).map(|n| account(n % ACCOUNTS)).collect()
        };
        let id = format!("{:x}-{number}", plan.seed);
        let content = [format!("{ID_FIELD}{id}\r\n").into_bytes(), message].concat();
        let file = folder.join(format!("{number}.eml"));
        fs::write(&file, &content)?;
        let reverse_path = if dice.below(20) == 0 { "" } else { "a@client.test" }.to_owned();
        let job = Job { id, reverse_path, forward_paths, file };
        ledger.enter(job.clone(), content);
        jobs.push(job);
    }
    dice.shuffle(&mut jobs);
    Ok((ledger, jobs))
}

/// What became of the servers.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    pub(crate) kills: usize,
    /// From the start of a process until it listens.
    restarts: Vec<Duration>,
    /// From the start of a process until it owns its predecessor's entries.
    takeovers: Vec<Duration>,
}

impl Lives {
    pub(crate) fn learn(&mut self, log: &[LogLine]) {
        let adopted = log.iter().find(|line| line.fields["event"] == "adopted");
        self.takeovers.extend(adopted.map(|line| line.after));
    }
}

impl std::fmt::Display for Lives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let spread = |times: &[Duration]| {
            let mut sorted = times.to_vec();
            sorted.sort();
            match sorted.as_slice() {
                [] => "none".to_owned(),
                [.., last] => {
                    format!("median {:.0?}, worst {last:.0?} of {}", sorted[sorted.len() / 2], sorted.len())
                }
            }
        };
        write!(
            f,
            "kills {}; restart until it listens: {}; until its predecessor's log is adopted: {}",
            self.kills,
            spread(&self.restarts),
            spread(&self.takeovers)
        )
    }
}

/// Sends everything, kills as often as planned, and gives back the server that lives at the end. `progress` is told how many
/// messages have been accepted, after each answer.
pub(crate) fn send_and_kill(
    site: &Site,
    mut ledger: Ledger,
    jobs: &[Job],
    plan: Plan,
    address: SocketAddr,
    mut progress: impl FnMut(usize) -> Fallible<()>,
) -> Fallible<(Ledger, Server, Lives)> {
    let mut server = site.serve(address)?;
    let mut lives = Lives::default();
    let mut dice = Dice::new(!plan.seed);
    let (by_swaks, by_smtplib) = shares(jobs)?;
    thread::scope(|scope| {
        let (answers, answered) = channel();
        let mut clients = vec![scope.spawn({
            let answers = answers.clone();
            let jobs = &by_smtplib;
            move || send_by_smtplib(jobs, address, SMTPLIB_CONNECTIONS, PATIENCE, report_to(answers))
        })];
        for jobs in by_swaks.chunks(by_swaks.len().div_ceil(SWAKS_AT_A_TIME).max(1)) {
            let answers = answers.clone();
            clients.push(scope.spawn(move || send_by_swaks(jobs, address, PATIENCE, report_to(answers))));
        }
        drop(answers);

        let mut accepted = 0;
        while let Ok(answer) = answered.recv() {
            accepted += usize::from(answer.queue_id.is_some());
            ledger.answer(answer);
            progress(accepted)?;
            // Kills are spread over the messages, not over time, so that all of them fall into traffic.
            if lives.kills < plan.kills && accepted * (plan.kills + 1) >= jobs.len() * (lives.kills + 1) {
                thread::sleep(KILL_SPREAD * dice.below(100) as u32 / 100);
                server = restart(site, server, address, &mut lives)?;
                accepted += drain(&answered, &mut ledger);
            }
        }
        for client in clients {
            client.join().map_err(|_| "a client's thread panicked")??;
        }
        Ok((ledger, server, lives))
    })
}

/// Jobs for `swaks` and for `smtplib`.
fn shares(jobs: &[Job]) -> Fallible<(Vec<Job>, Vec<Job>)> {
    let (mut by_swaks, mut by_smtplib) = (Vec::new(), Vec::new());
    for (number, job) in jobs.iter().enumerate() {
        let is_small = fs::metadata(&job.file)?.len() <= SWAKS_SIZE_LIMIT as u64;
        let share = if number % SWAKS_SHARE == 0 && is_small { &mut by_swaks } else { &mut by_smtplib };
        share.push(job.clone());
    }
    Ok((by_swaks, by_smtplib))
}

fn report_to(answers: Sender<Answer>) -> impl FnMut(Answer) {
    move |answer| {
        // The receiver is gone only when the run has failed already.
        let _ = answers.send(answer);
    }
}

fn restart(site: &Site, server: Server, address: SocketAddr, lives: &mut Lives) -> Fallible<Server> {
    let log = server.kill()?;
    lives.learn(&log);
    let server = site.serve(address)?;
    lives.kills += 1;
    lives.restarts.push(server.ready_after);
    Ok(server)
}

/// Takes the answers that came meanwhile, and gives how many messages were accepted.
fn drain(answered: &Receiver<Answer>, ledger: &mut Ledger) -> usize {
    let mut accepted = 0;
    while let Ok(answer) = answered.try_recv() {
        accepted += usize::from(answer.queue_id.is_some());
        ledger.answer(answer);
    }
    accepted
}

/// Shows the ledger every stored message, read by other processes.
fn read_mailboxes(site: &Site, accounts: &[String], ledger: &mut Ledger) -> Fallible<()> {
    let read = |accounts: &[String], found: &Sender<(String, u64, PathBuf)>| -> Fallible<()> {
        for account in accounts {
            for (uid, file) in site.read_all(account)? {
                found.send((account.clone(), uid, file))?;
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let (sender, found) = channel();
        let mut readers = Vec::new();
        for accounts in accounts.chunks(accounts.len().div_ceil(READERS)) {
            let sender = sender.clone();
            readers.push(scope.spawn(move || read(accounts, &sender)));
        }
        drop(sender);
        while let Ok((account, uid, file)) = found.recv() {
            ledger.find(&account, uid, &fs::read(file)?);
        }
        for reader in readers {
            reader.join().map_err(|_| "a reader's thread panicked")??;
        }
        Ok(())
    })
}
