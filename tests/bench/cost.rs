//! What a daemon costs: time on a CPU, and memory of its own.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result, ensure};

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
            // A thread may have ended by now.
            let Ok(ran) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let ns = ran.split_whitespace().next().and_then(|ns| ns.parse().ok());
            let ns = ns.with_context(|| format!("schedstat of process {pid} is `{ran}`"))?;
            cost.ran.insert(thread.file_name().to_string_lossy().into_owned(), Duration::from_nanos(ns));
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            left.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
        let file = format!("/proc/{pid}/smaps_rollup");
        let memory = fs::read_to_string(&file).with_context(|| format!("failed to read `{file}`"))?;
        let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
        cost.memory_kib +=
            pss.and_then(|pss| pss.parse::<u32>().ok()).with_context(|| format!("no Pss in `{file}`"))?;
    }
    ensure!(!cost.ran.is_empty(), "no schedstat of the processes {pids:?}: has the kernel no CONFIG_SCHED_INFO?");
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
