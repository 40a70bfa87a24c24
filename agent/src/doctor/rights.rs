//! Whether the agent may do what it has to: capabilities, and locked memory on older kernels.

use std::fs;

use nix::{
    sys::resource::{Resource, getrlimit},
    unistd::geteuid,
};

use super::{agent::Agent, kernel, kind::Kind, report::Report};
use crate::config::Config;

/// A capability, by its number in `linux/capability.h`.
#[derive(Clone, Copy)]
struct Capability(&'static str, u32);

const NET_ADMIN: Capability = Capability("CAP_NET_ADMIN", 12);
const NET_RAW: Capability = Capability("CAP_NET_RAW", 13);
const IPC_LOCK: Capability = Capability("CAP_IPC_LOCK", 14);
const SYS_ADMIN: Capability = Capability("CAP_SYS_ADMIN", 21);
const SYS_NICE: Capability = Capability("CAP_SYS_NICE", 23);
const SYS_RESOURCE: Capability = Capability("CAP_SYS_RESOURCE", 24);
const PERFMON: Capability = Capability("CAP_PERFMON", 38);
const BPF: Capability = Capability("CAP_BPF", 39);

/// Bytes of memory that the guard's maps take, generously.
const MEMLOCK_MIN: u64 = 64 * 1024 * 1024;

/// The effective capabilities of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held(u64);

impl Held {
    /// Those in the `status` of a process.
    fn parse(status: &str) -> Option<Self> {
        let text = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(text.trim(), 16).ok().map(Self)
    }

    const fn has(self, Capability(_, number): Capability) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// Looks at the rights of the running agent, else of this process.
pub(super) fn look(report: &mut Report, agent: &Agent, config: Option<&Config>) {
    let of_agent = agent.process();
    let whose = of_agent.map_or_else(|| "this process".to_owned(), |pid| format!("the agent (process {pid})"));
    let process = of_agent.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let mut area = report.area("rights");
    if of_agent.is_none() && !geteuid().is_root() {
        area.miss("what the agent may do: it does not run, and this command is not root's");
        return;
    }
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok();
    let Some(held) = status.and_then(|status| Held::parse(&status)) else {
        area.miss(format!("the capabilities of {whose}: /proc/{process}/status does not tell"));
        return;
    };
    let remedy = |Capability(name, _): Capability| {
        format!("grant {name} to the service: CapabilityBoundingSet= of its unit, or capabilities.add of its container")
    };
    let process = config.map(|config| config.process.clone()).unwrap_or_default();
    let needed = [
        (NET_ADMIN, true),
        (NET_RAW, true),
        (SYS_NICE, process.realtime_priority.is_some()),
        (IPC_LOCK, process.lock_memory),
    ];
    for (capability, _) in needed.into_iter().filter(|&(capability, is_needed)| is_needed && !held.has(capability)) {
        area.find(Kind::CapabilityMissing, format!("{whose} has no {}", capability.0), remedy(capability));
    }
    for capability in [BPF, PERFMON].into_iter().filter(|&it| !held.has(it) && !held.has(SYS_ADMIN)) {
        area.find(Kind::GuardCapabilityMissing, format!("{whose} has no {}", capability.0), remedy(capability));
    }
    let (release, version) = kernel::release();
    let limit = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(u64::MAX, |(soft, _)| soft);
    if version < (5, 11) && limit < MEMLOCK_MIN && !held.has(SYS_RESOURCE) {
        let what = format!("on Linux {release} RLIMIT_MEMLOCK is {limit} bytes, without CAP_SYS_RESOURCE to raise it");
        area.find(Kind::MemlockLow, what, "set LimitMEMLOCK=infinity in the unit");
    }
    area.conclude(format!("{whose} has the capabilities that vipd needs"));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux 6.1 writes for root, and for a container of Docker's defaults, which have NET_RAW and no NET_ADMIN.
    #[test]
    fn capabilities_are_read_by_number() {
        let of = |mask: &str| Held::parse(&format!("Name:\tvipd\nCapEff:\t{mask}\nCapBnd:\t0\n")).unwrap();
        let (root, docker) = (of("000001ffffffffff"), of("00000000a80425fb"));
        for capability in [NET_ADMIN, NET_RAW, IPC_LOCK, SYS_ADMIN, SYS_NICE, SYS_RESOURCE, PERFMON, BPF] {
            assert!(root.has(capability), "{}", capability.0);
        }
        assert!(docker.has(NET_RAW));
        assert!(!docker.has(NET_ADMIN) && !docker.has(BPF) && !docker.has(SYS_ADMIN));
        assert_eq!(Held::parse("Name:\tvipd\n"), None);
    }
}
