//! How the election thread competes for the host, and how late it was.

use std::time::Duration;

use hdrhistogram::Histogram;
use nix::{
    errno::Errno,
    libc,
    sched::{CpuSet, sched_setaffinity},
    sys::mman::{MlockAllFlags, mlockall},
    unistd::Pid,
};
use tracing::{info, warn};

use crate::{
    config::Process,
    observe::{Distribution, LatenessStatus, microseconds},
};

/// Has the calling thread compete as configured. What the host does not permit is reported, and left.
pub fn prefer_this_thread(process: &Process) {
    let mut missing = Vec::new();
    if let Some(priority) = process.realtime_priority
        && let Err(error) = schedule(priority)
    {
        missing.push(format!("realtime_priority = {priority} ({error}; it needs CAP_SYS_NICE)"));
    }
    if process.lock_memory
        && let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)
    {
        missing.push(format!("lock_memory = true ({error}; it needs CAP_IPC_LOCK)"));
    }
    if !process.cpus.is_empty()
        && let Err(error) = bind(&process.cpus)
    {
        missing.push(format!("cpus = {:?} ({error}; `lscpu` shows which there are)", process.cpus));
    }
    if !missing.is_empty() {
        warn!("the election thread competes like any other, for want of {}", missing.join(", "));
    } else if *process != Process::default() {
        info!(?process, "the election thread competes as configured");
    }
}

fn schedule(priority: u8) -> nix::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority.into() };
    // Programs that this thread starts, if any, are ordinary ones.
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and `parameters` outlives the call.
    Errno::result(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) }).map(drop)
}

fn bind(cpus: &[u16]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|&cpu| set.set(cpu.into()))?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// How late regular adverts were sent, against the moment when Adver_Timer should have fired.
#[derive(Debug)]
pub struct Lateness {
    /// Of this program.
    quantiles: Histogram<u64>,
    /// Of those before it in this process too.
    distribution: Distribution,
}

impl Lateness {
    /// None of this program yet, after what the one before has left: microseconds to two digits, a minute at most.
    pub fn new(before: Option<Distribution>) -> anyhow::Result<Self> {
        let distribution = before.unwrap_or_else(Distribution::of_lateness);
        Ok(Self { quantiles: Histogram::new_with_bounds(1, 60_000_000, 2)?, distribution })
    }

    /// Notes an advert that was sent so much later than it should have been.
    pub fn note(&mut self, lateness: Duration) {
        self.quantiles.saturating_record(microseconds(lateness));
        self.distribution.note(lateness);
    }

    /// All of them.
    #[must_use]
    pub const fn distribution(&self) -> &Distribution {
        &self.distribution
    }

    /// What people see of it.
    #[must_use]
    pub fn status(&self) -> LatenessStatus {
        LatenessStatus {
            adverts: self.quantiles.len(),
            p50_us: self.quantiles.value_at_quantile(0.5),
            p99_us: self.quantiles.value_at_quantile(0.99),
            max_us: self.quantiles.max(),
            distribution: self.distribution.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_told() {
        let mut lateness = Lateness::new(None).unwrap();
        for microseconds in (1..=99).chain([5_000]) {
            lateness.note(Duration::from_micros(microseconds));
        }
        let found = lateness.status();
        assert_eq!((found.distribution.count(), found.distribution.sum_us), (100, 9_950));
        let distribution = found.distribution.clone();
        let expected = LatenessStatus { adverts: 100, p50_us: 50, p99_us: 99, max_us: 5_000, distribution };
        // To two digits.
        assert!((5_000..5_050).contains(&found.max_us), "{found:?}");
        assert_eq!(LatenessStatus { max_us: 5_000, ..found }, expected);
    }
}
