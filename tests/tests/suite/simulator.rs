//! The simulator itself: that its time, its network and its store are what nodes may expect, and that a run repeats.

mod machine;
mod net;
mod slow;
mod store;

use std::future::pending;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Platform, Stream, Target, When};
use fulmar_core::state::contract;
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{Faults, Machine, Simulation, Simulator, run, run_traced};
use futures::FutureExt;
use futures::channel::{mpsc, oneshot};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::{StreamExt, join};

const SEEDS: u64 = 10;
/// After this time no effect comes any more.
const SPAN_OF_LATE_EFFECTS: Duration = Duration::from_mins(4);
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn the_store_keeps_the_contract_and_is_left_empty() {
    for seed in 0..SEEDS {
        run(seed, async |simulator| {
            let store = doors(&Simulation::new(simulator)).store;
            let draw = (UtcTime(1_795_306_347_500), [7; 10]);
            let verdicts = contract::check(&*store, "deployment/", draw).await;
            let failed: Vec<_> = verdicts.into_iter().filter(|verdict| verdict.outcome.is_err()).collect();
            assert_eq!(failed, []);
            assert!(store.list("", None).await.unwrap().objects.is_empty());
        });
    }
}

#[test]
fn a_request_takes_effect_though_nobody_waits_for_its_answer() {
    run(0, async |simulator| {
        let platform = doors(&Simulation::new(simulator.clone()));
        let put = platform.store.put("key", Default::default(), When::Absent);
        assert!(put.now_or_never().is_none());
        simulator.sleep(Duration::from_secs(2)).await;
        platform.store.head("key").await.unwrap();
    });
}

#[test]
fn waiting_takes_virtual_time_only_and_ends_in_order() {
    run(0, async |simulator| {
        let (done, mut ended) = mpsc::unbounded();
        for hours in [30, 10, 20] {
            let (simulator, done) = (simulator.clone(), done.clone());
            simulator.clone().spawn(Box::pin(async move {
                simulator.sleep(Duration::from_hours(hours)).await;
                done.unbounded_send(hours).unwrap();
            }));
        }
        assert_eq!(ended.by_ref().take(3).collect::<Vec<_>>().await, [10, 20, 30]);
        assert_eq!(simulator.now(), Duration::from_hours(30));
    });
}

#[test]
fn a_run_in_which_nothing_can_happen_or_that_has_no_end_fails() {
    let fails = |work: &dyn Fn()| {
        let panic = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        panic
            .downcast::<String>()
            .map_or_else(|other| other.downcast_ref::<&str>().unwrap().to_string(), |text| *text)
    };
    let stuck = fails(&|| drop(run(0, async |_| pending::<()>().await)));
    assert!(stuck.starts_with("nothing can happen any more"), "{stuck}");
    let endless = fails(&|| {
        run(0, async |simulator: Simulator| {
            loop {
                simulator.sleep(Duration::from_hours(1)).await;
            }
        });
    });
    assert!(endless.starts_with("the run has not ended"), "{endless}");
}

#[test]
fn jobs_are_dropped_at_the_end_of_a_run() {
    let (held, mut dropped) = oneshot::channel::<()>();
    run(0, async |simulator| {
        let inside = simulator.clone();
        simulator.spawn(Box::pin(async move {
            // A job usually holds the door that it came through.
            let _held = (held, inside);
            pending::<()>().await;
        }));
    });
    assert_eq!(dropped.try_recv(), Err(oneshot::Canceled));
}

#[test]
fn octets_arrive_in_order_and_whole_in_both_directions_and_then_the_end() {
    let sent: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    for seed in 0..SEEDS {
        run(seed, async |simulator| {
            let (mut ours, mut theirs, _) = connected(&Simulation::new(simulator)).await;
            let sending = async {
                ours.write_all(&sent).await.unwrap();
                ours.close().await.unwrap();
                let mut back = Vec::new();
                ours.read_to_end(&mut back).await.unwrap();
                back
            };
            let echoing = async {
                let mut received = Vec::new();
                theirs.read_to_end(&mut received).await.unwrap();
                theirs.write_all(&received).await.unwrap();
                drop(theirs);
            };
            let (back, ()) = join!(sending, echoing);
            assert!(back == sent);
        });
    }
}

#[test]
fn a_connection_is_reset_by_order_and_where_octets_are_left_unread() {
    for by_order in [true, false] {
        run(1, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let (mut ours, mut theirs, server) = connected(&simulation).await;
            theirs.write_all(b"unread").await.unwrap();
            let mut buffer = [0; 64];
            if by_order {
                let (_, reading) = join!(
                    async {
                        simulator.sleep(Duration::from_secs(1)).await;
                        simulation.net().reset(server);
                    },
                    theirs.read(&mut buffer)
                );
                assert_eq!(reading.unwrap_err().kind(), ErrorKind::ConnectionReset);
                assert_eq!(ours.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            } else {
                drop(ours);
                assert_eq!(theirs.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            }
            assert_eq!(theirs.write(b"more").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        });
    }
}

#[test]
fn what_is_sent_to_nobody_is_refused_as_is_a_connection() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        let (ours, mut theirs, server) = connected(&simulation).await;
        drop(ours);
        assert_eq!(theirs.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(theirs.write(b"?").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        // The listener ended with the one connection that it was for.
        let platform = doors(&simulation);
        let soon = platform.clock.instant() + Duration::from_secs(1);
        let refused = platform.net.connect(&Target::Address(server), soon).await.map(drop);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let late = platform.net.connect(&Target::Address(server), platform.clock.instant()).await.map(drop);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn jobs_go_on_in_an_order_that_the_seed_decides() {
    let order = |seed| {
        run(seed, async |simulator| {
            let (done, ended) = mpsc::unbounded();
            for number in 0..20 {
                let done = done.clone();
                simulator.spawn(Box::pin(async move { done.unbounded_send(number).unwrap() }));
            }
            drop(done);
            ended.collect::<Vec<u32>>().await
        })
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1).0, order(2).0);
}

#[test]
fn the_sum_of_a_run_is_the_same_with_lines_and_without_and_on_every_thread() {
    let world = async |simulator: Simulator| {
        let simulation = Simulation::new(simulator.clone());
        let weather = Faults { lost_answer: 0.2, late_effect: 0.2, slow_down: 0.2, ..Faults::default() };
        simulation.weather().set(weather);
        for number in 0..20 {
            let store = machine(&simulation, "a").platform().store;
            simulator.spawn(Box::pin(async move {
                let _ = store.put(&format!("key {number}"), Default::default(), When::Absent).await;
            }));
        }
        simulator.sleep(Duration::from_mins(5)).await;
        simulation.bucket().keys("")
    };
    for seed in 0..SEEDS {
        let (keys, plain) = run(seed, world);
        let (same_keys, traced) = std::thread::spawn(move || run_traced(seed, world)).join().unwrap();
        assert_eq!((&keys, plain.hash, plain.steps), (&same_keys, traced.hash, traced.steps));
        assert!(plain.lines.is_empty() && !traced.lines.is_empty());
        assert_ne!(plain.hash, run(seed + 1, world).1.hash);
    }
}

#[test]
fn the_sum_of_a_run_is_the_same_in_every_build() {
    let (_, trace) = run(1, async |simulator: Simulator| {
        let simulation = Simulation::new(simulator);
        let store = machine(&simulation, "a").platform().store;
        store.put("key", Default::default(), When::Absent).await.unwrap();
        store.list("", None).await.unwrap();
    });
    // It changes with the simulator, and only with it.
    assert_eq!((trace.steps, trace.hash), (9, 780_051_022_178_138_418));
}

/// A process on the host of this name, for which there are no names.
fn machine(simulation: &Simulation, name: &str) -> Machine {
    simulation.machine(name, &Arc::default())
}

fn doors(simulation: &Simulation) -> Platform {
    simulation.platform(&Arc::default())
}

/// Both ends of a connection, and the address that was connected to, where nobody listens any more.
async fn connected(simulation: &Simulation) -> (Box<dyn Stream>, Box<dyn Stream>, SocketAddr) {
    let (accepted, mut accepting) = mpsc::unbounded();
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move |stream, _| accepted.unbounded_send(stream).unwrap();
    let server = simulation.listen(LOOPBACK, stopped.map(drop).boxed(), Box::new(serve)).unwrap();
    let platform = doors(simulation);
    let soon = platform.clock.instant() + Duration::from_secs(1);
    let ours = platform.net.connect(&Target::Address(server), soon).await.unwrap();
    let theirs = accepting.next().await.unwrap();
    drop(stop);
    assert!(accepting.next().await.is_none());
    (ours, theirs, server)
}
