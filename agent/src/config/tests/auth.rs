//! `[auth]`: what it becomes, and what is said of it.

use super::*;

/// `BASE` with an `[auth]` of these lines, the first of which is line 6 of the file.
fn text_with(auth: &str) -> String {
    edited(&[("[[node]]", &format!("[auth]\n{auth}\n\n[[node]]"))])
}

fn auth(lines: &str) -> Auth {
    let config = parse(&text_with(lines), "n1").unwrap();
    assert_eq!(config.warnings, [], "{lines}");
    config.auth.unwrap()
}

/// Each case is the lines of `[auth]` and the mistakes expected of them.
fn check_auth(cases: &[(&str, &[&str])]) {
    for (lines, expected) in cases {
        assert_eq!(mistakes_in(&text_with(lines)), *expected, "{lines}");
    }
}

fn remedy(lines: &str) -> String {
    let Err(ConfigError::Invalid(diagnostics)) = parse(&text_with(lines), "n1") else { panic!("valid: {lines}") };
    diagnostics[0].remedy.clone()
}

fn id(number: u8) -> KeyId {
    KeyId::new(number).unwrap()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[test]
fn authentication_has_defaults_for_all_but_mode_and_keys() {
    let lines = "mode = \"enforce\"\nactive_key = 7\n\
                 keys = [{ id = 255, file = \"/k/old\" }, { id = 7, file = \"/k/new\" }]";
    let expected = Auth {
        mode: AuthMode::Enforce,
        active_key: Some(id(7)),
        keys: vec![
            KeyFile { id: id(255), file: PathBuf::from("/k/old") },
            KeyFile { id: id(7), file: PathBuf::from("/k/new") },
        ],
        window: Duration::from_secs(5),
        clock_grace: Duration::from_mins(1),
    };
    assert_eq!(auth(lines), expected);
}

#[test]
fn keys_may_be_tables_of_their_own() {
    let auth = auth("mode = \"enforce\"\nactive_key = 2\n[[auth.keys]]\nid = 2\nfile = \"/k\"");
    assert_eq!(auth.keys, [KeyFile { id: id(2), file: PathBuf::from("/k") }]);
}

#[test]
fn a_mode_that_sends_unsigned_needs_no_active_key() {
    let keys = "keys = [{ id = 1, file = \"/k\" }]";
    let cases = [
        ("mode = \"receive-only\"", AuthMode::ReceiveOnly, None),
        ("mode = \"receive-only\"\nactive_key = 1", AuthMode::ReceiveOnly, Some(id(1))),
        ("mode = \"permissive\"\nactive_key = 1", AuthMode::Permissive, Some(id(1))),
    ];
    for (lines, mode, active_key) in cases {
        let auth = auth(&format!("{lines}\n{keys}"));
        assert_eq!((auth.mode, auth.active_key), (mode, active_key), "{lines}");
    }
    for mode in ["permissive", "enforce"] {
        let lines = format!("mode = \"{mode}\"\n{keys}");
        let expected = format!("5: auth: active_key: missing, but mode = \"{mode}\" signs adverts");
        check_auth(&[(&lines, &[&expected])]);
        assert_eq!(remedy(&lines), "add active_key = the id of the key to sign with: 1");
    }
}

#[test]
fn modes_print_as_they_are_written() {
    let modes = [AuthMode::ReceiveOnly, AuthMode::Permissive, AuthMode::Enforce];
    assert_eq!(modes.map(|mode| mode.to_string()), ["receive-only", "permissive", "enforce"]);
    assert_eq!(modes.map(AuthMode::signs), [false, true, true]);
}

#[test]
fn the_window_follows_the_longest_interval_of_the_file() {
    let lines = "mode = \"receive-only\"\nkeys = [{ id = 1, file = \"/k\" }]";
    let window = |edits: &[(&str, &str)]| {
        let text = edits.iter().fold(text_with(lines), |text, (from, to)| text.replacen(from, to, 1));
        seconds(parse(&text, "n1").unwrap().auth.unwrap().window)
    };
    let interval = |span: &str| format!("advertisement_interval = \"{span}\"\n");
    let in_cluster = |span: &str| format!("{}interface", interval(span));
    let not_ours = format!("{}nodes = [\"n2\"]", interval("2s"));
    let cases = [
        ("shortest", window(&[("interface", &in_cluster("10ms"))]), 5.0),
        ("just below", window(&[("interface", &in_cluster("1.66s"))]), 5.0),
        ("above", window(&[("interface", &in_cluster("1.7s"))]), 5.1),
        ("longest", window(&[("interface", &in_cluster("40.95s"))]), 122.85),
        // The same on every node: also of a virtual router that this node takes no part in.
        ("of one entry", window(&[("nodes = [\"n2\", \"n1\"]", &not_ours)]), 6.0),
    ];
    for (case, window, expected) in cases {
        assert!((window - expected).abs() < 1e-9, "{case}: {window}");
    }
}

#[test]
fn window_and_clock_grace_have_limits() {
    let base = "mode = \"receive-only\"\nkeys = [{ id = 1, file = \"/k\" }]";
    for (window, grace, expected) in
        [("1s", "0s", (1.0, 0.0)), ("300s", "3600s", (300.0, 3600.0)), ("1500ms", "0.5s", (1.5, 0.5))]
    {
        let auth = auth(&format!("{base}\nwindow = \"{window}\"\nclock_grace = \"{grace}\""));
        assert_eq!((seconds(auth.window), seconds(auth.clock_grace)), expected);
    }
    let span = |line: &str| format!("{base}\n{line}");
    check_auth(&[
        (&span("window = \"999ms\""), &["8: auth: window: \"999ms\" is outside 1s to 300s"]),
        (&span("window = \"300.001s\""), &["8: auth: window: \"300.001s\" is outside 1s to 300s"]),
        (&span("window = 5"), &["8: auth: window: 5 is not a string"]),
        (&span("window = \"5\""), &["8: auth: window: \"5\" is not a time span"]),
        (&span("clock_grace = \"3601s\""), &["8: auth: clock_grace: \"3601s\" is outside 0s to 3600s"]),
        (&span("clock_grace = \"1h\""), &["8: auth: clock_grace: \"1h\" is not a time span"]),
    ]);
    assert_eq!(remedy(&span("window = \"0s\"")), "give a time span from 1s to 300s");
    assert_eq!(remedy(&span("window = 5")), "write it in quotes: \"5s\"");
}

#[test]
fn mode_and_keys_are_required() {
    check_auth(&[
        ("", &["5: auth: mode: missing", "5: auth: keys: missing"]),
        (
            "mode = \"strict\"\nkeys = 1",
            &["6: auth: mode: \"strict\" is not one of the choices", "7: auth: keys: 1 is not an array of tables"],
        ),
        ("mode = \"receive-only\"\nkeys = []", &["7: auth: keys: there is no key"]),
        // What is wrong with the keys is one mistake, and none of the active key.
        ("mode = \"enforce\"\nactive_key = 1\nkeys = [1]", &["8: auth: keys: 1 is not a table"]),
    ]);
    assert_eq!(
        remedy("mode = \"strict\"\nkeys = [{ id = 1, file = \"/k\" }]"),
        "write \"receive-only\" or \"permissive\" or \"enforce\""
    );
    assert_eq!(remedy("mode = \"enforce\"\nkeys = 1\nactive_key = 1"), "write [[auth.keys]] and its keys below it");
    assert_eq!(
        remedy("mode = \"enforce\"\nkeys = []\nactive_key = 1"),
        "write keys = [{ id = 1, file = \"/etc/vipd/keys/1\" }]"
    );
    assert_eq!(mistakes(&[("[cluster]", "auth = true\n[cluster]")]), ["1: auth: true is not a table"]);
}

#[test]
fn a_key_has_an_id_and_an_absolute_path() {
    let key = |key: &str| format!("mode = \"receive-only\"\nkeys = [\n{key},\n]");
    check_auth(&[
        (&key("{}"), &["8: auth: keys 1: id: missing", "8: auth: keys 1: file: missing"]),
        (&key("{ id = 0, file = \"/k\" }"), &["8: auth: keys 1: id: 0 is not the id of a key"]),
        (&key("{ id = 256, file = \"/k\" }"), &["8: auth: keys 1: id: 256 is not the id of a key"]),
        (&key("{ id = \"1\", file = \"/k\" }"), &["8: auth: keys 1: id: \"1\" is not the id of a key"]),
        (&key("{ id = 1, file = \"keys/1\" }"), &["8: auth: keys 1: file: \"keys/1\" is not an absolute path"]),
        (&key("{ id = 1, file = \"/k\\u0000\" }"), &["8: auth: keys 1: file: \"/k\\0\" has a control character in it"]),
        (&key("{ id = 1, path = \"/k\", file = \"/k\" }"), &["8: auth: keys 1: path: unknown key"]),
    ]);
    check_auth(&[(
        "mode = \"receive-only\"\nkey = 1\nkeys = [{ id = 1, file = \"/k\" }]",
        &["7: auth: key: unknown key"],
    )]);
}

#[test]
fn there_are_at_most_four_keys_of_different_ids() {
    let keys = |ids: &[u8]| {
        let keys: Vec<_> =
            ids.iter().enumerate().map(|(at, id)| format!("{{ id = {id}, file = \"/k{at}\" }}")).collect();
        format!("mode = \"receive-only\"\nkeys = [{}]", keys.join(", "))
    };
    assert_eq!(auth(&keys(&[4, 3, 2, 1])).keys.len(), 4);
    check_auth(&[
        (&keys(&[1, 2, 3, 4, 5]), &["7: auth: keys: there are 5 keys"]),
        (&keys(&[1, 2, 1]), &["7: auth: keys 3: id: 1 is that of auth: keys 1 (line 7) already"]),
    ]);
}

#[test]
fn the_active_key_is_one_of_the_keys() {
    let keys = "keys = [{ id = 1, file = \"/k/1\" }, { id = 2, file = \"/k/2\" }]";
    for mode in ["receive-only", "enforce"] {
        let lines = format!("mode = \"{mode}\"\nactive_key = 3\n{keys}");
        check_auth(&[(&lines, &["7: auth: active_key: 3 is none of the keys"])]);
        assert_eq!(remedy(&lines), "choose one of 1, 2, or add it to keys");
    }
    check_auth(&[
        (&format!("mode = \"enforce\"\nactive_key = 0\n{keys}"), &["7: auth: active_key: 0 is not the id of a key"]),
        // The key that is meant may be the one whose id is wrong.
        (
            "mode = \"enforce\"\nactive_key = 3\nkeys = [{ id = 1, file = \"/k\" }, { id = 300, file = \"/l\" }]",
            &["8: auth: keys 2: id: 300 is not the id of a key"],
        ),
    ]);
}

#[test]
fn two_keys_of_one_file_are_a_warning() {
    let lines = "mode = \"receive-only\"\nkeys = [{ id = 1, file = \"/k\" }, { id = 2, file = \"/k\" }]";
    let config = parse(&text_with(lines), "n1").unwrap();
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["warning: vipd.toml:7: auth: keys 2: file: \"/k\" is the file of auth: keys 1 (line 7) too\n  \
             help: give each key a file of its own, or they are one key"]
    );
}

/// What the guard verifies has 444 bytes of addresses.
#[test]
fn a_list_that_the_guard_cannot_verify_is_warned_about() {
    let ipv4 = |count: usize| (0..count).map(|at| format!("\"10.78.{}.{}/16\"", at / 200, 1 + at % 200));
    let ipv6 = |count: usize| (0..count).map(|at| format!("\"fd77::2:{at:x}/64\""));
    let warned = |addresses: Vec<String>| {
        let list = format!("addresses = [{}]", addresses.join(", "));
        let keys = "[auth]\nmode = \"enforce\"\nactive_key = 1\nkeys = [{ id = 1, file = \"/k\" }]\n\n[[node]]";
        let text = edited(&[("[[node]]", keys), (r#"addresses = ["10.77.0.100/24", "fd77::100/64"]"#, &list)]);
        let warnings = parse(&text, "n1").unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(warned(ipv4(111).collect()), [""; 0]);
    // A link-local one is added to the IPv6 addresses.
    assert_eq!(warned(ipv6(26).collect()), [""; 0]);
    for (list, count) in [(ipv4(112).collect(), "more than 111 IPv4"), (ipv6(27).collect(), "more than 27 IPv6")] {
        let warnings = warned(list);
        assert!(warnings.len() == 1 && warnings[0].contains(count), "{warnings:?}");
    }
}
