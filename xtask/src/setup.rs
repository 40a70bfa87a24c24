//! `cargo xtask setup`: brings the machine to what the other commands need, and says why for each step.
//!
//! Looks first ([`machine`]), decides without side effects ([`plan`]), then acts ([`perform`]).

pub(crate) mod machine;
mod perform;
mod plan;

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::{Result, bail};
use clap::Args;

use self::{
    machine::{Distribution, Machine, Privilege},
    plan::Plan,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What a command is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Compile, the BPF program included.
    Toolchain,
    /// Run the privileged tests or the demo as well.
    Everything,
    /// Make packages.
    Packaging,
    /// Search by libFuzzer for inputs that break something.
    Fuzzing,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let machine = Machine::look(&plan::package_names())?;
    let plan = Plan::new(&machine, Needs::Everything);
    for (what, how) in &plan.there {
        eprintln!("setup: {what}: {how}");
    }
    if options.dry_run {
        announce(&plan);
        if !plan.is_empty() {
            eprintln!("setup: dry run; the commands would be:\n\n{}", plan.commands(&machine).join("\n"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    carry_out(&plan, &machine)?;
    Ok(ExitCode::SUCCESS)
}

/// Installs what `needs` lacks; says nothing where it lacks nothing.
pub(crate) fn ensure(needs: Needs) -> Result<()> {
    let machine = Machine::look(&plan::package_names())?;
    carry_out(&Plan::new(&machine, needs), &machine)
}

fn carry_out(plan: &Plan, machine: &Machine) -> Result<()> {
    announce(plan);
    if plan.is_empty() {
        return Ok(());
    }
    if let Some(why) = obstacle(plan, machine) {
        let commands = plan.commands(machine).join("\n");
        bail!("setup cannot install this itself: {why}. Run these commands, then try again:\n\n{commands}");
    }
    perform::carry_out(plan, machine.privilege)?;

    let names: BTreeSet<_> = plan::package_names();
    let left = Plan::new(&Machine::look(&names)?, plan.needs);
    if !left.is_empty() {
        announce(&left);
        bail!("the installation went through, but the above is still missing");
    }
    Ok(())
}

fn announce(plan: &Plan) {
    for (what, why) in plan.steps() {
        eprintln!("setup: install {what}: {why}");
    }
}

fn obstacle(plan: &Plan, machine: &Machine) -> Option<String> {
    match (&machine.distribution, machine.privilege) {
        (Distribution::Other(name), _) => Some(format!("it knows Debian's packages only, and this is {name}")),
        (Distribution::Debian, Privilege::None) if !plan.packages.is_empty() => {
            Some("packages need root, and there is no sudo".to_owned())
        }
        (Distribution::Debian, _) => None,
    }
}
