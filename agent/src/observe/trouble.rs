//! What is wrong with a node, the worst first.

use std::fmt;

use vrrp::{
    Priority,
    track::{Contribution, Total},
};

use super::{AlarmKind, CheckStatus, EffectStatus, RouterStatus, Snapshot, text::span};

/// How many names are listed until the others are only counted.
const NAMES_MAX: usize = 6;
/// How long after a change of state a virtual router is news, in milliseconds.
const NEWS_MS: u64 = 60_000;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Whether something is not served, or soon will not be.
    pub is_bad: bool,
    /// One word for what kind of thing it is.
    pub word: &'static str,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word, self.what)
    }
}

impl Snapshot {
    /// What is wrong, the worst first.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        let bad = |word, what| Trouble { is_bad: true, word, what };
        let warning = |word, what| Trouble { is_bad: false, word, what };
        let mut troubles: Vec<_> = self.by_reason("Fault").into_iter().map(|what| bad("FAULT", what)).collect();
        troubles.extend(self.alarms.iter().map(|alarm| {
            let of = alarm.router.as_ref().map_or_else(String::new, |router| format!(" {router}"));
            let what = format!("{}{of}: {}", alarm.kind, alarm.what);
            Trouble { is_bad: alarm.kind.is_bad(), word: "ALARM", what }
        }));
        let down = self.interfaces.iter().filter(|interface| !interface.up);
        troubles.extend(down.map(|interface| bad("LINK", format!("interface {} is down", interface.name))));
        troubles.extend(self.by_reason("Initialize").into_iter().map(|what| warning("WAITS", what)));
        troubles.extend(self.checks.iter().filter(|check| self.suffers(check)).map(|check| {
            let state =
                check.value.map_or_else(|| format!("is {}", check.state), |value| format!("has the value {value}"));
            warning("CHECK", format!("{} {state} for {}{}", check.name, span(check.since_ms), seen(check)))
        }));
        if self.drained {
            let what = "this node serves only where nobody else does; `vipd undrain` ends that";
            troubles.push(warning("DRAINED", what.to_owned()));
        }
        for target in self.notifications.iter().filter(|target| target.waiting > 0 && target.last_error.is_some()) {
            let error = target.last_error.as_ref().map_or_else(String::new, |error| format!("; last error: {error}"));
            troubles.push(warning(
                "NOTIFY",
                format!("{} is still to be told {} events{error}", target.name, target.waiting),
            ));
        }
        if self.events_lost > 0 {
            troubles.push(warning("EVENTS", format!("{} came too fast and were told to nobody", self.events_lost)));
        }
        troubles.sort_by_key(|trouble| !trouble.is_bad);
        troubles
    }

    /// Whether there is something to know of `router`: it is not in its usual state, is so only since a moment ago, or something is
    /// wrong with it.
    #[must_use]
    pub fn is_odd(&self, router: &RouterStatus) -> bool {
        let name = router.full_name();
        !matches!(router.state.as_str(), "Active" | "Backup")
            || router.since_ms < NEWS_MS
            || router.priority != router.usual_priority()
            || self.alarms.iter().any(|alarm| alarm.router.as_ref().is_some_and(|of| *of == name || *of == router.name))
    }

    /// The virtual routers in `state`, those of one reason together.
    fn by_reason(&self, state: &str) -> Vec<String> {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for router in self.virtual_routers.iter().filter(|router| router.state == state) {
            let reason = router.reason.as_deref().unwrap_or_default();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(router.full_name()),
                None => reasons.push((reason, vec![router.full_name()])),
            }
        }
        reasons.into_iter().map(|(reason, names)| format!("{}: {reason}", list(&names))).collect()
    }

    /// Whether what `check` says costs some virtual router points or its state, or nobody knows what it would say.
    fn suffers(&self, check: &CheckStatus) -> bool {
        let effects = self.virtual_routers.iter().flat_map(|router| &router.checks);
        let costs = |effect: EffectStatus| effect == EffectStatus::Fault || effect.lost() > 0;
        check.blind.is_some() || effects.filter(|of| of.check == check.name).any(|of| costs(of.effect))
    }
}

impl RouterStatus {
    /// `NAME/FAMILY`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.name, self.family)
    }

    /// Its priority where all its checks say that all is well.
    fn usual_priority(&self) -> u8 {
        let best = self.checks.iter().filter_map(|of| match of.effect {
            EffectStatus::Points { best, .. } => Some(Contribution::Points(best)),
            EffectStatus::Fault | EffectStatus::Awaited => None,
        });
        let configured = Priority::new(self.configured_priority);
        configured.map_or(self.configured_priority, |configured| Total::of(configured, best).priority.get())
    }
}

impl AlarmKind {
    /// Whether addresses are not served for it, or soon may not be.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        match self {
            Self::AuthSplitRisk
            | Self::PeerRefused
            | Self::AddressClaimed
            | Self::DuplicateAddress
            | Self::TakeoverUnconfirmed
            | Self::HetznerUnrouted => true,
            Self::ClockSkew
            | Self::ClockNotSynchronised
            | Self::AddressListDiffers
            | Self::IntervalDiffers
            | Self::PriorityConflict
            | Self::MetricsUnavailable => false,
        }
    }
}

fn seen(check: &CheckStatus) -> String {
    let what = check.blind.as_ref().or(check.detail.as_ref());
    what.map_or_else(String::new, |what| format!(": {what}"))
}

/// The first of `names`, and how many more there are.
pub(super) fn list(names: &[String]) -> String {
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMES_MAX].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Alarm, ContributionStatus,
            testing::{router, snapshot},
        },
        *,
    };

    fn told(snapshot: &Snapshot) -> Vec<String> {
        snapshot.troubles().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_wrong_with_a_node_that_serves() {
        assert_eq!(told(&snapshot()), [""; 0]);
        assert!(!snapshot().is_odd(&router("web-a", "IPv4", "Active")));
    }

    #[test]
    fn what_is_not_served_comes_first_and_what_has_one_reason_together() {
        let mut snapshot = snapshot();
        snapshot.drained = true;
        snapshot.interfaces[0].up = false;
        snapshot.alarms = [(AlarmKind::ClockSkew, "a"), (AlarmKind::PeerRefused, "b")]
            .map(|(kind, what)| Alarm {
                kind,
                router: Some("web-a/IPv4".to_owned()),
                peer: None,
                what: what.to_owned(),
            })
            .into();
        for number in 0..8 {
            let mut router = router(&format!("vr{number}"), "IPv4", "Fault");
            router.reason = Some(if number == 3 { "its own" } else { "interface `vsw0` is down" }.to_owned());
            snapshot.virtual_routers.push(router);
        }
        let expected = [
            "FAULT vr0/IPv4, vr1/IPv4, vr2/IPv4, vr4/IPv4, vr5/IPv4, vr6/IPv4 and 1 more: interface `vsw0` is down",
            "FAULT vr3/IPv4: its own",
            "ALARM peer_refused web-a/IPv4: b",
            "LINK interface vsw0 is down",
            "ALARM clock_skew web-a/IPv4: a",
            "DRAINED this node serves only where nobody else does; `vipd undrain` ends that",
        ];
        assert_eq!(told(&snapshot), expected);
    }

    #[test]
    fn a_check_is_wrong_where_it_costs_something() {
        let mut snapshot = snapshot();
        snapshot.checks[0].state = "failing".to_owned();
        assert_eq!(told(&snapshot), [""; 0], "with reverse = true, say");
        let effect = EffectStatus::Points { points: -60, best: 0 };
        let costs = ContributionStatus { check: "ingress".to_owned(), state: "failing".to_owned(), effect };
        snapshot.virtual_routers[0].checks = vec![costs];
        assert_eq!(told(&snapshot), ["CHECK ingress is failing for 3.2 s: status 200"]);
        snapshot.checks[0].value = Some(6);
        assert_eq!(told(&snapshot), ["CHECK ingress has the value 6 for 3.2 s: status 200"]);
    }

    /// `weight = 20`, as configurations of keepalived often have it: passing is more than the configured priority.
    #[test]
    fn a_check_that_adds_no_more_is_wrong_and_one_that_adds_is_usual() {
        let mut snapshot = snapshot();
        let mut set = |state: &str, points, priority| {
            snapshot.checks[0].state = state.to_owned();
            let effect = EffectStatus::Points { points, best: 20 };
            let check = ContributionStatus { check: "ingress".to_owned(), state: state.to_owned(), effect };
            let router = &mut snapshot.virtual_routers[0];
            (router.checks, router.priority) = (vec![check], priority);
            (told(&snapshot), snapshot.is_odd(&snapshot.virtual_routers[0]))
        };
        assert_eq!(set("passing", 20, 220), (vec![], false));
        assert_eq!(set("failing", 0, 200), (vec!["CHECK ingress is failing for 3.2 s: status 200".to_owned()], true));
    }

    #[test]
    fn the_usual_priority_is_one_that_a_router_may_have() {
        let usual = |configured_priority, best: &[i32]| {
            let check = |&best| ContributionStatus {
                check: "ingress".to_owned(),
                state: "passing".to_owned(),
                effect: EffectStatus::Points { points: best, best },
            };
            let checks = best.iter().map(check).collect();
            RouterStatus { configured_priority, checks, ..router("web-a", "IPv4", "Active") }.usual_priority()
        };
        assert_eq!(usual(200, &[]), 200);
        assert_eq!(usual(200, &[20, 0, 4]), 224);
        assert_eq!(usual(200, &[100]), 254);
        assert_eq!(usual(255, &[20]), 255);
    }

    #[test]
    fn a_router_is_odd_for_its_state_its_priority_its_youth_or_an_alarm() {
        let mut snapshot = snapshot();
        let usual = router("web-a", "IPv6", "Backup");
        assert!(snapshot.is_odd(&RouterStatus { since_ms: 59_999, ..usual.clone() }));
        assert!(!snapshot.is_odd(&RouterStatus { since_ms: 60_000, ..usual.clone() }));
        assert!(snapshot.is_odd(&RouterStatus { priority: 140, ..usual.clone() }));
        assert!(snapshot.is_odd(&RouterStatus { state: "Initialize".to_owned(), ..usual.clone() }));
        for (router, expected) in [("web-a/IPv4", false), ("web-a/IPv6", true), ("web-a", true), ("web-b", false)] {
            let kind = AlarmKind::PriorityConflict;
            snapshot.alarms = vec![Alarm { kind, router: Some(router.to_owned()), peer: None, what: String::new() }];
            assert_eq!(snapshot.is_odd(&usual), expected, "{router}");
        }
    }
}
