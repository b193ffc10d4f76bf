//! Clients that write down what they were told, and what must be in the mailboxes then.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fulmar_core::config::{Listener, Protocol};
use fulmar_core::model::QueueId;
use fulmar_core::platform::Spawn;
use fulmar_tests::faults::{Failure, MortalSpawn, Verb, Which};
use futures::future::join_all;
use smol::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use smol::net::unix::UnixStream;

use super::world::{ACCOUNTS, ALIAS, Node, POSTMASTER, World, address};

/// A message, and where it has to go.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) name: String,
    pub(super) forward_paths: Vec<&'static str>,
    pub(super) mailboxes: Vec<&'static str>,
    pub(super) content: Vec<u8>,
}

/// What became of a message, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted(QueueId),
    Refused(String),
    Lost,
}

pub(super) type Ledger = Vec<(Letter, Answer)>;

impl Letter {
    /// A message of about so many octets.
    pub(super) fn new(
        name: impl Into<String>,
        forward_paths: &[&'static str],
        mailboxes: &[&'static str],
        octets: usize,
    ) -> Self {
        let name = name.into();
        let mut content = format!("Message-ID: <{name}@client.test>\r\nSubject: {name}\r\n\r\n").into_bytes();
        let mut line = 0;
        while content.len() < octets {
            content
                .extend_from_slice(format!("{line:>9} of {name} {}\r\n", "x".repeat(line % 60)).as_bytes());
            line += 1;
        }
        Self { name, forward_paths: forward_paths.to_vec(), mailboxes: mailboxes.to_vec(), content }
    }

    /// A small one for the first account.
    pub(super) fn small(name: impl Into<String>) -> Self {
        Self::new(name, &ACCOUNTS[..1], &ACCOUNTS[..1], 300)
    }
}

/// Sends messages one after the other in one session, and goes on after a refusal.
pub(super) async fn send(node: &Node, letters: Vec<Letter>) -> Ledger {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let peer: SocketAddr = "192.0.2.1:4000".parse().unwrap();
    let listener = Listener::new(Protocol::Smtp, "192.0.2.25:25".parse().unwrap());
    let engine = node.engine.clone();
    let spawn = MortalSpawn { spawn: node.spawn.clone(), life: node.life.clone() };
    spawn.spawn(Box::pin(async move { engine.serve(Box::new(theirs), peer, &listener).await }));
    let mut client = Client { reader: BufReader::new(ours.clone()), writer: ours };
    let greeted = client.reply().await.is_some() && client.ask("EHLO client.test").await.is_some();
    let mut ledger = Ledger::new();
    for letter in letters {
        let answer = if greeted { client.send(&letter).await } else { Answer::Lost };
        ledger.push((letter, answer));
    }
    ledger
}

/// Runs sessions side by side.
pub(super) async fn send_all(node: &Node, sessions: Vec<Vec<Letter>>) -> Ledger {
    join_all(sessions.into_iter().map(|letters| send(node, letters))).await.concat()
}

struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Client {
    async fn send(&mut self, letter: &Letter) -> Answer {
        self.transact(letter).await.unwrap_or(Answer::Lost)
    }

    /// Nothing where the connection was lost before the final reply.
    async fn transact(&mut self, letter: &Letter) -> Option<Answer> {
        let mut commands = vec!["MAIL FROM:<sender@client.test>".to_owned()];
        commands.extend(letter.forward_paths.iter().map(|path| format!("RCPT TO:<{path}>")));
        commands.push("DATA".to_owned());
        for command in commands {
            let reply = self.ask(&command).await?;
            if !reply.starts_with(['2', '3']) {
                self.ask("RSET").await?;
                return Some(Answer::Refused(reply));
            }
        }
        self.writer.write_all(&letter.content).await.ok()?;
        let reply = self.ask(".").await?;
        Some(match reply.strip_prefix("250 2.0.0 ").and_then(|rest| rest.split(' ').next()) {
            Some(id) => Answer::Accepted(id.parse().unwrap()),
            None => Answer::Refused(reply),
        })
    }

    async fn ask(&mut self, command: &str) -> Option<String> {
        self.writer.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        self.reply().await
    }

    /// The last line of a reply.
    async fn reply(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line.as_bytes().get(3) == Some(&b' ') {
                return Some(line.trim_end().to_owned());
            }
        }
    }
}

/// The queue ids of the messages that were acknowledged.
pub(super) fn accepted(ledger: &Ledger) -> usize {
    ledger.iter().filter(|(_, answer)| matches!(answer, Answer::Accepted(_))).count()
}

/// Whether each message was refused with this code.
pub(super) fn assert_all_refused(ledger: &Ledger, code: &str) {
    for (letter, answer) in ledger {
        let is_refused = matches!(answer, Answer::Refused(reply) if reply.starts_with(code));
        assert!(is_refused, "{}: {answer:?}", letter.name);
    }
}

/// A message as it lies in a mailbox, without the fields that we added.
struct Found {
    queue_id: Option<QueueId>,
    original: Vec<u8>,
}

/// Holds the mailboxes against the ledger. `copies` of a message that was not acknowledged may be there.
pub(super) async fn check(world: &World, ledger: &Ledger, context: &str) {
    let mut boxes: BTreeMap<&str, Vec<Found>> = BTreeMap::new();
    for account in ACCOUNTS.into_iter().chain([POSTMASTER]) {
        boxes.insert(account, read(world, account).await);
    }
    for (letter, answer) in ledger {
        for (account, found) in &boxes {
            let copies: Vec<&Found> = found.iter().filter(|f| f.original == letter.content).collect();
            let is_meant = letter.mailboxes.contains(account);
            match answer {
                Answer::Accepted(id) if is_meant => {
                    let ids: Vec<_> = copies.iter().map(|copy| copy.queue_id).collect();
                    assert_eq!(ids, [Some(*id)], "{context}: {} in {account}", letter.name);
                }
                // A client that was told nothing may find that it was taken all the same (RFC 1047 §1).
                _ => {
                    let limit = usize::from(is_meant);
                    assert!(copies.len() <= limit, "{context}: {} in {account}", letter.name);
                }
            }
        }
    }
    for (account, found) in &boxes {
        let is_known = |f: &Found| ledger.iter().any(|(letter, _)| letter.content == f.original);
        assert!(found.iter().all(is_known), "{context}: something in {account} was never sent");
    }
}

/// A whole mailbox, in the order of its UIDs, which begin at 1 and leave none out.
async fn read(world: &World, account: &str) -> Vec<Found> {
    let account = address(account);
    let Ok(listing) = world.admin.mailbox(&account, "INBOX").await else { return Vec::new() };
    let mut found = Vec::new();
    for (item, uid) in listing.into_iter().zip(1..) {
        assert_eq!(item.uid, uid, "UIDs of {account}");
        let mut message = world.admin.message(&account, "INBOX", item.uid).await.unwrap();
        let mut content = Vec::new();
        while let Some(part) = message.next().await.unwrap() {
            content.extend_from_slice(&part);
        }
        assert_eq!(content.len() as u64, item.size);
        found.push(Found { queue_id: item.queue_id, original: without_trace(&content, item.queue_id) });
    }
    found
}

/// What came, without Return-Path and Received in front of it.
fn without_trace(content: &[u8], queue_id: Option<QueueId>) -> Vec<u8> {
    let mut at = 0;
    for field in ["Return-Path: <sender@client.test>", "Received: from client.test"] {
        assert!(content[at..].starts_with(field.as_bytes()), "{field} is missing in {queue_id:?}");
        loop {
            at += content[at..].iter().position(|b| *b == b'\n').unwrap() + 1;
            if !matches!(content[at], b' ' | b'\t') {
                break;
            }
        }
    }
    content[at..].to_vec()
}

/// One of everything, some of it at the same time: five messages in three sessions.
pub(super) fn scenario() -> Vec<Vec<Letter>> {
    let everybody = &ACCOUNTS[..];
    vec![
        vec![
            Letter::small("first"),
            Letter::new("three", &[ACCOUNTS[2], ALIAS, ACCOUNTS[0]], everybody, 4_000),
        ],
        vec![Letter::new("large", &ACCOUNTS[1..], &ACCOUNTS[1..], 2_300_000)],
        vec![
            Letter::new("postmaster", &["Postmaster"], &[POSTMASTER], 300),
            Letter::new("alias", &[ALIAS], &ACCOUNTS[..2], 300),
        ],
    ]
}

/// A node that acknowledged everything, could deliver nothing, and is no more.
pub(super) async fn dead_with_entries(world: &World, number: u32) -> (Node, Ledger) {
    let (node, ledger) = suspended_with_entries(world, number).await;
    node.kill();
    (node, ledger)
}

/// As [`dead_with_entries`], but nobody knows yet.
pub(super) async fn suspended_with_entries(world: &World, number: u32) -> (Node, Ledger) {
    let first = world.start(number).await;
    first.faults.fail(Which::new(Verb::Put, "account/"), Failure::Unavailable, usize::MAX);
    let ledger = send_all(&first, scenario()).await;
    assert_eq!(accepted(&ledger), ledger.len(), "{ledger:?}");
    // Deferrals stand in the log as well.
    world
        .until("a deferral", || async {
            let queue = world.admin.queue().await.unwrap();
            queue.iter().any(|item| item.attempts > 0)
        })
        .await;
    first.life.end();
    (first, ledger)
}
