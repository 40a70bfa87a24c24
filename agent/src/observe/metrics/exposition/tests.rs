//! A status as `vipd status --json` prints it, and the metrics that are the same.

use super::*;

const STATUS: &str = r#"{
  "version": "0.1.0", "cluster": "ingress", "node": "n1", "pid": 7, "drained": false, "supervisor": null, "guard": "enforce",
  "clock_synchronised": true,
  "configuration": { "fingerprint": "00ff00ff00ff00ff", "loaded_at": "2023-11-14T22:13:20Z", "reload_successful": false },
  "netlink_resyncs": 2,
  "authentication": { "mode": "permissive", "active_key": 1, "keys": [1], "clock_synchronised": true },
  "send_lateness": { "adverts": 3, "p50_us": 60, "p99_us": 7000, "max_us": 7000, "distribution": {
    "buckets": [{ "up_to_us": 50, "count": 0 }, { "up_to_us": 100, "count": 2 }, { "up_to_us": 2500, "count": 0 }],
    "longer": 1, "sum_us": 7120 } },
  "alarms": [
    { "kind": "clock_skew", "router": "web-a/IPv4", "peer": "n2", "what": "" },
    { "kind": "clock_skew", "router": "web-a/IPv6", "peer": "n2", "what": "" }],
  "notifications": [
    { "name": "chat", "kind": "webhook", "delivered": 5, "failed": 1, "waiting": 2, "last_error": null }],
  "events_lost": 4,
  "interfaces": [{ "name": "vsw0", "up": true, "attach": "tcx", "attach_reason": "native: no", "heard": true,
    "not_configured": 9 }],
  "checks": [{ "name": "gw \"a\"\\b", "subject": "x", "state": "value", "value": -3, "since_ms": 1, "detail": null, "seen_ms": 1,
    "blind": null, "looked_ms": 250, "latency_us": 1500, "against": 0, "needed": 1, "looks": 8, "failures": 2 }],
  "hetzner": [{ "name": "f", "kind": "failover_ip", "address": "203.0.113.9", "router": "web-a", "server": "s", "state": "here",
    "holder": null, "since_ms": 1500, "switches": 1, "trouble": null, "last_error": null }],
  "virtual_routers": [{
    "name": "web-a", "vrid": 51, "family": "IPv4", "interface": "vsw0", "group": null, "state": "Backup", "reason": null,
    "since_ms": 2500, "version": 3, "priority": 90, "configured_priority": 150, "nodes": 2,
    "peers": [
      { "node": "n2", "configured_priority": 200, "last_priority": 200, "heard_ms": 40, "adverts": 70, "refused_for": null },
      { "node": "n3", "configured_priority": 100, "last_priority": null, "heard_ms": null, "adverts": 0, "refused_for": null }],
    "checks": [{ "check": "web", "state": "failing", "effect": { "kind": "points", "points": 0, "best": 20 } }],
    "own_address": null, "last_advert_from": null, "last_advert_priority": null, "last_advert_ms": 30,
    "timer_ms": null, "advertisement_interval_ms": 100, "addresses": [], "takeover_confirmed_ms": null,
    "fence": { "state": "ready", "closings": 3 },
    "tally": { "transitions": 2, "adverts_sent": 11, "priority_zero_sent": 1, "adverts_unsent": 0, "adverts_received": 70,
      "priority_zero_received": 2, "adverts_refused": 6, "address_list_differs": 0, "checksums_with_pseudo_header": 70,
      "checksums_of_message_only": 0, "false_takeovers_avoided": 1 },
    "history": {
      "transitions": [{ "from": "Backup", "to": "Active", "reason": "active_silent", "count": 2 }],
      "refused": { "checksum": 6 },
      "advert_gaps": { "buckets": [{ "up_to_us": 150000, "count": 69 }], "longer": 0, "sum_us": 6900000 },
      "takeover": { "silent_us": 313000, "held_us": 1200, "confirmed_us": null } },
    "judged_by": "kernel",
    "counters": { "admitted": 76, "carp": 1, "unknown_source": 20, "dropped": 20, "fenced_neighbor": 5, "claims": 8 } }],
  "groups": [
    { "name": "web", "is_listed": true, "state": "Backup", "since_ms": 1, "members": [] },
    { "name": "web-a", "is_listed": false, "state": "Backup", "since_ms": 1, "members": [] }]
}"#;

const ROUTER: &str = r#"virtual_router="web-a",vrid="51",family="IPv4",interface="vsw0""#;

fn encoded(format: Format) -> String {
    encode(&serde_json::from_str(STATUS).unwrap(), format)
}

/// The lines of a family, its description without.
fn samples<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let suffixes = ["", "_bucket", "_sum", "_count"];
    let is_of_it = |line: &&str| {
        let found = line.split(['{', ' ']).next().unwrap_or_default();
        suffixes.iter().any(|suffix| found.strip_suffix(suffix) == Some(name))
    };
    text.lines().filter(is_of_it).collect()
}

#[test]
fn the_node_is_told_of() {
    let text = encoded(Format::OpenMetrics);
    for (name, expected) in [
        ("vipd_build_info", &["vipd_build_info{version=\"0.1.0\"} 1"][..]),
        ("vipd_node_info", &["vipd_node_info{cluster=\"ingress\",node=\"n1\"} 1"]),
        ("vipd_configuration_info", &["vipd_configuration_info{hash=\"00ff00ff00ff00ff\"} 1"]),
        ("vipd_config_last_reload_successful", &["vipd_config_last_reload_successful 0"]),
        (
            "vipd_config_last_reload_success_timestamp_seconds",
            &["vipd_config_last_reload_success_timestamp_seconds 1700000000"],
        ),
        ("vipd_supervisor_running", &["vipd_supervisor_running 0"]),
        (
            "vipd_authentication_mode",
            &[
                "vipd_authentication_mode{mode=\"off\"} 0",
                "vipd_authentication_mode{mode=\"receive-only\"} 0",
                "vipd_authentication_mode{mode=\"permissive\"} 1",
                "vipd_authentication_mode{mode=\"enforce\"} 0",
            ],
        ),
        (
            "vipd_advert_send_lateness_seconds",
            &[
                "vipd_advert_send_lateness_seconds_sum 0.00712",
                "vipd_advert_send_lateness_seconds_count 3",
                "vipd_advert_send_lateness_seconds_bucket{le=\"0.00005\"} 0",
                "vipd_advert_send_lateness_seconds_bucket{le=\"0.0001\"} 2",
                "vipd_advert_send_lateness_seconds_bucket{le=\"0.0025\"} 2",
                "vipd_advert_send_lateness_seconds_bucket{le=\"+Inf\"} 3",
            ],
        ),
        ("vipd_events_lost_total", &["vipd_events_lost_total 4"]),
        ("vipd_netlink_resyncs_total", &["vipd_netlink_resyncs_total 2"]),
    ] {
        assert_eq!(samples(&text, name), expected);
    }
    let alarms = samples(&text, "vipd_alarms");
    assert_eq!(alarms.len(), 12);
    assert!(alarms.contains(&"vipd_alarms{kind=\"clock_skew\"} 2"), "{alarms:?}");
    assert!(alarms.contains(&"vipd_alarms{kind=\"address_claimed\"} 0"), "{alarms:?}");
}

#[test]
fn virtual_routers_are_told_of() {
    let text = encoded(Format::OpenMetrics);
    for (name, labels, expected) in [
        ("vipd_virtual_router_state", r#",state="Backup""#, "1"),
        ("vipd_virtual_router_state", r#",state="Active""#, "0"),
        ("vipd_virtual_router_state_seconds", "", "2.5"),
        ("vipd_virtual_router_nodes", "", "2"),
        ("vipd_priority", r#",kind="configured""#, "150"),
        ("vipd_priority", r#",kind="effective""#, "90"),
        ("vipd_check_points", r#",check="web""#, "0"),
        ("vipd_check_points_lost", r#",check="web""#, "20"),
        ("vipd_check_fault", r#",check="web""#, "0"),
        ("vipd_advertisement_interval_seconds", "", "0.1"),
        ("vipd_transitions_total", r#",from="Backup",to="Active",reason="active_silent""#, "2"),
        ("vipd_last_takeover_seconds", r#",phase="silent""#, "0.313"),
        ("vipd_last_takeover_seconds", r#",phase="held""#, "0.0012"),
        ("vipd_adverts_sent_total", "", "11"),
        ("vipd_adverts_received_total", "", "70"),
        ("vipd_adverts_priority_zero_total", r#",direction="received""#, "2"),
        ("vipd_adverts_passed_total", r#",verdict="admitted",where="kernel""#, "76"),
        ("vipd_adverts_passed_total", r#",verdict="carp",where="kernel""#, "1"),
        ("vipd_adverts_rejected_total", r#",reason="unknown_source",where="kernel""#, "20"),
        ("vipd_adverts_rejected_total", r#",reason="checksum",where="agent""#, "6"),
        ("vipd_adverts_dropped_total", "", "20"),
        ("vipd_adverts_would_drop_total", "", "0"),
        ("vipd_adverts_refused_total", "", "6"),
        ("vipd_last_advert_age_seconds", "", "0.03"),
        ("vipd_advert_gap_seconds_bucket", r#",le="0.15""#, "69"),
        ("vipd_advert_gap_seconds_sum", "", "6.9"),
        ("vipd_peer_last_advert_age_seconds", r#",peer="n2""#, "0.04"),
        ("vipd_peer_adverts_total", r#",peer="n3""#, "0"),
        ("vipd_false_takeovers_avoided_total", "", "1"),
        ("vipd_address_claims_total", "", "8"),
        ("vipd_fence_state", r#",state="ready""#, "1"),
        ("vipd_fence_closings_total", "", "3"),
        ("vipd_fence_stopped_total", r#",frames="neighbor""#, "5"),
    ] {
        let (histogram, rest) = labels.strip_prefix(",le").map_or(("", labels), |_| (&labels[1..], ""));
        let separator = if histogram.is_empty() { "" } else { "," };
        let expected = format!("{name}{{{histogram}{separator}{ROUTER}{rest}}} {expected}");
        assert!(text.lines().any(|line| line == expected), "{expected} is not among {:#?}", samples(&text, name));
    }
    for (name, count) in [
        ("vipd_last_takeover_seconds", 2),
        ("vipd_peer_last_advert_age_seconds", 1),
        ("vipd_adverts_rejected_total", 2),
        ("vipd_virtual_router_state", 4),
    ] {
        assert_eq!(samples(&text, name).len(), count, "{name}");
    }
}

#[test]
fn everything_else_is_told_of() {
    let text = encoded(Format::OpenMetrics);
    let hetzner = r#"name="f",kind="failover_ip",address="203.0.113.9",follows="web-a""#;
    for line in [
        r#"vipd_interface_up{interface="vsw0"} 1"#.to_owned(),
        r#"vipd_interface_attach_mode{interface="vsw0",mode="tcx"} 1"#.to_owned(),
        r#"vipd_interface_attach_mode{interface="vsw0",mode="native"} 0"#.to_owned(),
        r#"vipd_interface_attach_degraded{interface="vsw0"} 1"#.to_owned(),
        r#"vipd_interface_not_configured_total{interface="vsw0"} 9"#.to_owned(),
        r#"vipd_check_state{check="gw \"a\"\\b",state="value"} 1"#.to_owned(),
        r#"vipd_check_value{check="gw \"a\"\\b"} -3"#.to_owned(),
        r#"vipd_check_last_look_age_seconds{check="gw \"a\"\\b"} 0.25"#.to_owned(),
        r#"vipd_check_duration_seconds{check="gw \"a\"\\b"} 0.0015"#.to_owned(),
        r#"vipd_check_failures_total{check="gw \"a\"\\b"} 2"#.to_owned(),
        r#"vipd_notifications_delivered_total{target="chat",kind="webhook"} 5"#.to_owned(),
        r#"vipd_notifications_waiting{target="chat",kind="webhook"} 2"#.to_owned(),
        format!(r#"vipd_hetzner_routing_state{{{hetzner},state="here"}} 1"#),
        format!("vipd_hetzner_routing_state_seconds{{{hetzner}}} 1.5"),
        r#"vipd_group_state{group="web",state="Backup"} 1"#.to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("group=\"web-a\""), "the halves of an entry are no group of the file");
}

#[test]
fn each_format_describes_counters_in_its_way() {
    let open = encoded(Format::OpenMetrics);
    let described = "# HELP vipd_events_lost Changes of state that nobody was told, because there were too many at a time.\n\
                     # TYPE vipd_events_lost counter\nvipd_events_lost_total 4\n";
    assert!(open.contains(described), "{open}");
    assert!(open.contains("# TYPE vipd_build info\nvipd_build_info{"), "{open}");
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    let plain = encoded(Format::Plain);
    assert!(plain.contains(&described.replace("vipd_events_lost ", "vipd_events_lost_total ")), "{plain}");
    assert!(plain.contains("# TYPE vipd_build_info gauge\nvipd_build_info{"), "{plain}");
    assert!(plain.contains("# TYPE vipd_advert_gap_seconds histogram\n"), "{plain}");
    assert!(!plain.contains("# EOF"), "{plain}");
    let values = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(values(&open), values(&plain));
}

#[test]
fn the_client_chooses_the_format() {
    for (accepted, expected) in [
        (
            &["application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"]
                [..],
            Format::OpenMetrics,
        ),
        (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Format::Plain),
        (&["text/html", "application/openmetrics-text"], Format::OpenMetrics),
        (&[], Format::Plain),
    ] {
        assert_eq!(Format::of(accepted.iter().copied()), expected, "{accepted:?}");
    }
}
