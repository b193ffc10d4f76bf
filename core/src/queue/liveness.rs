//! Who is dead: heartbeats as one node sees them, by its own clock alone.
//!
//! A heartbeat counts as dead when its ETag has stood still for three announced intervals, seen in listings that
//! succeeded and came at most [`LISTING_GAP`] apart. After a longer gap (an outage, a suspension of this node) every
//! count begins anew, so that an outage kills nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::model::{Incarnation, Nonce};
use crate::platform::{Instant, Listed};
use crate::state::beat::{HOLDING_INTERVAL, IDLE_INTERVAL, announced};
use crate::state::layout::{self, LiveKey};

/// How far apart two listings may be for a heartbeat between them to count as standing still.
pub const LISTING_GAP: Duration = Duration::from_secs(20);
/// How many intervals a heartbeat may stand still.
pub const MISSED_BEATS: u32 = 3;

/// How many nodes watch the others.
const WATCHERS: usize = 3;

/// What this node has seen of the others.
#[derive(Debug, Default)]
pub struct Observer {
    seen: BTreeMap<Incarnation, Still>,
    last_listing: Option<Instant>,
}

#[derive(Debug)]
struct Still {
    etag: String,
    since: Instant,
    /// When it was seen with this ETag first, whatever lay between two listings.
    first: Instant,
    has_moved: bool,
}

/// One listing of `live/`, judged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Logs with a heartbeat.
    pub beating: Vec<Incarnation>,
    /// Heartbeats that have not changed since they were first seen: nothing shows yet that somebody writes them.
    pub unmoved: Vec<Incarnation>,
    /// Heartbeats that were seen unchanged for longer than they announce three times over, be it in listings far apart: reason to look
    /// more closely, and no more than that.
    pub suspect: BTreeSet<Incarnation>,
    /// Heartbeats that somebody writes, as often as they announce: seen to move, the last time less than an interval ago.
    pub fresh: BTreeSet<Incarnation>,
    /// How long those have stood still that have for at least three of the shortest intervals. Whether that is
    /// enough depends on what they announce.
    pub still: Vec<(Incarnation, Duration)>,
    /// Released logs.
    pub free: Vec<Incarnation>,
    /// Operators' orders.
    pub orders: Vec<Nonce>,
}

impl Observer {
    /// Takes in a listing of `live/` that was asked for at `now`.
    pub fn observe(&mut self, listed: &[Listed], now: Instant) -> Sighting {
        if self.last_listing.is_some_and(|last| now.since(last) > LISTING_GAP) {
            self.seen.values_mut().for_each(|still| still.since = now);
        }
        self.last_listing = Some(now);
        let mut sighting = Sighting::default();
        let mut seen = BTreeMap::new();
        for object in listed {
            match layout::parse_live(&object.key) {
                Some(LiveKey::Free(incarnation)) => sighting.free.push(incarnation),
                Some(LiveKey::Beat(incarnation)) => {
                    sighting.beating.push(incarnation);
                    let before = self.seen.remove(&incarnation);
                    let has_moved =
                        before.as_ref().is_some_and(|still| still.has_moved || still.etag != object.etag);
                    if !has_moved {
                        sighting.unmoved.push(incarnation);
                    }
                    let same = before.filter(|still| still.etag == object.etag);
                    let (since, first) = same.map_or((now, now), |still| (still.since, still.first));
                    if is_dead(announced(object.size), now.since(first)) {
                        sighting.suspect.insert(incarnation);
                    }
                    let still_for = now.since(since);
                    if has_moved && still_for < Duration::from_secs(announced(object.size)) {
                        sighting.fresh.insert(incarnation);
                    }
                    if still_for >= Duration::from_secs(HOLDING_INTERVAL) * MISSED_BEATS {
                        sighting.still.push((incarnation, still_for));
                    }
                    seen.insert(incarnation, Still { etag: object.etag.clone(), since, first, has_moved });
                }
                Some(LiveKey::Order(order)) => sighting.orders.push(order),
                Some(LiveKey::Lock(_)) | None => {}
            }
        }
        self.seen = seen;
        sighting
    }
}

/// Those of the nodes that watch the others: the same three for everybody who sees the same nodes, and as few changes as can be when one
/// comes or goes (rendezvous hashing). In an order that is the same for everybody, too.
pub fn watchers(nodes: impl Iterator<Item = Incarnation>) -> Vec<Incarnation> {
    let hash = |node: &Incarnation| digest(&SHA256, node.to_string().as_bytes()).as_ref().to_vec();
    let mut ranked: Vec<(Vec<u8>, Incarnation)> = nodes.map(|node| (hash(&node), node)).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(WATCHERS).map(|(_, node)| node).collect()
}

/// Whether a heartbeat that announces this interval, in seconds, and has stood still for so long is dead. No node announces more than
/// [`IDLE_INTERVAL`]; what does is broken, and must not count as alive for ever.
pub fn is_dead(interval: u64, still_for: Duration) -> bool {
    still_for >= Duration::from_secs(interval.min(IDLE_INTERVAL)) * MISSED_BEATS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn beat(n: u8, etag: &str) -> Listed {
        let incarnation = Incarnation::draw(UtcTime(1), [n; 10]);
        Listed { key: layout::beat(incarnation), size: 1, etag: etag.into(), modified: UtcTime(0) }
    }

    #[test]
    fn a_heartbeat_is_suspect_after_thirty_seconds_of_standing_still() {
        let mut observer = Observer::default();
        for (seconds, etag, suspects) in
            [(0, "a", 0), (10, "a", 0), (20, "a", 0), (30, "a", 1), (40, "b", 0), (60, "b", 0), (70, "b", 1)]
        {
            let sighting = observer.observe(&[beat(1, etag)], at(seconds));
            assert_eq!(sighting.still.len(), suspects, "at {seconds}");
            assert_eq!(sighting.unmoved.is_empty(), seconds >= 40, "at {seconds}");
            assert_eq!(sighting.fresh.is_empty(), seconds != 40, "at {seconds}");
        }
        assert!(!is_dead(60, Duration::from_secs(30)) && is_dead(10, Duration::from_secs(30)));
        assert!(!is_dead(u64::MAX, Duration::from_secs(179)) && is_dead(u64::MAX, Duration::from_secs(180)));
    }

    #[test]
    fn three_watch_and_another_node_changes_at_most_one_of_them() {
        let node = |n: u8| Incarnation::draw(UtcTime(1), [n; 10]);
        let mut before = watchers((0..3).map(node));
        assert_eq!(before.len(), 3);
        for nodes in 4..60 {
            let now = watchers((0..nodes).rev().map(node));
            assert_eq!(now.len(), 3);
            assert!(now.iter().all(|now| before.contains(now) || *now == node(nodes - 1)), "{nodes}");
            before = now;
        }
    }

    #[test]
    fn a_gap_between_listings_begins_every_count_anew() {
        let mut observer = Observer::default();
        for (seconds, suspects) in [(0, 0), (10, 0), (300, 0), (310, 0), (320, 0), (330, 1)] {
            let sighting = observer.observe(&[beat(1, "a")], at(seconds));
            assert_eq!(sighting.still.len(), suspects, "at {seconds}");
            assert_eq!(sighting.suspect.is_empty(), seconds < 30, "at {seconds}");
        }
    }
}
