//! `cargo xtask`: sets the machine up, builds, tests, shows, and checks the style.
//!
//! One file per command. Progress goes to standard error, results to standard output. Depends on none of our crates, so
//! that it builds where they do not.

mod bench;
mod build;
mod ci;
mod demo;
mod dist;
mod fuzz;
mod interop;
mod kernels;
mod lint;
mod process;
mod program;
mod rfc;
mod setup;
mod simulate;
mod table;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The project's commands. Each installs first what it needs and the machine lacks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what is missing: the BPF toolchain, and what tests and demo call.
    Setup(setup::Options),
    /// Build `vipd`, the BPF program inside it.
    Build(build::Options),
    /// Run the unit, property and namespace tests (the last need root).
    Test {
        /// Boot other kernels instead, as `kernels` does.
        #[arg(long)]
        kernel: bool,
    },
    /// Find out what the guard can do on which kernel: boots them in an emulator, takes some minutes.
    Kernels(kernels::Options),
    /// Play every scene with keepalived and FRR as the other router, and show how each went: some minutes (needs root).
    Interop(interop::Options),
    /// Show three nodes that fail over and repel an attacker, in network namespaces (needs root).
    Demo(demo::Options),
    /// Measure vipd beside keepalived and FRR in faults, attacks and at scale, or what the guard, many virtual routers or many checks
    /// cost (needs root).
    Bench(bench::Options),
    /// Make the Debian package and the container image.
    Dist(dist::Options),
    /// Simulate LANs of virtual routers, with every fault, in virtual time: 100,000 seeds, or the story of one.
    Simulate(simulate::Options),
    /// Check every history of three virtual routers up to a bound.
    Model(simulate::Options),
    /// Search for inputs that break a fuzz target: a minute for each, or as long as you say.
    Fuzz(fuzz::Options),
    /// Check format, lints, house rules, the ledger of the RFCs, and dependencies where the tools for it are installed.
    Lint,
    /// Show the rules of the RFCs and their tests; fails where a MUST has neither a test nor a reason.
    Rfc(rfc::Options),
    /// Check the house rules alone: needs no build.
    Tidy,
    /// What CI runs: lint, then test, where a test that cannot run fails.
    Ci,
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Setup(options) => setup::run(options),
        Command::Build(options) => build::run(options),
        Command::Test { kernel: true } => kernels::run(&kernels::Options::default()),
        Command::Test { kernel: false } => test::run(test::Requirement::from_environment()),
        Command::Kernels(options) => kernels::run(options),
        Command::Interop(options) => interop::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Bench(options) => bench::run(options),
        Command::Dist(options) => dist::run(options),
        Command::Simulate(options) => simulate::run("vipd-simulate", options),
        Command::Model(options) => simulate::run("vipd-model", options),
        Command::Fuzz(options) => fuzz::run(options),
        Command::Lint => lint::run(),
        Command::Rfc(options) => rfc::run(options),
        Command::Tidy => tidy::run(),
        Command::Ci => ci::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
