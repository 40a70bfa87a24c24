//! Where hosts, groups or instances do not go together.

use super::*;

/// Two instances with a priority, and a sync group in front of them.
fn grouped(name: &str, lines: &str, priority: u8) -> String {
    let member = instance(&format!(" priority {priority}"));
    let other = member.replace("VI_1", "VI_2").replace("51", "52").replace(".101", ".102");
    format!("vrrp_sync_group {name} {{\n{lines}\n}}\n{member}{other}")
}

const BOTH: &str = " group {\n  VI_1\n  VI_2\n }";

#[test]
fn a_group_is_the_same_on_all_hosts() {
    let first = grouped("G", BOTH, 100);
    let tracking = format!("{BOTH}\n track_interface {{\n  eth1\n }}");
    // (what the second host says, the note)
    let cases = [
        (grouped("G", " group {\n  VI_1\n }", 100), "lost: n2.conf:1: the group G has other members than at n1.conf:1"),
        (grouped("G", &tracking, 100), "lost: n2.conf:1: the group G tracks something else than at n1.conf:1"),
        (grouped("H", BOTH, 100), "lost: n2.conf:1: the group H shares members with G at n1.conf:1"),
    ];
    for (second, note) in cases {
        let import = several(&[&first, &second]);
        assert!(has(&import, note), "{note}: {:?}", notes(&import));
        assert!(import.toml.matches("[[group]]").count() == 1, "{}", import.toml);
    }
    assert!(!several(&[&first, &first]).loses());
}

#[test]
fn an_owner_is_in_no_group() {
    let import = several(&[&grouped("G", BOTH, 255)]);
    let note =
        "lost: n1.conf:21: VI_2 has an owner (priority 255), who keeps the addresses whatever becomes of the group";
    assert!(has(&import, note), "{:?}", notes(&import));
}

#[test]
fn an_owner_has_all_of_the_addresses() {
    let import = one(&instance(" priority 255").replace("10.0.0.101/24", "10.0.0.1/24\n  10.0.0.101/24"));
    assert!(import.toml.contains("priorities = { n1 = 254 }\n"), "{}", import.toml);
    let note = "lost: k.conf:8: VI_1 has the priority of an owner (255), and of its addresses 10.0.0.1 is n1's own, and others are not";
    assert!(has(&import, note), "{:?}", notes(&import));
}

#[test]
fn an_address_is_in_one_instance() {
    let other = instance("").replace("VI_1", "VI_2").replace("51", "52");
    let import = one(&(instance("") + &other));
    let note = "lost: k.conf:13: 10.0.0.101 is held by the instance at k.conf:5 already";
    assert!(has(&import, note), "{:?}", notes(&import));
}

#[test]
fn the_least_ttl_that_a_host_takes_counts() {
    let host = |peer: &str| instance(&format!(" unicast_peer {{\n  {peer}\n }}"));
    let import = several(&[&host("10.0.0.2 min_ttl 254"), &host("10.0.0.1 min_ttl 250")]);
    assert!(import.toml.contains("min_ttl = 250\n"), "{}", import.toml);
}

#[test]
fn keys_are_the_same_on_all_hosts() {
    let host = |key: &str| instance(&format!(" version 3\n auth_hmac {{\n  key 1 {key}\n  active_key 1\n }}"));
    let (first, second) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    let import = several(&[&host(first), &host(second)]);
    let note = "lost: n2.conf:8: VI_1: auth_hmac is not the same as at n1.conf:8";
    assert!(has(&import, note), "{:?}", notes(&import));
    assert!(!several(&[&host(first), &host(first)]).loses());

    let import = one(&host("file:key"));
    let note = "lost: k.conf:8: key 1 is in a file that only keepalived's service finds";
    assert!(has(&import, note) && import.keys.is_empty(), "{:?}", notes(&import));
}

/// keepalived counts whole seconds of the interval: three of them, and 5 s at least.
#[test]
fn the_window_of_signatures_is_what_keepalived_makes_of_the_interval() {
    let key = "0123456789abcdef0123456789abcdef";
    for (interval, window) in [("0.3", "5s"), ("2.5", "6s")] {
        let lines = format!(" version 3\n advert_int {interval}\n auth_hmac {{\n  key 1 {key}\n  active_key 1\n }}");
        let import = one(&instance(&lines));
        assert!(import.toml.contains(&format!("window = \"{window}\"\n")), "{interval}: {}", import.toml);
    }
}

#[test]
fn signatures_are_in_the_place_of_a_password() {
    let lines = " authentication {\n  auth_type PASS\n  auth_pass one\n }\n auth_hmac {\n  key 1 0123456789abcdef0123456789abcdef\n  \
                 active_key 1\n }";
    let import = one(&instance(lines));
    assert!(!import.toml.contains("password"), "{}", import.toml);
    let note = "ignored: k.conf:9: the password is not in force: auth_hmac is in its place";
    assert!(has(&import, note), "{:?}", notes(&import));
}

#[test]
fn the_longest_delay_and_the_name_that_all_have_count() {
    let host = |lines: &str| format!("global_defs {{\n{lines}\n}}\n") + &instance("");
    let import = several(&[&host(" vrrp_startup_delay 5"), &host(" vrrp_startup_delay 9")]);
    assert!(import.toml.contains("startup_delay = \"9s\"\n"), "{}", import.toml);
    let note = "changed: n2.conf:2: not all hosts have this vrrp_startup_delay";
    assert!(has(&import, note), "{:?}", notes(&import));
    // (router_id of the second host, name of the cluster)
    for (second, name) in [("here", "here"), ("there", "keepalived")] {
        let import = several(&[&host(" router_id here"), &host(&format!(" router_id {second}"))]);
        assert!(import.toml.contains(&format!("[cluster]\nname = \"{name}\"\n")), "{}", import.toml);
    }
}

#[test]
fn mail_without_faults_names_the_other_states() {
    let globals = "global_defs {\n notification_email {\n  ops@example.org\n }\n notification_email_from k@example.org\n smtp_server \
                   192.0.2.25\n smtp_alert\n no_email_faults\n}\n";
    let import = one(&(globals.to_owned() + &instance("")));
    let states = "on = [\"Active\", \"Backup\", \"Initialize\", \"Stopped\", \"Deleted\"]\n";
    assert!(import.toml.contains(states), "{}", import.toml);
    check(&import);
}

/// By points a Backup without `nopreempt` may come to be better than the Active that has it, and keepalived goes by the flag of
/// that Backup.
#[test]
fn where_priorities_move_all_hosts_preempt_alike() {
    let script = "vrrp_script s {\n script /bin/true\n user root\n}\n";
    let host = |lines: &str, weight: &str| {
        let track = format!(" track_script {{\n  s weight {weight}\n }}");
        script.to_owned() + &instance(&format!("{lines}\n{track}"))
    };
    let note =
        "lost: n2.conf:5: VI_1: preemption is otherwise here than at n1.conf:12, and what is tracked moves priorities";
    let import = several(&[&host(" priority 150\n nopreempt", "-60"), &host(" priority 100", "-60")]);
    assert!(import.loses() && has(&import, note), "{:?}", notes(&import));
    let note =
        "lost: n2.conf:12: VI_1: preemption is otherwise here than at n1.conf:5, and what is tracked moves priorities";
    let import = several(&[&host(" priority 150", "-60"), &host(" priority 100\n nopreempt", "-60")]);
    assert!(import.loses() && has(&import, note), "{:?}", notes(&import));

    // A failure that means Fault moves no priority, and hosts that are alike agree.
    assert!(!several(&[&host(" priority 150\n nopreempt", "0"), &host(" priority 100", "0")]).loses());
    let alike = [host(" priority 150\n nopreempt", "-60"), host(" priority 100\n nopreempt", "-60")];
    assert!(!several(&[&alike[0], &alike[1]]).loses());

    // The number in a file has a weight of 1 by itself.
    let file = |lines: &str| {
        "track_file f {\n file /run/f\n}\n".to_owned() + &instance(&format!("{lines}\n track_file {{\n  f\n }}"))
    };
    assert!(several(&[&file(" priority 150\n nopreempt"), &file(" priority 100")]).loses());

    // What a group tracks moves all of its members.
    let group = |lines: &str| {
        let tracking = format!("{BOTH}\n track_interface {{\n  eth1 weight 5\n }}\n sync_group_tracking_weight");
        grouped("G", &tracking, 100).replacen(" priority 100", lines, 1).replacen(" priority 100", lines, 1)
    };
    assert!(several(&[&group(" priority 150\n nopreempt"), &group(" priority 100")]).loses());
}

/// Whoever is no owner in the end has a choice like the others.
#[test]
fn the_best_host_says_whether_all_preempt() {
    let import = several(&[&instance(" priority 255"), &instance(" priority 100\n nopreempt")]);
    assert!(import.toml.contains("priorities = { n1 = 254, n2 = 100 }\n"), "{}", import.toml);
    assert!(!import.toml.contains("preempt") && !import.loses(), "{}: {:?}", import.toml, notes(&import));
    let note = "changed: n2.conf:8: VI_1: preemption is otherwise here than at n1.conf:1";
    assert!(has(&import, note), "{:?}", notes(&import));

    // An owner takes its addresses whatever the others do.
    let own = |lines: &str| instance(lines).replace("10.0.0.101/24", "10.0.0.1/24");
    let import = several(&[&own(" priority 255"), &own(" priority 100\n nopreempt")]);
    assert!(import.toml.contains("preempt = false\n") && !import.loses(), "{}: {:?}", import.toml, notes(&import));
}
