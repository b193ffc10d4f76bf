//! Two nodes that deliver into the same accounts at the same time.

use std::collections::BTreeMap;
use std::future::Future;

use fulmar_core::admin::Admin;
use fulmar_core::model::QueueId;
use futures::future::{Either, select};
use futures::pin_mut;

use super::ledger::{self, Letter, send_all};
use super::world::{ACCOUNTS, Ground, address};

/// Messages that each node takes, over all sessions.
const MESSAGES: usize = 300;
const SESSIONS: usize = 10;

#[test]
fn two_nodes_deliver_into_one_account_and_no_uid_is_used_twice() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let (first, second) = (world.start(1).await, world.start(2).await);
        let sessions = |node: &str| -> Vec<Vec<Letter>> {
            let letter = |session, n| Letter::small(format!("{node}-{session}-{n}"));
            let session = |session| (0..MESSAGES / SESSIONS).map(|n| letter(session, n)).collect();
            (0..SESSIONS).map(session).collect()
        };
        let sending = async {
            let (mut ledger, more) =
                futures::join!(send_all(&first, sessions("a")), send_all(&second, sessions("b")));
            ledger.extend(more);
            world.until_settled(&[&first, &second]).await;
            ledger
        };
        let (ledger, looks) = while_watching(&world.admin, sending).await;
        assert_eq!(ledger::accepted(&ledger), 2 * MESSAGES);
        ledger::check(&world, &ledger, "side by side").await;
        println!("{} messages through two nodes, {looks} looks at the mailbox meanwhile", ledger.len());
        first.kill();
        second.kill();
    });
}

/// Looks at the first mailbox again and again: a UID that was seen means the same message for ever, and new ones come at
/// the end.
async fn while_watching<T>(admin: &Admin, work: impl Future<Output = T>) -> (T, usize) {
    let mut looks = 0;
    let watching = async {
        let mut seen: BTreeMap<u32, Option<QueueId>> = BTreeMap::new();
        loop {
            let listing = admin.mailbox(&address(ACCOUNTS[0]), "INBOX").await.unwrap();
            let listing: BTreeMap<_, _> = listing.into_iter().map(|item| (item.uid, item.queue_id)).collect();
            let before = listing.iter().take(seen.len());
            assert!(before.eq(seen.iter()), "a mailbox changed otherwise than at its end");
            seen = listing;
            looks += 1;
            smol::future::yield_now().await;
        }
    };
    let done = {
        pin_mut!(work, watching);
        match select(work, watching).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => never,
        }
    };
    (done, looks)
}
