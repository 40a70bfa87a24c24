//! What an agent says of itself, for tests of how that is shown.

use super::{
    CheckStatus, ConfigurationStatus, Distribution, FenceStatus, History, InterfaceStatus, LatenessStatus, PeerStatus,
    RouterStatus, Snapshot, Tally, TargetStatus,
};

/// A node that serves web-a over IPv4 and IPv6.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        version: "0.1.0".to_owned(),
        cluster: "ingress".to_owned(),
        node: "n2".to_owned(),
        pid: 6559,
        drained: false,
        supervisor: Some(6634),
        guard: "enforce".to_owned(),
        authentication: None,
        send_lateness: LatenessStatus {
            adverts: 10,
            p50_us: 1289,
            p99_us: 8207,
            max_us: 8300,
            distribution: Distribution::of_lateness(),
        },
        clock_synchronised: true,
        configuration: ConfigurationStatus::default(),
        netlink_resyncs: 0,
        alarms: vec![],
        notifications: vec![TargetStatus {
            name: "chat".to_owned(),
            kind: "webhook".to_owned(),
            delivered: 3,
            ..TargetStatus::default()
        }],
        events_lost: 0,
        interfaces: vec![InterfaceStatus {
            name: "vsw0".to_owned(),
            up: true,
            attach: "native".to_owned(),
            attach_reason: None,
            heard: true,
            not_configured: 0,
        }],
        checks: vec![CheckStatus {
            name: "ingress".to_owned(),
            subject: "http://127.0.0.1:80/".to_owned(),
            state: "passing".to_owned(),
            value: None,
            since_ms: 3_200,
            detail: Some("status 200".to_owned()),
            seen_ms: Some(40),
            blind: None,
            looked_ms: Some(40),
            latency_us: 412,
            against: 0,
            needed: 3,
            looks: 7,
            failures: 0,
        }],
        hetzner: vec![],
        virtual_routers: vec![router("web-a", "IPv4", "Active"), router("web-a", "IPv6", "Backup")],
        groups: vec![],
    }
}

/// A virtual router that has been in `state` for an hour and hears n1.
pub(crate) fn router(name: &str, family: &str, state: &str) -> RouterStatus {
    RouterStatus {
        name: name.to_owned(),
        vrid: 51,
        family: family.to_owned(),
        interface: "vsw0".to_owned(),
        group: None,
        state: state.to_owned(),
        reason: Some("no advert from an Active Router".to_owned()),
        since_ms: 3_600_000,
        version: 3,
        priority: 200,
        configured_priority: 200,
        checks: vec![],
        own_address: Some([10, 77, 0, 2].into()),
        last_advert_from: Some([10, 77, 0, 1].into()),
        last_advert_priority: Some(150),
        last_advert_ms: Some(270),
        peers: vec![PeerStatus {
            node: "n1".to_owned(),
            configured_priority: 150,
            last_priority: Some(150),
            heard_ms: Some(270),
            adverts: 12,
            refused_for: None,
        }],
        timer_ms: Some(100),
        advertisement_interval_ms: 1_000,
        addresses: vec!["10.77.0.101/24".to_owned()],
        takeover_confirmed_ms: None,
        fence: FenceStatus::Ready { closings: 0 },
        tally: Tally::default(),
        nodes: 2,
        history: History::default(),
        judged_by: "kernel".to_owned(),
        counters: [].into(),
    }
}
