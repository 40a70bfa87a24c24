//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy knows.

mod dependencies;
mod links;
mod rules;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};

use crate::process;

/// The files that may say `unsafe`, each with its reason.
const UNSAFE: [(&str, &str); 18] = [
    ("agent-ebpf/src/packet.rs", "raw packet pointers"),
    ("agent-ebpf/src/maps.rs", "map values in the kernel are raw pointers"),
    ("agent-ebpf/src/maps/ring.rs", "a record is written where it lies in the ring buffer"),
    ("agent-ebpf/src/program.rs", "symbols and sections that the kernel looks for"),
    ("agent-ebpf/src/abi.rs", "Pod impls"),
    ("agent-ebpf/src/abi/verdict.rs", "its test reads counters by place, as the kernel writes them"),
    ("agent/src/clock.rs", "adjtimex has no safe wrapper"),
    ("agent/src/datapath/nic.rs", "ethtool's ioctl has no safe wrapper"),
    ("agent/src/memory.rs", "malloc_trim has no safe wrapper"),
    ("agent/src/packet.rs", "socket calls that no safe wrapper offers"),
    ("agent/src/program/privileges.rs", "between fork and exec there are system calls only"),
    ("agent/src/readiness.rs", "AsyncFd must be told that its descriptor stays open"),
    ("agent/src/realtime.rs", "sched_setscheduler has no safe wrapper"),
    ("agent/src/restart.rs", "descriptors that another program has left open come as numbers"),
    ("agent/src/supervisor/line.rs", "a duplicate above a number comes as a raw descriptor"),
    ("tests/harness/namespace.rs", "a child enters its namespace between fork and exec"),
    ("tests/harness/packet_socket.rs", "an AF_PACKET address has no safe constructor"),
    ("tests/harness/realtime.rs", "sched_setscheduler has no safe wrapper"),
];
/// The files that hold what kernel and daemon agree on.
const ABI: [&str; 4] =
    ["agent-ebpf/src/abi.rs", "agent-ebpf/src/abi/notes.rs", "agent-ebpf/src/abi/verdict.rs", "agent-ebpf/src/hmac.rs"];
/// Folders that are not ours to check.
const SKIPPED: [&str; 2] = ["target", ".git"];

/// A breach of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// Counted from 1.
    line: usize,
    what: String,
}

impl Problem {
    fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

pub(crate) fn run() -> Result<ExitCode> {
    let top = process::workspace();
    let mut found = 0;
    for file in files(top)? {
        let name = file.strip_prefix(top).unwrap_or(&file).to_string_lossy().into_owned();
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for Problem { line, what } in examine(&name, &text, |target| exists(&file, target)) {
            eprintln!("{name}:{line}: {what}");
            found += 1;
        }
    }
    for problem in dependencies::check()? {
        eprintln!("{problem}");
        found += 1;
    }
    if found > 0 {
        eprintln!("tidy: {found} found");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Every rule that holds for a file of that name.
fn examine(name: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    let mut problems = vec![];
    match extension {
        Some("rs") => {
            problems.extend(rules::trailing_space(text));
            problems.extend(rules::tabs(text));
            problems.extend(rules::size(text));
            let code = source::code_only(text);
            if !UNSAFE.iter().any(|(allowed, _)| *allowed == name) {
                problems.extend(rules::no_unsafe(&code));
            }
            if !ABI.contains(&name) {
                problems.extend(rules::no_repr_c(&code));
            }
        }
        Some("md") => {
            problems.extend(rules::trailing_space(text));
            problems.extend(links::broken(text, exists));
        }
        Some("toml" | "sh" | "yaml" | "yml") => problems.extend(rules::trailing_space(text)),
        _ => {}
    }
    problems
}

/// Whether a link from `file` to `target` leads to something.
fn exists(file: &Path, target: &str) -> bool {
    file.parent().is_some_and(|folder| folder.join(target).exists())
}

pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            files.extend(self::files(&entry.path())?);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, text: &str) -> Vec<String> {
        examine(name, text, |_| false).into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn each_rule_holds_where_it_should() {
        let unsafe_code = "fn f() { unsafe {} }\n";
        let repr = "#[repr(C)]\nstruct A;\n";
        let link = "[a](gone.md)\n";
        let cases = [
            ("unsafe in the daemon", "agent/src/daemon.rs", unsafe_code, 1),
            ("unsafe where allowed", "agent-ebpf/src/packet.rs", unsafe_code, 0),
            ("a file of the same name", "agent/vrrp/src/maps.rs", unsafe_code, 1),
            ("layout in the daemon", "agent/src/daemon.rs", repr, 1),
            ("layout in abi.rs", "agent-ebpf/src/abi.rs", repr, 0),
            ("broken link", "README.md", link, 1),
            ("no link in Rust", "agent/src/daemon.rs", link, 0),
            ("tab in Rust", "agent/src/daemon.rs", "\tx\n", 1),
            ("tab elsewhere", "README.md", "\tx\n", 0),
            ("trailing space in TOML", "Cargo.toml", "a = 1 \n", 1),
            ("not a text of ours", "tests/fuzz/corpus/a", "x \t\n", 0),
        ];
        for (case, name, text, expected) in cases {
            assert_eq!(problems(name, text).len(), expected, "{case}: {:?}", problems(name, text));
        }
    }
}
