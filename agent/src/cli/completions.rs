//! `vipd completions`: for shells.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::Cli;

/// Prints what `shell` reads.
pub(super) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    // Into memory first: the generator panics where it cannot write, to a reader that has gone say.
    let mut script = Vec::new();
    generate(shell, &mut shown(), "vipd", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// The command line without what nobody types: shells would offer that too.
fn shown() -> Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("vipd").version(env!("CARGO_PKG_VERSION")).subcommands(commands)
}
