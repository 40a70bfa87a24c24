//! What a daemon costs: time on a CPU, and memory of its own.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result};

/// What the processes of a daemon have used so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cost {
    /// Time on a CPU, by thread.
    ran: BTreeMap<String, Duration>,
    /// Proportional set size: what several share counts once.
    pub(crate) memory_kib: u32,
}

impl Cost {
    /// Time on a CPU since `earlier`, of the threads that are still there.
    pub(crate) fn cpu_since(&self, earlier: &Self) -> Duration {
        let before = |thread| earlier.ran.get(thread).copied().unwrap_or_default();
        self.ran.iter().map(|(thread, ran)| ran.saturating_sub(before(thread))).sum()
    }
}

/// The sum over `pids` and all that they have started.
pub(crate) fn of(pids: &[i32]) -> Result<Cost> {
    let mut cost = Cost::default();
    let mut left = pids.to_vec();
    while let Some(pid) = left.pop() {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("no process {pid}"))?;
        for thread in threads.flatten() {
            let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            let ns = read("schedstat").split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
            cost.ran.insert(thread.file_name().to_string_lossy().into_owned(), Duration::from_nanos(ns));
            left.extend(read("children").split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
        cost.memory_kib += pss.and_then(|pss| pss.parse::<u32>().ok()).unwrap_or(0);
    }
    Ok(cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_costs_something() {
        let this = [nix::unistd::getpid().as_raw()];
        let before = of(&this).unwrap();
        assert!(before.memory_kib > 100, "{before:?}");
        let mut after = of(&this).unwrap();
        while after.cpu_since(&before) < Duration::from_millis(1) {
            after = of(&this).unwrap();
        }
        assert!(of(&[i32::MAX]).is_err());
    }
}
