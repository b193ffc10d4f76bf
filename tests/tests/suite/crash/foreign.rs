//! Objects that no node of this version would have written, where nodes look: each is named or harmless, and the rest goes on.

use std::time::Duration;

use fulmar_core::admin::Action;
use fulmar_core::model::{Domain, Incarnation, Nonce, UtcTime};
use fulmar_core::platform::ProcessIdentity;
use fulmar_core::state::beat::Beat;
use fulmar_core::state::layout;
use fulmar_core::state::order::{Order, Task};
use fulmar_tests::faults::{Failure, Verb, Which};
use futures::future::join_all;

use super::broken::Damage;
use super::ledger::{self, Answer, Letter, send};
use super::world::{Ground, HOSTNAME};

/// Between two rounds of a node that watches others.
const ROUND: Duration = Duration::from_secs(11);
/// The end of the year 9999.
const FAR: UtcTime = UtcTime(253_402_300_799_000);

#[test]
fn a_heartbeat_from_the_future_that_announces_ages_is_adopted_from_like_any_other() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.start(1).await;
        let mut ledger = send(&node, vec![Letter::small("before")]).await;
        let inc = Incarnation::draw(FAR, [7; 10]);
        let beat = Beat {
            inc,
            seq: u64::MAX,
            interval: u64::MAX,
            next_due: Some(UtcTime(u64::MAX)),
            queued: 0,
            hostname: Domain::parse(HOSTNAME).unwrap(),
            process: ProcessIdentity::default(),
        };
        world.overwrite(&layout::beat(inc), beat.encode().payload.to_bytes()).await;
        world.advance_until("its adoption", async || world.is_closed(inc).await).await;
        ledger.extend(send(&node, vec![Letter::small("after")]).await);
        assert_eq!(ledger::accepted(&ledger), 2, "{ledger:?}");
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, "future").await;
        node.kill();
    });
}

#[test]
fn an_order_that_cannot_be_read_is_named_and_what_it_is_about_goes_on() {
    let ground = Ground::new();
    smol::block_on(join_all(Damage::ALL.map(async |damage| {
        let world = ground.world().await;
        let node = world.start(1).await;
        node.faults.fail(Which::new(Verb::Put, "account/"), Failure::Unavailable, usize::MAX);
        let ledger = send(&node, vec![Letter::small("one")]).await;
        let [(_, Answer::Accepted(queue_id))] = ledger[..] else { panic!("{ledger:?}") };
        let nonce = Nonce::draw(UtcTime(1), [7; 10]);
        let order = Task::Message(Order { nonce, at: UtcTime(1), queue_id, action: Action::Cancel });
        let key = layout::order(nonce);
        world.overwrite(&key, damage.done_to(&order.encode().payload.to_bytes())).await;
        world.clock.advance(ROUND);
        world.until("its name", || async { node.has_told(&["trouble", &key, damage.words()]) }).await;
        node.faults.heal();
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, &format!("{damage:?}")).await;
        node.kill();
    })));
}

#[test]
fn a_verdict_on_the_store_that_cannot_be_read_is_found_anew() {
    let ground = Ground::new();
    smol::block_on(join_all(Damage::ALL.map(async |damage| {
        let mut world = ground.world().await;
        world.config.store.endpoint = Some("https://store.test/mail".to_owned());
        world.start(1).await.kill();
        let (key, whole) = world.objects("probe/").await.pop_first().unwrap();
        world.overwrite(&key, damage.done_to(&whole)).await;
        let node = world.start(2).await;
        let verdicts = world.objects("probe/").await;
        assert!(verdicts.len() == 1 && !verdicts.contains_key(&key), "{damage:?}: {verdicts:?}");
        let ledger = send(&node, vec![Letter::small("one")]).await;
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, &format!("{damage:?}")).await;
        node.kill();
    })));
}
