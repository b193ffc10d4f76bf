//! A node that is cut off while another one takes its log over, and then comes back with a write under way.

use std::time::Duration;

use fulmar_core::model::{Event, Incarnation};
use fulmar_tests::faults::{Verb, Which};

use super::ledger::{self, Answer, Ledger, Letter, assert_all_refused, send};
use super::world::{Ground, Node, World};

/// What a node does with a segment while it is cut off.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Its create has not reached the store.
    Create,
    /// Its create has taken effect, and the answer is on its way.
    Answer,
    /// Its create has not reached the store, but that of the next segment has, and was acknowledged.
    CreateBelow,
}

#[test]
fn a_write_that_comes_after_the_seal_is_not_acknowledged_and_its_node_begins_anew() {
    let ground = Ground::new();
    for held in [Held::Create, Held::Answer, Held::CreateBelow] {
        smol::block_on(check(&ground, held));
    }
}

async fn check(ground: &Ground, held: Held) {
    let mut world = ground.world().await;
    // However long the request is held back, it is the first attempt that comes late.
    world.config.store.attempt_timeout = Duration::from_mins(10);
    let first = world.start(1).await;
    let mut ledger = send(&first, vec![Letter::small("before")]).await;
    assert_eq!(ledger::accepted(&ledger), 1);
    world.until_settled(&[&first]).await;

    let segment = Which::new(Verb::Put, "/log/");
    let hold = match held {
        Held::Create | Held::CreateBelow => first.faults.hold(segment, 1),
        Held::Answer => first.faults.hold_answers(segment, 1),
    };
    let cut_off = async {
        let late = send(&first, vec![Letter::small("late")]).await;
        let left = Left { late, fenced: fenced(&first) };
        (left, send(&first, vec![Letter::small("after")]).await)
    };
    let takes_over = async {
        hold.reached(1).await;
        let mut beside = Ledger::new();
        if matches!(held, Held::CreateBelow) {
            beside = send(&first, vec![Letter::small("beside")]).await;
            assert_eq!(ledger::accepted(&beside), 1, "a hole below is harmless");
        }
        first.take_for_gone();
        let second = world.start(2).await;
        until_closed(&world, first.incarnations()[0]).await;
        hold.release();
        (second, beside)
    };
    let ((left, after), (second, beside)) = futures::join!(cut_off, takes_over);

    if matches!(held, Held::Answer) {
        // It stood before the seal, so that the second node has it.
        assert_eq!(ledger::accepted(&left.late), 1, "{:?}", left.late);
        world.until("the fence", || async { fenced(&first) == first.incarnations()[..1] }).await;
    } else {
        assert_all_refused(&left.late, "451");
        assert_eq!(left.fenced, first.incarnations()[..1], "{held:?}");
    }
    for ledger_of in [left.late, beside, after] {
        ledger.extend(ledger_of);
    }
    ledger.extend(send(&first, vec![Letter::small("in the end")]).await);
    let last = ledger.last().map(|(_, answer)| answer.clone());
    assert!(matches!(last, Some(Answer::Accepted(_))), "{held:?}: {last:?}");
    assert_eq!(first.incarnations().len(), 2, "{held:?}");
    world.until_settled(&[&first, &second]).await;
    ledger::check(&world, &ledger, &format!("{held:?}")).await;
    first.kill();
    second.kill();
}

struct Left {
    late: Ledger,
    /// What was fenced when the client had its answer.
    fenced: Vec<Incarnation>,
}

fn fenced(node: &Node) -> Vec<Incarnation> {
    node.find(|event| match event {
        Event::Fenced { incarnation, .. } => Some(*incarnation),
        _ => None,
    })
}

async fn until_closed(world: &World, log: Incarnation) {
    world.until("the end of the log", || async { world.is_closed(log).await }).await;
    world.until("its leaving", || async { !world.live().await.contains(&log) }).await;
}
