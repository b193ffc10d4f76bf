//! How often clients come and users send, and what they are told when that is too often.
//!
//! Rates are kept as the time at which the last of what was taken is paid for ([`rates`]): after an idle period a client may take all that
//! its limit says at once, and then as much as comes back. Nothing of this is in the store: a node that starts has forgotten it.

mod rates;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;

use self::rates::{Measure, Rate, Rates, Subject};
use crate::config::ClientLimits;
use crate::model::{Address, Reply};
use crate::platform::Instant;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// What has been counted on this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Limits {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ClientLimits,
    /// That are alive, this one with them.
    nodes: AtomicUsize,
    /// Connections of each address and network that has some.
    present: Mutex<BTreeMap<IpNet, u32>>,
    rates: Mutex<Rates>,
}

/// Who sends.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Where it connects from.
    pub client: IpAddr,
    /// Who it has logged in as.
    pub user: Option<&'a Address>,
}

/// A client's place among the connections of its address and network; given back when it is dropped.
#[derive(Debug)]
pub struct Guest {
    shared: Arc<Shared>,
    counted: Vec<IpNet>,
}

impl Limits {
    /// Nothing counted yet, and no other node known.
    pub fn new(settings: ClientLimits) -> Self {
        let rates = Mutex::new(Rates::new(settings.remembered));
        let shared = Shared { settings, nodes: AtomicUsize::new(1), present: Mutex::default(), rates };
        Self { shared: Arc::new(shared) }
    }

    /// So many nodes are alive, this one with them: they share what users and domains may send.
    pub fn share(&self, nodes: usize) {
        self.shared.nodes.store(nodes.max(1), Ordering::Relaxed);
    }

    /// A client connects. It counts as long as its place lives. Refused with `421 4.7.0`.
    pub fn connect(&self, client: IpAddr, now: Instant) -> Result<Guest, Reply> {
        let settings = &self.shared.settings;
        let mut guest = Guest { shared: self.shared.clone(), counted: Vec::new() };
        if settings.is_exempt(client) {
            return Ok(guest);
        }
        let (address, network) = (address(client), network(client));
        let places =
            [(address, settings.connections_per_address), (network, settings.connections_per_network)];
        for (place, limit) in places {
            let Some(limit) = limit else { continue };
            let mut present = self.shared.present();
            let count = present.entry(place).or_insert(0);
            // Counted even where it is too many: dropping the guest takes it back.
            *count += 1;
            guest.counted.push(place);
            if *count > limit {
                drop(present);
                return Err(Reply::new(421, (4, 7, 0), "too many connections from your network; closing"));
            }
        }
        let rate =
            rate(Measure::Connections, Subject::Client(address), settings.connections_per_minute, MINUTE);
        match self.shared.rates().take(rate.as_slice(), now) {
            Ok(()) => Ok(guest),
            Err(_) => Err(Reply::new(421, (4, 7, 0), "connections from your address come too fast; closing")),
        }
    }

    /// A transaction begins. Refused with `450 4.7.1`; nothing is counted then.
    pub fn message(&self, sender: Sender<'_>, now: Instant) -> Result<(), Reply> {
        let ClientLimits { messages_per_minute, messages_per_hour, .. } = self.shared.settings;
        let ClientLimits { user_messages_per_hour, domain_messages_per_hour, .. } = self.shared.settings;
        let by_client = [messages_per_minute, messages_per_hour];
        let by_user = [user_messages_per_hour, domain_messages_per_hour];
        let measures = [Measure::MessagesMinute, Measure::MessagesHour];
        self.take(measures, sender, by_client, by_user, now)
            .map_err(|wait| Reply::new(450, (4, 7, 1), format!("too many messages, {}", again(wait))))
    }

    /// A recipient is named. Refused with `452 4.7.1`; nothing is counted then.
    pub fn recipient(&self, sender: Sender<'_>, now: Instant) -> Result<(), Reply> {
        let ClientLimits { recipients_per_minute, recipients_per_hour, .. } = self.shared.settings;
        let ClientLimits { user_recipients_per_hour, domain_recipients_per_hour, .. } = self.shared.settings;
        let by_client = [recipients_per_minute, recipients_per_hour];
        let by_user = [user_recipients_per_hour, domain_recipients_per_hour];
        let measures = [Measure::RecipientsMinute, Measure::RecipientsHour];
        self.take(measures, sender, by_client, by_user, now)
            .map_err(|wait| Reply::new(452, (4, 7, 1), format!("too many recipients, {}", again(wait))))
    }

    /// One of each rate that the sender is under, or how long until there is one.
    fn take(
        &self,
        [by_minute, by_hour]: [Measure; 2],
        sender: Sender<'_>,
        [minute, hour]: [Option<u32>; 2],
        [user, domain]: [Option<u32>; 2],
        now: Instant,
    ) -> Result<(), Duration> {
        let mut rates = Vec::new();
        if !self.shared.settings.is_exempt(sender.client) {
            let client = Subject::Client(address(sender.client));
            rates.extend(rate(by_minute, client.clone(), minute, MINUTE));
            rates.extend(rate(by_hour, client, hour, HOUR));
        }
        if let Some(address) = sender.user {
            let user_subject = Subject::User(address.normalized());
            rates.extend(rate(by_hour, user_subject, self.part(user), HOUR));
            rates.extend(rate(by_hour, Subject::Domain(address.domain().clone()), self.part(domain), HOUR));
        }
        self.shared.rates().take(&rates, now)
    }

    /// This node's part of what all nodes may do together.
    fn part(&self, limit: Option<u32>) -> Option<u32> {
        let nodes = u32::try_from(self.shared.nodes.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        limit.map(|limit| (limit / nodes).max(1))
    }
}

impl Shared {
    fn present(&self) -> MutexGuard<'_, BTreeMap<IpNet, u32>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut present = self.shared.present();
        for place in &self.counted {
            if let Some(count) = present.get_mut(place) {
                *count -= 1;
                if *count == 0 {
                    present.remove(place);
                }
            }
        }
    }
}

fn rate(measure: Measure, subject: Subject, limit: Option<u32>, period: Duration) -> Option<Rate> {
    limit.map(|limit| Rate { measure, subject, limit, period })
}

/// What counts as one client: an address of IPv4, or what one customer gets of IPv6.
fn address(client: IpAddr) -> IpNet {
    cut(client, 32, 64)
}

/// The network around it.
fn network(client: IpAddr) -> IpNet {
    cut(client, 24, 48)
}

fn cut(client: IpAddr, v4: u8, v6: u8) -> IpNet {
    let client = client.to_canonical();
    let whole = IpNet::from(client);
    IpNet::new(client, if client.is_ipv4() { v4 } else { v6 }).map_or(whole, |network| network.trunc())
}

fn again(wait: Duration) -> String {
    format!("try again in {} s", wait.as_secs() + 1)
}
