//! Each check finds the fault that it is for: in the history of one message that was delivered into a mailbox and to another host, in which
//! one thing at a time is forged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::model::{
    Address, Incarnation, MailOptions, Nonce, Outcome, QueueId, RecipientOptions, Reply, ReversePath, UtcTime,
};
use fulmar_core::state::account::{Arrival, INBOX, Op, Stored};
use fulmar_core::state::frame::{self, Data, Extent};
use fulmar_core::state::layout;
use fulmar_core::state::log::{
    Attempt, Body, Class, Content, Entries, Entry, Envelope, Part, Recipient, Record, Segment,
};
use fulmar_core::state::owner::{Claim, Owner};

use super::all;
use crate::world::answers::Answers;
use crate::world::archive::{Archive, Objects, Waiting};
use crate::world::case::{Case, Held};
use crate::world::content::compose;
use crate::world::history::{Answer, End, Fact, History, Node, Offer, Taking, Turn};
use crate::world::plan::{Host, Manner, Message, Plan, account, address};
use crate::world::profile::Profile;

const BEGAN: UtcTime = UtcTime(1_795_306_347_500);
const HOST: &str = "to@host0.test";

/// What is forged, before it is put together.
struct Forgery {
    /// By log and number.
    segments: BTreeMap<(u8, u64), Vec<Record>>,
    owners: BTreeMap<(u8, u64), Owner>,
    commits: Vec<Vec<Op>>,
    /// Objects that were deleted, by their keys, each when it was so old.
    deleted: Vec<(String, Duration)>,
    /// An object that came to say something else.
    rewritten: Option<String>,
    facts: Vec<(u64, Fact)>,
    mailbox: Vec<Held>,
    queue: Vec<Waiting>,
    overdue: Option<Duration>,
    idle_puts: u64,
    requests: u64,
}

/// One message that was delivered to both its recipients, and of which nothing is left to do.
fn sound() -> Forgery {
    let ops = vec![Op::Create { address: account(0) }];
    let offer = Offer { number: 0, attempt: 0, place: 0, is_whole: true, answer: Answer::Taken(id(1)) };
    let node = Node { place: 0, life: 1 };
    Forgery {
        segments: BTreeMap::from([
            ((1, 0), vec![Record::Accept(entry(id(1), Some(&account(1))))]),
            ((1, 1), vec![ended(id(1), 0, delivered()), ended(id(1), 1, delivered())]),
        ]),
        owners: BTreeMap::from([((1, 1), owner(1, Claim::Closed))]),
        commits: vec![ops, vec![arrival(id(1))]],
        deleted: Vec::new(),
        rewritten: None,
        facts: vec![
            (0, Fact::Life(node, Turn::Started)),
            (1, Fact::Offered(offer)),
            (3, Fact::Taken(taking(id(1), End::Taken, 2))),
            (600, Fact::Healed),
        ],
        mailbox: vec![held(1, id(1))],
        queue: Vec::new(),
        overdue: None,
        idle_puts: 5,
        requests: 100,
    }
}

impl Forgery {
    fn case(self) -> Case {
        let mut archive = Archive::default();
        let mut objects = Objects::new();
        let mut put = |key: String, octets: Bytes| drop(objects.insert(key, (octets, BEGAN)));
        for ((log, seq), records) in self.segments {
            let segment = Segment { inc: inc(log), seq, nonce: nonce(seq as u8), at: BEGAN, records };
            put(layout::segment(inc(log), seq), segment.encode(Data::default()).payload.to_bytes());
        }
        for ((log, epoch), owner) in self.owners {
            put(layout::owner(inc(log), epoch), owner.encode().payload.to_bytes());
        }
        for (ops, n) in self.commits.into_iter().zip(1_u64..) {
            let commit = serde_json::json!({ "nonce": nonce(n as u8), "n": n, "at": BEGAN, "ops": ops });
            let key = layout::numbered(&layout::commits(&layout::account(&account(0))), n);
            put(key, frame::encode(&commit, Data::default()).payload.to_bytes());
        }
        archive.observe(Duration::from_secs(1), objects.clone());
        if let Some(key) = self.rewritten {
            objects.insert(key, (frame::encode(&0, Data::default()).payload.to_bytes(), BEGAN));
        }
        archive.observe(Duration::from_secs(2), objects.clone());
        for (key, age) in self.deleted {
            objects.remove(&key);
            archive.observe(age, objects.clone());
        }
        let facts = self.facts.into_iter().map(|(at, fact)| (Duration::from_secs(at), fact)).collect();
        let late = |late| (Duration::from_secs(900), item(id(1)), late);
        let idle = fulmar_core::state::requests::RequestCounts { put: self.idle_puts, ..Default::default() };
        Case {
            plan: Arc::new(plan()),
            began: BEGAN,
            ended: Duration::from_mins(20),
            history: History { facts },
            archive,
            read_at: BEGAN.after(Duration::from_hours(1)),
            queue: self.queue,
            mailboxes: BTreeMap::from([(account(0), self.mailbox)]),
            overdue: self.overdue.map(late).into_iter().collect(),
            troubles: Vec::new(),
            statistics: Vec::new(),
            idle: (Duration::from_mins(5), vec![(0, idle)]),
            answers: Answers { requests: self.requests, ..Answers::default() },
        }
    }
}

fn plan() -> Plan {
    let mut plan = Plan::draw(0, &Profile::SHORT, Some(&Default::default()));
    plan.accounts = vec![account(0)];
    plan.attempts_per_destination = 1;
    plan.hosts = vec![Host {
        domain: "host0.test".to_owned(),
        is_routed: false,
        manners: vec![(Manner::Take, 1)],
        behaves_from: Duration::ZERO,
    }];
    plan.messages = vec![Message {
        at: Duration::ZERO,
        place: Some(0),
        reverse_path: ReversePath::Address(account(0)),
        recipients: vec![account(0), address(HOST)],
        octets: 300,
        is_pipelined: false,
        cuts: 0,
    }];
    plan
}

fn id(n: u8) -> QueueId {
    QueueId::draw(BEGAN, [n; 10])
}

fn inc(n: u8) -> Incarnation {
    Incarnation::draw(BEGAN, [n; 10])
}

fn nonce(n: u8) -> Nonce {
    Nonce::draw(BEGAN, [n; 10])
}

/// To the account and to the other host; from nobody where it is a report.
fn entry(id: QueueId, from: Option<&Address>) -> Entry {
    let part = Part { inc: inc(1), seq: 0, extent: Extent { at: 0, len: 0, crc: 0 } };
    let envelope = Envelope {
        id,
        accepted: BEGAN,
        reverse_path: from.cloned().map_or(ReversePath::Null, ReversePath::Address),
        options: MailOptions::default(),
        verdict: None,
        size: 300,
        content: Content { header: part, body: Body::Inline(part) },
    };
    let recipients = [(account(0), Class::Local), (address(HOST), Class::Relay)];
    let recipients = recipients.into_iter().zip(0..).map(|((address, class), to)| Recipient {
        to,
        address,
        alias: None,
        class,
        attempts: 0,
        next: BEGAN,
        last_reply: None,
        options: RecipientOptions::default(),
    });
    Entry { envelope: Arc::new(envelope), recipients: recipients.collect() }
}

fn delivered() -> Outcome {
    Outcome::Delivered(Reply::new(250, (2, 0, 0), "taken"))
}

fn ended(id: QueueId, to: u32, outcome: Outcome) -> Record {
    Record::Attempted { id, outcomes: vec![Attempt { to, outcome, next: BEGAN, is_told: false }] }
}

fn owner(of: u8, claim: Claim) -> Owner {
    Owner { nonce: nonce(7), of: inc(of), at: BEGAN, claim, into: None }
}

fn adopt(of: u8, epoch: u64, entries: &[Entry]) -> Record {
    let mut adopted = Entries::default();
    entries.iter().for_each(|entry| adopted.insert(entry));
    Record::Adopt {
        of: inc(of),
        epoch,
        folders: Vec::new(),
        damaged: Vec::new(),
        entries: adopted,
        observed: Vec::new(),
    }
}

fn arrival(id: QueueId) -> Op {
    let content = Stored { extent: Extent { at: 0, len: 10, crc: 0 }, header: 4, body: None };
    let flags = Vec::new();
    Op::Append(Arrival { mailbox: INBOX.into(), queue_id: Some(id), received: BEGAN, flags, content })
}

fn held(uid: u32, id: QueueId) -> Held {
    let content = compose(0, 300);
    let trace = format!("Return-Path: <x@y>\r\nReceived: by mx with ESMTP id {id};\r\n\tdate\r\n");
    Held { uid, queue_id: Some(id), octets: [trace.as_bytes(), &content].concat() }
}

fn taking(id: QueueId, end: End, began: u64) -> Taking {
    Taking {
        host: 0,
        node: Some(Node { place: 0, life: 1 }),
        began: Duration::from_secs(began),
        ended: Duration::from_secs(began + 1),
        queue_id: Some(id),
        number: Some(0),
        recipients: vec![address(HOST)],
        is_same: true,
        end,
    }
}

fn item(id: QueueId) -> Waiting {
    Waiting { queue_id: id, recipient: address(HOST), log: inc(1), next: BEGAN, attempts: 0 }
}

/// What the checks say of a history in which something is forged.
fn check(forge: impl FnOnce(&mut Forgery)) -> Vec<String> {
    let mut forgery = sound();
    forge(&mut forgery);
    all(&forgery.case()).iter().map(ToString::to_string).collect()
}

type Forge = fn(&mut Forgery);

#[test]
fn nothing_is_wrong_with_what_is_sound() {
    assert_eq!(check(|_| ()), Vec::<String>::new());
}

#[test]
fn each_invariant_is_found_to_be_broken_where_it_is() {
    let cases: &[(&str, Forge)] = &[
        ("invariant 1: message 0 .* is in no segment", |forgery| {
            forgery.segments.clear();
        }),
        ("invariant 1: .* for to@host0.test is nowhere: .*delivered: 250", |forgery| {
            forgery.facts.retain(|(_, fact)| !matches!(fact, Fact::Taken(_)));
        }),
        ("invariant 1: .* failed for to@host0.test, and no report was made", |forgery| {
            forgery.facts.retain(|(_, fact)| !matches!(fact, Fact::Taken(_)));
            let failed = Outcome::Failed(Reply::new(550, (5, 1, 1), "nobody"));
            forgery.segments.insert((1, 1), vec![ended(id(1), 0, delivered()), ended(id(1), 1, failed)]);
            let from_us = entry(id(1), Some(&account(0)));
            forgery.segments.insert((1, 0), vec![Record::Accept(from_us)]);
        }),
        ("invariant 2: UID 1 of .* differs from message 0", |forgery| {
            forgery.mailbox[0].octets.extend_from_slice(b"more");
        }),
        ("invariant 2: what host 0 took .* was never accepted", |forgery| {
            forgery.facts.push((4, Fact::Taken(taking(id(9), End::Taken, 3))));
        }),
        ("invariant 3: to@host0.test got 2 copies .* with 0 replies lost and 0 adoptions", |forgery| {
            forgery.facts.push((5, Fact::Taken(taking(id(1), End::Taken, 4))));
        }),
        ("invariant 3: .* 2 copies of message 0, though nothing went wrong", |forgery| {
            forgery.facts.push((5, Fact::Taken(taking(id(1), End::TakenUnheard, 4))));
        }),
        ("invariant 5: .*was shown [7]", |forgery| {
            let shown = (1, vec![7]);
            forgery.facts.push((9, Fact::Read { account: account(0), node: None, shown }));
        }),
        ("invariant 5: .*UID 1 is there, though its deletion was acknowledged", |forgery| {
            let uids = [1].into();
            forgery.facts.push((9, Fact::Deleted { account: account(0), uids, is_acknowledged: true }));
        }),
        ("invariant 5: .*UID 1 is gone, and nobody deleted it", |forgery| {
            forgery.commits.push(vec![Op::Expunge { mailbox: INBOX.into(), uids: vec![1] }]);
            forgery.mailbox.clear();
        }),
        ("invariant 5: .*reads as {}", |forgery| forgery.mailbox.clear()),
        ("invariant 6: .*was found at .* to say something else", |forgery| {
            forgery.rewritten = Some(layout::segment(inc(1), 1));
        }),
        ("invariant 6: .* were adopted more than once", |forgery| {
            forgery.owners.insert((1, 1), owner(1, Claim::By(inc(2))));
            forgery.segments.insert((2, 0), vec![adopt(1, 1, &[])]);
            forgery.segments.insert((2, 1), vec![adopt(1, 1, &[])]);
        }),
        ("invariant 6: .* under epoch 1, where there is Some(Closed)", |forgery| {
            forgery.segments.insert((2, 0), vec![adopt(1, 1, &[])]);
        }),
        ("invariant 6: somebody claimed .* after it was closed", |forgery| {
            forgery.owners.insert((1, 2), owner(1, Claim::By(inc(2))));
        }),
        ("invariant 6: .* was closed with .* in it", |forgery| {
            forgery.segments.insert((1, 1), vec![ended(id(1), 0, delivered())]);
        }),
        ("invariant 6: .* lives in .* and in", |forgery| {
            forgery.segments.insert((2, 0), vec![Record::Accept(entry(id(5), None))]);
            forgery.segments.insert((3, 0), vec![Record::Accept(entry(id(5), None))]);
        }),
        ("invariant 7: .*within the grace of a day", |forgery| {
            forgery.deleted.push((layout::segment(inc(1), 1), Duration::from_hours(1)));
        }),
        ("invariant 7: .* has a message whose .* is gone", |forgery| {
            let key = layout::numbered(&layout::commits(&layout::account(&account(0))), 2);
            forgery.deleted.push((key, Duration::from_hours(25)));
        }),
        ("invariant 7: .* waits in .*, and its .* is gone", |forgery| {
            forgery.owners.clear();
            forgery.segments.insert((1, 1), vec![ended(id(1), 0, delivered())]);
            forgery.deleted.push((layout::segment(inc(1), 0), Duration::from_hours(25)));
        }),
        ("invariant 7: segment 1 of .* is gone, which no checkpoint covers", |forgery| {
            forgery.owners.clear();
            forgery.deleted.push((layout::segment(inc(1), 1), Duration::from_hours(25)));
        }),
        ("invariant 7: owners of .* are deleted, and .* is still there", |forgery| {
            forgery.deleted.push((layout::owner(inc(1), 1), Duration::from_hours(25)));
        }),
        ("invariant 8: host 0 had 2 transactions", |forgery| {
            for began in [800, 801] {
                let open = Taking { ended: Duration::from_secs(805), ..taking(id(1), End::Not, began) };
                forgery.facts.push((806, Fact::Taken(open)));
            }
        }),
        ("invariant 9: .* had been due for 500s", |forgery| {
            forgery.overdue = Some(Duration::from_secs(500));
        }),
        ("invariant 10: idle machine 0 sent 60 PUT", |forgery| forgery.idle_puts = 60),
        ("invariant 10: 100000 requests, of at most", |forgery| forgery.requests = 100_000),
    ];
    for (expected, forge) in cases {
        let found = check(forge);
        assert!(found.iter().any(|words| is_like(words, expected)), "{expected:?} is not in {found:#?}");
    }
}

#[test]
fn a_second_copy_at_another_host_is_excused_by_a_lost_reply_or_an_adoption() {
    let twice: Forge = |forgery| {
        forgery.facts.push((5, Fact::Taken(taking(id(1), End::Taken, 4))));
    };
    let too_many = |found: &[String]| found.iter().any(|words| words.contains("adoptions"));
    assert!(too_many(&check(twice)));
    assert!(!too_many(&check(|forgery| {
        twice(forgery);
        forgery.owners.insert((1, 1), owner(1, Claim::By(inc(2))));
        forgery.segments.insert((2, 0), vec![adopt(1, 1, &[entry(id(1), Some(&account(1)))])]);
    })));
    assert!(!too_many(&check(|forgery| forgery
        .facts
        .push((5, Fact::Taken(taking(id(1), End::TakenUnheard, 4)))))));
}

/// Whether words read so, where `.*` stands for any.
fn is_like(words: &str, pattern: &str) -> bool {
    let mut rest = words;
    pattern.split(".*").enumerate().all(|(number, part)| {
        let found = rest.find(part).filter(|at| number > 0 || *at == 0);
        found.inspect(|at| rest = &rest[at + part.len()..]).is_some()
    })
}
