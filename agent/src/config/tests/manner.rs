//! How a virtual router works, and what does not go together.

use super::*;

/// The first virtual router of the base text, of IPv4 alone, with more keys; n1 is in it.
const IPV4_ONLY: (&str, &str) = (r#""10.77.0.100/24", "fd77::100/64""#, r#""10.77.0.100/24""#);

fn with(keys: &str) -> VirtualRouter {
    valid(&[IPV4_ONLY, ("vrid = 51", &format!("vrid = 51\n{keys}"))]).virtual_routers.remove(0)
}

fn mistakes_of(keys: &str) -> Vec<String> {
    mistakes(&[IPV4_ONLY, ("vrid = 51", &format!("vrid = 51\n{keys}"))])
}

/// Rows: +A11
#[test]
fn every_key_has_its_effect() {
    let router = with(
        "preempt = { after = \"30s\" }\ndown_timer_adverts = 5\nchecksum = \"rfc9568\"\naccept = false\n\
         virtual_mac = true\ntransport = \"unicast\"\nmin_ttl = 64",
    );
    assert_eq!(router.preempt_after, Some(Duration::from_secs(30)));
    assert_eq!((router.down_timer_adverts, router.min_ttl), (5, 64));
    assert_eq!((router.checksum, router.accept, router.virtual_mac), (ChecksumForm::MessageOnly, false, true));
    assert_eq!(with("preempt = false").preempt_after, None);
    assert_eq!(with("preempt = { after = \"0s\" }").preempt_after, Some(Duration::ZERO));
}

#[test]
fn the_cluster_says_it_for_all() {
    let keys = "startup_delay = \"20s\"\ndown_timer_adverts = 2\nmin_ttl = 64\naccept = false\ninterface";
    let config = valid(&[("interface", keys)]);
    for router in &config.virtual_routers {
        assert_eq!((router.startup_delay, router.down_timer_adverts), (Duration::from_secs(20), 2));
        assert_eq!((router.min_ttl, router.accept), (255, false), "multicast adverts come from this link");
    }
}

#[test]
fn version_2_is_ipv4_with_or_without_a_password() {
    let router = with("version = 2");
    assert_eq!((router.version, router.authentication), (Version::V2, version_2::Authentication::None));
    let password = version_2::Password::new("s3cret").unwrap();
    let router = with("version = 2\npassword = \"s3cret\"\nadvertisement_interval = \"3s\"");
    assert_eq!(router.authentication, version_2::Authentication::Password(password));
    assert_eq!(router.advertisement_interval.get(), 300);
    // [cluster] may have the password for those of its virtual routers that are of version 2.
    let config = valid(&[("interface", "password = \"s3cret\"\ninterface")]);
    assert_eq!(config.virtual_routers[0].authentication, version_2::Authentication::None);
}

/// Rows: -E4
#[test]
fn version_2_knows_neither_ipv6_nor_parts_of_a_second_nor_keys() {
    assert_eq!(
        mistakes(&[("vrid = 51", "vrid = 51\nversion = 2")]),
        [
            "20: virtual_router \"web-a\": version: 2 is for IPv4 only, and virtual_router \"web-a\" (line 17) lists IPv6 \
          addresses"
        ]
    );
    assert_eq!(
        mistakes_of("version = 2\nadvertisement_interval = \"100ms\""),
        [
            "21: virtual_router \"web-a\": advertisement_interval: 100ms is no whole number of seconds, and virtual_router \
          \"web-a\" (line 17) is of version 2"
        ]
    );
    let auth = "[auth]\nmode = \"permissive\"\nactive_key = 1\nkeys = [{ id = 1, file = \"/k\" }]\n\n[[node]]";
    assert_eq!(
        mistakes(&[IPV4_ONLY, ("[[node]]", auth), ("vrid = 51", "vrid = 51\nversion = 2")]),
        [
            "25: virtual_router \"web-a\": version: 2 cannot be signed, so anyone could forge the adverts of virtual_router \
          \"web-a\" (line 22)"
        ]
    );
}

#[test]
fn what_changes_nothing_is_said() {
    let config = valid(&[IPV4_ONLY, ("vrid = 51", "vrid = 51\nversion = 2\nchecksum = \"rfc9568\"")]);
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains("checksum: changes nothing: version 2 has one form"), "{warnings:?}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (keys, expected) in [
        ("password = \"s3cret\"", "20: virtual_router \"web-a\": password: version 3 has no passwords"),
        (
            "min_ttl = 64",
            "20: virtual_router \"web-a\": min_ttl: 64 is for unicast: multicast adverts have a TTL of 255",
        ),
        ("min_ttl = 0", "20: virtual_router \"web-a\": min_ttl: 0 is not a TTL"),
        ("version = 4", "20: virtual_router \"web-a\": version: 4 is not a version of VRRP"),
        (
            "version = 2\npassword = \"ninebytes\"",
            "21: virtual_router \"web-a\": password: a password of 9 bytes does not fit",
        ),
        ("version = 2\npassword = 1111", "21: virtual_router \"web-a\": password: it is not a string"),
        (
            "down_timer_adverts = 101",
            "20: virtual_router \"web-a\": down_timer_adverts: 101 is no number of adverts that may be missed",
        ),
        ("checksum = \"both\"", "20: virtual_router \"web-a\": checksum: \"both\" is not one of the choices"),
        (
            "preempt = { before = \"1s\" }",
            "20: virtual_router \"web-a\": preempt: unknown key \"before\" beside `after`",
        ),
        ("preempt = {}", "20: virtual_router \"web-a\": preempt: `after` is missing"),
        ("preempt = { after = \"2h\" }", "20: virtual_router \"web-a\": preempt: \"2h\" is not a time span"),
        ("preempt = { after = \"3601s\" }", "20: virtual_router \"web-a\": preempt: \"3601s\" is outside 0s to 3600s"),
    ] {
        assert_eq!(mistakes_of(keys), [expected], "{keys}");
    }
}

#[test]
fn the_owner_keeps_its_mac_address_and_accepts() {
    let owner = ("nodes = [\"n1\", \"n2\"]", "priorities = { n1 = 255, n2 = 100 }");
    let own = (IPV4_ONLY.0, r#""10.77.0.1/24""#);
    let config = valid(&[own, owner, ("vrid = 51", "vrid = 51\naccept = false")]);
    assert!(config.virtual_routers[0].accept);
    assert!(config.warnings[0].to_string().contains("accept: the owner accepts all the same"), "{:?}", config.warnings);
    let peer = parse(&edited(&[own, owner, ("vrid = 51", "vrid = 51\naccept = false")]), "n2").unwrap();
    assert!(!peer.virtual_routers[0].accept);
    assert_eq!(
        mistakes(&[own, owner, ("vrid = 51", "vrid = 51\nvirtual_mac = true")]),
        ["20: virtual_router \"web-a\": virtual_mac: the owner's addresses are on its interface, and cannot have the \
          Virtual Router MAC Address"]
    );
}

/// All nodes send from one MAC address then: a pin is for that, and a node without link_local is like any other sender.
#[test]
fn a_virtual_mac_address_tells_no_nodes_apart() {
    let pinned = ("link_local = \"fe80::2\"", "mac = \"02:00:00:00:00:02\"");
    let config = valid(&[pinned, ("vrid = 51", "vrid = 51\nvirtual_mac = true")]);
    let [ipv4, ipv6, own_mac, ..] = &config.virtual_routers[..] else { panic!("{config:?}") };
    assert_eq!(ipv4.peers[0].mac, Some("00:00:5e:00:01:33".parse().unwrap()));
    assert_eq!((ipv6.peers.len(), ipv6.link_local_senders), (0, LinkLocalSenders::Unlisted));
    assert_eq!(own_mac.peers[0].mac, Some("02:00:00:00:00:02".parse().unwrap()));
    let warning = config.warnings[0].to_string();
    assert!(warning.contains("link_local: missing") && warning.contains("help: add it; or an [auth]"), "{warning}");
}

#[test]
fn no_link_local_address_is_added_or_demanded_where_peers_list_none() {
    let config = valid(&[("vrid = 51", "vrid = 51\nvirtual_link_local = false")]);
    let [_, without, _, with] = &config.virtual_routers[..] else { panic!("{config:?}") };
    assert_eq!((addresses(without), without.link_local_first), (vec!["fd77::100/64".to_owned()], false));
    assert_eq!(addresses(with), ["fe80::200:5eff:fe00:234/64", "fd77::101/64"]);
    assert!(with.link_local_first);
}
