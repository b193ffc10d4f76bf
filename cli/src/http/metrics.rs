//! Figures in the text format of OpenMetrics, which Prometheus reads.
//!
//! Labels come from closed sets (kinds of event, protocols, purposes, verbs), so that their number is bounded, and no address of a
//! person is ever among them.

use std::sync::atomic::AtomicU64;

use fulmar_core::admin::prices::{assumptions, dollars, dollars_to_keep_of};
use fulmar_core::config::{Protocol, TlsVersion};
use fulmar_core::engine::{Current, Overload, Readiness, Statistics, Taken};
use fulmar_core::model::{Event, Outcome, UtcTime};
use fulmar_core::state::requests::PurposeCounts;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// What [`Metrics::render`] gives.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const OUTCOMES: [&str; 4] = ["delivered", "failed", "deferred", "cancelled"];
const PROTOCOLS: [Protocol; 6] = [
    Protocol::Smtp,
    Protocol::Submission,
    Protocol::Submissions,
    Protocol::Lmtp,
    Protocol::Pop3,
    Protocol::Pop3s,
];
const TLS_VERSIONS: [&str; 2] = [TlsVersion::V1_2.number(), TlsVersion::V1_3.number()];

/// One label: its name and its value.
type Label = [(&'static str, &'static str); 1];
/// What a request to the store is sent for, and its verb.
type Request = [(&'static str, &'static str); 2];
/// What something is paid for.
type Bill = [(&'static str, &'static str); 2];

/// What is counted as it happens.
#[derive(Debug)]
pub(super) struct Metrics {
    started: UtcTime,
    events: Family<Label, Counter>,
    attempts: Family<Label, Counter>,
    sessions_opened: Family<Label, Counter>,
    sessions_closed: Family<Label, Counter>,
    sessions_encrypted: Family<Label, Counter>,
}

/// What is asked for when somebody wants to see it; nothing as long as no engine runs.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// What `/readyz` says.
    pub(super) is_ready: bool,
    pub(super) readiness: Option<Readiness>,
    pub(super) statistics: Option<Statistics>,
    /// Nothing where the queue did not answer; nothing in it where the node has no log.
    pub(super) queue: Option<Option<Current>>,
}

impl Metrics {
    /// Nothing counted yet; every series begins at 0, so that its first increase shows.
    pub(super) fn new(started: UtcTime) -> Self {
        let protocols = PROTOCOLS.map(Protocol::name);
        Self {
            started,
            events: family("event", Event::KINDS),
            attempts: family("outcome", &OUTCOMES),
            sessions_opened: family("protocol", &protocols),
            sessions_closed: family("protocol", &protocols),
            sessions_encrypted: family("version", &TLS_VERSIONS),
        }
    }

    /// Counts one event.
    pub(super) fn count(&self, event: &Event) {
        let add = |family: &Family<Label, Counter>, label| family.get_or_create(&[label]).inc();
        add(&self.events, ("event", event.kind()));
        match event {
            Event::Attempted { outcome, .. } => add(&self.attempts, ("outcome", outcome_name(outcome))),
            Event::SessionOpened { protocol, .. } => add(&self.sessions_opened, ("protocol", protocol)),
            Event::SessionClosed { protocol, .. } => add(&self.sessions_closed, ("protocol", protocol)),
            Event::TlsAccepted { version, .. } => add(&self.sessions_encrypted, ("version", version)),
            _ => 0,
        };
    }

    /// All figures as text.
    pub(super) fn render(&self, figures: &Figures) -> String {
        let mut registry = Registry::default();
        let started = ConstGauge::new(seconds(self.started));
        registry.register_with_unit("process_start_time", "When the process began", Unit::Seconds, started);
        let own = registry.sub_registry_with_prefix("fulmar");
        own.register("build", "What runs here", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let ready = ConstGauge::new(u64::from(figures.is_ready));
        own.register("ready", "Whether new connections are welcome, as /readyz says", ready);
        own.register("events", "Events by kind, as in the log", self.events.clone());
        own.register("attempts", "Attempts at recipients that ended, by outcome", self.attempts.clone());
        own.register("sessions_opened", "Clients' sessions that began", self.sessions_opened.clone());
        own.register("sessions_closed", "Clients' sessions that ended", self.sessions_closed.clone());
        let help = "Clients' sessions whose TLS handshake succeeded, by version; tls_failed among the events counts the others";
        own.register("sessions_encrypted", help, self.sessions_encrypted.clone());
        figures.register(own);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl Figures {
    fn register(&self, own: &mut Registry) {
        if let Some(readiness) = &self.readiness {
            let ready = ConstGauge::new(u64::from(*readiness == Readiness::Ready));
            own.register("store_ready", "Whether the store does as asked", ready);
        }
        if let Some(Statistics { accepted, delivered, by_purpose, taken, turned_away, .. }) = self.statistics
        {
            let accepted = ConstCounter::new(accepted);
            own.register("messages_accepted", "Messages that were acknowledged", accepted);
            let delivered = ConstCounter::new(delivered);
            own.register("recipients_delivered", "Recipients that were delivered to", delivered);
            register_requests(own, &by_purpose);
            register_intake(own, &taken);
            let help = "Connections that were told to come later";
            own.register("connections_turned_away", help, ConstCounter::new(turned_away));
        }
        if let Some(queue) = self.queue {
            let number = |of: fn(Current) -> usize| ConstGauge::new(queue.map_or(0, of) as u64);
            let help = "Messages that this node holds in the queue";
            own.register("queue_entries", help, number(|queue| queue.entries));
            let help = "Local deliveries and transactions with other hosts that are under way";
            own.register("queue_attempts", help, number(|queue| queue.attempts));
            if let Some(due) = queue.and_then(|queue| queue.next_due) {
                let help = "When the next recipient is due that is not being attempted";
                let due = ConstGauge::new(seconds(due));
                own.register_with_unit("queue_next_due_timestamp", help, Unit::Seconds, due);
            }
        }
    }
}

/// What tells overload.
fn register_intake(own: &mut Registry, taken: &Taken) {
    let help = "Messages that are whole and wait to become durable";
    own.register("intake_messages", help, ConstGauge::new(taken.waiting as u64));
    let (help, octets) = ("Octets of theirs in memory", ConstGauge::new(taken.octets as u64));
    own.register_with_unit("intake", help, Unit::Bytes, octets);
    let help = "How long the first of them has waited";
    let wait = ConstGauge::new(taken.longest_wait.as_secs_f64());
    own.register_with_unit("intake_wait", help, Unit::Seconds, wait);
    let refused = Family::<Label, Counter>::default();
    for (overload, count) in Overload::ALL.iter().zip(taken.refused) {
        refused.get_or_create(&[("reason", overload.name())]).inc_by(count);
    }
    own.register("transactions_refused", "Transactions refused because of overload, by reason", refused);
}

/// What a store bills, and what that comes to. There is no series of all purposes together: a sum over `work` would count it twice.
fn register_requests(own: &mut Registry, by_purpose: &PurposeCounts) {
    let (requests, octets) = (Family::<Request, Counter>::default(), Family::<Request, Counter>::default());
    let costs = Family::<Bill, Counter<f64, AtomicU64>>::default();
    for (purpose, counts) in by_purpose.iter() {
        let set = |family: &Family<Request, Counter>, verb, count| {
            family.get_or_create(&[("work", purpose.name()), ("verb", verb)]).inc_by(count);
        };
        set(&requests, "put", counts.put);
        set(&requests, "get", counts.get);
        set(&requests, "head", counts.head);
        set(&requests, "list", counts.list);
        set(&requests, "delete", counts.delete);
        set(&requests, "copy", counts.copy);
        set(&octets, "put", counts.put_bytes);
        set(&octets, "get", counts.get_bytes);
        set(&octets, "copy", counts.copy_bytes);
        let pay = |bill, dollars| {
            costs.get_or_create(&[("work", purpose.name()), ("bill", bill)]).inc_by(dollars);
        };
        pay("requests", dollars(&counts));
        pay("storage", dollars_to_keep_of(purpose, &counts));
    }
    own.register("store_requests", "Requests to the store, by kind of work and verb", requests);
    let help = "Octets to and from the store, by kind of work and verb";
    own.register_with_unit("store_transferred", help, Unit::Bytes, octets);
    let help =
        format!("Costs of requests and of keeping what was written, by kind of work: {}", assumptions());
    own.register_with_unit("store_cost", help, Unit::Other("dollars".to_owned()), costs);
}

/// Counters at 0, one for each value of a label.
fn family(label: &'static str, values: &[&'static str]) -> Family<Label, Counter> {
    let family: Family<Label, Counter> = Family::default();
    for value in values {
        drop(family.get_or_create(&[(label, *value)]));
    }
    family
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Failed(_) => "failed",
        Outcome::Deferred(_) => "deferred",
        Outcome::Cancelled(_) => "cancelled",
    }
}

/// Seconds since 1970, as all times in Prometheus are.
fn seconds(time: UtcTime) -> f64 {
    time.since(UtcTime::default()).as_secs_f64()
}
