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
    for (name, mut command) in commands() {
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
    if failed.is_empty() {
        eprintln!("lint: nothing found");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("lint: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn commands() -> Vec<(&'static str, Command)> {
    let mut commands = vec![
        ("format", cargo(&["fmt", "--all", "--check"])),
        ("clippy", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ];
    if active_core() == BpfCore::Source {
        commands.push(("clippy for the BPF program", bpf_clippy()));
    } else {
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
        }
    }
    commands
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
