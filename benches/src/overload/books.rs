//! What was promised, against what the mailboxes hold. Messages are told by their `Message-ID`, which only the generator gives.

use std::collections::BTreeMap;

use crate::load::{Report, message_id};

/// The field, as mailboxes hold it.
const FIELD: &[u8] = b"Message-ID: ";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// By identifier: whether it was answered 250, and how many copies there are.
    messages: BTreeMap<Vec<u8>, (bool, u64)>,
    promised: usize,
    in_doubt: u64,
}

/// What the books come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages that were answered 250.
    pub promised: u64,
    /// Those with exactly one copy.
    pub honoured: u64,
    /// Those with none.
    pub lost: u64,
    /// Copies beyond the first of a message.
    pub doubled: u64,
    /// Messages whose client had no final reply, with a copy.
    pub unanswered: u64,
    /// Messages with a copy that were refused, or never sent.
    pub unasked: u64,
}

impl Books {
    /// A run has ended.
    pub(super) fn enter(&mut self, report: &Report) {
        for number in &report.promised {
            self.messages.entry(message_id(report.run, *number).into_bytes()).or_default().0 = true;
        }
        self.promised += report.promised.len();
        self.in_doubt += report.in_doubt;
    }

    /// How many messages were answered 250 so far.
    pub(super) fn promised(&self) -> usize {
        self.promised
    }

    /// A mailbox holds messages with these header blocks.
    pub(super) fn find(&mut self, headers: &[u8]) {
        for line in headers.split(|octet| *octet == b'\n') {
            if let Some(id) = line.strip_prefix(FIELD) {
                self.messages.entry(id.trim_ascii_end().to_vec()).or_default().1 += 1;
            }
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let mut verdict = Verdict { promised: self.promised as u64, ..Verdict::default() };
        let mut unpromised = 0;
        for (is_promised, copies) in self.messages.values().copied() {
            verdict.honoured += u64::from(is_promised && copies == 1);
            verdict.lost += u64::from(is_promised && copies == 0);
            verdict.doubled += copies.saturating_sub(1);
            unpromised += u64::from(!is_promised);
        }
        verdict.unanswered = unpromised.min(self.in_doubt);
        verdict.unasked = unpromised - verdict.unanswered;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_promise_is_held_against_the_copies() {
        let mut books = Books::default();
        books.enter(&Report { json: Value::Null, run: 10, promised: vec![1, 2, 3], in_doubt: 1 });
        books.enter(&Report { json: Value::Null, run: 11, promised: vec![1], in_doubt: 0 });
        let mailbox: String = [(10, 1), (10, 1), (10, 2), (11, 1), (10, 8), (10, 9)]
            .map(|(run, number)| {
                format!("Received: by mx\r\nMessage-ID: {}\r\nSubject: load\r\n\r\n", message_id(run, number))
            })
            .concat();
        books.find(mailbox.as_bytes());
        let expected = Verdict { promised: 4, honoured: 2, lost: 1, doubled: 1, unanswered: 1, unasked: 1 };
        assert_eq!(books.verdict(), expected);
    }
}
