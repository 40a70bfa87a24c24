//! `vipd-bench`: measures vipd beside its peers, and what it costs.

mod checks;
mod client;
mod failover;
mod fault;
mod guard;
mod holders;
mod machine;
mod many;
mod moment;
mod probe;
mod progress;
mod result;
mod sighting;
mod stage;
mod subject;

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use clap::{Parser, Subcommand};
use harness::print_transcripts;

use self::{progress::Progress, result::Results};

/// Measures vipd beside keepalived and FRR.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measures what hundreds of checks cost, and whether adverts stay punctual.
    Checks(checks::Options),
    /// Measures what the guard costs a frame, beside programs that do nothing.
    Guard(guard::Options),
    /// Measures what hundreds of virtual routers cost, and whether they stay in their states.
    Many(many::Options),
    /// Asks for addresses and prints who answers: a part of a measurement.
    #[command(hide = true)]
    Probe(probe::Options),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Where all figures go, as JSON.
    #[arg(long, default_value = "target/bench/results.json")]
    results: PathBuf,
    #[command(flatten)]
    failover: failover::Options,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.what {
        Some(What::Checks(options)) => checks::run(options),
        Some(What::Guard(options)) => guard::run(options),
        Some(What::Many(options)) => many::run(options),
        Some(What::Probe(options)) => probe::run(options),
        None => run(&arguments.run),
    }
}

fn run(options: &Run) -> Result<()> {
    print_transcripts(false);
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut results = Results { begun, machine: machine::describe(), rows: Vec::new() };
    let mut progress = Progress::new(options.failover.trials());
    let outcome = failover::run(&options.failover, &mut results, &mut progress);
    // Also what was measured before something failed.
    results.save(&options.results)?;
    outcome
}
