//! A store that moves octets slowly is waited for by the length of what it moves.

use std::time::Duration;

use fulmar_core::config::StoreSettings;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Incarnation, Nonce};
use fulmar_core::state::layout;
use fulmar_core::state::log::{Checkpoint, Live, read_log};
use fulmar_core::state::requests::{Created, Requests};
use fulmar_tests::sim::{Measured, Simulation, run};

use super::doors;

/// What it moves in a second: twice what is asked of a store at least.
const OCTETS_A_SECOND: u64 = 2 << 20;
/// Takes three times as long as a request that moves little may.
const LONG: usize = 60 << 20;

#[test]
fn a_checkpoint_of_many_octets_is_written_and_read_though_each_takes_half_a_minute() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        simulation.weather().change_store(|habits| {
            habits.measured = Some(Measured {
                median: Duration::from_millis(55),
                p99: Duration::from_millis(230),
                octets_per_second: OCTETS_A_SECOND as f64,
                writes_per_second: f64::from(u16::MAX),
                reads_per_second: f64::from(u16::MAX),
                partition_folders: 2,
            });
        });
        let platform = doors(&simulation);
        let began = platform.clock.instant();
        let (at, entropy) = platform.draw();
        let (log, nonce) = (Incarnation::draw(at, entropy), Nonce::draw(at, entropy));
        let requests = Requests::new(platform.clone(), StoreSettings::default(), Journal::silent());
        let covers = 7;
        let live = Live { damaged: [".".repeat(LONG)].into(), ..Live::default() };
        let object = Checkpoint { inc: log, covers, nonce, live }.encode();
        let created = requests.create(&layout::checkpoint(log, covers), &object.payload, nonce).await;
        assert!(matches!(created, Ok(Created::Ours)), "{created:?}");
        let scanned = read_log(&requests, log, None).await.unwrap();
        assert_eq!((scanned.from, scanned.end), (covers, covers));
        assert_eq!(requests.meter().counts().get, 1);
        let took = platform.clock.instant().since(began);
        assert!(took >= StoreSettings::default().attempt_timeout * 6, "it is no slow store: {took:?}");
    });
}
