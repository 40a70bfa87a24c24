//! Failover as a client on the LAN sees it: power loss, clean stop, return, faults, and an agent that was held up.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{
    Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Probe, Process, Status,
    decode::{self, Announcement, Form},
    frame::Advert,
    inject, ip, lab, until, vipd,
};
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// What n1 says of 10.77.0.101 by gratuitous ARP. RFC 9568 §6.4.2, §8.1.2.
#[rustfmt::skip]
const GRATUITOUS_ARP: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06,
    0, 1, 8, 0, 6, 4, 0, 1,
    2, 0, 0, 0, 0, 1, 10, 77, 0, 101,
    2, 0, 0, 0, 0, 1, 10, 77, 0, 101,
];
/// What it says of fd77::101 by a Neighbor Advertisement: Router and Override, to ff02::1. RFC 9568 §6.4.2, RFC 4861 §4.4.
/// The checksum was worked out with an independent implementation.
#[rustfmt::skip]
const NEIGHBOR_ADVERTISEMENT: [u8; 86] = [
    0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
    0x60, 0, 0, 0, 0, 32, 58, 255,
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1,
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    136, 0, 0xd8, 0xa3, 0xa0, 0, 0, 0,
    0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
    2, 1, 2, 0, 0, 0, 0, 1,
];

/// Whether `frame` is the advert of `priority` that `host` sends for the first virtual router.
fn is_advert(frame: &[u8], host: &Host, family: Family, priority: u8) -> bool {
    decode::advertisement(frame).is_some_and(|advert| {
        advert.source_mac == host.mac()
            && advert.source.is_ipv6() == (family == Family::Ipv6)
            && (advert.vrid, advert.priority) == (Cluster::VRIDS[0], priority)
    })
}

/// Whether `frame` tells the LAN that `address` is at `host`.
fn announces(frame: &[u8], address: IpAddr, host: &Host) -> bool {
    decode::announcement(frame).is_some_and(|told| told.address == address && told.mac == host.mac())
}

/// The port of the Active goes down: the next node takes over and announces itself, and the client hears from it. The
/// Active itself gives up at once.
#[test]
fn the_next_node_takes_over_from_one_that_is_cut_off() -> Result<()> {
    let lab = lab!();
    for interval in ["100ms", "10ms"] {
        let mut cluster = Cluster::new(&lab, 3, &ClusterConfig { interval, ..ClusterConfig::default() })?;
        cluster.start_all()?;
        cluster.settle_on(0, 0)?;
        let probes = cluster.probe(0)?;
        let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
        cluster.lan.cut("n1")?;
        for family in FAMILIES {
            cluster.agent(1)?.wait_for_state("web-a", family, "Active")?;
            cluster.agent(0)?.wait_for_state("web-a", family, "Fault")?;
        }
        cluster.settle_on(0, 1)?;
        for (probe, address) in probes.iter().zip(Cluster::addresses(0)) {
            probe.wait_answered(GENEROUS)?;
            capture.wait_for("an announcement by n2", GENEROUS, |frame| {
                announces(&frame.bytes, address, &cluster.nodes[1])
            })?;
        }
        cluster.lan.mend("n1")?;
        cluster.settle_on(0, 0)?;
        for probe in &probes {
            probe.wait_answered(GENEROUS)?;
        }
    }
    Ok(())
}

/// What others see of a takeover: adverts from our own MAC and address with TTL 255 and class CS6, then both forms of
/// gratuitous ARP and a Neighbor Advertisement that overrides, each more than once. RFC 9568 §5.1, §6.4.2, §7.2.
/// Rows: +A1 +A2 +A3 +A4 +A5 +A14 +A19 +C8 +D1 +D2 +D14
#[test]
fn a_takeover_looks_as_the_rfc_wants_it() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.start_all()?;
    let (node, [ipv4, ipv6]) = (cluster.nodes[0].clone(), Cluster::addresses(0));
    let frame =
        capture.wait_for("an IPv4 advert", GENEROUS, |frame| is_advert(&frame.bytes, &node, Family::Ipv4, 200))?;
    let advert = decode::advertisement(&frame.bytes).context("no advert")?;
    ensure!(frame.bytes[..6] == [0x01, 0x00, 0x5e, 0x00, 0x00, 0x12], "{frame:?}");
    ensure!(frame.bytes[15] == 0xc0, "type of service {:#x}", frame.bytes[15]);
    ensure!((advert.ttl, advert.interval_cs) == (255, 10), "{advert:?}");
    ensure!((advert.source, advert.destination) == ([10, 77, 0, 1].into(), [224, 0, 0, 18].into()), "{advert:?}");
    ensure!(advert.addresses == [ipv4], "{advert:?}");
    let frame =
        capture.wait_for("an IPv6 advert", GENEROUS, |frame| is_advert(&frame.bytes, &node, Family::Ipv6, 200))?;
    let advert = decode::advertisement(&frame.bytes).context("no advert")?;
    ensure!(frame.bytes[..6] == [0x33, 0x33, 0x00, 0x00, 0x00, 0x12], "{frame:?}");
    ensure!(advert.destination == ip("ff02::12"), "{advert:?}");
    // Version, traffic class, and the first bits of the flow label.
    ensure!(frame.bytes[14] == 0x6c && frame.bytes[15] >> 4 == 0, "traffic class in {:x?}", &frame.bytes[14..16]);
    ensure!(advert.ttl == 255 && advert.source == node.link_local(), "{advert:?}");
    ensure!(advert.addresses == [ip("fe80::200:5eff:fe00:233"), ipv6], "{advert:?}");
    for announcement in [&GRATUITOUS_ARP[..], &NEIGHBOR_ADVERTISEMENT] {
        let first = capture.wait_for("an announcement", GENEROUS, |frame| frame.bytes == announcement)?;
        let is_ipv4 = announcement == GRATUITOUS_ARP;
        let before = capture.frames().into_iter().find(|frame| {
            let family = if is_ipv4 { Family::Ipv4 } else { Family::Ipv6 };
            is_advert(&frame.bytes, &node, family, 200)
        });
        ensure!(before.is_some_and(|advert| advert.at <= first.at), "announced before the first advert");
    }
    let forms = [(ipv4, Form::Request), (ipv4, Form::Reply), (ipv6, Form::Neighbor { overrides: true })];
    for (address, form) in forms {
        let told = Announcement { address, mac: node.mac(), form };
        until("an announcement and its repetition", GENEROUS, || {
            let frames = capture.frames();
            let count = frames.iter().filter(|frame| decode::announcement(&frame.bytes) == Some(told)).count();
            Ok((count >= 2).then_some(()))
        })
        .with_context(|| format!("{told:?}"))?;
    }
    Ok(())
}

/// SIGTERM: Priority 0 on the wire, addresses gone, exit status 0, nothing left in the kernel; the next node need not
/// wait for silence.
/// Rows: +C15
#[test]
fn a_clean_stop_hands_over() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: "1s", ..ClusterConfig::default() })?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let start = Instant::now();
    let mut agent = cluster.take(0)?;
    let pin_dir = agent.pin_dir();
    let status = agent.process.terminate(GENEROUS)?;
    ensure!(status.success(), "ended with {status}");
    for family in FAMILIES {
        let goodbye = |bytes: &[u8]| is_advert(bytes, &cluster.nodes[0], family, 0);
        capture.wait_for("a Priority 0 advert", GENEROUS, |frame| goodbye(&frame.bytes))?;
    }
    cluster.settle_on(0, 1)?;
    // Skew_Time is 414 ms and Active_Down_Interval 3.4 s.
    ensure!(start.elapsed() < Duration::from_secs(2), "took {:?}, as if nobody had said goodbye", start.elapsed());
    let link = cluster.nodes[0].run("ip", &["link", "show", "dev", Host::INTERFACE])?;
    ensure!(!link.contains("xdp"), "an XDP program is left: {link}");
    ensure!(!std::path::Path::new(&pin_dir).exists(), "`{pin_dir}` is left");
    Ok(())
}

/// A Backup that stops says nothing. RFC 9568 §6.4.2.
/// Rows: +C7 -C7
#[test]
fn a_backup_stops_in_silence() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: "500ms", ..ClusterConfig::default() })?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.take(1)?.process.terminate(GENEROUS)?;
    // An advert of n1 that comes later shows that the capture would have heard n2.
    let stopped = Instant::now();
    capture.wait_for("an advert of n1", GENEROUS, |frame| {
        frame.at > stopped && is_advert(&frame.bytes, &cluster.nodes[0], Family::Ipv4, 200)
    })?;
    let heard = capture.frames().iter().any(|frame| {
        decode::advertisement(&frame.bytes).is_some_and(|advert| advert.source_mac == cluster.nodes[1].mac())
    });
    ensure!(!heard, "the Backup sent an advert");
    Ok(())
}

/// SIGKILL: the guard stays on the interface, and stops nothing although nobody hears it any more: neither ordinary
/// traffic, nor the adverts that another program may want. The next run goes on with its maps, removes the addresses that
/// the dead one left before it listens, no other, and leaves nothing itself.
/// Rows: +D15 -D15
#[test]
fn a_killed_agents_guard_stops_nothing_and_its_successor_cleans_up() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { supervisor: false, ..ClusterConfig::default() })?;
    cluster.start_all()?;
    let vips = Cluster::addresses(0);
    let node = cluster.nodes[0].clone();
    let heard = Capture::start(node.namespace(), Host::INTERFACE)?;
    let forged =
        Advert::new(cluster.attacker.mac(), [10, 77, 0, 66].into(), Cluster::VRIDS[0], 255, &vips[..1]).frame();
    inject(&cluster.attacker, &forged, 10)?;
    let agent = cluster.agent(0)?;
    agent.wait_for("ten drops", |status| status.counter("web-a", Family::Ipv4, "dropped") == 10)?;
    let is_forged = |frame: &Captured| frame.bytes == forged;
    ensure!(!heard.frames().iter().any(is_forged), "the guard did not drop a forged advert");

    let mut agent = cluster.take(0)?;
    let pins = agent.pin_dir();
    agent.process.kill()?;
    ensure!(node.run("ip", &["link", "show", "dev", Host::INTERFACE])?.contains("xdp"), "the guard is gone");
    until("the heartbeat to be stale, and forged adverts to pass", GENEROUS, || {
        inject(&cluster.attacker, &forged, 1)?;
        Ok(heard.frames().iter().any(is_forged).then_some(()))
    })?;
    inject(&cluster.attacker, &forged, 10)?;
    until("ten more adverts to pass", GENEROUS, || {
        Ok((heard.frames().iter().filter(|frame| is_forged(frame)).count() > 10).then_some(()))
    })?;
    for address in [ip("10.77.0.1"), ip("fd77::1"), vips[0], vips[1]] {
        Probe::start(&cluster.client, address)?.wait_answered(GENEROUS)?;
    }
    let counters = agent.counters(Family::Ipv4, Cluster::VRIDS[0])?;
    ensure!(counters.would_drop > 10 && counters.fenced_traffic == 0, "{counters:?}");

    cluster.lan.cut("n1")?;
    node.run("ip", &["addr", "add", "10.77.0.77/24", "dev", Host::INTERFACE])?;
    agent.start_again()?;
    let status = agent.wait_for_state("web-a", Family::Ipv4, "Fault")?;
    for address in vips {
        ensure!(!node.has_address(address)?, "{address} of the dead run is still there");
    }
    for foreign in ["10.77.0.1", "10.77.0.77", "fd77::1"] {
        ensure!(node.has_address(ip(foreign))?, "{foreign} is gone, which was not the dead run's");
    }
    ensure!(status.counter("web-a", Family::Ipv4, "dropped") >= 10, "not the maps of the dead run: {status:?}");
    agent.process.terminate(GENEROUS)?;
    ensure!(!node.run("ip", &["link", "show", "dev", Host::INTERFACE])?.contains("xdp"), "an XDP program is left");
    let egress = node.run("bpftool", &["net", "show", "dev", Host::INTERFACE])?;
    ensure!(!egress.contains("vipd"), "{egress}");
    ensure!(!std::path::Path::new(&pins).exists(), "`{pins}` is left");
    Ok(())
}

/// Preempt_Mode false: the node of higher priority stays Backup when it returns.
/// Rows: +C20
#[test]
fn without_preemption_the_returning_node_waits() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { interval: "500ms", cluster: "preempt = false", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    cluster.start(1)?;
    cluster.settle_on(0, 1)?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for_state("web-a", Family::Ipv4, "Backup")?;
    // Long enough for three of its Active_Down_Intervals: as many adverts as it takes.
    cluster.agent(0)?.wait_for("ten adverts of n2", |status| {
        status.tally("web-a", Family::Ipv4, "adverts_received").is_some_and(|count| count >= 10)
    })?;
    for family in FAMILIES {
        let status = cluster.agent(0)?.status()?;
        ensure!(status.state("web-a", family) == Some("Backup"), "n1 did not stay Backup: {status:?}");
    }
    cluster.settle_on(0, 1)
}

/// A Backup that the scheduler holds up for much longer than Active_Down_Interval hears afterwards that the Active
/// was there all along, does not take over, and says so. RFC 9568 §2.5.
/// Rows: +E1 -E1
#[test]
fn a_starved_backup_does_not_take_over() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: "500ms", ..ClusterConfig::default() })?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let before = cluster.transitions()?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let complaints = |family: Family| -> Result<usize> {
        let said = cluster.agent(1)?.process.transcript();
        let of = format!("adverts were handled late; no takeover, since they had come in time router=web-a/{family}");
        Ok(said.matches(&of).count())
    };
    let avoided = |status: &Status, family| status.tally("web-a", family, "false_takeovers_avoided").unwrap_or(0);
    // A busy machine may have held it up already.
    let status = cluster.agent(1)?.status()?;
    let said = [complaints(Family::Ipv4)?, complaints(Family::Ipv6)?];
    cluster.agent(1)?.process.stop()?;
    // Active_Down_Interval is 1.7 s; ten adverts are five seconds.
    until("ten adverts of n1", GENEROUS, || {
        let frames = capture.frames();
        let adverts = frames.iter().filter(|frame| is_advert(&frame.bytes, &cluster.nodes[0], Family::Ipv4, 200));
        Ok((adverts.count() >= 10).then_some(()))
    })?;
    cluster.agent(1)?.process.cont()?;
    for (family, said) in FAMILIES.into_iter().zip(said) {
        let before = avoided(&status, family);
        cluster.agent(1)?.wait_for("an avoided takeover", |status| avoided(status, family) == before + 1)?;
        until("one line in the log", GENEROUS, || Ok((complaints(family)? == said + 1).then_some(())))?;
    }
    ensure!(cluster.transitions()? == before, "a state changed");
    cluster.settle_on(0, 0)
}

/// While the ring buffer was full, adverts got lost, but not their stamps: still no takeover.
#[test]
fn a_full_ring_buffer_is_no_silence() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { interval: "50ms", preferred: &[0, 0, 0], ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    cluster.start_all()?;
    cluster.agent(0)?.wait_for("n1 to be Active", |status| status.all_in(&["Active"]))?;
    cluster.agent(1)?.wait_for("n2 to be Backup", |status| status.all_in(&["Backup"]))?;
    let avoided = |status: &Status| FAMILIES.map(|family| status.tally("web-a", family, "false_takeovers_avoided"));
    let earlier = avoided(&cluster.agent(1)?.status()?);
    cluster.agent(1)?.process.stop()?;
    cluster.wait_for_overflow(&lab, 1)?;
    let before = cluster.agent(0)?.status()?.transitions();
    cluster.agent(1)?.process.cont()?;
    let status = cluster.agent(1)?.wait_for("avoided takeovers", |status| {
        avoided(status).iter().zip(&earlier).all(|(now, earlier)| now > earlier)
    })?;
    ensure!(status.all_in(&["Backup"]), "{status:?}");
    ensure!(cluster.agent(0)?.status()?.transitions() == before, "n1 was disturbed");
    Ok(())
}

/// RFC 9568 §6.4.3: an Active that hears a losing advert asserts itself at once and announces its addresses again.
/// Rows: +C19
#[test]
fn a_losing_advert_is_answered() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: "10s", ..ClusterConfig::default() })?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_within(Duration::from_secs(90), "n1 to be Active", |status| status.all_in(&["Active"]))?;
    let [ipv4, _] = Cluster::addresses(0);
    // The announcements of the takeover are over after five seconds.
    cluster.agent(0)?.wait_for("an Active of old standing", |status| {
        status.router("web-a", Family::Ipv4).is_some_and(|router| router["since_ms"].as_u64() > Some(6_000))
    })?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let peer = IpAddr::from([10, 77, 0, 2]);
    let losing = Advert::new(cluster.nodes[1].mac(), peer, Cluster::VRIDS[0], 150, &[ipv4]).frame();
    inject(&cluster.nodes[1], &losing, 1)?;
    // Far sooner than the next regular advert, which is up to 10 s away.
    let limit = Duration::from_secs(3);
    capture.wait_for("an answer", limit, |frame| is_advert(&frame.bytes, &cluster.nodes[0], Family::Ipv4, 200))?;
    capture.wait_for("an announcement", limit, |frame| announces(&frame.bytes, ipv4, &cluster.nodes[0]))?;
    Ok(())
}

/// Unicast adverts, which users of a vSwitch need, elect and fail over like multicast ones.
/// Rows: +B16
#[test]
fn unicast_works_like_multicast() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: "transport = \"unicast\"", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 3, &config)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.lan.cut("n1")?;
    cluster.settle_on(0, 1)?;
    cluster.lan.mend("n1")?;
    cluster.settle_on(0, 0)?;
    for agent in cluster.agents.iter().flatten() {
        let status = agent.status()?;
        for family in FAMILIES {
            let bad = status.counter("web-a", family, "dropped");
            ensure!(bad == 0, "{bad} genuine adverts were dropped: {status:?}");
        }
    }
    let multicast = capture
        .frames()
        .iter()
        .any(|frame| decode::advertisement(&frame.bytes).is_some_and(|advert| advert.destination.is_multicast()));
    ensure!(!multicast, "a multicast advert was sent");
    Ok(())
}

/// How docs/protocol.md has a virtual router change from version 2 to 3: first the Backup, which takes over although the Active
/// lives, then the one that was Active. The client is answered all the while.
#[test]
fn a_virtual_router_changes_its_version_without_an_outage() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { interval: "1s", ..ClusterConfig::default() })?;
    cluster.config = cluster.config.replace(", \"fd77::101/64\"", "");
    let version_3 = cluster.config.clone();
    cluster.config = version_3.replace("vrid = 51", "vrid = 51\nversion = 2\npassword = \"s3cret\"");
    cluster.start(0)?;
    cluster.agent(0)?.wait_for_state("web-a", Family::Ipv4, "Active")?;
    cluster.start(1)?;
    cluster.agent(1)?.wait_for("an advert of n1", |status| {
        status.tally("web-a", Family::Ipv4, "adverts_received").is_some_and(|count| count > 0)
    })?;
    let [vip, _] = Cluster::addresses(0);
    let probe = Probe::start(&cluster.client, vip)?;
    probe.wait_answered(GENEROUS)?;
    let start = Instant::now();

    cluster.config = version_3;
    for agent in cluster.agents.iter().flatten() {
        agent.rewrite(&cluster.config)?;
    }
    let mut n2 = cluster.take(1)?;
    n2.process.terminate(GENEROUS)?;
    n2.start_again()?;
    n2.wait_for_state("web-a", Family::Ipv4, "Active")?;
    cluster.agent(0)?.wait_for("the alarm of the node that was Active", |status| {
        status.0["alarms"].as_array().is_some_and(|alarms| alarms.iter().any(|alarm| alarm["kind"] == "peer_refused"))
    })?;
    let mut n1 = cluster.take(0)?;
    n1.process.terminate(GENEROUS)?;
    ensure!(cluster.lan.holders(vip)? == ["n2"], "{:?}", cluster.lan.holders(vip)?);
    n1.start_again()?;
    n1.wait_for_state("web-a", Family::Ipv4, "Active")?;
    n2.wait_for_state("web-a", Family::Ipv4, "Backup")?;
    probe.wait_answered(GENEROUS)?;
    let outage = probe.outage_since(start);
    // Active_Down_Interval is 3.2 s or 3.4 s.
    ensure!(outage < Duration::from_secs(1), "an outage of {outage:?}");
    Ok(())
}

/// Just before a takeover its way is gone once, and nobody sees that.
#[test]
fn a_takeover_is_rehearsed_unseen() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let (node, instance) = (&cluster.nodes[1], format!("{}-next", cluster.agent(0)?.instance()));
    let mut command = node.namespace().command(vipd()?);
    command.args(["run", "--config", cluster.agent(0)?.file()?, "--node", "n2", "--instance", &instance]);
    let next = Process::spawn(&instance, {
        command.env("VIPD_LOG", "vipd=debug");
        command
    })?;
    next.wait_for_output("state of the group changed group=\"web-a\" from=Initialize to=Backup", GENEROUS)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.lan.cut("n1")?;
    next.wait_for_output("state of the group changed group=\"web-a\" from=Backup to=Active", GENEROUS)?;
    let announced = |frame: &Captured| decode::announcement(&frame.bytes).is_some_and(|told| told.mac == node.mac());
    capture.wait_for("n2 to announce the addresses", GENEROUS, announced)?;
    let said = next.transcript();
    let place = |text: &str| said.find(text).with_context(|| format!("it has not said `{text}`: {said}"));
    ensure!(place("ready for a takeover")? < place("from=Backup to=Active")?, "{said}");
    let frames = capture.frames();
    let advert = |frame: &Captured| decode::advertisement(&frame.bytes).is_some_and(|it| it.source_mac == node.mac());
    let (advert, announcement) = (frames.iter().position(advert), frames.iter().position(announced));
    ensure!(advert.is_some() && advert < announcement, "announced before the first advert");
    Ok(())
}
