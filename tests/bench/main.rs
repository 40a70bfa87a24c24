//! `vipd-bench`: measures what vipd costs, and how fast it is.

mod checks;
mod failover;
mod guard;
mod many;
mod operations;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures client outages when the port of the Active goes down.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    failover: failover::Options,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measures what hundreds of checks cost, and whether adverts stay punctual.
    Checks(checks::Options),
    /// Measures what the guard costs a frame, beside programs that do nothing.
    Guard(guard::Options),
    /// Measures what hundreds of virtual routers cost, and whether they stay in their states.
    Many(many::Options),
    /// Measures what operators do, and what happens to daemons, as a client notices it.
    Operations(operations::Options),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.what {
        Some(What::Checks(options)) => checks::run(options),
        Some(What::Guard(options)) => guard::run(options),
        Some(What::Many(options)) => many::run(options),
        Some(What::Operations(options)) => operations::run(options),
        None => failover::run(&arguments.failover),
    }
}
