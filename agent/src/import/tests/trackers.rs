//! What is tracked, and who is told.

use super::*;

#[test]
fn weights_keep_their_arithmetic() {
    let text = "vrrp_script s {\n script /bin/true\n weight 5\n}\nvrrp_script r {\n script /bin/true\n}\ntrack_file f {\n file /run/f\n}\ntrack_file z {\n file /run/z\n weight 0\n}\n\
                vrrp_track_process p {\n process nginx\n quorum 2\n quorum_max 3\n delay 1.5\n}\n"
        .to_owned()
        + &instance(
            " track_script {\n  s\n  r weight -3 reverse\n  gone\n }\n track_file {\n  f weight 300\n  z\n }\n track_process {\n  p weight 0 \
             reverse\n }\n track_interface {\n  eth0\n  eth1\n  eth2 weight 2\n }",
        );
    let import = one(&text);
    let checks = &import.toml[import.toml.find("[[check]]").unwrap()..];
    let expected = r#"[[check]]
name = "s"
command = ["/bin/true"]
interval = "1s"
rise = 1
fall = 1
weight = 5

[[check]]
name = "r"
command = ["/bin/true"]
interval = "1s"
rise = 1
fall = 1
weight = -3
reverse = true

[[check]]
name = "f"
file = "/run/f"
weight = 1

[[check]]
name = "z"
file = "/run/z"

[[check]]
name = "p"
process = "nginx"
min = 2
max = 3
rise = 3
fall = 3
reverse = true

[[check]]
name = "eth1"
interface = "eth1"

[[check]]
name = "eth2"
interface = "eth2"
weight = 2
"#;
    assert_eq!(checks, expected);
    assert!(
        import.toml.contains("checks = [\"s\", \"r\", \"f\", \"z\", \"p\", \"eth1\", \"eth2\"]\n"),
        "{}",
        import.toml
    );
    assert!(has(&import, "ignored: k.conf:30: \"gone\" is tracked, but defined nowhere"), "{:?}", notes(&import));
    assert!(has(&import, "ignored: k.conf:33: weight \"300\" is not from -254 to 254"), "{:?}", notes(&import));
    check(&import);
}

/// As keepalived 2.2.7 says in its log and in its dump.
#[test]
fn lines_are_tracked_as_keepalived_tracks_them() {
    let scripts = "vrrp_script s {\n script /bin/s\n weight -5 reverse\n user root\n}\n";
    // (script, keys of its check)
    for (line, keys) in [
        ("s", "weight = -5\nreverse = true\n"),
        ("s weight -10", "weight = -10\nreverse = true\n"),
        ("s weight -10 noreverse", "weight = -10\n"),
        ("s weight 999 noreverse", "weight = -5\n"),
        ("s weight 7 backwards", "weight = 7\nreverse = true\n"),
        ("s weight 0", "reverse = true\n"),
    ] {
        let import = one(&(scripts.to_owned() + &instance(&format!(" track_script {{\n  {line}\n }}"))));
        assert!(import.toml.ends_with(&format!("user = \"root\"\n{keys}")), "{line}: {}", import.toml);
    }

    // Of what stands twice the first line counts.
    let import = one(&(scripts.to_owned()
        + &instance(
            " track_script {\n  s\n  s weight 3\n }\n track_interface {\n  eth1 weight 4\n }\n track_interface {\n  eth1\n }",
        )));
    assert!(import.toml.contains("checks = [\"s\", \"eth1\"]\n"), "{}", import.toml);
    assert!(import.toml.contains("weight = 4\n") && !import.toml.contains("weight = 3\n"), "{}", import.toml);
    for note in ["ignored: k.conf:14: s is tracked already", "ignored: k.conf:20: eth1 is tracked already"] {
        assert!(has(&import, note), "{:?}", notes(&import));
    }

    // (line, the note): lines that keepalived does not take at all.
    for (line, note) in [
        (
            "eth1 eth2",
            "ignored: k.conf:8: eth1 is not tracked: \"eth2\" is no keyword behind the name of what is tracked",
        ),
        (
            "eth1 reverse",
            "ignored: k.conf:8: eth1 is not tracked: \"reverse\" is no keyword behind the name of what is tracked",
        ),
        ("eth1 weight", "ignored: k.conf:8: eth1 is not tracked: its weight has no value"),
    ] {
        let import = one(&instance(&format!(" track_interface {{\n  {line}\n }}")));
        assert!(!import.toml.contains("[[check]]") && has(&import, note), "{line}: {:?}", notes(&import));
    }
}

#[test]
fn a_sync_group_ignores_the_weights_of_its_members() {
    let members = instance(" track_script {\n  s\n }\n track_interface {\n  eth1 weight 5\n }")
        + &instance("").replace("VI_1", "VI_2").replace("51", "52").replace(".101", ".102");
    let text = |lines: &str| {
        format!(
            "vrrp_script s {{\n script /bin/true\n weight 5\n}}\nvrrp_sync_group G {{\n group {{\n  VI_1\n  VI_2\n }}\n{lines}}}\n{members}"
        )
    };
    let import = one(&text(""));
    assert!(
        import.toml.contains("[[group]]\nname = \"G\"\nvirtual_routers = [\"VI_1\", \"VI_2\"]\n"),
        "{}",
        import.toml
    );
    assert!(
        import.toml.contains("[[check]]\nname = \"eth1\"\ninterface = \"eth1\"\n") && !import.toml.contains("weight"),
        "{}",
        import.toml
    );
    assert!(!import.toml.contains("/bin/true"), "{}", import.toml);
    assert!(
        has(&import, "changed: k.conf:18: s has a weight, so that keepalived does not track it in a sync group"),
        "{:?}",
        notes(&import)
    );
    assert!(has(&import, "changed: k.conf:21: the weight of eth1 is ignored in a sync group"), "{:?}", notes(&import));
    check(&import);

    // As keepalived 2.2.7 says in its log and in its dump.
    let others = "track_file f {\n file /run/f\n weight 5\n}\ntrack_file g {\n file /run/g\n}\nvrrp_track_process p {\n process nginx\n weight 7\n}\n";
    let tracked = " track_file {\n  f\n  g\n }\n track_process {\n  p\n }\n";
    let import = one(&(others.to_owned() + &text("").replacen(" track_script {\n  s\n }\n", tracked, 1)));
    let checks = &import.toml[import.toml.find("[[check]]").unwrap()..];
    let expected = r#"[[check]]
name = "g"
file = "/run/g"

[[check]]
name = "p"
process = "nginx"
weight = 7
"#;
    assert!(checks.starts_with(expected), "{checks}");
    for note in [
        "changed: k.conf:29: f has a weight, so that keepalived does not track it in a sync group",
        "changed: k.conf:30: the weight of g is ignored in a sync group: its failure means Fault",
        "changed: k.conf:33: the weight of p moves all members of the group",
    ] {
        assert!(has(&import, note), "{:?}", notes(&import));
    }

    // The second word is what the first was called.
    for word in ["sync_group_tracking_weight", "global_tracking"] {
        let import = one(&text(&format!(" {word}\n track_script {{\n  s weight 9\n }}\n")));
        assert!(import.toml.contains("checks = [\"s\"]\n\n[[check]]\nname = \"s\"\n"), "{}", import.toml);
        assert!(import.toml.contains("weight = 9\n") && import.toml.contains("weight = 5\n"), "{}", import.toml);
        check(&import);
    }

    let import = one(&text("").replace(" virtual_router_id 52", " virtual_router_id 52\n priority 90"));
    assert!(
        has(&import, "lost: k.conf:27: VI_1 and VI_2 are in a sync group and have different priorities on n1"),
        "{:?}",
        notes(&import)
    );
}

#[test]
fn a_process_without_a_weight_means_fault() {
    let process = "vrrp_track_process p {\n process nginx\n}\n".to_owned();
    let import = one(&(process + &instance(" track_process {\n  p\n }")));
    assert!(import.toml.ends_with("[[check]]\nname = \"p\"\nprocess = \"nginx\"\n"), "{}", import.toml);
}

#[test]
fn scripts_run_as_keepalived_runs_them() {
    let script = |lines: &str| {
        let text = format!("vrrp_script s {{\n{lines}\n}}\n") + &instance(" track_script {\n  s\n }");
        let import = one(&text);
        check(&import);
        let start = import.toml.find("[[check]]").unwrap();
        let keys = import.toml[start..].lines().skip(2).map(str::to_owned).collect::<Vec<_>>().join(" | ");
        (keys, notes(&import))
    };
    let (keys, said) = script(
        " script \"/bin/check 'a b' c\"\n user nobody nogroup\n init_fail\n rise 2\n fall 3\n interval 2\n timeout 1",
    );
    let expected = "command = [\"/bin/check\", \"a b\", \"c\"] | interval = \"2s\" | timeout = \"1s\" | rise = 2 | fall = 3 | start = \"failing\" | \
                    user = \"nobody\" | group = \"nogroup\"";
    assert_eq!(keys, expected);
    assert!(!said.iter().any(|note| note.contains("no user is given")), "{said:?}");

    let (keys, said) = script(" script /bin/check a b\n timeout 10");
    assert_eq!(keys, "command = [\"/bin/check\", \"a\", \"b\"] | interval = \"10s\" | rise = 1 | fall = 1");
    assert!(
        said.iter().any(|note| note.starts_with("changed: k.conf:1: vipd looks again at the interval")),
        "{said:?}"
    );
    assert!(said.iter().any(|note| note.starts_with("changed: k.conf:1: no user is given")), "{said:?}");

    assert_eq!(
        script(" script \"curl -f x\"").0,
        "command = [\"/usr/bin/env\", \"curl\", \"-f\", \"x\"] | interval = \"1s\" | rise = 1 | fall = 1"
    );
    assert_eq!(
        script(" script \"killall -0 nginx\"").0,
        "process = \"nginx\" | interval = \"1s\" | rise = 1 | fall = 1"
    );
    let connects = script(" script \"</dev/tcp/127.0.0.1/80\"").0;
    assert_eq!(connects, "tcp = \"127.0.0.1:80\" | interval = \"1s\" | rise = 1 | fall = 1");
}

#[test]
fn programs_are_told_as_keepalived_tells_them() {
    let lines = " notify /etc/notify.sh nobody\n notify_master \"/etc/notify.sh up 'a b'\"\n smtp_alert";
    let globals = "global_defs {\n vrrp_notify_fifo /run/k.fifo\n notification_email {\n  ops@example.org\n  root\n }\n \
                   notification_email_from k@example.org\n smtp_server 192.0.2.25 2525\n}\n";
    let other =
        instance(" notify /etc/notify.sh nobody").replace("VI_1", "VI_2").replace("51", "52").replace(".101", ".102");
    let import = one(&(globals.to_owned() + &instance(lines) + &other));
    let expected = r#"[[notify]]
name = "notify.sh"
exec = ["/etc/notify.sh"]
user = "nobody"

[[notify]]
name = "notify.sh-2"
exec = ["/etc/notify.sh", "up", "a b"]
on = ["Active"]
routers = ["VI_1"]

[[notify]]
name = "mail"
mail = ["ops@example.org"]
from = "k@example.org"
server = "192.0.2.25:2525"
tls = "off"
routers = ["VI_1"]

[[notify]]
name = "fifo"
fifo = "/run/k.fifo"
"#;
    assert_eq!(&import.toml[import.toml.find("[[notify]]").unwrap()..], expected);
    assert!(
        has(&import, "changed: k.conf:17: programs for one state get keepalived's four arguments too"),
        "{:?}",
        notes(&import)
    );
    assert!(has(&import, "changed: k.conf:5: \"root\" is no e-mail address"), "{:?}", notes(&import));
    check(&import);
}

#[test]
fn hosts_that_tell_others_are_compared() {
    let globals = |from: &str| {
        format!(
            "global_defs {{\n notification_email {{\n  ops@example.org\n }}\n notification_email_from {from}@example.org\n smtp_server \
             192.0.2.25\n smtp_alert\n}}\n"
        )
    };
    let host = |from: &str, lines: &str| globals(from) + &instance(lines);
    let import = several(&[&host("n1", " notify /etc/a root"), &host("n2", " notify /etc/a root")]);
    assert!(!import.loses() && import.toml.matches("[[notify]]").count() == 2, "{}", import.toml);
    assert!(import.toml.contains("from = \"n1@example.org\"\n"), "{}", import.toml);
    assert!(
        has(&import, "changed: n2.conf:9: VI_1: mail is sent otherwise here than at n1.conf:9"),
        "{:?}",
        notes(&import)
    );
    // (what the second host tells, where the note is)
    for (other, line) in
        [(" notify /etc/b root", 15), (" notify /etc/a nobody", 15), (" notify_master /etc/a root", 15), ("", 9)]
    {
        let import = several(&[&host("n1", " notify /etc/a root"), &host("n1", other)]);
        let note = format!("lost: n2.conf:{line}: VI_1 tells other programs here than at n1.conf:9");
        assert!(has(&import, &note), "{other}: {:?}", notes(&import));
        assert!(!import.toml.contains("/etc/b") && import.toml.contains("/etc/a"), "{}", import.toml);
        assert!(!notes(&import).iter().any(|note| note.contains("mail is sent otherwise")), "{:?}", notes(&import));
    }
}

#[test]
fn a_pipe_of_one_host_is_said_to_be_on_all() {
    let host = |fifo: &str| format!("global_defs {{\n vrrp_notify_fifo {fifo}\n}}\n") + &instance("");
    let import = several(&[&host("/run/a"), &host("/run/b")]);
    for (host, pipe) in [("n1", "/run/a"), ("n2", "/run/b")] {
        assert!(import.toml.contains(&format!("fifo = \"{pipe}\"\n")), "{}", import.toml);
        let note = format!("changed: {host}.conf:2: not all hosts have the pipe {pipe}, and all nodes of vipd make it");
        assert!(has(&import, &note), "{:?}", notes(&import));
    }
    let import = several(&[&host("/run/a"), &host("/run/a")]);
    assert!(import.toml.matches("fifo =").count() == 1 && !notes(&import).iter().any(|note| note.contains("pipe")));
}
