//! Metrics of the node.

use std::fs;

use super::{About::Node, Family, Kind, Sample, Value, labelled, one, states, truth};
use crate::observe::{AlarmKind, Snapshot};

/// `USER_HZ`, a constant of the kernel's interface.
const TICKS: u64 = 100;

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "vipd_build_info",
        kind: Kind::Info,
        help: "The version of the agent.",
        labels: &["version"],
        about: Node(|it| vec![Sample { labels: vec![it.version.clone()], value: Value::Count(1) }]),
    },
    Family {
        name: "vipd_node_info",
        kind: Kind::Info,
        help: "Which node of which cluster this is: to be joined to other metrics of the instance.",
        labels: &["cluster", "node"],
        about: Node(|it| vec![Sample { labels: vec![it.cluster.clone(), it.node.clone()], value: Value::Count(1) }]),
    },
    Family {
        name: "vipd_process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When the process of the agent began, in seconds since 1970; `vipd restart` keeps it.",
        labels: &[],
        about: Node(|_| began().map_or_else(Vec::new, one)),
    },
    Family {
        name: "vipd_configuration_info",
        kind: Kind::Info,
        help: "What tells the configuration file that holds from others: the first 64 bits of its SHA-256. The same on all nodes that \
               have the same file.",
        labels: &["hash"],
        about: Node(|it| vec![Sample { labels: vec![it.configuration.fingerprint.clone()], value: Value::Count(1) }]),
    },
    Family {
        name: "vipd_config_last_reload_successful",
        kind: Kind::Gauge,
        help: "1 if the configuration file was taken over when it was last read, 0 if it was wrong and the one before holds.",
        labels: &[],
        about: Node(|it| one(truth(it.configuration.reload_successful))),
    },
    Family {
        name: "vipd_config_last_reload_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the configuration that holds was taken over, in seconds since 1970.",
        labels: &[],
        about: Node(|it| one(Value::Count(it.configuration.loaded_at.unix_timestamp().try_into().unwrap_or(0)))),
    },
    Family {
        name: "vipd_supervisor_running",
        kind: Kind::Gauge,
        help: "1 if a supervisor watches the agent.",
        labels: &[],
        about: Node(|it| one(truth(it.supervisor.is_some()))),
    },
    Family {
        name: "vipd_drained",
        kind: Kind::Gauge,
        help: "1 while the node serves only where nobody else does.",
        labels: &[],
        about: Node(|it| one(truth(it.drained))),
    },
    Family {
        name: "vipd_guard_enforcing",
        kind: Kind::Gauge,
        help: "1 if the guard drops bad adverts, 0 if it only counts them.",
        labels: &[],
        about: Node(|it| one(truth(it.guard == "enforce"))),
    },
    Family {
        name: "vipd_authentication_mode",
        kind: Kind::Gauge,
        help: "1 for the way in which adverts are signed and verified, 0 for the others.",
        labels: &["mode"],
        about: Node(|it| {
            let mode = it.authentication.as_ref().map_or("off", |authentication| &authentication.mode);
            states(&["off", "receive-only", "permissive", "enforce"], mode)
        }),
    },
    Family {
        name: "vipd_clock_synchronised",
        kind: Kind::Gauge,
        help: "1 if something keeps the clock of the host right, as far as the kernel has been told.",
        labels: &[],
        about: Node(|it| one(truth(it.clock_synchronised))),
    },
    Family {
        name: "vipd_alarms",
        kind: Kind::Gauge,
        help: "What is amiss, by kind; `vipd status` says it in words.",
        labels: &["kind"],
        about: Node(alarms),
    },
    Family {
        name: "vipd_advert_send_lateness_seconds",
        kind: Kind::Histogram,
        help: "How late regular adverts were sent, against the moment when Adver_Timer should have fired.",
        labels: &[],
        about: Node(|it| one(Value::Distribution(it.send_lateness.distribution.clone()))),
    },
    Family {
        name: "vipd_events_lost_total",
        kind: Kind::Counter,
        help: "Changes of state that nobody was told, because there were too many at a time.",
        labels: &[],
        about: Node(|it| one(Value::Count(it.events_lost))),
    },
    Family {
        name: "vipd_netlink_resyncs_total",
        kind: Kind::Counter,
        help: "How often the kernel had more news of interfaces than were taken in, so that everything was read again.",
        labels: &[],
        about: Node(|it| one(Value::Count(it.netlink_resyncs))),
    },
];

fn alarms(snapshot: &Snapshot) -> Vec<Sample> {
    let counted = AlarmKind::ALL.map(|kind| {
        let count = snapshot.alarms.iter().filter(|alarm| alarm.kind == kind).map(|_| 1).sum();
        (kind.to_string(), Value::Count(count))
    });
    labelled(counted.iter().map(|(kind, count)| (kind.as_str(), count.clone())))
}

/// When this process began. proc(5).
fn began() -> Option<Value> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may have spaces; the 22nd field is the 20th after it, in ticks since the start of the system.
    let ticks: u64 = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted: u64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(Value::Count(booted + ticks / TICKS))
}
