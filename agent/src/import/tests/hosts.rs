//! Several hosts, and what they say of each other.

use super::*;

/// What host `number` of three says, who all are unicast peers: of each of them a third of the addresses.
fn of_three(number: usize) -> String {
    let peers = (1..=3).filter(|other| *other != number).map(|other| format!("  10.0.0.{other}\n"));
    let peers = peers.collect::<Vec<_>>().concat();
    let router = |at: usize| {
        // Host 1 is the best for the first, host 2 for the second; the others follow in turn.
        let priority = [200, 150, 100][(number + 2 - at) % 3];
        format!(
            "vrrp_instance VI_{at} {{\n interface eth0\n virtual_router_id 5{at}\n version 3\n priority {priority}\n unicast_peer {{\n{peers} }}\n \
             virtual_ipaddress {{\n  10.0.0.10{at}/24\n }}\n}}\n"
        )
    };
    (0..3).map(router).collect()
}

#[test]
fn three_hosts_become_one_file() {
    let names = ["n1", "n2", "n3"];
    let texts: Vec<_> = (1..=3).map(of_three).collect();
    let files: Vec<_> = names.into_iter().zip(texts.iter().map(String::as_str)).collect();
    let sources = names.map(|name| source(name, name));
    let import = import(&Memory::of(&files), &sources, &Options::default()).unwrap();
    let expected = r#"# From the configurations of keepalived: the same file goes to every node, as /etc/vipd/vipd.toml.
# `vipd check` says what is missing in it.

[cluster]
name = "keepalived"
interface = "eth0"
advertisement_interval = "1s"
transport = "unicast"

[[node]]
name = "n1"
address = "10.0.0.1"

[[node]]
name = "n2"
address = "10.0.0.2"

[[node]]
name = "n3"
address = "10.0.0.3"

[[virtual_router]]
# n1:1
name = "VI_0"
vrid = 50
addresses = ["10.0.0.100/24"]
nodes = ["n1", "n2", "n3"]

[[virtual_router]]
# n1:14
name = "VI_1"
vrid = 51
addresses = ["10.0.0.101/24"]
nodes = ["n2", "n3", "n1"]

[[virtual_router]]
# n1:27
name = "VI_2"
vrid = 52
addresses = ["10.0.0.102/24"]
nodes = ["n3", "n1", "n2"]
"#;
    assert_eq!(import.toml, expected);
    assert_eq!(check(&import).virtual_routers.len(), 3);
    assert!(import.notes.iter().all(|note| note.class == crate::import::Class::Changed), "{:?}", notes(&import));
}

#[test]
fn one_host_tells_its_peers_and_not_their_priorities() {
    let files = Memory::of(&[("k.conf", &of_three(1))]);
    let import = import(&files, &[source("n1", "k.conf")], &Options::default()).unwrap();
    assert!(
        import.toml.contains("[[node]]\n# address is missing: see ip -4 address show dev eth0\nname = \"n1\"\n"),
        "{}",
        import.toml
    );
    assert!(
        import.toml.contains("priorities = { n1 = 200, host-10-0-0-2 = 0, host-10-0-0-3 = 0 }\n"),
        "{}",
        import.toml
    );
    assert!(has(&import, "missing: no file says from which address n1 sends its adverts"), "{:?}", notes(&import));
    // What is missing is reported, by line.
    let identity = Identity { node: Some("n1".to_owned()), ..Identity::default() };
    let error = Config::parse(&import.toml, Path::new("vipd.toml"), &identity).unwrap_err().to_string();
    assert!(error.contains("vipd.toml:10: node \"n1\": address: missing"), "{error}");
    assert!(error.contains("virtual_router \"VI_2\": priorities.host-10-0-0-2: 0 is not a priority"), "{error}");
}

#[test]
fn a_multicast_host_alone_is_said_to_be_alone() {
    let import = one(&instance(""));
    assert!(has(&import, "missing: k.conf:1: no other node is known"), "{:?}", notes(&import));
    check(&import);
}

#[test]
fn a_file_for_all_hosts_is_read_as_each() {
    let text = instance("@high priority 170\n@low priority 85\n mcast_src_ip 10.0.0.1\n@low mcast_src_ip 10.0.0.2");
    let sources = ["high", "low"].map(|name| source(name, "k.conf"));
    let import = import(&Memory::of(&[("k.conf", &text)]), &sources, &Options::default()).unwrap();
    assert!(import.toml.contains("priorities = { high = 170, low = 85 }\n"), "{}", import.toml);
    assert!(import.toml.contains("name = \"high\"\naddress = \"10.0.0.1\"\n"), "{}", import.toml);
    assert!(import.toml.contains("name = \"low\"\naddress = \"10.0.0.2\"\n"), "{}", import.toml);
}

#[test]
fn contradictions_name_both_places() {
    let base = " version 3\n notify /etc/n.sh root";
    // (what the second host says otherwise, the note)
    let cases = [
        (" version 2\n notify /etc/n.sh root", "lost: n2.conf:7: VI_1: version is 2 here, and 3 at n1.conf:7"),
        (" version 3\n use_vmac", "lost: n2.conf:8: VI_1: use_vmac is true here, and false at n1.conf:1"),
        (" version 3\n no_accept", "lost: n2.conf:8: VI_1: accept is false here, and true at n1.conf:1"),
        (
            " version 3\n unicast_peer {\n  10.0.0.1\n }",
            "lost: n2.conf:9: VI_1: adverts are sent by unicast here, and multicast at n1.conf:1",
        ),
        (
            " version 3\n track_interface {\n  eth1\n }",
            "lost: n2.conf:9: VI_1 tracks something else here than at n1.conf:1",
        ),
        (
            " version 3\n garp_master_refresh 9",
            "changed: n2.conf:8: VI_1: garp_master_refresh is 9 here, and not given at n1.conf:1",
        ),
    ];
    for (other, note) in cases {
        let import = several(&[&instance(base), &instance(other)]);
        assert!(has(&import, note), "{note}: {:?}", notes(&import));
    }
    let import = several(&[&instance(base), &instance(base).replace("10.0.0.101", "10.0.0.111")]);
    let note = "lost: n2.conf:5: VI_1: virtual_ipaddress is [10.0.0.111/24] here, and [10.0.0.101/24] at n1.conf:5";
    assert!(has(&import, note), "{:?}", notes(&import));
    let import = several(&[&instance(base), &instance(base).replace("eth0", "ens3")]);
    assert!(has(&import, "lost: n2.conf:2: VI_1-51 is on ens3 here, and on eth0 at n1.conf:2"), "{:?}", notes(&import));
    let import = several(&[&instance(base), &instance(base).replace("VI_1", "web")]);
    assert!(has(&import, "changed: n2.conf:1: web is called VI_1 at n1.conf:1"), "{:?}", notes(&import));
}

#[test]
fn instances_on_several_interfaces_are_imported_one_by_one() {
    let text = instance("") + &instance("").replace("VI_1", "VI_2").replace("eth0", "eth1").replace(".101", ".102");
    let import = one(&text);
    assert!(has(&import, "lost: k.conf:10: VI_2 is on eth1, and others are on eth0"), "{:?}", notes(&import));
    let options = Options { interface: Some("eth1".to_owned()), ..Options::default() };
    let import = super::import(&Memory::of(&[("k.conf", &text)]), &[source("n1", "k.conf")], &options).unwrap();
    assert!(!import.loses() && import.toml.contains("VI_2") && !import.toml.contains("VI_1"), "{}", import.toml);

    // Nothing is said of what is not imported.
    let strange = text
        .replace("eth0", "eth0\n oddity")
        .replace("vrrp_instance VI_1", "vrrp_sync_group G {\n group {\n  VI_1\n }\n}\nvrrp_instance VI_1");
    let of = |text: &str| super::import(&Memory::of(&[("k.conf", text)]), &[source("n1", "k.conf")], &options).unwrap();
    let import = of(&strange);
    assert!(!import.loses() && !import.toml.contains("[[group]]"), "{}", import.toml);
    assert!(
        !notes(&import).iter().any(|note| note.contains("oddity") || note.contains("VI_1")),
        "{:?}",
        notes(&import)
    );
    // A group of which a part is elsewhere would fall apart.
    let import = of(&strange.replace("  VI_1\n", "  VI_1\n  VI_2\n"));
    assert!(
        has(&import, "lost: k.conf:3: VI_1 is on another interface, and its group G would fall apart"),
        "{:?}",
        notes(&import)
    );
    let import = of(&instance(""));
    assert!(has(&import, "lost: there is no vrrp_instance on eth1"), "{:?}", notes(&import));
}

#[test]
fn routes_and_rules_go_with_the_addresses() {
    let lines = " virtual_routes {\n  src 10.0.0.101 192.0.2.0/24 via 10.0.0.254 dev eth0 table 100 metric 5\n  default via 10.0.0.253\n  blackhole \
                 198.51.100.0/24\n  203.0.113.9 via 10.0.0.1 dev eth1\n }\n virtual_rules {\n  from 10.0.0.101 table 100 priority 7\n  fwmark 5 table 3\n }";
    let import = one(&instance(lines));
    let expected = r#"routes = [
    { to = "192.0.2.0/24", source = "10.0.0.101", via = "10.0.0.254", table = 100, metric = 5 },
    { to = "default", via = "10.0.0.253" },
]
rules = [
    { from = "10.0.0.101", table = 100, priority = 7 },
]
"#;
    assert!(import.toml.contains(expected), "{}", import.toml);
    assert!(
        has(&import, "lost: k.conf:10: this route is left out; vipd has no such routes: blackhole"),
        "{:?}",
        notes(&import)
    );
    assert!(
        has(&import, "lost: k.conf:11: this route is left out; vipd has no such routes: dev with another interface"),
        "{:?}",
        notes(&import)
    );
    assert!(
        has(&import, "lost: k.conf:15: this rule is left out; vipd has no such rules: fwmark, 5"),
        "{:?}",
        notes(&import)
    );
    check(&import);
}

#[test]
fn routes_lead_over_the_interface_of_the_instance() {
    let note =
        "changed: k.conf:8: this route leads over eth0, and keepalived lets the kernel find the interface of 192.0.2.1";
    // (route, whether it may lead elsewhere)
    for (route, is_noted) in [
        ("198.51.100.0/24 via 192.0.2.1", true),
        ("198.51.100.0/24 via 192.0.2.1 dev eth0", false),
        ("198.51.100.0/24 via 10.0.0.254", false),
    ] {
        let import = one(&instance(&format!(" virtual_routes {{\n  {route}\n }}")));
        assert_eq!(has(&import, note), is_noted, "{route}: {:?}", notes(&import));
        assert!(import.toml.contains("{ to = \"198.51.100.0/24\", via = ") && !import.loses(), "{}", import.toml);
    }
}

#[test]
fn the_process_of_the_first_host_that_says_something_counts() {
    let globals = |lines: &str| format!("global_defs {{\n{lines}\n}}\n") + &instance("");
    let import = several(&[&globals(" vrrp_rt_priority 10"), &globals(" vrrp_rt_priority 20")]);
    assert!(import.toml.contains("[process]\nrealtime_priority = 10\n"), "{}", import.toml);
    assert!(has(&import, "changed: n1.conf:2: not all hosts have this realtime_priority"), "{:?}", notes(&import));
    let import = several(&[&globals(" vrrp_rt_priority 10"), &globals(" vrrp_rt_priority 10")]);
    assert!(!notes(&import).iter().any(|note| note.contains("not all hosts")), "{:?}", notes(&import));
}
