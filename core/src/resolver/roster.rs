//! Who the servers are, in which order they are asked, and what each has taught us.
//!
//! The order is the operator's. How quickly a server answers does not change it: most of that time is what the name asked for
//! costs, and of two servers in a list the second is often there only to stand in. A server that was silent, or refused to serve us,
//! *rests*: it is asked only after all others. Once its rest is over, one question tries it; those that come meanwhile still go to
//! others, so that a server that stays away costs one question its patience every few minutes, and not all of them.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::platform::Instant;

/// Servers that are used.
const SERVER_LIMIT: usize = 8;
/// How long a server that has failed rests. Each trial that it fails after that doubles the rest.
const REST: Duration = Duration::from_secs(30);
/// The longest rest.
const MOST_REST: Duration = Duration::from_mins(5);
/// How long we remember that a server understands no EDNS, or does not give back the letters as they were. It may be replaced by
/// one that does.
const MEMORY: Duration = Duration::from_hours(1);

/// Whom to ask, in order of preference, and how far they are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameServers {
    /// Where they are. Those beyond the first eight are left out.
    pub addresses: Vec<SocketAddr>,
    /// Whether they check DNSSEC, and nobody between them and us can change what they say: then AD is believed
    /// (RFC 4035 §4.9.3). It holds for all of them, since whoever can silence one server chooses the next.
    pub are_validating: bool,
}

/// Servers of which nothing is believed about DNSSEC.
impl From<Vec<SocketAddr>> for NameServers {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses, are_validating: false }
    }
}

/// Says who the servers are.
pub trait NameServerSource: Send + Sync {
    /// The servers as of now. Called for each question that the cache does not answer, so it must be cheap.
    fn current(&self) -> NameServers;
}

/// These servers and no others.
impl NameServerSource for NameServers {
    fn current(&self) -> NameServers {
        self.clone()
    }
}

/// The servers of a source.
pub(super) struct Roster {
    source: Arc<dyn NameServerSource>,
    listed: Mutex<Listed>,
}

#[derive(Default)]
struct Listed {
    /// As the source last named them.
    named: NameServers,
    servers: Vec<Arc<Server>>,
}

impl Roster {
    pub(super) fn new(source: Arc<dyn NameServerSource>) -> Self {
        Self { source, listed: Mutex::default() }
    }

    /// All servers, in the order in which a question that comes now should ask them. Whoever calls this asks the first.
    pub(super) fn by_merit(&self, now: Instant) -> Vec<Arc<Server>> {
        let named = self.source.current();
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.named != named {
            listed.replace(named);
        }
        let mut servers = listed.servers.clone();
        servers.sort_by_key(|server| server.rests_until(now));
        if let Some(first) = servers.first() {
            first.begin_trial(now);
        }
        servers
    }
}

impl Listed {
    /// A server that was there before keeps what is known of it.
    fn replace(&mut self, named: NameServers) {
        let known = std::mem::take(&mut self.servers);
        let same = |address| {
            let found = known
                .iter()
                .find(|server| server.address == address && server.is_validating == named.are_validating);
            found.cloned()
        };
        let addresses = named.addresses.iter().take(SERVER_LIMIT);
        self.servers = addresses
            .map(|address| same(*address).unwrap_or_else(|| Server::new(*address, named.are_validating)))
            .collect();
        self.named = named;
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roster").field(&self.source.current()).finish()
    }
}

/// One server.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// Whether its word on DNSSEC is believed.
    pub(super) is_validating: bool,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// Set from a failure on, until it answers.
    rest: Option<Rest>,
    plain_until: Option<Instant>,
    stream_until: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    length: Duration,
    /// Whether a question is trying it since its last rest ended.
    is_tried: bool,
}

impl Server {
    fn new(address: SocketAddr, is_validating: bool) -> Arc<Self> {
        Arc::new(Self { address, is_validating, notes: Mutex::default() })
    }

    /// It has answered as it should, whatever it said.
    pub(super) fn has_served(&self) {
        self.notes().rest = None;
    }

    /// It was silent, or does not serve us.
    pub(super) fn has_failed(&self, now: Instant) {
        let mut notes = self.notes();
        let length = match notes.rest {
            Some(rest) if rest.is_tried => (rest.length * 2).min(MOST_REST),
            Some(rest) => rest.length,
            None => REST,
        };
        notes.rest = Some(Rest { until: now + length, length, is_tried: false });
    }

    /// It answers without EDNS what it does not answer with it.
    pub(super) fn lacks_extensions(&self, now: Instant) {
        self.notes().plain_until = Some(now + MEMORY);
    }

    /// It changes the case of letters in the question. That it goes on doing so prolongs nothing: after an hour it gets another chance.
    pub(super) fn changes_case(&self, now: Instant) {
        if !self.needs_stream(now) {
            self.notes().stream_until = Some(now + MEMORY);
        }
    }

    /// Whether EDNS is worth trying.
    pub(super) fn may_be_extended(&self, now: Instant) -> bool {
        self.notes().plain_until.is_none_or(|until| now >= until)
    }

    /// Whether it is known to change the case, so that its datagrams could not be told from forgeries by that.
    pub(super) fn needs_stream(&self, now: Instant) -> bool {
        self.notes().stream_until.is_some_and(|until| now < until)
    }

    fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.notes().rest.map(|rest| rest.until).filter(|until| *until > now)
    }

    /// Whoever asks it now tries it for the others, who leave it alone for as long as it would rest once more.
    fn begin_trial(&self, now: Instant) {
        if let Some(rest) = &mut self.notes().rest
            && rest.until <= now
        {
            (rest.until, rest.is_tried) = (now + rest.length, true);
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn address(number: u8) -> SocketAddr {
        ([192, 0, 2, number], 53).into()
    }

    fn named(numbers: &[u8]) -> NameServers {
        numbers.iter().map(|number| address(*number)).collect::<Vec<_>>().into()
    }

    fn roster(numbers: &[u8]) -> Roster {
        Roster::new(Arc::new(named(numbers)))
    }

    fn order(roster: &Roster, seconds: u64) -> Vec<SocketAddr> {
        roster.by_merit(at(seconds)).iter().map(|server| server.address).collect()
    }

    #[test]
    fn a_server_that_failed_rests_ever_longer_and_one_question_at_a_time_tries_it() {
        let roster = roster(&[1, 2]);
        let (preferred, other) = (vec![address(1), address(2)], vec![address(2), address(1)]);
        let first = roster.by_merit(at(0)).remove(0);
        first.has_failed(at(0));
        let mut now = 0;
        for rest in [30, 60, 120, 240, 300, 300] {
            assert_eq!(order(&roster, now + rest - 1), other, "{now}");
            now += rest;
            assert_eq!(order(&roster, now), preferred, "{now}");
            // Somebody tries it. The others do not wait for that.
            assert_eq!(order(&roster, now), other, "{now}");
            first.has_failed(at(now));
        }
        first.has_served();
        assert_eq!(order(&roster, now), preferred);
        first.has_failed(at(now));
        assert_eq!(order(&roster, now + 30), preferred, "the first rest is short again");
    }

    #[test]
    fn a_server_that_fails_once_more_while_it_rests_is_not_punished_for_being_asked() {
        let roster = roster(&[1]);
        let server = roster.by_merit(at(0)).remove(0);
        for second in [0, 2, 6] {
            server.has_failed(at(second));
        }
        assert_eq!(server.rests_until(at(6)), Some(at(36)));
    }

    #[test]
    fn what_a_server_cannot_do_is_forgotten_after_an_hour() {
        let roster = roster(&[1]);
        let server = roster.by_merit(at(0)).remove(0);
        assert!(server.may_be_extended(at(0)) && !server.needs_stream(at(0)));
        server.lacks_extensions(at(0));
        server.changes_case(at(0));
        assert!(!server.may_be_extended(at(3_599)) && server.needs_stream(at(3_599)));
        assert!(server.may_be_extended(at(3_600)) && !server.needs_stream(at(3_600)));
    }

    /// Names other servers whenever it is told to.
    struct Changing(Mutex<NameServers>);

    impl NameServerSource for Changing {
        fn current(&self) -> NameServers {
            self.0.lock().unwrap().clone()
        }
    }

    #[test]
    fn servers_are_those_that_the_source_names_now_and_old_ones_keep_their_record() {
        let source = Arc::new(Changing(Mutex::new(named(&[1, 2]))));
        let roster = Roster::new(source.clone());
        roster.by_merit(at(0))[0].has_failed(at(0));
        *source.0.lock().unwrap() = named(&[1, 3]);
        assert_eq!(order(&roster, 1), [address(3), address(1)]);
        *source.0.lock().unwrap() = named(&(0..20).collect::<Vec<_>>());
        assert_eq!(order(&roster, 2).len(), SERVER_LIMIT);
        *source.0.lock().unwrap() = NameServers { are_validating: true, ..named(&[1]) };
        assert!(roster.by_merit(at(3))[0].is_validating);
        *source.0.lock().unwrap() = named(&[]);
        assert_eq!(order(&roster, 4), []);
    }
}
