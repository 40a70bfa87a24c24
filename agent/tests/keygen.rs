//! `vipd keygen` and `vipd check` as programs: a key is made, kept secret and accepted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

fn vipd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vipd")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Whether `line` is what a key file may hold.
fn is_key(line: &str) -> bool {
    let digits = line.strip_prefix("hex:").and_then(|rest| rest.strip_suffix('\n'));
    digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// A configuration whose only key is in `key`.
fn write_config(dir: &Path, key: &Path) -> String {
    let text = format!(
        "cluster = {{ name = \"c\", interface = \"lo\" }}\n\
         auth = {{ mode = \"enforce\", active_key = 1, keys = [{{ id = 1, file = \"{}\" }}] }}\n\
         node = [{{ name = \"n1\", address = \"10.77.0.1\" }}]\n\
         virtual_router = [{{ name = \"a\", vrid = 1, addresses = [\"10.77.0.9/24\"], nodes = [\"n1\"] }}]\n",
        key.display()
    );
    let file = dir.join("vipd.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn a_key_is_printed_and_never_the_same_twice() {
    let keys = [vipd(&["keygen"]), vipd(&["keygen"])].map(|output| {
        assert!(output.status.success(), "{output:?}");
        let (key, usage) = (text(&output.stdout), text(&output.stderr));
        assert!(is_key(key), "{key:?}");
        assert!(usage.contains("keys = [{ id = 1, file = \"/etc/vipd/keys/1\" }]"), "{usage}");
        assert!(usage.contains("keepalived, from 2.4.2 on, takes the same text"), "{usage}");
        assert!(!usage.contains(&key[4..12]), "{usage}");
        key.to_owned()
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_key_goes_into_a_new_file_that_check_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let name = key.display().to_string();

    let output = vipd(&["keygen", "--output", &name]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains(&format!("file = {name:?}")), "{output:?}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o600);
    let made = fs::read_to_string(&key).unwrap();
    assert!(is_key(&made), "{made:?}");

    let again = vipd(&["keygen", "--output", &name]);
    assert_eq!(again.status.code(), Some(1));
    let expected = format!("`{name}` exists, and a key is never overwritten: name another file");
    assert!(text(&again.stderr).contains(&expected), "{again:?}");
    assert_eq!(fs::read_to_string(&key).unwrap(), made);

    let config = write_config(dir.path(), &key);
    let check = vipd(&["check", "--node", "n1", "--config", &config]);
    assert_eq!(
        (check.status.code(), text(&check.stdout)),
        (Some(0), format!("{config}: correct; node `n1` takes part in 1 virtual routers\n").as_str()),
        "{check:?}"
    );
}

#[test]
fn check_refuses_a_key_file_that_everybody_can_read() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let config = write_config(dir.path(), &key);

    let check = vipd(&["check", "--node", "n1", "--config", &config]);
    let key = key.display();
    let expected = format!(
        "error: {config}:2: auth: keys 1: file: \"{key}\" can be read by everybody (mode 0644)\n  help: chmod 600 {key}\n"
    );
    assert_eq!((check.status.code(), text(&check.stderr)), (Some(2), expected.as_str()));
}
