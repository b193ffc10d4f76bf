//! Hosts and their processes: that they stop where they are told to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fulmar_core::platform::{Payload, Target, When};
use fulmar_tests::faults::Verb;
use fulmar_tests::sim::{Ambush, Machine, Simulation, Simulator, run};
use futures::channel::oneshot;
use futures::future::pending;
use futures::io::AsyncReadExt;

use super::{SEEDS, machine};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Has a machine count the seconds, by its own clock.
fn count_seconds(machine: &Machine) -> Arc<AtomicU64> {
    let (counter, inside) = (Arc::<AtomicU64>::default(), machine.clone());
    let counted = counter.clone();
    machine.spawn(Box::pin(async move {
        loop {
            inside.sleep(Duration::from_secs(1)).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }));
    counter
}

#[test]
fn a_suspended_process_does_nothing_and_its_timers_fire_when_it_goes_on() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        let (machine, other) = (machine(&simulation, "a"), machine(&simulation, "b"));
        let (counter, others) = (count_seconds(&machine), count_seconds(&other));
        let woken = Arc::new(Mutex::new(None));
        {
            let (woken, inside) = (woken.clone(), machine.clone());
            machine.spawn(Box::pin(async move {
                inside.sleep(Duration::from_secs(30)).await;
                *woken.lock().unwrap() = Some(inside.platform().clock.instant());
            }));
        }
        simulator.sleep(Duration::from_millis(10_500)).await;
        machine.suspend();
        let before = machine.platform().clock.instant();
        // What begins in a suspended process waits as well.
        let begun = count_seconds(&machine);
        simulator.sleep(Duration::from_mins(61)).await;
        assert_eq!(counter.load(Ordering::Relaxed), 10);
        assert_eq!(begun.load(Ordering::Relaxed), 0);
        assert_eq!(others.load(Ordering::Relaxed), 61 * 60 + 10);
        assert_eq!(*woken.lock().unwrap(), None);
        assert!(machine.is_alive());
        machine.resume();
        simulator.sleep(Duration::from_millis(1)).await;
        let now = machine.platform().clock.instant();
        assert!(now.since(before) >= Duration::from_mins(61), "the boot clock counts suspension");
        assert!(woken.lock().unwrap().is_some_and(|at| now.since(at) < Duration::from_secs(1)));
        assert_eq!(counter.load(Ordering::Relaxed), 11);
        simulator.sleep(Duration::from_secs(5)).await;
        assert_eq!(counter.load(Ordering::Relaxed), 16);
    });
}

#[test]
fn a_killed_process_does_nothing_more_and_what_it_held_is_dropped() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        let machine = machine(&simulation, "a");
        let counter = count_seconds(&machine);
        let (held, dropped) = oneshot::channel::<()>();
        machine.spawn(Box::pin(async move {
            let _held = held;
            pending::<()>().await;
        }));
        simulator.sleep(Duration::from_millis(3_500)).await;
        machine.kill();
        assert!(dropped.await.is_err());
        simulator.sleep(Duration::from_mins(1)).await;
        assert_eq!(counter.load(Ordering::Relaxed), 3);
        assert!(!machine.is_alive());
        assert_eq!(machine.run(async {}).await, None);
        // A suspended one can be killed too, and nothing of it comes back.
        let machine = machine.restart();
        let counter = count_seconds(&machine);
        machine.suspend();
        machine.kill();
        machine.resume();
        simulator.sleep(Duration::from_mins(1)).await;
        assert_eq!(counter.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_process_may_be_killed_by_its_own_job() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator);
        let machine = machine(&simulation, "a");
        let inside = machine.clone();
        let done = machine.run(async move {
            inside.kill();
            // Not an await at which anything could go on.
            inside.sleep(Duration::from_secs(1)).await;
        });
        assert_eq!(done.await, None);
        machine.killed().await;
    });
}

#[test]
fn requests_under_way_of_a_killed_process_take_effect_or_do_not() {
    let mut effects = 0;
    for seed in 0..10 * SEEDS {
        run(seed, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let machine = machine(&simulation, "a");
            let store = machine.platform().store;
            machine.spawn(Box::pin(async move {
                let _ = store.put("key", Payload::default(), When::Absent).await;
            }));
            simulator.sleep(Duration::from_micros(1)).await;
            machine.kill();
            simulator.sleep(Duration::from_mins(1)).await;
            effects += u32::from(simulation.bucket().get("key").is_some());
        });
    }
    assert!((30..70).contains(&effects), "{effects} of 100");
}

#[test]
fn a_process_can_be_killed_at_any_await() {
    let mut reached = Vec::new();
    for steps in 0..12 {
        let (at, _) = run(0, async |simulator: Simulator| {
            let simulation = Simulation::new(simulator);
            let machine = machine(&simulation, "a");
            machine.kill_at_step(steps);
            let counter = count_seconds(&machine);
            machine.killed().await;
            counter.load(Ordering::Relaxed)
        });
        reached.push(at);
    }
    assert!(reached.is_sorted() && reached[0] == 0 && reached[11] >= 9, "{reached:?}");
}

#[test]
fn clocks_are_off_and_drift_and_the_boot_clock_never_goes_back() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        let (machine, right) = (machine(&simulation, "a"), machine(&simulation, "b"));
        let (clock, true_clock) = (machine.platform().clock, right.platform().clock);
        let before = clock.instant();
        machine.set_clock(-3_600_000, 0);
        assert_eq!(true_clock.utc().0 - clock.utc().0, 3_600_000);
        assert_eq!(clock.instant(), before);
        machine.set_clock(500, 100_000);
        simulator.sleep(Duration::from_secs(100)).await;
        assert_eq!(clock.instant().since(before), Duration::from_secs(110));
        assert_eq!(clock.utc().0 - true_clock.utc().0, 10_500);
        // Ten seconds of it are over before ten seconds are.
        let began = simulator.now();
        machine.sleep(Duration::from_secs(11)).await;
        assert_eq!((simulator.now() - began).as_secs_f64().round() as u64, 10);
        machine.set_clock(0, -100_000);
        let began = (simulator.now(), clock.instant());
        machine.sleep(Duration::from_secs(9)).await;
        assert_eq!((simulator.now() - began.0).as_millis(), 10_000);
        assert_eq!(clock.instant().since(began.1), Duration::from_secs(9));
        // A timer that was set before its clock was is late by no more than the clock.
        let (inside, clock_inside) = (machine.clone(), clock.clone());
        let until = clock.instant() + Duration::from_secs(100);
        let waiting = machine.run(async move {
            clock_inside.sleep_until(until).await;
            inside.platform().clock.instant()
        });
        machine.set_clock(0, -500_000);
        let woken = waiting.await.unwrap();
        assert!(woken >= until && woken.since(until) < Duration::from_millis(1));
    });
}

#[test]
fn a_host_knows_of_its_own_processes_which_are_gone() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator);
        let (one, other) = (machine(&simulation, "a"), machine(&simulation, "b"));
        let first = one.host().process;
        assert!(!(one.host().is_gone)(&first));
        let second = one.restart();
        assert!((second.host().is_gone)(&first));
        assert!(!(second.host().is_gone)(&second.host().process));
        assert!(!(other.host().is_gone)(&first), "that is another host's affair");
        simulation.weather().set_same_host_shortcut(false);
        assert!(!(second.host().is_gone)(&first));
        assert_ne!(second.host().process, first);
    });
}

#[test]
fn listeners_close_and_connections_break_with_their_process() {
    let mut resets = 0;
    for seed in 0..10 * SEEDS {
        run(seed, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let (server, client) = (machine(&simulation, "a"), machine(&simulation, "b"));
            let inside = server.clone();
            let serve = move |stream, _| {
                inside.spawn(Box::pin(async move {
                    let _stream: Box<dyn fulmar_core::platform::Stream> = stream;
                    pending::<()>().await;
                }));
            };
            let address = server.listen(ANY, Box::new(serve)).unwrap();
            assert_eq!(address.ip(), server.address());
            let platform = client.platform();
            let soon = platform.clock.instant() + Duration::from_secs(5);
            let mut stream = platform.net.connect(&Target::Address(address), soon).await.unwrap();
            simulator.sleep(Duration::from_secs(1)).await;
            server.kill();
            // The port is free at once.
            server.restart().listen(address, Box::new(|_, _| ())).unwrap();
            resets += u32::from(stream.read(&mut [0]).await.is_err());
        });
    }
    assert!((30..70).contains(&resets), "{resets} of 100");
}

#[test]
fn a_process_stands_still_where_it_is_ambushed_and_goes_on_later_or_when_all_heals() {
    let mut sent_before = 0;
    for seed in 0..2 * SEEDS {
        run(seed, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let machine = machine(&simulation, "a");
            let stands_still = (Duration::from_hours(1), Duration::from_hours(2));
            let ambush = Ambush { verb: Verb::Put, part: "/own/", probability: 1.0, stands_still };
            simulation.weather().ambush(&[ambush]);
            let (counter, store) = (count_seconds(&machine), machine.platform().store);
            machine.spawn(Box::pin(async move {
                store.put("a/log/1", Payload::default(), When::Absent).await.unwrap();
                store.put("a/own/1", Payload::default(), When::Absent).await.unwrap();
                store.put("a/log/2", Payload::default(), When::Absent).await.unwrap();
            }));
            simulator.sleep(Duration::from_mins(59)).await;
            let keys = simulation.bucket().keys("");
            assert!(keys.contains(&"a/log/1".to_owned()) && !keys.contains(&"a/log/2".to_owned()));
            sent_before += u64::from(keys.len() == 2);
            assert!(counter.load(Ordering::Relaxed) < 5);
            match seed % 2 {
                0 => simulator.sleep(Duration::from_mins(62)).await,
                _ => {
                    simulation.weather().calm();
                    simulator.sleep(Duration::from_secs(10)).await;
                }
            }
            assert_eq!(simulation.bucket().keys("").len(), 3);
        });
    }
    assert!((1..2 * SEEDS).contains(&sent_before), "{sent_before}");
}
