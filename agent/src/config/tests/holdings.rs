//! What virtual routers hold besides the addresses of their adverts.

use std::{num::NonZeroU32, time::Duration};

use super::*;
use crate::perform::{route::Route, rule::Rule};

const VRID: &str = "vrid = 51";

fn with(keys: &str) -> (&'static str, String) {
    (VRID, format!("{VRID}\n{keys}"))
}

fn held(keys: &str) -> [VirtualRouter; 2] {
    let (from, to) = with(keys);
    let [ipv4, ipv6, ..] = &valid(&[(from, &to)]).virtual_routers[..] else { panic!("{keys}") };
    [ipv4.clone(), ipv6.clone()]
}

fn mistakes_with(keys: &str) -> Vec<String> {
    let (from, to) = with(keys);
    mistakes(&[(from, &to)])
}

#[test]
fn each_half_of_an_entry_has_what_is_of_its_family() {
    let [ipv4, ipv6] = held(
        r#"extra_addresses = ["fd77::1:1/64", "10.77.0.110/24", "10.77.0.111/24"]
routes = [
  { to = "default", via = "10.77.0.254", table = 100 },
  { to = "2001:db8::/32", via = "fe80::1", source = "fd77::1:1", metric = 5, on_link = true },
  { to = "192.0.2.1" },
]
rules = [
  { from = "10.77.0.100", table = 100, priority = 7 },
  { to = "fd77::100/128", from = "2001:db8::/32", table = 0x100 },
]"#,
    );
    let net = |text: &str| text.parse().unwrap();
    let via = |text: &str| Some(text.parse().unwrap());
    assert_eq!(ipv4.extra_addresses, [net("10.77.0.110/24"), net("10.77.0.111/24")]);
    let default =
        Route { to: net("0.0.0.0/0"), via: via("10.77.0.254"), source: None, metric: 0, table: 100, on_link: false };
    let direct = Route { to: net("192.0.2.1/32"), via: None, table: 254, ..default };
    assert_eq!(ipv4.routes, [default, direct]);
    assert_eq!(ipv4.rules, [Rule { from: Some(net("10.77.0.100/32")), to: None, table: 100, priority: 7 }]);

    assert_eq!(ipv6.extra_addresses, [net("fd77::1:1/64")]);
    let (to, source) = (net("2001:db8::/32"), via("fd77::1:1"));
    assert_eq!(ipv6.routes, [Route { to, via: via("fe80::1"), source, metric: 5, table: 254, on_link: true }]);
    let (from, to) = (Some(net("2001:db8::/32")), Some(net("fd77::100/128")));
    assert_eq!(ipv6.rules, [Rule { from, to, table: 256, priority: 1000 }]);
    assert_eq!(ipv6.holdings().announced().count(), 3, "with the link-local one");
}

#[test]
fn each_half_asks_gateways_of_its_family() {
    let [ipv4, ipv6] = held("");
    assert_eq!((ipv4.gateways, ipv6.gateways), (None, None));
    let [ipv4, ipv6] = held(r#"gateways = ["fe80::1", "10.77.0.254", "10.77.0.253"]"#);
    let addresses = |list: &[&str]| Some(list.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
    assert_eq!(ipv4.gateways, addresses(&["10.77.0.254", "10.77.0.253"]));
    assert_eq!(ipv6.gateways, addresses(&["fe80::1"]));
    let [ipv4, ipv6] = held("gateways = []");
    assert_eq!((ipv4.gateways, ipv6.gateways), (addresses(&[]), addresses(&[])));
}

#[test]
fn a_virtual_address_is_no_gateway() {
    let mistakes = mistakes_with(r#"gateways = ["10.77.0.254", "10.77.0.100"]"#);
    let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
    assert!(mistake.contains("gateways") && mistake.contains("10.77.0.100 is a virtual address itself"), "{mistake}");
}

#[test]
fn an_ipv6_route_has_the_metric_of_the_kernel() {
    let [_, ipv6] = held(r#"routes = [{ to = "default", via = "fd77::1" }, { to = "::/0", metric = 7 }]"#);
    let seen: Vec<_> = ipv6.routes.iter().map(|route| (route.to.to_string(), route.metric)).collect();
    assert_eq!(seen, [("::/0".to_owned(), 1024), ("::/0".to_owned(), 7)]);
}

#[test]
fn announcements_go_at_a_rate_or_as_they_come() {
    for (key, expected) in [
        ("", None),
        ("announcement_rate = \"off\"", None),
        ("announcement_rate = 1", NonZeroU32::new(1)),
        ("announcement_rate = 30000", NonZeroU32::new(30_000)),
    ] {
        assert_eq!(held(key)[0].announcement_rate, expected, "{key}");
    }
    let config =
        valid(&[("interface", "announcement_rate = 500\ninterface"), (VRID, &with("announcement_rate = \"off\"").1)]);
    let all: Vec<_> = config.virtual_routers.iter().map(|router| router.holdings().announcement_rate).collect();
    let general = NonZeroU32::new(500);
    assert_eq!(all, [None, None, general, general]);
    for wrong in ["0", "30001", "-1", "1.5", "\"fast\""] {
        let [mistake] = &mistakes_with(&format!("announcement_rate = {wrong}"))[..] else { panic!("not one") };
        let expected = format!("20: virtual_router \"web-a\": announcement_rate: {wrong} is no rate");
        assert!(mistake.starts_with(&expected), "{mistake}");
    }
}

#[test]
fn refreshes_are_seconds_apart_or_off() {
    let minute = Some(Duration::from_mins(1));
    for (key, expected) in [
        ("", minute),
        ("announcement_refresh = \"off\"", None),
        ("announcement_refresh = \"1s\"", Some(Duration::from_secs(1))),
        ("announcement_refresh = \"3600s\"", Some(Duration::from_hours(1))),
    ] {
        assert_eq!(held(key)[0].announcement_refresh, expected, "{key}");
    }
    let config = valid(&[
        ("interface", "announcement_refresh = \"off\"\ninterface"),
        (VRID, &with("announcement_refresh = \"5s\"").1),
    ]);
    let all: Vec<_> = config.virtual_routers.iter().map(|router| router.announcement_refresh).collect();
    let own = Some(Duration::from_secs(5));
    assert_eq!(all, [own, own, None, None]);
    for wrong in ["0s", "999ms", "3601s"] {
        let expected = format!("20: virtual_router \"web-a\": announcement_refresh: {wrong:?} is outside 1s to 3600s");
        assert_eq!(mistakes_with(&format!("announcement_refresh = {wrong:?}")), [expected]);
    }
}

#[test]
fn values_are_checked_one_by_one() {
    let cases = [
        ("routes", r#"to = "10.77.0.1/24""#, "to: \"10.77.0.1/24\" has bits of a host beyond its prefix length"),
        ("routes", r#"to = "everywhere""#, "to: \"everywhere\" is neither an address nor a network"),
        ("routes", r#"to = "224.0.0.0/4""#, "to: \"224.0.0.0/4\" is multicast"),
        ("routes", r#"to = "default", via = "10.77.0.1/24""#, "via: \"10.77.0.1/24\" is not an address"),
        ("routes", r#"to = "default", via = "0.0.0.0""#, "via: \"0.0.0.0\" is the unspecified address"),
        ("routes", r#"to = "192.0.2.0/24", metric = 0"#, "metric: 0 is not a metric"),
        ("routes", r#"to = "192.0.2.0/24", table = "main""#, "table: \"main\" is not a routing table"),
        ("routes", r#"to = "192.0.2.0/24", table = 255"#, "table: 255 is not a routing table"),
        ("routes", r#"to = "192.0.2.0/24", dev = "eth0""#, "dev: unknown key"),
        ("routes", r#"via = "10.77.0.1""#, "to: missing"),
        ("rules", r#"from = "10.77.0.100", table = 100, priority = 0"#, "priority: 0 is not the priority of a rule"),
        ("rules", r#"from = "10.77.0.100", table = 4294967296"#, "table: 4294967296 is not a routing table"),
        ("rules", r#"from = "10.77.0.100""#, "table: missing"),
    ];
    for (key, element, what) in cases {
        let expected = format!("20: virtual_router \"web-a\": {key} 1: {what}");
        assert_eq!(mistakes_with(&format!("{key} = [{{ {element} }}]")), [expected], "{element}");
    }
    assert_eq!(mistakes_with("routes = 1"), ["20: virtual_router \"web-a\": routes: 1 is not an array of tables"]);
}

#[test]
fn what_does_not_go_together_is_told_at_once() {
    assert_eq!(
        mistakes_with(
            r#"routes = [
  { to = "default" },
  { to = "192.0.2.0/24", via = "fd77::1" },
  { to = "192.0.2.0/24", on_link = true },
  { to = "192.0.2.0/24", metric = 1, source = "10.77.0.99" },
]
rules = [
  { table = 100 },
  { from = "10.77.0.100", to = "fd77::/64", table = 100 },
]"#
        ),
        [
            "21: virtual_router \"web-a\": routes 1: \"default\" is of IPv4 or of IPv6, and nothing says of which",
            "22: virtual_router \"web-a\": routes 2: IPv4 and IPv6 do not go together in one route",
            "23: virtual_router \"web-a\": routes 3: on_link: only a next hop can be on the link",
            "23: virtual_router \"web-a\": routes 3: is virtual_router \"web-a\": routes 2 (line 22) already",
            "24: virtual_router \"web-a\": routes 4: source: 10.77.0.99 is no address of this virtual router",
            "27: virtual_router \"web-a\": rules 1: neither from nor to is given, so it would be for all packets",
            "28: virtual_router \"web-a\": rules 2: IPv4 and IPv6 do not go together in one rule",
        ]
    );
}

#[test]
fn an_ipv6_next_hop_above_a_virtual_mac_address_is_link_local() {
    let keys = |via: &str| format!("virtual_mac = true\nroutes = [{{ to = \"default\", via = \"{via}\" }}]");
    assert_eq!(
        mistakes_with(&keys("fd77::1")),
        [
            "21: virtual_router \"web-a\": routes 1: via: fd77::1 cannot be reached from the interface that virtual_mac = true makes"
        ]
    );
    assert_eq!(held(&keys("fe80::1"))[1].routes.len(), 1);
    assert_eq!(held(&keys("10.77.0.1"))[0].routes.len(), 1);
}

/// The kernel has it once, and the first that is no longer Active would take it from the other.
#[test]
fn no_route_and_no_rule_is_of_two_virtual_routers() {
    let held = "routes = [{ to = \"default\", via = \"10.77.0.254\", table = 100 }]\n\
                rules = [{ from = \"192.0.2.0/24\", table = 100 }]";
    let [first, second] = [VRID, "vrid = 52"].map(|vrid| (vrid, format!("{vrid}\n{held}")));
    assert_eq!(
        mistakes(&[(first.0, &first.1), (second.0, &second.1)]),
        [
            "28: virtual_router \"web-b\": routes 1: is virtual_router \"web-a\": routes 1 (line 20) already",
            "29: virtual_router \"web-b\": rules 1: is virtual_router \"web-a\": rules 1 (line 21) already",
        ]
    );
}

#[test]
fn nothing_is_held_that_no_half_of_the_entry_would_hold() {
    let ipv4_only = (r#""10.77.0.100/24", "fd77::100/64""#, r#""10.77.0.100/24""#);
    let (from, to) = with(
        "extra_addresses = [\"fd77::1:1/64\"]\nroutes = [{ to = \"::/0\" }]\nrules = [{ to = \"fd77::1\", table = 7 }]",
    );
    assert_eq!(
        mistakes(&[ipv4_only, (from, &to)]),
        [
            "20: virtual_router \"web-a\": extra_addresses: is of IPv6, and `addresses` has none of that",
            "21: virtual_router \"web-a\": routes 1: is of IPv6, and `addresses` has none of that",
            "22: virtual_router \"web-a\": rules 1: is of IPv6, and `addresses` has none of that",
        ]
    );
}

#[test]
fn extra_addresses_are_nobody_elses() {
    for (extra, expected) in [
        (
            "10.77.0.101/24",
            "27: virtual_router \"web-b\": addresses: 10.77.0.101 is listed in virtual_router \"web-a\" (line 20) already",
        ),
        (
            "10.77.0.100/24",
            "20: virtual_router \"web-a\": extra_addresses: 10.77.0.100 is listed in virtual_router \"web-a\" (line 21) already",
        ),
        (
            "10.77.0.2/24",
            "20: virtual_router \"web-a\": extra_addresses: 10.77.0.2 is the own address of node \"n2\" (line 11)",
        ),
    ] {
        assert_eq!(mistakes_with(&format!("extra_addresses = [\"{extra}\"]")), [expected]);
    }
}
