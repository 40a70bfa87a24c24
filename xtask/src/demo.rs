//! `cargo xtask demo`: builds what the demonstration needs and becomes it.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    build, process,
    setup::{self, Needs},
};

#[derive(Debug, Args)]
// Named like the group of the options that it contains.
#[group(skip)]
pub(crate) struct Options {
    /// Print the timeline as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    build: build::Options,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !process::is_root() {
        bail!("the demo makes network namespaces and loads BPF programs: run `cargo xtask demo` as root");
    }
    setup::ensure(Needs::Everything)?;
    let vipd = build::vipd(&options.build)?;
    let mut demo = command(options);
    // In place of this process: the demo gets the terminal's Ctrl-C, cleans up, and its exit status is the answer.
    let error = demo.env("VIPD_BIN", vipd).exec();
    Err(error).with_context(|| format!("failed to start `{}`", process::shown(&demo)))
}

fn command(options: &Options) -> Command {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "vipd-tests", "--bin", "vipd-demo", "--"]);
    if options.json {
        cargo.arg("--json");
    }
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_demo_knows_is_passed_on() {
        let build = build::Options { release: true };
        let shown = process::shown(&command(&Options { json: true, build }));
        assert!(shown.ends_with("run --quiet --package vipd-tests --bin vipd-demo -- --json"), "{shown}");
    }
}
