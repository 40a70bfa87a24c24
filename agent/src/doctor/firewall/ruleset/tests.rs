use super::*;

/// What nft 1.0.6 prints for a table `inet filter` whose chain `input` has this policy and these rules, and sets and maps
/// beside them.
fn input(policy: &str, rules: &[&str]) -> Ruleset {
    let mut entries = vec![
        r#"{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}"#.to_owned(),
        r#"{"table": {"family": "inet", "name": "filter", "handle": 1}}"#.to_owned(),
        format!(
            r#"{{"chain": {{"family": "inet", "table": "filter", "name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "{policy}"}}}}"#
        ),
        r#"{"chain": {"family": "inet", "table": "filter", "name": "more", "handle": 2}}"#.to_owned(),
        r#"{"set": {"family": "inet", "name": "empty", "table": "filter", "type": "ipv4_addr", "handle": 4}}"#.to_owned(),
        r#"{"map": {"family": "inet", "name": "protocols", "table": "filter", "type": "inet_proto", "handle": 5, "map": "verdict", "elem": [["tcp", {"accept": null}], ["vrrp", {"drop": null}]]}}"#.to_owned(),
        r#"{"map": {"family": "inet", "name": "hosts", "table": "filter", "type": "ipv4_addr", "handle": 6, "map": "verdict", "flags": ["interval"], "elem": [[{"range": ["10.0.0.1", "10.0.0.3"]}, {"drop": null}], [{"prefix": {"addr": "10.77.0.0", "len": 24}}, {"accept": null}]]}}"#.to_owned(),
        r#"{"map": {"family": "inet", "name": "none", "table": "filter", "type": "inet_proto", "handle": 7, "map": "verdict"}}"#.to_owned(),
        r#"{"set": {"family": "inet", "name": "good", "table": "filter", "type": "ipv4_addr", "handle": 3, "elem": ["10.77.0.1", {"prefix": {"addr": "192.0.2.0", "len": 24}}]}}"#.to_owned(),
    ];
    entries.extend(rules.iter().map(|rule| {
        let (chain, expr) = rule.split_once(' ').unwrap();
        format!(
            r#"{{"rule": {{"family": "inet", "table": "filter", "chain": "{chain}", "handle": 9, "expr": {expr}}}}}"#
        )
    }));
    Ruleset::parse(format!(r#"{{"nftables": [{}]}}"#, entries.join(",")).as_bytes()).unwrap()
}

/// A multicast advert of 10.77.0.1 that comes by vsw0.
fn advert() -> Packet {
    Packet {
        family: Family::Ipv4,
        interface: "vsw0".to_owned(),
        is_sent: false,
        source: Some([10, 77, 0, 1].into()),
        destination: Some([224, 0, 0, 18].into()),
        is_multicast: true,
        is_tracked: true,
    }
}

/// `passes`, `drops` or `unclear`.
fn fate(policy: &str, rules: &[&str], packet: &Packet) -> &'static str {
    match input(policy, rules).fate(&["input"], packet) {
        Fate::Passes => "passes",
        Fate::Drops(_) => "drops",
        Fate::Unclear(_) => "unclear",
    }
}

const DROP_VRRP: &str =
    r#"input [{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "vrrp"}}, {"drop": null}]"#;
const ACCEPT_VRRP: &str = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": 112}}, {"accept": null}]"#;
const ACCEPT_GOOD: &str = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@good"}}, {"accept": null}]"#;
const ACCEPT_ESTABLISHED: &str = r#"input [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]"#;
const ACCEPT_SSH: &str = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"accept": null}]"#;
/// `tcp flags & (fin | syn) == (fin | syn) drop`, as nft 1.0.6 prints it.
const DROP_FIN_SYN: &str = r#"input [{"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["fin", "syn"]]}, "right": ["fin", "syn"]}}, {"drop": null}]"#;
const ACCEPT_MARKED_IN_PART: &str =
    r#"input [{"match": {"op": "==", "left": {"&": [{"meta": {"key": "mark"}}, 255]}, "right": 7}}, {"accept": null}]"#;
const ACCEPT_LOOPBACK: &str =
    r#"input [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": null}]"#;
const ACCEPT_MARKED: &str =
    r#"input [{"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 7}}, {"accept": null}]"#;
const TO_MORE: &str = r#"input [{"counter": {"packets": 0, "bytes": 0}}, {"jump": {"target": "more"}}]"#;
const MORE_ACCEPTS: &str =
    r#"more [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "vsw*"}}, {"accept": null}]"#;
const LIMITED: &str = r#"input [{"limit": {"rate": 10, "per": "second", "inv": true}}, {"drop": null}]"#;
/// `iptables -A INPUT -j REJECT`, of which nft says no more.
const REJECT_OF_IPTABLES: &str = r#"input [{"counter": {"packets": 0, "bytes": 0}}, {"xt": null}]"#;

#[test]
fn a_packet_goes_the_way_that_the_rules_send_it() {
    for (policy, rules, expected) in [
        ("accept", &[][..], "passes"),
        ("accept", &[DROP_VRRP], "drops"),
        ("accept", &[ACCEPT_VRRP, DROP_VRRP], "passes"),
        ("drop", &[], "drops"),
        ("drop", &[ACCEPT_LOOPBACK, ACCEPT_ESTABLISHED, ACCEPT_SSH], "drops"),
        ("drop", &[ACCEPT_VRRP], "passes"),
        ("drop", &[ACCEPT_GOOD], "passes"),
        ("drop", &[DROP_FIN_SYN], "drops"),
        ("accept", &[DROP_FIN_SYN], "passes"),
        ("drop", &[ACCEPT_MARKED], "unclear"),
        ("drop", &[ACCEPT_MARKED_IN_PART], "unclear"),
        ("accept", &[ACCEPT_MARKED, DROP_VRRP], "unclear"),
        ("accept", &[LIMITED], "unclear"),
        ("accept", &[ACCEPT_SSH, REJECT_OF_IPTABLES], "unclear"),
        ("drop", &[TO_MORE], "drops"),
        ("drop", &[TO_MORE, MORE_ACCEPTS], "passes"),
        ("accept", &[TO_MORE, MORE_ACCEPTS, DROP_VRRP], "passes"),
    ] {
        assert_eq!(fate(policy, rules, &advert()), expected, "policy {policy}, {rules:#?}");
    }
}

const DROP_EMPTY: &str = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@empty"}}, {"drop": null}]"#;
const DROP_UNKNOWN: &str = r#"input [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@unknown"}}, {"drop": null}]"#;
const MORE_DROPS: &str = r#"more [{"drop": null}]"#;

/// `KEY vmap DATA`.
fn map(key: &str, data: &str) -> String {
    format!(r#"input [{{"counter": {{"packets": 0, "bytes": 0}}}}, {{"vmap": {{"key": {key}, "data": {data}}}}}]"#)
}

#[test]
fn maps_and_sets_are_looked_into() {
    let protocol = r#"{"payload": {"protocol": "ip", "field": "protocol"}}"#;
    let source = r#"{"payload": {"protocol": "ip", "field": "saddr"}}"#;
    let state = r#"{"ct": {"key": "state"}}"#;
    let mark = r#"{"meta": {"key": "mark"}}"#;
    let port = r#"{"payload": {"protocol": "tcp", "field": "dport"}}"#;
    let literal = |elements: &str| format!(r#"{{"set": [{elements}]}}"#);
    for (rule, expected) in [
        (DROP_EMPTY.to_owned(), "passes"),
        (DROP_UNKNOWN.to_owned(), "unclear"),
        (map(protocol, r#""@protocols""#), "drops"),
        (map(source, r#""@hosts""#), "passes"),
        (map(protocol, r#""@none""#), "passes"),
        (map(protocol, r#""@unknown""#), "unclear"),
        (map(state, &literal(r#"["established", {"accept": null}], ["new", {"drop": null}]"#)), "drops"),
        (map(state, &literal(r#"["established", {"drop": null}]"#)), "passes"),
        (map(protocol, &literal(r#"["vrrp", {"jump": {"target": "more"}}]"#)), "drops"),
        (map(protocol, &literal(r#"["vrrp", {"continue": null}]"#)), "passes"),
        (map(protocol, &literal(r#"["*", {"drop": null}], ["vrrp", {"accept": null}]"#)), "passes"),
        (map(protocol, &literal(r#"["tcp", {"accept": null}], ["*", {"drop": null}]"#)), "drops"),
        (map(port, &literal(r#"[22, {"drop": null}]"#)), "passes"),
        (map(mark, &literal(r#"[7, {"drop": null}]"#)), "unclear"),
    ] {
        assert_eq!(fate("accept", &[&rule, MORE_DROPS], &advert()), expected, "{rule}");
    }
    let stranger = Packet { source: Some([10, 0, 0, 2].into()), ..advert() };
    assert_eq!(fate("accept", &[&map(source, r#""@hosts""#)], &stranger), "drops");
}

/// `update @m { ip daddr limit rate over 1000/second } drop`.
const LIMITED_BY_SET: &str = r#"input [{"set": {"op": "update", "elem": {"payload": {"protocol": "ip", "field": "daddr"}}, "set": "@m", "stmt": [{"limit": {"rate": 1000, "burst": 5, "per": "second", "inv": true}}]}}, {"drop": null}]"#;
/// `meter x { ip daddr limit rate over 1000/second } drop`.
const LIMITED_BY_METER: &str = r#"input [{"meter": {"key": {"payload": {"protocol": "ip", "field": "daddr"}}, "stmt": {"limit": {"rate": 1000, "burst": 5, "per": "second", "inv": true}}, "name": "x"}}, {"drop": null}]"#;
const ACCEPT_UNTRACKED: &str =
    r#"input [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "untracked"}}, {"accept": null}]"#;
const NOTRACK: &str = r#"more [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": 112}}, {"notrack": null}]"#;

#[test]
fn what_counts_packets_leaves_them_open() {
    assert_eq!(fate("accept", &[LIMITED_BY_SET], &advert()), "unclear");
    assert_eq!(fate("accept", &[LIMITED_BY_METER], &advert()), "unclear");
    assert_eq!(fate("drop", &[ACCEPT_UNTRACKED], &advert()), "drops");
    assert_eq!(fate("drop", &[ACCEPT_UNTRACKED, NOTRACK], &advert()), "unclear");
}

#[test]
fn a_chain_of_another_interface_is_not_asked() {
    let chain = |device: &str| {
        let text = format!(
            r#"{{"nftables": [{{"chain": {{"family": "inet", "table": "a", "name": "ing", "handle": 1, {device} "type": "filter", "hook": "ingress", "prio": 0, "policy": "drop"}}}}]}}"#
        );
        Ruleset::parse(text.as_bytes()).unwrap().fate(&["ingress", "input"], &advert())
    };
    assert_eq!(chain(r#""dev": "eth9","#), Fate::Passes);
    assert!(matches!(chain(r#""dev": "vsw0","#), Fate::Drops(_)));
    assert!(matches!(chain(""), Fate::Unclear(_)));
}

#[test]
fn what_is_not_known_of_a_packet_leaves_it_open() {
    let unicast = Packet { is_multicast: false, destination: Some([10, 77, 0, 2].into()), ..advert() };
    assert_eq!(fate("drop", &[ACCEPT_ESTABLISHED], &unicast), "unclear");
    assert_eq!(fate("drop", &[ACCEPT_GOOD], &Packet { source: None, ..advert() }), "unclear");
    let other = Packet { source: Some([10, 77, 0, 9].into()), ..advert() };
    assert_eq!(fate("drop", &[ACCEPT_GOOD], &other), "drops");
    let ipv6 = Packet { family: Family::Ipv6, source: None, destination: None, ..advert() };
    assert_eq!(fate("drop", &[ACCEPT_VRRP], &ipv6), "drops");
}

#[test]
fn the_place_that_drops_is_named() {
    let by = |place: &str| {
        let chain = "inet filter input".to_owned();
        Fate::Drops(By { place: format!("{place} of chain inet filter input"), chain })
    };
    assert_eq!(input("drop", &[]).fate(&["input"], &advert()), by("the policy"));
    assert_eq!(input("accept", &[DROP_VRRP]).fate(&["input"], &advert()), by("rule 9"));
    assert_eq!(input("drop", &[]).fate(&["output"], &advert()), Fate::Passes);
}
