//! What came of it, printed and judged.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What the memory may come to when all content has come, in terms of what it was after the first quarter.
const MOST_GROWTH: f64 = 1.25;
/// Octets.
const MEBIBYTE: f64 = (1 << 20) as f64;

/// All of it; memory is the server's resident set, in octets.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Messages that were under way at once.
    pub sessions: u64,
    /// Octets of each.
    pub octets: u64,
    /// Memory before the first session.
    pub idle: u64,
    /// Memory when all sessions had their `354`.
    pub begun: u64,
    /// Memory after each eighth of the content, with the time since the first session was opened.
    pub receiving: Vec<(Duration, u64)>,
    /// The most memory at any time.
    pub peak: u64,
    /// Memory when all was delivered.
    pub settled: u64,
    /// From the first session to the last answer.
    pub seconds: f64,
    /// How the messages were answered: by `250`, or by other replies as they came.
    pub answers: BTreeMap<String, u64>,
    /// Messages in the mailboxes whose signature was found good.
    pub verified: u64,
}

impl Figures {
    pub(super) fn of(sessions: u64, octets: u64) -> Self {
        Self { sessions, octets, ..Self::default() }
    }

    /// Messages that were answered `250`.
    pub fn accepted(&self) -> u64 {
        self.answers.get("250").copied().unwrap_or(0)
    }

    /// Memory after the first quarter of the content, after half and after all of it.
    fn memory(&self) -> [u64; 3] {
        [4, 2, 1].map(|part| {
            let at = (self.receiving.len() / part).checked_sub(1);
            at.and_then(|at| self.receiving.get(at)).map_or(0, |(_, octets)| *octets)
        })
    }

    /// What is not as it must be; nothing where all is well.
    pub fn faults(&self) -> Vec<String> {
        let ([quarter, _, end], accepted) = (self.memory(), self.accepted());
        let growth = end as f64 / quarter as f64;
        let mut faults = Vec::new();
        let mut check = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        // Not a number where nothing was seen.
        check(
            growth <= MOST_GROWTH,
            format!("memory grew {growth:.2} times since a quarter of the content; at most {MOST_GROWTH}"),
        );
        check(accepted == self.sessions, format!("{accepted} of {} messages were accepted", self.sessions));
        check(
            self.verified == self.sessions,
            format!("{} of {} were verified", self.verified, self.sessions),
        );
        faults
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |octets: u64| octets as f64 / MEBIBYTE;
        let Self { sessions, octets, idle, begun, peak, settled, seconds, verified, .. } = self;
        writeln!(
            f,
            "messages at once      {sessions} of {octets} octets, each with a signature: {:.0} MiB",
            mib(sessions * octets)
        )?;
        writeln!(f, "memory, idle          {:.0} MiB", mib(*idle))?;
        writeln!(f, "  all sessions at 354 {:.0} MiB", mib(*begun))?;
        let eighths = self.receiving.len();
        for (number, (after, octets)) in self.receiving.iter().enumerate() {
            let part = format!("{}/{eighths} of the content", number + 1);
            writeln!(f, "  {part:19} {:.0} MiB, after {:.1} s", mib(*octets), after.as_secs_f64())?;
        }
        let [quarter, _, end] = self.memory();
        writeln!(
            f,
            "  all of it           {:.2} times what it was after a quarter",
            end as f64 / quarter as f64
        )?;
        writeln!(f, "  at most             {:.0} MiB", mib(*peak))?;
        writeln!(f, "  all delivered       {:.0} MiB", mib(*settled))?;
        let each = peak.saturating_sub(*idle) / (*sessions).max(1);
        writeln!(
            f,
            "for each session      {:.0} KiB at most: {:.3} of a message",
            each as f64 / 1_024.0,
            each as f64 / *octets as f64
        )?;
        writeln!(f, "received in           {seconds:.1} s, {:.0} MiB/s", mib(sessions * octets) / seconds)?;
        let answers: Vec<String> =
            self.answers.iter().map(|(code, count)| format!("{count} by {code}")).collect();
        write!(f, "answered              {}; {verified} found good in the mailboxes", answers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let memory = [50, 100, 105, 110, 115, 120, 122, 125];
        let receiving = memory.map(|mib| (Duration::from_secs(1), mib << 20)).to_vec();
        Figures {
            receiving,
            idle: 10 << 20,
            peak: 130 << 20,
            answers: BTreeMap::from([("250".to_owned(), 10)]),
            verified: 10,
            ..Figures::of(10, 48 << 20)
        }
    }

    #[test]
    fn every_way_of_failing_is_a_fault_of_its_own() {
        assert_eq!(figures().faults(), [""; 0]);
        let spoilt: [fn(&mut Figures); 4] = [
            |figures| figures.receiving[7].1 = 126 << 20,
            |figures| figures.receiving.clear(),
            |figures| figures.answers = BTreeMap::from([("250".to_owned(), 9), ("451".to_owned(), 1)]),
            |figures| figures.verified = 9,
        ];
        for spoil in spoilt {
            let mut figures = figures();
            spoil(&mut figures);
            assert_eq!(figures.faults().len(), 1, "{:?}", figures.faults());
        }
    }

    #[test]
    fn what_a_session_takes_is_what_the_server_grew_by() {
        let shown = figures().to_string();
        for line in [
            "for each session      12288 KiB at most: 0.250 of a message",
            "  all of it           1.25 times what it was after a quarter",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        }
    }
}
