//! Nodes that die, stall or meet a failing store while they take what lies in `pickup/`: each object is sent once and removed.

use std::collections::BTreeMap;
use std::time::Duration;

use fulmar_core::model::{Event, QueueId};
use fulmar_core::state::log::{Record, Segment};
use fulmar_core::state::pickup::{Link, PickupClaim};
use fulmar_core::state::{frame, layout};
use fulmar_tests::faults::{Death, Failure, Fate, Verb, Which};
use futures::future::join_all;

use super::matrix::for_every_write;
use super::world::{ACCOUNTS, ALIAS, Ground, Node, World, address};

/// Between two rounds of a node that watches others.
const ROUND: Duration = Duration::from_secs(11);

/// An object, and the accounts that it has to reach.
struct Put {
    name: &'static str,
    to: &'static [&'static str],
    octets: usize,
    mailboxes: &'static [&'static str],
}

const PUTS: [Put; 3] = [
    Put { name: "small", to: &[ACCOUNTS[0]], octets: 300, mailboxes: &[ACCOUNTS[0]] },
    Put {
        name: "large",
        to: &[ACCOUNTS[1], ACCOUNTS[2]],
        octets: 1_300_000,
        mailboxes: &[ACCOUNTS[1], ACCOUNTS[2]],
    },
    Put { name: "alias", to: &[ALIAS], octets: 300, mailboxes: &[ACCOUNTS[0], ACCOUNTS[1]] },
];

impl Put {
    fn key(&self) -> String {
        format!("pickup/{}.eml", self.name)
    }

    /// What is put, and what of it is to be found behind the trace fields.
    fn content(&self) -> (String, String) {
        let mut sent = format!("Subject: {}\nMessage-ID: <{}@x.test>\n\n", self.name, self.name);
        while sent.len() < self.octets {
            sent.push_str("one line of many, which says nothing\n");
        }
        let envelope = format!("X-Fulmar-From: sender@x.test\nX-Fulmar-To: {}\n", self.to.join(", "));
        (envelope + &sent, sent.replace('\n', "\r\n"))
    }

    async fn put(&self, world: &World) {
        world.overwrite(&self.key(), self.content().0).await;
    }
}

async fn put_all(world: &World) {
    for put in &PUTS {
        put.put(world).await;
    }
}

async fn is_empty(world: &World) -> bool {
    world.objects(layout::PICKUP).await.is_empty()
}

/// How often each message was accepted, over all logs.
async fn accepts(world: &World) -> BTreeMap<QueueId, usize> {
    let mut accepts = BTreeMap::new();
    for (key, octets) in world.objects(layout::SPOOL).await {
        if key.contains("/log/") {
            for record in Segment::decode(&octets).unwrap().records {
                if let Record::Accept(entry) = record {
                    *accepts.entry(entry.envelope.id).or_default() += 1;
                }
            }
        }
    }
    accepts
}

async fn claims(world: &World) -> Vec<PickupClaim> {
    let links = world.objects(layout::PICKUP_CHAINS).await;
    links.values().map(|octets| frame::decode::<Link>(octets).unwrap().header.claim).collect()
}

/// Messages of an account whose subject is this.
async fn received(world: &World, account: &str, subject: &str) -> Vec<String> {
    let account = address(account);
    let mut found = Vec::new();
    for item in world.admin.mailbox(&account, "INBOX").await.unwrap() {
        let mut message = world.admin.message(&account, "INBOX", item.uid).await.unwrap();
        let mut content = Vec::new();
        while let Some(part) = message.next().await.unwrap() {
            content.extend_from_slice(&part);
        }
        let content = String::from_utf8(content).unwrap();
        if content.contains(&format!("\r\nSubject: {subject}\r\n")) {
            found.push(content);
        }
    }
    found
}

/// Waits until nothing is left, and holds the mailboxes against what was put.
async fn check(world: &World, alive: &[&Node], puts: &[Put], context: &str) {
    world.advance_until(context, async || is_empty(world).await).await;
    let is_settled = async || {
        let ours: Vec<_> = alive.iter().flat_map(|node| node.incarnations()).collect();
        let is_empty = world.admin.queue().await.is_ok_and(|queue| queue.is_empty());
        is_empty && world.live().await.iter().all(|log| ours.contains(log))
    };
    world.advance_until(context, is_settled).await;
    for put in puts {
        for account in ACCOUNTS {
            let found = received(world, account, put.name).await;
            let expected = usize::from(put.mailboxes.contains(&account));
            assert_eq!(found.len(), expected, "{context}: {} in {account}", put.name);
            for content in found {
                assert!(content.ends_with(&put.content().1) && !content.contains("X-Fulmar"), "{context}");
                assert!(content.starts_with("Return-Path: <sender@x.test>\r\nReceived: by mx.test id "));
            }
        }
    }
    let accepts = accepts(world).await;
    assert!(accepts.values().all(|times| *times == 1), "{context}: {accepts:?}");
    assert_eq!(accepts.len(), puts.len(), "{context}");
}

#[test]
fn what_lies_there_is_sent_once_and_removed() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        put_all(&world).await;
        let node = world.start(1).await;
        check(&world, &[&node], &PUTS, "a node alone").await;
        assert_eq!(
            node.find(|event| matches!(event, Event::PickedUp { .. }).then_some(())).len(),
            PUTS.len()
        );
        node.kill();
    });
}

#[test]
fn whatever_write_a_taker_dies_at_the_next_one_sends_what_is_left_and_nothing_twice() {
    let ground = Ground::new();
    smol::block_on(for_every_write(
        &[".beat", layout::PICKUP_CHAINS, "/body/", "/log/", ".eml"],
        async |death| {
            let world = ground.world().await;
            put_all(&world).await;
            let mut fate = Fate::default();
            // It may die before it has begun.
            if let Ok(first) = world.try_start(1, |faults| fate = faults.die(death)).await {
                until_dead_or_empty(&world, &first).await;
                first.kill();
            }
            let second = world.start(2).await;
            check(&world, &[&second], &PUTS, &format!("{death:?}")).await;
            second.kill();
            fate
        },
    ));
}

#[test]
fn whatever_write_a_taker_dies_at_the_one_beside_it_sends_what_is_left_and_nothing_twice() {
    let ground = Ground::new();
    let kinds = [".beat", layout::PICKUP_CHAINS, "/log/", ".eml"];
    smol::block_on(for_every_write(&kinds, async |death| {
        let world = ground.world().await;
        put_all(&world).await;
        // Which of the two takes what is a matter of chance, unless the first has to write something of a kind.
        let waits = if death.among.is_empty() { 0 } else { usize::MAX };
        let (mut fate, mut hold) = (Fate::default(), None);
        let (first, second) = futures::join!(
            world.try_start(1, |faults| fate = faults.die(death)),
            world.try_start(2, |faults| {
                hold = Some(faults.hold(Which::new(Verb::Put, layout::PICKUP_CHAINS), waits));
            })
        );
        let (first, second, hold) = (first.unwrap(), second.unwrap(), hold.unwrap());
        if waits > 0 {
            let has_claimed = async || first.life.is_over() || !claims(&world).await.is_empty();
            world.until("a claim", has_claimed).await;
            hold.release();
        }
        until_dead_or_empty(&world, &first).await;
        first.kill();
        check(&world, &[&second], &PUTS, &format!("{death:?}")).await;
        second.kill();
        fate
    }));
}

#[test]
fn a_row_of_takers_that_each_die_a_little_later_sends_nothing_twice() {
    let ground = Ground::new();
    smol::block_on(join_all((1..=8).map(async |step| {
        let world = ground.world().await;
        put_all(&world).await;
        for number in 1..8 {
            let death = Death {
                at: step + 2 * number as usize,
                of_writes: false,
                among: "",
                after_effect: number % 2 == 0,
            };
            let next = world.start(number).await;
            next.faults.die(death);
            until_dead_or_empty(&world, &next).await;
            next.kill();
        }
        let last = world.start(20).await;
        check(&world, &[&last], &PUTS, &format!("step {step}")).await;
        last.kill();
    })));
}

#[test]
fn two_takers_at_once_accept_each_object_once() {
    let ground = Ground::new();
    smol::block_on(join_all((0..20).map(async |case| {
        let world = ground.world().await;
        put_all(&world).await;
        let (first, second) = futures::join!(world.start(1), world.start(2));
        check(&world, &[&first, &second], &PUTS, &format!("case {case}")).await;
        first.kill();
        second.kill();
    })));
}

#[test]
fn an_accept_that_comes_late_from_a_node_that_was_taken_for_dead_is_the_only_one_or_none() {
    let ground = Ground::new();
    for answers in [false, true] {
        smol::block_on(async {
            let mut world = ground.world().await;
            // However long the request is held back, it is the first attempt that comes late.
            world.config.store.attempt_timeout = Duration::from_mins(10);
            PUTS[0].put(&world).await;
            let segment = Which::new(Verb::Put, "/log/");
            let mut hold = None;
            let first = world
                .try_start(1, |faults| {
                    hold = Some(match answers {
                        true => faults.hold_answers(segment, 1),
                        false => faults.hold(segment, 1),
                    });
                })
                .await
                .unwrap();
            let hold = hold.unwrap();
            hold.reached(1).await;
            first.take_for_gone();
            let second = world.start(2).await;
            world.advance_until("its being taken", async || is_empty(&world).await).await;
            hold.release();
            check(&world, &[&first, &second], &PUTS[..1], &format!("late, after its effect: {answers}"))
                .await;
            first.kill();
            second.kill();
        });
    }
}

#[test]
fn an_accept_without_an_answer_is_not_asked_for_once_more() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        PUTS[0].put(&world).await;
        let segment = Which::new(Verb::Put, "/log/");
        let node = world
            .try_start(1, |faults| faults.fail(segment, Failure::LostRequest, usize::MAX))
            .await
            .unwrap();
        let is_unanswered = || node.has_told(&["trouble", "taking pickup/small.eml"]);
        world.advance_until("its trouble", async || is_unanswered()).await;
        world.clock.advance(ROUND);
        world
            .until("another look", || async {
                node.faults.count(&Which::new(Verb::List, layout::PICKUP)) > 2
            })
            .await;
        node.faults.heal();
        check(&world, &[&node], &PUTS[..1], "no answer").await;
        node.kill();
    });
}

#[test]
fn an_accept_that_failed_for_certain_gives_the_claim_up_and_is_tried_again_later() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        PUTS[0].put(&world).await;
        let segment = Which::new(Verb::Put, "/log/");
        let node =
            world.try_start(1, |faults| faults.fail(segment, Failure::Refused, usize::MAX)).await.unwrap();
        world.until("its giving up", || async { claims(&world).await.contains(&PickupClaim::GivenUp) }).await;
        node.faults.heal();
        check(&world, &[&node], &PUTS[..1], "given up").await;
        node.kill();
    });
}

#[test]
fn what_cannot_be_removed_is_not_sent_again_by_anybody() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        PUTS[0].put(&world).await;
        let forbid = |faults: &fulmar_tests::faults::Faulty| {
            faults.fail(Which::new(Verb::Delete, layout::PICKUP), Failure::Refused, usize::MAX);
        };
        let first = world.try_start(1, forbid).await.unwrap();
        let is_accepted =
            |claims: Vec<PickupClaim>| claims.iter().any(|claim| matches!(claim, PickupClaim::Accepted(_)));
        world.until("its being written down", || async { is_accepted(claims(&world).await) }).await;
        world.until("the delivery", || async { first.engine.statistics().delivered == 1 }).await;
        first.engine.shutdown(Duration::from_secs(5)).await;
        // The log in which it was accepted is swept away.
        for key in world.objects(layout::SPOOL).await.into_keys().filter(|key| !key.contains("/pickup/")) {
            world.store.delete(&[key]).await.unwrap();
        }
        let second = world.try_start(2, forbid).await.unwrap();
        world
            .until("another try", || async { second.has_told(&["trouble", "removing pickup/small.eml"]) })
            .await;
        assert!(accepts(&world).await.is_empty());
        second.faults.heal();
        world.advance_until("its removal", async || is_empty(&world).await).await;
        assert_eq!(received(&world, ACCOUNTS[0], "small").await.len(), 1);
        second.kill();
    });
}

#[test]
fn an_object_put_under_the_same_name_meanwhile_is_sent_as_well() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        PUTS[0].put(&world).await;
        let mut hold = None;
        let node = world
            .try_start(1, |faults| hold = Some(faults.hold(Which::new(Verb::Head, layout::PICKUP), 1)))
            .await
            .unwrap();
        let hold = hold.unwrap();
        hold.reached(1).await;
        let other = Put { name: "other", ..PUTS[2] };
        world.overwrite(&PUTS[0].key(), other.content().0).await;
        hold.release();
        let both = [Put { ..PUTS[0] }, other];
        check(&world, &[&node], &both, "replaced").await;
        node.kill();
    });
}

#[test]
fn nothing_new_costs_one_listing_a_round_and_what_will_not_be_sent_no_more_than_that() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.start(1).await;
        let listings = || node.faults.count(&Which::new(Verb::List, layout::PICKUP));
        let all = || node.faults.count(&Which::any("pickup/"));
        world.until("a round", || async { listings() == 1 }).await;
        for name in ["a", "b"] {
            world.overwrite(&format!("pickup/{name}.eml"), "Subject: to nobody\n\n").await;
        }
        world.advance_until("their refusal", async || claims(&world).await.len() == 4).await;
        let left = || node.find(|event| matches!(event, Event::PickupLeft { .. }).then_some(())).len();
        world.until("its being told", || async { left() == 2 }).await;
        let (before, looked) = (all(), listings());
        world.advance_until("more rounds", async || listings() >= looked + 5).await;
        assert_eq!(all() - before, listings() - looked);
        assert_eq!(left(), 2);
        let objects = world.objects("").await;
        assert!(objects.contains_key("pickup/a.eml") && objects.contains_key("pickup/b.eml"));
        // Another node says so once, and does not try; another object under the name is tried.
        let second = world.start(2).await;
        world.advance_until("its words", async || second.has_told(&["pickup_left", "pickup/a.eml"])).await;
        assert_eq!(second.faults.count(&Which::new(Verb::Get, "pickup/a.eml")), 0);
        world.overwrite("pickup/a.eml", PUTS[0].content().0).await;
        world
            .advance_until("its being sent", async || {
                !received(&world, ACCOUNTS[0], "small").await.is_empty()
            })
            .await;
        node.kill();
        second.kill();
    });
}

/// Waits until a node has died, or nothing is left to be taken.
async fn until_dead_or_empty(world: &World, node: &Node) {
    world.until("an end", || async { node.life.is_over() || is_empty(world).await }).await;
}
