//! What came of an overload: read from the generator's report, printed, and judged.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use fulmar_tests::Fallible;
use serde_json::Value;

use super::books::Verdict;
use crate::memory::Sample;

/// What must be left of the peak.
const LEAST_SHARE: f64 = 0.8;
/// What the memory may come to at the end, in terms of what it was after the first quarter.
const MOST_GROWTH: f64 = 1.25;
/// Replies to these tell a client no before its content.
const EARLY: [&str; 4] = ["connect", "EHLO", "MAIL", "RCPT"];
/// Octets.
const MEBIBYTE: f64 = (1 << 20) as f64;

/// All of it.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Messages a second that were accepted and delivered in closed loop.
    pub peak: f64,
    /// Messages a second that were offered then.
    pub rate: f64,
    /// What the generator saw.
    pub overloaded: Overloaded,
    /// The server's memory during the overload.
    pub memory: Vec<Sample>,
    /// Whether every promise was kept.
    pub verdict: Verdict,
}

/// An overload as the generator saw it.
#[derive(Clone, Debug, Default)]
pub struct Overloaded {
    /// How long messages became due.
    pub seconds: f64,
    /// Messages that became due.
    pub offered: u64,
    /// Messages that were accepted in each second, also after that.
    pub accepted: Vec<u64>,
    /// Messages that were refused, by what the reply with its code was to.
    pub refused: BTreeMap<String, u64>,
    /// Messages that came to nothing otherwise, by where and how.
    pub failed: BTreeMap<String, u64>,
    /// From when a message was due to its 250, half of them and 99 of 100.
    pub latency: [Duration; 2],
}

impl Overloaded {
    /// From what `load` prints.
    pub(super) fn read(json: &Value, seconds: f64) -> Fallible<Self> {
        let missing = |what: &str| format!("no {what} in {json}");
        let counts = |what: &str| -> Fallible<BTreeMap<String, u64>> {
            let counts = json[what].as_object().ok_or_else(|| missing(what))?;
            Ok(counts.iter().filter_map(|(key, count)| Some((key.clone(), count.as_u64()?))).collect())
        };
        let latency = |quantile: &str| -> Fallible<Duration> {
            let micros = json["latency_us"]["transaction"][quantile].as_u64();
            Ok(Duration::from_micros(micros.ok_or_else(|| missing(quantile))?))
        };
        let accepted = json["accepted_in_each_second"].as_array().ok_or_else(|| missing("accepted"))?;
        Ok(Self {
            seconds,
            offered: json["sent"].as_u64().ok_or_else(|| missing("sent"))?,
            accepted: accepted.iter().filter_map(Value::as_u64).collect(),
            refused: counts("refused")?,
            failed: counts("failures")?,
            latency: [latency("p50")?, latency("p99")?],
        })
    }

    /// Messages a second that were accepted while messages became due.
    pub fn rate(&self) -> f64 {
        self.accepted.iter().take(self.seconds as usize).sum::<u64>() as f64 / self.seconds.floor()
    }

    /// Refusals before the content and after it.
    pub fn refusals(&self) -> [u64; 2] {
        let is_early = |key: &str| EARLY.iter().any(|command| key.starts_with(command));
        let sum = |early| self.refused.iter().filter(|(key, _)| is_early(key) == early).map(|(_, n)| n).sum();
        [sum(true), sum(false)]
    }
}

impl Figures {
    /// Memory at the beginning, after the first quarter, at half time and at the end, in octets.
    pub fn memory(&self) -> [u64; 4] {
        let last = self.memory.len().saturating_sub(1);
        [0, last.div_ceil(4), last / 2, last].map(|at| self.memory.get(at).map_or(0, |sample| sample.octets))
    }

    /// What is not as it must be; nothing where all is well.
    pub fn faults(&self) -> Vec<String> {
        let Self { peak, overloaded, verdict, .. } = self;
        let ([_, quarter, _, end], [early, _]) = (self.memory(), overloaded.refusals());
        let mut faults = Vec::new();
        let mut check = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        let share = overloaded.rate() / peak;
        check(
            share >= LEAST_SHARE,
            format!("the rate fell to {share:.2} of the peak; at least {LEAST_SHARE}"),
        );
        let growth = end as f64 / quarter as f64;
        check(growth <= MOST_GROWTH, format!("the memory grew {growth:.2} times; at most {MOST_GROWTH}"));
        check(verdict.lost == 0, format!("{} messages that were answered 250 are lost", verdict.lost));
        check(verdict.doubled == 0, format!("{} copies too many", verdict.doubled));
        check(verdict.unasked == 0, format!("{} messages were refused and stored", verdict.unasked));
        check(early > 0, "nothing was refused early: it was no overload".to_owned());
        faults
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peak, rate, overloaded, verdict, .. } = self;
        let Overloaded { seconds, offered, accepted, refused, failed, latency: [p50, p99] } = overloaded;
        writeln!(f, "peak, accepted and delivered   {peak:.0} messages/s")?;
        writeln!(
            f,
            "offered                        {rate:.0} messages/s for {seconds} s, {offered} messages"
        )?;
        writeln!(
            f,
            "accepted under overload        {:.0} messages/s, {:.2} of the peak",
            overloaded.rate(),
            overloaded.rate() / peak
        )?;
        let windows: Vec<String> = accepted.iter().map(u64::to_string).collect();
        writeln!(f, "  in each second               {}", windows.join(" "))?;
        let share = |count: u64| count as f64 / *offered as f64 * 100.0;
        let [early, late] = overloaded.refusals();
        writeln!(f, "refused before the content     {early}, {:.1} %", share(early))?;
        writeln!(f, "refused after it               {late}, {:.1} %", share(late))?;
        for (what, count) in refused {
            writeln!(f, "  {what:<28} {count}, {:.1} %", share(*count))?;
        }
        for (what, count) in failed {
            writeln!(f, "no reply: {what:<20} {count}, {:.1} %", share(*count))?;
        }
        writeln!(f, "from due to 250                p50 {p50:.0?}, p99 {p99:.0?}")?;
        let [start, quarter, middle, end] = self.memory().map(|octets| octets as f64 / MEBIBYTE);
        writeln!(
            f,
            "memory                         {start:.0} MiB at first, {quarter:.0} after a quarter, {middle:.0} at half time, \
             {end:.0} at the end: {:.2} times what it was after a quarter",
            end / quarter
        )?;
        let Verdict { promised, honoured, lost, doubled, unanswered, unasked } = verdict;
        write!(
            f,
            "answered 250                   {promised}: {honoured} stored once, {lost} lost, {doubled} doubled; besides {unanswered} \
             without a reply and {unasked} unasked"
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overloaded() -> Overloaded {
        let json = json!({
            "sent": 3_000,
            "accepted_in_each_second": [800, 850, 900, 40],
            "refused": {"connect 421": 100, "MAIL 452": 290, "content 451": 10},
            "failures": {"waiting timeout": 10},
            "latency_us": {"transaction": {"p50": 1_000, "p99": 2_000}},
        });
        Overloaded::read(&json, 3.0).unwrap()
    }

    fn figures(memory: &[u64]) -> Figures {
        let sample = |octets: &u64| Sample { after: Duration::ZERO, octets: *octets };
        Figures {
            peak: 1_000.0,
            rate: 1_500.0,
            overloaded: overloaded(),
            memory: memory.iter().map(sample).collect(),
            verdict: Verdict { promised: 2_590, honoured: 2_590, ..Verdict::default() },
        }
    }

    #[test]
    fn what_is_accepted_after_the_end_does_not_count_and_refusals_count_as_early_or_late() {
        assert_eq!(overloaded().rate(), 850.0);
        assert_eq!(overloaded().refusals(), [390, 10]);
        assert!(figures(&[1; 5]).to_string().contains("MAIL 452"));
    }

    #[test]
    fn every_way_of_failing_is_a_fault_of_its_own() {
        let well = figures(&[10, 100, 110, 120, 125]);
        assert_eq!(well.faults(), [""; 0]);
        let spoilt: [fn(&mut Figures); 6] = [
            |figures| figures.peak = 1_100.0,
            |figures| figures.memory = figures_memory(&[10, 100, 110, 120, 126]),
            |figures| figures.verdict.lost = 1,
            |figures| figures.verdict.doubled = 1,
            |figures| figures.verdict.unasked = 1,
            |figures| figures.overloaded.refused.retain(|key, _| key.starts_with("content")),
        ];
        for spoil in spoilt {
            let mut figures = well.clone();
            spoil(&mut figures);
            assert_eq!(figures.faults().len(), 1, "{:?}", figures.faults());
        }
    }

    fn figures_memory(octets: &[u64]) -> Vec<Sample> {
        figures(octets).memory
    }
}
