//! What a run gave: figures by cell, peer and round; and how they are shown, judged and kept.

pub(crate) mod csv;
pub(crate) mod floors;
pub(crate) mod svg;
pub(crate) mod table;

use std::collections::BTreeMap;

use strum::{EnumIter, IntoStaticStr};

use crate::spread::Spread;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, IntoStaticStr)]
pub(crate) enum Peer {
    /// On a directory.
    Fulmar,
    /// On an S3 server on the same machine, whose processor time and memory are not counted.
    #[strum(serialize = "Fulmar on S3")]
    FulmarOnS3,
    Postfix,
    Haraka,
    /// Stores nothing: what the rig itself can do.
    #[strum(serialize = "smtp-sink")]
    Sink,
}

/// What is measured of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter)]
pub(crate) enum Figure {
    /// Until the last `250`.
    Accepted,
    /// Until the last message has arrived where it is to go.
    Delivered,
    /// Processor time of all the server's processes, delivery included.
    Cpu,
    /// The most that all the server's processes take together, shared memory in proportion (PSS).
    Memory,
    /// From the final dot to its `250`.
    P50,
    P99,
    P999,
    /// Requests to the store in the server's whole life, for each message.
    Put,
    Get,
    Head,
    List,
    Delete,
    Copy,
    PutOctets,
    GetOctets,
    /// What those cost at list prices.
    Dollars,
    /// What keeping the octets written costs at list prices, for as long as `fulmar_core::admin::prices` assumes.
    StorageDollars,
}

impl Figure {
    /// Its name with its unit, and the digits after the point that are worth showing.
    pub(crate) fn caption(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::Accepted => ("accepted", "messages/s", 0),
            Self::Delivered => ("delivered", "messages/s", 0),
            Self::Cpu => ("CPU", "s per 1,000", 3),
            Self::Memory => ("peak memory", "MiB", 1),
            Self::P50 => ("250, p50", "ms", 2),
            Self::P99 => ("250, p99", "ms", 2),
            Self::P999 => ("250, p99.9", "ms", 2),
            Self::Put => ("PUT", "a message", 4),
            Self::Get => ("GET", "a message", 4),
            Self::Head => ("HEAD", "a message", 4),
            Self::List => ("LIST", "a message", 4),
            Self::Delete => ("DELETE", "a message", 4),
            Self::Copy => ("COPY", "a message", 4),
            Self::PutOctets => ("written", "octets a message", 0),
            Self::GetOctets => ("read", "octets a message", 0),
            Self::Dollars => ("requests cost", "$ per million", 2),
            Self::StorageDollars => ("storage costs", "$ per million", 2),
        }
    }
}

/// What one round gave; empty where it does not count.
pub(crate) type Round = BTreeMap<Figure, f64>;

/// One comparison: the same load on all peers, in turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) name: String,
    /// What is sent where, in words.
    pub(crate) load: String,
    /// In the order of the rounds. The last holds what would have disturbed the others.
    pub(crate) rounds: BTreeMap<Peer, Vec<Round>>,
    /// Who was not measured, and which rounds do not count, each with the reason.
    pub(crate) remarks: Vec<String>,
}

impl Cell {
    /// All that was measured of a figure.
    pub(crate) fn spread(&self, peer: Peer, figure: Figure) -> Option<Spread> {
        Spread::of(self.rounds.get(&peer)?.iter().filter_map(|round| round.get(&figure).copied()))
    }

    /// One peer's figure by another's, round by round: only what was measured close together is compared.
    pub(crate) fn ratios(&self, figure: Figure, ours: Peer, theirs: Peer) -> Option<Spread> {
        let rounds = self.rounds.get(&ours)?.iter().zip(self.rounds.get(&theirs)?);
        let ratios = rounds.filter_map(|(ours, theirs)| Some(ours.get(&figure)? / theirs.get(&figure)?));
        // Nothing is so many times nothing.
        Spread::of(ratios.filter(|ratio| ratio.is_finite()))
    }

    /// Rounds of a peer that do not count.
    pub(crate) fn discarded(&self, peer: Peer) -> usize {
        self.rounds.get(&peer).map_or(0, |rounds| rounds.iter().filter(|round| round.is_empty()).count())
    }
}

/// What was measured of Fulmar alone.
#[derive(Clone, Debug)]
pub(crate) struct Alone {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) spread: Spread,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) cells: Vec<Cell>,
    pub(crate) alone: Vec<Alone>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(accepted: f64) -> Round {
        Round::from([(Figure::Accepted, accepted)])
    }

    #[test]
    fn ratios_are_of_rounds_that_count_on_both_sides() {
        let ours = vec![round(10.0), Round::new(), round(40.0), round(90.0), round(1.0)];
        let theirs = vec![round(5.0), round(1.0), round(10.0), Round::new(), round(0.0)];
        let rounds = BTreeMap::from([(Peer::Fulmar, ours), (Peer::Postfix, theirs)]);
        let cell = Cell { rounds, ..Cell::default() };
        let ratios = cell.ratios(Figure::Accepted, Peer::Fulmar, Peer::Postfix);
        assert_eq!(ratios, Spread::of([2.0, 4.0]));
        assert_eq!(cell.ratios(Figure::Cpu, Peer::Fulmar, Peer::Postfix), None);
        assert_eq!(cell.ratios(Figure::Accepted, Peer::Fulmar, Peer::Haraka), None);
        assert_eq!((cell.discarded(Peer::Fulmar), cell.discarded(Peer::Haraka)), (1, 0));
        assert_eq!(cell.spread(Peer::Fulmar, Figure::Accepted), Spread::of([10.0, 40.0, 90.0, 1.0]));
    }
}
