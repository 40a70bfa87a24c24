//! `virtual_mac = true` and `accept = false`: what the LAN sees of a virtual router that has a MAC address of its own, what
//! Linux has to be told for it, and what is left of it afterwards.

use std::{
    net::{IpAddr, Ipv6Addr, UdpSocket},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use harness::{
    Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab, Probe, decode, lab,
    neighbor::{self, Station},
    until,
};
use vrrp_wire::{Family, MacAddr};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
/// Of VRID 51. RFC 9568 §7.3.
const IPV4_MAC: MacAddr = MacAddr([0, 0, 0x5e, 0, 1, 51]);
const IPV6_MAC: MacAddr = MacAddr([0, 0, 0x5e, 0, 2, 51]);
/// Link-layer address options of Neighbor Discovery: of the source in a solicitation, of the target in an advertisement.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

const VIRTUAL_MAC: ClusterConfig<'_> = ClusterConfig { cluster: "virtual_mac = true", ..ClusterConfig::DEFAULT };

/// Gratuitous ARP for 10.77.0.101: operation 1 as RFC 9568 §8.1.2 has it, and 2 at the same place. RFC 826.
#[rustfmt::skip]
const GRATUITOUS_ARP: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x5e, 0, 1, 51, 0x08, 0x06,
    0, 1, 8, 0, 6, 4, 0, 1,
    0, 0, 0x5e, 0, 1, 51, 10, 77, 0, 101,
    0, 0, 0x5e, 0, 1, 51, 10, 77, 0, 101,
];
const OPERATION_AT: usize = 21;
/// The unsolicited Neighbor Advertisement for fd77::101: Router and Override, to ff02::1. RFC 9568 §6.4.1, RFC 4861 §4.4.
/// The checksum was worked out with an independent implementation.
#[rustfmt::skip]
const NEIGHBOR_ADVERTISEMENT: [u8; 86] = [
    0x33, 0x33, 0, 0, 0, 1, 0, 0, 0x5e, 0, 2, 51, 0x86, 0xdd,
    0x60, 0, 0, 0, 0, 32, 58, 255,
    0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
    0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    136, 0, 0x79, 0x7a, 0xa0, 0, 0, 0,
    0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
    2, 1, 0, 0, 0x5e, 0, 2, 51,
];

fn virtual_mac(address: IpAddr) -> MacAddr {
    if address.is_ipv4() { IPV4_MAC } else { IPV6_MAC }
}

/// What a killed agent has left stays, for want of a supervisor.
const UNSUPERVISED: ClusterConfig<'_> = ClusterConfig { supervisor: false, ..VIRTUAL_MAC };

/// Two nodes, n1 Active, the client's probes answered.
fn running(lab: &Lab, config: &ClusterConfig<'_>) -> Result<(Cluster, [Probe; 2])> {
    let mut cluster = Cluster::new(lab, 2, config)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let probes = cluster.probe(0)?;
    Ok((cluster, probes))
}

/// The MAC address that a frame of ARP or Neighbor Discovery says `address` is at.
fn says(frame: &[u8], address: IpAddr) -> Option<MacAddr> {
    let mac = |at: usize| frame.get(at..at + 6)?.first_chunk().map(|&mac| MacAddr(mac));
    match (address, frame.get(12..14)?) {
        (IpAddr::V4(address), [0x08, 0x06]) if frame.get(28..32) == Some(&address.octets()[..]) => mac(22),
        (IpAddr::V6(address), [0x86, 0xdd]) if frame.get(20) == Some(&58) => {
            let octets = Some(&address.octets()[..]);
            let is_about_it = match *frame.get(54)? {
                SOLICITATION => frame.get(22..38) == octets,
                ADVERTISEMENT => frame.get(62..78) == octets,
                _ => false,
            };
            is_about_it.then(|| mac(80))?
        }
        _ => None,
    }
}

/// The interfaces of a node that vipd has made.
fn interfaces(host: &Host) -> Result<Vec<String>> {
    let text = host.run("ip", &["-brief", "link", "show", "type", "macvlan"])?;
    Ok(text.lines().filter_map(|line| line.split('@').next()).map(str::to_owned).collect())
}

fn arp_settings(host: &Host) -> Result<[String; 2]> {
    let read = |key: &str| host.run("cat", &[&format!("/proc/sys/net/ipv4/conf/vsw0/{key}")]);
    Ok([read("arp_ignore")?.trim().to_owned(), read("arp_announce")?.trim().to_owned()])
}

/// Adverts, announcements and answers come from the Virtual Router MAC Address; nobody ever says that a virtual address is
/// at the interface's own. The node's own address stays at its own.
/// Rows: +A16 +C12 -C12 +D1 -D1 +D2 -D2 +D5 -D5 +D6 -D6
#[test]
fn virtual_addresses_are_at_the_virtual_router_mac_address() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &VIRTUAL_MAC)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let _probes = cluster.probe(0)?;
    for (family, address) in FAMILIES.into_iter().zip(Cluster::addresses(0)) {
        let mac = virtual_mac(address);
        let is_advert = |frame: &[u8]| {
            decode::advertisement(frame)
                .is_some_and(|advert| advert.source_mac == mac && advert.source.is_ipv6() == (family == Family::Ipv6))
        };
        capture.wait_for("an advert from the virtual MAC address", GENEROUS, |frame| is_advert(&frame.bytes))?;
        until("the client to know the address", GENEROUS, || {
            Ok((cluster.client.neighbour(address)? == Some(mac)).then_some(()))
        })?;
    }
    // The node itself asks its neighbours; it does so in its own name.
    for target in ["10.77.0.50", "fd77::50"] {
        cluster.nodes[0].run("ip", &["neigh", "flush", "to", target])?;
    }
    let own = Probe::start(&cluster.client, [10, 77, 0, 1].into())?;
    own.wait_answered(GENEROUS)?;
    ensure!(cluster.client.neighbour([10, 77, 0, 1].into())? == Some(cluster.nodes[0].mac()));
    let reply = {
        let mut frame = GRATUITOUS_ARP;
        frame[OPERATION_AT] = 2;
        frame
    };
    let announcements = [&GRATUITOUS_ARP[..], &reply, &NEIGHBOR_ADVERTISEMENT];
    for announcement in announcements {
        capture.wait_for("an announcement", GENEROUS, |frame| frame.bytes == announcement)?;
    }
    asks_in_the_name_of_a_virtual_address(&cluster.nodes[0], &capture)?;
    for frame in capture.frames() {
        let told = decode::announcement(&frame.bytes).filter(|told| Cluster::addresses(0).contains(&told.address));
        ensure!(
            told.is_none() || announcements.contains(&&frame.bytes[..]),
            "announced otherwise: {:02x?}",
            frame.bytes
        );
        for address in Cluster::addresses(0) {
            let said = says(&frame.bytes, address);
            ensure!(said.is_none_or(|mac| mac == virtual_mac(address)), "{said:?} for {address}: {:02x?}", frame.bytes);
        }
    }
    Ok(())
}

/// Lets a node look for neighbours as the owner of a virtual address, once by the interface that has it and once by the one
/// below, where the question comes in the node's own name.
fn asks_in_the_name_of_a_virtual_address(node: &Host, capture: &Capture) -> Result<()> {
    let on_it = interfaces(node)?.into_iter().find(|name| name.starts_with("vr6")).context("no interface for IPv6")?;
    node.run("ip", &["-6", "route", "add", "fd77::51/128", "dev", &on_it])?;
    for (neighbour, asker, source_link_layer_address) in [
        ("fd77::51", "fd77::101", [1, 1, 0, 0, 0x5e, 0, 2, 51]),
        ("fd77::52", "fe80::ff:fe00:1", [1, 1, 2, 0, 0, 0, 0, 1]),
    ] {
        node.namespace().enter(|| UdpSocket::bind("[fd77::101]:0")?.send_to(&[0], (neighbour, 9)))??;
        let (neighbour, asker): (Ipv6Addr, Ipv6Addr) = (neighbour.parse()?, asker.parse()?);
        let is_question =
            |frame: &[u8]| frame.get(54) == Some(&SOLICITATION) && frame.get(62..78) == Some(&neighbour.octets());
        let frame = capture.wait_for("a question", GENEROUS, |frame| is_question(&frame.bytes))?;
        let (from, option) = (&frame.bytes[22..38], &frame.bytes[78..]);
        ensure!(from == asker.octets() && option == source_link_layer_address, "{:02x?}", frame.bytes);
        ensure!(frame.bytes[6..12] == source_link_layer_address[2..], "{:02x?}", frame.bytes);
    }
    Ok(())
}

/// The interface with the Virtual Router MAC Address cannot be made, so that the addresses have no place: neither they nor
/// anything else is announced, until it can. RFC 9568 §8.1.2, §8.2.2.
/// Rows: +D4 -D4
#[test]
fn nothing_is_announced_before_the_addresses_are_there() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &VIRTUAL_MAC)?;
    let node = cluster.nodes[0].clone();
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    // An interface in passthru mode suffers no other beside it.
    let passthru = ["link", "add", "link", Host::INTERFACE, "name", "alone", "type", "macvlan", "mode", "passthru"];
    node.run("ip", &passthru)?;
    cluster.start(0)?;
    for family in FAMILIES {
        let status = cluster.agent(0)?.wait_for_state("web-a", family, "Fault")?;
        let reason = status.router("web-a", family).and_then(|router| router["reason"].as_str()).unwrap_or_default();
        ensure!(reason.contains("failed to make interface"), "{status:?}");
    }
    let said: Vec<_> = capture.frames();
    for address in Cluster::addresses(0) {
        ensure!(said.iter().all(|frame| says(&frame.bytes, address).is_none()), "{address} was announced");
    }
    node.run("ip", &["link", "del", "alone"])?;
    let mended = Instant::now();
    for (address, announcement) in Cluster::addresses(0).into_iter().zip([&GRATUITOUS_ARP[..], &NEIGHBOR_ADVERTISEMENT])
    {
        let first = capture.wait_for("an announcement", GENEROUS, |frame| says(&frame.bytes, address).is_some())?;
        ensure!(first.at > mended && first.bytes == announcement, "{:02x?}", first.bytes);
        ensure!(node.has_address(address)?, "{address} is announced and not there");
    }
    Ok(())
}

/// Neighbor Advertisements that the kernel sends have the Router flag, though the host forwards nothing.
/// Rows: +C12 +A17 -A17
#[test]
fn answers_are_those_of_a_router() -> Result<()> {
    let lab = lab!();
    let (cluster, _probes) = running(&lab, &VIRTUAL_MAC)?;
    let IpAddr::V6(address) = Cluster::addresses(0)[1] else { unreachable!("the second is of IPv6") };
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    let client = Station { mac: cluster.client.mac(), address: cluster.client.link_local().into() };
    Injector::new(&cluster.client)?.send(&neighbor::solicitation(client, address, None))?;
    let answer = capture.wait_for("an answer", GENEROUS, |frame| {
        says(&frame.bytes, address.into()).is_some() && frame.bytes[54] == ADVERTISEMENT && frame.bytes[58] & 0x40 != 0
    })?;
    ensure!(answer.bytes[58] & 0x80 != 0, "no Router flag: {:02x?}", answer.bytes);
    let said = cluster.agent(0)?.process.transcript();
    ensure!(!said.contains("without the Router flag"), "a warning of what is not so: {said}");
    let made = interfaces(&cluster.nodes[0])?;
    ensure!(made.len() == 2, "{made:?}");
    for interface in made {
        let text = cluster.nodes[0].run("ip", &["-6", "addr", "show", "dev", &interface])?;
        // The kernel makes none of it, neither link-local nor from prefixes that routers advertise. RFC 9568 §7.4.
        ensure!(!text.contains("kernel_ll") && !text.contains("dynamic"), "{text}");
        let link = cluster.nodes[0].run("ip", &["-details", "link", "show", "dev", &interface])?;
        let is_for_ipv4 = link.contains(&IPV4_MAC.to_string());
        ensure!(if is_for_ipv4 { text.is_empty() } else { link.contains("addrgenmode none") }, "{link}{text}");
    }
    Ok(())
}

/// The link-local address too, whose answers have no other way out than that interface.
/// Rows: +C14
#[test]
fn the_link_local_address_answers() -> Result<()> {
    let lab = lab!();
    let (cluster, _probes) = running(&lab, &VIRTUAL_MAC)?;
    // Of 00-00-5E-00-02-33.
    let address = "fe80::200:5eff:fe00:233".parse()?;
    Probe::start(&cluster.client, address)?.wait_answered(GENEROUS)?;
    ensure!(cluster.client.neighbour(address)? == Some(IPV6_MAC));
    Ok(())
}

/// The next node takes over with the same MAC address: nobody's neighbour cache has to change. What the Backup gets for it
/// it discards, and what was made and changed on a node is gone when it is no longer Active.
/// Rows: +C5 -C5 +D15
#[test]
fn the_mac_address_moves() -> Result<()> {
    let lab = lab!();
    let (mut cluster, probes) = running(&lab, &VIRTUAL_MAC)?;
    ensure!(arp_settings(&cluster.nodes[0])? == ["1", "2"], "{:?}", arp_settings(&cluster.nodes[0])?);
    for (probe, address) in probes.iter().zip(Cluster::addresses(0)) {
        ensure!(cluster.client.neighbour(address)? == Some(virtual_mac(address)));
        probe.wait_answered(GENEROUS)?;
    }
    backup_is_deaf(&cluster)?;
    let start = Instant::now();
    let mut n1 = cluster.take(0)?;
    n1.process.terminate(GENEROUS)?;
    cluster.settle_on(0, 1)?;
    for (probe, address) in probes.iter().zip(Cluster::addresses(0)) {
        probe.wait_answered(GENEROUS)?;
        ensure!(cluster.client.neighbour(address)? == Some(virtual_mac(address)));
        eprintln!("{address}: an outage of {:?}", probe.outage_since(start));
    }
    ensure!(interfaces(&cluster.nodes[0])?.is_empty(), "{:?}", interfaces(&cluster.nodes[0])?);
    ensure!(arp_settings(&cluster.nodes[0])? == ["0", "0"], "{:?}", arp_settings(&cluster.nodes[0])?);
    Ok(())
}

/// Echo requests to the Backup's port for a virtual address, at the Virtual Router MAC Address: no answer comes from there.
fn backup_is_deaf(cluster: &Cluster) -> Result<()> {
    ensure!(interfaces(&cluster.nodes[1])?.is_empty(), "a Backup has the MAC address");
    let capture = Capture::start(cluster.lan.namespace(), "n2")?;
    let injector = Injector::on(cluster.lan.namespace(), "n2")?;
    for address in Cluster::addresses(0) {
        let client: IpAddr = if address.is_ipv4() { [10, 77, 0, 50].into() } else { "fd77::50".parse()? };
        let client = Station { mac: cluster.client.mac(), address: client };
        let own: IpAddr = if address.is_ipv4() { [10, 77, 0, 2].into() } else { "fd77::2".parse()? };
        injector.send(&neighbor::echo(client, Station { mac: virtual_mac(address), address }, 7, 7))?;
        // The node is there: it answers for its own address.
        injector.send(&neighbor::echo(client, Station { mac: cluster.nodes[1].mac(), address: own }, 8, 8))?;
        // What goes out of the port is what the Active Router still announces.
        let answers =
            |frame: &Captured, address| !frame.outgoing && neighbor::answers_for(&frame.bytes) == Some(address);
        capture.wait_for("an answer for the node itself", GENEROUS, |frame| answers(frame, own))?;
        ensure!(!capture.frames().iter().any(|frame| answers(frame, address)), "{address} is answered for by a Backup");
    }
    Ok(())
}

/// Strict reverse path filtering would drop what comes to an interface without routes.
#[test]
fn strict_reverse_path_filtering_is_borne() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &VIRTUAL_MAC)?;
    for interface in ["all", "default", "vsw0"] {
        cluster.nodes[0].namespace().set(&format!("ipv4/conf/{interface}/rp_filter"), "1")?;
    }
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    cluster.probe(0).map(drop)
}

/// A killed run leaves its interfaces and settings; the next one takes them over, and puts back what was there first.
/// Rows: +D15
#[test]
fn what_a_killed_run_has_left_is_cleaned_up() -> Result<()> {
    let lab = lab!();
    let (mut cluster, _probes) = running(&lab, &UNSUPERVISED)?;
    cluster.take(0)?.process.kill()?;
    ensure!(interfaces(&cluster.nodes[0])?.len() == 2 && arp_settings(&cluster.nodes[0])? == ["1", "2"]);
    for family in FAMILIES {
        cluster.agent(1)?.wait_for_state("web-a", family, "Active")?;
    }
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    let mut n1 = cluster.take(0)?;
    n1.process.terminate(GENEROUS)?;
    ensure!(interfaces(&cluster.nodes[0])?.is_empty());
    ensure!(arp_settings(&cluster.nodes[0])? == ["0", "0"], "{:?}", arp_settings(&cluster.nodes[0])?);
    Ok(())
}

/// `vipd detach` leaves nothing that would answer for the addresses from the interface's own MAC address.
#[test]
fn detach_removes_the_interfaces_of_a_killed_run() -> Result<()> {
    let lab = lab!();
    let (mut cluster, _probes) = running(&lab, &UNSUPERVISED)?;
    let mut n1 = cluster.take(0)?;
    n1.process.kill()?;
    ensure!(interfaces(&cluster.nodes[0])?.len() == 2 && arp_settings(&cluster.nodes[0])? == ["1", "2"]);
    n1.run(&["detach"])?;
    ensure!(interfaces(&cluster.nodes[0])?.is_empty(), "{:?}", interfaces(&cluster.nodes[0])?);
    ensure!(arp_settings(&cluster.nodes[0])? == ["0", "0"], "{:?}", arp_settings(&cluster.nodes[0])?);
    Ok(())
}

/// An interface of somebody else that has the name of ours is neither used nor removed; the router says why it cannot serve.
#[test]
fn an_interface_of_others_is_left_alone() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &VIRTUAL_MAC)?;
    let node = cluster.nodes[0].clone();
    let name = format!("vr4.51.{}", node.ifindex()?);
    node.run("ip", &["link", "add", &name, "type", "bridge"])?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    let status = agent.wait_for_state("web-a", Family::Ipv4, "Fault")?;
    let why = status.router("web-a", Family::Ipv4).context("no virtual router")?["reason"].to_string();
    ensure!(why.contains(&name) && why.contains("rename or remove it"), "{why}");
    // It moves together with the other one.
    agent.wait_for_state("web-a", Family::Ipv6, "Fault")?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    node.run("ip", &["link", "show", "dev", &name]).map(drop)
}

/// keepalived calls its interface `vrrp.` and the VRID, which may be the index of ours.
#[test]
fn an_interface_of_keepalived_is_no_leftover() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &VIRTUAL_MAC)?;
    let node = cluster.nodes[0].clone();
    let name = format!("vrrp.{}", node.ifindex()?);
    let mac = "00:00:5e:00:01:07";
    node.run("ip", &["link", "add", &name, "link", Host::INTERFACE, "address", mac, "type", "macvlan"])?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    agent.wait_for_state("web-a", Family::Ipv4, "Active")?;
    ensure!(interfaces(&node)?.contains(&name), "{:?}", interfaces(&node)?);
    cluster.take(0)?.process.terminate(GENEROUS)?;
    node.run("ip", &["link", "show", "dev", &name]).map(drop)
}

/// Somebody removes the interface: it is made again, since this node is Active.
#[test]
fn a_removed_interface_is_made_again() -> Result<()> {
    let lab = lab!();
    let (cluster, probes) = running(&lab, &VIRTUAL_MAC)?;
    for interface in interfaces(&cluster.nodes[0])? {
        cluster.nodes[0].run("ip", &["link", "del", &interface])?;
    }
    until("the interfaces to be made again", GENEROUS, || {
        Ok((interfaces(&cluster.nodes[0])?.len() == 2).then_some(()))
    })?;
    cluster.settle_on(0, 0)?;
    probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))
}

/// Accept_Mode false: ARP and Neighbor Discovery are answered, and nothing else is.
/// Rows: +C14 -C14
#[test]
fn without_accept_mode_only_neighbor_discovery_is_answered() -> Result<()> {
    let lab = lab!();
    for keys in ["accept = false", "accept = false\nvirtual_mac = true"] {
        let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { cluster: keys, ..ClusterConfig::DEFAULT })?;
        cluster.start_all()?;
        cluster.settle_on(0, 0)?;
        let probes = Cluster::addresses(0).map(|address| Probe::start(&cluster.client, address));
        for (probe, address) in probes.into_iter().zip(Cluster::addresses(0)) {
            let probe = probe?;
            until("the client to know where the address is", GENEROUS, || {
                Ok(cluster.client.neighbour(address)?.map(drop))
            })?;
            let own = if address.is_ipv4() { [10, 77, 0, 1].into() } else { "fd77::1".parse()? };
            Probe::start(&cluster.client, own)?.wait_answered(GENEROUS)?;
            ensure!(probe.answers().is_empty(), "{address} answers: {keys}");
        }
        let instance = cluster.agent(0)?.instance().to_owned();
        let tables = |cluster: &Cluster| cluster.nodes[0].run("nft", &["list", "tables"]);
        ensure!(tables(&cluster)?.contains(&format!("vipd-{instance}")), "{}", tables(&cluster)?);
        cluster.take(0)?.process.terminate(GENEROUS)?;
        ensure!(!tables(&cluster)?.contains("vipd"), "{}", tables(&cluster)?);
    }
    Ok(())
}

/// A killed run without Accept_Mode must not keep the next one, which accepts, from being heard.
#[test]
fn refusals_end_with_the_configuration() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { cluster: "accept = false", ..UNSUPERVISED };
    let mut cluster = Cluster::new(&lab, 2, &config)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0)?;
    cluster.take(0)?.process.kill()?;
    cluster.config = ClusterConfig::DEFAULT.text(2)?;
    cluster.start(0)?;
    cluster.settle_on(0, 0).context("after the kill")?;
    cluster.probe(0).map(drop)
}
