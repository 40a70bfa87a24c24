//! The manual pages: one for the program, one for each of its commands, one for the configuration.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;
use crate::config::reference;

/// Name and content of each.
pub(super) fn pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    // That gives the commands their full names.
    program.build();
    let mut pages = vec![page(program.clone())?];
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        pages.push(page(command.clone())?);
    }
    pages.push(("vipd.toml.5".to_owned(), reference::manual().into_bytes()));
    Ok(pages)
}

fn page(command: Command) -> anyhow::Result<(String, Vec<u8>)> {
    let man = Man::new(command).source(concat!("vipd ", env!("CARGO_PKG_VERSION"))).manual("vipd");
    let mut content = Vec::new();
    man.render(&mut content)?;
    Ok((man.get_filename(), content))
}
