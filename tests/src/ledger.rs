//! What clients were told, against what mailboxes hold. The ledger knows nothing of the engine: it sees replies on one
//! side and stored messages on the other.
//!
//! A message carries its own `X-Ledger-Id` field. A copy in a mailbox is told by that, and by the queue id in the
//! `Received` field in front of it. The rules, for every message and recipient:
//!
//! 1. each queue id that a client was given has exactly one copy: none is lost, none is doubled;
//! 2. a queue id that no client was given (its `250` was lost) has at most one copy, and there are at most as many of
//!    them as attempts that sent the whole content and got no `250`;
//! 3. every copy is what was sent, octet for octet, behind one `Return-Path` and one `Received`.
//!
//! What was handed to another host may come there more than once: when a server dies after the host has taken a message
//! and before it has noted that, nobody can know. Such copies are counted as repeated, and are no breach; one that is missing
//! is lost all the same.

pub mod reasons;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::clients::{Answer, Job};

/// The field that tells messages apart. It comes first in the content.
pub const ID_FIELD: &str = "X-Ledger-Id: ";
/// How much of a line is shown where it differs.
const SHOWN_OCTETS: usize = 120;
/// How many findings of one kind are printed.
const SHOWN: usize = 10;

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    /// Domains of other hosts.
    remote: BTreeSet<String>,
    altered: Vec<String>,
    unknown: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    job: Job,
    content: Vec<u8>,
    attempts: usize,
    /// Attempts that sent everything and got no `250`.
    unanswered: usize,
    answered: Vec<String>,
    last_reply: String,
    /// The client's address, where the trace field must name it.
    client: Option<IpAddr>,
    /// Where the copies are that a recipient holds under a queue id.
    copies: BTreeMap<(String, String), Vec<String>>,
}

impl Ledger {
    /// Empty books, of mail of which that for these domains goes to other hosts.
    pub fn relaying(domains: &[&str]) -> Self {
        Self { remote: domains.iter().map(|domain| (*domain).to_owned()).collect(), ..Self::default() }
    }

    /// A message is about to be sent.
    pub fn enter(&mut self, job: Job, content: Vec<u8>) {
        let entry = Entry {
            content,
            attempts: 0,
            unanswered: 0,
            answered: Vec::new(),
            last_reply: String::new(),
            client: None,
            copies: BTreeMap::new(),
            job,
        };
        self.entries.insert(entry.job.id.clone(), entry);
    }

    /// A message that was entered comes from this address, which its `Received` field must tell.
    pub fn comes_from(&mut self, id: &str, client: IpAddr) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.client = Some(client);
        }
    }

    /// A client's attempt has ended.
    pub fn answer(&mut self, answer: Answer) {
        let Some(entry) = self.entries.get_mut(&answer.id) else {
            self.unknown.push(format!("an answer for {}", answer.id));
            return;
        };
        entry.attempts += 1;
        entry.last_reply = answer.reply;
        match answer.queue_id {
            Some(queue_id) => entry.answered.push(queue_id),
            None if answer.whole => entry.unanswered += 1,
            None => {}
        }
    }

    /// A mailbox holds this message.
    pub fn find(&mut self, recipient: &str, uid: u64, stored: &[u8]) {
        self.enter_copy(recipient, format!("{recipient} UID {uid}"), stored, Trace::read(stored));
    }

    /// Another host has this message at some place: its envelope's reverse-path, and the content from our `Received` on,
    /// with CRLF line ends.
    pub fn find_relayed(&mut self, recipient: &str, place: &str, reverse_path: &str, content: &[u8]) {
        let trace = Trace::read_received(reverse_path.to_owned(), content);
        self.enter_copy(recipient, place.to_owned(), content, trace);
    }

    fn enter_copy(&mut self, recipient: &str, place: String, stored: &[u8], trace: Option<Trace<'_>>) {
        let id = ledger_id(trace.as_ref().map_or(stored, |trace| trace.content));
        let Some(entry) = id.and_then(|id| self.entries.get_mut(&id)) else {
            self.unknown.push(place);
            return;
        };
        let queue_id = trace.as_ref().map_or_else(String::new, |trace| trace.queue_id.clone());
        let is_same = trace.as_ref().is_some_and(|trace| {
            trace.content == entry.content && trace.reverse_path == entry.job.reverse_path
        });
        if !is_same {
            let found = id_onwards(stored);
            let difference = first_difference(&entry.content, found);
            self.altered.push(format!("{} at {place}: {difference}", entry.job.id));
        }
        if let (Some(client), Some(trace)) = (entry.client, &trace)
            && !trace.received.contains(&format!("[{client}]"))
        {
            let received = trace.received;
            self.altered.push(format!("{} at {place}: from {client}, but {received:?}", entry.job.id));
        }
        entry.copies.entry((recipient.to_owned(), queue_id)).or_default().push(place);
    }

    /// What the rules say about all of it.
    pub fn verdict(&self) -> Verdict {
        let mut verdict =
            Verdict { altered: self.altered.clone(), unknown: self.unknown.clone(), ..Verdict::default() };
        for entry in self.entries.values() {
            entry.judge(&self.remote, &mut verdict);
        }
        verdict
    }
}

impl Entry {
    fn judge(&self, remote: &BTreeSet<String>, verdict: &mut Verdict) {
        let is_remote =
            |recipient: &str| recipient.rsplit_once('@').is_some_and(|(_, domain)| remote.contains(domain));
        verdict.sent += 1;
        verdict.resent += self.attempts.saturating_sub(1);
        verdict.answered += self.answered.len();
        verdict.found += self.copies.values().map(Vec::len).sum::<usize>();
        if self.answered.is_empty() {
            verdict.refused.push(format!("{}: {}", self.job.id, self.last_reply));
        }
        for recipient in &self.job.forward_paths {
            for queue_id in &self.answered {
                verdict.owed += 1;
                let copies = self.copies.get(&(recipient.clone(), queue_id.clone())).map_or(0, Vec::len);
                let finding = format!("{} as {queue_id} for {recipient}", self.job.id);
                match copies {
                    0 => verdict.lost.push(finding),
                    1 => {}
                    more if is_remote(recipient) => verdict.repeated += more - 1,
                    more => verdict.doubled.push(format!("{finding}: {more} copies")),
                }
            }
        }
        // Copies of attempts whose reply never came, by recipient.
        let mut spare: BTreeMap<&str, usize> = BTreeMap::new();
        for ((recipient, queue_id), places) in &self.copies {
            let copies = places.len();
            if copies > 1 && is_remote(recipient) {
                verdict.repeats.push(Repeat {
                    message: format!("{} as {queue_id} for {recipient}", self.job.id),
                    places: places.clone(),
                });
            }
            if !self.job.forward_paths.contains(recipient) {
                verdict.unknown.push(format!("{} for {recipient}, to whom it was not sent", self.job.id));
            } else if !self.answered.contains(queue_id) && is_remote(recipient) {
                *spare.entry(recipient).or_default() += 1;
                verdict.spare += 1;
                verdict.repeated += copies - 1;
            } else if !self.answered.contains(queue_id) {
                *spare.entry(recipient).or_default() += 1;
                verdict.spare += copies;
                if copies > 1 {
                    verdict
                        .doubled
                        .push(format!("{} as {queue_id} for {recipient}: {copies} copies", self.job.id));
                }
            }
        }
        for (recipient, spare) in spare {
            if spare > self.unanswered {
                let unanswered = self.unanswered;
                verdict.doubled.push(format!(
                    "{} for {recipient}: {spare} copies without a 250, of {unanswered} such attempts",
                    self.job.id
                ));
            }
        }
    }
}

/// The sums, and every breach of a rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages.
    pub sent: usize,
    /// `250`s to their final dots.
    pub answered: usize,
    /// Attempts after the first.
    pub resent: usize,
    /// Copies that the `250`s promise: one for each of the message's recipients.
    pub owed: usize,
    /// Copies in mailboxes.
    pub found: usize,
    /// Of these, copies of attempts whose reply was lost, which a resend makes unavoidable.
    pub spare: usize,
    /// Further copies that other hosts have, beyond one for each queue id.
    pub repeated: usize,
    /// Where these are.
    pub repeats: Vec<Repeat>,
    /// Messages that never got a `250`.
    pub refused: Vec<String>,
    /// Promised copies that are not there.
    pub lost: Vec<String>,
    /// Copies that there are too many of.
    pub doubled: Vec<String>,
    /// Copies that differ from what was sent.
    pub altered: Vec<String>,
    /// Messages in mailboxes that nobody sent there.
    pub unknown: Vec<String>,
}

/// What another host has more than once.
#[derive(Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The message, its queue id and the recipient, in words.
    pub message: String,
    /// Where its copies are, at least two.
    pub places: Vec<String>,
}

impl Verdict {
    /// Whether no rule is broken and every message was accepted.
    pub fn is_clean(&self) -> bool {
        [&self.refused, &self.lost, &self.doubled, &self.altered, &self.unknown]
            .iter()
            .all(|list| list.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "sent {}, answered {}, resent {}; copies owed {}, found {} ({} of them of attempts without a 250, {} repeated at other hosts)",
            self.sent, self.answered, self.resent, self.owed, self.found, self.spare, self.repeated
        )?;
        write!(
            f,
            "refused {}, lost {}, doubled {}, byte-different {}, unknown {}",
            self.refused.len(),
            self.lost.len(),
            self.doubled.len(),
            self.altered.len(),
            self.unknown.len()
        )?;
        let lists = [
            ("refused", &self.refused),
            ("lost", &self.lost),
            ("doubled", &self.doubled),
            ("byte-different", &self.altered),
            ("unknown", &self.unknown),
        ];
        for (name, list) in lists {
            for finding in list.iter().take(SHOWN) {
                write!(f, "\n  {name}: {finding}")?;
            }
        }
        Ok(())
    }
}

/// A stored message, taken apart.
#[derive(Debug)]
struct Trace<'a> {
    reverse_path: String,
    received: &'a str,
    queue_id: String,
    content: &'a [u8],
}

impl<'a> Trace<'a> {
    /// Reads `Return-Path` and one `Received` (RFC 5321 §4.4); nothing where the message does not begin with them.
    fn read(stored: &'a [u8]) -> Option<Self> {
        let (return_path, rest) = take_field(stored, "Return-Path: ")?;
        Self::read_received(return_path.trim().strip_prefix('<')?.strip_suffix('>')?.to_owned(), rest)
    }

    /// Reads one `Received`.
    fn read_received(reverse_path: String, stored: &'a [u8]) -> Option<Self> {
        let (received, content) = take_field(stored, "Received: ")?;
        let mut words = received.split([' ', '\t', '\r', '\n', ';']).skip_while(|word| *word != "id");
        let queue_id = words.nth(1)?.to_owned();
        Some(Self { reverse_path, received, queue_id, content })
    }
}

/// The value of the field of this name that comes first, with its folds, and what follows it.
fn take_field<'a>(message: &'a [u8], name: &str) -> Option<(&'a str, &'a [u8])> {
    let rest = message.strip_prefix(name.as_bytes())?;
    let mut length = 0;
    for line in rest.split_inclusive(|octet| *octet == b'\n') {
        if length > 0 && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            break;
        }
        length += line.len();
    }
    let (value, rest) = rest.split_at(length);
    Some((std::str::from_utf8(value).ok()?, rest))
}

/// A message from its ledger id on.
fn id_onwards(stored: &[u8]) -> &[u8] {
    let at = stored.windows(ID_FIELD.len()).position(|window| window == ID_FIELD.as_bytes());
    &stored[at.unwrap_or(0)..]
}

/// The first line that two messages do not have in common, in words.
pub fn first_difference(sent: &[u8], found: &[u8]) -> String {
    let lines = |text: &[u8]| text.split(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (sent, found) = (lines(sent), lines(found));
    let differ = sent.iter().zip(&found).position(|(sent, found)| sent != found);
    let at = differ.unwrap_or(sent.len().min(found.len()));
    let show = |lines: &[Vec<u8>]| {
        lines.get(at).map(|line| String::from_utf8_lossy(&line[..line.len().min(SHOWN_OCTETS)]).into_owned())
    };
    format!("line {at} was {:?} and is {:?}", show(&sent), show(&found))
}

fn ledger_id(content: &[u8]) -> Option<String> {
    let (value, _) = take_field(content, ID_FIELD)?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests;
