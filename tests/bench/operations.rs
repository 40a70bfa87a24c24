//! What operators do, and what happens to daemons, as a client on the LAN notices it: the longest time without an answer.
//!
//! Two nodes, one virtual router of both families, a probe every millisecond. `idle` does nothing for as long as the others
//! take: what the machine itself costs.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, print_transcripts, vipd};
use vrrp_wire::Family;

/// How long a trial is watched after what was done has had its effect.
const AFTERWARDS: Duration = Duration::from_millis(1_500);
/// How long the silent partition lasts.
const PARTITION: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Trials of each.
    #[arg(long, default_value_t = 20)]
    count: usize,
    /// Advertisement_Intervals, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "1000,100")]
    intervals_ms: Vec<u64>,
    /// Some of the operations.
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Operation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// Nothing.
    Idle,
    /// `vipd reload` of a file with one virtual router more, or less.
    Reload,
    /// `vipd restart` with another program file.
    Restart,
    /// `vipd transfer`.
    Transfer,
    /// `vipd drain`.
    Drain,
    /// SIGTERM of the Active's daemon.
    Terminate,
    /// SIGKILL of the Active's daemon.
    Kill,
    /// The end of a silent partition, in which both nodes were Active.
    Heal,
}

impl Operation {
    /// Whether every node keeps its state.
    const fn keeps_states(self) -> bool {
        matches!(self, Self::Idle | Self::Reload | Self::Restart)
    }
}

/// Prints a line for each operation, interval and family.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.count > 0, "--count must be 1 or more");
    print_transcripts(false);
    let mut out = io::stdout();
    writeln!(
        out,
        "{:>9} {:>8} {:>6} {:>5} {:>8} {:>8} {:>8} {:>8} {:>13}",
        "OPERATION", "INTERVAL", "", "COUNT", "MIN", "MEDIAN", "95%", "MAX", "STATE CHANGES"
    )?;
    for &interval_ms in &options.intervals_ms {
        for &operation in Operation::value_variants() {
            if options.only.is_empty() || options.only.contains(&operation) {
                measure(operation, interval_ms, options.count, &mut out)?;
            }
        }
    }
    Ok(())
}

fn measure(operation: Operation, interval_ms: u64, count: usize, out: &mut impl Write) -> Result<()> {
    let name = operation.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut bench = Bench::new(interval_ms)?;
    let (mut gaps, mut changes) = ([Vec::new(), Vec::new()], 0);
    for trial in 0..count {
        // Phases spread evenly over an interval.
        let phase = Duration::from_millis(interval_ms) * u32::try_from(trial)? / u32::try_from(count)?;
        let trial_gaps = bench.trial(operation, phase).with_context(|| format!("{name}, trial {trial}"))?;
        for (gaps, gap) in gaps.iter_mut().zip(trial_gaps) {
            gaps.push(gap);
        }
        changes += bench.changes;
        let _ = write!(io::stderr(), "\r{name} at {interval_ms} ms: {} of {count}  ", trial + 1);
    }
    let _ = writeln!(io::stderr());
    for (family, mut gaps) in ["IPv4", "IPv6"].into_iter().zip(gaps) {
        gaps.sort();
        let last = gaps.len() - 1;
        let [min, median, most, max] = [0, gaps.len() / 2, last * 95 / 100, last].map(|at| milliseconds(gaps[at]));
        let changes = if operation.keeps_states() { changes.to_string() } else { "-".to_owned() };
        let count = gaps.len();
        writeln!(
            out,
            "{name:>9} {interval_ms:>5} ms {family:>6} {count:>5} {min:>8.1} {median:>8.1} {most:>8.1} {max:>8.1} {changes:>13}"
        )?;
    }
    Ok(())
}

struct Bench {
    lab: Lab,
    cluster: Cluster,
    program: PathBuf,
    /// The configurations that a reload changes between.
    files: [String; 2],
    trials: u64,
    /// State changes in the last trial.
    changes: u64,
}

impl Bench {
    fn new(interval_ms: u64) -> Result<Self> {
        let lab = Lab::new()?;
        let interval = format!("{interval_ms}ms");
        let config = ClusterConfig { interval: &interval, ..ClusterConfig::default() };
        let more = ClusterConfig { preferred: &[0, 1], ..config };
        let files = [config.text(2)?, more.text(2)?];
        let cluster = Cluster::with_config(&lab, 2, files[0].clone())?;
        let program = lab.write("vipd-of-n1", "")?;
        let mut bench = Self { lab, cluster, program, files, trials: 0, changes: 0 };
        bench.install()?;
        bench.start_first()?;
        bench.cluster.start(1)?;
        bench.cluster.agent(1)?.wait_for("n2 to stand", |status| status.all_in(&["Active", "Backup"]))?;
        Ok(bench)
    }

    /// Another program file, in the place of the one that the agent of n1 runs.
    fn install(&self) -> Result<()> {
        let new = self.lab.write("vipd.new", "")?;
        fs::copy(vipd()?, &new)?;
        fs::OpenOptions::new().append(true).open(&new)?.write_all(&self.trials.to_ne_bytes())?;
        Ok(fs::rename(&new, &self.program)?)
    }

    fn start_first(&mut self) -> Result<()> {
        let program: &Path = &self.program;
        self.cluster.agents[0] =
            Some(self.cluster.nodes[0].agent_of(program, "n1-bench", &self.cluster.config, &[])?);
        self.cluster.agent(0)?.wait_for("n1 to stand", |status| status.all_in(&["Active", "Backup"])).map(drop)
    }

    /// The longest times without an answer over IPv4 and over IPv6.
    fn trial(&mut self, operation: Operation, phase: Duration) -> Result<[Duration; 2]> {
        self.trials += 1;
        self.cluster.settle_on(0, 0)?;
        if operation == Operation::Restart {
            self.install()?;
        }
        if operation == Operation::Heal {
            self.cluster.lan.silence("n1")?;
            self.cluster.agent(1)?.wait_for("n2 to take over", |status| status.all_in(&["Active"]))?;
        }
        let probes = self.cluster.probe(0)?;
        thread::sleep(phase + if operation == Operation::Heal { PARTITION } else { Duration::from_millis(200) });
        let before = self.changes()?;
        let start = Instant::now();
        self.operate(operation)?;
        thread::sleep(AFTERWARDS);
        probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
        let gaps = probes.each_ref().map(|probe| probe.outage_since(start));
        self.changes = self.changes()?.saturating_sub(before);
        self.restore(operation)?;
        Ok(gaps)
    }

    /// State changes of the virtual router that is probed, on all nodes whose agent runs.
    fn changes(&self) -> Result<u64> {
        let mut sum = 0;
        for agent in self.cluster.agents.iter().flatten() {
            let status = agent.status()?;
            let of = |family| status.tally(Cluster::ROUTERS[0], family, "transitions").unwrap_or(0);
            sum += of(Family::Ipv4) + of(Family::Ipv6);
        }
        Ok(sum)
    }

    fn operate(&mut self, operation: Operation) -> Result<()> {
        let cluster = &mut self.cluster;
        match operation {
            Operation::Idle => {}
            Operation::Reload => {
                let file = &self.files[usize::from(self.trials % 2 == 1)];
                cluster.agent(0)?.rewrite(file)?;
                cluster.agent(0)?.run(&["reload"])?;
            }
            Operation::Restart => drop(cluster.agent(0)?.run(&["restart"])?),
            Operation::Transfer => drop(cluster.agent(0)?.run(&["transfer", Cluster::ROUTERS[0]])?),
            Operation::Drain => drop(cluster.agent(0)?.run(&["drain"])?),
            Operation::Terminate => drop(cluster.take(0)?.process.terminate(GENEROUS)?),
            Operation::Kill => cluster.take(0)?.process.kill()?,
            Operation::Heal => cluster.lan.unsilence("n1")?,
        }
        if !operation.keeps_states() && operation != Operation::Heal {
            cluster.agent(1)?.wait_for("n2 to take over", |status| status.all_in(&["Active"]))?;
        }
        Ok(())
    }

    fn restore(&mut self, operation: Operation) -> Result<()> {
        match operation {
            Operation::Transfer | Operation::Drain => self.cluster.agent(0)?.run(&["undrain"]).map(drop),
            Operation::Terminate | Operation::Kill => self.start_first(),
            Operation::Idle | Operation::Reload | Operation::Restart | Operation::Heal => Ok(()),
        }
    }
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}
