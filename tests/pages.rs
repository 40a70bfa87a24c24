//! What README and the pages in `docs/` tell people to type can be typed, and what they show of the kernel's maps is so.

#[path = "pages/accounts.rs"]
mod accounts;
#[path = "pages/commands.rs"]
mod commands;
#[path = "pages/getting_started.rs"]
mod getting_started;
mod keys;
#[path = "pages/maps.rs"]
mod maps;
#[path = "pages/stage.rs"]
mod stage;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use harness::lab;

use self::{
    accounts::{ACCOUNTS, Account, account},
    commands::{Typed, of_pages, workspace},
    stage::Stage,
};

/// What has nobody to run it is not in a page, and what is run elsewhere is run there.
#[test]
fn every_command_is_accounted_for() -> Result<()> {
    let commands = of_pages()?;
    ensure!(commands.len() >= 30, "only {} commands were found", commands.len());
    let mut used = BTreeSet::new();
    for typed in &commands {
        used.insert(account(typed)?.0);
    }
    for (words, account) in ACCOUNTS {
        ensure!(used.contains(words), "no page has `{words}` any more: take it out of the table");
        match account {
            Account::There { file, proof } => {
                let text = read(file)?;
                ensure!(
                    text.contains(proof),
                    "`{words}` is said to be run by `{proof}` in {file}, which has nothing like it"
                );
            }
            Account::Nobody(why) => eprintln!("not run: {words} ({why})"),
            Account::Here(_) | Account::Hung => {}
        }
    }
    Ok(())
}

/// Each command of `vipd` in a page does what it should on a node of a cluster that serves.
#[test]
fn the_commands_of_vipd_work() -> Result<()> {
    let lab = lab!();
    let mut stage = Stage::new(&lab, "preempt = false")?;
    stage.start_all()?;
    let mut seen = BTreeSet::new();
    for Typed { command, place } in of_pages()? {
        if let (_, Account::Here(manner)) = account(&Typed { command: command.clone(), place: place.clone() })?
            && seen.insert(command.clone())
        {
            stage.run(*manner, &command).with_context(|| format!("{place}: `{command}`"))?;
            stage.restore().with_context(|| format!("{place}: after `{command}`"))?;
        }
    }
    ensure!(seen.len() >= 20, "only {} commands were run", seen.len());
    Ok(())
}

/// The demo of README, which `cargo xtask demo` builds and runs, plays to its end. Whether each of its claims held is a question of how
/// busy this machine is.
#[test]
fn the_demo_plays() -> Result<()> {
    // That there can be a lab is all that is asked; the demo makes its own.
    drop(lab!());
    let output = Command::new(env!("CARGO_BIN_EXE_vipd-demo")).output().context("failed to start the demo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let scenes =
        ["1. three nodes elect", "4. an attacker forges", "6. everybody goes home", "no virtual address is left"];
    for scene in scenes {
        ensure!(said.contains(scene), "no `{scene}`:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The text of a file of this repository.
fn read(name: &str) -> Result<String> {
    let path: &Path = &workspace().join(name);
    fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))
}
