//! Runs the simulation for many seeds, or tells the story of one.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use clap::Parser;
use vipd_simulation::{Summary, Violation, fingerprint, run, run_pairs, tell, tell_pairs};

/// Simulate LANs of virtual routers, one for each seed.
#[derive(Debug, Parser)]
#[command(name = "vipd-simulate")]
struct Cli {
    /// How many seeds.
    #[arg(long, default_value_t = 100_000, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1, conflicts_with = "seed")]
    from: u64,
    /// One seed only, whose story is told.
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes that run two virtual routers each, which move together.
    #[arg(long)]
    pairs: bool,
    /// Seeds that are simulated at the same time.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    jobs: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let failed = cli.seed.map_or_else(|| many(&cli), |seed| one(seed, cli.pairs));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[expect(clippy::print_stdout, reason = "the story is the result")]
fn one(seed: u64, pairs: bool) -> bool {
    let (story, outcome) = if pairs { tell_pairs(seed) } else { tell(seed) };
    print!("{story}");
    match &outcome {
        Ok(summary) => print!("{summary}seed {seed} keeps every rule"),
        Err(violation) => print!("seed {seed} failed {violation}"),
    }
    println!("; fingerprint {:#018x}", fingerprint(seed));
    outcome.is_err()
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn many(cli: &Cli) -> bool {
    let &Cli { from, seeds, jobs, pairs, .. } = cli;
    let begun = Instant::now();
    let next = AtomicU64::new(from);
    let worker = || {
        let (mut total, mut failures) = (Summary::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from.saturating_add(seeds) {
                return (total, failures);
            }
            match if pairs { run_pairs(seed) } else { run(seed) } {
                Ok(summary) => total += summary,
                Err(violation) => report(seed, pairs, &violation, &mut failures),
            }
        }
    };
    let (mut total, mut failures) = (Summary::default(), Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            let (part, failed) = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            total += part;
            failures.extend(failed);
        }
    });
    print!("{total}");
    println!("{seeds} seeds from {from}: {} failed; {:.1} s", failures.len(), begun.elapsed().as_secs_f64());
    !failures.is_empty()
}

#[expect(clippy::print_stdout, reason = "failures are the result")]
fn report(seed: u64, pairs: bool, violation: &Violation, failures: &mut Vec<u64>) {
    let flag = if pairs { " --pairs" } else { "" };
    println!("seed {seed} failed {violation}\n  its story: cargo xtask simulate --seed {seed}{flag}");
    failures.push(seed);
}
