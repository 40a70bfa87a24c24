//! `cargo xtask simulate`: LANs of virtual routers in virtual time, one for each seed. `cargo xtask model`: every history of
//! three routers up to a bound.

use std::{os::unix::process::CommandExt, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::process;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Arguments of the program; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs `program` of the simulation's package in place of this process.
pub(crate) fn run(program: &str, options: &Options) -> Result<ExitCode> {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--profile", "simulation", "--package", "vipd-simulation", "--bin", program, "--"]);
    let error = cargo.args(&options.arguments).exec();
    Err(error).with_context(|| format!("failed to start `{}`", process::shown(&cargo)))
}
