//! `restart_grace`: an agent that is killed and started again within it goes on, and no node changes its state.

mod keys;

use std::{path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use harness::{Agent, Cluster, ClusterConfig, GENEROUS, Lab, Status, lab, until};
use vrrp_wire::Family;

use self::keys::{ENFORCE, write_keys};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// Two nodes, n1 Active.
fn running(lab: &Lab, config: &ClusterConfig<'_>) -> Result<Cluster> {
    let mut cluster = Cluster::new(lab, 2, config)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.start(1)?;
    for node in [0, 1] {
        // And then a supervisor knows how virtual routers are left.
        cluster.agent(node)?.wait_for("every node to stand, supervised", |status| {
            status.all_in(&["Active", "Backup"]) && status.0["supervisor"].is_u64()
        })?;
    }
    Ok(cluster)
}

/// Kills n1's agent; returns what is left of it, and the process of its supervisor.
fn kill(cluster: &mut Cluster) -> Result<(Agent, u64)> {
    let mut agent = cluster.take(0)?;
    let supervisor = agent.status()?.0["supervisor"].as_u64().context("no supervisor")?;
    agent.process.kill()?;
    Ok((agent, supervisor))
}

fn wait_for_end(process: u64) -> Result<()> {
    let path = format!("/proc/{process}");
    until("the supervisor of the run before to end", GENEROUS, || Ok((!Path::new(&path).exists()).then_some(())))
}

#[test]
fn a_run_that_begins_in_time_goes_on() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    for auth in ["", ENFORCE] {
        let config = ClusterConfig { cluster: r#"restart_grace = "60s""#, auth, ..ClusterConfig::default() };
        let mut cluster = running(&lab, &config)?;
        let before = cluster.agent(1)?.status()?.transitions();
        let probes = cluster.probe(0)?;
        let start = Instant::now();
        for _ in 0..2 {
            let (_killed, supervisor) = kill(&mut cluster)?;
            cluster.start(0)?;
            cluster.agent(0)?.process.wait_for_output("going on where a run has ended without a word", GENEROUS)?;
            let status = cluster
                .agent(0)?
                .wait_for("n1 to serve on", |status| status.all_in(&["Active"]) && status.0["supervisor"].is_u64())?;
            ensure!(status.transitions() == Some(0), "{:?}", status.0);
            wait_for_end(supervisor)?;
        }
        // Adverts of the new run are believed.
        let heard = |status: &Status| FAMILIES.map(|family| status.tally("web-a", family, "adverts_received"));
        let before_more = heard(&cluster.agent(1)?.status()?);
        cluster.agent(1)?.wait_for("more adverts", |status| {
            heard(status).iter().zip(&before_more).all(|(now, before)| *now > before.map(|before| before + 10))
        })?;
        let status = cluster.agent(1)?.status()?;
        ensure!(status.transitions() == before, "n2 has changed its state: {:?}", status.0);
        eprintln!("longest gap over two kills: {:?}", probes.each_ref().map(|probe| probe.outage_since(start)));
        cluster.take(0)?.process.terminate(GENEROUS)?;
        cluster.settle_on(0, 1)?;
    }
    Ok(())
}

/// Nobody comes in time; or somebody does, and cannot start.
#[test]
fn without_another_run_the_supervisor_hands_over_when_the_grace_is_over() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: r#"restart_grace = "1s""#, ..ClusterConfig::default() };
    let mut cluster = running(&lab, &config)?;
    let start = Instant::now();
    let (killed, supervisor) = kill(&mut cluster)?;
    cluster.settle_on(0, 1)?;
    ensure!(start.elapsed().as_millis() >= 1_000, "handed over after {:?}", start.elapsed());
    wait_for_end(supervisor)?;
    drop(killed);

    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.agent(0)?.wait_for("a supervisor", |status| status.0["supervisor"].is_u64())?;
    let (_killed, supervisor) = kill(&mut cluster)?;
    // The next run is granted what there is, and ends: its adverts are too long for the interface.
    cluster.nodes[0].run("ip", &["link", "set", "vsw0", "mtu", "1280"])?;
    let sound = cluster.config.clone();
    let many = (1..=80).map(|host| format!("\"fd77::101:{host}/64\"")).collect::<Vec<_>>().join(", ");
    cluster.config = sound.replace("\"fd77::101/64\"", &many);
    cluster.start(0)?;
    cluster.take(0)?.process.wait_for_output("the MTU of `vsw0` is 1280", GENEROUS)?;
    cluster.settle_on(0, 1)?;
    wait_for_end(supervisor)?;
    cluster.config = sound;
    cluster.start(0)?;
    cluster.settle_on(0, 0)
}
