//! A log's live entries, packed: a million of them must fit into memory beside everything else that is kept of them.
//!
//! Rows (see `row`) lie one after the other in pages of some [`PAGE_OCTETS`], in the order of their keys. A page is never changed but
//! replaced, so that clones share them: a checkpoint is written from a clone while the log goes on, and costs no copy of the entries.
//! Whatever is asked for is decoded then.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::row::{self, Key, Row};
use super::{Attempt, Class, Entry};
use crate::model::{QueueId, UtcTime};

/// Octets of a page to which nothing is added any more. Every change copies one page.
const PAGE_OCTETS: usize = 4 << 10;

/// Entries by queue id. Cheap to clone. What is given out is a copy; changes are made by name.
#[derive(Clone, Default)]
pub struct Entries {
    /// Each under the key of its first row; none is empty. Row 0 of a message is there as long as any other.
    pages: BTreeMap<Key, Bytes>,
    count: usize,
}

impl Entries {
    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a message is not done with.
    pub fn contains(&self, id: QueueId) -> bool {
        self.row((id, 0)).is_some()
    }

    /// A message with all its recipients.
    pub fn get(&self, id: QueueId) -> Option<Entry> {
        let mut rows = self.rows_of(id);
        let mut entry = rows.next()?.entry(|_| true).ok()?;
        rows.for_each(|row| entry.recipients.extend(row.recipients(|_| true).unwrap_or_default()));
        Some(entry)
    }

    /// A message with those of these recipients that are not done with.
    pub fn part(&self, id: QueueId, numbers: &[u32]) -> Option<Entry> {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        let is_wanted = |to: u32| numbers.binary_search(&to).is_ok();
        let mut entry = self.row((id, 0))?.entry(is_wanted).ok()?;
        for numbers in numbers.chunk_by(|a, b| row::row_of(*a) == row::row_of(*b)) {
            let number = row::row_of(numbers[0]);
            if let Some(row) = self.row((id, number)).filter(|_| number > 0) {
                entry.recipients.extend(row.recipients(is_wanted).ok()?);
            }
        }
        Some(entry)
    }

    /// How many recipients of a message are not done with.
    pub fn recipients_left(&self, id: QueueId) -> usize {
        self.rows_of(id).map(|row| row.len().unwrap_or_default()).sum()
    }

    /// All of them, in the order of their queue ids.
    pub fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        let mut rows = self.rows().peekable();
        std::iter::from_fn(move || {
            let first = rows.next()?;
            let mut entry = first.entry(|_| true).ok()?;
            while let Some(row) = rows.next_if(|row| row.key.0 == first.key.0) {
                entry.recipients.extend(row.recipients(|_| true).ok()?);
            }
            Some(entry)
        })
    }

    /// Every recipient's message, number, class and due time: all that scheduling takes, decoded for no more than that.
    pub fn due(&self) -> impl Iterator<Item = (QueueId, u32, Class, UtcTime)> + '_ {
        self.rows().flat_map(|row| {
            let due = row.due().unwrap_or_default().into_iter();
            due.map(move |(to, class, at)| (row.key.0, to, class, at))
        })
    }

    /// Puts an entry in, in place of one of its name.
    pub fn insert(&mut self, entry: &Entry) {
        self.remove(entry.envelope.id);
        self.count += 1;
        row::rows(entry).iter().for_each(|(key, row)| self.write(*key, row));
    }

    /// Puts all entries of another log in.
    pub fn merge(&mut self, others: &Self) {
        if self.is_empty() {
            return self.clone_from(others);
        }
        for row in others.rows() {
            if row.key.1 == 0 {
                self.remove(row.key.0);
                self.count += 1;
            }
            self.write(row.key, row.octets);
        }
    }

    /// Notes how attempts ended. Recipients that are done with leave, and the entry with the last of them.
    pub fn attempted(&mut self, id: QueueId, outcomes: &[Attempt]) {
        let mut outcomes: Vec<&Attempt> = outcomes.iter().collect();
        outcomes.sort_by_key(|attempt| row::row_of(attempt.to));
        let mut is_emptied = false;
        for outcomes in outcomes.chunk_by(|a, b| row::row_of(a.to) == row::row_of(b.to)) {
            let number = row::row_of(outcomes[0].to);
            let Some(row) = self.row((id, number)) else { continue };
            let Ok((changed, is_left)) = row.attempted(outcomes) else { continue };
            if !is_left && number == 0 && self.rows_of(id).nth(1).is_none() {
                // Nearly all messages have one row.
                return self.remove(id);
            }
            is_emptied |= !is_left;
            // The envelope stays as long as there are other rows.
            self.write((id, number), if is_left || number == 0 { &changed } else { &[] });
        }
        if is_emptied && self.recipients_left(id) == 0 {
            self.remove(id);
        }
    }

    /// The pages, which together are what [`Entries::read`] reads.
    pub(super) fn pages(&self) -> impl Iterator<Item = &Bytes> {
        self.pages.values()
    }

    /// Reads what [`Entries::pages`] gave; nothing where it is not that, or not so many entries.
    pub(super) fn read(mut octets: &[u8], count: usize) -> Option<Self> {
        let mut entries = Self::default();
        let (mut last, mut page) = (None::<Key>, Vec::new());
        while !octets.is_empty() {
            let row = Row::take(&mut octets).ok()?;
            row.check().ok()?;
            let is_begun = last.is_some_and(|(id, _)| id == row.key.0);
            if last >= Some(row.key) || is_begun != (row.key.1 > 0) {
                return None;
            }
            last = Some(row.key);
            entries.count += usize::from(row.key.1 == 0);
            if page.len() + row.octets.len() > PAGE_OCTETS {
                entries.set(None, std::mem::take(&mut page));
            }
            page.extend_from_slice(row.octets);
        }
        entries.set(None, page);
        (entries.count == count).then_some(entries)
    }

    fn remove(&mut self, id: QueueId) {
        if !self.contains(id) {
            return;
        }
        let keys: Vec<Key> = self.rows_of(id).map(|row| row.key).collect();
        self.count -= 1;
        keys.into_iter().for_each(|key| self.write(key, &[]));
    }

    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.pages.values().flat_map(|page| rows(page))
    }

    fn row(&self, key: Key) -> Option<Row<'_>> {
        let (_, page) = self.pages.range(..=key).next_back()?;
        rows(page).find(|row| row.key >= key).filter(|row| row.key == key)
    }

    /// All rows of a message, in order.
    fn rows_of(&self, id: QueueId) -> impl Iterator<Item = Row<'_>> {
        let first = self.pages.range(..=(id, 0)).next_back().map(|(key, _)| *key);
        let pages = first.into_iter().flat_map(|first| self.pages.range(first..).map(|(_, page)| page));
        let rows = pages.flat_map(|page| rows(page));
        rows.skip_while(move |row| row.key.0 < id).take_while(move |row| row.key.0 == id)
    }

    /// Puts a row in, in place of one of its key; an empty one takes that away.
    fn write(&mut self, key: Key, row: &[u8]) {
        let home = self.pages.range(..=key).next_back().or_else(|| self.pages.first_key_value());
        let Some((&home, page)) = home else {
            self.set(None, row.to_vec());
            return;
        };
        let start: usize = rows(page).take_while(|row| row.key < key).map(|row| row.octets.len()).sum();
        let (before, after) = page.split_at(start);
        let old = rows(after).next().filter(|row| row.key == key);
        let after = &after[old.map_or(0, |row| row.octets.len())..];
        let whole = before.len() + row.len() + after.len();
        if whole <= PAGE_OCTETS || row.is_empty() {
            let page = [before, row, after].concat();
            let key = self.set(Some(home), page);
            if let Some(key) = key.filter(|_| row.is_empty() && whole < PAGE_OCTETS / 4) {
                self.join(key);
            }
        } else if before.len() == page.len() {
            // At the end, where nearly all new ones come: the page is full, and stays as it is.
            self.set(None, row.to_vec());
        } else {
            let halves = if before.len() > after.len() {
                [before.to_vec(), [row, after].concat()]
            } else {
                [[before, row].concat(), after.to_vec()]
            };
            let [left, right] = halves;
            self.set(Some(home), left);
            self.set(None, right);
        }
    }

    /// Puts a page in, in place of one; an empty one takes that away. Gives the key under which it is found.
    fn set(&mut self, home: Option<Key>, page: Vec<u8>) -> Option<Key> {
        let key = rows(&page).next().map(|row| row.key);
        if let Some(home) = home.filter(|home| Some(*home) != key) {
            self.pages.remove(&home);
        }
        let key = key?;
        // Not one octet more than there is.
        self.pages.insert(key, page.into_boxed_slice().into());
        Some(key)
    }

    /// Joins a page with the one before it or behind it, if both are small.
    fn join(&mut self, key: Key) {
        let before = self.pages.range(..key).next_back().map(|(first, _)| *first);
        for left in before.into_iter().chain([key]) {
            let mut pages = self.pages.range(left..);
            let (Some((_, page)), Some((&right, next))) = (pages.next(), pages.next()) else { continue };
            if page.len() + next.len() <= PAGE_OCTETS / 2 {
                let joined = [&page[..], next].concat();
                self.pages.remove(&right);
                self.set(Some(left), joined);
                return;
            }
        }
    }
}

/// The rows of a page, which are all good.
fn rows(mut page: &[u8]) -> impl Iterator<Item = Row<'_>> {
    std::iter::from_fn(move || Row::take(&mut page).ok())
}

impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.rows().eq(other.rows())
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut collected = Self::default();
        entries.into_iter().for_each(|entry| collected.insert(&entry));
        collected
    }
}
