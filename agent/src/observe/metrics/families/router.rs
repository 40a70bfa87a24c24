//! Metrics of virtual routers. Where RFC 6527 has an object for the same, the help names it.

use vrrp_wire::abi::Verdict;

use super::{About::Router, Family, Kind, Sample, Value, labelled, milliseconds, one, seconds, states, truth};
use crate::observe::{EffectStatus, FenceStatus, RouterStatus};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "vipd_virtual_router_state",
        kind: Kind::Gauge,
        help: "1 for the state of the virtual router on this node, 0 for the others (vrrpv3OperationsStatus).",
        labels: &["state"],
        about: Router(|it| states(&["Initialize", "Backup", "Active", "Fault"], &it.state)),
    },
    Family {
        name: "vipd_virtual_router_state_seconds",
        kind: Kind::Gauge,
        help: "How long it has been in its state (vrrpv3OperationsUpTime).",
        labels: &[],
        about: Router(|it| one(milliseconds(it.since_ms))),
    },
    Family {
        name: "vipd_virtual_router_nodes",
        kind: Kind::Gauge,
        help: "How many nodes take part in it by the configuration, this one included.",
        labels: &[],
        about: Router(|it| one(Value::Integer(i64::try_from(it.nodes).unwrap_or(i64::MAX)))),
    },
    Family {
        name: "vipd_check_points",
        kind: Kind::Gauge,
        help: "Points that what the check says now adds to the priority; negative where it costs some.",
        labels: &["check"],
        about: Router(|it| {
            let points = it.checks.iter().filter_map(|of| match of.effect {
                EffectStatus::Points { points, .. } => Some((of.check.as_str(), Value::Integer(points.into()))),
                EffectStatus::Fault | EffectStatus::Awaited => None,
            });
            labelled(points)
        }),
    },
    Family {
        name: "vipd_check_points_lost",
        kind: Kind::Gauge,
        help: "Points that what the check says now costs, against what it adds where all is well.",
        labels: &["check"],
        about: Router(|it| {
            labelled(it.checks.iter().map(|of| (of.check.as_str(), Value::Integer(of.effect.lost().into()))))
        }),
    },
    Family {
        name: "vipd_check_fault",
        kind: Kind::Gauge,
        help: "1 while what the check says keeps the virtual router from serving.",
        labels: &["check"],
        about: Router(|it| {
            labelled(it.checks.iter().map(|of| (of.check.as_str(), truth(of.effect == EffectStatus::Fault))))
        }),
    },
    Family {
        name: "vipd_priority",
        kind: Kind::Gauge,
        help: "Priority by the configuration, and as checks and `vipd drain` have left it (vrrpv3OperationsPriority).",
        labels: &["kind"],
        about: Router(|it| {
            let (configured, effective) = (u64::from(it.configured_priority), u64::from(it.priority));
            labelled([("configured", Value::Count(configured)), ("effective", Value::Count(effective))])
        }),
    },
    Family {
        name: "vipd_advertisement_interval_seconds",
        kind: Kind::Gauge,
        help: "Time between two adverts of this node while it is Active (vrrpv3OperationsAdvInterval).",
        labels: &[],
        about: Router(|it| one(milliseconds(it.advertisement_interval_ms))),
    },
    Family {
        name: "vipd_transitions_total",
        kind: Kind::Counter,
        help: "Changes of state (vrrpv3StatisticsMasterTransitions counts those to Active, vrrpv3StatisticsNewMasterReason is why).",
        labels: &["from", "to", "reason"],
        about: Router(|it| {
            let counts = it.history.transitions.iter();
            let sample = |(from, to, reason): (&String, &String, &String), count| Sample {
                labels: vec![from.clone(), to.clone(), reason.clone()],
                value: Value::Count(count),
            };
            counts.map(|it| sample((&it.from, &it.to, &it.reason), it.count)).collect()
        }),
    },
    Family {
        name: "vipd_last_takeover_seconds",
        kind: Kind::Gauge,
        help: "How long the last takeover took. silent: from the last advert of another router until this node was Active; held: from \
               then until the addresses were there and announced; confirmed: until the first frame for them came.",
        labels: &["phase"],
        about: Router(|it| {
            let takeover = it.history.takeover;
            let phases =
                [("silent", takeover.silent_us), ("held", takeover.held_us), ("confirmed", takeover.confirmed_us)];
            labelled(phases.into_iter().filter_map(|(phase, span)| Some((phase, Value::Seconds(seconds(span?))))))
        }),
    },
    Family {
        name: "vipd_adverts_sent_total",
        kind: Kind::Counter,
        help: "Adverts that this node has sent.",
        labels: &[],
        about: Router(|it| one(Value::Count(it.tally.adverts_sent))),
    },
    Family {
        name: "vipd_adverts_unsent_total",
        kind: Kind::Counter,
        help: "Adverts that could not be sent.",
        labels: &[],
        about: Router(|it| one(Value::Count(it.tally.adverts_unsent))),
    },
    Family {
        name: "vipd_adverts_received_total",
        kind: Kind::Counter,
        help: "Adverts of other routers that were accepted (vrrpv3StatisticsRcvdAdvertisements).",
        labels: &[],
        about: Router(|it| one(Value::Count(it.tally.adverts_received))),
    },
    Family {
        name: "vipd_adverts_priority_zero_total",
        kind: Kind::Counter,
        help: "Adverts of Priority 0, \"I leave\" (vrrpv3StatisticsSentPriZeroPackets, vrrpv3StatisticsRcvdPriZeroPackets).",
        labels: &["direction"],
        about: Router(|it| {
            let (sent, received) = (it.tally.priority_zero_sent, it.tally.priority_zero_received);
            labelled([("sent", Value::Count(sent)), ("received", Value::Count(received))])
        }),
    },
    Family {
        name: "vipd_adverts_passed_total",
        kind: Kind::Counter,
        help: "VRRP and CARP frames that were not bad beyond doubt, by verdict and by who judged; what is zero is left out.",
        labels: &["verdict", "where"],
        about: Router(|it| judged(it, |verdict| !verdict.is_bad())),
    },
    Family {
        name: "vipd_adverts_rejected_total",
        kind: Kind::Counter,
        help: "Bad adverts, by reason and by who rejected them: the kernel, the agent on a packet socket, or the agent after either; what \
               is zero is left out (vrrpv3StatisticsProtoErrReason, AdvIntervalErrors, IpTtlErrors, AddressListErrors and so on).",
        labels: &["reason", "where"],
        about: Router(rejected),
    },
    Family {
        name: "vipd_adverts_dropped_total",
        kind: Kind::Counter,
        help: "Frames that the guard has dropped.",
        labels: &[],
        about: Router(|it| one(counter(it, "dropped"))),
    },
    Family {
        name: "vipd_adverts_would_drop_total",
        kind: Kind::Counter,
        help: "Frames that the guard would have dropped, had it been in the kernel and enforcing.",
        labels: &[],
        about: Router(|it| one(counter(it, "would_drop"))),
    },
    Family {
        name: "vipd_adverts_refused_total",
        kind: Kind::Counter,
        help: "Adverts that were admitted and that the agent refused, whatever the reason.",
        labels: &[],
        about: Router(|it| one(Value::Count(it.tally.adverts_refused))),
    },
    Family {
        name: "vipd_records_lost_total",
        kind: Kind::Counter,
        help: "Admitted adverts for which the ring buffer to the agent had no room; their stamps are heeded all the same.",
        labels: &[],
        about: Router(|it| one(counter(it, "record_lost"))),
    },
    Family {
        name: "vipd_address_list_differs_total",
        kind: Kind::Counter,
        help: "Accepted adverts with other addresses than ours (vrrpv3StatisticsAddressListErrors).",
        labels: &[],
        about: Router(|it| one(Value::Count(it.tally.address_list_differs))),
    },
    Family {
        name: "vipd_last_advert_age_seconds",
        kind: Kind::Gauge,
        help: "How long ago the last advert of another router was accepted; not there before the first.",
        labels: &[],
        about: Router(|it| it.last_advert_ms.map_or_else(Vec::new, |age| one(milliseconds(age)))),
    },
    Family {
        name: "vipd_advert_gap_seconds",
        kind: Kind::Histogram,
        help: "Time between two accepted adverts of one router.",
        labels: &[],
        about: Router(|it| one(Value::Distribution(it.history.advert_gaps.clone()))),
    },
    Family {
        name: "vipd_peer_last_advert_age_seconds",
        kind: Kind::Gauge,
        help: "How long ago the last good advert of that node came; not there before the first. A Backup sends none, so its age says \
               nothing of its health.",
        labels: &["peer"],
        about: Router(|it| {
            let heard = it.peers.iter().filter_map(|peer| Some((peer.node.as_str(), milliseconds(peer.heard_ms?))));
            labelled(heard)
        }),
    },
    Family {
        name: "vipd_peer_adverts_total",
        kind: Kind::Counter,
        help: "Good adverts of that node.",
        labels: &["peer"],
        about: Router(|it| {
            labelled(it.peers.iter().map(|peer| (peer.node.as_str(), Value::Count(peer.adverts.into()))))
        }),
    },
    Family {
        name: "vipd_false_takeovers_avoided_total",
        kind: Kind::Counter,
        help: "Takeovers that did not happen, because an advert had come in time and was only handled late.",
        labels: &[],
        about: Router(|it| one(Value::Count(it.tally.false_takeovers_avoided))),
    },
    Family {
        name: "vipd_address_claims_total",
        kind: Kind::Counter,
        help: "ARP and Neighbor Discovery frames in which a stranger claims a virtual address.",
        labels: &[],
        about: Router(|it| one(counter(it, "claims"))),
    },
    Family {
        name: "vipd_fence_state",
        kind: Kind::Gauge,
        help: "1 for what keeps this host from answering when it must not: off, absent (no guard in the kernel), observing (it only \
               counts), ready.",
        labels: &["state"],
        about: Router(|it| {
            let state = match it.fence {
                FenceStatus::Off => "off",
                FenceStatus::Absent => "absent",
                FenceStatus::Observing => "observing",
                FenceStatus::Ready { .. } => "ready",
            };
            states(&["off", "absent", "observing", "ready"], state)
        }),
    },
    Family {
        name: "vipd_fence_closings_total",
        kind: Kind::Counter,
        help: "How often the fence has closed, because the agent hung or was gone and a peer took over.",
        labels: &[],
        about: Router(|it| match it.fence {
            FenceStatus::Ready { closings } => one(Value::Count(closings)),
            FenceStatus::Off | FenceStatus::Absent | FenceStatus::Observing => Vec::new(),
        }),
    },
    Family {
        name: "vipd_fence_stopped_total",
        kind: Kind::Counter,
        help: "Frames that were stopped. neighbor: questions for an address, by the closed fence; traffic: frames to an address, by the \
               closed fence; held_back: what this host says in the name of an address that it does not hold.",
        labels: &["frames"],
        about: Router(|it| {
            labelled([
                ("neighbor", counter(it, "fenced_neighbor")),
                ("traffic", counter(it, "fenced_traffic")),
                ("held_back", counter(it, "held_back")),
            ])
        }),
    },
];

pub(super) fn labels(router: &RouterStatus) -> Vec<String> {
    vec![router.name.clone(), router.vrid.to_string(), router.family.clone(), router.interface.clone()]
}

fn counter(router: &RouterStatus, name: &str) -> Value {
    Value::Count(router.counters.get(name).copied().unwrap_or(0))
}

/// The counters of the verdicts that `is_meant` is true for.
fn judged(router: &RouterStatus, is_meant: fn(Verdict) -> bool) -> Vec<Sample> {
    let verdicts = Verdict::ALL.iter().filter(|&&verdict| is_meant(verdict));
    let sample = |verdict: &Verdict| {
        let count = *router.counters.get(verdict.name())?;
        Some(Sample { labels: vec![verdict.name().to_owned(), router.judged_by.clone()], value: Value::Count(count) })
    };
    verdicts.filter_map(sample).collect()
}

fn rejected(router: &RouterStatus) -> Vec<Sample> {
    let refused = router.history.refused.iter();
    let of_agent = refused.map(|(reason, &count)| Sample {
        labels: vec![reason.clone(), "agent".to_owned()],
        value: Value::Count(count),
    });
    judged(router, Verdict::is_bad).into_iter().chain(of_agent).collect()
}
