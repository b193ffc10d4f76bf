//! A process's memory over time.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fulmar_tests::Fallible;

/// Between two samples.
const PAUSE: Duration = Duration::from_millis(500);

/// What a process had in memory at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Since the first look.
    pub after: Duration,
    /// The resident set, in octets.
    pub octets: u64,
}

/// Looks at a process again and again, from a thread of its own.
pub(crate) struct Sampler {
    stop: Sender<()>,
    samples: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// The first look is now.
    pub(crate) fn start(pid: u32) -> Self {
        let (stop, stopped) = channel();
        let samples = thread::spawn(move || {
            let (began, mut samples) = (Instant::now(), Vec::new());
            loop {
                if let Some(octets) = resident(pid) {
                    samples.push(Sample { after: began.elapsed(), octets });
                }
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return samples;
                }
            }
        });
        Self { stop, samples }
    }

    /// What was seen, up to this long after the first look.
    pub(crate) fn stop(self, until: Duration) -> Fallible<Vec<Sample>> {
        drop(self.stop);
        let mut samples = self.samples.join().map_err(|_| "the sampler panicked")?;
        samples.retain(|sample| sample.after <= until);
        Ok(samples)
    }
}

/// What a process has in memory that is there, in octets.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kibibytes.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_at_once_and_not_after_the_end() {
        let samples = Sampler::start(std::process::id()).stop(Duration::MAX).unwrap();
        assert!(samples.first().is_some_and(|sample| sample.octets > 0), "{samples:?}");
        assert_eq!(Sampler::start(std::process::id()).stop(Duration::ZERO).unwrap(), []);
    }
}
