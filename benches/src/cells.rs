//! The comparisons: which load goes where, and who is measured.

use std::fmt;

use crate::report::Peer;

/// Where messages are to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// In local mailboxes, so many of them, in turns.
    Mailbox(usize),
    /// At one `smtp-sink`.
    Relay,
}

/// Of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Octets(usize),
    /// As real mail has them: many of some 50 KB, a few of megabytes.
    Typical,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Connections at a time.
    pub(crate) sessions: usize,
    pub(crate) messages: usize,
    pub(crate) size: Size,
    /// Whether a connection is kept for the next message.
    pub(crate) kept: bool,
}

impl Load {
    /// The same, as much of it as a server is sent before it is measured: code that is compiled as it runs has been by then, and
    /// processes that are started when they are needed have started.
    pub(crate) fn warm_up(self) -> Self {
        Self { messages: WARM_UP.min(self.messages / 4), ..self }
    }
}

/// A cell to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) flow: Flow,
    pub(crate) load: Load,
    pub(crate) peers: Vec<Peer>,
}

const KIB: usize = 1 << 10;
/// Messages that do not count, where a load has four times as many.
const WARM_UP: usize = 300;

/// The eight that are measured by default: each number that is asked of Fulmar is told by one of them.
pub(crate) fn telling() -> Vec<Plan> {
    use Peer::{Fulmar, FulmarOnS3, Haraka, Postfix, Sink};
    let one = |sessions, messages| Load { sessions, messages, size: Size::Octets(10 * KIB), kept: false };
    let plan = |name: &str, flow, load, peers: &[Peer]| Plan {
        name: name.to_owned(),
        flow,
        load,
        peers: peers.to_vec(),
    };
    let (here, local) = (Flow::Mailbox(1), &[Fulmar, Postfix, Sink]);
    let relayed = &[Fulmar, Postfix, Haraka];
    vec![
        plan("local-20", here, one(20, 4_000), local),
        plan("local-100", here, one(100, 4_000), local),
        plan("local-20-kept", here, Load { kept: true, ..one(20, 4_000) }, local),
        plan("local-20-typical", Flow::Mailbox(10), Load { size: Size::Typical, ..one(20, 2_000) }, local),
        plan("local-1000", here, one(1_000, 4_000), local),
        plan("relay-20", Flow::Relay, one(20, 3_000), relayed),
        plan("relay-1", Flow::Relay, one(1, 1_000), relayed),
        // Many messages: requests that go with time, not with messages, are to be few beside them.
        plan("relay-100-s3", Flow::Relay, one(100, 10_000), &[Fulmar, FulmarOnS3]),
    ]
}

/// What `--full` adds: sizes and sessions, each with one message a connection and with many, to mailboxes and on; but for what
/// [`telling`] has.
pub(crate) fn further() -> Vec<Plan> {
    use Peer::{Fulmar, Haraka, Postfix, Sink};
    let sizes = [2 * KIB, 64 * KIB, KIB * KIB].map(|octets| (20, octets));
    let sessions = [1, 1_000].map(|sessions| (sessions, 10 * KIB));
    let mut plans = Vec::new();
    for (sessions, octets) in sizes.into_iter().chain(sessions) {
        for kept in [false, true] {
            let load =
                Load { sessions, messages: messages(sessions, octets), size: Size::Octets(octets), kept };
            let how = if kept { "-kept" } else { "" };
            for (flow, name, peers) in [
                (Flow::Mailbox(1), "local", vec![Fulmar, Postfix, Sink]),
                (Flow::Relay, "relay", vec![Fulmar, Postfix, Haraka]),
            ] {
                let name = format!("{name}-{sessions}-{}k{how}", octets / KIB);
                plans.push(Plan { name, flow, load, peers });
            }
        }
    }
    let known = telling();
    plans.retain(|plan| known.iter().all(|known| (known.flow, known.load) != (plan.flow, plan.load)));
    plans
}

/// About as long as the others take.
fn messages(sessions: usize, octets: usize) -> usize {
    const OCTETS_LIMIT: usize = 200 << 20;
    let wanted = if sessions == 1 { 1_000 } else { 4_000 };
    wanted.min(OCTETS_LIMIT / octets)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { sessions, messages, size, kept } = self.load;
        let plural = if sessions == 1 { "" } else { "s" };
        write!(f, "{sessions} session{plural}, {messages} messages of ")?;
        match size {
            Size::Octets(octets) => write!(f, "{} KiB", octets / KIB)?,
            Size::Typical => write!(f, "typical sizes")?,
        }
        write!(f, ", {}, ", if kept { "kept connections" } else { "one a connection" })?;
        match self.flow {
            Flow::Mailbox(1) => write!(f, "to one mailbox"),
            Flow::Mailbox(count) => write!(f, "to {count} mailboxes"),
            Flow::Relay => write!(f, "relayed to one smtp-sink"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn eight_cells_tell_by_default_and_no_two_have_one_name() {
        let plans: Vec<Plan> = telling().into_iter().chain(further()).collect();
        let names: BTreeSet<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!((telling().len(), names.len()), (8, plans.len()));
        let loads: BTreeSet<String> = plans.iter().map(Plan::to_string).collect();
        assert_eq!(loads.len(), plans.len());
    }

    #[test]
    fn a_server_is_warmed_by_some_hundred_messages_or_a_quarter() {
        for (messages, warm_up) in [(4_000, 300), (200, 50), (3, 0)] {
            let load = Load { messages, ..telling()[0].load };
            assert_eq!(load.warm_up(), Load { messages: warm_up, ..load });
        }
    }

    #[test]
    fn a_plan_says_what_is_sent_where() {
        for (name, said) in [
            ("local-20", "20 sessions, 4000 messages of 10 KiB, one a connection, to one mailbox"),
            ("local-20-kept", "20 sessions, 4000 messages of 10 KiB, kept connections, to one mailbox"),
            (
                "local-20-typical",
                "20 sessions, 2000 messages of typical sizes, one a connection, to 10 mailboxes",
            ),
            ("relay-1", "1 session, 1000 messages of 10 KiB, one a connection, relayed to one smtp-sink"),
            (
                "relay-20-1024k-kept",
                "20 sessions, 200 messages of 1024 KiB, kept connections, relayed to one smtp-sink",
            ),
        ] {
            let plan = telling().into_iter().chain(further()).find(|plan| plan.name == name).unwrap();
            assert_eq!(plan.to_string(), said);
        }
    }
}
