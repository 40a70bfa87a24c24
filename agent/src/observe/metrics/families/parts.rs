//! Metrics of interfaces, checks, who is told, addresses that Hetzner routes, and groups.

use super::{
    About::{Check, Group, Hetzner, Interface, Target},
    Family, Kind, Value, labelled, milliseconds, one, seconds, states, truth,
};
use crate::{
    datapath::AttachMode,
    observe::{HetznerStatus, RoutingState},
};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "vipd_interface_up",
        kind: Kind::Gauge,
        help: "1 while the interface is up and has carrier.",
        labels: &[],
        about: Interface(|it| one(truth(it.up))),
    },
    Family {
        name: "vipd_interface_heard",
        kind: Kind::Gauge,
        help: "1 while adverts are heard there, in whatever way.",
        labels: &[],
        about: Interface(|it| one(truth(it.heard))),
    },
    Family {
        name: "vipd_interface_attach_mode",
        kind: Kind::Gauge,
        help: "1 for what judges adverts there, 0 for the others: XDP in the driver (native) or in the network stack (generic), tcx, \
               clsact, or the agent on a packet socket (socket).",
        labels: &["mode"],
        about: Interface(|it| {
            let modes = AttachMode::ALL.map(|mode| mode.to_string());
            labelled(modes.iter().map(|mode| (mode.as_str(), truth(*mode == it.attach))))
        }),
    },
    Family {
        name: "vipd_interface_attach_degraded",
        kind: Kind::Gauge,
        help: "1 if a better way to judge adverts, or a part of this one, could not be had; `vipd status` says why.",
        labels: &[],
        about: Interface(|it| one(truth(it.attach_reason.is_some()))),
    },
    Family {
        name: "vipd_interface_not_configured_total",
        kind: Kind::Counter,
        help: "VRRP for no virtual router of ours (vrrpv3RouterVrIdErrors).",
        labels: &[],
        about: Interface(|it| one(Value::Count(it.not_configured))),
    },
    Family {
        name: "vipd_check_state",
        kind: Kind::Gauge,
        help: "1 for what the check has come to, 0 for the others.",
        labels: &["state"],
        about: Check(|it| states(&["passing", "failing", "value", "unknown"], &it.state)),
    },
    Family {
        name: "vipd_check_value",
        kind: Kind::Gauge,
        help: "The value of a check that has one.",
        labels: &[],
        about: Check(|it| it.value.map_or_else(Vec::new, |value| one(Value::Integer(value.into())))),
    },
    Family {
        name: "vipd_check_blind",
        kind: Kind::Gauge,
        help: "1 while the check goes by what was known last, since it sees nothing newer.",
        labels: &[],
        about: Check(|it| one(truth(it.blind.is_some()))),
    },
    Family {
        name: "vipd_check_looks_total",
        kind: Kind::Counter,
        help: "Looks of the check.",
        labels: &[],
        about: Check(|it| one(Value::Count(it.looks))),
    },
    Family {
        name: "vipd_check_failures_total",
        kind: Kind::Counter,
        help: "Looks that failed.",
        labels: &[],
        about: Check(|it| one(Value::Count(it.failures))),
    },
    Family {
        name: "vipd_check_last_look_age_seconds",
        kind: Kind::Gauge,
        help: "How long ago the last look was; not there before the first.",
        labels: &[],
        about: Check(|it| it.looked_ms.map_or_else(Vec::new, |age| one(milliseconds(age)))),
    },
    Family {
        name: "vipd_check_duration_seconds",
        kind: Kind::Gauge,
        help: "How long the last look took.",
        labels: &[],
        about: Check(|it| one(Value::Seconds(seconds(it.latency_us)))),
    },
    Family {
        name: "vipd_notifications_delivered_total",
        kind: Kind::Counter,
        help: "Changes of state that the target was told.",
        labels: &[],
        about: Target(|it| one(Value::Count(it.delivered))),
    },
    Family {
        name: "vipd_notifications_failed_total",
        kind: Kind::Counter,
        help: "Changes of state that it was not told and never will be.",
        labels: &[],
        about: Target(|it| one(Value::Count(it.failed))),
    },
    Family {
        name: "vipd_notifications_waiting",
        kind: Kind::Gauge,
        help: "Changes of state that it is still to be told.",
        labels: &[],
        about: Target(|it| one(Value::Count(it.waiting))),
    },
    Family {
        name: "vipd_hetzner_routing_state",
        kind: Kind::Gauge,
        help: "1 for where the address is routed: idle (nobody looks, since this node is not Active), unknown, here, away.",
        labels: &["state"],
        about: Hetzner(|it| {
            let state = match it.state {
                RoutingState::Idle => "idle",
                RoutingState::Unknown => "unknown",
                RoutingState::Here => "here",
                RoutingState::Away => "away",
            };
            states(&["idle", "unknown", "here", "away"], state)
        }),
    },
    Family {
        name: "vipd_hetzner_routing_state_seconds",
        kind: Kind::Gauge,
        help: "How long that has been so.",
        labels: &[],
        about: Hetzner(|it| one(milliseconds(it.since_ms))),
    },
    Family {
        name: "vipd_hetzner_switches_total",
        kind: Kind::Counter,
        help: "Requests to route the address here that Hetzner has accepted.",
        labels: &[],
        about: Hetzner(|it| one(Value::Count(it.switches))),
    },
    Family {
        name: "vipd_group_state",
        kind: Kind::Gauge,
        help: "1 for the state of a [[group]]: Active where all its virtual routers are, else that of the one furthest from it.",
        labels: &["state"],
        about: Group(|it| states(&["Initialize", "Backup", "Active", "Fault"], &it.state)),
    },
];

pub(super) fn labels_of_hetzner(status: &HetznerStatus) -> Vec<String> {
    vec![status.name.clone(), status.kind.clone(), status.address.to_string(), status.router.clone()]
}
