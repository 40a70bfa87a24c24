//! Searches every model and prints how many states it has.

use std::{process::ExitCode, time::Instant};

use clap::Parser;
use vipd_simulation::model::{
    Budget, Setup,
    search::{Seen, search},
};
use vrrp::Version;

/// Check every history of three virtual routers, with as many faults as are given.
#[derive(Debug, Parser)]
#[command(name = "vipd-model")]
struct Cli {
    /// Messages that may be lost.
    #[arg(long, default_value_t = 2)]
    lost: u8,
    /// Messages that may come twice.
    #[arg(long, default_value_t = 1)]
    twice: u8,
    /// Routers that may crash or stop.
    #[arg(long, default_value_t = 1)]
    ends: u8,
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn main() -> ExitCode {
    let Cli { lost, twice, ends } = Cli::parse();
    let budget = Budget { lost, twice, ends };
    let mut failed = false;
    for (version, priorities, preempts) in [
        (Version::V3, [255, 200, 100], true),
        (Version::V3, [200, 100, 100], true),
        (Version::V3, [100, 100, 100], true),
        (Version::V3, [200, 150, 100], false),
        (Version::V2, [200, 100, 100], true),
    ] {
        let begun = Instant::now();
        match search(&Setup { version, priorities, preempts, budget }) {
            Ok(Seen { states, steps, active_at_once, .. }) => println!(
                "{version:?}, priorities {priorities:?}, preempt {preempts}: {states} states, {steps} steps, at most \
                 {active_at_once} Active at once; {:.1} s",
                begun.elapsed().as_secs_f64()
            ),
            Err(what) => {
                failed = true;
                println!("{version:?}, priorities {priorities:?}, preempt {preempts}: {what}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
