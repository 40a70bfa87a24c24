//! Searches every model and prints how many states it has.

use std::{
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use clap::Parser;
use vipd_simulation::model::{
    Budget, Setup,
    search::{Seen, search},
    setups::setups,
};

/// Check every history of three virtual routers, with as many faults as are given.
#[derive(Debug, Parser)]
#[command(name = "vipd-model")]
struct Cli {
    /// Messages that may be lost, in place of what each setup bears.
    #[arg(long)]
    lost: Option<u8>,
    /// Messages that may come twice, in place of what each setup bears.
    #[arg(long)]
    twice: Option<u8>,
    /// Messages that may overtake others, in place of what each setup bears.
    #[arg(long)]
    early: Option<u8>,
    /// Routers that may crash or stop, in place of what each setup bears.
    #[arg(long)]
    ends: Option<u8>,
    /// Setups that are searched at the same time.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    jobs: usize,
}

fn main() -> ExitCode {
    let Cli { lost, twice, early, ends, jobs } = Cli::parse();
    let begun = Instant::now();
    let mut waiting = setups();
    waiting.reverse();
    for Setup { budget, .. } in &mut waiting {
        *budget = Budget {
            lost: lost.unwrap_or(budget.lost),
            twice: twice.unwrap_or(budget.twice),
            early: early.unwrap_or(budget.early),
            ends: ends.unwrap_or(budget.ends),
        };
    }
    let waiting = Mutex::new(waiting);
    let worker = || {
        let mut found = Vec::new();
        loop {
            let setup = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(setup) = setup else { return found };
            found.push(one(setup));
        }
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| worker.join();
        workers.into_iter().flat_map(|worker| join(worker).unwrap_or_else(|_| vec![None])).collect()
    });
    let (states, steps) =
        found.iter().flatten().fold((0, 0), |(states, steps), seen: &Seen| (states + seen.states, steps + seen.steps));
    tell(&format!("{states} states, {steps} steps in all; {:.1} s", begun.elapsed().as_secs_f64()));
    if found.iter().all(Option::is_some) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(setup: Setup) -> Option<Seen> {
    let begun = Instant::now();
    let Setup { version, priorities, preempts, budget: Budget { lost, twice, early, ends } } = setup;
    let outcome = search(setup);
    let what = match &outcome {
        Ok(Seen { states, steps, active_at_once, .. }) => format!(
            "{states} states, {steps} steps, at most {active_at_once} Active at once; {:.1} s",
            begun.elapsed().as_secs_f64()
        ),
        Err(what) => what.clone(),
    };
    tell(&format!(
        "{version:?}, priorities {priorities:?}, preempt {preempts}; {lost} lost, {twice} twice, {early} early, {ends} ends: {what}"
    ));
    outcome.ok()
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn tell(what: &str) {
    println!("{what}");
}
