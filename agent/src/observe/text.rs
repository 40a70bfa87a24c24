//! `vipd status` for people.

use std::fmt::{self, Write as _};

use super::{
    AuthenticationStatus, Explanation, FenceStatus, GroupStatus, InterfaceStatus, LatenessStatus, RouterStatus,
    Snapshot, TargetStatus,
};

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "cluster {}, node {}, vipd {} (pid {}, {}), guard {}",
            self.cluster,
            self.node,
            self.version,
            self.pid,
            self.supervisor.map_or_else(|| "no supervisor".to_owned(), |pid| format!("supervisor {pid}")),
            self.guard
        )?;
        if self.drained {
            writeln!(f, "DRAINED: this node serves only where nobody else does; `vipd undrain` ends that")?;
        }
        if let Some(authentication) = &self.authentication {
            write_authentication(f, authentication)?;
        }
        let LatenessStatus { adverts, p50_us, p99_us, max_us, .. } = &self.send_lateness;
        if *adverts > 0 {
            writeln!(
                f,
                "{adverts} adverts sent late by {p50_us} µs (half of them), {p99_us} µs (99%), {max_us} µs (all)"
            )?;
        }
        for interface in &self.interfaces {
            write_interface(f, interface)?;
        }
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        for hetzner in &self.hetzner {
            writeln!(f, "{hetzner}")?;
        }
        for alarm in &self.alarms {
            let of = alarm.router.as_ref().map_or_else(String::new, |router| format!(" {router}"));
            writeln!(f, "ALARM {}{of}: {}", alarm.kind, alarm.what)?;
        }
        for target in &self.notifications {
            write_target(f, target)?;
        }
        if self.events_lost > 0 {
            writeln!(f, "{} events came too fast and were told to nobody", self.events_lost)?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<16} {:>4} {:<6} {:<10} {:>8}  {:<8} WHY",
            "VIRTUAL ROUTER", "VRID", "FAMILY", "STATE", "PRIORITY", "SINCE"
        )?;
        for router in &self.virtual_routers {
            write_router(f, router)?;
        }
        for GroupStatus { name, state, since_ms, members, .. } in self.groups.iter().filter(|group| group.is_listed) {
            writeln!(f, "group {name}: {state} for {}; {}", span(*since_ms), members.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is in {}", self.router, self.state)?;
        for because in &self.because {
            writeln!(f, "  because {because}")?;
        }
        for until in &self.until {
            writeln!(f, "  until   {until}")?;
        }
        Ok(())
    }
}

fn write_authentication(f: &mut fmt::Formatter<'_>, authentication: &AuthenticationStatus) -> fmt::Result {
    let keys: Vec<_> = authentication.keys.iter().map(u8::to_string).collect();
    write!(f, "authentication {}: keys {}", authentication.mode, keys.join(", "))?;
    if let Some(active) = authentication.active_key {
        write!(f, ", signing with {active}")?;
    }
    writeln!(f, ", clock {}", if authentication.clock_synchronised { "synchronised" } else { "not synchronised" })
}

fn write_interface(f: &mut fmt::Formatter<'_>, interface: &InterfaceStatus) -> fmt::Result {
    let link = if interface.up { "up" } else { "down" };
    write!(f, "interface {}: {link}, adverts judged by {}", interface.name, judge(&interface.attach))?;
    match &interface.attach_reason {
        Some(reason) => writeln!(f, " ({reason})"),
        None => writeln!(f),
    }
}

fn write_target(f: &mut fmt::Formatter<'_>, target: &TargetStatus) -> fmt::Result {
    let TargetStatus { name, kind, delivered, failed, waiting, last_error } = target;
    write!(f, "notify {name} by {kind}: {delivered} told, {waiting} waiting, {failed} given up")?;
    match last_error {
        Some(error) => writeln!(f, "; last error: {error}"),
        None => writeln!(f),
    }
}

fn judge(attach: &str) -> &str {
    match attach {
        "native" => "XDP in the driver",
        "generic" => "generic XDP",
        "tcx" => "a tcx program",
        "clsact" => "a clsact classifier",
        _ => "the agent on a packet socket",
    }
}

fn write_router(f: &mut fmt::Formatter<'_>, router: &RouterStatus) -> fmt::Result {
    writeln!(
        f,
        "{:<16} {:>4} {:<6} {:<10} {:>8}  {:<8} {}",
        router.name,
        router.vrid,
        router.family,
        router.state,
        router.priority,
        span(router.since_ms),
        router.reason.as_deref().unwrap_or_default()
    )?;
    let mut details = router.addresses.join(", ");
    match router.own_address {
        Some(source) => write!(details, "; adverts from {source}")?,
        None => write!(details, "; no address to advertise from yet")?,
    }
    if let (Some(from), Some(ms)) = (router.last_advert_from, router.last_advert_ms) {
        let priority = router.last_advert_priority.unwrap_or_default();
        write!(details, "; last heard {from} (priority {priority}) {} ago", span(ms))?;
    }
    if let Some(ms) = router.takeover_confirmed_ms {
        write!(details, "; takeover confirmed after {}", span(ms))?;
    }
    if let Some(dropped) = router.counters.get("dropped").or_else(|| router.counters.get("would_drop")) {
        write!(details, "; {dropped} bad adverts")?;
    }
    write!(details, "; {}", fence(router))?;
    if router.priority != router.configured_priority {
        write!(details, "; priority {} configured", router.configured_priority)?;
    }
    if !router.checks.is_empty() {
        let checks: Vec<_> = router.checks.iter().map(ToString::to_string).collect();
        write!(details, "; checks: {}", checks.join(", "))?;
    }
    writeln!(f, "    {details}")
}

fn fence(router: &RouterStatus) -> String {
    let stopped = |name| router.counters.get(name).copied().unwrap_or(0);
    match router.fence {
        FenceStatus::Off => "no fence".to_owned(),
        FenceStatus::Absent => "no fence, since no guard is in the kernel".to_owned(),
        FenceStatus::Observing => "fence only observing".to_owned(),
        FenceStatus::Ready { closings: 0 } => "fence ready".to_owned(),
        FenceStatus::Ready { closings } => format!(
            "fence closed {closings} times, {} ARP or ND and {} other frames stopped",
            stopped("fenced_neighbor"),
            stopped("fenced_traffic")
        ),
    }
}

/// A span in the unit that reads best.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000.. => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_read_well() {
        let cases = [(0, "0 ms"), (999, "999 ms"), (1_999, "1.9 s"), (119_999, "119.9 s"), (120_000, "2 min")];
        for (ms, text) in cases {
            assert_eq!(span(ms), text);
        }
        assert_eq!(span(7_200_000), "2 h");
    }
}
