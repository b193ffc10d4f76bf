//! Whole engines, from a client's command to the mailbox and back, on three runtimes: the same cases on smol (which is what
//! production runs on), on tokio, and in the simulator under several seeds.

mod client;
mod collecting;
mod dmarc_reports;
mod failure_reports;
mod grouping;
mod mail;
mod metering;
mod nodes;
mod received_reports;
mod relay;
mod sink;
mod world;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::platform::Clock;
use fulmar_runtime_smol::{SmolClock, SmolRuntime};
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{self, Simulation};
use fulmar_tests::tokio_runtime::TokioRuntime;

/// How many seeds each case is simulated with.
const SEEDS: u64 = 20;
/// How long a case may take in real time.
const LIMIT: Duration = Duration::from_mins(2);

/// One test of each case on each runtime: `<case>::smol`, `<case>::tokio`, `<case>::simulated`.
macro_rules! on_every_runtime {
    ($($case:ident),* $(,)?) => {$(
        mod $case {
            #[test]
            fn smol() {
                crate::end_to_end::on_smol(super::$case);
            }

            #[test]
            fn tokio() {
                crate::end_to_end::on_tokio(super::$case);
            }

            #[test]
            fn simulated() {
                crate::end_to_end::simulated(super::$case);
            }
        }
    )*};
}
use on_every_runtime;

fn on_smol(case: impl AsyncFnOnce(Arc<dyn Runtime>)) {
    let runtime = Arc::new(SmolRuntime::new(SmolRuntime::default_threads()).unwrap());
    runtime.block_on(limited(case(runtime.clone())));
}

fn on_tokio(case: impl AsyncFnOnce(Arc<dyn Runtime>)) {
    let runtime = Arc::new(TokioRuntime::new().unwrap());
    runtime.block_on(limited(case(runtime.clone())));
}

/// Ends by itself where nothing goes on: the simulator sees to it.
fn simulated(case: impl AsyncFn(Arc<dyn Runtime>)) {
    for seed in 0..SEEDS {
        sim::run_traced(seed, async |simulator| case(Arc::new(Simulation::new(simulator))).await);
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let trace = |seed| {
        let world = async |simulator| {
            let runtime = |simulator: &sim::Simulator| Arc::new(Simulation::new(simulator.clone()));
            mail::each_recipient_gets_one_copy_however_it_was_named(runtime(&simulator)).await;
            nodes::what_a_killed_node_had_taken_is_delivered_once_by_another(runtime(&simulator)).await;
        };
        sim::run_traced(seed, world).1
    };
    for seed in 0..SEEDS / 4 {
        let (first, second) = (trace(seed), trace(seed));
        let lines = first.lines.iter().zip(&second.lines).enumerate();
        for (number, (first, second)) in lines {
            assert_eq!(first, second, "line {number} of seed {seed}");
        }
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first.hash, trace(seed + 1).hash);
    }
}

async fn limited(case: impl Future<Output = ()>) {
    let late = (&SmolClock as &dyn Clock).sleep(LIMIT);
    let (case, late) = (pin!(case), pin!(late));
    let done = futures::future::select(case, late).await;
    assert!(matches!(done, futures::future::Either::Left(_)), "the case has not ended in {LIMIT:?}");
}
