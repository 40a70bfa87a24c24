//! What works when something is missing, and what is said about it.

use std::{
    fmt::Write,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            net::{SocketAddr, UnixListener},
            process::CommandExt,
        },
    },
    process::Output,
};

use anyhow::{Context, Result, ensure};
use harness::{
    Capture, Cluster, ClusterConfig, GENEROUS, Host, Process, Status, decode, frame::Advert, inject, lab, vipd,
};
use nix::unistd::{Uid, setfsuid};
use vrrp_wire::Family;

/// Runs `vipd` on a node and returns what it said and how it ended.
fn run(host: &Host, arguments: &[&str]) -> Result<Output> {
    host.namespace().command(vipd()?).args(arguments).output().context("failed to start vipd")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether the agents elect and fail over; `attach` is what each must say of its mode.
fn elects(cluster: &mut Cluster, attach: &str) -> Result<()> {
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    for agent in cluster.agents.iter().flatten() {
        let status = agent.status()?;
        ensure!(status.0["interfaces"][0]["attach"] == attach, "not `{attach}`: {status:?}");
    }
    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.settle_on(0, 1)
}

/// Without XDP the agent judges every advert itself, by the same rules.
#[test]
fn a_packet_socket_stands_in_for_xdp() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { guard: "attach = \"off\"", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    elects(&mut cluster, "socket")?;
    let [vip, _] = Cluster::addresses(0);
    let forged = Advert::new(cluster.attacker.mac(), [10, 77, 0, 66].into(), Cluster::VRIDS[0], 255, &[vip]).frame();
    inject(&cluster.attacker, &forged, 10)?;
    let status = cluster.agent(1)?.wait_for("ten forged adverts to be counted", |status| {
        status.counter("web-a", Family::Ipv4, "unknown_source") == 10
    })?;
    ensure!(status.counter("web-a", Family::Ipv4, "would_drop") == 10, "{status:?}");
    ensure!(status.state("web-a", Family::Ipv4) == Some("Active"), "{status:?}");
    Ok(())
}

#[test]
fn generic_xdp_works_when_asked_for() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { guard: "attach = \"generic\"", ..ClusterConfig::default() };
    elects(&mut Cluster::new(&lab, 2, &config)?, "generic")
}

/// Anybody on a host may take the name that an agent claims an interface by: no reason not to start, nor not to be missed.
#[test]
fn a_claim_of_another_user_is_none() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    let _squatter = node.namespace().enter(|| -> Result<UnixListener> {
        setfsuid(Uid::from_raw(65_534));
        Ok(UnixListener::bind_addr(&SocketAddr::from_abstract_name("vipd/interface/vsw0")?)?)
    })??;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let file = cluster.agent(0)?.file()?;
    let instance = format!("{}-other", cluster.agent(0)?.instance());
    let output = run(&node, &["run", "--config", file, "--node", "n1", "--instance", &instance])?;
    ensure!(stderr(&output).contains("another agent serves `vsw0`"), "{}", stderr(&output));
    Ok(())
}

/// Two agents, of two names, on one interface would take each other's addresses for leftovers.
#[test]
fn an_interface_has_one_agent() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start_all()?;
    let other = cluster.config.replace("vrid = 51", "vrid = 151").replace("77.0.101", "77.0.201");
    let file = lab.write("other.toml", &other.replace("fd77::101", "fd77::201"))?;
    let file = file.to_str().context("not UTF-8")?;
    let output = run(&cluster.nodes[0], &["run", "--config", file, "--node", "n1", "--instance", "other"])?;
    ensure!(output.status.code() == Some(1), "ended with {}", output.status);
    ensure!(stderr(&output).contains("another agent serves `vsw0`"), "{}", stderr(&output));
    cluster.settle_on(0, 0)
}

/// Those that are missing, at the start, after a reload or a restart, keep nobody from serving on another, and are served
/// once they are there, each by itself.
#[test]
fn an_interface_may_come_later() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let without = cluster.config.clone();
    for (name, interface, address) in [("late", "vsw9", "fd79::9/64"), ("later", "vsw8", "fd79::8/64")] {
        write!(
            cluster.config,
            "[[virtual_router]]\nname = \"{name}\"\nvrid = 61\ninterface = \"{interface}\"\naddresses = [\"{address}\"]\nnodes = [\"n1\"]\n",
        )?;
    }
    let late = Family::Ipv6;
    cluster.start(0)?;
    let (agent, host) = (cluster.agent(0)?, &cluster.nodes[0]);
    agent.process.wait_for_output("there is no interface `vsw9`", GENEROUS)?;
    let is_missing = |status: &Status| {
        let reason = status.router("late", late).and_then(|router| router["reason"].as_str());
        let is_told = reason.is_some_and(|reason| reason.contains("there is no interface `vsw9`"));
        status.state("late", late) == Some("Fault") && is_told && status.state("web-a", Family::Ipv4) == Some("Active")
    };
    agent.wait_for("the other virtual routers to be served", is_missing)?;
    agent.reload(&without)?;
    agent.wait_for("the reload", |status| status.router("late", late).is_none())?;
    agent.reload(&cluster.config)?;
    agent.wait_for("the missing interface after a reload", is_missing)?;
    agent.run(&["restart"])?;
    agent.wait_for("the missing interface after a restart", is_missing)?;

    for (name, interface, address) in [("late", "vsw9", "fd79::9"), ("later", "vsw8", "fd79::8")] {
        let far = format!("{interface}-far");
        host.run("ip", &["link", "add", interface, "type", "veth", "peer", "name", &far])?;
        for up in [interface, &far] {
            host.run("ip", &["link", "set", up, "up"])?;
        }
        let status = agent.wait_for_state(name, late, "Active")?;
        let heard = status.0["interfaces"].as_array().map_or(&[][..], Vec::as_slice);
        let heard = heard.iter().find(|it| it["name"] == interface).map(|it| &it["heard"]);
        ensure!(heard == Some(&serde_json::Value::Bool(true)), "{status:?}");
        harness::until("the address to be on it", GENEROUS, || {
            Ok(host.has_address(harness::ip(address))?.then_some(()))
        })?;
    }
    let status = agent.status()?;
    ensure!(status.state("web-a", Family::Ipv4) == Some("Active"), "{status:?}");
    Ok(())
}

/// What the XDP program drops is in the agent's log when asked for, and a flood writes ten lines a second at most.
/// Rows: +B15
#[test]
fn dropped_adverts_are_logged_when_asked_for() -> Result<()> {
    let lab = lab!();
    for (guard, wanted) in [("log_drops = true", true), ("", false)] {
        let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { guard, ..ClusterConfig::default() })?;
        cluster.start_all()?;
        let [vip, _] = Cluster::addresses(0);
        let forged =
            Advert::new(cluster.attacker.mac(), [10, 77, 0, 66].into(), Cluster::VRIDS[0], 255, &[vip]).frame();
        inject(&cluster.attacker, &forged, 1_000)?;
        let agent = cluster.agent(0)?;
        agent.wait_for("the drops", |status| status.counter("web-a", Family::Ipv4, "dropped") == 1_000)?;
        let line = "bad advert: unknown_source";
        if wanted {
            agent.process.wait_for_output(line, GENEROUS)?;
        }
        let lines = agent.process.transcript().matches(line).count();
        ensure!(lines <= if wanted { 100 } else { 0 }, "{lines} lines");
        if !wanted {
            continue;
        }
        // The next program goes on with what was verified beforehand.
        agent.run(&["restart"])?;
        harness::until("drops to be logged after `vipd restart`", GENEROUS, || {
            inject(&cluster.attacker, &forged, 10)?;
            Ok((agent.process.transcript().matches(line).count() > lines).then_some(()))
        })?;
    }
    Ok(())
}

/// Addresses cannot be added: Priority 0 at once, Fault, and the reason in the status.
#[test]
fn an_agent_that_cannot_hold_its_addresses_steps_down() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start(1)?;
    cluster.settle_on(0, 1)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    // May hear and send, and change nothing.
    let file = lab.write("powerless.toml", &cluster.config)?;
    let mut command = cluster.nodes[0].namespace().command("setpriv");
    command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]).arg(vipd()?);
    command.arg("run").arg("--config").arg(file).args(["--node", "n1", "--instance", "powerless"]);
    let agent = Process::spawn("the powerless agent", command)?;
    agent.wait_for_output("cannot hold the virtual addresses", GENEROUS)?;
    let n1 = cluster.nodes[0].mac();
    for family in [Family::Ipv4, Family::Ipv6] {
        capture.wait_for("a Priority 0 advert of n1", GENEROUS, |frame| {
            decode::advertisement(&frame.bytes).is_some_and(|advert| {
                (advert.source_mac, advert.priority) == (n1, 0) && advert.source.is_ipv6() == (family == Family::Ipv6)
            })
        })?;
    }
    let output = run(&cluster.nodes[0], &["status", "--json", "--instance", "powerless"])?;
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).with_context(|| stderr(&output))?;
    let router = &status["virtual_routers"][0];
    ensure!(router["state"] == "Fault", "{status:#}");
    ensure!(router["reason"].as_str().is_some_and(|reason| reason.contains("failed to add")), "{status:#}");
    cluster.settle_on(0, 1)
}

#[test]
fn without_capabilities_the_error_names_what_is_missing() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let file = lab.write("plain.toml", &cluster.config)?;
    let mut command = cluster.nodes[0].namespace().command("setpriv");
    command.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(vipd()?);
    let output = command.arg("run").arg("--config").arg(file).args(["--node", "n1"]).process_group(0).output()?;
    ensure!(output.status.code() == Some(1), "ended with {}", output.status);
    ensure!(stderr(&output).contains("CAP_NET_RAW"), "{}", stderr(&output));
    Ok(())
}

/// Every mistake at once, with file and line, and exit status 2, from `check` and from `run` alike.
#[test]
fn a_wrong_configuration_ends_with_status_2() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let wrong = cluster.config.replace("vrid = 51", "vrid = 0").replace("\"100ms\"", "\"41s\"") + "\n[colour]\n";
    let file = lab.write("wrong.toml", &wrong)?;
    let file = file.to_str().context("not UTF-8")?;
    for command in ["check", "run"] {
        let output = run(&cluster.nodes[0], &[command, "--config", file, "--node", "n1"])?;
        ensure!(output.status.code() == Some(2), "`{command}` ended with {}", output.status);
        let said = stderr(&output);
        for mistake in ["wrong.toml:4", "41s", "vrid", "colour"] {
            ensure!(said.contains(mistake), "`{command}` does not say `{mistake}`: {said}");
        }
    }
    let right = lab.write("right.toml", &cluster.config)?;
    let right = right.to_str().context("not UTF-8")?;
    let output = run(&cluster.nodes[0], &["check", "--config", right, "--node", "n1"])?;
    ensure!(output.status.success(), "{}", stderr(&output));
    Ok(())
}

#[test]
fn two_agents_of_one_name_do_not_run_together() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for("the first agent to run", |_| true)?;
    let file = lab.write("second.toml", &cluster.config)?;
    let file = file.to_str().context("not UTF-8")?;
    let instance = cluster.agent(0)?.instance().to_owned();
    let output = run(&cluster.nodes[0], &["run", "--config", file, "--node", "n1", "--instance", &instance])?;
    ensure!(output.status.code() == Some(1), "ended with {}", output.status);
    ensure!(stderr(&output).contains("another agent runs"), "{}", stderr(&output));
    let output = run(&cluster.nodes[0], &["detach", "--instance", &instance])?;
    ensure!(output.status.code() == Some(1), "`detach` took the maps of a running agent away");
    cluster.agent(0)?.wait_for("the first agent to go on", |_| true).map(drop)
}
