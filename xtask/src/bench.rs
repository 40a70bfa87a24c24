//! `cargo xtask bench`: vipd beside keepalived and FRR, by turns, in faults, attacks and at scale; with `report`: the page on such a
//! run; with `guard`: what the guard costs a frame; with `many`: what hundreds of virtual routers cost; with `checks`: what hundreds of
//! health checks cost.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::{build, program::become_program};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Arguments of the measuring program; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    become_program("vipd-bench", &options.arguments, &build::Options { release: true })
}
