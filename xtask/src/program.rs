//! Becoming one of the programs of `vipd-tests`.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};

use crate::{
    build, process,
    setup::{self, Needs},
};

/// Builds what `program` needs and runs it in place of this process: it gets the terminal's Ctrl-C, cleans up, and its
/// exit status is the answer.
pub(crate) fn become_program(program: &str, arguments: &[String], build: &build::Options) -> Result<ExitCode> {
    if !process::is_root() {
        bail!("{program} makes network namespaces and loads BPF programs: run it as root");
    }
    setup::ensure(Needs::Everything)?;
    let vipd = build::vipd(build)?;
    let mut cargo = command(program, arguments, build);
    let error = cargo.env("VIPD_BIN", vipd).exec();
    Err(error).with_context(|| format!("failed to start `{}`", process::shown(&cargo)))
}

fn command(program: &str, arguments: &[String], build: &build::Options) -> Command {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "vipd-tests", "--bin", program]);
    if build.release {
        cargo.arg("--release");
    }
    cargo.arg("--").args(arguments);
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_cargos_and_the_arguments_are_the_programs() {
        let cases = [(false, ""), (true, " --release")];
        for (release, profile) in cases {
            let shown = process::shown(&command("vipd-demo", &["--json".to_owned()], &build::Options { release }));
            let expected = format!("run --quiet --package vipd-tests --bin vipd-demo{profile} -- --json");
            assert!(shown.ends_with(&expected), "{shown}");
        }
    }
}
