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
    /// How often each of the two agents is watched, by turns.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each time, in seconds.
    #[arg(long, default_value_t = 20)]
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

/// Prints a line for each round of each agent, and what the checks have done to the lateness, by rounds.
pub(crate) fn run(options: &Options) -> Result<()> {
    print_transcripts(false);
    let lab = Lab::new()?;
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<8} {:>8} {:>10} {:>10} {:>9} {:>8} {:>10} {:>10} {:>10}",
        "CHECKS", "CPU", "RESIDENT", "LOOKS", "FAILED", "ADVERTS", "LATE 50%", "LATE 99%", "LATE ALL"
    )?;
    let mut ratios = Vec::new();
    for _ in 0..options.rounds {
        let [without, with] = [0, options.checks].map(|count| watch(&lab, count, options));
        let (without, with) = (without?, with?);
        show(&mut out, 0, &without)?;
        show(&mut out, options.checks, &with)?;
        ensure!(options.checks == 0 || with.looks > 0, "nothing was looked at");
        ratios.push([0, 1, 2].map(|place| ratio(with.late_us[place], without.late_us[place])));
    }
    for (place, what) in ["LATE 50%", "LATE 99%", "LATE ALL"].into_iter().enumerate() {
        let mut of: Vec<_> = ratios.iter().map(|ratio| ratio[place]).collect();
        of.sort_by(f64::total_cmp);
        let [min, median, max] = [0, of.len() / 2, of.len() - 1].map(|at| of[at]);
        writeln!(out, "{what}: {median:.2} times that without checks ({min:.2} to {max:.2}, {} rounds)", of.len())?;
    }
    Ok(())
}

fn ratio(late: u64, usual: u64) -> f64 {
    Duration::from_micros(late).div_duration_f64(Duration::from_micros(usual.max(1)))
}

fn show(out: &mut impl Write, count: usize, reading: &Reading) -> Result<()> {
    ensure!(reading.transitions == 0, "a role has changed");
    let [p50, p99, max] = reading.late_us;
    writeln!(
        out,
        "{count:<8} {:>6.1} % {:>6.1} MiB {:>10} {:>9} {:>8} {p50:>7} µs {p99:>7} µs {max:>7} µs",
        reading.cpu_percent, reading.resident_mib, reading.looks, reading.failures, reading.adverts
    )
    .map_err(Into::into)
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
