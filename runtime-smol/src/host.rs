//! Which process this is, and whether another one is gone (Linux, `/proc`).

use std::fs;
use std::io;
use std::sync::Arc;

use fulmar_core::platform::{Host, ProcessIdentity};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// This process. Where `/proc` is missing, or is that of another PID namespace, nothing is known and no process is ever
/// taken for gone.
///
/// A process is gone when it ran in this boot and this PID namespace, and its number belongs to nobody or to a process that
/// started at another time. One of an earlier boot cannot be told from one on another machine, so it is not gone.
pub fn host() -> Host {
    let Ok(process) = this_process() else { return Host::unknown() };
    let this = process.clone();
    Host { process, is_gone: Arc::new(move |other| is_gone(&this, other)) }
}

fn this_process() -> io::Result<ProcessIdentity> {
    let pid = std::process::id();
    if fs::read_link("/proc/self")?.to_str() != Some(&pid.to_string()) {
        return Err(io::Error::other("/proc is that of another PID namespace"));
    }
    Ok(ProcessIdentity {
        boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned(),
        pid_namespace: fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned(),
        pid,
        started: stat(pid)?.started,
    })
}

fn is_gone(this: &ProcessIdentity, other: &ProcessIdentity) -> bool {
    if this.boot != other.boot || this.pid_namespace != other.pid_namespace {
        return false;
    }
    let Some(pid) = i32::try_from(other.pid).ok().and_then(Pid::from_raw) else { return false };
    // `/proc` may hide the processes of other users, so that absence there proves nothing.
    match test_kill_process(pid) {
        Err(Errno::SRCH) => true,
        _ => stat(other.pid)
            .is_ok_and(|stat| stat.started != other.started || (stat.is_zombie && is_alone(other.pid))),
    }
}

/// Whether a process has no thread but its first. One whose first thread has ended may have others that still run.
fn is_alone(pid: u32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() <= 1)
}

/// What `/proc/<pid>/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// When it started, in ticks since boot.
    started: u64,
    /// Whether it has ended and its parent has not asked how.
    is_zombie: bool,
}

fn stat(pid: u32) -> io::Result<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Fields 3 and 22 of `/proc/<pid>/stat` (proc_pid_stat(5)). Field 2 is the program's name in parentheses, which may itself
/// hold blanks and parentheses.
fn parse_stat(stat: &str) -> Option<Stat> {
    const START_TIME_AFTER_STATE: usize = 22 - 3 - 1;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    Some(Stat { started: fields.nth(START_TIME_AFTER_STATE)?.parse().ok()?, is_zombie })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_program_name() {
        let fields: Vec<_> = (4..=52).map(|field| field.to_string()).collect();
        for name in ["fulmar", "a b", "x) R (", ")"] {
            let stat = format!("17 ({name}) S {}\n", fields.join(" "));
            assert_eq!(parse_stat(&stat), Some(Stat { started: 22, is_zombie: false }), "{name}");
        }
        assert_eq!(parse_stat("17 (short) S 4 5"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn a_process_is_gone_once_it_has_ended_and_was_not_before() {
        let host = host();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let other = ProcessIdentity { pid, started: stat(pid).unwrap().started, ..host.process.clone() };
        assert!(!(host.is_gone)(&other));
        child.kill().unwrap();
        // It is a zombie until it is waited for, and gone all the same.
        while !stat(pid).unwrap().is_zombie {
            std::thread::yield_now();
        }
        assert!((host.is_gone)(&other));
        child.wait().unwrap();
        assert!((host.is_gone)(&other));
    }

    #[test]
    fn a_reused_number_is_told_by_its_start_and_what_ran_elsewhere_is_left_alone() {
        let host = host();
        let this = &host.process;
        for (other, expected) in [
            (this.clone(), false),
            (ProcessIdentity { started: this.started + 1, ..this.clone() }, true),
            (ProcessIdentity { started: 0, boot: "another".into(), ..this.clone() }, false),
            (ProcessIdentity { started: 0, pid_namespace: "pid:[1]".into(), ..this.clone() }, false),
            (ProcessIdentity { pid: 0, ..this.clone() }, false),
            (ProcessIdentity::default(), false),
        ] {
            assert_eq!((host.is_gone)(&other), expected, "{other:?}");
        }
    }
}
