//! Where the guard sits, what the fence is for, and how the process competes.

use super::*;

fn with_guard(lines: &str) -> Config {
    valid(&[("[[node]]", &format!("[guard]\n{lines}\n\n[[node]]"))])
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_rung_of_the_ladder_can_be_asked_for() {
    let cases = [
        ("auto", Attach::Auto),
        ("native", Attach::Native),
        ("tcx", Attach::Tcx),
        ("clsact", Attach::Clsact),
        ("generic", Attach::Generic),
        ("off", Attach::Off),
    ];
    for (word, expected) in cases {
        let config = with_guard(&format!("attach = \"{word}\"\nvlan = \"sub-interface\""));
        assert_eq!((config.guard.attach, config.guard.vlan), (expected, VlanGuard::SubInterface));
        assert_eq!(config.warnings, [], "{word}");
    }
}

#[test]
fn the_parent_of_a_vlan_is_for_xdp() {
    for attach in ["", "attach = \"auto\"", "attach = \"native\"", "attach = \"generic\""] {
        let config = with_guard(&format!("vlan = \"parent\"\n{attach}"));
        assert_eq!((config.guard.vlan, &config.warnings[..]), (VlanGuard::Parent, &[][..]), "{attach}");
    }
    for attach in ["tcx", "clsact", "off"] {
        let config = with_guard(&format!("vlan = \"parent\"\nattach = \"{attach}\""));
        let expected = format!(
            "warning: vipd.toml:6: guard: vlan: \"parent\" changes nothing: attach = \"{attach}\" puts no XDP program on \
             the parent\n  help: remove it, or write attach = \"auto\", \"native\" or \"generic\""
        );
        assert_eq!(warnings(&config), [expected]);
    }
}

const OWNER: [(&str, &str); 2] = [
    (r#"["10.77.0.100/24", "fd77::100/64"]"#, r#"["10.77.0.1/24", "fd77::1/64", "fe80::1/64"]"#),
    (r#"nodes = ["n1", "n2"]"#, "priorities = { n1 = 255, n2 = 100 }"),
];

fn fences(text: &str, node: &str) -> Vec<Fence> {
    parse(text, node).unwrap().virtual_routers.iter().map(|router| router.fence).collect()
}

#[test]
fn the_owner_of_the_addresses_is_not_fenced() {
    use Fence::{Auto, Off};

    let text = edited(&OWNER);
    assert_eq!(fences(&text, "n1"), [Off, Off, Auto, Auto]);
    assert_eq!(fences(&text, "n2"), [Auto, Auto, Auto, Auto]);
    let text = text.replacen("interface", "fence = \"auto\"\ninterface", 1);
    assert_eq!(fences(&text, "n1"), [Off, Off, Auto, Auto]);
    assert_eq!(warnings(&parse(&text, "n1").unwrap()), [""; 0]);
}

#[test]
fn to_ask_for_the_fence_of_an_owner_is_a_warning() {
    let text = edited(&OWNER).replacen("vrid = 51", "vrid = 51\nfence = \"auto\"", 1);
    for node in ["n1", "n2"] {
        let config = parse(&text, node).unwrap();
        let expected = "warning: vipd.toml:20: virtual_router \"web-a\": fence: \"n1\" owns the addresses and is never \
                        fenced\n  help: remove it: without it the owner is not fenced, and the other nodes are";
        assert_eq!(warnings(&config), [expected], "{node}");
    }
    assert_eq!(fences(&text, "n1")[0], Fence::Off);
    let text = text.replacen("fence = \"auto\"", "fence = \"off\"", 1);
    assert_eq!(fences(&text, "n2")[0], Fence::Off);
    assert_eq!(warnings(&parse(&text, "n1").unwrap()), [""; 0]);
}

#[test]
fn what_the_process_asks_for_must_exist() {
    let wrong = |line: &str| {
        let text = edited(&[("[[node]]", &format!("[process]\n{line}\n\n[[node]]"))]);
        parse(&text, "n1").unwrap_err().to_string()
    };
    let cases = [
        (
            "realtime_priority = 0",
            "process: realtime_priority: 0 is no real-time priority\n  help: give a whole number from 1 to 99",
        ),
        ("realtime_priority = 100", "100 is no real-time priority"),
        ("lock_memory = 1", "process: lock_memory: 1 is not a boolean"),
        ("cpus = [1, 1024]", "process: cpus: 1024 is no CPU\n  help: give numbers from 0 to 1023"),
        ("cpus = 2", "process: cpus: 2 is not an array"),
        ("nice = 3", "process: nice: unknown key"),
    ];
    for (line, told) in cases {
        let error = wrong(line);
        assert!(error.contains(told), "{line}: {error}");
    }
}
