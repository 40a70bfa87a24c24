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
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use harness::print_transcripts;
use vipd::clock;

use self::{
    progress::{Progress, Workload},
    result::Results,
    subject::Subject,
    turns::Output,
};

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
    /// Where all figures go, as JSON: a file of this run in `target/bench/results` unless it is said. The report goes into a folder
    /// beside it, of the same name.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Some of the parts.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "failover,attacks,scale,throughput,guard")]
    parts: Vec<Part>,
    /// Trials of each.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Some of the daemons, of failover and scale.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "vipd,keepalived,frr")]
    subjects: Vec<Subject>,
    #[command(flatten)]
    failover: failover::Options,
    #[command(flatten)]
    attacks: flood::Options,
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
    /// What the guard's programs cost a frame.
    Guard,
}

impl Run {
    fn workload(&self, part: Part) -> Workload {
        match part {
            Part::Failover => self.failover.workload(&self.subjects, self.count),
            Part::Attacks => self.attacks.workload(self.count),
            Part::Scale => self.scale.workload(&self.subjects, self.count),
            Part::Throughput => throughput::workload(self.count),
            Part::Guard => guard::workload(self.count),
        }
    }

    fn measure(&self, part: Part, output: &mut Output) -> Result<()> {
        match part {
            Part::Failover => failover::run(&self.failover, &self.subjects, self.count, output),
            Part::Attacks => flood::run(&self.attacks, self.count, output),
            Part::Scale => scale::run(&self.scale, &self.subjects, self.count, output),
            Part::Throughput => throughput::run(self.count, output),
            Part::Guard => guard::part(self.count, output),
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
    let begun = clock::wall();
    let results = Results { begun: begun.as_secs(), machine: machine::describe(), rows: Vec::new() };
    let progress = Progress::new(options.parts.iter().map(|&part| options.workload(part)).sum());
    let file = options.results.clone().unwrap_or_else(|| results_of(begun));
    let mut output = Output { results, progress, file };
    let outcome = options.parts.iter().try_for_each(|&part| options.measure(part, &mut output));
    let _ = writeln!(io::stderr(), "the figures are in {}", output.file.display());
    outcome?;
    let report = report::write(&[output.results], "", &output.file.with_extension(""))?;
    let _ = writeln!(io::stderr(), "the report is {}", report.display());
    Ok(())
}

/// The file of a run that began so long after 1970.
fn results_of(begun: Duration) -> PathBuf {
    let date = clock::date(begun);
    format!("target/bench/results/{}-{:02}{:02}.json", date.date(), date.hour(), date.minute()).into()
}
