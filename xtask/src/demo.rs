//! `cargo xtask demo`: three nodes that fail over and repel an attacker.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::{build, program::become_program};

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
    let arguments: Vec<_> = options.json.then(|| "--json".to_owned()).into_iter().collect();
    become_program("vipd-demo", &arguments, &options.build)
}
