//! How connections and names go wrong in the simulator.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::DnsName;
use fulmar_core::platform::{DnsError, Platform, Question, RecordKind, Stream, Target};
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{Block, Faults, NameTrouble, Simulation, Simulator, run};
use fulmar_tests::zone::Zone;
use futures::channel::mpsc;
use futures::future::{Either, pending, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use futures::{FutureExt, StreamExt};

use super::{LOOPBACK, SEEDS, machine};

/// How a client finds a connection that was to carry octets both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Whole,
    Reset,
    Ended,
    Silent,
}

/// Sends octets to and fro until that is done or fails, or nothing comes any more.
async fn exchange(simulator: &Simulator, simulation: &Simulation) -> Found {
    const OCTETS: usize = 200_000;
    let (accepted, mut accepting) = mpsc::unbounded::<Box<dyn Stream>>();
    let serve = move |stream, _| accepted.unbounded_send(stream).unwrap();
    let server = simulation.listen(LOOPBACK, pending().boxed(), Box::new(serve)).unwrap();
    let mut ours = connect(&machine(simulation, "a").platform(), server).await.unwrap();
    let mut theirs = accepting.next().await.unwrap();
    let echoing = simulator.clone();
    echoing.spawn(Box::pin(async move {
        let mut buffer = [0; 4096];
        while let Ok(octets @ 1..) = theirs.read(&mut buffer).await {
            if theirs.write_all(&buffer[..octets]).await.is_err() {
                break;
            }
        }
        // It keeps its end open.
        pending::<()>().await;
    }));
    let talking = async {
        let mut buffer = [0; 500];
        for _ in 0..OCTETS / buffer.len() {
            if ours.write_all(&buffer).await.is_err() {
                return Found::Reset;
            }
            match ours.read_exact(&mut buffer).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Found::Ended,
                Err(_) => return Found::Reset,
            }
        }
        Found::Whole
    };
    let late = simulator.sleep(Duration::from_hours(1));
    match select(std::pin::pin!(talking), late).await {
        Either::Left((found, _)) => found,
        Either::Right(_) => Found::Silent,
    }
}

#[test]
fn connections_are_cut_stall_and_close_half_amid_octets() {
    let none = Faults::default;
    // The half that is closed may be either.
    let cases: [(Faults, &[Found]); 4] = [
        (none(), &[Found::Whole]),
        (Faults { cut: 1.0, ..none() }, &[Found::Reset]),
        (Faults { stalled: 1.0, ..none() }, &[Found::Silent]),
        (Faults { half_closed: 1.0, ..none() }, &[Found::Ended, Found::Silent]),
    ];
    for (faults, expected) in cases {
        let found = |seed| {
            run(seed, async |simulator| {
                let simulation = Simulation::new(simulator.clone());
                simulation.weather().set(faults.clone());
                exchange(&simulator, &simulation).await
            })
            .0
        };
        let found: Vec<_> = (0..2 * SEEDS).map(found).collect();
        assert!(found.iter().all(|found| expected.contains(found)), "{faults:?}: {found:?}");
        assert!(expected.iter().all(|expected| found.contains(expected)), "{faults:?}: {found:?}");
    }
}

#[test]
fn ways_are_blocked_for_one_machine_or_to_one_address_and_open_again() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator);
        let (one, other) = (machine(&simulation, "one").platform(), machine(&simulation, "other").platform());
        let listen = || simulation.listen(LOOPBACK, pending().boxed(), Box::new(|_, _| ())).unwrap();
        let (server, second) = (listen(), listen());
        let outcome = async |platform: &Platform, server| match connect(platform, server).await {
            Ok(_) => None,
            Err(error) => Some(error.kind()),
        };
        simulation.net().block(Some("one"), Some(server), Block::Refuse);
        assert_eq!(outcome(&one, server).await, Some(ErrorKind::ConnectionRefused));
        assert_eq!(outcome(&one, second).await, None);
        assert_eq!(outcome(&other, server).await, None);
        simulation.net().block(None, Some(second), Block::BlackHole);
        assert_eq!(outcome(&other, second).await, Some(ErrorKind::TimedOut));
        simulation.weather().calm();
        assert_eq!(outcome(&one, server).await, None);
        assert_eq!(outcome(&other, second).await, None);
        simulation.weather().set(Faults { connect_refused: 1.0, ..Faults::default() });
        assert_eq!(outcome(&one, server).await, Some(ErrorKind::ConnectionRefused));
        simulation.weather().set(Faults { connect_lost: 1.0, ..Faults::default() });
        assert_eq!(outcome(&one, server).await, Some(ErrorKind::TimedOut));
    });
}

#[test]
fn what_stands_on_a_blocked_way_goes_on_where_it_opens_again() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        let (accepted, mut accepting) = mpsc::unbounded::<Box<dyn Stream>>();
        let serve = move |stream, _| accepted.unbounded_send(stream).unwrap();
        let server = simulation.listen(LOOPBACK, pending().boxed(), Box::new(serve)).unwrap();
        let mut ours = connect(&machine(&simulation, "a").platform(), server).await.unwrap();
        let mut theirs = accepting.next().await.unwrap();
        simulation.net().block(Some("a"), None, Block::BlackHole);
        theirs.write_all(b"late").await.unwrap();
        drop(theirs);
        let mut buffer = [0; 4];
        {
            let reading = ours.read_exact(&mut buffer);
            let late = simulator.sleep(Duration::from_mins(10));
            let waited = select(reading, late).await;
            let Either::Right(((), reading)) = waited else { panic!("nothing may arrive") };
            simulation.net().heal();
            reading.await.unwrap();
        }
        assert_eq!(&buffer, b"late");
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn name_servers_fail_fall_silent_and_are_slow() {
    let zone = Arc::<Zone>::default();
    zone.host("host.test", &[IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    let none = Faults::default;
    let cases = [
        (none(), None, false, 0..1),
        (Faults { dns_failure: 1.0, ..none() }, None, true, 0..1),
        (Faults { dns_timeout: 1.0, ..none() }, None, true, 20..21),
        (Faults { dns_slow: 1.0, ..none() }, None, false, 1..15),
        (none(), Some(NameTrouble::Fails), true, 0..1),
        (none(), Some(NameTrouble::TimesOut), true, 20..21),
        (none(), Some(NameTrouble::Slow), false, 1..15),
    ];
    for (faults, trouble, fails, seconds) in cases {
        run(0, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let dns = simulation.machine("a", &zone).platform().dns;
            simulation.weather().set(faults.clone());
            if let Some(trouble) = trouble {
                simulation.weather().trouble_name("host.test", trouble);
            }
            let question = Question { name: DnsName::parse("host.test").unwrap(), kind: RecordKind::A };
            let answer = dns.lookup(&question).await;
            assert_eq!(
                matches!(answer, Err(DnsError::ServFail(_))),
                fails,
                "{faults:?} {trouble:?}: {answer:?}"
            );
            assert!(seconds.contains(&simulator.now().as_secs()), "{faults:?} {trouble:?}");
            simulation.weather().calm();
            assert!(dns.lookup(&question).await.is_ok());
        });
    }
}

async fn connect(platform: &Platform, server: SocketAddr) -> std::io::Result<Box<dyn Stream>> {
    let soon = platform.clock.instant() + Duration::from_secs(10);
    platform.net.connect(&Target::Address(server), soon).await
}
