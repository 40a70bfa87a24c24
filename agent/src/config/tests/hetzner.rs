//! `[[hetzner]]`: what it becomes, and what is wrong with it.

use super::*;
use crate::{
    config::hetzner::{Hetzner, Login, Route},
    secret::Secret,
};

const ROBOT: &str = "router = \"web-a\"\nfailover_ip = \"203.0.113.9\"\nusername = \"#ws+x\"\npassword = \"/p\"\n\
                     servers = { n1 = \"198.51.100.1\", n2 = \"198.51.100.2\" }";
const FLOATING: &str = "router = \"web-a\"\nfloating_ip = \"203.0.113.9\"\ntoken = \"env:TOKEN\"";
const ALIAS: &str = "router = \"web-a\"\nalias_ip = \"10.0.0.9\"\nnetwork = \"lan\"\ntoken = \"env:TOKEN\"";

fn with(lines: &str) -> String {
    format!("{BASE}\n[[hetzner]]\nname = \"x\"\n{lines}\n")
}

/// The entry for a node.
fn entry(lines: &str, node: &str) -> Hetzner {
    let config = parse(&with(lines), node).unwrap();
    assert_eq!(config.warnings, []);
    config.hetzner.into_iter().next().unwrap()
}

#[test]
fn each_kind_has_its_defaults() {
    let seconds = Duration::from_secs;
    let token = || Login::Bearer(Secret::Environment("TOKEN".to_owned()));
    let login = Login::Basic { username: "#ws+x".to_owned(), password: Secret::File("/p".into()) };
    let failover = |server: [u8; 4], sharers| {
        let address = [203, 0, 113, 9].into();
        Route::Failover { address, server: server.into(), sharers }
    };
    let floating = |server: &str| Route::Floating { address: [203, 0, 113, 9].into(), server: server.to_owned() };
    let alias = Route::Alias { address: [10, 0, 0, 9].into(), network: "lan".to_owned(), server: "n1".to_owned() };
    let robot_url = "https://robot-ws.your-server.de/";
    let cloud_url = "https://api.hetzner.cloud/v1";
    let named = format!("{FLOATING}\nservers = {{ n1 = \"web-1\" }}");
    for (lines, node, route, login, url, recheck) in [
        (ROBOT, "n1", failover([198, 51, 100, 1], 1), login.clone(), robot_url, 120),
        (ROBOT, "n2", failover([198, 51, 100, 2], 1), login, robot_url, 120),
        (FLOATING, "n2", floating("n2"), token(), cloud_url, 60),
        (&named, "n1", floating("web-1"), token(), cloud_url, 60),
        (&named, "n2", floating("n2"), token(), cloud_url, 60),
        (ALIAS, "n1", alias, token(), cloud_url, 60),
    ] {
        let expected = Hetzner {
            name: "x".to_owned(),
            router: "web-a".to_owned(),
            route,
            login,
            endpoint: url.parse().unwrap(),
            ca_file: None,
            timeout: seconds(10),
            recheck: seconds(recheck),
        };
        assert_eq!(entry(lines, node), expected, "{lines}");
    }
}

#[test]
fn what_robot_allows_is_shared() {
    let second = ROBOT.replace("203.0.113.9", "203.0.113.10").replace("web-a", "web-b");
    let text = format!("{}[[hetzner]]\nname = \"y\"\n{second}\n", with(ROBOT));
    let config = parse(&text, "n1").unwrap();
    for entry in config.hetzner {
        assert!(matches!(entry.route, Route::Failover { sharers: 2, .. }), "{entry:?}");
        assert_eq!(entry.recheck, Duration::from_mins(4));
    }
}

/// A node that takes no part in the virtual router has nothing to do with its address, and need be no server.
#[test]
fn only_nodes_that_take_part_need_a_server() {
    let third = "[[node]]\nname = \"n3\"\naddress = \"10.77.0.3\"\nlink_local = \"fe80::3\"\n";
    let text = format!("{}{third}", with(ROBOT));
    assert_eq!(parse(&text, "n3").unwrap().hetzner, []);
    assert_eq!(parse(&text, "n1").unwrap().hetzner.len(), 1);
}

#[test]
fn a_group_can_be_followed() {
    let group = "[[group]]\nname = \"web\"\nvirtual_routers = [\"web-a\"]\n";
    let text = format!("{}{group}", with(&ROBOT.replace("web-a", "web")));
    assert_eq!(parse(&text, "n1").unwrap().hetzner[0].router, "web");
}

/// What is said of an entry, case by case.
fn check_said(cases: &[(String, &[&str])]) {
    for (lines, expected) in cases {
        let prefix = "hetzner \"x\": ";
        let said = mistakes_in(&with(lines));
        let said: Vec<_> =
            said.iter().map(|what| what.split_once(prefix).map_or(what.as_str(), |(_, rest)| rest)).collect();
        assert_eq!(said, *expected, "{lines}");
    }
}

/// `ROBOT` with the first of these replaced by the second.
fn robot(from: &str, to: &str) -> String {
    assert!(ROBOT.contains(from), "{from}");
    ROBOT.replace(from, to)
}

#[test]
fn what_is_wrong_is_said() {
    check_said(&[
        (String::new(), &["router: missing", "it says not what is routed"]),
        (format!("{FLOATING}\nalias_ip = \"10.0.0.9\""), &["it says more than one address to be routed"]),
        (robot("web-a", "web-c"), &["router: there is no virtual router or group \"web-c\""]),
        (robot("\npassword = \"/p\"", ""), &["password: missing"]),
        (robot("\nusername = \"#ws+x\"", ""), &["username: missing"]),
        (robot("\"/p\"", "\"s3cret\""), &["password: it says not where the secret is"]),
        (format!("{ROBOT}\ntoken = \"/t\""), &["token: it is no key of a [[hetzner]] with failover_ip"]),
        (format!("{FLOATING}\nnetwork = \"lan\""), &["network: it is no key of a [[hetzner]] with floating_ip"]),
        (ALIAS.replace("\nnetwork = \"lan\"", ""), &["network: missing"]),
        (FLOATING.replace("\ntoken = \"env:TOKEN\"", ""), &["token: missing"]),
        (
            robot("203.0.113.9", "10.0.0.9"),
            &["failover_ip: 10.0.0.9 is a private address, which no failover or floating IP is"],
        ),
        (robot("203.0.113.9", "203.0.113.9/32"), &["failover_ip: \"203.0.113.9/32\" is not an address"]),
        (
            FLOATING.replace("203.0.113.9", "fd77::9"),
            &["floating_ip: fd77::9 is a private address, which no failover or floating IP is"],
        ),
        (
            ALIAS.replace("10.0.0.9", "203.0.113.9"),
            &["alias_ip: 203.0.113.9 is no private address, and alias IPs are of a private network"],
        ),
        (
            ALIAS.replace("10.0.0.9", "fd77::9"),
            &["alias_ip: fd77::9 is an IPv6 address, and private networks of Cloud have none"],
        ),
    ]);
}

#[test]
fn what_is_wrong_with_servers_and_times_is_said() {
    let servers = |servers: &str| robot("servers = { n1 = \"198.51.100.1\", n2 = \"198.51.100.2\" }", servers);
    let ipv6 = |server: &str| {
        let lines = servers(&format!("servers = {{ n1 = \"{server}\", n2 = \"2001:db8:2::\" }}"));
        lines.replace("203.0.113.9", "2001:db8:ffff::")
    };
    check_said(&[
        (servers(""), &["servers: it says not which server n1 and n2 is"]),
        (servers("servers = { n1 = \"198.51.100.1\" }"), &["servers: it says not which server n2 is"]),
        (robot("n2 = ", "n3 = "), &["servers.n3: there is no node \"n3\"", "servers: it says not which server n2 is"]),
        (robot("198.51.100.2", "web-2"), &["servers.n2: \"web-2\" is not an address, by which Robot knows servers"]),
        (
            robot("198.51.100.2", "10.77.0.2"),
            &["servers.n2: \"10.77.0.2\" is a private address, which Robot does not know"],
        ),
        (robot("198.51.100.2", "203.0.113.9"), &["servers.n2: \"203.0.113.9\" is what is to be routed, not where to"]),
        (
            robot("198.51.100.2", "198.51.100.1"),
            &["servers.n2: \"198.51.100.1\" is the server of \"n1\" already, so \"n2\" could not have the address"],
        ),
        (
            robot("198.51.100.2", "2001:db8::"),
            &["servers.n2: \"2001:db8::\" is an IPv6 address, and 203.0.113.9 is routed to the main IPv4 address"],
        ),
        (
            ipv6("198.51.100.1"),
            &["servers.n1: \"198.51.100.1\" is an IPv4 address, and 2001:db8:ffff:: is routed to the main IPv6 subnet"],
        ),
        (
            ipv6("2001:db8:1::1"),
            &[
                "servers.n1: \"2001:db8:1::1\" is an address in the server's subnet, and Robot knows the subnet by its first",
            ],
        ),
        (
            format!("{FLOATING}\nservers = {{ n1 = \"n2\" }}"),
            &["servers.n1: \"n2\" is the server of the node of that name, for which no other one is given"],
        ),
        (
            format!("{FLOATING}\nendpoint = \"http://127.0.0.1:80\""),
            &["endpoint: password or token would be sent over http:// for everybody to read"],
        ),
        (format!("{FLOATING}\nrecheck = \"100ms\""), &["recheck: \"100ms\" is outside 1s to 3600s"]),
        (
            format!("{ROBOT}\nrecheck = \"60s\""),
            &[
                "recheck: it would be read every 60s, for 1 failover IPs, and Robot allows 100 requests an hour, of which half are for \
               takeovers",
            ],
        ),
    ]);
}

#[test]
fn an_address_follows_one_thing() {
    let twice = format!("{}[[hetzner]]\nname = \"y\"\n{FLOATING}\n", with(ROBOT));
    let said = mistakes_in(&twice);
    assert!(said.len() == 1 && said[0].contains("203.0.113.9 is routed by hetzner \"x\" (line"), "{said:?}");
    let same_name = format!("{}[[hetzner]]\nname = \"x\"\n{}\n", with(ROBOT), FLOATING.replace(".9", ".8"));
    assert_eq!(mistakes_in(&same_name).len(), 1);
}

#[test]
fn secrets_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vipd.toml");
    let lines = FLOATING.replace("env:TOKEN", &format!("{}/token", dir.path().display()));
    fs::write(&file, with(&lines)).unwrap();
    let Err(ConfigError::Invalid(diagnostics)) = Config::read(&file, &by_name("n1")) else { panic!("valid") };
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    assert_eq!(diagnostics[0].key, "hetzner \"x\": token");
}
