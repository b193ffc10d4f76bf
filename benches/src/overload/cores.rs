//! Who runs on which core.

use std::fs;
use std::io;

use rustix::thread::{CpuSet, Pid, sched_setaffinity};

/// This thread, and whatever it starts from now on.
pub(super) fn pin_this_thread(core: usize) -> io::Result<()> {
    pin(None, core)
}

/// All threads of this process; not its children.
pub(super) fn pin_this_process(core: usize) -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/task")? {
        let thread = entry?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        match thread.map_or(Ok(()), |thread| pin(Some(thread), core)) {
            // It has ended since it was listed.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
            pinned => pinned?,
        }
    }
    Ok(())
}

fn pin(thread: Option<Pid>, core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no core {core}")));
    }
    cores.set(core);
    Ok(sched_setaffinity(thread, &cores)?)
}
