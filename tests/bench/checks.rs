//! What checks cost: 200 of them at 100 ms beside an Active that advertises every 100 ms, against the same agent without any;
//! and whether adverts are sent as punctually.

use std::{
    fmt::Write as _,
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use harness::{Cluster, ClusterConfig, Lab, NginxOptions, Status, print_transcripts};

use crate::many::usage;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many checks: a fifth each of HTTP, TCP, files, processes and interfaces.
    #[arg(long, default_value_t = 200)]
    checks: usize,
    /// Their interval, in milliseconds.
    #[arg(long, default_value_t = 100)]
    interval_ms: u64,
    /// How long each of the two agents is watched, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// What an agent was like.
struct Reading {
    cpu_percent: f64,
    resident_mib: f64,
    looks: u64,
    failures: u64,
    adverts: u64,
    late_us: [u64; 3],
    transitions: u64,
}

/// Prints a line for the agent without checks, and one for that with them.
pub(crate) fn run(options: &Options) -> Result<()> {
    print_transcripts(false);
    let lab = Lab::new()?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<8} {:>8} {:>10} {:>10} {:>9} {:>8} {:>10} {:>10} {:>10} {:>11}",
        "CHECKS", "CPU", "RESIDENT", "LOOKS", "FAILED", "ADVERTS", "LATE 50%", "LATE 99%", "LATE ALL", "TRANSITIONS"
    )?;
    for count in [0, options.checks] {
        let reading = watch(&lab, count, options)?;
        let [p50, p99, max] = reading.late_us;
        writeln!(
            out,
            "{count:<8} {:>6.1} % {:>6.1} MiB {:>10} {:>9} {:>8} {p50:>7} µs {p99:>7} µs {max:>7} µs {:>11}",
            reading.cpu_percent,
            reading.resident_mib,
            reading.looks,
            reading.failures,
            reading.adverts,
            reading.transitions
        )?;
        ensure!(reading.transitions == 0, "a role has changed");
        ensure!(count == 0 || reading.looks > 0, "nothing was looked at");
    }
    Ok(())
}

fn watch(lab: &Lab, count: usize, options: &Options) -> Result<Reading> {
    let mut cluster = Cluster::with_config(lab, 1, config(count, options.interval_ms)?)?;
    let _nginx = cluster.nodes[0].nginx(&NginxOptions { listen: &["127.0.0.1:8080"], certificate: None })?;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    // The first looks, and connections, are no part of it.
    thread::sleep(Duration::from_secs(2));
    let (begun, before) = (Instant::now(), agent.status()?);
    let used = usage(&before)?;
    thread::sleep(Duration::from_secs(options.seconds));
    let (span, after) = (begun.elapsed().as_secs_f64(), agent.status()?);
    let (cpu_s, resident_mib) = usage(&after)?;
    let sum = |status: &Status, key: &str| -> u64 {
        status.0["checks"].as_array().into_iter().flatten().filter_map(|check| check[key].as_u64()).sum()
    };
    let late = |key: &str| after.0["send_lateness"][key].as_u64().context("no lateness");
    Ok(Reading {
        cpu_percent: (cpu_s - used.0) / span * 100.0,
        resident_mib,
        looks: sum(&after, "looks") - sum(&before, "looks"),
        failures: sum(&after, "failures") - sum(&before, "failures"),
        adverts: late("adverts")?,
        late_us: [late("p50_us")?, late("p99_us")?, late("max_us")?],
        transitions: after.transitions().zip(before.transitions()).map_or(0, |(after, before)| after - before),
    })
}

fn config(count: usize, interval_ms: u64) -> Result<String> {
    let names: Vec<_> = (0..count).map(|number| format!("c{number}")).collect();
    let text = ClusterConfig::default().text(1)?;
    let mut text = text.replace("vrid = 51\n", &format!("vrid = 51\nchecks = {names:?}\n"));
    let kinds = [
        "http = \"http://127.0.0.1:8080/healthz\"",
        "tcp = \"127.0.0.1:8080\"",
        "file = \"/run/lab/nothing\"",
        "process = \"nginx\"",
        "interface = \"vsw0\"",
    ];
    for (name, kind) in names.iter().zip(kinds.iter().cycle()) {
        writeln!(text, "[[check]]\nname = \"{name}\"\n{kind}\ninterval = \"{interval_ms}ms\"\nrise = 2\nfall = 3")?;
    }
    Ok(text)
}
