//! `vipd-bench`: measures vipd beside its peers, and what it costs.

mod checks;
mod client;
mod cost;
mod failover;
mod fault;
mod flood;
mod goal;
mod guard;
mod holders;
mod machine;
mod many;
mod moment;
mod plot;
mod probe;
mod progress;
mod report;
mod result;
mod scale;
mod sighting;
mod stage;
mod subject;
mod throughput;
mod turns;

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use harness::print_transcripts;

use self::{progress::Progress, result::Results, turns::Output};

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
    /// Writes the report of a run.
    Report(report::Options),
    /// Asks for addresses and prints who answers: a part of a measurement.
    #[command(hide = true)]
    Probe(probe::Options),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Where all figures go, as JSON.
    #[arg(long, default_value = "target/bench/results.json")]
    results: PathBuf,
    /// Some of the parts.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "failover,attacks,scale,throughput")]
    parts: Vec<Part>,
    /// Trials of each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    #[command(flatten)]
    failover: failover::Options,
    #[command(flatten)]
    scale: scale::Options,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Faults of the Active.
    Failover,
    /// Adverts that are forged, and floods of them.
    Attacks,
    /// Many virtual routers, and many addresses.
    Scale,
    /// TCP past the guard.
    Throughput,
}

impl Run {
    fn trials(&self, part: Part) -> u32 {
        match part {
            Part::Failover => self.failover.trials(self.count),
            Part::Attacks => flood::trials(self.count),
            Part::Scale => self.scale.trials(self.count),
            Part::Throughput => throughput::trials(self.count),
        }
    }

    fn measure(&self, part: Part, output: &mut Output) -> Result<()> {
        match part {
            Part::Failover => failover::run(&self.failover, self.count, output),
            Part::Attacks => flood::run(self.count, output),
            Part::Scale => scale::run(&self.scale, self.count, output),
            Part::Throughput => throughput::run(self.count, output),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.what {
        Some(What::Checks(options)) => checks::run(options),
        Some(What::Guard(options)) => guard::run(options),
        Some(What::Many(options)) => many::run(options),
        Some(What::Report(options)) => report::run(options),
        Some(What::Probe(options)) => probe::run(options),
        None => run(&arguments.run),
    }
}

fn run(options: &Run) -> Result<()> {
    print_transcripts(false);
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let results = Results { begun, machine: machine::describe(), rows: Vec::new() };
    let progress = Progress::new(options.parts.iter().map(|&part| options.trials(part)).sum());
    let mut output = Output { results, progress };
    let outcome = options.parts.iter().try_for_each(|&part| options.measure(part, &mut output));
    // Also what was measured before something failed.
    output.results.save(&options.results)?;
    outcome
}
