//! `cargo xtask lint`: format, clippy, house rules, the ledger of the RFCs, and what takes other tools, where they are
//! installed: dependencies, the format of Terraform's files.

use std::{
    env,
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{
    process, rfc,
    setup::{
        self, Needs,
        machine::{BpfCore, active_core},
    },
    tidy,
};

pub(crate) fn run() -> Result<ExitCode> {
    // Clippy compiles, and the agent's build script needs the BPF toolchain.
    setup::ensure(Needs::Toolchain)?;
    let mut failed = vec![];
    let (commands, left_out) = commands();
    for (name, mut command) in commands {
        eprintln!("lint: {name}");
        if let Err(error) = process::run(&mut command) {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    }
    for (name, check) in [("tidy", tidy::run as fn() -> Result<ExitCode>), ("rfc", rfc::check)] {
        eprintln!("lint: {name}");
        if check()? != ExitCode::SUCCESS {
            failed.push(name);
        }
    }
    eprintln!("lint: {}", conclusion(&failed, &left_out));
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The last line: what failed, and what nobody has checked.
fn conclusion(failed: &[&str], left_out: &[&str]) -> String {
    let found = if failed.is_empty() { "nothing found".to_owned() } else { format!("failed: {}", failed.join(", ")) };
    if left_out.is_empty() { found } else { format!("{found}; NOT checked: {}", left_out.join(", ")) }
}

/// The checks that take a program each, and the names of those that cannot run on this machine.
fn commands() -> (Vec<(&'static str, Command)>, Vec<&'static str>) {
    let mut left_out = vec![];
    let mut commands = vec![
        ("format", cargo(&["fmt", "--all", "--check"])),
        ("clippy", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ];
    let bpf = "clippy for the BPF program";
    if active_core() == BpfCore::Source {
        commands.push((bpf, bpf_clippy()));
    } else {
        left_out.push(bpf);
        eprintln!("lint: the BPF program is not linted: clippy's compiler has no core for BPF (rust-src is missing)");
    }
    let mut terraform = process::program("terraform");
    terraform.args(["fmt", "-check", "-diff", "-recursive", "deploy/terraform"]);
    let optional =
        [("cargo-deny", cargo(&["deny", "check"])), ("cargo-machete", cargo(&["machete"])), ("terraform", terraform)];
    for (program, command) in optional {
        if process::find(program).is_some() {
            commands.push((program, command));
        } else {
            eprintln!("lint: {program} is not installed, so its check is left out");
            left_out.push(program);
        }
    }
    (commands, left_out)
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = process::cargo();
    cargo.args(arguments);
    cargo
}

/// The program as the agent's build script compiles it, in its own folder, where build-std sees nothing else.
fn bpf_clippy() -> Command {
    let mut cargo = process::cargo();
    let target = process::workspace().join("target/bpf-clippy");
    cargo
        .current_dir(process::workspace().join("agent-ebpf"))
        .args(["clippy", "--release", "--bin", "vipd-guard", "--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(target)
        .args(["--", "-D", "warnings"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH));
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_checked_is_said_last() {
        for (failed, left_out, expected) in [
            (&[][..], &[][..], "nothing found"),
            (&[], &["cargo-deny", "terraform"], "nothing found; NOT checked: cargo-deny, terraform"),
            (&["format", "tidy"], &["cargo-deny"], "failed: format, tidy; NOT checked: cargo-deny"),
        ] {
            assert_eq!(conclusion(failed, left_out), expected);
        }
    }
}
