//! How long a client on the LAN is without an answer when the port of the Active goes down.
//!
//! Two nodes, one virtual router of both families, a probe every millisecond, the faults spread evenly over the
//! phases of the advertisement interval. The limit that VRRP itself sets is Active_Down_Interval of the second node.

use std::{
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::Args;
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, print_transcripts};
use vrrp_wire::Family;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Faults for each interval.
    #[arg(long, default_value_t = 20)]
    count: usize,
    /// Advertisement_Intervals, in milliseconds.
    #[arg(long, value_delimiter = ',', default_value = "1000,100,10")]
    intervals_ms: Vec<u64>,
}

/// Prints a line for each interval and family.
pub(crate) fn run(options: &Options) -> Result<()> {
    print_transcripts(false);
    let mut out = io::stdout();
    writeln!(
        out,
        "{:>8} {:>6} {:>5} {:>9} {:>9} {:>9} {:>9} {:>12}",
        "INTERVAL", "", "COUNT", "MIN", "MEDIAN", "MAX", "LIMIT", "LIMIT+30 ms"
    )?;
    for &interval_ms in &options.intervals_ms {
        let outages = measure(interval_ms, options.count)?;
        // Priority 150: Skew_Time is 106/256 of the interval.
        let limit = Duration::from_millis(interval_ms) * (3 * 256 + 106) / 256;
        for (family, mut outages) in [Family::Ipv4, Family::Ipv6].into_iter().zip(outages) {
            outages.sort();
            let within = outages.iter().filter(|&&outage| outage <= limit + Duration::from_millis(30)).count();
            let [min, median, max] = [0, outages.len() / 2, outages.len() - 1].map(|at| milliseconds(outages[at]));
            writeln!(
                out,
                "{interval_ms:>5} ms {family:>6} {:>5} {min:>9.1} {median:>9.1} {max:>9.1} {:>9.1} {within:>6} of {}",
                outages.len(),
                milliseconds(limit),
                outages.len()
            )?;
        }
    }
    Ok(())
}

/// Outages over IPv4 and over IPv6, `count` of each.
fn measure(interval_ms: u64, count: usize) -> Result<[Vec<Duration>; 2]> {
    ensure!(count > 0, "--count must be 1 or more");
    let interval = format!("{interval_ms}ms");
    let lab = Lab::new()?;
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: &interval, ..ClusterConfig::default() })?;
    cluster.start_all()?;
    let mut outages = [Vec::new(), Vec::new()];
    for trial in 0..count {
        cluster.settle_on(0, 0)?;
        let probes = cluster.probe(0)?;
        // Phases spread evenly over an interval; the rest of a trial takes a time that shares nothing with it.
        let phase = Duration::from_millis(interval_ms) * u32::try_from(trial)? / u32::try_from(count)?;
        thread::sleep(Duration::from_millis(200) + phase);
        let start = Instant::now();
        cluster.lan.cut("n1")?;
        cluster.settle_on(0, 1)?;
        for (probe, outages) in probes.iter().zip(&mut outages) {
            probe.wait_answered(GENEROUS)?;
            outages.push(probe.outage_since(start));
        }
        drop(probes);
        cluster.lan.mend("n1")?;
        let _ = write!(io::stderr(), "\r{interval_ms} ms: {} of {count}", trial + 1);
    }
    let _ = writeln!(io::stderr());
    Ok(outages)
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}
