//! Claims to a virtual address by those who speak no VRRP at all.

use std::net::{Ipv4Addr, Ipv6Addr};

use harness::{
    Cluster, Injector, Status,
    neighbor::{self, ARP_REPLY, ARP_REQUEST, BROADCAST, Station},
};

use super::*;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 101);
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x101);

fn is_claimed(status: &Status, address: &str, by: &str) -> bool {
    let alarms = status.0["alarms"].as_array().map(Vec::as_slice).unwrap_or_default();
    alarms.iter().any(|alarm| {
        let what = alarm["what"].as_str().unwrap_or_default();
        alarm["kind"] == "address_claimed" && alarm["router"] == address && what.contains(by)
    })
}

/// Sends claims to everybody: the Active stops them, a Backup counts them, both name the station. `harmless` are frames of
/// the same station that come through.
fn claims(siege: &Siege, family: Family, vip: &str, claims: &[Vec<u8>], harmless: &[Vec<u8>]) -> Result<()> {
    let cluster = &siege.cluster;
    let attacker = &cluster.attacker;
    let heard = [0, 1].map(|node| Capture::start(cluster.nodes[node].namespace(), Host::INTERFACE));
    let [by_active, by_backup] = heard;
    let (by_active, by_backup) = (by_active?, by_backup?);
    let injector = Injector::new(attacker)?;
    for frame in claims.iter().chain(harmless) {
        injector.flood(frame, 20)?;
    }
    let expected = 20 * u64::try_from(claims.len())?;
    let seen =
        |capture: &Capture, wanted: &Vec<u8>| capture.frames().iter().filter(|frame| frame.bytes == *wanted).count();
    for node in [0, 1] {
        siege.counted(node, family, "claims", expected)?;
        let by = attacker.mac().to_string();
        cluster.agent(node)?.wait_for("the alarm", |status| is_claimed(status, vip, &by))?;
    }
    for (capture, passing) in [(&by_active, 0), (&by_backup, 20)] {
        for frame in harmless {
            until("harmless frames", GENEROUS, || Ok((seen(capture, frame) == 20).then_some(())))?;
        }
        for frame in claims {
            let passed = seen(capture, frame);
            ensure!(passed == passing, "{passed} of 20 claims came through, not {passing}: {frame:x?}");
        }
    }
    Ok(())
}

/// Those who ask are told of somebody else; the Active's own host does not believe it.
#[test]
fn row_11_arp_for_a_virtual_address() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, &ClusterConfig::default())?;
    let capture = Capture::start(siege.cluster.lan.namespace(), "n1")?;
    // The announcements of the takeover are over after five seconds.
    siege.cluster.agent(0)?.wait_for("an Active of old standing", |status| {
        status.router(ROUTER, Family::Ipv4).is_some_and(|router| router["since_ms"].as_u64() > Some(6_000))
    })?;
    let start = Instant::now();
    let liar = Station { mac: siege.cluster.attacker.mac(), address: VIP.into() };
    let honest = Station { address: [10, 77, 0, 66].into(), ..liar };
    let false_claims = [
        neighbor::arp(ARP_REQUEST, liar, VIP, BROADCAST),
        neighbor::arp(ARP_REPLY, liar, VIP, BROADCAST),
        neighbor::arp(ARP_REQUEST, liar, Ipv4Addr::new(10, 77, 0, 50), BROADCAST),
    ];
    let harmless = [neighbor::arp(ARP_REQUEST, honest, Ipv4Addr::new(10, 77, 0, 1), BROADCAST)];
    claims(&siege, Family::Ipv4, "10.77.0.101", &false_claims, &harmless)?;
    let n1 = siege.node(0).mac();
    let told = |frame: &Captured| {
        frame.at > start && decode::announcement(&frame.bytes).is_some_and(|told| told.mac == n1 && told.address == VIP)
    };
    let defended = capture.frames().into_iter().filter(told).count();
    ensure!(defended <= 2, "60 claims were answered by {defended} announcements");
    siege.was_in_vain()
}

/// Duplicate Address Detection and advertisements of a stranger do not make the virtual address unusable.
#[test]
fn row_12_neighbor_discovery_for_a_virtual_address() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, &ClusterConfig::default())?;
    let probes = siege.cluster.probe(0)?;
    let mac = siege.cluster.attacker.mac();
    let liar = Station { mac, address: VIP6.into() };
    let own = Station { mac, address: siege.cluster.attacker.link_local().into() };
    let nobody = Station { mac, address: Ipv6Addr::UNSPECIFIED.into() };
    let false_claims = [
        neighbor::advertisement(own, VIP6),
        neighbor::solicitation(liar, Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x50), None),
    ];
    let harmless = [neighbor::advertisement(own, siege.cluster.attacker.link_local())];
    claims(&siege, Family::Ipv6, "fd77::101", &false_claims, &harmless)?;
    // Whoever looks for a duplicate claims nothing yet, and is told that there is one.
    let capture = Capture::start(siege.cluster.lan.namespace(), "n1")?;
    harness::inject(&siege.cluster.attacker, &neighbor::solicitation(nobody, VIP6, None), 20)?;
    let is_answer = |frame: &Captured| {
        !frame.outgoing && decode::announcement(&frame.bytes).is_some_and(|told| told.address == VIP6)
    };
    until("twenty answers", GENEROUS, || {
        Ok((capture.frames().iter().filter(|frame| is_answer(frame)).count() >= 20).then_some(()))
    })?;
    let addresses = siege.node(0).run("ip", &["-6", "addr", "show", "dev", Host::INTERFACE])?;
    ensure!(addresses.contains("fd77::101") && !addresses.contains("dadfailed"), "{addresses}");
    probes[1].wait_answered(GENEROUS)?;
    ensure!(
        siege.cluster.client.neighbour(Cluster::addresses(0)[1])? == Some(siege.node(0).mac()),
        "the client was misled"
    );
    siege.was_in_vain()
}
