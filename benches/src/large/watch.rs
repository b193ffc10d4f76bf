//! What ends a run that would take too long, or fill the disk.

use std::env::temp_dir;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fulmar_tests::Fallible;
use rustix::fs::statvfs;
use rustix::process::{Pid, Signal, kill_process};

/// Octets that stay free on the disk.
const LEAST_FREE: u64 = 8_000_000_000;

/// An error where so many octets more would leave too little free where temporary files are.
pub(super) fn check_disk(octets: u64) -> Fallible<()> {
    let disk = statvfs(temp_dir())?;
    let free = disk.f_bavail * disk.f_frsize;
    match free.checked_sub(octets) {
        Some(left) if left >= LEAST_FREE => Ok(()),
        _ => Err(format!("{free} octets are free, and {octets} are needed beside {LEAST_FREE}").into()),
    }
}

/// Kills the server when its time is over: whatever waits for it then fails.
pub(super) struct Limit {
    stop: Sender<()>,
    thread: JoinHandle<bool>,
}

impl Limit {
    /// For the process of this id, which nobody waits for before [`Self::stop`].
    pub(super) fn start(pid: u32, after: Duration) -> Self {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let in_time = stopped.recv_timeout(after) != Err(RecvTimeoutError::Timeout);
            if !in_time && let Some(pid) = Pid::from_raw(pid as i32) {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
            in_time
        });
        Self { stop, thread }
    }

    /// Whether that was in time.
    pub(super) fn stop(self) -> bool {
        drop(self.stop);
        self.thread.join().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_any_disk_has_is_refused() {
        assert!(check_disk(u64::MAX).is_err());
    }

    #[test]
    fn a_process_is_killed_only_when_its_time_is_over() {
        for (after, is_killed) in [(Duration::ZERO, true), (Duration::from_secs(3_600), false)] {
            let mut child = std::process::Command::new("sleep").arg("3600").spawn().unwrap();
            let limit = Limit::start(child.id(), after);
            if is_killed {
                assert!(!child.wait().unwrap().success());
            }
            assert_eq!(limit.stop(), !is_killed);
            assert_eq!(child.try_wait().unwrap().is_none(), !is_killed);
            // The other one has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
