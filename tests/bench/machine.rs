//! What a run was made on.

use std::{fs, process::Command};

use harness::frr_daemon;

/// Names and values, for the report.
pub(crate) fn describe() -> Vec<(String, String)> {
    let first = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
        line.trim_start_matches([' ', '\t', ':']).to_owned()
    };
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default().matches("\nprocessor").count() + 1;
    let said = |program: &str, arguments: &str| {
        let output = Command::new(program).args(arguments.split(' ')).output();
        let text = output.map(|it| [it.stdout, it.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
    };
    let frr = frr_daemon("vrrpd").map_or_else(|_| "none".to_owned(), |path| said(&path.to_string_lossy(), "--version"));
    let all = [
        ("Processor", format!("{processors} of {}", first("/proc/cpuinfo", "model name"))),
        ("Memory", first("/proc/meminfo", "MemTotal")),
        ("Kernel", said("uname", "-sr")),
        ("System", first("/etc/os-release", "PRETTY_NAME=").trim_matches('"').to_owned()),
        ("vipd", format!("vipd {}, commit {}", env!("CARGO_PKG_VERSION"), said("git", "describe --always --dirty"))),
        ("keepalived", said("keepalived", "--version")),
        ("FRR", frr),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).to_vec()
}
