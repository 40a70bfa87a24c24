//! What is said of values that are wrong by themselves.

use super::*;

#[test]
fn values_must_be_of_the_right_type() {
    check("\"ingress\"", &[("1.5", "2: cluster: name: 1.5 is not a string")]);
    check(
        "vrid = 51",
        &[
            ("vrid = \"51\"", "19: virtual_router \"web-a\": vrid: \"51\" is not a VRID"),
            (
                "vrid = 51\npreempt = \"yes\"",
                "20: virtual_router \"web-a\": preempt: \"yes\" is not a boolean, nor a table with `after`",
            ),
        ],
    );
    check(
        r#"["n1", "n2"]"#,
        &[
            ("\"n1\"", "21: virtual_router \"web-a\": nodes: \"n1\" is not an array"),
            ("[\"n1\", \"n2\",\n3]", "22: virtual_router \"web-a\": nodes: 3 is not a string"),
            ("[3]", "21: virtual_router \"web-a\": nodes: 3 is not a string"),
        ],
    );
    check(
        r#"nodes = ["n1", "n2"]"#,
        &[
            ("priorities = [1]", "21: virtual_router \"web-a\": priorities: an array is not a table"),
            (
                "priorities = { n1 = 2, n2 = true }",
                "21: virtual_router \"web-a\": priorities.n2: true is not a priority",
            ),
        ],
    );
}

#[test]
fn names_must_not_be_blank() {
    check("\"ingress\"", &[("\"\"", "2: cluster: name: \"\" is blank"), ("\" \"", "2: cluster: name: \" \" is blank")]);
    check("\"web-a\"", &[("\"\"", "18: virtual_router 1: name: \"\" is blank")]);
    check("name = \"n2\"", &[("name = \"\"", "12: node 2: name: \"\" is blank")]);
}

/// Whatever the file has, a mistake is shown in two lines.
#[test]
fn control_characters_are_quoted_and_refused() {
    // (as the file has it, as it is shown)
    let cases = [
        (r#""a\nb""#, r#""a\nb""#),
        (r#""a\tb""#, r#""a\tb""#),
        (r#""a\u001b[2Jb""#, r#""a\u{1b}[2Jb""#),
        (r#""a\u0085b""#, r#""a\u{85}b""#),
    ];
    for (written, shown) in cases {
        check("\"ingress\"", &[(written, &format!("2: cluster: name: {shown} has a control character in it"))]);
        check("[cluster]", &[(&format!("{written} = 1\n[cluster]"), &format!("1: {shown}: unknown key"))]);
        let priorities = format!("priorities = {{ n1 = 2, {written} = 0 }}");
        let expected = format!("21: virtual_router \"web-a\": priorities.{shown}: 0 is not a priority");
        check(r#"nodes = ["n1", "n2"]"#, &[(&priorities, &expected)]);
    }
    let expected = r#"3: cluster: interface: "a\u{1}" cannot be the name of an interface"#;
    check("\"vsw0\"", &[(r#""a\u0001""#, expected)]);
}

#[test]
fn interface_names_are_those_of_linux() {
    for name in ["", "a23456789012345 6", "sixteen-byte-if0", "a/b", "a b", ".", "..", "a:1"] {
        let expected = format!("3: cluster: interface: {name:?} cannot be the name of an interface");
        assert_eq!(mistakes(&[("\"vsw0\"", &format!("{name:?}"))]), [expected]);
    }
    valid(&[("\"vsw0\"", "\"fifteen-bytes-0\"")]);
}

/// RFC 9568 §5.2.3.
/// Rows: +A7 -A7
#[test]
fn vrids_are_1_to_255() {
    for vrid in [1, 255] {
        let config = valid(&[("vrid = 51", &format!("vrid = {vrid}"))]);
        assert_eq!(config.virtual_routers[0].vrid.get(), vrid);
    }
    for vrid in ["0", "256", "-1", "99999999999999999999", "51.5", "true"] {
        let expected = format!("19: virtual_router \"web-a\": vrid: {vrid} is not a VRID");
        assert_eq!(mistakes(&[("vrid = 51", &format!("vrid = {vrid}"))]), [expected]);
    }
}

/// RFC 9568 §5.2.4: 0 is said on leaving, and configured nowhere.
/// Rows: -A8
#[test]
fn priorities_are_1_to_255() {
    for priority in ["0", "256", "-5"] {
        let to = format!("priorities = {{ n1 = 100, n2 = {priority} }}");
        let expected = format!("21: virtual_router \"web-a\": priorities.n2: {priority} is not a priority");
        assert_eq!(mistakes(&[(r#"nodes = ["n1", "n2"]"#, &to)]), [expected]);
    }
    check(
        r#"nodes = ["n1", "n2"]"#,
        &[("priorities = { n1 = 0 }", "21: virtual_router \"web-a\": priorities.n1: 0 is not a priority")],
    );
}

/// RFC 9568 erratum 8301 for the limits.
/// Rows: -A10
#[test]
fn time_spans_have_a_unit_and_whole_hundredths() {
    for text in [
        "1",
        "s",
        "ms",
        "1m",
        "1.s",
        ".5s",
        "-1s",
        "+1s",
        "1e1s",
        "1 000ms",
        "",
        "10 Ms",
        "1.2.3s",
        "0.0000000001s",
        "99999999999999999999s",
    ] {
        let expected = format!("3: cluster: advertisement_interval: {text:?} is not a time span");
        assert_eq!(mistakes(&[("interface", &format!("advertisement_interval = {text:?}\ninterface"))]), [expected]);
    }
    for text in ["0s", "5ms", "15ms", "0.001s", "40.96s", "3600s", "10.000001ms"] {
        let expected = format!(
            "3: cluster: advertisement_interval: {text:?} is outside 10ms to 40.95s, or not a whole number of \
             hundredths of a second"
        );
        assert_eq!(mistakes(&[("interface", &format!("advertisement_interval = {text:?}\ninterface"))]), [expected]);
    }
}

#[test]
fn choices_name_what_there_is() {
    let guard = |line: &str| format!("[guard]\n{line}\n\n[[node]]");
    let cases = [
        ("mode = \"drop\"", "\"drop\" is not one of the choices", "write \"enforce\" or \"observe\""),
        ("mode = 1", "1 is not one of the choices", "write \"enforce\" or \"observe\""),
        (
            "attach = \"xdp\"",
            "\"xdp\" is not one of the choices",
            "write \"auto\" or \"native\" or \"tcx\" or \"clsact\" or \"generic\" or \"off\"",
        ),
        ("vlan = \"both\"", "\"both\" is not one of the choices", "write \"sub-interface\" or \"parent\""),
    ];
    for (line, what, remedy) in cases {
        let Err(ConfigError::Invalid(found)) = parse(&edited(&[("[[node]]", &guard(line))]), "n1") else {
            panic!("{line}")
        };
        assert_eq!((found[0].what.as_str(), found[0].remedy.as_str(), found.len()), (what, remedy, 1));
    }
    check(
        "vrid = 51",
        &[(
            "vrid = 51\ntransport = \"broadcast\"",
            "20: virtual_router \"web-a\": transport: \"broadcast\" is not one of the choices",
        )],
    );
    check(
        "vrid = 51",
        &[("vrid = 51\nfence = true", "20: virtual_router \"web-a\": fence: true is not one of the choices")],
    );
    check("interface", &[("fence = \"on\"\ninterface", "3: cluster: fence: \"on\" is not one of the choices")]);
}

/// Rows: -A9
#[test]
fn virtual_addresses_are_host_addresses_with_a_prefix() {
    let cases = [
        ("10.77.0.100", "has no prefix length"),
        ("fd77::100", "has no prefix length"),
        ("10.77.0.300/24", "is not an ADDRESS/PREFIX"),
        ("10.77.0.100/33", "is not an ADDRESS/PREFIX"),
        ("web.example.net", "is not an ADDRESS/PREFIX"),
        ("", "is not an ADDRESS/PREFIX"),
        ("0.0.0.0/24", "is the unspecified address"),
        ("::/64", "is the unspecified address"),
        ("224.0.0.18/24", "is a multicast address"),
        ("ff02::12/64", "is a multicast address"),
        ("127.0.0.1/8", "is a loopback address"),
        ("::1/128", "is a loopback address"),
        ("255.255.255.255/32", "is the broadcast address"),
        ("10.77.0.255/24", "is the broadcast address of its network"),
        ("10.77.0.0/24", "is the address of the network itself"),
        ("fd77::/64", "is the address of the network itself"),
        ("10.77.0.100/0", "is in no network: its prefix length is 0"),
    ];
    for (address, what) in cases {
        let expected = format!("20: virtual_router \"web-a\": addresses: {address:?} {what}");
        assert_eq!(mistakes(&[("10.77.0.100/24", address)]), [expected]);
    }
    check(
        r#"["10.77.0.100/24", "fd77::100/64"]"#,
        &[
            ("[]", "20: virtual_router \"web-a\": addresses: there is no address"),
            ("[\n\"10.77.0.100\"]", "21: virtual_router \"web-a\": addresses: \"10.77.0.100\" has no prefix length"),
        ],
    );
}

#[test]
fn own_addresses_are_of_the_right_kind() {
    let cases = [
        ("\"10.77.0.1\"", "\"fd77::1\"", "7: node \"n1\": address: \"fd77::1\" is not an IPv4 address"),
        ("\"10.77.0.1\"", "\"10.77.0.1/24\"", "7: node \"n1\": address: \"10.77.0.1/24\" is not an IPv4 address"),
        ("\"10.77.0.1\"", "\"224.0.0.18\"", "7: node \"n1\": address: \"224.0.0.18\" is a multicast address"),
        ("\"fd77::1\"", "\"10.0.0.1\"", "8: node \"n1\": address6: \"10.0.0.1\" is not an IPv6 address"),
        (
            "\"fd77::1\"",
            "\"fe80::7\"",
            "8: node \"n1\": address6: \"fe80::7\" is a link-local address, whose key is link_local",
        ),
        ("\"fd77::1\"", "\"ff02::1\"", "8: node \"n1\": address6: \"ff02::1\" is a multicast address"),
        ("\"fd77::1\"", "\"::1\"", "8: node \"n1\": address6: \"::1\" is a loopback address"),
        ("\"fe80::1\"", "\"fec0::1\"", "9: node \"n1\": link_local: \"fec0::1\" is not in fe80::/10"),
        ("\"fe80::1\"", "\"fe80::1%vsw0\"", "9: node \"n1\": link_local: \"fe80::1%vsw0\" is not an IPv6 address"),
    ];
    for (from, to, expected) in cases {
        assert_eq!(mistakes(&[(from, to)]), [expected]);
    }
    for (mac, what) in [
        ("02-00-00-00-00-01", "not a MAC address such as 02:00:00:00:00:01"),
        ("01:00:5e:00:00:12", "not the address of one station"),
        ("ff:ff:ff:ff:ff:ff", "not the address of one station"),
        ("00:00:00:00:00:00", "not the address of one station"),
    ] {
        let expected = format!("9: node \"n1\": mac: {mac:?} is {what}");
        assert_eq!(mistakes(&[("link_local", &format!("mac = {mac:?}\nlink_local"))]), [expected]);
    }
}
