//! `vipd completions`: for shells.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Cli;

/// Prints what `shell` reads.
pub(super) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    // Into memory first: the generator panics where it cannot write, to a reader that has gone say.
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "vipd", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
