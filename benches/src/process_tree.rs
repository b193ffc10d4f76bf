//! What a server's processes have taken, all of them together.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use fulmar_tests::Fallible;

/// Linux counts processor time for user space in hundredths of a second, whatever the kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

/// A process and everything below it.
#[derive(Clone, Copy, Debug)]
pub struct ProcessTree {
    /// Its process id.
    pub root: u32,
}

/// What `/proc/PID/stat` tells.
struct Stat {
    parent: u32,
    /// Own time, and that of children which have ended and were waited for.
    ticks: u32,
}

impl ProcessTree {
    /// Processor time so far, that of ended children included.
    pub fn cpu_time(self) -> Fallible<Duration> {
        Ok(self.members()?.values().map(|stat| TICK * stat.ticks).sum())
    }

    /// Octets of memory: what is shared counts for each process in proportion (PSS).
    pub fn memory(self) -> Fallible<u64> {
        let pss = |pid: &u32| {
            // A process may have ended since it was listed.
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let kibibytes = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            kibibytes.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
        };
        Ok(self.members()?.keys().map(pss).sum())
    }

    fn members(self) -> Fallible<BTreeMap<u32, Stat>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            if let Some(stat) =
                fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|text| read_stat(&text))
            {
                all.insert(pid, stat);
            }
        }
        let is_below = |pid: u32| {
            let mut ancestors = std::iter::successors(Some(pid), |pid| Some(all.get(pid)?.parent));
            ancestors.any(|ancestor| ancestor == self.root)
        };
        let members: Vec<u32> = all.keys().copied().filter(|pid| is_below(*pid)).collect();
        if members.is_empty() {
            return Err(format!("process {} has ended", self.root).into());
        }
        Ok(members.into_iter().filter_map(|pid| all.remove_entry(&pid)).collect())
    }
}

/// Fields 4 and 14 to 17 (proc(5)); the name in field 2 may hold anything, blanks and brackets too.
fn read_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    let ticks = (14..=17).map(field).sum::<Option<u32>>()?;
    Some(Stat { parent: field(4)?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_that_holds_anything() {
        let stat = read_stat("7 (a) b) S 3 7 7 0 -1 0 1 2 3 4 10 20 30 40 20 0 1").unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 100));
    }

    #[test]
    fn this_process_is_in_its_own_tree_and_takes_memory() {
        let tree = ProcessTree { root: std::process::id() };
        assert!(tree.members().unwrap().contains_key(&std::process::id()));
        assert!(tree.memory().unwrap() > 0);
    }
}
