//! What `Config::read` says of the key files, which `Config::parse` does not look at.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A file with an `[auth]` of the keys `files`, and the directory that all of them are in.
fn read(files: &[(&str, &str, u32)], edits: &[(&str, &str)]) -> (Result<Config, ConfigError>, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    for (number, (name, text, mode)) in (1..).zip(files) {
        let path = dir.path().join(name);
        if !text.is_empty() {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        keys.push(format!("{{ id = {number}, file = \"{}\" }},\n", path.display()));
    }
    let auth = format!("[auth]\nmode = \"receive-only\"\nkeys = [\n{}]\n\n[[node]]", keys.concat());
    let config = dir.path().join("vipd.toml");
    fs::write(&config, edited(edits).replacen("[[node]]", &auth, 1)).unwrap();
    (Config::read(&config, &by_name("n1")), dir.path().display().to_string())
}

const GOOD: &str = "0123456789abcdef0123456789abcdef\n";

#[test]
fn mistakes_in_key_files_are_reported_with_all_others() {
    let files = [("1", "short\n", 0o644), ("2", "", 0), ("3", GOOD, 0o400), ("4", GOOD, 0o440)];
    let (config, dir) = read(&files, &[("vrid = 51", "vrid = 0")]);
    let expected = format!(
        r#"error: {dir}/vipd.toml:8: auth: keys 1: file: "{dir}/1" can be read by everybody (mode 0644)
  help: chmod 600 {dir}/1
error: {dir}/vipd.toml:8: auth: keys 1: file: "{dir}/1" holds a text of 5 bytes, and a key has 32 to 64
  help: let it hold one line as `vipd keygen` prints it
error: {dir}/vipd.toml:9: auth: keys 2: file: "{dir}/2" cannot be read: No such file or directory (os error 2)
  help: make it with `vipd keygen --output {dir}/2` on one node, and copy it to the others
warning: {dir}/vipd.toml:11: auth: keys 4: file: "{dir}/4" can be read by its group (mode 0440)
  help: chmod 600 {dir}/4, unless its group is the agent's alone
error: {dir}/vipd.toml:28: virtual_router "web-a": vrid: 0 is not a VRID
  help: give a whole number from 1 to 255 that no other virtual router on the LAN has"#
    );
    assert_eq!(config.unwrap_err().to_string(), expected);
}

#[test]
fn good_key_files_are_no_mistake() {
    let (config, _) = read(&[("1", GOOD, 0o600), ("2", GOOD, 0o440)], &[]);
    let config = config.unwrap();
    assert_eq!(config.auth.unwrap().keys.len(), 2);
    assert_eq!(config.warnings.len(), 1);
}
