//! Recipients of other hosts that are due: one line for each destination, so that a slow or dead one holds up nobody else.

use std::collections::{BTreeMap, VecDeque};

use crate::config::Destination;
use crate::model::QueueId;

/// Recipients in one transaction, at most: what every server must take (RFC 5321 §4.5.3.1.8).
const TRANSACTION_RECIPIENTS: usize = 100;

/// How many messages that came before it one of the next higher priority overtakes in its line (RFC 6710 §4.1): so many, and no more, so that those of
/// the lowest priority get their turn, too.
const AHEAD: i64 = 100;

/// Lines, and whose turn it is.
#[derive(Debug)]
pub(super) struct Lines {
    /// Present as long as somebody waits in it or is under way.
    lines: BTreeMap<Destination, Line>,
    /// Destinations where somebody waits and may go, each once.
    turns: VecDeque<Destination>,
    under_way: usize,
    limit: usize,
    /// What all nodes together may have under way to one destination.
    limit_of_all: usize,
    /// This node's share of it.
    limit_per_destination: usize,
}

#[derive(Debug, Default)]
struct Line {
    /// By priority, each in the order of coming; none is empty.
    waiting: BTreeMap<i8, VecDeque<Waiting>>,
    /// How many messages have come so far.
    messages: i64,
    /// The last one.
    last: Option<QueueId>,
    under_way: usize,
    has_turn: bool,
}

/// A recipient in a line.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: QueueId,
    to: u32,
    /// How many messages had come before its own.
    number: i64,
}

impl Line {
    /// A recipient comes. Those of one message come in a row.
    fn enter(&mut self, id: QueueId, to: u32, priority: i8) {
        if self.last != Some(id) {
            self.last = Some(id);
            self.messages += 1;
        }
        let waiting = Waiting { id, to, number: self.messages };
        self.waiting.entry(priority).or_default().push_back(waiting);
    }

    /// The recipient whose turn it is.
    fn take(&mut self) -> Option<(QueueId, u32)> {
        let rank = |priority: i8, first: &Waiting| first.number - i64::from(priority) * AHEAD;
        let first = self.waiting.iter().filter_map(|(priority, line)| Some((*priority, line.front()?)));
        // Among equals the higher priority.
        let (priority, _) = first.min_by_key(|(priority, first)| (rank(*priority, first), -priority))?;
        self.take_of(priority)
    }

    /// Another recipient of the same message, if it is the next of its priority.
    fn take_another(&mut self, id: QueueId) -> Option<u32> {
        let of_message = |(priority, line): (&i8, &VecDeque<Waiting>)| {
            line.front().is_some_and(|first| first.id == id).then_some(*priority)
        };
        let priority = self.waiting.iter().find_map(of_message)?;
        Some(self.take_of(priority)?.1)
    }

    fn take_of(&mut self, priority: i8) -> Option<(QueueId, u32)> {
        let line = self.waiting.get_mut(&priority)?;
        let taken = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&priority);
        }
        taken.map(|first| (first.id, first.to))
    }
}

impl Lines {
    /// No lines. So many transactions may be under way at a time, and so many of them to one destination.
    pub(super) fn new(limit: usize, limit_per_destination: usize) -> Self {
        Self {
            lines: BTreeMap::new(),
            turns: VecDeque::new(),
            under_way: 0,
            limit,
            limit_of_all: limit_per_destination.max(1),
            limit_per_destination: limit_per_destination.max(1),
        }
    }

    /// So many nodes share what each destination is to bear. Each may have one transaction under way.
    pub(super) fn share(&mut self, nodes: usize) {
        let share = (self.limit_of_all / nodes.max(1)).max(1);
        let grows = share > self.limit_per_destination;
        self.limit_per_destination = share;
        if grows {
            let waiting: Vec<Destination> = self.lines.keys().cloned().collect();
            waiting.into_iter().for_each(|destination| self.give_turn(destination));
        }
    }

    /// A recipient that is due goes to the end of its line, or ahead of others of lower priority.
    pub(super) fn enter(&mut self, destination: Destination, id: QueueId, to: u32, priority: i8) {
        self.lines.entry(destination.clone()).or_default().enter(id, to, priority);
        self.give_turn(destination);
    }

    /// The next transaction to begin, if any may: recipients of one message with one destination. Destinations take turns.
    pub(super) fn take(&mut self) -> Option<(Destination, QueueId, Vec<u32>)> {
        if self.under_way >= self.limit {
            return None;
        }
        let (destination, (id, first)) = self.next_in_turn()?;
        let line = self.lines.get_mut(&destination)?;
        let mut recipients = vec![first];
        while recipients.len() < TRANSACTION_RECIPIENTS
            && let Some(to) = line.take_another(id)
        {
            recipients.push(to);
        }
        line.under_way += 1;
        self.under_way += 1;
        self.give_turn(destination.clone());
        Some((destination, id, recipients))
    }

    /// Whose turn it is. Those who have left their line since they were given one are passed over.
    fn next_in_turn(&mut self) -> Option<(Destination, (QueueId, u32))> {
        while let Some(destination) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&destination) else { continue };
            line.has_turn = false;
            if line.under_way >= self.limit_per_destination {
                // The share has become smaller since. It gets another turn when something of it has ended.
                continue;
            }
            match line.take() {
                Some(first) => return Some((destination, first)),
                // Forgets the line where nothing of it is left.
                None => self.give_turn(destination),
            }
        }
        None
    }

    /// A transaction has ended.
    pub(super) fn done(&mut self, destination: &Destination) {
        let Some(line) = self.lines.get_mut(destination) else { return };
        line.under_way = line.under_way.saturating_sub(1);
        self.under_way = self.under_way.saturating_sub(1);
        self.give_turn(destination.clone());
    }

    /// Takes the recipients of a message out of all lines.
    pub(super) fn remove(&mut self, id: QueueId) -> Vec<u32> {
        let mut removed = Vec::new();
        for line in self.lines.values_mut() {
            line.waiting.retain(|_, line| {
                removed.extend(line.iter().filter(|waiting| waiting.id == id).map(|waiting| waiting.to));
                line.retain(|waiting| waiting.id != id);
                !line.is_empty()
            });
        }
        removed
    }

    /// Nobody waits any more. What is under way is still to be told of.
    pub(super) fn clear(&mut self) {
        self.turns.clear();
        self.lines.retain(|_, line| {
            line.waiting.clear();
            line.has_turn = false;
            line.under_way > 0
        });
    }

    /// Transactions under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    fn give_turn(&mut self, destination: Destination) {
        let Some(line) = self.lines.get_mut(&destination) else { return };
        if line.waiting.is_empty() && line.under_way == 0 && !line.has_turn {
            self.lines.remove(&destination);
        } else if !line.waiting.is_empty() && line.under_way < self.limit_per_destination && !line.has_turn {
            line.has_turn = true;
            self.turns.push_back(destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Domain, UtcTime};

    fn to(name: &str) -> Destination {
        Destination::Domain(Domain::parse(name).unwrap())
    }

    fn id(n: u8) -> QueueId {
        QueueId::draw(UtcTime(1), [n; 10])
    }

    #[test]
    fn destinations_take_turns_and_none_has_more_than_its_share() {
        let mut lines = Lines::new(3, 2);
        for n in 1..=4 {
            lines.enter(to("slow.test"), id(n), 0, 0);
        }
        lines.enter(to("quick.test"), id(9), 0, 0);
        assert_eq!(lines.take(), Some((to("slow.test"), id(1), vec![0])));
        assert_eq!(lines.take(), Some((to("quick.test"), id(9), vec![0])));
        assert_eq!(lines.take(), Some((to("slow.test"), id(2), vec![0])));
        assert_eq!(lines.take(), None, "as many as may be are under way");
        lines.done(&to("quick.test"));
        assert_eq!(lines.take(), None, "the slow one has its share");
        lines.done(&to("slow.test"));
        assert_eq!(lines.take(), Some((to("slow.test"), id(3), vec![0])));
        assert_eq!(lines.under_way(), 2);
    }

    #[test]
    fn nodes_share_what_a_destination_bears_and_each_has_at_least_one() {
        let mut lines = Lines::new(100, 6);
        (0..9).for_each(|n| lines.enter(to("a.test"), id(n), 0, 0));
        let begin = |lines: &mut Lines| std::iter::from_fn(|| lines.take()).count();
        lines.share(3);
        assert_eq!(begin(&mut lines), 2);
        lines.share(2);
        assert_eq!(begin(&mut lines), 1);
        lines.share(50);
        (0..2).for_each(|_| lines.done(&to("a.test")));
        assert_eq!(begin(&mut lines), 0, "one of three is under way still");
        lines.done(&to("a.test"));
        assert_eq!(begin(&mut lines), 1);
        lines.share(0);
        assert_eq!(begin(&mut lines), 5);
    }

    #[test]
    fn recipients_of_one_message_go_together_up_to_a_hundred() {
        let mut lines = Lines::new(9, 9);
        for n in 0..150 {
            lines.enter(to("a.test"), id(1), n, 0);
        }
        lines.enter(to("a.test"), id(2), 0, 0);
        assert_eq!(lines.take().unwrap().2, (0..100).collect::<Vec<_>>());
        assert_eq!(lines.take().unwrap().2, (100..150).collect::<Vec<_>>());
        assert_eq!(lines.take(), Some((to("a.test"), id(2), vec![0])));
    }

    #[test]
    fn higher_priority_goes_first_but_not_for_ever() {
        let mut lines = Lines::new(1_000, 1_000);
        let id = |n: u64| QueueId::draw(UtcTime(n), [0; 10]);
        let lowest = 0;
        lines.enter(to("a.test"), id(lowest), 0, 0);
        (1..=150).for_each(|n| lines.enter(to("a.test"), id(n), 0, 1));
        let order: Vec<_> = std::iter::from_fn(|| lines.take()).map(|(_, id, _)| id).collect();
        let at = order.iter().position(|taken| *taken == id(lowest)).unwrap();
        assert_eq!(at, AHEAD as usize, "as many as may have overtaken it");
        assert_eq!(order[0], id(1));
        lines.enter(to("a.test"), id(900), 0, -9);
        lines.enter(to("a.test"), id(901), 0, 9);
        lines.enter(to("a.test"), id(901), 1, 9);
        assert_eq!(lines.take(), Some((to("a.test"), id(901), vec![0, 1])));
    }

    #[test]
    fn what_is_removed_is_not_taken_and_empty_lines_are_forgotten() {
        let mut lines = Lines::new(9, 1);
        lines.enter(to("a.test"), id(1), 0, 0);
        lines.enter(to("a.test"), id(2), 0, 0);
        lines.enter(to("b.test"), id(2), 1, 0);
        assert_eq!(lines.take(), Some((to("a.test"), id(1), vec![0])));
        lines.enter(to("c.test"), id(3), 0, 0);
        assert_eq!(lines.remove(id(2)), [0, 1]);
        assert_eq!(lines.take(), Some((to("c.test"), id(3), vec![0])), "though b.test had its turn before");
        assert_eq!(lines.take(), None);
        lines.done(&to("c.test"));
        lines.clear();
        lines.done(&to("a.test"));
        assert!(lines.lines.is_empty() && lines.under_way() == 0);
    }
}
