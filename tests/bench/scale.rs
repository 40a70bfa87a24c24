//! What many virtual routers, or many addresses, cost at rest, and how far apart they are when their node is lost.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use harness::{GENEROUS, Lab, until};
use vrrp_wire::Family;

use crate::{
    moment::{milliseconds, now},
    progress::Workload,
    stage::Stage,
    subject::{Subject, Task, Variant},
    turns::{Figure, Output, Scene},
};

#[derive(Clone, Debug, Args)]
#[group(id = "scale")]
pub(crate) struct Options {
    /// Numbers of virtual routers, each with an interval: `200@100` for 200 of them, 100 ms.
    #[arg(long, value_delimiter = ',', default_value = "1@100,50@100,200@100,200@1000")]
    pub(crate) routers: Vec<Size>,
    /// Addresses of one virtual router, with an interval.
    #[arg(long, value_delimiter = ',', default_value = "500@1000")]
    pub(crate) addresses: Vec<Size>,
    /// How long daemons are watched at rest, in seconds.
    #[arg(long, default_value_t = 5)]
    pub(crate) rest_s: u64,
}

/// How many, and the advertisement interval in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    count: u16,
    interval_ms: u64,
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('@').and_then(|(count, interval)| Some((count.parse().ok()?, interval.parse().ok()?)));
        let (count, interval_ms) = parts.ok_or_else(|| format!("write `{text}` as 200@100"))?;
        Ok(Self { count, interval_ms })
    }
}

/// With more of them FRR, each of whose sockets hears everything, does not settle.
const FRR_MAX: u8 = 50;

/// What follows a takeover, second announcements most of all, is no rest.
const AFTER_TAKEOVER: Duration = Duration::from_secs(6);

impl Task {
    fn suits(&self, subject: Subject) -> bool {
        subject != Subject::Frr || self.addresses == 1 && self.routers <= FRR_MAX
    }
}

impl Options {
    pub(crate) fn workload(&self, subjects: &[Subject], count: u32) -> Workload {
        let tasks = self.tasks().unwrap_or_default();
        let of = |task: &Task| subjects.iter().filter(|&&subject| task.suits(subject)).count();
        let trials = u32::try_from(tasks.iter().map(|(_, task)| of(task)).sum::<usize>()).unwrap_or(u32::MAX);
        Workload::of(trials * count, self.span())
    }

    /// About how long a trial takes: what comes before the rest, the rest, and what comes after it.
    fn span(&self) -> Duration {
        Duration::from_secs(self.rest_s) + AFTER_TAKEOVER + Duration::from_secs(5)
    }

    /// Names and tasks of all sizes.
    fn tasks(&self) -> Result<Vec<(String, Task)>> {
        let task = |size: &Size, routers, addresses| Task {
            interval: Duration::from_millis(size.interval_ms),
            is_unicast: false,
            variant: Variant::Plain,
            families: vec![Family::Ipv4],
            routers,
            addresses,
        };
        let mut tasks = Vec::new();
        for size in &self.routers {
            let routers = size.count.try_into().context("at most 255 virtual routers")?;
            tasks.push((format!("{} virtual routers", size.count), task(size, routers, 1)));
        }
        for size in &self.addresses {
            tasks.push((format!("{} addresses", size.count), task(size, 1, size.count)));
        }
        Ok(tasks)
    }
}

/// Adds what it measures to `output`.
pub(crate) fn run(options: &Options, subjects: &[Subject], count: u32, output: &mut Output) -> Result<()> {
    for (scenario, task) in options.tasks()? {
        let lab = Lab::new()?;
        let mut stages = Vec::new();
        for &subject in subjects.iter().filter(|&&subject| task.suits(subject)) {
            let stage = Stage::set(&lab, subject, task.clone(), 1);
            stages.push((subject.name(), stage.with_context(|| format!("{scenario} of {}", subject.name()))?));
        }
        let interval_ms = u64::try_from(task.interval.as_millis())?;
        let scene = Scene { scenario, interval_ms, transport: "multicast", count, span: options.span() };
        output.take_turns(&scene, &mut stages, |_| true, |stage, _| attempt(stage, options.rest_s))?;
    }
    Ok(())
}

/// Watches both nodes at rest, then cuts the first one off.
fn attempt(stage: &mut Stage, rest_s: u64) -> Result<Vec<Figure>> {
    stage.settle()?;
    thread::sleep(AFTER_TAKEOVER);
    let (begun, before) = (now(), [stage.cost(0)?, stage.cost(1)?]);
    thread::sleep(Duration::from_secs(rest_s));
    let (span, after) = (now().saturating_sub(begun), [stage.cost(0)?, stage.cost(1)?]);
    let mut figures = Vec::new();
    for (node, measures) in [["CPU, Active", "memory, Active"], ["CPU, Backup", "memory, Backup"]].iter().enumerate() {
        let used = after[node].cpu_since(&before[node]);
        figures.push(Figure::new(measures[0], "%", used.div_duration_f64(span) * 100.0));
        figures.push(Figure::new(measures[1], "MiB", f64::from(after[node].memory_kib) / 1024.0));
    }

    stage.client.forget(now());
    let start = now();
    stage.lan.cut("n1")?;
    stage.wait_for_second(start)?;
    let wanted = stage.task.targets();
    let put_on: Vec<_> = stage.holders.since(start).into_iter().filter(|it| it.node == 1 && it.is_held).collect();
    let first = put_on.iter().map(|change| change.at).min().context("nobody has told of an address")?;
    let last = put_on.iter().map(|change| change.at).max().context("nobody has told of an address")?;
    let announced = until("all addresses to be announced", GENEROUS, || {
        let record = stage.record(start);
        let firsts: Option<Vec<_>> = wanted.iter().map(|&address| record.client(address).announced()).collect();
        Ok(firsts)
    })?;
    let span_of = |moments: &[Duration]| {
        let (first, last) = (moments.iter().min(), moments.iter().max());
        first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_sub(*first))
    };
    figures.push(Figure::new("first address held after", "ms", milliseconds(first.saturating_sub(start))));
    figures.push(Figure::new("first to last address held", "ms", milliseconds(last.saturating_sub(first))));
    figures.push(Figure::new("first to last address announced", "ms", milliseconds(span_of(&announced))));
    stage.lan.mend("n1")?;
    Ok(figures)
}
