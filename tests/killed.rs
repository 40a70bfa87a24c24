//! The agent is killed at every step between an election and its last effect: the next start converges, and after a clean stop
//! the host is what it was before.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Host, lab, until};
use vipd::killpoint::Moment;

const INSTANCE: &str = "n1-killed";
/// What vipd may change of the interface.
const SETTINGS: [&str; 3] = ["promote_secondaries", "arp_ignore", "arp_announce"];

/// One node that holds whatever can be held.
fn configuration(more: &str, holdings: &str, supervised: bool) -> Result<String> {
    let config = ClusterConfig { cluster: more, supervisor: supervised, ..ClusterConfig::default() };
    Ok(config.text(1)?.replace("nodes = [", &format!("{holdings}\nnodes = [")))
}

const HOLDINGS: &str = r#"extra_addresses = ["10.77.0.110/24", "fd77::110/64"]
routes = [{ to = "default", via = "10.77.0.50", table = 100 }, { to = "default", via = "fd77::50", table = 100 }]
rules = [{ from = "10.77.0.101", table = 100 }, { from = "fd77::101", table = 100 }]"#;

/// Everything on a host that vipd could have put there or changed.
fn survey(host: &Host) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut note = |what: &str, text: String| {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            // An index and a lifetime are other ones each time.
            let line = line.split_once(": ").map_or(line, |(_, rest)| rest).replace("  ", " ");
            ensure!(found.insert(format!("{what}: {line}")), "twice: {what}: {line}");
        }
        Ok(())
    };
    for family in ["-4", "-6"] {
        let of = |what: &str| format!("{what} {family}");
        note(&of("address"), host.run("ip", &[family, "-o", "addr", "show", "scope", "global"])?)?;
        note(&of("route"), host.run("ip", &[family, "route", "show", "table", "all", "proto", "112"])?)?;
        note(&of("rule"), host.run("ip", &[family, "rule"])?)?;
    }
    note("macvlan", host.run("ip", &["-o", "link", "show", "type", "macvlan"])?)?;
    for setting in SETTINGS {
        let value = host.run("cat", &[&format!("/proc/sys/net/ipv4/conf/{}/{setting}", Host::INTERFACE)])?;
        note(setting, value)?;
    }
    Ok(found)
}

/// Kills an agent with this configuration at `moment`, starts another one, and stops that in good order.
fn converge(config: &str, moment: Moment) -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::with_config(&lab, 1, config.to_owned())?;
    let node = cluster.nodes[0].clone();
    let before = survey(&node)?;

    let mut agent = node.agent_killed_at(moment.name(), INSTANCE, config)?;
    if matches!(moment, Moment::Left | Moment::Removed) {
        agent.wait_for("n1 to serve", |status| status.all_in(&["Active"]))?;
        let ended = agent.process.terminate(GENEROUS);
        ensure!(!ended.as_ref().is_ok_and(std::process::ExitStatus::success), "it was not killed: {ended:?}");
    }
    until("the agent to be killed", GENEROUS, || Ok((!agent.process.is_running()).then_some(())))?;
    drop(agent);

    cluster.agents[0] = Some(node.agent_again(INSTANCE, config, &[])?);
    cluster.agent(0)?.wait_for("n1 to serve", |status| status.all_in(&["Active"]))?;
    cluster.settle_on(0, 0)?;
    until("everything to be held, once", GENEROUS, || {
        let Ok(held) = survey(&node) else { return Ok(None) };
        let wanted =
            ["10.77.0.101/24", "10.77.0.110/24", "fd77::101/64", "fd77::110/64", "from 10.77.0.101", "default"];
        Ok(wanted.iter().all(|wanted| held.iter().any(|line| line.contains(wanted))).then_some(()))
    })?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    let after = survey(&node)?;
    ensure!(after == before, "left: {:?}; gone: {:?}", &after - &before, &before - &after);
    Ok(())
}

#[test]
fn the_next_start_converges_wherever_the_agent_was_killed() -> Result<()> {
    let config = configuration("", HOLDINGS, false)?;
    Moment::ALL.into_iter().try_for_each(|moment| converge(&config, moment))
}

#[test]
fn so_it_does_after_its_supervisor_has_handed_over() -> Result<()> {
    let config = configuration("", HOLDINGS, true)?;
    Moment::ALL.into_iter().try_for_each(|moment| converge(&config, moment))
}

/// A next hop must be link-local there over IPv6.
#[test]
fn so_it_does_with_the_virtual_mac() -> Result<()> {
    let holdings = HOLDINGS.replace("via = \"fd77::50\"", "via = \"fe80::ff:fe00:50\"");
    let config = configuration("virtual_mac = true", &holdings, false)?;
    Moment::ALL.into_iter().try_for_each(|moment| converge(&config, moment))
}
