//! What a bad file is told: `LINE: KEY: WHAT` of each mistake, by line.

use super::*;

#[test]
fn every_mistake_is_reported_at_once_by_line() {
    let error = parse(
        &edited(&[
            ("name = \"ingress\"", "nome = \"ingress\"\nadvertisement_interval = 1"),
            ("address = \"10.77.0.2\"", "address = \"10.77.0\""),
            ("vrid = 51", "vrid = 0"),
            ("\"fd77::101/64\"", "\"fd77::100/64\""),
        ]),
        "n3",
    )
    .unwrap_err();
    let expected = r#"error: vipd.toml:1: cluster: name: missing
  help: add name = ... to this table
error: vipd.toml:2: cluster: nome: unknown key
  help: did you mean "name"?
error: vipd.toml:3: cluster: advertisement_interval: 1 is not a string
  help: write it in quotes: "1s"
error: vipd.toml:6: node: --node or $VIPD_NODE says "n3", which is no node of this file
  help: choose one of n1, n2, or add a [[node]]
error: vipd.toml:14: node "n2": address: "10.77.0" is not an IPv4 address
  help: give the node's primary IPv4 address on the interface, without prefix length
error: vipd.toml:20: virtual_router "web-a": vrid: 0 is not a VRID
  help: give a whole number from 1 to 255 that no other virtual router on the LAN has
error: vipd.toml:27: virtual_router "web-b": addresses: fd77::100 is listed in virtual_router "web-a" (line 21) already
  help: list each address once"#;
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_is_not_toml_is_one_mistake() {
    check(
        "vrid = 51",
        &[
            ("vrid = ", "19: not TOML: string values must be quoted, expected literal string"),
            ("vrid = 51\nvrid = 52", "20: not TOML: duplicate key"),
        ],
    );
    assert_eq!(mistakes_in("[cluster\n").len(), 1);
    assert_eq!(mistakes_in("a = [1,\n2").len(), 1);
}

#[test]
fn unknown_keys_are_found_in_every_table() {
    check("[cluster]", &[("cheques = 1\n[cluster]", "1: cheques: unknown key")]);
    check("interface", &[("intreface = 1\ninterface", "3: cluster: intreface: unknown key")]);
    check("[[node]]", &[("[guard]\ncolour = 1\n[[node]]", "6: guard: colour: unknown key")]);
    check("link_local", &[("adress = 1\nlink_local", "9: node \"n1\": adress: unknown key")]);
    check("vrid", &[("cheques = []\nvrid", "19: virtual_router \"web-a\": cheques: unknown key")]);
}

#[test]
fn an_unknown_key_is_told_the_key_it_resembles() {
    let cases = [
        ("[[node]]", "adress", "did you mean \"address\"?"),
        ("[[node]]", "adress6", "did you mean \"address6\"?"),
        ("[[node]]", "link-local", "did you mean \"link_local\"?"),
        (
            "[[node]]",
            "colour",
            "remove it; the keys here are name, address, address6, link_local, mac, kubernetes_name",
        ),
        ("[[virtual_router]]", "vid", "did you mean \"vrid\"?"),
        ("[[virtual_router]]", "vriid", "did you mean \"vrid\"?"),
    ];
    for (table, key, remedy) in cases {
        let text = edited(&[(table, &format!("{table}\n{key} = 1"))]);
        let Err(ConfigError::Invalid(diagnostics)) = parse(&text, "n1") else { panic!("valid: {key}") };
        assert_eq!(diagnostics[0].remedy, remedy, "{key}");
    }
}

/// Rows: -A7 -A9
#[test]
fn required_keys_are_required() {
    check("name = \"ingress\"\n", &[("", "1: cluster: name: missing")]);
    check("vrid = 51\n", &[("", "17: virtual_router \"web-a\": vrid: missing")]);
    check("name = \"web-a\"\n", &[("", "17: virtual_router 1: name: missing")]);
    check(
        "interface = \"vsw0\"\n",
        &[("", "1: cluster: interface: missing, and virtual_router \"web-a\" (line 16) gives none of its own")],
    );
    assert_eq!(
        mistakes(&[("addresses = [\"10.77.0.100/24\", \"fd77::100/64\"]\n", "")]),
        ["17: virtual_router \"web-a\": addresses: missing"]
    );
    assert_eq!(mistakes(&[("name = \"n2\"\n", "")]), ["11: node 2: name: missing"]);
}

#[test]
fn an_empty_file_lacks_everything() {
    assert_eq!(
        mistakes_in(""),
        ["cluster: name: missing", "node: there is no node", "virtual_router: there is no virtual router"]
    );
}

#[test]
fn without_nodes_no_reference_is_wrong() {
    let text = &BASE[BASE.find("[[virtual_router]]").unwrap()..];
    let head = "[cluster]\nname = \"c\"\ninterface = \"eth0\"\n";
    assert_eq!(mistakes_in(&format!("{head}{text}")), ["node: there is no node"]);
}

#[test]
fn tables_must_be_of_the_right_kind() {
    let cases = [("guard = 1", "1: guard: 1 is not a table"), ("guard = []", "1: guard: an array is not a table")];
    for (line, expected) in cases {
        assert_eq!(mistakes(&[("[cluster]", &format!("{line}\n[cluster]"))]), [expected]);
    }
    let lone = "cluster = { name = 'c', interface = 'eth0' }\n";
    assert_eq!(
        mistakes_in(&format!("{lone}[node]\n[virtual_router]\n")),
        [
            "node: there is no node",
            "virtual_router: there is no virtual router",
            "2: node: a table is not an array of tables",
            "3: virtual_router: a table is not an array of tables",
        ]
    );
    assert_eq!(
        mistakes_in(&format!("{lone}node = [1]\nvirtual_router = [\n2]\n")),
        [
            "node: there is no node",
            "virtual_router: there is no virtual router",
            "2: node: 1 is not a table",
            "4: virtual_router: 2 is not a table",
        ]
    );
}

#[test]
fn names_must_be_unique() {
    check(
        "\"web-b\"",
        &[(
            "\"web-a\"",
            "24: virtual_router \"web-a\": name: web-a is that of virtual_router \"web-a\" (line 18) already",
        )],
    );
    assert_eq!(
        mistakes(&[("name = \"n2\"", "name = \"n1\"")])[0],
        "12: node \"n1\": name: n1 is that of node \"n1\" (line 6) already"
    );
}

#[test]
fn a_vrid_serves_once_on_an_interface() {
    check(
        "vrid = 52",
        &[(
            "vrid = 51",
            "25: virtual_router \"web-b\": vrid: 51 is the VRID of virtual_router \"web-a\" (line 19) already, on vsw0 too",
        )],
    );
}

#[test]
fn an_address_is_listed_once() {
    check(
        "10.77.0.101/24",
        &[(
            "10.77.0.100/32",
            "26: virtual_router \"web-b\": addresses: 10.77.0.100 is listed in virtual_router \"web-a\" (line 20) already",
        )],
    );
    check(
        "\"10.77.0.100/24\", ",
        &[(
            "\"10.77.0.100/24\", \"10.77.0.100/24\", ",
            "20: virtual_router \"web-a\": addresses: 10.77.0.100 is listed in virtual_router \"web-a\" (line 20) already",
        )],
    );
    // Another interface does not make it another address, unless it is link-local.
    assert_eq!(
        mistakes(&[("10.77.0.101/24", "10.77.0.100/24"), ("vrid = 52", "interface = \"eth1\"\nvrid = 52")]),
        [
            "27: virtual_router \"web-b\": addresses: 10.77.0.100 is listed in virtual_router \"web-a\" (line 20) already"
        ]
    );
    assert_eq!(
        mistakes(&[("fd77::100/64", "fe80::a/64"), ("fd77::101/64", "fe80::a/64")]),
        ["26: virtual_router \"web-b\": addresses: fe80::a is listed in virtual_router \"web-a\" (line 20) already"]
    );
}

/// Adverts come from a node's own address, which is thus never a virtual one that moves.
/// Rows: -A3
#[test]
fn a_virtual_address_is_no_nodes_own() {
    for (from, own, node) in [
        ("10.77.0.100/24", "10.77.0.2", "n2\" (line 11"),
        ("fd77::100/64", "fd77::1", "n1\" (line 5"),
        ("fd77::100/64", "fe80::2", "n2\" (line 11"),
    ] {
        let expected = format!("20: virtual_router \"web-a\": addresses: {own} is the own address of node \"{node})");
        assert_eq!(mistakes(&[(from, &format!("{own}/24"))]), [expected]);
    }
    // Not even of a node that takes no part.
    assert_eq!(
        mistakes(&[("10.77.0.100/24", "10.77.0.2/24"), (r#"["n1", "n2"]"#, r#"["n1"]"#)]),
        ["20: virtual_router \"web-a\": addresses: 10.77.0.2 is the own address of node \"n2\" (line 11)"]
    );
}

/// RFC 9568 §5.2.4.
/// Rows: -A8
#[test]
fn priority_255_is_for_the_owner_of_all_addresses() {
    let owner = (r#"nodes = ["n1", "n2"]"#, "priorities = { n1 = 255, n2 = 100 }");
    let listed = r#"["10.77.0.100/24", "fd77::100/64"]"#;
    let cases = [
        (r#"["10.77.0.100/24"]"#, "10.77.0.100/24"),
        (r#"["10.77.0.1/24", "10.77.0.100/24"]"#, "10.77.0.100/24"),
        (r#"["10.77.0.1/24", "fd77::1/64"]"#, "fe80::200:5eff:fe00:233/64"),
    ];
    for (addresses, foreign) in cases {
        let expected = format!(
            "21: virtual_router \"web-a\": priorities.n1: 255 is for the owner of all addresses, and {foreign} is not \
             \"n1\"'s own"
        );
        assert_eq!(mistakes(&[(listed, addresses), owner]), [expected]);
    }
}

#[test]
fn nodes_and_priorities_name_nodes_once() {
    check(
        r#"nodes = ["n1", "n2"]"#,
        &[
            (r#"nodes = ["n1", "n4"]"#, "21: virtual_router \"web-a\": nodes: there is no node \"n4\""),
            ("priorities = { n1 = 3, n4 = 2 }", "21: virtual_router \"web-a\": priorities.n4: there is no node \"n4\""),
            (r#"nodes = ["n1", "n2", "n1"]"#, "21: virtual_router \"web-a\": nodes: \"n1\" is listed twice"),
            ("nodes = []", "17: virtual_router \"web-a\": no node takes part"),
            ("priorities = {}", "17: virtual_router \"web-a\": no node takes part"),
            ("", "17: virtual_router \"web-a\": neither nodes nor priorities is given"),
            (
                "nodes = [\"n1\"]\npriorities = { n1 = 9 }",
                "17: virtual_router \"web-a\": nodes and priorities are both given",
            ),
        ],
    );
}

#[test]
fn own_addresses_are_unique() {
    check(
        "\"10.77.0.2\"",
        &[("\"10.77.0.1\"", "13: node \"n2\": address: 10.77.0.1 is that of node \"n1\" (line 7) already")],
    );
    check(
        "\"fd77::2\"",
        &[("\"fd77::1\"", "14: node \"n2\": address6: fd77::1 is that of node \"n1\" (line 8) already")],
    );
    check(
        "\"fe80::2\"",
        &[("\"fe80::1\"", "15: node \"n2\": link_local: fe80::1 is that of node \"n1\" (line 9) already")],
    );
    let mac = "mac = \"02:00:00:00:00:01\"\n";
    assert_eq!(
        mistakes(&[
            ("link_local = \"fe80::2\"\n", mac),
            ("link_local = \"fe80::1\"\n", &mac.to_uppercase().replace("MAC", "mac")),
        ]),
        ["15: node \"n2\": mac: 02:00:00:00:00:01 is that of node \"n1\" (line 9) already"]
    );
}

#[test]
fn every_node_of_a_virtual_router_has_the_address_it_needs() {
    check(
        "address = \"10.77.0.2\"\n",
        &[("", "11: node \"n2\": address: missing, but virtual_router \"web-a\" (line 16) needs it for IPv4")],
    );
    assert_eq!(
        mistakes(&[("address6 = \"fd77::2\"\n", ""), ("vrid = 52", "vrid = 52\ntransport = \"unicast\"")]),
        ["11: node \"n2\": address6: missing, but virtual_router \"web-b\" (line 22) needs it for IPv6"]
    );
    // One that is there but wrong is not missing too.
    check("\"10.77.0.2\"", &[("\"10.77.0\"", "13: node \"n2\": address: \"10.77.0\" is not an IPv4 address")]);
}

/// Rows: +A18 -A18
#[test]
fn an_advert_holds_so_many_addresses() {
    let ipv4 = |count: usize| {
        let listed: Vec<_> = (0..count).map(|n| format!("10.78.{}.{}/16", n / 100, n % 100 + 1)).collect();
        format!("{listed:?}")
    };
    let ipv6 = |count: usize| {
        let listed: Vec<_> = (1..=count).map(|n| format!("fd78::{n:x}/64")).collect();
        format!("{listed:?}")
    };
    let listed = r#"["10.77.0.100/24", "fd77::100/64"]"#;
    valid(&[(listed, &ipv4(255))]);
    valid(&[(listed, &ipv6(89))]);
    assert_eq!(
        mistakes(&[(listed, &ipv4(256))]),
        ["20: virtual_router \"web-a\": addresses: 256 IPv4 addresses do not fit into one advert"]
    );
    assert_eq!(
        mistakes(&[(listed, &ipv6(90))]),
        [
            "20: virtual_router \"web-a\": addresses: 91 IPv6 addresses (one of them link-local) do not fit into one advert"
        ]
    );
    // A signed advert is 28 bytes longer: room for one IPv6 address less, and for all of IPv4.
    let auth = "[auth]\nmode = \"receive-only\"\nkeys = [{ id = 1, file = \"/k\" }]\n[[node]]";
    valid(&[(listed, &ipv4(255)), ("[[node]]", auth)]);
    valid(&[(listed, &ipv6(88)), ("[[node]]", auth)]);
    assert_eq!(
        mistakes(&[(listed, &ipv6(89)), ("[[node]]", auth)]),
        [
            "23: virtual_router \"web-a\": addresses: 90 IPv6 addresses (one of them link-local) do not fit into one advert"
        ]
    );
}
