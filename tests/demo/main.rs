//! `vipd-demo`: three nodes on a virtual vSwitch, each Active for one virtual router; a power loss, an attack and a clean
//! stop, as a client on the LAN sees them.
//!
//! Every line it prints was checked; exit status 1 says that something it claims did not happen. All of it lives in
//! namespaces without a name and ends with this process, also when it is interrupted.

mod scenes;
mod stage;
mod timeline;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use harness::{Lab, print_transcripts};

use self::{stage::Stage, timeline::Timeline};

/// Shows a failover, an attack and a clean stop on three virtual nodes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Print the timeline as JSON; progress goes to standard error.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    print_transcripts(false);
    let mut timeline = Timeline::new();
    let outcome = play(&mut timeline);
    if let Err(error) = &outcome {
        timeline.failed(&format!("{error:#}"));
    }
    let printed = if arguments.json { timeline.print_json() } else { timeline.print() };
    if let Err(error) = printed {
        let _ = writeln!(io::stderr(), "failed to print the timeline: {error}");
        return ExitCode::FAILURE;
    }
    if timeline.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn play(timeline: &mut Timeline) -> anyhow::Result<()> {
    let lab = Lab::new()?;
    let mut stage = Stage::build(&lab)?;
    scenes::election(&mut stage, timeline)?;
    scenes::power_loss(&mut stage, timeline)?;
    scenes::recovery(&mut stage, timeline)?;
    scenes::attack(&lab, &stage, timeline)?;
    scenes::clean_stop(&mut stage, timeline)?;
    scenes::curtain(stage, timeline)
}
