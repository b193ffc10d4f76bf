//! A cell: all its peers, in turns.

use fulmar_tests::Fallible;

use crate::cells::Plan;
use crate::report::{Cell, Figure, Peer, Round};
use crate::round;
use crate::servers::Setup;

/// So many rounds, and one more for the memory. What goes wrong with one server leaves its round uncounted.
pub(crate) fn compare(setup: &Setup, plan: &Plan, rounds: usize) -> Cell {
    let mut cell = Cell { name: plan.name.clone(), load: plan.to_string(), ..Cell::default() };
    let (missing, mut peers): (Vec<Peer>, Vec<Peer>) =
        plan.peers.iter().partition(|peer| setup.missing(**peer).is_some());
    cell.remarks.extend(missing.into_iter().filter_map(|peer| setup.missing(peer)));
    for number in 1..=rounds {
        for peer in &peers {
            let round = round::run(setup, plan, *peer);
            report(&plan.name, number, *peer, &round);
            enter(&mut cell, number, *peer, round);
        }
        // Whoever comes first finds the machine as the last one left it: so they take turns in that too.
        peers.rotate_left(1);
    }
    for peer in peers {
        let round = round::peak_memory(setup, plan, peer);
        enter(&mut cell, rounds + 1, peer, round);
    }
    cell
}

fn enter(cell: &mut Cell, number: usize, peer: Peer, round: Fallible<Round>) {
    if let Err(error) = &round {
        let name: &str = peer.into();
        cell.remarks.push(format!("round {number} of {name} does not count: {error}"));
    }
    cell.rounds.entry(peer).or_default().push(round.unwrap_or_default());
}

/// That something happens is seen while it does.
#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn report(cell: &str, number: usize, peer: Peer, round: &Fallible<Round>) {
    let name: &str = peer.into();
    let figure = |figure| round.as_ref().ok().and_then(|round| round.get(&figure)).copied();
    let show =
        |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let (accepted, delivered, cpu) =
        (figure(Figure::Accepted), figure(Figure::Delivered), figure(Figure::Cpu));
    println!(
        "{cell:20} {number:5}  {name:12} {:>10} {:>11} {:>15}",
        show(accepted, 0),
        show(delivered, 0),
        show(cpu, 3)
    );
}
