//! Faults of the Active, as a client and a witness on the LAN notice them: all daemons by turns, trial by trial.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use harness::Lab;

use crate::{
    fault::Fault,
    moment::now,
    probe::Part,
    progress::Progress,
    result::{Results, Row},
    stage::{PATIENCE, Stage},
    subject::{Subject, Task},
};

#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Trials of each.
    #[arg(long, default_value_t = 10)]
    pub(crate) count: u32,
    /// Advertisement intervals, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "1000,100,10")]
    pub(crate) intervals_ms: Vec<u64>,
    /// Some of the faults.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) faults: Vec<Fault>,
    /// Adverts to the group, to the peer, or both by turns.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "multicast,unicast")]
    pub(crate) transports: Vec<Transport>,
    /// Some of the daemons.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "vipd,keepalived,frr")]
    pub(crate) subjects: Vec<Subject>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    Multicast,
    Unicast,
}

impl Options {
    fn faults(&self) -> Vec<Fault> {
        if self.faults.is_empty() { Fault::value_variants().to_vec() } else { self.faults.clone() }
    }

    /// How many trials there will be.
    pub(crate) fn trials(&self) -> u32 {
        let of = |transport: Transport, fault: Fault| {
            self.subjects.iter().filter(|&&subject| takes_part(subject, transport) && fault.suits(subject)).count()
        };
        let faults = self.faults();
        let sum: usize =
            self.transports.iter().flat_map(|&transport| faults.iter().map(move |&fault| of(transport, fault))).sum();
        let intervals = u32::try_from(self.intervals_ms.len()).unwrap_or(u32::MAX);
        u32::try_from(sum).unwrap_or(u32::MAX) * self.count * intervals
    }
}

fn takes_part(subject: Subject, transport: Transport) -> bool {
    subject != Subject::Frr || transport == Transport::Multicast
}

/// Adds what it measures to `results`, and shows it meanwhile.
pub(crate) fn run(options: &Options, results: &mut Results, progress: &mut Progress) -> Result<()> {
    ensure!(options.count > 0, "--count must be 1 or more");
    for &interval_ms in &options.intervals_ms {
        for &transport in &options.transports {
            cell(options, interval_ms, transport, results, progress)?;
        }
    }
    Ok(())
}

/// All faults at one interval over one transport.
fn cell(
    options: &Options,
    interval_ms: u64,
    transport: Transport,
    results: &mut Results,
    progress: &mut Progress,
) -> Result<()> {
    let lab = Lab::new()?;
    let interval = Duration::from_millis(interval_ms);
    let mut stages = BTreeMap::new();
    for &subject in options.subjects.iter().filter(|&&subject| takes_part(subject, transport)) {
        let task = Task::pair(interval, transport == Transport::Unicast);
        stages.insert(subject, Stage::set(&lab, subject, task, 2).with_context(|| subject.to_string())?);
    }
    for fault in options.faults() {
        let before = results.rows.len();
        for trial in 0..options.count {
            // Phases spread evenly over an interval.
            let phase = interval * trial / options.count;
            for (&subject, stage) in stages.iter_mut().filter(|(subject, _)| fault.suits(**subject)) {
                progress.step(&format!("{fault}, {interval_ms} ms, {subject}"));
                let what = || format!("{fault} at {interval_ms} ms, trial {trial} of {subject}");
                let figures = attempt(stage, fault, phase).with_context(what)?;
                for (family, measure, unit, value) in figures {
                    let row = Row {
                        scenario: fault.to_string(),
                        subject: subject.to_string(),
                        interval_ms,
                        transport: if transport == Transport::Unicast { "unicast" } else { "multicast" }.to_owned(),
                        family: family.to_owned(),
                        measure: measure.to_owned(),
                        unit: unit.to_owned(),
                        values: Vec::new(),
                    };
                    results.row(&row).values.push(value);
                }
            }
        }
        progress.clear();
        show(&results.rows[before..])?;
    }
    Ok(())
}

/// One figure: of which family, what, and in which unit.
type Figure = (&'static str, &'static str, &'static str, f64);

/// Has a fault happen, watches until it has had its effect, and undoes it.
fn attempt(stage: &mut Stage, fault: Fault, phase: Duration) -> Result<Vec<Figure>> {
    stage.settle().context("before it")?;
    fault.prepare(stage)?;
    let asking = stage.targets.clone();
    stage.client.wait_steady(&asking, Duration::from_millis(200), PATIENCE)?;
    thread::sleep(phase);
    stage.client.forget(now().saturating_sub(Duration::from_millis(200)));
    stage.witness.forget(now().saturating_sub(Duration::from_millis(200)));
    let start = now();
    fault.strike(stage)?;
    // Until everybody must have noticed, and on.
    let span = stage.task.interval * 4 + Duration::from_millis(1_500);
    thread::sleep(span);
    stage.client.wait_steady(&asking, Duration::from_millis(500), PATIENCE)?;
    let record = stage.record(start);
    let changes = stage.holders.since(start);
    let mut figures = Vec::new();
    for (&target, family) in asking.iter().zip(["IPv4", "IPv6"]) {
        let (client, witness) = (record.client(target), record.witness(target));
        figures.push((family, "outage", "ms", crate::moment::milliseconds(client.outage())));
        let contested = witness.contested(Part::Witness.interval());
        figures.push((family, "two answer", "ms", crate::moment::milliseconds(contested)));
        figures.push((family, "changes of who answers", "", number(client.changes())));
        figures.push((family, "announcements", "", number(client.announcements())));
        let moves = changes.iter().filter(|change| change.address == target).count();
        figures.push((family, "addresses put on or taken off", "", number(moves)));
    }
    fault.mend(stage)?;
    Ok(figures)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Prints the outages of rows that are new.
fn show(rows: &[Row]) -> Result<()> {
    let mut out = io::stdout().lock();
    for row in rows.iter().filter(|row| ["outage", "two answer"].contains(&row.measure.as_str())) {
        let Some(spread) = row.spread() else { continue };
        writeln!(
            out,
            "{:<17} {:>5} ms {:<9} {:<4} {:<10} {:<10} {:>9.1} {:>9.1} {:>9.1} ms  ({})",
            row.scenario,
            row.interval_ms,
            row.transport,
            row.family,
            row.subject,
            row.measure,
            spread.min,
            spread.median,
            spread.max,
            spread.count
        )?;
    }
    Ok(())
}
