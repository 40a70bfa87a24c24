//! The agent's program is replaced while it runs: nobody on the LAN notices, whatever state it is in.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Agent, Capture, Cluster, ClusterConfig, GENEROUS, Host, Lab, Status, decode, lab, until, vipd};
use nix::sys::signal::Signal;
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const ROUTER: &str = Cluster::ROUTERS[0];
const ENFORCE: &str =
    "mode = \"enforce\"\nactive_key = 1\nkeys = [{ id = 1, file = \"/run/lab/key1\" }]\nclock_grace = \"0s\"";

/// A file with the daemon's executable, which is another file each time.
fn install(lab: &Lab, program: &Path, version: u64) -> Result<()> {
    let new = lab.write("vipd.new", "")?;
    fs::copy(vipd()?, &new)?;
    // What follows the sections of an executable means nothing, and makes it another one.
    fs::OpenOptions::new().append(true).open(&new)?.write_all(&version.to_ne_bytes())?;
    fs::rename(&new, program).context("failed to put the executable in its place")
}

/// Two nodes, whose agents run from files of their own.
fn cluster(lab: &Lab, config: String) -> Result<(Cluster, [PathBuf; 2])> {
    let mut cluster = Cluster::with_config(lab, 2, config)?;
    let programs = [lab.write("vipd1", "")?, lab.write("vipd2", "")?];
    for (node, program) in programs.iter().enumerate() {
        install(lab, program, 0)?;
        let (host, instance) = (&cluster.nodes[node], format!("{}-restart", cluster.nodes[node].name()));
        cluster.agents[node] = Some(host.agent_of(program, &instance, &cluster.config, &[])?);
    }
    for agent in cluster.agents.iter().flatten() {
        agent.wait_for("every virtual router to stand", |status| status.all_in(&["Active", "Backup"]))?;
    }
    cluster.settle_on(0, 0)?;
    Ok((cluster, programs))
}

/// Replaces the program of an agent, and makes sure that it was.
fn restart(agent: &Agent, program: &Path) -> Result<Status> {
    let before = agent.status()?;
    let said = agent.run(&["restart"])?;
    let pid = before.0["pid"].as_u64().context("no process id")?;
    ensure!(said == format!("vipd {} goes on as process {pid}\n", env!("CARGO_PKG_VERSION")), "{said}");
    let (running, installed) = (fs::metadata(format!("/proc/{pid}/exe"))?, fs::metadata(program)?);
    ensure!(running.ino() == installed.ino(), "the process runs another file than `{}`", program.display());
    let after = agent.status()?;
    for family in FAMILIES {
        ensure!(after.state(ROUTER, family) == before.state(ROUTER, family), "another state: {after:?}");
        let part = |status: &Status, key: &str| status.router(ROUTER, family).map(|router| router[key].clone());
        ensure!(part(&after, "reason") == part(&before, "reason"), "another reason: {after:?}");
        let sent = |status: &Status| status.tally(ROUTER, family, "adverts_sent");
        ensure!(sent(&after) >= sent(&before), "counters begin anew: {after:?}");
    }
    Ok(after)
}

/// The longest time between two adverts of a family that a port of the switch has sent to the LAN.
fn longest_pause(port: &Capture, is_ipv6: bool, since: Instant) -> Duration {
    let frames = port.frames_after(since);
    let adverts = frames.iter().filter(|frame| !frame.outgoing);
    let is_wanted =
        |bytes: &[u8]| decode::advertisement(bytes).is_some_and(|advert| advert.source.is_ipv6() == is_ipv6);
    let times: Vec<_> = adverts.filter(|frame| is_wanted(&frame.bytes)).map(|frame| frame.at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

#[test]
fn nobody_notices_that_the_program_was_replaced() -> Result<()> {
    let lab = lab!();
    let (cluster, programs) = cluster(&lab, ClusterConfig::default().text(2)?)?;
    let probes = cluster.probe(0)?;
    let port = Capture::start(cluster.lan.namespace(), "n1")?;
    let (before, start) = (cluster.transitions()?, Instant::now());
    for version in 1..=3 {
        for node in [0, 1] {
            install(&lab, &programs[node], version)?;
            restart(cluster.agent(node)?, &programs[node])?;
        }
    }
    probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
    let pauses = [false, true].map(|is_ipv6| longest_pause(&port, is_ipv6, start));
    eprintln!(
        "restart: longest gap {:?}, longest pause between adverts {pauses:?}",
        probes.each_ref().map(|probe| probe.outage_since(start))
    );
    ensure!(cluster.transitions()? == before, "somebody took over");
    let is_goodbye = |bytes: &[u8]| decode::advertisement(bytes).is_some_and(|advert| advert.priority == 0);
    ensure!(!port.frames_after(start).iter().any(|frame| is_goodbye(&frame.bytes)), "the Active said goodbye");
    // It is alive in every way: what it has taken over it gives back.
    let mut cluster = cluster;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    cluster.settle_on(0, 1)
}

#[test]
fn a_program_or_a_file_that_does_not_start_is_refused() -> Result<()> {
    let lab = lab!();
    let (cluster, programs) = cluster(&lab, ClusterConfig::default().text(2)?)?;
    let agent = cluster.agent(0)?;
    let before = cluster.transitions()?;
    agent.rewrite(&cluster.config.replace("vrid = 51", "vrid = 0"))?;
    let refused = format!("{:?}", agent.run(&["restart"]));
    ensure!(refused.contains("rehearse` failed") && refused.contains("0 is not a VRID"), "{refused}");
    agent.rewrite(&cluster.config)?;
    let broken = lab.write("vipd.new", "no program")?;
    fs::rename(&broken, &programs[0])?;
    let refused = format!("{:?}", agent.run(&["restart"]));
    ensure!(refused.contains("failed to start `/run/lab/vipd1`"), "{refused}");
    // One that starts, and is gone when its time comes: what was to stay open for it does not stay open for others.
    let fleeting = "#!/bin/sh\nchmod 0 /run/lab/vipd1\n";
    fs::rename(lab.script("vipd.new", fleeting)?, &programs[0])?;
    let refused = format!("{:?}", agent.run(&["restart"]));
    ensure!(refused.contains("failed to execute `/run/lab/vipd1`"), "{refused}");
    let status = agent.status()?;
    for entry in fs::read_dir(format!("/proc/{}/fdinfo", status.0["pid"]))? {
        let (path, number) = (entry?.path(), |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok());
        // One that was open for a moment is gone.
        let text = fs::read_to_string(&path).unwrap_or_default();
        let flags = text.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        let stays_open = flags.is_some_and(|flags| flags & 0o2_000_000 == 0);
        ensure!(number(&path) <= Some(2) || !stays_open, "{} stays open for children", path.display());
    }
    let refusals = || agent.process.transcript().matches("restart: this program goes on").count();
    let before_signal = refusals();
    agent.process.signal(Signal::SIGUSR2)?;
    until("the signal to be refused too", GENEROUS, || Ok((refusals() > before_signal).then_some(())))?;
    ensure!(cluster.transitions()? == before && agent.status()?.all_in(&["Active"]), "something has changed");
    install(&lab, &programs[0], 1)?;
    restart(agent, &programs[0]).map(drop)
}

#[test]
fn a_signal_replaces_the_program_too() -> Result<()> {
    let lab = lab!();
    let (cluster, programs) = cluster(&lab, ClusterConfig::default().text(2)?)?;
    let agent = cluster.agent(0)?;
    let pid = agent.status()?.0["pid"].as_u64().context("no process id")?;
    install(&lab, &programs[0], 1)?;
    let installed = fs::metadata(&programs[0])?.ino();
    agent.process.signal(Signal::SIGUSR2)?;
    until("the other program to run", GENEROUS, || {
        let running = fs::metadata(format!("/proc/{pid}/exe")).is_ok_and(|running| running.ino() == installed);
        Ok((running && agent.status().is_ok_and(|status| status.all_in(&["Active"]))).then_some(()))
    })
}

/// What an earlier version has left in another form is not understood: it starts as if that one had been killed.
#[test]
fn what_is_not_understood_means_an_ordinary_start() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let agent = cluster.nodes[0].agent(&cluster.config, &["--resume", "77"])?;
    agent.process.wait_for_output("starting anew", GENEROUS)?;
    cluster.agents[0] = Some(agent);
    cluster.settle_on(0, 0)
}

/// The sequence of signed adverts goes on, and so does the interface with the Virtual Router MAC Address.
#[test]
fn signatures_and_the_virtual_mac_go_on() -> Result<()> {
    let lab = lab!();
    lab.secret("key1", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")?;
    let config =
        ClusterConfig { cluster: "virtual_mac = true", auth: ENFORCE, pinned: true, ..ClusterConfig::default() };
    let (cluster, programs) = cluster(&lab, config.text(2)?)?;
    let probes = cluster.probe(0)?;
    let macvlans = |host: &Host| host.run("ip", &["-o", "link", "show", "type", "macvlan"]);
    let numbers = |text: String| {
        text.lines().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let indices = numbers(macvlans(&cluster.nodes[0])?);
    let (before, start) = (cluster.transitions()?, Instant::now());
    for version in 1..=2 {
        install(&lab, &programs[0], version)?;
        restart(cluster.agent(0)?, &programs[0])?;
    }
    probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
    eprintln!("restart: longest gap {:?}", probes.each_ref().map(|probe| probe.outage_since(start)));
    ensure!(indices.len() == 2 && numbers(macvlans(&cluster.nodes[0])?) == indices, "they were made anew");
    let heard = cluster.agent(1)?.status()?;
    let more = cluster.agent(1)?.wait_for("adverts of the other program", |status| {
        FAMILIES.iter().all(|&family| {
            let count = |status: &Status| status.tally(ROUTER, family, "adverts_received").unwrap_or(0);
            count(status) > count(&heard) + 5
        })
    })?;
    for family in FAMILIES {
        ensure!(more.counter(ROUTER, family, "dropped") == 0, "adverts were refused: {more:?}");
    }
    ensure!(cluster.transitions()? == before, "somebody took over");
    Ok(())
}

/// What the supervisor would say of a node is what the node says of itself, also after maintenance in which it was updated.
#[test]
fn the_will_of_a_node_that_takes_part_again_has_its_priority() -> Result<()> {
    let lab = lab!();
    let (cluster, programs) = cluster(&lab, ClusterConfig::default().text(2)?)?;
    let agent = cluster.agent(0)?;
    let priorities = || -> Result<Vec<u64>> {
        let will: serde_json::Value = serde_json::from_slice(&fs::read(agent.run_dir().join("will.json"))?)?;
        let bequests = will["bequests"].as_array().context("no bequests")?;
        Ok(bequests.iter().filter_map(|bequest| bequest["priority"].as_u64()).collect())
    };
    let wait_for = |expected: u64| {
        until(&format!("a will with priority {expected}"), GENEROUS, || {
            Ok((priorities()? == [expected, expected]).then_some(()))
        })
    };
    wait_for(200)?;
    agent.run(&["drain"])?;
    wait_for(1)?;
    install(&lab, &programs[0], 1)?;
    restart(agent, &programs[0])?;
    wait_for(1)?;
    agent.run(&["undrain"])?;
    wait_for(200)
}

/// An agent that is told to end while it waits for the program that is to take over ends at once, and hands over.
#[test]
fn an_agent_that_is_being_replaced_ends_when_it_is_told_to() -> Result<()> {
    let lab = lab!();
    let (mut cluster, programs) = cluster(&lab, ClusterConfig::default().text(2)?)?;
    let slow = lab.script("vipd.new", "#!/bin/sh\necho > /run/lab/rehearsing\nexec sleep 600\n")?;
    fs::rename(&slow, &programs[0])?;
    let mut agent = cluster.take(0)?;
    agent.process.signal(Signal::SIGUSR2)?;
    until("the next program to show that it starts", GENEROUS, || {
        Ok(Path::new("/run/lab/rehearsing").exists().then_some(()))
    })?;
    let start = Instant::now();
    agent.process.terminate(GENEROUS)?;
    // It would wait for that program for 20 s.
    ensure!(start.elapsed() < Duration::from_secs(15), "it has ended after {:?}", start.elapsed());
    ensure!(!agent.process.transcript().contains("restart: this program goes on"), "it has waited");
    cluster.settle_on(0, 1)
}

/// The file was edited before the program was replaced: what is no more in it is handed over, and what another prefix length is
/// given leaves nothing behind.
#[test]
fn what_an_edited_file_has_no_more_is_handed_over() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() }.text(2)?;
    let (cluster, programs) = cluster(&lab, config.clone())?;
    cluster.settle_on(1, 0)?;
    let second = config.rfind("[[virtual_router]]").context("no second virtual router")?;
    let other = config[..second].replace("10.77.0.101/24", "10.77.0.101/32").replace("fd77::101/64", "fd77::101/128");
    let agent = cluster.agent(0)?;
    let before = cluster.agent(1)?.status()?;
    agent.rewrite(&other)?;
    install(&lab, &programs[0], 1)?;
    let said = agent.run(&["restart"])?;
    cluster.settle_on(1, 1)?;
    cluster.settle_on(0, 0)?;
    let addresses = || cluster.nodes[0].run("ip", &["-br", "addr", "show", "dev", Host::INTERFACE]);
    until("the addresses to have their new lengths", GENEROUS, || {
        let shown = addresses()?;
        Ok((shown.contains("10.77.0.101/32") && shown.contains("fd77::101/128")).then_some(()))
    })?;
    let shown = addresses()?;
    ensure!(!shown.contains("10.77.0.101/24") && !shown.contains("fd77::101/64"), "{shown}\n{said}");
    // n2 has heard a goodbye and nothing else of what has moved, and of the other no word at all.
    for family in FAMILIES {
        let terms = |status: &Status| status.tally(ROUTER, family, "transitions");
        ensure!(terms(&cluster.agent(1)?.status()?) == terms(&before), "{ROUTER} has changed its state");
        let reason = cluster.agent(1)?.status()?.router(Cluster::ROUTERS[1], family).map(|it| it["reason"].clone());
        ensure!(reason.as_ref().is_some_and(|it| it.to_string().contains("left")), "{reason:?}");
    }
    Ok(())
}
