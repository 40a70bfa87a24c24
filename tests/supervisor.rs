//! The supervisor: what an agent that is killed or hangs has held is handed over in its name, and its addresses are taken
//! off; and nothing of all that is left when the agent ends in good order.

mod keys;

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    os::unix::fs::FileExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{
    Agent, Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab, Status, decode, ip, lab,
    neighbor::{self, ARP_REQUEST, BROADCAST, Station},
    until,
};
use nix::{
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use vrrp_wire::{Family, MacAddr};

use self::keys::{ENFORCE, write_keys};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
/// With adverts each second Active_Down_Interval of n2 is 3.4 s.
const SECONDS: ClusterConfig<'_> = ClusterConfig { interval: "1s", ..ClusterConfig::DEFAULT };
/// Far less than that, and much more than anything takes that need not wait for it.
const SOON: Duration = Duration::from_secs(2);
/// How often each kind of cluster loses its Active.
const DEATHS: usize = 2;

/// Two nodes, n1 Active.
fn running(lab: &Lab, config: &ClusterConfig<'_>) -> Result<Cluster> {
    let mut cluster = Cluster::new(lab, 2, config)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("n2 to hear n1", |status| {
        let has_heard = |&family: &Family| status.tally("web-a", family, "adverts_received") >= Some(1);
        status.all_in(&["Backup"]) && FAMILIES.iter().all(has_heard)
    })?;
    Ok(cluster)
}

/// The process id of the agent's supervisor, which may have to be started first.
fn supervisor(agent: &Agent) -> Result<u64> {
    let status = agent.wait_for("a supervisor", |status| status.0["supervisor"].is_u64())?;
    status.0["supervisor"].as_u64().context("no supervisor")
}

fn is_running(pid: u64) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn wait_for_end(pid: u64) -> Result<()> {
    until(&format!("process {pid} to end"), GENEROUS, || Ok((!is_running(pid)).then_some(())))
}

/// The MAC addresses that answer the client's questions for `vip`, until there have been `count` answers.
fn answering(cluster: &Cluster, vip: IpAddr, count: usize) -> Result<BTreeSet<MacAddr>> {
    let client = &cluster.client;
    let capture = Capture::start(client.namespace(), Host::INTERFACE)?;
    let injector = Injector::new(client)?;
    let question = match vip {
        IpAddr::V4(vip) => {
            neighbor::arp(ARP_REQUEST, Station { mac: client.mac(), address: ip("10.77.0.50") }, vip, BROADCAST)
        }
        IpAddr::V6(vip) => neighbor::solicitation(Station { mac: client.mac(), address: ip("fd77::50") }, vip, None),
    };
    let is_answer = |frame: &Captured| !frame.outgoing && neighbor::spoken_for(&frame.bytes).contains(&vip);
    until(&format!("{count} answers for {vip}"), GENEROUS, || {
        injector.send(&question)?;
        Ok((capture.frames().iter().filter(|frame| is_answer(frame)).count() >= count).then_some(()))
    })?;
    Ok(capture
        .frames()
        .iter()
        .filter(|frame| is_answer(frame))
        .filter_map(|frame| neighbor::sender(&frame.bytes))
        .collect())
}

/// The adverts of n1 for the first virtual router after `start`, as (IPv4, priority, interval in centiseconds, signed).
fn adverts_of_n1(cluster: &Cluster, capture: &Capture, start: Instant) -> Vec<(bool, u8, u16, bool)> {
    let own = [ip("10.77.0.1"), ip("fd77::1"), cluster.nodes[0].link_local().into()];
    let frames = capture.frames();
    let adverts =
        frames.iter().filter(|frame| frame.at > start).filter_map(|frame| decode::advertisement(&frame.bytes));
    let of_n1 = adverts.filter(|advert| own.contains(&advert.source) && advert.vrid == Cluster::VRIDS[0]);
    of_n1
        .map(|advert| (advert.source.is_ipv4(), advert.priority, advert.interval_cs, advert.signature.is_some()))
        .collect()
}

/// Kills n1's agent and nothing else; returns how long the client was without an answer, over IPv4 and IPv6.
fn kill_and_measure(cluster: &mut Cluster, is_signed: bool) -> Result<[Duration; 2]> {
    let probes = cluster.probe(0)?;
    // Unicast adverts come to nobody else.
    let capture = Capture::start(cluster.nodes[1].namespace(), Host::INTERFACE)?;
    let mut agent = cluster.take(0)?;
    let orphan = supervisor(&agent)?;
    let start = Instant::now();
    agent.process.kill()?;
    cluster.settle_on(0, 1)?;
    ensure!(start.elapsed() < SOON, "took {:?}, as if nobody had said goodbye", start.elapsed());
    for probe in &probes {
        probe.wait_answered(GENEROUS)?;
    }
    let outages = [0, 1].map(|at| probes[at].outage_since(start));
    wait_for_end(orphan)?;
    for is_ipv4 in [true, false] {
        let said: Vec<_> =
            adverts_of_n1(cluster, &capture, start).into_iter().filter(|said| said.0 == is_ipv4).collect();
        ensure!(said.ends_with(&[(is_ipv4, 200, 1, is_signed), (is_ipv4, 0, 1, is_signed)]), "n1 said {said:?}");
    }
    Ok(outages)
}

/// SIGKILL of the Active's agent: its peer takes over at once, and alone answers for the addresses; a new agent finds nothing
/// of the old one, and takes them back.
fn a_kill_is_a_handover(config: &ClusterConfig<'_>, answers: impl Fn(&Host, IpAddr) -> MacAddr) -> Result<()> {
    let lab = lab!();
    let is_signed = !config.auth.is_empty();
    if is_signed {
        write_keys(&lab)?;
    }
    let mut cluster = running(&lab, config)?;
    for _ in 0..DEATHS {
        let [ipv4, ipv6] = kill_and_measure(&mut cluster, is_signed)?;
        eprintln!("{config:?}: the client was without an answer for {ipv4:?} over IPv4, {ipv6:?} over IPv6");
        for vip in Cluster::addresses(0) {
            let (macs, expected) = (answering(&cluster, vip, 20)?, answers(&cluster.nodes[1], vip));
            ensure!(macs == BTreeSet::from([expected]), "{macs:?} answer for {vip}, not {expected} alone");
        }
        cluster.start(0)?;
        cluster.settle_on(0, 0)?;
    }
    let said = cluster.agent(0)?.process.transcript();
    ensure!(!said.contains("an earlier run has left"), "the supervisor has left something:\n{said}");
    Ok(())
}

#[test]
fn a_killed_active_is_handed_over() -> Result<()> {
    a_kill_is_a_handover(&SECONDS, |node, _| node.mac())
}

#[test]
fn a_killed_active_is_handed_over_by_unicast() -> Result<()> {
    a_kill_is_a_handover(&ClusterConfig { cluster: "transport = \"unicast\"", ..SECONDS }, |node, _| node.mac())
}

#[test]
fn a_killed_active_is_handed_over_by_signed_adverts() -> Result<()> {
    a_kill_is_a_handover(&ClusterConfig { auth: ENFORCE, ..SECONDS }, |node, _| node.mac())
}

#[test]
fn a_killed_active_is_handed_over_with_its_virtual_mac() -> Result<()> {
    a_kill_is_a_handover(&ClusterConfig { cluster: "virtual_mac = true", ..SECONDS }, |_, vip| {
        MacAddr([0, 0, 0x5e, 0, if vip.is_ipv4() { 1 } else { 2 }, Cluster::VRIDS[0]])
    })
}

/// A Backup that is killed is missed by nobody: its supervisor says nothing, and ends.
#[test]
fn a_killed_backup_is_nothing_to_hand_over() -> Result<()> {
    let lab = lab!();
    let mut cluster = running(&lab, &ClusterConfig { preferred: &[1], ..ClusterConfig::default() })?;
    cluster.settle_on(0, 1)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let start = Instant::now();
    let mut agent = cluster.take(0)?;
    let orphan = supervisor(&agent)?;
    agent.process.kill()?;
    wait_for_end(orphan)?;
    capture.wait_for("an advert of n2", GENEROUS, |frame| {
        decode::advertisement(&frame.bytes).is_some_and(|advert| advert.source_mac == cluster.nodes[1].mac())
    })?;
    let said = adverts_of_n1(&cluster, &capture, start);
    ensure!(said.is_empty(), "n1 said {said:?}");
    cluster.settle_on(0, 1)
}

/// A supervisor that dies is replaced, again and again, and the last one does its work.
#[test]
fn a_killed_supervisor_is_replaced() -> Result<()> {
    let lab = lab!();
    let mut cluster = running(&lab, &SECONDS)?;
    for _ in 0..2 {
        let agent = cluster.agent(0)?;
        let pid = supervisor(agent)?;
        cluster.nodes[0].run("kill", &["-KILL", &pid.to_string()])?;
        agent
            .process
            .wait_for_output(&format!("the supervisor has ended; another one is started pid={pid}"), GENEROUS)?;
        agent.wait_for("another supervisor", |status| {
            status.0["supervisor"].as_u64().is_some_and(|another| another != pid)
        })?;
        ensure!(agent.status()?.all_in(&["Active"]), "the death of the supervisor is not the agent's");
    }
    kill_and_measure(&mut cluster, false).map(drop)
}

/// A supervisor ends neither by what a service manager sends to every process of the service, nor by Ctrl-C.
#[test]
fn a_supervisor_outlives_the_signals_that_end_an_agent() -> Result<()> {
    let lab = lab!();
    let mut cluster = running(&lab, &SECONDS)?;
    let pid = supervisor(cluster.agent(0)?)?;
    for signal in ["-TERM", "-INT", "-HUP"] {
        cluster.nodes[0].run("kill", &[signal, &pid.to_string()])?;
    }
    // It takes signals before it hears of the agent's death.
    kill_and_measure(&mut cluster, false)?;
    ensure!(!is_running(pid), "the supervisor is left");
    Ok(())
}

/// The agent hangs for longer than it may: its peer takes over long before Active_Down_Interval has passed. It wakes, and
/// says nothing: no advert, no announcement, no answer. Only one node holds the addresses.
#[test]
fn a_hung_active_is_relieved() -> Result<()> {
    let lab = lab!();
    let mut cluster = running(&lab, &ClusterConfig { cluster: "preempt = false", ..SECONDS })?;
    let [ipv4, ipv6] = Cluster::addresses(0);
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.agent(0)?.process.signal(Signal::SIGSTOP)?;
    let start = Instant::now();
    cluster.settle_on(0, 1)?;
    let took = start.elapsed();
    eprintln!("relieved after {took:?}");
    ensure!(took < Duration::from_millis(3_200), "took {took:?}, as if nobody had handed over");
    let goodbyes = adverts_of_n1(&cluster, &capture, start).into_iter().filter(|said| said.1 == 0).count();
    ensure!(goodbyes == 2, "{goodbyes} times goodbye, for two virtual routers");

    let woken = Instant::now();
    cluster.agent(0)?.process.signal(Signal::SIGCONT)?;
    let status = cluster.agent(0)?.wait_for("n1 to be Backup", |status| status.all_in(&["Backup"]))?;
    let reason = status.router("web-a", Family::Ipv4).and_then(|router| router["reason"].as_str());
    ensure!(reason == Some("the agent seemed hung, and its supervisor has handed over"), "{reason:?}");
    // As long as an agent that had forgotten would take to announce and advertise.
    until("three adverts of n2", GENEROUS, || {
        let node = cluster.nodes[1].mac();
        let of_n2 = |frame: &&Captured| {
            let advert = decode::advertisement(&frame.bytes);
            frame.at > woken && advert.is_some_and(|advert| advert.source_mac == node && advert.source.is_ipv4())
        };
        let holders = [cluster.lan.holders(ipv4)?, cluster.lan.holders(ipv6)?];
        ensure!(holders == [["n2"], ["n2"]], "held by {holders:?}");
        Ok((capture.frames().iter().filter(of_n2).count() >= 3).then_some(()))
    })?;
    let n1 = cluster.nodes[0].mac();
    let said = capture.frames().into_iter().filter(|frame| {
        let vips = neighbor::spoken_for(&frame.bytes);
        frame.at > woken && neighbor::sender(&frame.bytes) == Some(n1) && (vips.contains(&ipv4) || vips.contains(&ipv6))
    });
    ensure!(said.count() == 0, "n1 spoke for the addresses");
    ensure!(adverts_of_n1(&cluster, &capture, woken).is_empty(), "n1 advertised");
    // It is supervised as before.
    cluster.take(1)?.process.terminate(GENEROUS)?;
    cluster.settle_on(0, 0)?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("n2 to be Backup", |status| status.all_in(&["Backup"]))?;
    kill_and_measure(&mut cluster, false).map(drop)
}

/// The election thread of an agent, stopped while its other threads run; goes on when this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(agent: &Agent) -> Result<Self> {
        let pid = agent.status()?.0["pid"].as_u64().context("no process id")?;
        let is_elections = |tid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).is_ok_and(|name| name == "elections\n")
        };
        let names =
            fs::read_dir(format!("/proc/{pid}/task"))?.filter_map(|thread| thread.ok()?.file_name().into_string().ok());
        let tid = names.filter_map(|name| name.parse().ok()).find(is_elections).context("no election thread")?;
        let stopped = Self(Pid::from_raw(tid));
        ptrace::seize(stopped.0, ptrace::Options::empty())?;
        ptrace::interrupt(stopped.0)?;
        waitpid(stopped.0, Some(WaitPidFlag::__WALL))?;
        Ok(stopped)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

/// Nothing but the election thread hangs. What is left of the agent sees that its addresses are removed, and neither puts
/// them back nor goes on announcing them. There is no guard that would keep it from that.
#[test]
fn an_agent_whose_elections_hang_holds_nothing() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { guard: "attach = \"off\"", ..SECONDS })?;
    cluster.start(1)?;
    cluster.settle_on(0, 1)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let taken = Instant::now();
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let stopped = Stopped::new(cluster.agent(0)?)?;
    cluster.settle_on(0, 1)?;
    let relieved = Instant::now();
    let vips = Cluster::addresses(0);
    // Announcements are repeated for five seconds.
    until("the last announcement of n1", GENEROUS, || {
        for vip in vips {
            let holders = cluster.lan.holders(vip)?;
            ensure!(holders == ["n2"], "{vip} is held by {holders:?}");
        }
        Ok((taken.elapsed() > Duration::from_secs(6)).then_some(()))
    })?;
    drop(stopped);
    cluster.agent(0)?.wait_for("n1 to be Backup", |status| status.all_in(&["Backup"]))?;
    let n1 = cluster.nodes[0].mac();
    let said = capture.frames().into_iter().filter(|frame| {
        let spoken_for = neighbor::spoken_for(&frame.bytes);
        frame.at > relieved
            && neighbor::sender(&frame.bytes) == Some(n1)
            && vips.iter().any(|vip| spoken_for.contains(vip))
    });
    ensure!(said.count() == 0, "n1 spoke for the addresses");
    Ok(())
}

/// An agent that is preferred takes its addresses back after it has hung.
#[test]
fn a_hung_active_takes_back_what_is_its_own() -> Result<()> {
    let lab = lab!();
    let cluster = running(&lab, &ClusterConfig::default())?;
    for _ in 0..2 {
        cluster.agent(0)?.process.signal(Signal::SIGSTOP)?;
        cluster.settle_on(0, 1)?;
        cluster.agent(0)?.process.signal(Signal::SIGCONT)?;
        cluster.settle_on(0, 0)?;
        cluster.agent(0)?.wait_for("n1 to be Active", |status| status.all_in(&["Active"]))?;
    }
    Ok(())
}

/// After a clean stop nothing is left: no supervisor, nothing to hand over, and nobody but the peer answers.
#[test]
fn a_clean_stop_ends_the_supervisor() -> Result<()> {
    let lab = lab!();
    let mut cluster = running(&lab, &ClusterConfig::default())?;
    let mut agent = cluster.take(0)?;
    let pid = supervisor(&agent)?;
    let run_dir = agent.run_dir();
    ensure!(run_dir.join("will.json").exists(), "no will");
    let status = agent.process.terminate(GENEROUS)?;
    ensure!(status.success() && !is_running(pid), "{status}, and the supervisor has not ended before");
    for file in ["will.json", "vitals"] {
        ensure!(!run_dir.join(file).exists(), "{file} is left");
    }
    let said = agent.process.transcript();
    ensure!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    let said = agent.run(&["release"])?;
    ensure!(said.ends_with("has left nothing\n"), "{said}");
    for vip in Cluster::addresses(0) {
        let macs = answering(&cluster, vip, 20)?;
        ensure!(macs == BTreeSet::from([cluster.nodes[1].mac()]), "{macs:?} answer for {vip}");
    }
    Ok(())
}

/// Without a supervisor, or when it was killed together with the agent, a command does its work: for the service manager.
#[test]
fn a_command_hands_over_where_there_is_no_supervisor() -> Result<()> {
    let lab = lab!();
    write_keys(&lab)?;
    for auth in ["", ENFORCE] {
        let mut cluster = running(&lab, &ClusterConfig { supervisor: false, auth, ..SECONDS })?;
        let agent = cluster.agent(0)?;
        ensure!(agent.status()?.0["supervisor"].is_null(), "there is a supervisor, and should not be one");
        let refused = agent.run(&["release"]).err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(refused.contains("another agent runs"), "{refused}");
        let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
        let mut agent = cluster.take(0)?;
        let start = Instant::now();
        agent.process.kill()?;
        for vip in Cluster::addresses(0) {
            ensure!(cluster.nodes[0].has_address(vip)?, "{vip} is gone, and nobody has removed it");
        }
        let said = agent.run(&["release"])?;
        ensure!(said == "handed over web-a/IPv4, web-a/IPv6; the addresses are gone\n", "{said}");
        cluster.settle_on(0, 1)?;
        ensure!(start.elapsed() < SOON, "took {:?}, as if nobody had said goodbye", start.elapsed());
        for is_ipv4 in [true, false] {
            let goodbye = (is_ipv4, 0, 1, !auth.is_empty());
            ensure!(adverts_of_n1(&cluster, &capture, start).contains(&goodbye), "no goodbye");
        }
        let said = agent.run(&["release"])?;
        ensure!(said.ends_with("has left nothing\n"), "{said}");
    }
    Ok(())
}

/// A supervisor that has taken the agent for lost hands over, and may be gone before the agent goes on: what it has noted counts.
#[test]
fn what_a_supervisor_has_noted_counts_without_it() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { supervisor: false, ..ClusterConfig::default() })?;
    cluster.start_all()?;
    let agent = cluster.agent(0)?;
    let terms = |status: &Status| FAMILIES.map(|family| status.tally("web-a", family, "transitions").unwrap_or(0));
    let before = terms(&agent.wait_for("n1 to serve", |status| status.all_in(&["Active"]))?);
    // The roles of two virtual routers, behind the heartbeat and what runs ask each other.
    let vitals = fs::OpenOptions::new().write(true).open(agent.run_dir().join("vitals"))?;
    vitals.write_all_at(&[0, 0], 64)?;
    agent.process.wait_for_output("its supervisor has handed over", GENEROUS)?;
    agent.wait_for("n1 to serve again", |status| {
        let after = terms(status);
        status.all_in(&["Active"]) && after.iter().zip(&before).all(|(after, before)| *after >= before + 2)
    })?;
    Ok(())
}
