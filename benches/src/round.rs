//! One server under load, once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fulmar_tests::Fallible;

use crate::cells::Plan;
use crate::generator;
use crate::report::{Figure, Peer, Round};
use crate::servers::{Contender, Setup, recipients};

/// Between two looks at a server's memory.
const SAMPLE_PAUSE: Duration = Duration::from_millis(50);
/// Octets.
const MEBIBYTE: f64 = (1 << 20) as f64;

/// Starts a server, warms it, sends it the load and waits until everything has arrived; fails where that is not so.
pub(crate) fn run(setup: &Setup, plan: &Plan, peer: Peer) -> Fallible<Round> {
    let mut server = setup.start(peer, plan.flow)?;
    let mut round = take(&mut *server, plan)?;
    round.extend(server.finish(all_messages(plan))?);
    if peer == Peer::Sink {
        // It delivers nothing.
        round.remove(&Figure::Delivered);
    }
    Ok(round)
}

fn take(server: &mut dyn Contender, plan: &Plan) -> Fallible<Round> {
    let warm_up = plan.load.warm_up();
    if warm_up.messages > 0 {
        generator::send(warm_up, server.address(), &recipients(plan.flow))?;
        server.wait_for_deliveries(warm_up.messages)?;
    }
    let cpu_before = server.processes().cpu_time()?;
    let sent = generator::send(plan.load, server.address(), &recipients(plan.flow))?;
    let arrived = server.wait_for_deliveries(all_messages(plan))?;
    let cpu = server.processes().cpu_time()? - cpu_before;
    // The last message may have arrived before its `250` was read.
    let lag = system_time(arrived).duration_since(sent.last).unwrap_or_default();
    let messages = plan.load.messages as f64;
    let mut round = sent.latency;
    round.extend([
        (Figure::Accepted, messages / sent.seconds),
        (Figure::Delivered, messages / (sent.seconds + lag.as_secs_f64())),
        (Figure::Cpu, cpu.as_secs_f64() / messages * 1_000.0),
    ]);
    Ok(round)
}

/// The most memory that the server takes under the same load. To look costs time, so that this is a round of its own.
pub(crate) fn peak_memory(setup: &Setup, plan: &Plan, peer: Peer) -> Fallible<Round> {
    let mut server = setup.start(peer, plan.flow)?;
    let processes = server.processes();
    let is_over = AtomicBool::new(false);
    let peak = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !is_over.load(Ordering::Relaxed) {
                peak = processes.memory().map_or(peak, |now| peak.max(now));
                thread::sleep(SAMPLE_PAUSE);
            }
            peak
        });
        let arrived = take(&mut *server, plan);
        is_over.store(true, Ordering::Relaxed);
        let peak = sampler.join().map_err(|_| "the sampler panicked")?;
        arrived.map(|_| peak)
    })?;
    server.finish(all_messages(plan))?;
    Ok(Round::from([(Figure::Memory, peak as f64 / MEBIBYTE)]))
}

/// With those of the warm-up.
fn all_messages(plan: &Plan) -> usize {
    plan.load.warm_up().messages + plan.load.messages
}

/// What the other clock showed then.
fn system_time(at: Instant) -> SystemTime {
    SystemTime::now() - at.elapsed()
}
