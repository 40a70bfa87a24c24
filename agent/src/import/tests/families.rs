//! IPv4 and IPv6 in one instance, and what differs between them.

use super::*;

#[test]
fn peers_of_the_other_ip_version_are_left_out() {
    let import = one(&instance(" unicast_src_ip 10.0.0.1\n unicast_peer {\n  10.0.0.2\n  fd77::2\n }"));
    assert!(!import.toml.contains("fd77") && import.toml.contains("transport = \"unicast\"\n"), "{}", import.toml);
    let note = "ignored: k.conf:10: fd77::2 is of another IP version than the addresses";
    assert!(has(&import, note) && !import.loses(), "{:?}", notes(&import));

    let import = one(&instance(" mcast_src_ip fd77::1"));
    assert!(!import.toml.contains("fd77"), "{}", import.toml);
    let note = "lost: k.conf:7: fd77::1 is of another IP version than the addresses";
    assert!(has(&import, note), "{:?}", notes(&import));
}

/// keepalived sends unicast over IPv6 with the Hop Limit of the kernel.
#[test]
fn unicast_over_ipv6_has_a_hop_limit_of_64() {
    let ipv6 = "vrrp_instance VI_6 {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n  fe80::1/64\n }\n unicast_peer {\n  \
                fe80::2\n }\n}\n";
    let import = one(ipv6);
    assert!(import.toml.contains("min_ttl = 64\n"), "{}", import.toml);
    let note = "changed: k.conf:8: keepalived sends unicast adverts with a TTL of 64";
    assert!(has(&import, note), "{:?}", notes(&import));
}

/// No file has the IPv6 addresses of the peers, and version 3 has no password.
#[test]
fn what_moves_along_over_ipv6_is_multicast_of_version_3() {
    let host = |peer: u8| {
        instance(&format!(
            " authentication {{\n  auth_type PASS\n  auth_pass one\n }}\n unicast_ttl 3\n unicast_peer {{\n  10.0.0.{peer}\n }}\n \
             virtual_ipaddress_excluded {{\n  fd77::101/64\n }}"
        ))
    };
    let import = several(&[&host(2), &host(1)]);
    let expected = r#"[[virtual_router]]
# n1.conf:1
name = "VI_1"
vrid = 51
addresses = ["10.0.0.101/24"]
priorities = { n1 = 100, n2 = 100 }
transport = "unicast"
min_ttl = 3
version = 2
password = "one"

[[virtual_router]]
# n1.conf:16
name = "VI_1 over IPv6"
vrid = 51
addresses = ["fd77::101/64"]
priorities = { n1 = 100, n2 = 100 }

"#;
    assert!(routers(&import).starts_with(expected), "{}", import.toml);
}

#[test]
fn a_checksum_without_pseudo_header_is_for_version_3() {
    let import = one(&instance(" v3_checksum_as_v2"));
    assert!(!import.toml.contains("checksum"), "{}", import.toml);
    let import = one(&instance(" version 3\n v3_checksum_as_v2"));
    assert!(import.toml.contains("checksum = \"rfc9568\"\n"), "{}", import.toml);

    // (globally, in the instance, whether there is none)
    for (global, own, has_none) in [
        ("off", "", false),
        ("on", "", true),
        ("on", " v3_checksum_as_v2 off", false),
        ("off", " v3_checksum_as_v2", true),
    ] {
        let text =
            format!("global_defs {{\n v3_checksum_as_v2 {global}\n}}\n{}", instance(&format!(" version 3\n{own}")));
        let import = one(&text);
        assert_eq!(import.toml.contains("checksum = \"rfc9568\"\n"), has_none, "{global}, {own}: {}", import.toml);
    }
}
