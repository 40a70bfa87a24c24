//! What is tricky about keepalived's configuration: a fragment, and what becomes of it.

use std::time::Duration;

use super::*;

const MASTER: &str =
    "changed: k.conf:7: state MASTER decides nothing: every node starts as Backup, and the priority elects";

#[test]
fn state_master_without_priority_is_an_owner() {
    let import = one(&instance(" state MASTER"));
    assert!(routers(&import).contains("priorities = { n1 = 254 }\n"), "{}", import.toml);
    for note in [
        "changed: k.conf:7: state MASTER without a priority makes this host the owner",
        "changed: k.conf:7: VI_1 has the priority of an owner (255), and its addresses are not n1's own: it becomes 254",
    ] {
        assert!(has(&import, note), "{:?}", notes(&import));
    }
    check(&import);
    let import = one(&instance(" state MASTER").replace("10.0.0.101/24", "10.0.0.1/24"));
    assert!(routers(&import).contains("priorities = { n1 = 255 }\n"), "{}", import.toml);
    assert!(has(&import, "changed: k.conf:7: VI_1 is for the owner of the addresses (255)"), "{:?}", notes(&import));
    check(&import);

    let import = one(&instance(" state BACKUP"));
    assert!(routers(&import).contains("priorities = { n1 = 100 }\n"), "{}", import.toml);

    let import = one(&instance(" state MASTER\n priority 150\n nopreempt\n preempt_delay 5"));
    assert!(
        routers(&import).contains("priorities = { n1 = 150 }\n") && !import.toml.contains("preempt"),
        "{}",
        import.toml
    );
    assert!(has(&import, MASTER), "{:?}", notes(&import));
    let cleared = "changed: k.conf:9: nopreempt and preempt_delay are not in force: it does not go with state MASTER";
    assert!(has(&import, cleared), "{:?}", notes(&import));

    let import = one(&instance(" priority 255\n nopreempt"));
    let cleared = "changed: k.conf:8: nopreempt and preempt_delay are not in force: an owner always preempts";
    assert!(has(&import, cleared) && !import.toml.contains("preempt"), "{:?}", notes(&import));
}

#[test]
fn nopreempt_and_its_delay() {
    let import = one(&instance(" nopreempt\n preempt_delay 5"));
    assert!(import.toml.contains("preempt = false\n"), "{}", import.toml);
    assert!(has(&import, "ignored: k.conf:8: preempt_delay means nothing beside nopreempt"), "{:?}", notes(&import));
    let import = one(&instance(" preempt_delay 4.12"));
    assert!(import.toml.contains("preempt = { after = \"4120ms\" }\n"), "{}", import.toml);

    // Of two hosts only the better one has somebody to preempt.
    let hosts = [instance(" priority 150\n nopreempt"), instance(" priority 100")];
    let import = several(&[&hosts[0], &hosts[1]]);
    assert!(import.toml.contains("preempt = false\n"), "{}", import.toml);
    assert!(
        has(&import, "changed: n2.conf:1: VI_1: preemption is otherwise here than at n1.conf:8"),
        "{:?}",
        notes(&import)
    );
    let import = several(&[&hosts[0], &instance(" priority 120"), &hosts[1]]);
    assert!(
        has(&import, "lost: n2.conf:1: VI_1: preemption is otherwise here than at n1.conf:8"),
        "{:?}",
        notes(&import)
    );
}

#[test]
fn the_first_address_says_of_which_ip_version_an_instance_is() {
    let import = one(&instance(""));
    assert!(import.toml.contains("version = 2\n"), "{}", import.toml);
    let ipv6 = "vrrp_instance VI_6 {\n interface eth0\n virtual_router_id 51\n version 2\n virtual_ipaddress {\n  fe80::1/64\n  \
                fd77::1/64\n  10.0.0.101/24\n }\n}\n";
    let import = one(ipv6);
    assert!(!import.toml.contains("version") && !import.toml.contains("10.0.0.101"), "{}", import.toml);
    assert!(import.toml.contains("addresses = [\"fe80::1/64\", \"fd77::1/64\"]\n"), "{}", import.toml);
    assert!(
        has(&import, "ignored: k.conf:8: 10.0.0.101 is of another IP version than the first address"),
        "{:?}",
        notes(&import)
    );
    assert!(has(&import, "ignored: k.conf:4: version 2 is for IPv4 only"), "{:?}", notes(&import));
    check(&import);
}

#[test]
fn excluded_addresses_of_the_other_ip_version_keep_the_vrid() {
    let excluded = " virtual_ipaddress_excluded {\n  10.0.0.102/24\n  fd77::101/64\n }\n priority 120";
    let import = one(&instance(excluded));
    let expected = r#"[[virtual_router]]
# k.conf:1
name = "VI_1"
vrid = 51
addresses = ["10.0.0.101/24"]
extra_addresses = ["10.0.0.102/24"]
priorities = { n1 = 120 }
version = 2

[[virtual_router]]
# k.conf:9
name = "VI_1 over IPv6"
vrid = 51
addresses = ["fd77::101/64"]
priorities = { n1 = 120 }

[[group]]
name = "VI_1 all"
virtual_routers = ["VI_1", "VI_1 over IPv6"]
"#;
    assert_eq!(routers(&import), expected);
    let config = check(&import);
    assert_eq!(config.virtual_routers.len(), 2);
}

#[test]
fn intervals_are_what_the_version_can_say() {
    // (lines, advertisement_interval, the note)
    let cases = [
        ("advert_int 0.3", "\"1s\"", Some("version 2 cannot say this advert_int; keepalived makes 1000 ms of it")),
        ("version 3\n advert_int 0.3", "\"300ms\"", None),
        (
            "version 3\n advert_int 0.014",
            "\"10ms\"",
            Some("version 3 cannot say this advert_int; keepalived makes 10 ms of it"),
        ),
        ("advert_int 7", "\"7s\"", None),
        ("advert_int x", "\"1s\"", Some("advert_int \"x\" is no time from 0 to 255 s")),
        ("version 3\n advert_int 60", "\"40950ms\"", Some("advert_int of 60 s is more than vipd can")),
    ];
    for (lines, interval, note) in cases {
        let import = one(&instance(&format!(" {lines}")));
        assert!(import.toml.contains(&format!("advertisement_interval = {interval}\n")), "{lines}: {}", import.toml);
        let told = notes(&import).into_iter().find(|note| note.contains("advert_int"));
        assert_eq!(told.as_deref().and_then(|told| told.splitn(4, ':').nth(3)).map(str::trim), note, "{lines}");
    }
    let import = several(&[&instance(" down_timer_adverts 5"), &instance("")]);
    assert!(import.toml.contains("down_timer_adverts = 5\n"), "{}", import.toml);
    assert!(
        has(&import, "lost: n2.conf:1: VI_1: down_timer_adverts is 3 here, and 5 at n1.conf:7"),
        "{:?}",
        notes(&import)
    );
}

#[test]
fn of_a_password_the_first_eight_bytes_count() {
    let with = |password: &str| instance(&format!(" authentication {{\n  auth_type PASS\n  auth_pass {password}\n }}"));
    let import = several(&[&with("12345678abc"), &with("12345678xyz")]);
    assert!(import.toml.contains("password = \"12345678\"\n") && !import.loses(), "{}", import.toml);
    let note = "changed: n2.conf:9: VI_1: this password and that at n1.conf:9 differ after their first 8 bytes, which alone count";
    assert!(has(&import, note), "{:?}", notes(&import));
    let import = several(&[&with("one"), &with("two")]);
    assert!(
        has(&import, "lost: n2.conf:9: VI_1: this password is another one than that at n1.conf:9"),
        "{:?}",
        notes(&import)
    );
    let import = several(&[&with("one"), &instance("")]);
    assert!(has(&import, "lost: n2.conf:1: VI_1: one of this and n1.conf:9 has a password"), "{:?}", notes(&import));

    let import = one(&instance(" version 3\n authentication {\n  auth_type PASS\n  auth_pass one\n }"));
    assert!(
        !import.toml.contains("password") && has(&import, "ignored: k.conf:10: the password is not in force"),
        "{}",
        import.toml
    );
    for without in ["auth_pass one", "auth_type pass\n  auth_pass one", "auth_type NONE\n  auth_pass one"] {
        let import = one(&instance(&format!(" authentication {{\n  {without}\n }}")));
        assert!(!import.toml.contains("password") && !import.loses(), "{without}: {}", import.toml);
        assert!(notes(&import).iter().any(|note| note.contains("there is no auth_type PASS")), "{:?}", notes(&import));
    }
    let import = one(&instance(" authentication {\n  auth_type AH\n }"));
    assert!(has(&import, "lost: k.conf:8: vipd does not offer the IP Authentication Header"), "{:?}", notes(&import));

    // Of all quotes and escapes these words know only ".
    for (written, password) in [
        ("'secret'", r"'secret'"),
        ("it's1", "it's1"),
        (r"pa\ss", r"pa\\ss"),
        (r"a\b1", r"a\\b1"),
        (r#""two wrds""#, "two wrds"),
        (r#"one"two""#, "one"),
        (r"a\#b", "a#b"),
    ] {
        let import = one(&with(written));
        assert!(import.toml.contains(&format!("password = \"{password}\"\n")), "{written}: {}", import.toml);
    }
}

#[test]
fn signatures_are_for_all_and_keys_are_in_files() {
    let hmac = |lines: &str| instance(&format!(" version 3\n auth_hmac {{\n{lines}\n }}"));
    let key = "  key 1 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    let import = one(&hmac(&format!("{key}  key 2 file:/etc/keepalived/key\n  active_key 1\n  time_window 7")));
    let expected = "[auth]\nmode = \"enforce\"\nactive_key = 1\nkeys = [{ id = 1, file = \"/etc/vipd/keys/1\" }, \
                    { id = 2, file = \"/etc/keepalived/key\" }]\nwindow = \"7s\"\n";
    assert!(import.toml.contains(expected), "{}", import.toml);
    assert_eq!(import.keys.len(), 1);
    assert_eq!(
        import.keys[0].contents.as_str(),
        "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    );
    assert!(has(&import, "missing: k.conf:8: keys are not written"), "{:?}", notes(&import));
    check(&import);
    let import = one(&hmac("  key 1 it's-a-key\\-of-32-bytes-and-no-less\n  active_key 1"));
    assert_eq!(import.keys[0].contents.as_str(), r"it's-a-key\-of-32-bytes-and-no-less");

    // keepalived would go on without signatures.
    let import = one(&hmac(&format!("{key}  active_key 3")));
    assert!(has(&import, "lost: k.conf:8: auth_hmac names no active_key that it has"), "{:?}", notes(&import));
    let both = hmac(&format!("{key}  active_key 1"))
        + &instance("").replace("VI_1", "VI_2").replace("51", "52").replace(".101", ".102");
    let import = one(&both);
    assert!(has(&import, "lost: k.conf:13: VI_2 is of version 2, which cannot be signed"), "{:?}", notes(&import));
}

#[test]
fn unicast_needs_peers_and_checks_who_sends() {
    let import = one(&instance(" unicast_src_ip 10.0.0.1"));
    assert!(!import.toml.contains("transport"), "{}", import.toml);
    assert!(
        has(&import, "changed: k.conf:7: unicast without peers: keepalived sends multicast"),
        "{:?}",
        notes(&import)
    );
    let import = one(&instance(" unicast_fault_no_peer"));
    assert!(
        has(&import, "lost: k.conf:7: VI_1 has no peer, and unicast_fault_no_peer keeps it in FAULT"),
        "{:?}",
        notes(&import)
    );

    let import = one(&instance(" unicast_src_ip 10.0.0.1\n unicast_peer {\n  10.0.0.2\n }"));
    assert!(import.toml.contains("transport = \"unicast\"\n") && !import.toml.contains("min_ttl"), "{}", import.toml);
    assert!(import.toml.contains("priorities = { n1 = 100, host-10-0-0-2 = 0 }\n"), "{}", import.toml);
    assert!(
        has(&import, "changed: k.conf:7: adverts from other addresses than the nodes' are dropped"),
        "{:?}",
        notes(&import)
    );
    assert!(
        has(&import, "missing: k.conf:9: the configuration of the peer 10.0.0.2 was not given"),
        "{:?}",
        notes(&import)
    );

    let import = one(&instance(" unicast_peer {\n  10.0.0.2 min_ttl 254 max_ttl 255\n }"));
    assert!(import.toml.contains("min_ttl = 254\n"), "{}", import.toml);
    assert!(!notes(&import).iter().any(|note| note.contains("TTL of this peer")), "{:?}", notes(&import));
    let import =
        one(&instance(" unicast_peer {\n  10.0.0.2 min_ttl 254\n  10.0.0.3 min_ttl 250\n  10.0.0.4 min_ttl 252\n }"));
    assert!(import.toml.contains("min_ttl = 250\n"), "{}", import.toml);
    let import = one(&instance(" unicast_peer {\n  10.0.0.2 min_ttl 254\n  10.0.0.3\n }\n unicast_ttl 7"));
    assert!(import.toml.contains("min_ttl = 7\n"), "{}", import.toml);
    let note = "changed: k.conf:9: keepalived looks at no TTL of this peer; vipd drops adverts with less than 255";
    assert!(has(&import, note), "{:?}", notes(&import));
    let note = "changed: k.conf:11: keepalived sends unicast adverts with a TTL of 7";
    assert!(has(&import, note), "{:?}", notes(&import));
    assert!(!has(&import, "changed: k.conf:7: adverts from other addresses"), "{:?}", notes(&import));
    let import = one(&instance(" unicast_ttl 3\n unicast_peer {\n  10.0.0.2\n }"));
    assert!(import.toml.contains("min_ttl = 3\n"), "{}", import.toml);
}

#[test]
fn the_interface_of_an_instance_is_tracked_always() {
    let import = one(&instance(" track_interface {\n  eth0\n }"));
    assert!(!import.toml.contains("[[check]]"), "{}", import.toml);
    let import = one(&instance(" dont_track_primary"));
    assert!(
        has(&import, "lost: k.conf:7: a virtual router whose interface has no carrier is in Fault"),
        "{:?}",
        notes(&import)
    );
    let import =
        one(&instance("").replace("10.0.0.101/24", "10.0.0.101/24\n  10.0.0.102 dev eth0\n  10.1.0.1/24 dev eth1"));
    assert!(import.toml.contains("addresses = [\"10.0.0.101/24\", \"10.0.0.102/32\"]\n"), "{}", import.toml);
    assert!(has(&import, "lost: k.conf:7: 10.1.0.1 is on eth1"), "{:?}", notes(&import));
}

#[test]
fn an_address_without_a_length_is_a_host() {
    let ipv6 = "vrrp_instance VI_6 {\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {\n  fd77::1\n  fd77::2 preferred_lft \
                forever\n  fd77::3/64\n }\n}\n";
    let import = one(ipv6);
    assert!(
        import.toml.contains("addresses = [\"fd77::1/128\", \"fd77::2/128\", \"fd77::3/64\"]\n"),
        "{}",
        import.toml
    );
    assert!(import.toml.contains("virtual_link_local = false\n"), "{}", import.toml);
    let deprecated: Vec<_> = notes(&import).into_iter().filter(|note| note.contains("/128")).collect();
    assert_eq!(deprecated.len(), 1, "{deprecated:?}");
    assert!(
        deprecated[0].starts_with("changed: k.conf:5: keepalived adds fd77::1/128 so that the host does not choose it"),
        "{deprecated:?}"
    );
    check(&import);
}

#[test]
fn what_is_removed_is_put_back() {
    let import = one(&instance(""));
    let note = "changed: k.conf:5: an address, route or rule that another program removes is put back; keepalived would leave MASTER";
    assert!(has(&import, note), "{:?}", notes(&import));
    let import = one(&instance("").replace("/24", "/24 no_track"));
    assert!(
        has(&import, "changed: k.conf:5: 10.0.0.101 is put back when something removes it"),
        "{:?}",
        notes(&import)
    );
}

#[test]
fn announcements_have_a_plan_of_their_own() {
    let globals = "global_defs {\n vrrp_garp_master_delay 4\n vrrp_garp_master_refresh 30\n}\n";
    let import = one(&(globals.to_owned() + &instance(" garp_master_delay 10")));
    assert!(import.toml.contains("announcement_refresh = \"30s\"\n"), "{}", import.toml);
    assert!(
        has(&import, "ignored: k.conf:2: vrrp_garp_master_delay: vipd announces addresses at once"),
        "{:?}",
        notes(&import)
    );
    assert!(
        has(&import, "ignored: k.conf:11: garp_master_delay: vipd announces addresses at once"),
        "{:?}",
        notes(&import)
    );
    // (globals, announcement_rate)
    for (given, expected) in [
        ("vrrp_garp_interval 0.002", Some("500")),
        ("vrrp_garp_interval 0.002\n vrrp_gna_interval 0.01", Some("100")),
        ("vrrp_gna_interval 1", Some("1")),
        ("vrrp_gna_interval 0.00001", Some("30000")),
        ("vrrp_garp_interval 0", None),
    ] {
        let import = one(&format!("global_defs {{\n {given}\n}}\n{}", instance("")));
        let line = import.toml.lines().find_map(|line| line.strip_prefix("announcement_rate = "));
        assert_eq!(line, expected, "{given}: {}", import.toml);
    }
    // (garp_master_refresh, announcement_refresh)
    for (given, expected) in [("0", "\"off\""), ("7200", "\"3600s\"")] {
        let import = one(&instance(&format!(" garp_master_refresh {given}")));
        assert!(import.toml.contains(&format!("announcement_refresh = {expected}\n")), "{given}: {}", import.toml);
    }
}

#[test]
fn strict_mode_drops_what_is_sent_to_the_addresses() {
    let strict = "global_defs {\n vrrp_strict\n}\n";
    let lines = " authentication {\n  auth_type PASS\n  auth_pass one\n }\n preempt_delay 5";
    let import = one(&(strict.to_owned() + &instance(lines)));
    assert!(import.toml.contains("accept = false\n"), "{}", import.toml);
    assert!(!import.toml.contains("password") && !import.toml.contains("preempt"), "{}", import.toml);
    assert!(
        has(&import, "changed: k.conf:2: strict mode: who does not own the addresses drops what is sent to them"),
        "{:?}",
        notes(&import)
    );
    assert!(
        has(
            &import,
            "changed: k.conf:14: nopreempt and preempt_delay are not in force: strict mode has no preempt_delay"
        ),
        "{:?}",
        notes(&import)
    );
    let off = "global_defs {\n vrrp_strict off\n}\n".to_owned() + &instance("");
    assert!(!one(&off).toml.contains("accept"), "{}", one(&off).toml);
    for lines in [" version 3\n accept", " accept\n strict_mode off"] {
        let import = one(&(strict.to_owned() + &instance(lines)));
        assert!(!import.toml.contains("accept"), "{}", import.toml);
    }
    // Version 2 has no Accept_Mode.
    let import =
        one(&(strict.to_owned()
            + &instance(" accept\n state MASTER\n priority 150\n nopreempt\n down_timer_adverts 5")));
    assert!(import.toml.contains("accept = false\n"), "{}", import.toml);
    assert!(import.toml.contains("preempt = false\n") && !import.toml.contains("down_timer"), "{}", import.toml);
    assert!(has(&import, "ignored: k.conf:14: down_timer_adverts is 3 in strict mode"), "{:?}", notes(&import));
    let import = one(&(strict.to_owned() + &instance(" no_accept")));
    assert!(import.toml.contains("accept = false\n"), "{}", import.toml);
    assert!(!notes(&import).iter().any(|note| note.contains("strict mode: who does not own")), "{:?}", notes(&import));
    // keepalived 2.2.7 keeps unicast.
    let import = one(&(strict.to_owned() + &instance(" unicast_peer {\n  10.0.0.2\n }")));
    assert!(import.toml.contains("transport = \"unicast\"\n") && !import.loses(), "{}", import.toml);
}

#[test]
fn accept_is_on_unless_it_is_refused() {
    assert!(!one(&instance("")).toml.contains("accept"));
    let import = one(&instance(" no_accept\n use_vmac"));
    assert!(import.toml.contains("accept = false\nvirtual_mac = true\n"), "{}", import.toml);
    let import = one(&instance(" use_vmac vrrp.51 00:00:5e:00:01:99"));
    assert!(has(&import, "lost: k.conf:7: use_vmac with a MAC address of its own"), "{:?}", notes(&import));
}

#[test]
fn what_vipd_does_anyway_is_said() {
    let words = ["timer_expired_backup", "skip_check_adv_addr", "lower_prio_no_advert"];
    let import = one(&instance(&words.map(|word| format!(" {word}")).join("\n")));
    for (word, line) in words.iter().zip(7..) {
        assert!(
            has(&import, &format!("ignored: k.conf:{line}: {word} has no counterpart")),
            "{word}: {:?}",
            notes(&import)
        );
    }
}

#[test]
fn a_delay_at_the_start_counts_from_the_start() {
    let globals = "global_defs {\n vrrp_startup_delay 5.5\n vrrp_delay_after_boot 60\n}\n";
    let import = one(&(globals.to_owned() + &instance("")));
    assert!(import.toml.contains("startup_delay = \"5500ms\"\n"), "{}", import.toml);
    assert!(has(&import, "changed: k.conf:3: vipd knows no delay that counts from the boot"), "{:?}", notes(&import));
    assert_eq!(check(&import).virtual_routers[0].startup_delay, Duration::from_millis(5500));
}

/// Of version 2 a wrong interval is dropped, of version 3 learned; a cluster has one.
#[test]
fn hosts_with_other_intervals_contradict_each_other() {
    let import = several(&[&instance(" advert_int 1"), &instance(" advert_int 2")]);
    assert!(import.toml.contains("advertisement_interval = \"1s\"\n"), "{}", import.toml);
    assert!(
        has(&import, "lost: n2.conf:7: VI_1: advert_int is 2000 ms here, and 1000 ms at n1.conf:7"),
        "{:?}",
        notes(&import)
    );
}

#[test]
fn what_keepalived_does_not_run_is_not_imported_in_silence() {
    let twice = instance("") + &instance("").replace("VI_1", "VI_2").replace(".101", ".102");
    assert!(has(&one(&twice), "lost: k.conf:11: VI_2 has the virtual_router_id 51 of VI_1, on the same interface"));
    let cases = [
        ("interface eth0", "interface lo", "the loopback interface"),
        ("interface eth0", "", "no virtual_router_id, or no interface"),
        ("virtual_router_id 51", "", "no virtual_router_id, or no interface"),
        ("10.0.0.101/24", "", "no address that vipd could hold"),
    ];
    for (given, instead, why) in cases {
        let import = one(&instance("").replace(given, instead));
        assert!(
            has(&import, &format!("lost: k.conf:1: VI_1 is left out: it has {why}")),
            "{instead}: {:?}",
            notes(&import)
        );
    }
    let import = one("global_defs {\n router_id x\n}\n");
    assert!(has(&import, "lost: there is no vrrp_instance"), "{:?}", notes(&import));
    let default =
        "global_defs {\n default_interface eth7\n}\n".to_owned() + &instance("").replace("interface eth0", "");
    let import = one(&default);
    assert!(has(&import, "lost: k.conf:4: VI_1 is left out: it has no virtual_router_id, or no interface"));
    assert!(has(&import, "ignored: k.conf:2: default_interface is for static addresses"), "{:?}", notes(&import));
}

#[test]
fn what_an_advert_cannot_list_is_extra() {
    let listed = |range: std::ops::Range<u16>| {
        range.map(|at| format!("  10.1.{}.{}\n", at / 250, at % 250)).collect::<Vec<_>>().concat()
    };
    let import = one(&instance("").replace("  10.0.0.101/24\n", &listed(0..257)));
    let extra = "extra_addresses = [\"10.1.1.5/32\", \"10.1.1.6/32\"]\n";
    assert!(import.toml.contains(extra), "{}", import.toml);
    assert!(has(&import, "changed: k.conf:260: an advert lists 255 addresses"), "{:?}", notes(&import));
    let import = one(&instance("").replace("  10.0.0.101/24\n", &listed(0..255)));
    assert!(!import.toml.contains("extra_addresses"), "{}", import.toml);
}

#[test]
fn virtual_servers_are_left_to_keepalived_loudly() {
    let servers = "virtual_server 10.0.0.101 80 {\n lb_algo rr\n real_server 10.0.0.7 80 {\n  weight 1\n }\n}\n";
    let import = one(&(instance("") + servers));
    assert!(
        has(&import, "changed: k.conf:9: IPVS is NOT taken over: vipd has no virtual servers"),
        "{:?}",
        notes(&import)
    );
    assert!(!import.loses());
    let import = one(servers);
    assert!(
        import.loses() && has(&import, "lost: k.conf:1: there is no vrrp_instance, only virtual servers"),
        "{:?}",
        notes(&import)
    );
}
