//! What a node puts on the wire, byte by byte: the frames that are expected are built by the harness from the RFCs.

use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use harness::{
    Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, decode,
    frame::{Advert, Checksum, checksum},
    ip, lab, until,
};
use vrrp_wire::{Family, MacAddr};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
/// Virtual Router MAC Addresses of VRID 51. RFC 9568 §7.3.
const IPV4_MAC: MacAddr = MacAddr([0, 0, 0x5e, 0, 1, 51]);
const IPV6_MAC: MacAddr = MacAddr([0, 0, 0x5e, 0, 2, 51]);

/// The IP version of a frame of protocol 112, wherever it goes.
fn vrrp_over(frame: &[u8]) -> Option<Family> {
    match (frame.get(12..14)?, frame.get(20)?, frame.get(23)?) {
        ([0x08, 0x00], _, 112) => Some(Family::Ipv4),
        ([0x86, 0xdd], 112, _) => Some(Family::Ipv6),
        _ => None,
    }
}

/// The frames of protocol 112 that came from the host at the other end of a port of the bridge.
fn sent(port: &Capture, family: Family) -> Vec<Captured> {
    let frames = port.frames().into_iter().filter(|frame| !frame.outgoing);
    frames.filter(|frame| vrrp_over(&frame.bytes) == Some(family)).collect()
}

/// Waits until so many adverts of each family have been sent since `since`.
fn wait_for_adverts(port: &Capture, count: usize, since: Instant) -> Result<()> {
    until(&format!("{count} adverts of each family"), GENEROUS, || {
        let new = |family| sent(port, family).iter().filter(|frame| frame.at > since).count();
        Ok(FAMILIES.iter().all(|&family| new(family) >= count).then_some(()))
    })
}

/// A frame without what a sender may choose: the identification of an IPv4 datagram that is never fragmented, with the
/// checksum over it, and IPv6's flow label.
fn without_choices(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    match vrrp_over(&frame) {
        Some(Family::Ipv4) => {
            frame[18..22].fill(0);
            frame[24..26].fill(0);
        }
        Some(Family::Ipv6) => {
            frame[15] &= 0xf0;
            frame[16..18].fill(0);
        }
        None => {}
    }
    frame
}

/// Fails unless a frame is the expected one.
fn check(frame: &[u8], expected: &[u8]) -> Result<()> {
    ensure!(without_choices(frame) == without_choices(expected), "{frame:02x?} instead of {expected:02x?}");
    if vrrp_over(frame) == Some(Family::Ipv4) {
        ensure!(frame[20..22] == [0x40, 0], "not what must not be fragmented: {frame:02x?}");
        ensure!(checksum(&[&frame[14..34]]) == 0, "the IPv4 header's checksum is wrong: {frame:02x?}");
    }
    Ok(())
}

/// An advert that the first node should send.
fn expected(
    node: &Host,
    family: Family,
    (priority, interval_cs): (u8, u16),
    form: Checksum,
    has_virtual_mac: bool,
) -> Vec<u8> {
    let [ipv4, ipv6] = Cluster::addresses(0);
    let (source, addresses, virtual_mac, checksum) = match family {
        Family::Ipv4 => (ip("10.77.0.1"), vec![ipv4], IPV4_MAC, form),
        Family::Ipv6 => {
            (node.link_local().into(), vec![ip("fe80::200:5eff:fe00:233"), ipv6], IPV6_MAC, Checksum::PseudoHeader)
        }
    };
    let mac = if has_virtual_mac { virtual_mac } else { node.mac() };
    let advert = Advert::new(mac, source, Cluster::VRIDS[0], priority, &addresses);
    Advert { interval_cs, checksum, ..advert }.frame()
}

/// From start to end, in each manner of sending: adverts of its own priority, at the end one with the shortest Max Advertise
/// Interval and then one of Priority 0, and no other frame of VRRP, to wherever.
/// Rows: +A1 -A1 +A2 -A2 +A5 -A5 +A6 -A6 +A7 +A8 -A8 +A9 -A9 +A10 -A10 +A11 +A12 -A12 +A13 +A16 -A16 +A19 -A19
#[test]
fn a_node_sends_adverts_as_the_rfc_lays_them_out_and_nothing_else() -> Result<()> {
    let lab = lab!();
    for (cluster, form, has_virtual_mac) in [
        ("", Checksum::PseudoHeader, false),
        ("checksum = \"rfc9568\"", Checksum::MessageOnly, false),
        ("virtual_mac = true", Checksum::PseudoHeader, true),
    ] {
        let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { cluster, ..ClusterConfig::default() })?;
        let port = Capture::start(cluster.lan.namespace(), "n1")?;
        let start = Instant::now();
        cluster.start_all()?;
        wait_for_adverts(&port, 10, start)?;
        cluster.take(0)?.process.terminate(GENEROUS)?;
        let node = &cluster.nodes[0];
        for family in FAMILIES {
            let [regular, hastening, goodbye] =
                [(200, 10), (200, 1), (0, 10)].map(|said| expected(node, family, said, form, has_virtual_mac));
            // The third byte of the message is the priority.
            let priority_at = goodbye.len() - if family == Family::Ipv4 { 10 } else { 38 };
            port.wait_for("a goodbye", GENEROUS, |frame| {
                vrrp_over(&frame.bytes) == Some(family) && frame.bytes.get(priority_at) == Some(&0)
            })?;
            let frames = sent(&port, family);
            let [others @ .., before, last] = &frames[..] else { bail!("only {frames:?} were sent") };
            check(&last.bytes, &goodbye)?;
            check(&before.bytes, &hastening)?;
            others.iter().try_for_each(|frame| check(&frame.bytes, &regular))?;
        }
    }
    Ok(())
}

/// The interface loses the addresses that adverts come from, and Linux makes a virtual one the primary address: the node
/// says nothing rather than speak from that, or from another one of its own, and steps down. It comes back with its
/// addresses, although another one is the interface's primary address now.
/// Rows: +A3 -A3 +A4 -A4
#[test]
fn adverts_come_from_the_nodes_own_address_or_not_at_all() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    let link_local = node.link_local().to_string();
    node.namespace().set("ipv4/conf/vsw0/promote_secondaries", "1")?;
    let [port, other_port] = ["n1", "n2"].map(|name| Capture::start(cluster.lan.namespace(), name));
    let (port, other_port) = (port?, other_port?);
    let start = Instant::now();
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    wait_for_adverts(&port, 5, start)?;

    node.run("ip", &["addr", "add", "10.77.0.7/24", "dev", Host::INTERFACE])?;
    node.run("ip", &["addr", "del", "10.77.0.1/24", "dev", Host::INTERFACE])?;
    node.run("ip", &["-6", "addr", "del", &format!("{link_local}/64"), "dev", Host::INTERFACE])?;
    cluster.agent(0)?.wait_for("the fault of both", |status| status.all_in(&["Fault"]))?;
    let silent_from = Instant::now();
    cluster.settle_on(0, 1)?;
    wait_for_adverts(&other_port, 10, silent_from)?;
    let silent_until = Instant::now();

    node.run("ip", &["addr", "add", "10.77.0.1/24", "dev", Host::INTERFACE])?;
    node.run("ip", &["-6", "addr", "add", &format!("{link_local}/64"), "dev", Host::INTERFACE, "nodad"])?;
    cluster.settle_on(0, 0)?;
    wait_for_adverts(&port, 5, silent_until)?;
    let primary = node.run("ip", &["-4", "addr", "show", "dev", Host::INTERFACE, "primary"])?;
    ensure!(primary.contains("10.77.0.7/24") && !primary.contains("10.77.0.1/24"), "{primary}");
    for (family, own) in [(Family::Ipv4, ip("10.77.0.1")), (Family::Ipv6, node.link_local().into())] {
        for frame in sent(&port, family) {
            let advert = decode::advertisement(&frame.bytes).context("no advert")?;
            ensure!(advert.source == own, "an advert from {}", advert.source);
            ensure!(frame.at < silent_from || silent_until < frame.at, "an advert without an address: {advert:?}");
        }
    }
    Ok(())
}
