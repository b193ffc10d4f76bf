//! The plan past one machine: clusters of up to a thousand nodes, each a whole engine, on one simulated store that is as slow and takes as
//! much as S3 was measured to.
//!
//! | module | what it holds |
//! |---|---|
//! | `cell` | [`Cell`]: one cluster, from its first node to the takeover of one that was killed |
//! | `ground`, `node`, `client` | what stands in the store beforehand; who serves; who sends |
//! | `meter`, `tally` | what was asked of the store; what was promised, and what came of it |
//! | `figures` | [`Figures`], and what they cost |
//! | `table`, `picture` | the same, to be read and to be seen |
//!
//! Everything follows from the seed: the same one gives the same figures.

mod cell;
mod client;
mod figures;
mod ground;
mod meter;
mod node;
mod picture;
mod table;
mod tally;

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fulmar_tests::sim::Measured;

pub use cell::{Cell, Mail, window};
pub use figures::Figures;
pub use picture::picture;
pub use table::table;

/// S3, as it was measured from a machine nearby. What a partition takes is what its makers say of a prefix; that two folders make one, as
/// in `spool/3f`, is an assumption: S3 splits where the load has been for a while.
pub const S3: Measured = Measured {
    median: Duration::from_millis(55),
    p99: Duration::from_millis(230),
    octets_per_second: 90e6,
    writes_per_second: 3_500.0,
    reads_per_second: 5_500.0,
    partition_folders: 2,
};

/// A cell that has been measured.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// What was measured.
    pub cell: Cell,
    /// What came of it.
    pub figures: Figures,
    /// How long that took. Unlike the figures it differs from run to run.
    pub took: Duration,
}

/// Measures all of them, so many at a time, the largest first, and gives them in their own order.
pub fn measure_all(cells: &[Cell], jobs: usize) -> Vec<Measurement> {
    let mut waiting: Vec<(usize, Cell)> = cells.iter().copied().enumerate().collect();
    waiting.sort_by_key(|(_, cell)| cell.nodes);
    let (waiting, done) = (Mutex::new(waiting), Mutex::new(Vec::new()));
    let work = || {
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some((place, cell)) = next() {
            let began = Instant::now();
            let figures = cell.measure();
            let measurement = Measurement { cell, figures, took: began.elapsed() };
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, measurement));
        }
    };
    thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, measurement)| measurement).collect()
}
