//! What is kept of a run: always a sum, and lines that can be read where they were asked for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// What happened in a run. Two runs of one seed have equal traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// What the doors noted, each line with its time. Empty but in [`super::run_traced`].
    pub lines: Vec<String>,
    /// A sum of every step of every job and of every fact that was noted, in order. The same with lines and without.
    pub hash: u64,
    /// Steps of all jobs.
    pub steps: u64,
}

/// A trace that is being taken.
pub(super) struct Recorder {
    sum: Sum,
    steps: u64,
    /// None where nobody will read them.
    lines: Option<Vec<String>>,
}

impl Recorder {
    pub(super) fn new(is_traced: bool) -> Self {
        Self { sum: Sum::default(), steps: 0, lines: is_traced.then(Vec::new) }
    }

    pub(super) fn is_traced(&self) -> bool {
        self.lines.is_some()
    }

    pub(super) fn step(&mut self, now: Duration, job: u64) {
        self.steps += 1;
        self.sum.mix(now.as_nanos() as u64);
        self.sum.mix(job);
    }

    /// Adds a fact to the sum.
    pub(super) fn add(&mut self, fact: impl Hash) {
        fact.hash(&mut self.sum);
    }

    /// Adds what a fact is called to the sum, letter by letter.
    pub(super) fn spell(&mut self, what: impl fmt::Display) {
        // It takes everything.
        let _ = fmt::write(&mut self.sum, format_args!("{what}"));
    }

    pub(super) fn tell(&mut self, now: Duration, what: impl fmt::Display) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{now:?} {what}"));
        }
    }

    pub(super) fn last_lines(&self, count: usize) -> &[String] {
        let lines = self.lines.as_deref().unwrap_or_default();
        &lines[lines.len().saturating_sub(count)..]
    }

    pub(super) fn end(&mut self) -> Trace {
        let lines = self.lines.take().unwrap_or_default();
        Trace { lines, hash: self.sum.finish(), steps: self.steps }
    }
}

/// A sum that is the same in every build: what std's hashers do may change with its version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Sum {
    fn mix(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

impl Hasher for Sum {
    fn write(&mut self, octets: &[u8]) {
        let (words, rest) = octets.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        let rest = rest.iter().fold(rest.len() as u64, |word, octet| (word << 8) | u64::from(*octet));
        self.mix(rest);
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Write for Sum {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
