//! A guard that does harm, or no longer sees what reaches its host, gives way to the next one.

#[path = "attach/place.rs"]
mod place;

use anyhow::{Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Host, Lab, Status, frame::Advert, inject, ip, lab};
use vrrp_wire::Family;

use self::place::occupants;

/// A cluster of one node whose agent has only just started: a new program is watched for three seconds.
fn just_started(lab: &Lab) -> Result<Cluster> {
    let mut cluster = Cluster::new(lab, 1, &ClusterConfig::default())?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for("it to run", |_| true)?;
    Ok(cluster)
}

#[test]
fn a_program_that_costs_the_carrier_gives_way() -> Result<()> {
    let lab = lab!();
    let cluster = just_started(&lab)?;
    cluster.lan.cut("n1")?;
    let status = cluster.agent(0)?.wait_for("the next way", |status| status.attachment().0 == "tcx")?;
    ensure!(status.attachment().1.contains("the carrier was lost"), "{status:?}");
    Ok(())
}

/// A peer that was heard when the agent was killed, and is not heard any more after the start.
#[test]
fn a_program_that_costs_the_adverts_gives_way() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: "3s", ..ClusterConfig::default() })?;
    cluster.start(1)?;
    cluster.settle_on(0, 1)?;
    cluster.config = cluster.config.replace("[cluster]", "[cluster]\npreempt = false");
    cluster.start(0)?;
    let heard = |status: &Status| status.counter("web-a", Family::Ipv4, "admitted") > 0;
    cluster.agent(0)?.wait_for("an advert of n2", heard)?;
    let mut agent = cluster.take(0)?;
    agent.process.kill()?;
    cluster.lan.silence("n2")?;
    agent.start_again()?;
    let status = agent.wait_for("the next way", |status| status.attachment().0 == "tcx")?;
    ensure!(status.attachment().1.contains("adverts were heard before, and none for 9s since"), "{status:?}");
    Ok(())
}

/// Somebody takes the program off, long after its start: the Backup does not stay deaf beside the Active Router.
#[test]
fn a_program_that_is_taken_off_is_missed() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let (node, agent) = (&cluster.nodes[1], cluster.agent(1)?);
    let link = |way| Ok::<_, anyhow::Error>(format!("{}/link_{}_ingress_{way}", agent.pin_dir(), node.ifindex()?));
    agent.process.wait_for_output("the program works", GENEROUS)?;
    for (way, next) in [("native", "tcx"), ("tcx", "clsact")] {
        ensure!(agent.status()?.attachment().0 == way, "{:?}", agent.status()?);
        lab.bpftool(&["link", "detach", "pinned", &link(way)?])?;
        let status = agent.wait_for("the next way", |status| status.attachment().0 == next)?;
        let reason = format!("{way}: taken off until the next start: of ");
        ensure!(status.attachment().1.contains(&reason), "{status:?}");
        ensure!(
            status.attachment().1.contains(" adverts that the interface heard the program has seen "),
            "{status:?}"
        );
        cluster.settle_on(0, 0)?;
    }
    node.run("tc", &["qdisc", "del", "dev", Host::INTERFACE, "clsact"])?;
    agent.wait_for("the packet socket", |status| status.attachment().0 == "socket")?;
    cluster.settle_on(0, 0)
}

/// The kernel takes any number of priority tags out of a frame, and the program only a few: what a host hears so is no
/// reason to take the guard off.
#[test]
fn adverts_that_no_program_can_find_leave_it_where_it_is() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let agent = cluster.agent(0)?;
    agent.process.wait_for_output("the program works", GENEROUS)?;
    let [vip, _] = Cluster::addresses(0);
    let hidden = |tags: usize| {
        let frame = Advert::new(cluster.nodes[1].mac(), ip("10.77.0.2"), Cluster::VRIDS[0], 90, &[vip]).frame();
        let (addresses, rest) = frame.split_at(12);
        [addresses, &[0x81, 0x00, 0x00, 0x00].repeat(tags), rest].concat()
    };
    let stranger = Advert::new(cluster.attacker.mac(), ip("10.77.0.66"), Cluster::VRIDS[0], 255, &[vip]).frame();
    for round in 1..=50 {
        for tags in [5, 7] {
            inject(&cluster.attacker, &hidden(tags), 2)?;
        }
        inject(&cluster.attacker, &stranger, 1)?;
        let is_dropped = |status: &Status| status.counter("web-a", Family::Ipv4, "dropped") == round;
        agent.wait_for("the stranger's advert to be dropped", is_dropped)?;
    }
    let status = agent.status()?;
    ensure!(status.attachment() == ("native", ""), "{status:?}");
    ensure!(status.counter("web-a", Family::Ipv4, "admitted") == 0, "{status:?}");
    Ok(())
}

/// Filters of others with small numbers would otherwise come before ours, and end the chain.
#[test]
fn a_filter_that_lets_everything_pass_hides_nothing() -> Result<()> {
    let lab = lab!();
    let mut cluster =
        Cluster::new(&lab, 1, &ClusterConfig { guard: "attach = \"clsact\"", ..ClusterConfig::default() })?;
    let node = cluster.nodes[0].clone();
    node.run("tc", &["qdisc", "add", "dev", Host::INTERFACE, "clsact"])?;
    let add = ["filter", "add", "dev", Host::INTERFACE, "ingress", "protocol", "ip", "prio", "10"];
    node.run("tc", &[&add[..], &["u32", "match", "u32", "0", "0", "flowid", "1:1"]].concat())?;
    let before = occupants(&node)?;
    cluster.start_all()?;
    cluster.forge("dropped")?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    ensure!(occupants(&node)? == before, "{}", occupants(&node)?);
    Ok(())
}
