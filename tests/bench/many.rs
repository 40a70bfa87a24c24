//! What 510 virtual routers cost: 255 VRIDs of both families on one interface, two nodes, and whether they stay in their
//! states meanwhile.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use harness::{Agent, Cluster, Host, Lab, Status, print_transcripts};

/// Ticks of the kernel's accounting in a second: `USER_HZ`, a constant of its interface.
const TICKS: f64 = 100.0;
/// How long 510 virtual routers may take to be taken over, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// VRIDs, each of both families.
    #[arg(long, default_value_t = 255, value_parser = clap::value_parser!(u8).range(1..))]
    vrids: u8,
    /// Advertisement_Interval, in milliseconds.
    #[arg(long, default_value_t = 100)]
    interval_ms: u64,
    /// How long they are watched, in seconds.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// Keys of `[guard]`, such as `attach = "off"`.
    #[arg(long, default_value = "")]
    guard: String,
}

/// What an agent has used and counted so far.
struct Reading {
    cpu_s: f64,
    resident_mib: f64,
    sent: u64,
    received: u64,
    transitions: u64,
    lost: u64,
    avoided: u64,
}

/// Prints a line for each node.
pub(crate) fn run(options: &Options) -> Result<()> {
    print_transcripts(false);
    let lab = Lab::new()?;
    let mut cluster = Cluster::with_config(&lab, 2, config(options)?)?;
    cluster.start(0)?;
    settle(cluster.agent(0)?, "Active")?;
    cluster.start(1)?;
    settle(cluster.agent(1)?, "Backup")?;
    // The sign that those of n1 are heard: n2 would have taken over.
    thread::sleep(Duration::from_millis(options.interval_ms * 10));
    let (begun, before) = (Instant::now(), readings(&cluster)?);
    thread::sleep(Duration::from_secs(options.seconds));
    let (span, after) = (begun.elapsed().as_secs_f64(), readings(&cluster)?);
    let routers = 2 * usize::from(options.vrids);
    let mut out = io::stdout();
    writeln!(out, "{routers} virtual routers, an advert every {} ms, for {span:.0} s", options.interval_ms)?;
    writeln!(
        out,
        "{:<10} {:>11} {:>9} {:>10} {:>10} {:>11} {:>8} {:>14}",
        "NODE", "TRANSITIONS", "CPU", "RESIDENT", "SENT/s", "RECEIVED/s", "LOST", "LATE, HARMLESS"
    )?;
    for ((name, before), after) in ["n1 Active", "n2 Backup"].into_iter().zip(before).zip(after) {
        writeln!(
            out,
            "{name:<10} {:>11} {:>7.1} % {:>6.1} MiB {:>10.1} {:>11.1} {:>8} {:>14}",
            after.transitions - before.transitions,
            (after.cpu_s - before.cpu_s) / span * 100.0,
            after.resident_mib,
            per_second(after.sent - before.sent, span),
            per_second(after.received - before.received, span),
            after.lost - before.lost,
            after.avoided - before.avoided
        )?;
        ensure!(after.transitions == before.transitions, "{name} has changed states that it should have kept");
    }
    Ok(())
}

fn config(options: &Options) -> Result<String> {
    let mut text = format!(
        "[cluster]\nname = \"many\"\ninterface = \"{}\"\nadvertisement_interval = \"{}ms\"\n\n[guard]\n{}\n\n",
        Host::INTERFACE,
        options.interval_ms,
        options.guard
    );
    for node in 1..=2 {
        writeln!(
            text,
            "[[node]]\nname = \"n{node}\"\naddress = \"10.77.0.{node}\"\nmac = \"02:00:00:00:00:0{node}\"\n"
        )?;
    }
    for vrid in 1..=options.vrids {
        writeln!(text, "[[virtual_router]]\nname = \"v{vrid}\"\nvrid = {vrid}\nnodes = [\"n1\", \"n2\"]")?;
        writeln!(text, "addresses = [\"10.77.1.{vrid}/32\", \"fd77::1:{vrid:x}/128\"]\n")?;
    }
    Ok(text)
}

fn settle(agent: &Agent, state: &str) -> Result<()> {
    agent.wait_within(PATIENCE, &format!("all virtual routers to be {state}"), |status| status.all_in(&[state]))?;
    Ok(())
}

fn readings(cluster: &Cluster) -> Result<Vec<Reading>> {
    (0..2).map(|node| read(cluster.agent(node)?)).collect()
}

/// Seconds of CPU that an agent has used, and mebibytes that are resident.
pub(crate) fn usage(status: &Status) -> Result<(f64, f64)> {
    let pid = status.0["pid"].as_u64().context("the status has no pid")?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may have spaces: state is the third field, user and system time the 14th and 15th.
    let fields: Vec<_> = stat.rsplit_once(") ").context("an odd stat")?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at - 3).and_then(|field| field.parse::<u32>().ok());
    let (user, system) = ticks(14).zip(ticks(15)).context("no times in stat")?;
    let memory = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    ensure!(resident.ends_with("kB"), "{resident}");
    let resident = resident.trim().trim_end_matches("kB").trim().parse()?;
    Ok((f64::from(user + system) / TICKS, mebibytes(resident)))
}

fn read(agent: &Agent) -> Result<Reading> {
    let status = agent.status()?;
    let (cpu_s, resident_mib) = usage(&status)?;
    Ok(Reading {
        cpu_s,
        resident_mib,
        sent: sum(&status, "tally", "adverts_sent"),
        received: sum(&status, "tally", "adverts_received"),
        transitions: sum(&status, "tally", "transitions"),
        lost: sum(&status, "counters", "record_lost"),
        avoided: sum(&status, "tally", "false_takeovers_avoided"),
    })
}

fn sum(status: &Status, by: &str, name: &str) -> u64 {
    let routers = status.0["virtual_routers"].as_array().map(Vec::as_slice).unwrap_or_default();
    routers.iter().filter_map(|router| router[by][name].as_u64()).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few minutes are far below 2⁵²")]
fn per_second(count: u64, span: f64) -> f64 {
    count as f64 / span
}

#[expect(clippy::cast_precision_loss, reason = "memory of a process is far below 2⁵² KiB")]
fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
