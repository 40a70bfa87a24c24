//! What other implementations do differently, and what becomes of their adverts.

use std::{net::Ipv6Addr, time::Duration};

use anyhow::{Result, ensure};
use harness::{
    Capture, Cluster, ClusterConfig, FrrRouter, GENEROUS, Injector, KeepalivedRouter, Lab,
    decode::advertisement,
    frame::{Advert, Checksum},
    ip, lab, until,
};
use vrrp_wire::Family;

const ROUTER: &str = Cluster::ROUTERS[0];
const VRID: u8 = Cluster::VRIDS[0];
/// Long enough for a Backup to be seen as such before it takes over again.
const CONFIG: ClusterConfig<'_> = ClusterConfig { interval: "500ms", ..ClusterConfig::DEFAULT };

/// Two nodes, of which the first is Active and the other one has no agent: the test speaks for it.
fn alone(lab: &Lab, config: &ClusterConfig<'_>) -> Result<(Cluster, Injector)> {
    let mut cluster = Cluster::new(lab, 2, config)?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for_state(ROUTER, Family::Ipv4, "Active")?;
    let injector = Injector::new(&cluster.nodes[1])?;
    Ok((cluster, injector))
}

/// An advert of the second node as it should be.
fn advert(cluster: &Cluster, priority: u8) -> Advert {
    let [address, _] = Cluster::addresses(0);
    let advert = Advert::new(cluster.nodes[1].mac(), ip("10.77.0.2"), VRID, priority, &[address]);
    Advert { interval_cs: 50, ..advert }
}

/// Waits until the first node has counted `count` adverts under `name`.
fn tallied(cluster: &Cluster, name: &str, count: u64) -> Result<()> {
    cluster
        .agent(0)?
        .wait_for(&format!("{count} {name}"), |status| status.tally(ROUTER, Family::Ipv4, name) == Some(count))
        .map(drop)
}

/// keepalived and FRR have the pseudo-header in the checksum, RFC 9568 and holo have not.
/// Rows: +Q1 -Q1
#[test]
fn either_checksum_is_accepted_and_counted() -> Result<()> {
    let lab = lab!();
    let (cluster, injector) = alone(&lab, &CONFIG)?;
    let right = advert(&cluster, 1);
    injector.send(&right.frame())?;
    tallied(&cluster, "checksums_with_pseudo_header", 1)?;
    injector.send(&Advert { checksum: Checksum::MessageOnly, ..right.clone() }.frame())?;
    tallied(&cluster, "checksums_of_message_only", 1)?;
    // The pseudo-header of a sender that is not the one.
    let other = Advert { source: ip("10.77.0.3"), ..right.clone() }.message();
    let wrong = u16::from_be_bytes([other[6], other[7]]);
    injector.send(&Advert { checksum: Checksum::Is(wrong), ..right }.frame())?;
    tallied(&cluster, "adverts_refused", 1)?;
    for name in ["checksums_with_pseudo_header", "checksums_of_message_only"] {
        tallied(&cluster, name, 1)?;
    }
    Ok(())
}

/// The sum was worked out by hand over 31 33 c8 01 00 32 00 00 0a 4d 00 65.
/// Rows: +Q1
#[test]
fn the_checksum_that_is_sent_can_be_chosen() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: "checksum = \"rfc9568\"", ..CONFIG };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    let capture = Capture::start(cluster.lan.namespace(), "n1")?;
    cluster.start(0)?;
    let frame = capture.wait_for("an advert", GENEROUS, |frame| {
        advertisement(&frame.bytes).is_some_and(|advert| advert.source == ip("10.77.0.1"))
    })?;
    let expected = [0x31, 0x33, 0xc8, 0x01, 0x00, 0x32, 0xfb, 0xe6, 0x0a, 0x4d, 0x00, 0x65];
    ensure!(frame.bytes[34..] == expected, "{:02x?}", &frame.bytes[34..]);
    Ok(())
}

/// keepalived 2.3.2 and later bear with two bytes of padding inside the datagram, where it is short. Padding behind the
/// datagram is Ethernet's and means nothing.
/// Rows: +Q2 -Q2
#[test]
fn padding_inside_the_datagram_is_too_much() -> Result<()> {
    let lab = lab!();
    let (cluster, injector) = alone(&lab, &CONFIG)?;
    let padded = Advert { trailer: vec![0, 0], ..advert(&cluster, 254) };
    injector.send(&padded.frame())?;
    let agent = cluster.agent(0)?;
    let status = agent.wait_for("it to be counted", |status| status.counter(ROUTER, Family::Ipv4, "length") == 1)?;
    ensure!(status.state(ROUTER, Family::Ipv4) == Some("Active"), "{status:?}");
    ensure!(status.tally(ROUTER, Family::Ipv4, "adverts_received") == Some(0), "{status:?}");
    let good = [advert(&cluster, 254).frame(), vec![0, 0]].concat();
    injector.send(&good)?;
    agent.wait_for_state(ROUTER, Family::Ipv4, "Backup").map(drop)
}

/// What keepalived 2.2.7 discards, each with what it says of it, though the priority is greater than its own.
#[test]
fn keepalived_discards_other_lists_checksums_and_padding() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 2, &CONFIG)?;
    let keepalived = cluster.nodes[0].keepalived(&[KeepalivedRouter {
        vrid: VRID,
        family: Family::Ipv4,
        version: 3,
        password: None,
        priority: 100,
        interval: Duration::from_millis(500),
        addresses: &["10.77.0.101/24"],
        preempt: true,
        unicast: None,
    }])?;
    keepalived.wait_for_state(VRID, Family::Ipv4, "Active")?;
    let injector = Injector::new(&cluster.nodes[1])?;
    let good = advert(&cluster, 254);
    for (bad, complaint) in [
        (Advert { trailer: vec![0, 0], ..good.clone() }, "packet too long"),
        (Advert { checksum: Checksum::MessageOnly, ..good.clone() }, "Invalid VRRPv3 checksum"),
        (
            Advert { addresses: vec![good.addresses[0], ip("10.77.0.111")], ..good.clone() },
            "unexpected ip number count 2, expected 1",
        ),
    ] {
        injector.send(&bad.frame())?;
        keepalived.process.wait_for_output(complaint, GENEROUS)?;
        ensure!(keepalived.state(VRID, Family::Ipv4) == Some("Active"), "{complaint}");
    }
    injector.send(&[good.frame(), vec![0, 0]].concat())?;
    keepalived.wait_for_state(VRID, Family::Ipv4, "Backup")
}

/// What FRR 8.4.4 discards: padding because its checksum is over the whole datagram. Another list of addresses is not
/// among it. It prints checksums with their bytes exchanged.
#[test]
fn frr_discards_other_checksums_and_padding() -> Result<()> {
    let lab = lab!();
    let cluster = Cluster::new(&lab, 2, &CONFIG)?;
    let frr = cluster.nodes[0].frr(&[FrrRouter {
        vrid: VRID,
        family: Family::Ipv4,
        version: 3,
        priority: 100,
        interval: Duration::from_millis(500),
        addresses: &["10.77.0.101/24"],
        preempt: true,
        link_local: Ipv6Addr::LOCALHOST,
    }])?;
    let state = || frr.states().map(|states| states.get(&(VRID, Family::Ipv4)).copied());
    let wait_for =
        |wanted: &str| until(&format!("FRR to be {wanted}"), GENEROUS, || Ok((state()? == Some(wanted)).then_some(())));
    wait_for("Active")?;
    let injector = Injector::new(&cluster.nodes[1])?;
    let good = advert(&cluster, 254);
    for (bad, complaint) in [
        (Advert { checksum: Checksum::MessageOnly, ..good.clone() }, "Bad VRRP checksum e6c5"),
        (Advert { trailer: vec![0, 0], ..good.clone() }, "Bad VRRP checksum 8db"),
    ] {
        injector.send(&bad.frame())?;
        frr.process.wait_for_output(complaint, GENEROUS)?;
        ensure!(state()? == Some("Active"), "{complaint}");
    }
    let other = Advert { addresses: vec![good.addresses[0], ip("10.77.0.111")], ..good };
    injector.send(&other.frame())?;
    frr.process.wait_for_output("Datagram has 2 addresses, but this VRRP instance has 1", GENEROUS)?;
    wait_for("Backup")
}

/// holo discards an advert of another interval, and takes at most 20 addresses; what only differs is no reason for two
/// Actives. What contradicts itself is.
/// Rows: +Q3 -Q3
#[test]
fn another_list_and_another_interval_still_count() -> Result<()> {
    let lab = lab!();
    let (cluster, injector) = alone(&lab, &CONFIG)?;
    let agent = cluster.agent(0)?;
    let own = Cluster::addresses(0)[0];
    let lists = [
        vec![own, ip("10.77.0.111")],
        vec![ip("10.77.0.112")],
        (1..=21).map(|n| ip(&format!("10.88.0.{n}"))).collect(),
    ];
    for (addresses, turn) in lists.into_iter().zip(1..) {
        let lie = Advert { count: Some(9), addresses: addresses.clone(), ..advert(&cluster, 254) };
        injector.send(&lie.frame())?;
        let counted = |status: &harness::Status| status.counter(ROUTER, Family::Ipv4, "length") == turn;
        let status = agent.wait_for("the lie to be counted", counted)?;
        ensure!(status.state(ROUTER, Family::Ipv4) == Some("Active"), "{status:?}");
        injector.send(&Advert { addresses, interval_cs: 60, ..advert(&cluster, 254) }.frame())?;
        agent.wait_for_state(ROUTER, Family::Ipv4, "Backup")?;
        tallied(&cluster, "address_list_differs", turn)?;
        agent.wait_for_state(ROUTER, Family::Ipv4, "Active")?;
    }
    Ok(())
}
