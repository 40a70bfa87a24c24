//! What a good file becomes. What a bad one is told is in `mistakes` and, for single values, in `values`.

mod auth;
mod groups;
mod guard;
mod health;
mod hetzner;
mod holdings;
mod identity;
mod key_files;
mod kubernetes;
mod manner;
mod metrics;
mod mistakes;
mod notify;
mod reference;
mod senders;
mod values;

use super::*;

/// Two nodes, two dual-stack virtual routers, everything else left to the defaults.
const BASE: &str = r#"[cluster]
name = "ingress"
interface = "vsw0"

[[node]]
name = "n1"
address = "10.77.0.1"
address6 = "fd77::1"
link_local = "fe80::1"

[[node]]
name = "n2"
address = "10.77.0.2"
address6 = "fd77::2"
link_local = "fe80::2"

[[virtual_router]]
name = "web-a"
vrid = 51
addresses = ["10.77.0.100/24", "fd77::100/64"]
nodes = ["n1", "n2"]

[[virtual_router]]
name = "web-b"
vrid = 52
addresses = ["10.77.0.101/24", "fd77::101/64"]
nodes = ["n2", "n1"]
"#;

/// `BASE` with the first occurrence of each left side replaced by the right side.
fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the text");
        text.replacen(from, to, 1)
    })
}

fn by_name(node: &str) -> Identity {
    Identity { node: Some(node.to_owned()), ..Identity::default() }
}

fn parse(text: &str, node: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("vipd.toml"), &by_name(node))
}

fn valid(edits: &[(&str, &str)]) -> Config {
    parse(&edited(edits), "n1").unwrap()
}

/// The first line of each diagnostic about the edited text, without severity and file.
fn mistakes(edits: &[(&str, &str)]) -> Vec<String> {
    mistakes_in(&edited(edits))
}

fn mistakes_in(text: &str) -> Vec<String> {
    let Err(ConfigError::Invalid(diagnostics)) = parse(text, "n1") else { panic!("valid:\n{text}") };
    let first_line = |diagnostic: &Diagnostic| {
        let text = diagnostic.to_string();
        let (first, help) = text.split_once("\n  help: ").unwrap();
        assert!(!help.is_empty() && !help.contains('\n'), "{help:?}");
        first.trim_start_matches("error: vipd.toml:").trim_start().to_owned()
    };
    diagnostics.iter().map(first_line).collect()
}

/// Each case replaces `from` in the base text by its first part; its second part is the one mistake expected of that.
fn check(from: &str, cases: &[(&str, &str)]) {
    for (to, expected) in cases {
        assert_eq!(mistakes(&[(from, to)]), [*expected], "{to}");
    }
}

fn priorities(config: &Config) -> Vec<u8> {
    config.virtual_routers.iter().map(|router| router.priority.get()).collect()
}

fn addresses(router: &VirtualRouter) -> Vec<String> {
    router.addresses.iter().map(ToString::to_string).collect()
}

/// Rows: +A13
#[test]
fn a_dual_stack_entry_is_two_virtual_routers() {
    let config = valid(&[]);

    let web_a = VirtualRouter {
        name: "web-a".to_owned(),
        vrid: Vrid::new(51).unwrap(),
        family: Family::Ipv4,
        interface: "vsw0".to_owned(),
        priority: Priority::new(200).unwrap(),
        version: Version::V3,
        authentication: version_2::Authentication::None,
        preempt_after: Some(Duration::ZERO),
        startup_delay: Duration::ZERO,
        down_timer_adverts: 3,
        advertisement_interval: Centiseconds::new(100).unwrap(),
        learned_interval_max: Some(Duration::from_secs(2)),
        stagger: Duration::from_millis(20),
        transport: Transport::Multicast,
        min_ttl: 255,
        checksum: ChecksumForm::PseudoHeader,
        accept: true,
        virtual_mac: false,
        addresses: vec!["10.77.0.100/24".parse().unwrap()],
        extra_addresses: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        checks: Vec::new(),
        announcement_rate: None,
        announcement_refresh: Some(Duration::from_mins(1)),
        gateways: None,
        link_local_first: false,
        own_address: OwnAddress::Configured("10.77.0.1".parse().unwrap()),
        peers: vec![Peer {
            node: "n2".to_owned(),
            priority: Priority::new(150).unwrap(),
            source: PeerSource::Address("10.77.0.2".parse().unwrap()),
            mac: None,
        }],
        link_local_senders: LinkLocalSenders::Listed,
        nodes: 2,
        fence: Fence::Auto,
        group: Some(Membership { group: "web-a".to_owned(), is_listed: false, breaks_ties: true }),
    };
    let web_a6 = VirtualRouter {
        family: Family::Ipv6,
        group: Some(Membership { group: "web-a".to_owned(), is_listed: false, breaks_ties: false }),
        addresses: vec!["fe80::200:5eff:fe00:233/64".parse().unwrap(), "fd77::100/64".parse().unwrap()],
        link_local_first: true,
        own_address: OwnAddress::Configured("fe80::1".parse().unwrap()),
        peers: vec![Peer { source: PeerSource::Address("fe80::2".parse().unwrap()), ..web_a.peers[0].clone() }],
        ..web_a.clone()
    };
    assert_eq!(config.cluster, "ingress");
    assert_eq!(config.node, "n1");
    let guard = Guard { mode: Mode::Enforce, attach: Attach::Auto, vlan: VlanGuard::SubInterface, log_drops: false };
    assert_eq!(config.guard, guard);
    assert_eq!(config.process, Process { realtime_priority: None, lock_memory: false, cpus: vec![] });
    assert_eq!(config.auth, None);
    assert_eq!(config.virtual_routers[..2], [web_a, web_a6]);
    assert_eq!(config.virtual_routers[2].name, "web-b");
    assert_eq!(config.virtual_routers.len(), 4);
    assert_eq!(config.warnings, []);
}

#[test]
fn the_sample_file_is_valid_for_each_of_its_nodes() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/vipd.toml"));
    let cases = [
        ("n1", [200, 200, 100, 100, 150, 150]),
        ("n2", [150, 150, 200, 200, 100, 100]),
        ("n3", [100, 100, 150, 150, 200, 200]),
    ];
    for (node, expected) in cases {
        let config = Config::read(path, &by_name(node)).unwrap();

        assert_eq!(priorities(&config), expected, "{node}");
        assert_eq!(config.warnings, [], "{node}");
        assert_eq!(config.auth, None, "{node}");
        let pin = config.virtual_routers[5].peers[0].mac.unwrap().to_string();
        assert_eq!(pin, if node == "n3" { "02:00:00:00:00:01" } else { "02:00:00:00:00:03" }, "{node}");
    }
}

/// What the sample file has behind `# ` to be taken in is correct as well.
#[test]
fn the_authentication_in_the_sample_file_is_valid() {
    let text = include_str!("../../../deploy/examples/vipd.toml");
    let (before, after) = text.split_once("# [auth]\n").unwrap();
    let (block, after) = after.split_once("\n\n").unwrap();
    let text = format!("{before}[auth]\n{}\n\n{after}", block.replace("# ", ""));

    let auth = parse(&text, "n1").unwrap().auth.unwrap();
    assert_eq!((auth.mode, auth.active_key, auth.keys.len()), (AuthMode::Enforce, KeyId::new(1), 1));
    assert_eq!((auth.window, auth.clock_grace), (Duration::from_secs(5), Duration::from_mins(1)));
}

#[test]
fn the_notifications_in_the_sample_file_are_valid() {
    let text = include_str!("../../../deploy/examples/vipd.toml");
    let (before, after) = text.split_once("# [[notify]]\n").unwrap();
    let (block, after) = after.split_once("\n\n").unwrap();
    let lines: Vec<_> = block.lines().map(|line| line.trim_start_matches('#').trim_start()).collect();
    let config = parse(&format!("{before}[[notify]]\n{}\n\n{after}", lines.join("\n")), "n1").unwrap();

    assert_eq!(config.warnings, []);
    let names: Vec<_> = config.notify.iter().map(|notify| (notify.name.as_str(), notify.way.name())).collect();
    let expected = [("script", "exec"), ("pipe", "fifo"), ("chat", "webhook"), ("alerts", "webhook"), ("mail", "mail")];
    assert_eq!(names, expected);
}

/// Rows: +A8
#[test]
fn priorities_follow_the_order_of_nodes() {
    let cases: [(&str, &[u8]); 5] = [
        ("one", &[200]),
        ("two", &[200, 150]),
        ("four", &[200, 150, 100, 50]),
        ("five", &[200, 163, 126, 89, 52]),
        ("seven", &[200, 175, 150, 125, 100, 75, 50]),
    ];
    for (case, expected) in cases {
        let priorities: Vec<_> = (1..=expected.len()).map(|own| priority_of(own, expected.len())).collect();
        assert_eq!(priorities, expected, "{case}");
    }
    assert_eq!([priority_of(1, 160), priority_of(2, 160), priority_of(160, 160)], [200, 199, 41]);
}

/// Priority of the node at place `own`, counted from 1, where an IPv4 virtual router lists `count` nodes.
fn priority_of(own: usize, count: usize) -> u8 {
    let names: Vec<_> = (1..=count).map(|number| format!("n{number}")).collect();
    let node = |number| format!("{{ name = 'n{number}', address = '10.77.0.{number}' }}");
    let text = format!(
        "cluster = {{ name = 'many', interface = 'eth0' }}\n\
         virtual_router = [{{ name = 'vr', vrid = 1, addresses = ['10.77.0.250/24'], nodes = {names:?} }}]\n\
         node = [{}]\n",
        (1..=count).map(node).collect::<Vec<_>>().join(", ")
    );
    parse(&text, &format!("n{own}")).unwrap().virtual_routers[0].priority.get()
}

#[test]
fn given_priorities_are_taken_and_peers_keep_their_order() {
    let config = valid(&[(r#"nodes = ["n1", "n2"]"#, "priorities = { n2 = 7, n1 = 0x63 }")]);
    assert_eq!(priorities(&config), [99, 99, 150, 150]);

    let third = "[[node]]\nname = \"n0\"\naddress = \"10.77.0.9\"\nlink_local = \"fe80::9\"\n\n[[node]]\nname = \"n2\"";
    let config = valid(&[
        ("[[node]]\nname = \"n2\"", third),
        (r#"nodes = ["n1", "n2"]"#, "priorities = { n2 = 3, n1 = 2, n0 = 1 }"),
    ]);
    let peers: Vec<_> = config.virtual_routers[0].peers.iter().map(|peer| peer.node.as_str()).collect();
    assert_eq!(peers, ["n2", "n0"]);
}

#[test]
fn a_node_runs_only_what_lists_it() {
    let config = valid(&[(r#"nodes = ["n1", "n2"]"#, r#"nodes = ["n2"]"#)]);
    let names: Vec<_> = config.virtual_routers.iter().map(|router| router.name.as_str()).collect();
    assert_eq!(names, ["web-b", "web-b"]);
}

#[test]
fn an_entry_overrides_the_cluster_and_the_cluster_the_defaults() {
    let config = valid(&[
        (
            "interface = \"vsw0\"\n",
            "interface = \"vsw0\"\nadvertisement_interval = \"100ms\"\npreempt = false\ntransport = \"unicast\"\n\
             fence = \"off\"\n\
             [process]\nrealtime_priority = 50\nlock_memory = true\ncpus = [0, 0x3]\n\
             [guard]\nmode = \"observe\"\nattach = \"generic\"\nvlan = \"parent\"\nlog_drops = true\n",
        ),
        (
            "vrid = 51\n",
            "vrid = 51\ninterface = \"vlan.7\"\nadvertisement_interval = \"0.5s\"\npreempt = true\n\
             transport = \"multicast\"\nfence = \"auto\"\n",
        ),
    ]);

    let guard = Guard { mode: Mode::Observe, attach: Attach::Generic, vlan: VlanGuard::Parent, log_drops: true };
    assert_eq!(config.guard, guard);
    assert_eq!(config.process, Process { realtime_priority: Some(50), lock_memory: true, cpus: vec![0, 3] });
    let [own, _, inherited, _] = &config.virtual_routers[..] else { panic!("not four virtual routers") };
    assert_eq!(
        (own.interface.as_str(), own.advertisement_interval.get(), own.preempt_after, own.transport),
        ("vlan.7", 50, Some(Duration::ZERO), Transport::Multicast)
    );
    assert_eq!(
        (
            inherited.interface.as_str(),
            inherited.advertisement_interval.get(),
            inherited.preempt_after,
            inherited.transport
        ),
        ("vsw0", 10, None, Transport::Unicast)
    );
    assert_eq!(own.learned_interval_max, Some(Duration::from_secs(1)));
    assert_eq!((own.fence, inherited.fence), (Fence::Auto, Fence::Off));
}

#[test]
fn the_supervisor_can_be_switched_off() {
    assert!(valid(&[]).supervisor);
    for (text, supervises) in [("true", true), ("false", false)] {
        let keys = format!("supervisor = {text}\ninterface =");
        assert_eq!(valid(&[("interface =", &keys)]).supervisor, supervises);
    }
    assert_eq!(
        mistakes(&[("interface =", "supervisor = \"on\"\ninterface =")]),
        ["3: cluster: supervisor: \"on\" is not a boolean"]
    );
}

#[test]
fn a_supervisor_waits_for_another_run_for_so_long() {
    assert_eq!(valid(&[]).restart_grace, Duration::ZERO);
    let with = |keys: &str| format!("{keys}\ninterface =");
    assert_eq!(valid(&[("interface =", &with("restart_grace = \"2s\""))]).restart_grace, Duration::from_secs(2));
    let [mistake] = &mistakes(&[("interface =", &with("restart_grace = \"61s\""))])[..] else { panic!("not one") };
    assert!(mistake.starts_with("3: cluster: restart_grace: \"61s\" is outside"), "{mistake}");
    assert_eq!(
        mistakes(&[("interface =", &with("supervisor = false\nrestart_grace = \"2s\""))]),
        ["4: cluster: restart_grace: nobody advertises for an agent that is gone, since supervisor = false"]
    );
    let unguarded = "[guard]\nattach = \"off\"\n[[virtual_router]]";
    let config = valid(&[("interface =", &with("restart_grace = \"2s\"")), ("[[virtual_router]]", unguarded)]);
    let [warning] = &config.warnings[..] else { panic!("not one: {:?}", config.warnings) };
    assert!(warning.to_string().contains("no guard keeps this node from answering"), "{warning}");
}

#[test]
fn rfc_pure_waits_as_the_rfc_has_it() {
    let config = valid(&[("interface =", "rfc_pure = true\ninterface =")]);
    assert_eq!(config.virtual_routers[0].learned_interval_max, None);
    assert_eq!(config.virtual_routers[0].stagger, Duration::ZERO);
}

/// Rows: +A10
#[test]
fn time_spans_are_exact() {
    let cases =
        [("10ms", 1), ("0.01s", 1), ("100ms", 10), ("1.5 s", 150), ("20.0ms", 2), ("40.95s", 4095), ("40950ms", 4095)];
    for (text, count) in cases {
        let config = valid(&[("interface =", &format!("advertisement_interval = \"{text}\"\ninterface ="))]);
        assert_eq!(config.virtual_routers[0].advertisement_interval.get(), count, "{text}");
    }
}

/// RFC 9568 §5.2.9, erratum 8300: no list is advertised with another address first.
/// Rows: +A14 -A14
#[test]
fn ipv6_adverts_begin_with_a_link_local_address() {
    // (case, addresses, the order of the advert)
    let cases = [
        ("none listed", r#"["fd77::100/64"]"#, vec!["fe80::200:5eff:fe00:233/64", "fd77::100/64"]),
        (
            "listed last",
            r#"["fd77::100/64", "fd77::99/64", "fe80::100/64"]"#,
            vec!["fe80::100/64", "fd77::100/64", "fd77::99/64"],
        ),
        (
            "two listed",
            r#"["fd77::100/64", "fe80::b/64", "fe80::a/64"]"#,
            vec!["fe80::b/64", "fd77::100/64", "fe80::a/64"],
        ),
    ];
    for (case, listed, expected) in cases {
        let config = valid(&[(r#"["10.77.0.100/24", "fd77::100/64"]"#, listed)]);
        assert_eq!(addresses(&config.virtual_routers[0]), expected, "{case}");
        assert_eq!(config.virtual_routers[0].family, Family::Ipv6, "{case}");
    }
}

/// RFC 9568 §5.2.9. The list is neither in order of size nor the reverse of it.
/// Rows: +A15 -A15
#[test]
fn addresses_keep_their_order_on_every_node() {
    let listed = r#"["fd77::b/64", "10.77.0.9/24", "fd77::c/64", "10.7.0.0/31", "fd77::a/64", "10.77.0.8/32"]"#;
    let text = edited(&[(r#"["10.77.0.100/24", "fd77::100/64"]"#, listed)]);
    for node in ["n1", "n2"] {
        let config = parse(&text, node).unwrap();
        let [ipv4, ipv6, ..] = &config.virtual_routers[..] else { panic!("{config:?}") };
        assert_eq!(addresses(ipv4), ["10.77.0.9/24", "10.7.0.0/31", "10.77.0.8/32"], "{node}");
        let expected = ["fe80::200:5eff:fe00:233/64", "fd77::b/64", "fd77::c/64", "fd77::a/64"];
        assert_eq!(addresses(ipv6), expected, "{node}");
    }
}

#[test]
fn a_pinned_mac_stands_in_for_a_link_local_address() {
    let config = valid(&[
        ("link_local = \"fe80::2\"", "mac = \"02:00:00:00:00:02\""),
        ("link_local = \"fe80::1\"", "mac = \"02:00:00:00:00:01\""),
    ]);

    let [ipv4, ipv6, ..] = &config.virtual_routers[..] else { panic!("no virtual routers") };
    let pin = MacAddr([2, 0, 0, 0, 0, 2]);
    assert_eq!(ipv6.own_address, OwnAddress::LinkLocal);
    assert_eq!(ipv6.peers, [Peer { source: PeerSource::Mac(pin), mac: Some(pin), ..ipv4.peers[0].clone() }]);
    assert_eq!(ipv4.peers[0].source, PeerSource::Address("10.77.0.2".parse().unwrap()));
    assert_eq!(ipv4.peers[0].mac, Some(pin));
}

#[test]
fn unicast_uses_the_wider_ipv6_addresses() {
    let config = valid(&[
        ("interface =", "transport = \"unicast\"\ninterface ="),
        ("link_local = \"fe80::1\"\n", ""),
        ("link_local = \"fe80::2\"\n", ""),
    ]);

    let ipv6 = &config.virtual_routers[1];
    assert_eq!(ipv6.own_address, OwnAddress::Configured("fd77::1".parse().unwrap()));
    assert_eq!(ipv6.peers[0].source, PeerSource::Address("fd77::2".parse().unwrap()));
}

#[test]
fn a_lone_node_needs_no_link_local_address() {
    let config = valid(&[
        ("link_local = \"fe80::1\"\n", ""),
        (r#"nodes = ["n1", "n2"]"#, r#"nodes = ["n1"]"#),
        (r#"nodes = ["n2", "n1"]"#, r#"nodes = ["n2"]"#),
    ]);
    assert_eq!(config.virtual_routers[1].own_address, OwnAddress::LinkLocal);
    assert_eq!(config.virtual_routers[1].peers, []);
}

#[test]
fn a_node_that_takes_no_part_needs_no_addresses() {
    valid(&[
        ("address = \"10.77.0.2\"\naddress6 = \"fd77::2\"\nlink_local = \"fe80::2\"\n", ""),
        (r#"nodes = ["n1", "n2"]"#, r#"nodes = ["n1"]"#),
        (r#"nodes = ["n2", "n1"]"#, r#"nodes = ["n1"]"#),
    ]);
}

/// Rows: +A8
#[test]
fn an_address_owner_has_priority_255() {
    let config = valid(&[
        (r#"["10.77.0.100/24", "fd77::100/64"]"#, r#"["10.77.0.1/24", "fd77::1/64", "fe80::1/64"]"#),
        (r#"nodes = ["n1", "n2"]"#, "priorities = { n1 = 255, n2 = 100 }"),
    ]);
    assert_eq!(priorities(&config)[..2], [255, 255]);
}

#[test]
fn the_same_vrid_and_link_local_address_serve_on_two_interfaces() {
    let config = valid(&[
        (r#""fd77::100/64"]"#, r#""fd77::100/64", "fe80::a/64"]"#),
        (r#""fd77::101/64"]"#, r#""fd77::101/64", "fe80::a/64"]"#),
        ("vrid = 52\n", "vrid = 51\ninterface = \"eth1\"\n"),
    ]);
    assert_eq!(addresses(&config.virtual_routers[3]), ["fe80::a/64", "fd77::101/64"]);
}

#[test]
fn the_families_of_one_interface_have_vrids_of_their_own() {
    let config = valid(&[
        (r#"["10.77.0.100/24", "fd77::100/64"]"#, r#"["10.77.0.100/24"]"#),
        (r#"["10.77.0.101/24", "fd77::101/64"]"#, r#"["fd77::101/64"]"#),
        ("vrid = 52", "vrid = 51"),
    ]);
    assert_eq!(config.virtual_routers.len(), 2);
}

#[test]
fn equal_priorities_are_a_warning() {
    let config = valid(&[(r#"nodes = ["n1", "n2"]"#, "priorities = { n1 = 100, n2 = 100 }")]);

    let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
    assert_eq!(
        warning.to_string(),
        "warning: vipd.toml:21: virtual_router \"web-a\": priorities.n2: \"n1\" and \"n2\" have the same priority, 100\n  \
         help: give each its own, or their addresses decide between them"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let path = Path::new("no/such/vipd.toml");
    let error = Config::read(path, &by_name("n1")).unwrap_err();
    assert_eq!(error.to_string(), "failed to read configuration `no/such/vipd.toml`");
    assert!(matches!(error, ConfigError::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound));
}
