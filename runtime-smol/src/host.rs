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
        started: start_time(pid)?,
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
        _ => start_time(other.pid).is_ok_and(|started| started != other.started),
    }
}

/// When a process started, in ticks since boot.
fn start_time(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Field 22 of `/proc/<pid>/stat` (proc_pid_stat(5)). Field 2 is the program's name in parentheses, which may itself hold
/// blanks and parentheses.
fn parse_start_time(stat: &str) -> Option<u64> {
    const START_TIME: usize = 22;
    const FIRST_AFTER_NAME: usize = 3;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(START_TIME - FIRST_AFTER_NAME)?.parse().ok()
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
            assert_eq!(parse_start_time(&stat), Some(22), "{name}");
        }
        assert_eq!(parse_start_time("17 (short) S 4 5"), None);
        assert_eq!(parse_start_time(""), None);
    }

    #[test]
    fn a_process_is_gone_once_it_has_ended_and_was_not_before() {
        let host = host();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let other = ProcessIdentity { pid, started: start_time(pid).unwrap(), ..host.process.clone() };
        assert!(!(host.is_gone)(&other));
        child.kill().unwrap();
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
