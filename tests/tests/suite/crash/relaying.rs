//! Nodes that hand mail to other hosts and die, are cut off from the store, or lose their log meanwhile. A copy too many can be
//! unavoidable there (RFC 5321 §6.1), but only one for each death; and nobody ever goes without.

use std::time::Duration;

use fulmar_core::admin::Action;
use fulmar_core::config::{NextHop, Route};
use fulmar_core::model::{Event, Outcome, QueueId, ReversePath};
use fulmar_tests::faults::{Failure, Fate, Verb, Which};
use fulmar_tests::smtp_servers::{Act, Phase, Received, Script, Sink};
use futures::future::join_all;

use super::ledger::Letter;
use super::matrix::{for_every_write, until_dead_or_done};
use super::world::{ACCOUNTS, Ground, Node, World, address};

/// Refused by every sink here.
const NOBODY: &str = "nobody@far.test";
const ELSEWHERE: &str = "sender@client.test";
/// More than a node believes its last heartbeat for, and less than it takes for others to take it for dead.
const SILENCE: Duration = Duration::from_secs(25);
const FAR: Duration = Duration::from_hours(1);

/// A message of the operator's, and what became of it as far as he knows.
struct Sent {
    name: &'static str,
    reverse_path: &'static str,
    forward_paths: Vec<&'static str>,
    id: Option<QueueId>,
}

impl Sent {
    fn copies<'a>(&self, forward_path: &str, arrived: &'a [Received]) -> Vec<&'a Received> {
        let subject = format!("Subject: {}\r\n", self.name);
        let is_mine = |message: &&Received| {
            message.reverse_path == self.reverse_path
                && message.forward_paths.iter().any(|path| path == forward_path)
                && String::from_utf8_lossy(&message.content).contains(&subject)
        };
        arrived.iter().filter(is_mine).collect()
    }
}

/// A world whose nodes relay everything to this sink.
async fn world_beside(ground: &Ground, sink: &Sink) -> World {
    let mut world = ground.world().await;
    let next_hop = NextHop { host: sink.address().ip().to_string(), port: sink.address().port() };
    world.config.relay.routes.push(Route { domain: None, next_hop });
    world
}

async fn send(
    node: &Node,
    name: &'static str,
    reverse_path: &'static str,
    forward_paths: &[&'static str],
    octets: usize,
) -> Sent {
    let content = Letter::new(name, forward_paths, &[], octets).content;
    let to = forward_paths.iter().map(|path| address(path)).collect();
    let from = ReversePath::Address(address(reverse_path));
    let taken = node.life.during(node.engine.send(from, to, content.into())).await;
    let id = taken.and_then(Result::ok);
    Sent { name, reverse_path, forward_paths: forward_paths.to_vec(), id }
}

fn scripted() -> Script {
    Script::default().offering(&["PIPELINING"]).always(Phase::RcptTo(NOBODY), Act::Reply("550 5.1.1 nobody"))
}

/// How attempts at a recipient have ended on a node, in order.
fn outcomes(node: &Node, id: QueueId) -> Vec<Outcome> {
    node.find(|event| match event {
        Event::Attempted { queue_id, outcome, .. } if *queue_id == id => Some(outcome.clone()),
        _ => None,
    })
}

async fn inbox(world: &World) -> Vec<String> {
    let account = address(ACCOUNTS[0]);
    let mut messages = Vec::new();
    for item in world.admin.mailbox(&account, "INBOX").await.unwrap_or_default() {
        let mut reader = world.admin.message(&account, "INBOX", item.uid).await.unwrap();
        let mut content = Vec::new();
        while let Some(part) = reader.next().await.unwrap() {
            content.extend_from_slice(&part);
        }
        messages.push(String::from_utf8_lossy(&content).into_owned());
    }
    messages
}

#[test]
fn whatever_write_a_relaying_node_dies_at_everybody_gets_a_copy_and_few_get_two() {
    let ground = Ground::new();
    smol::block_on(for_every_write(&["/log/", ".beat", "/body/", "/c/"], async |death| {
        let sink = Sink::start(scripted());
        let world = world_beside(&ground, &sink).await;
        let first = world.start(1).await;
        let fate = first.faults.die(death);
        let two = ["a@far.test", "b@far.test"];
        let sent = futures::join!(
            send(&first, "two", ELSEWHERE, &two, 300),
            send(&first, "large", ELSEWHERE, &two[..1], 2_300_000),
            send(&first, "half", ACCOUNTS[0], &["a@far.test", NOBODY], 300),
            send(&first, "none", ELSEWHERE, &[NOBODY], 300),
        );
        until_dead_or_done(&world, &first).await;
        first.kill();
        let second = world.start(2).await;
        world.until_settled(&[&second]).await;
        second.kill();
        let (sent, most): ([Sent; 4], _) = (sent.into(), 1 + usize::from(fate.get().is_some()));
        check(&world, &sent, &sink.accepted(), most, &format!("{death:?}")).await;
        fate
    }));
}

/// Holds what arrived against what was taken. Nobody may have more than `most` copies of anything.
async fn check(world: &World, sent: &[Sent], arrived: &[Received], most: usize, context: &str) {
    for message in sent {
        let least = usize::from(message.id.is_some());
        for forward_path in message.forward_paths.iter().filter(|path| **path != NOBODY) {
            let copies = message.copies(forward_path, arrived).len();
            assert!(
                (least..=most).contains(&copies),
                "{context}: {copies} of {} at {forward_path}",
                message.name
            );
        }
        if !message.forward_paths.contains(&NOBODY) {
            continue;
        }
        let is_report = |text: &str| {
            text.contains("multipart/report") && text.contains(&format!("Subject: {}\r\n", message.name))
        };
        if message.reverse_path == ELSEWHERE {
            let to_sender = arrived.iter().filter(|report| {
                report.reverse_path.is_empty() && is_report(&String::from_utf8_lossy(&report.content))
            });
            let reports = to_sender.count();
            assert!((least..=most).contains(&reports), "{context}: {reports} reports of {}", message.name);
        } else {
            let reports = inbox(world).await.iter().filter(|report| is_report(report)).count();
            assert!((least..=1).contains(&reports), "{context}: {reports} reports of {}", message.name);
        }
    }
}

#[test]
fn whatever_write_an_adopter_dies_at_what_was_deferred_still_goes_out() {
    let ground = Ground::new();
    smol::block_on(for_every_write(&[".beat", "/own/", "/log/", "/c/"], async |death| {
        let sink = Sink::start(Script::default().always(Phase::Greeting, Act::Reply("421 4.3.2 not now")));
        let world = world_beside(&ground, &sink).await;
        let first = world.start(1).await;
        let sent = [
            send(&first, "two", ELSEWHERE, &["a@far.test", "b@far.test"], 300).await,
            send(&first, "half", ACCOUNTS[0], &["a@far.test", NOBODY], 300).await,
        ];
        assert!(sent.iter().all(|message| message.id.is_some()));
        first.kill();
        sink.follow(scripted());
        let mut fate = Fate::default();
        let second = world.try_start(2, |faults| fate = faults.die(death)).await.unwrap();
        until_dead_or_done(&world, &second).await;
        second.kill();
        let third = world.start(3).await;
        world.until_settled(&[&third]).await;
        third.kill();
        let most = 1 + usize::from(fate.get().is_some());
        check(&world, &sent, &sink.accepted(), most, &format!("{death:?}")).await;
        fate
    }));
}

/// A node whose one message is on its way, and held up by the sink before its content.
async fn amid_transaction(world: &World, sink: &Sink) -> (Node, QueueId) {
    let node = world.start(1).await;
    let id = send(&node, "one", ELSEWHERE, &["a@far.test"], 300).await.id.unwrap();
    sink.wait_for("DATA", |connections| {
        connections.iter().any(|connection| connection.commands.iter().any(|line| line == "DATA"))
    });
    (node, id)
}

/// Contents that came to a final dot.
fn dots(sink: &Sink) -> usize {
    sink.connections().iter().map(|connection| connection.messages.len()).sum()
}

#[test]
fn no_final_dot_is_sent_while_the_store_does_not_show_that_the_log_is_still_ours() {
    let ground = Ground::new();
    smol::block_on(join_all(["", ".beat"].map(async |failing| {
        let sink = Sink::start(Script::default().first(1, Phase::Data, Act::Wait));
        let world = world_beside(&ground, &sink).await;
        let (node, id) = amid_transaction(&world, &sink).await;
        node.faults.fail(Which::new(Verb::Put, failing), Failure::Unavailable, usize::MAX);
        let beats = Which::new(Verb::Put, ".beat");
        let (segments, sent) = (Which::new(Verb::Put, "/log/"), node.faults.count(&beats));
        world.clock.advance(SILENCE);
        world.until("a heartbeat that fails", || async { node.faults.count(&beats) > sent }).await;
        let written = node.faults.count(&segments);
        sink.release();
        world.until("the end of the attempt", || async { !outcomes(&node, id).is_empty() }).await;
        // Either way the store was asked for a segment, and believed.
        assert!(node.faults.count(&segments) > written, "{failing:?}");
        match &outcomes(&node, id)[0] {
            Outcome::Deferred(reply) if failing.is_empty() => {
                assert!(reply.to_string().contains("to keep it from going out twice"), "{reply}");
                assert_eq!(dots(&sink), 0);
            }
            Outcome::Delivered(_) if failing == ".beat" => {}
            other => panic!("{failing:?}: {other:?}"),
        }
        node.faults.heal();
        world
            .advance_until("rest", || async { world.admin.queue().await.is_ok_and(|queue| queue.is_empty()) })
            .await;
        assert_eq!((sink.accepted().len(), dots(&sink)), (1, 1), "{failing:?}");
        assert_eq!(node.incarnations().len(), 1, "{failing:?}");
        node.kill();
    })));
}

#[test]
fn a_node_whose_log_was_taken_over_sends_no_final_dot() {
    let ground = Ground::new();
    smol::block_on(async {
        let sink = Sink::start(Script::default().first(1, Phase::Data, Act::Wait));
        let mut world = world_beside(&ground, &sink).await;
        // However long a request is held back, it is the first attempt that comes late.
        world.config.store.attempt_timeout = FAR;
        let (first, id) = amid_transaction(&world, &sink).await;
        let hold = first.faults.hold(Which::new(Verb::Put, ".beat"), usize::MAX);
        world.clock.advance(SILENCE);
        hold.reached(1).await;
        first.take_for_gone();
        let second = world.start(2).await;
        world.until("another's delivery", || async { !outcomes(&second, id).is_empty() }).await;
        assert!(matches!(outcomes(&second, id)[..], [Outcome::Delivered(_)]));
        sink.release();
        world.until("the end of the attempt", || async { !outcomes(&first, id).is_empty() }).await;
        hold.release();
        let told = first.find(|event| matches!(event, Event::Fenced { .. }).then_some(()));
        assert_eq!(told.len(), 1);
        assert!(matches!(outcomes(&first, id)[..], [Outcome::Deferred(_)]), "{:?}", outcomes(&first, id));
        // The heartbeat that came late makes the log look alive, until it is seen to stand still.
        let is_empty = || async { world.admin.queue().await.is_ok_and(|queue| queue.is_empty()) };
        world.advance_until("rest", is_empty).await;
        assert_eq!((sink.accepted().len(), dots(&sink)), (1, 1));
        first.kill();
        second.kill();
    });
}

/// A world, and a node with a message that was deferred for long, durably.
async fn deferred(ground: &Ground, sink: &Sink) -> (World, Node, QueueId) {
    let mut world = world_beside(ground, sink).await;
    world.config.queue.retry = vec![FAR];
    let node = world.start(1).await;
    let id = send(&node, "one", ELSEWHERE, &["a@far.test"], 300).await.id.unwrap();
    let is_deferred = || async { world.admin.queue().await.unwrap().iter().any(|item| item.attempts > 0) };
    world.until("a deferral", is_deferred).await;
    (world, node, id)
}

fn has_obeyed(node: &Node) -> bool {
    !node.find(|event| matches!(event, Event::Ordered { .. }).then_some(())).is_empty()
}

async fn orders(world: &World) -> usize {
    world.objects("live/").await.keys().filter(|key| key.ends_with(".todo")).count()
}

fn greylisting() -> Sink {
    Sink::start(Script::default().first(1, Phase::Mail, Act::Reply("450 4.7.1 later")))
}

#[test]
fn an_order_about_another_nodes_message_is_left_to_that_node() {
    let ground = Ground::new();
    smol::block_on(async {
        let sink = greylisting();
        let (world, first, id) = deferred(&ground, &sink).await;
        let hold = first.faults.hold(Which::new(Verb::List, "live/"), usize::MAX);
        let second = world.start(2).await;
        world.admin.order(id, Action::Retry).await.unwrap();
        let order = Which::new(Verb::Get, ".todo");
        let lists = Which::new(Verb::List, "live/");
        world.advance_until("a look at the order", || async { second.faults.count(&order) > 0 }).await;
        // It has been left where another round begins.
        let looked = second.faults.count(&lists);
        world.advance_until("another look", || async { second.faults.count(&lists) > looked }).await;
        assert_eq!(orders(&world).await, 1);
        assert!(sink.accepted().is_empty() && !has_obeyed(&second));
        hold.release();
        world.advance_until("its being carried out", || async { has_obeyed(&first) }).await;
        world.until("its delivery", || async { outcomes(&first, id).len() == 2 }).await;
        world.until("its end", || async { orders(&world).await == 0 }).await;
        assert_eq!(sink.accepted().len(), 1);
        assert_eq!(second.faults.count(&Which::new(Verb::Delete, ".todo")), 0);
        first.kill();
        second.kill();
    });
}

#[test]
fn an_order_about_a_dead_nodes_message_is_carried_out_by_whoever_adopts_it() {
    let ground = Ground::new();
    smol::block_on(join_all([Action::Retry, Action::Cancel].map(async |action| {
        let sink = greylisting();
        let (world, first, id) = deferred(&ground, &sink).await;
        first.kill();
        world.admin.order(id, action).await.unwrap();
        let second = world.start(2).await;
        world.advance_until("its being carried out", || async { has_obeyed(&second) }).await;
        world.until_settled(&[&second]).await;
        world.until("its end", || async { orders(&world).await == 0 }).await;
        assert_eq!(sink.accepted().len(), usize::from(action == Action::Retry), "{action:?}");
        second.kill();
    })));
}

#[test]
fn whatever_write_a_node_dies_at_a_message_that_was_given_up_stays_so() {
    let ground = Ground::new();
    smol::block_on(for_every_write(&["/log/", ".todo"], async |death| {
        let sink = greylisting();
        let (world, first, id) = deferred(&ground, &sink).await;
        world.admin.order(id, Action::Cancel).await.unwrap();
        let fate = first.faults.die(death);
        world
            .advance_until("an end", || async {
                first.life.is_over()
                    || (world.admin.queue().await.unwrap().is_empty() && orders(&world).await == 0)
            })
            .await;
        first.kill();
        let second = world.start(2).await;
        // The order itself may be left over: nobody can tell any more whose message that was.
        world.advance_until("its end", || async { world.admin.queue().await.unwrap().is_empty() }).await;
        assert!(sink.accepted().is_empty(), "{death:?}");
        second.kill();
        fate
    }));
}
