//! Faults of the Active, as a client and a witness on the LAN notice them: all daemons by turns, trial by trial.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use harness::Lab;

use crate::{
    fault::Fault,
    moment::{milliseconds, now},
    probe::Part,
    progress::Workload,
    stage::{PATIENCE, Stage},
    subject::{Subject, Task},
    turns::{Figure, Output, Scene},
};

#[derive(Clone, Debug, Args)]
#[group(id = "failover")]
pub(crate) struct Options {
    /// Advertisement intervals, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "1000,100,10")]
    pub(crate) intervals_ms: Vec<u64>,
    /// Some of the faults.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) faults: Vec<Fault>,
    /// Adverts to the group, to the peer, or both by turns.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "multicast,unicast")]
    pub(crate) transports: Vec<Transport>,
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

    pub(crate) fn workload(&self, subjects: &[Subject], count: u32) -> Workload {
        let mut all = Vec::new();
        for &interval_ms in &self.intervals_ms {
            for &transport in &self.transports {
                for fault in self.faults() {
                    let takes_part = |&&subject: &&Subject| takes_part(subject, transport) && fault.suits(subject);
                    let daemons = u32::try_from(subjects.iter().filter(takes_part).count()).unwrap_or(u32::MAX);
                    all.push(Workload::of(daemons * count, span(fault, Duration::from_millis(interval_ms))));
                }
            }
        }
        all.into_iter().sum()
    }
}

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Multicast => "multicast",
        Transport::Unicast => "unicast",
    }
}

/// About how long a trial takes: several waits for a lasting state, and what the fault itself takes.
fn span(fault: Fault, interval: Duration) -> Duration {
    interval * 9 + Duration::from_secs(3) + fault.span()
}

fn takes_part(subject: Subject, transport: Transport) -> bool {
    subject != Subject::Frr || transport == Transport::Multicast
}

/// Adds what it measures to `output`.
pub(crate) fn run(options: &Options, subjects: &[Subject], count: u32, output: &mut Output) -> Result<()> {
    for &interval_ms in &options.intervals_ms {
        for &transport in &options.transports {
            cell(&options.faults(), subjects, count, Cell { interval_ms, transport }, output)?;
        }
    }
    Ok(())
}

/// Under which conditions faults happen.
#[derive(Clone, Copy, Debug)]
struct Cell {
    interval_ms: u64,
    transport: Transport,
}

/// All faults at one interval over one transport.
fn cell(faults: &[Fault], subjects: &[Subject], count: u32, cell: Cell, output: &mut Output) -> Result<()> {
    let Cell { interval_ms, transport } = cell;
    let lab = Lab::new()?;
    let interval = Duration::from_millis(interval_ms);
    let mut stages = Vec::new();
    for &subject in subjects.iter().filter(|&&subject| takes_part(subject, transport)) {
        let task = Task::pair(interval, transport == Transport::Unicast);
        stages.push((subject.name(), Stage::set(&lab, subject, task, 2).with_context(|| subject.name())?));
    }
    for &fault in faults {
        let scene = Scene {
            scenario: fault.to_string(),
            interval_ms,
            transport: name(transport),
            count,
            span: span(fault, interval),
        };
        let suits = |name: &str| subjects.iter().any(|it| it.name() == name && fault.suits(*it));
        // Phases are spread evenly over an interval, the same for all daemons, and none is at the moment of an advert.
        let phase = |trial| interval * (2 * trial + 1) / (2 * count);
        output.take_turns(&scene, &mut stages, suits, |stage, trial| attempt(stage, fault, phase(trial)))?;
    }
    Ok(())
}

/// Has a fault happen, watches until it has had its effect, and undoes it.
fn attempt(stage: &mut Stage, fault: Fault, phase: Duration) -> Result<Vec<Figure>> {
    stage.settle().context("before it")?;
    fault.prepare(stage)?;
    let asking = stage.targets.clone();
    stage.client.wait_steady(&asking, Duration::from_millis(200), PATIENCE)?;
    let is_heard = stage.wait_for_advert()?;
    ensure!(is_heard || !fault.wants_advert(), "no advert of the first node reaches the second");
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
        let mut add = |measure, unit, value| figures.push(Figure { family, measure, unit, value });
        let of_target: Vec<_> = changes.iter().filter(|change| change.address == target).collect();
        if let Some(taken) = of_target.iter().find(|change| change.node == 1 && change.is_held) {
            add("second node holds after", "ms", milliseconds(taken.at.saturating_sub(start)));
        }
        if fault.is_blurred(stage.subject) {
            continue;
        }
        let (client, witness) = (record.client(target), record.witness(target));
        add("outage", "ms", milliseconds(client.outage()));
        add("two answer", "ms", milliseconds(witness.contested(Part::Witness.interval())));
        add("changes of who answers", "", number(client.changes()));
        add("announcements", "", number(client.announcements()));
        add("addresses put on or taken off", "", number(of_target.len()));
    }
    fault.mend(stage)?;
    // What that costs is not to fall into the next trial, of another daemon.
    stage.settle().context("after it")?;
    Ok(figures)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
