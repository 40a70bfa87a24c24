//! How fast TCP goes to a host of the LAN without a program, with the guard as native XDP, and as tcx.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use harness::{Cluster, ClusterConfig, Host, Lab};

use crate::{progress::Workload, result::Row, turns::Output};

/// How long is sent each time.
const SPAN: Duration = Duration::from_secs(2);
const PORT: u16 = 5_001;
const SCENARIO: &str = "TCP to a node";

/// How the guard is put on the interface, if it is.
const WAYS: [(&str, Option<&str>); 3] =
    [("no program", None), ("native XDP", Some("attach = \"native\"")), ("tcx", Some("attach = \"tcx\""))];

pub(crate) fn workload(count: u32) -> Workload {
    Workload::of(3 * count, SPAN)
}

/// Adds what it measures to `output`.
pub(crate) fn run(count: u32, output: &mut Output) -> Result<()> {
    let lab = Lab::new()?;
    let mut clusters = Vec::new();
    for (name, guard) in WAYS {
        let config = ClusterConfig { guard: guard.unwrap_or_default(), ..ClusterConfig::default() };
        let mut cluster = Cluster::new(&lab, 1, &config)?;
        if guard.is_some() {
            cluster.start_all()?;
        }
        clusters.push((name, cluster));
    }
    let before = output.results.rows.len();
    for _ in 0..count {
        for (name, cluster) in &clusters {
            output.progress.step(&format!("{SCENARIO}, {name}"), SPAN);
            let speed = transfer(&cluster.client, &cluster.nodes[0])?;
            output.results.row(&Row::new(SCENARIO, name, "throughput", "Gbit/s")).values.push(speed);
        }
    }
    output.conclude(before)
}

/// Sends for a while; returns gigabits in a second, as the receiver counts them.
fn transfer(from: &Host, to: &Host) -> Result<f64> {
    let address = SocketAddr::from(([10, 77, 0, 1], PORT));
    let listener = to.namespace().enter(|| TcpListener::bind(address))?.context("failed to listen")?;
    let mut sender = from.namespace().enter(|| TcpStream::connect(address))?.context("failed to connect")?;
    let (mut receiver, _) = listener.accept()?;
    let sending = thread::spawn(move || -> Result<()> {
        let (block, end) = (vec![0; 128 * 1024], Instant::now() + SPAN);
        while Instant::now() < end {
            sender.write_all(&block)?;
        }
        Ok(())
    });
    let (begun, mut buffer, mut bytes) = (Instant::now(), vec![0; 128 * 1024], 0_u64);
    loop {
        match receiver.read(&mut buffer)? {
            0 => break,
            len => bytes += u64::try_from(len)?,
        }
    }
    let span = begun.elapsed().as_secs_f64();
    sending.join().map_err(|_| anyhow!("the sender panicked"))??;
    let megabits = u32::try_from(bytes * 8 / 1_000_000)?;
    Ok(f64::from(megabits) / 1_000.0 / span)
}
