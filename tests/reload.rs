//! Another configuration while the agent runs: what does not change is not touched, and what is wrong changes nothing.

mod keys;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Agent, Cluster, ClusterConfig, GENEROUS, Host, Status, frame::Advert, inject, lab};
use vrrp_wire::Family;

use self::keys::{ENFORCE, write_keys};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// Two virtual routers, the first preferred by n1, the second by n2.
fn two() -> Result<String> {
    ClusterConfig { preferred: &[0, 1], ..ClusterConfig::default() }.text(2)
}

fn terms(status: &Status, router: &str) -> [u64; 2] {
    FAMILIES.map(|family| status.tally(router, family, "transitions").unwrap_or(0))
}

fn priority(status: &Status, router: &str) -> Option<u64> {
    status.router(router, Family::Ipv4)?["priority"].as_u64()
}

fn reload(agent: &Agent, config: &str) -> Result<String> {
    agent.rewrite(config)?;
    agent.run(&["reload"])
}

#[test]
fn what_does_not_change_is_not_touched() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::with_config(&lab, 2, two()?)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    cluster.settle_on(1, 1)?;
    let probes = cluster.probe(0)?;
    let (before, start) = (cluster.agent(0)?.status()?, std::time::Instant::now());

    // Of the second one n1 has a greater priority than n2 now, and takes over; the first one does not notice.
    let other = two()?.replace("nodes = [\"n2\", \"n1\"]", "priorities = { n1 = 180, n2 = 120 }");
    cluster.agent(0)?.rewrite(&other)?;
    let plan = cluster.agent(0)?.run(&["check", "--node", "n1", "--diff", "--config", cluster.agent(0)?.file()?])?;
    let change = "~ web-b/IPv4: priority 150 -> 180, the other nodes\n~ web-b/IPv6: priority 150 -> 180, the other nodes\n\
         2 virtual routers are not touched\n";
    ensure!(plan.ends_with(change), "{plan}");
    ensure!(priority(&cluster.agent(0)?.status()?, "web-b") == Some(150), "only asked, and done");
    for node in [0, 1] {
        reload(cluster.agent(node)?, &other)?;
    }
    cluster.settle_on(1, 0)?;
    let after = cluster.agent(0)?.status()?;
    ensure!(priority(&after, "web-b") == Some(180), "{after:?}");
    ensure!(terms(&after, "web-a") == terms(&before, "web-a"), "the other one was touched: {after:?}");
    ensure!(after.0["pid"] == before.0["pid"], "another process");
    probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
    eprintln!("reload: longest gap {:?}", probes.each_ref().map(|probe| probe.outage_since(start)));
    Ok(())
}

#[test]
fn virtual_routers_come_and_go() -> Result<()> {
    let lab = lab!();
    let one = ClusterConfig::default().text(2)?;
    let mut cluster = Cluster::with_config(&lab, 2, one.clone())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    for node in [0, 1] {
        let said = reload(cluster.agent(node)?, &two()?)?;
        ensure!(said == "+ web-b/IPv4: new\n+ web-b/IPv6: new\n2 virtual routers are not touched\n", "{said}");
    }
    cluster.settle_on(1, 1)?;
    cluster.settle_on(0, 0)?;
    // The Active one first: its goodbye must be heard by a node that still takes part.
    for node in [1, 0] {
        let said = reload(cluster.agent(node)?, &one)?;
        ensure!(said == "- web-b/IPv4: goes\n- web-b/IPv6: goes\n2 virtual routers are not touched\n", "{said}");
        if node == 1 {
            cluster.settle_on(1, 0)?;
        }
    }
    for address in Cluster::addresses(1) {
        harness::until("the addresses to go", GENEROUS, || Ok(cluster.lan.holders(address)?.is_empty().then_some(())))?;
    }
    ensure!(cluster.transitions()? == before, "what stayed was touched");
    for node in [0, 1] {
        let path = format!("{}/routers", cluster.agent(node)?.pin_dir());
        harness::until("the guard to forget what is gone", GENEROUS, || {
            let routers: serde_json::Value =
                serde_json::from_str(&lab.bpftool(&["-j", "map", "dump", "pinned", &path])?)?;
            Ok((routers.as_array().map(Vec::len) == Some(2)).then_some(()))
        })?;
    }
    cluster.settle_on(0, 0)
}

/// New addresses are there before old ones are gone, and those that stay are not touched.
#[test]
fn addresses_change_while_the_rest_is_answered_for() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let probes = cluster.probe(0)?;
    let (before, start) = (cluster.transitions()?, std::time::Instant::now());
    let (old, new) = ("\"10.77.0.101/24\", ", "\"10.77.0.101/24\", \"10.77.0.111/24\", ");
    let more = cluster.config.replace(old, new);
    let other = cluster.config.replace(old, "\"10.77.0.101/24\", \"10.77.0.112/24\", ");
    let holders = |address: &str| cluster.lan.holders(harness::ip(address));
    for (config, there, gone) in [(&more, "10.77.0.111", "10.77.0.112"), (&other, "10.77.0.112", "10.77.0.111")] {
        for node in [0, 1] {
            reload(cluster.agent(node)?, config)?;
        }
        harness::until("the new address to be there, and the old one to go", GENEROUS, || {
            Ok((holders(there)? == ["n1"] && holders(gone)?.is_empty()).then_some(()))
        })?;
    }
    probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
    eprintln!("reload: longest gap {:?}", probes.each_ref().map(|probe| probe.outage_since(start)));
    let status = cluster
        .agent(1)?
        .wait_for("n2 to be content with n1", |status| status.0["alarms"].as_array().is_some_and(Vec::is_empty))?;
    ensure!(cluster.transitions()? == before, "somebody took over: {status:?}");
    for (vip, expected) in [("10.77.0.112", true), ("10.77.0.111", false)] {
        let dump = lab.bpftool(&["-j", "map", "dump", "pinned", &format!("{}/vips", cluster.agent(0)?.pin_dir())])?;
        let octets = format!("[10,77,0,{}", vip.rsplit('.').next().unwrap_or_default());
        ensure!(dump.replace(' ', "").contains(&octets) == expected, "{vip}: {dump}");
    }
    Ok(())
}

#[test]
fn a_wrong_file_changes_nothing_and_is_told() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    cluster.start_all()?;
    // The least that IPv6 allows.
    cluster.nodes[0].run("ip", &["link", "set", "vsw0", "mtu", "1280"])?;
    let agent = cluster.agent(0)?;
    let before = agent.status()?;
    let right = cluster.config.clone();
    let many = (1..=80).map(|host| format!("\"fd77::101:{host}/64\"")).collect::<Vec<_>>().join(", ");
    let cases = [
        (right.replace("vrid = 51", "vrid = 0"), "vrid"),
        (right.replace("\"fd77::101/64\"", &many), "the MTU of `vsw0` is 1280"),
        (right.replace("name = \"n1\"", "name = \"n8\""), "n1"),
        (right.replace("10.77.0.101/24", "10.77.0.101/24\", \"10.77.0.101/24"), "10.77.0.101"),
    ];
    for (wrong, what) in &cases {
        let said = reload(agent, wrong);
        ensure!(format!("{said:?}").contains(what), "{what}: {said:?}");
        agent.reload(wrong)?;
        agent.process.wait_for_output("reload: nothing has changed", GENEROUS)?;
    }
    let after = agent.status()?;
    ensure!(terms(&after, "web-a") == terms(&before, "web-a") && after.all_in(&["Active"]), "{after:?}");
    reload(agent, &right).map(drop)
}

/// A longer interval counts from the reload on: the Backup learns it before its shorter one has passed.
#[test]
fn another_interval_makes_nobody_take_over() -> Result<()> {
    let lab = lab!();
    let short = ClusterConfig { interval: "500ms", cluster: "rfc_pure = true", ..ClusterConfig::default() }.text(2)?;
    let long = short.replace("\"500ms\"", "\"2s\"");
    let mut cluster = Cluster::with_config(&lab, 2, short)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    reload(cluster.agent(0)?, &long)?;
    cluster.agent(1)?.wait_for("n2 to wait longer", |status| {
        let timer = status.router("web-a", Family::Ipv4).and_then(|router| router["timer_ms"].as_u64());
        timer > Some(Duration::from_secs(5).as_millis().try_into().unwrap_or(u64::MAX))
    })?;
    reload(cluster.agent(1)?, &long)?;
    ensure!(cluster.transitions()? == before, "somebody took over");
    Ok(())
}

/// Another virtual router gets what one had that goes: it is answered for, and the guard knows whose it is.
#[test]
fn an_address_moves_from_one_virtual_router_to_another() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() }.text(1)?;
    let mut cluster = Cluster::with_config(&lab, 1, config.clone())?;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    let first = config.find("[[virtual_router]]").context("no virtual router")?;
    let second = config.rfind("[[virtual_router]]").context("no virtual router")?;
    let one = [&config[..first], &config[second..]].concat();
    reload(agent, &one.replace("\"10.77.0.102/24\"", "\"10.77.0.101/24\", \"10.77.0.102/24\""))?;
    let dump = lab.bpftool(&["-j", "map", "dump", "pinned", &format!("{}/vips", agent.pin_dir())])?;
    ensure!(dump.replace(' ', "").contains("[10,77,0,101"), "the guard does not know it: {dump}");
    harness::until("the address to be there", GENEROUS, || {
        Ok(cluster.nodes[0].has_address(harness::ip("10.77.0.101"))?.then_some(()))
    })?;
    Ok(())
}

/// What cannot be made does not hold up the rest, and the next reload tries again.
#[test]
fn a_reload_that_fails_in_part_is_told_and_made_up_for() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig::default().text(1)?;
    let only_ipv4 = config.replace(", \"fd77::101/64\"", "");
    let table = "[[check]]\nname = \"ready\"\ncommand = [\"/bin/true\"]\n";
    let mut cluster = Cluster::with_config(&lab, 1, only_ipv4)?;
    cluster.start(0)?;
    let (node, agent) = (&cluster.nodes[0], cluster.agent(0)?);
    agent.wait_for_state("web-a", Family::Ipv4, "Active")?;
    // Less than IPv6 allows: the kernel gives no socket the groups of such an interface.
    node.run("ip", &["link", "set", "vsw0", "mtu", "1200"])?;
    let new = config.replace("vrid = 51\n", "vrid = 51\nchecks = [\"ready\"]\n") + table;
    let said = format!("{:?}", reload(agent, &new));
    ensure!(said.contains("all else in the file holds from now on"), "{said}");
    agent.wait_for("the check to run", |status| status.0["checks"][0]["state"] == "passing")?;
    node.run("ip", &["link", "set", "vsw0", "mtu", "1500"])?;
    let said = reload(agent, &new)?;
    ensure!(said.contains("+ web-a/IPv6: new"), "{said}");
    agent.wait_for_state("web-a", Family::Ipv4, "Active").map(drop)
}

/// An interface whose only virtual router could not be made is tried again too.
#[test]
fn an_interface_that_nobody_could_be_on_is_made_up_for() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig::default().text(1)?;
    let mut cluster = Cluster::with_config(&lab, 1, config.clone())?;
    cluster.start(0)?;
    let (node, agent) = (&cluster.nodes[0], cluster.agent(0)?);
    agent.wait_for_state("web-a", Family::Ipv6, "Active")?;
    node.run("ip", &["link", "add", "vsw1", "mtu", "1200", "type", "veth", "peer", "name", "vsw1-peer"])?;
    for name in ["vsw1", "vsw1-peer"] {
        node.run("ip", &["link", "set", name, "up"])?;
    }
    let entry = "[[virtual_router]]\nname = \"web-c\"\nvrid = 53\ninterface = \"vsw1\"\naddresses = [\"fd78::1/64\"]\nnodes = [\"n1\"]\n";
    let new = config + entry;
    let said = format!("{:?}", reload(agent, &new));
    ensure!(said.contains("all else in the file holds from now on"), "{said}");
    node.run("ip", &["link", "set", "vsw1", "mtu", "1500"])?;
    let said = reload(agent, &new)?;
    ensure!(said.contains("+ web-c/IPv6: new"), "{said}");
    agent.wait_for_state("web-c", Family::Ipv6, "Active").map(drop)
}

/// The kernel verifies the program for a way that no interface was guarded in before, which takes longer than peers wait for an advert.
#[test]
fn a_guard_on_a_new_interface_costs_nobody_his_role() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    for auth in ["", ENFORCE] {
        let config = ClusterConfig { auth, interval: "50ms", ..ClusterConfig::default() }.text(2)?;
        let mut cluster = Cluster::with_config(&lab, 2, config.clone())?;
        cluster.start_all()?;
        cluster.settle_on(0, 0)?;
        let transitions =
            |node| Ok::<_, anyhow::Error>(cluster.agent(node)?.status()?.tally("web-a", Family::Ipv4, "transitions"));
        let before = (transitions(0)?, transitions(1)?);
        let (node, agent) = (&cluster.nodes[0], cluster.agent(0)?);
        // A bridge has no native XDP.
        node.run("ip", &["link", "add", "vsw1", "up", "type", "bridge"])?;
        let entry = "[[virtual_router]]\nname = \"web-c\"\nvrid = 53\ninterface = \"vsw1\"\naddresses = [\"fd78::1/64\"]\nnodes = [\"n1\"]\n";
        reload(agent, &(config + entry))?;
        let status = agent.wait_for("the guard to be there", |status| status.0["interfaces"][1]["attach"] == "tcx")?;
        ensure!(status.state("web-a", Family::Ipv4) == Some("Active"), "{status:?}");
        cluster.settle_on(0, 0)?;
        ensure!((transitions(0)?, transitions(1)?) == before, "somebody else was Active meanwhile");
    }
    Ok(())
}

/// Over IPv6 any link-local sender is believed where nothing tells nodes from strangers; no longer once something does.
#[test]
fn who_was_believed_is_a_stranger_once_all_are_listed() -> Result<()> {
    let lab = lab!();
    let open = ClusterConfig { pinned: false, ..ClusterConfig::default() }.text(2)?;
    let mut cluster = Cluster::with_config(&lab, 2, open)?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    agent.wait_for_state("web-a", Family::Ipv6, "Active")?;
    let addresses = [harness::ip("fe80::200:5eff:fe00:233"), Cluster::addresses(0)[1]];
    let stranger = Advert::new(cluster.attacker.mac(), harness::ip("fe80::66"), 51, 10, &addresses).frame();
    inject(&cluster.attacker, &stranger, 10)?;
    agent.wait_for("it to be believed", |status| status.counter("web-a", Family::Ipv6, "admitted") == 10)?;
    reload(agent, &ClusterConfig::default().text(2)?)?;
    inject(&cluster.attacker, &stranger, 10)?;
    agent.wait_for("it to be refused", |status| status.counter("web-a", Family::Ipv6, "unknown_source") == 10).map(drop)
}

/// A host without `--node` is a node of the file by its addresses: by those that it has when the file is read again.
#[test]
fn a_host_that_is_given_another_address_is_the_same_node() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = &cluster.nodes[0];
    let without_node = format!("exec '{}' \"$1\" \"$2\" \"$3\" \"$6\" \"$7\"\n", harness::vipd()?.display());
    let program = lab.script("by-address", &without_node)?;
    let agent = node.agent_of(&program, "by-address", &cluster.config, &[])?;
    agent.wait_for_state("web-a", Family::Ipv4, "Active")?;
    for (old, new) in [("10.77.0.1/24", "10.77.0.9/24"), ("fd77::1/64", "fd77::9/64")] {
        node.run("ip", &["addr", "add", new, "dev", Host::INTERFACE])?;
        node.run("ip", &["addr", "del", old, "dev", Host::INTERFACE])?;
    }
    let moved = cluster.config.replace("\"10.77.0.1\"", "\"10.77.0.9\"").replace("\"fd77::1\"", "\"fd77::9\"");
    let said = reload(&agent, &moved)?;
    ensure!(said == "~ web-a/IPv4: this node's address\n1 virtual routers are not touched\n", "{said}");
    let said = agent.run(&["check", "--diff", "--config", agent.file()?])?;
    ensure!(said.ends_with("\n2 virtual routers are not touched\n"), "{said}");
    agent.wait_for_state("web-a", Family::Ipv4, "Active").map(drop)
}
