//! What the LAN sees of virtual addresses that one cannot see in a message: from when on a node answers for them, whether
//! they are probed for first, and what the kernel answers in vipd's name.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use harness::{
    Capture, Captured, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab, Namespace, Probe, decode, ip, lab,
    neighbor::{self, Station},
    until,
};
use vrrp_wire::{Family, MacAddr};

/// fd77::101, the IPv6 address of the first virtual router.
const VIP6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x101);
/// Its solicited-node group, ff02::1:ff00:101, as `/proc/net/igmp6` writes it.
const GROUP: &str = "ff0200000000000000000001ff000101";

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The ICMPv6 message in a frame without VLAN tag.
fn icmpv6(frame: &[u8]) -> Option<&[u8]> {
    (frame.get(12..14)? == [0x86, 0xdd] && frame.get(20) == Some(&58)).then(|| frame.get(54..))?
}

/// The target of a message of Neighbor Discovery of this type.
fn target(frame: &[u8], kind: u8) -> Option<Ipv6Addr> {
    let message = icmpv6(frame).filter(|message| message.first() == Some(&kind))?;
    message.get(8..24)?.first_chunk().map(|&octets: &[u8; 16]| octets.into())
}

/// Whoever asks for a neighbour in the name of the client, on the cable of n1.
struct Asker {
    capture: Capture,
    injector: Injector,
    client: Station,
}

impl Asker {
    fn new(cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            capture: Capture::start(cluster.lan.namespace(), "n1")?,
            injector: Injector::on(cluster.lan.namespace(), "n1")?,
            client: Station { mac: cluster.client.mac(), address: ip("fd77::50") },
        })
    }

    /// Asks all hosts in the group of [`VIP6`] once; what n1 answers within `limit`.
    fn ask(&self, limit: Duration) -> Result<Captured> {
        let since = Instant::now();
        self.injector.send(&neighbor::solicitation(self.client, VIP6, None))?;
        self.capture.wait_for("an answer", limit, |frame| {
            frame.at > since
                && !frame.outgoing
                && frame.bytes[..6] == self.client.mac.0
                && target(&frame.bytes, ADVERTISEMENT) == Some(VIP6)
        })
    }
}

/// Makes and deletes interfaces elsewhere until `stop`: whatever the kernel does for interfaces and addresses takes its time.
fn keep_the_kernel_busy(stop: &AtomicBool) -> Result<()> {
    let elsewhere = Namespace::new()?;
    while !stop.load(Ordering::Relaxed) {
        elsewhere.run("ip", &["link", "add", "left", "type", "veth", "peer", "name", "right"])?;
        elsewhere.run("ip", &["link", "del", "left"])?;
    }
    Ok(())
}

/// The node is in the solicited-node group before it announces the address: one question after the first announcement is
/// enough, also on a host whose kernel gets round to its own membership late. It leaves the group with the address.
/// RFC 9568 §6.4.2.
/// Rows: +D3 -D3
#[test]
fn who_asks_as_soon_as_he_is_told_is_answered() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    let is_member = || -> Result<bool> { Ok(node.run("cat", &["/proc/net/igmp6"])?.contains(GROUP)) };
    cluster.lan.cut("n1")?;
    cluster.start(0)?;
    cluster.agent(0)?.wait_for_state("web-a", Family::Ipv6, "Fault")?;
    ensure!(!is_member()?, "in the group without the address");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let busy = [0; 3].map(|_| scope.spawn(|| keep_the_kernel_busy(&stop)));
        let outcome = (0..8).try_for_each(|round| {
            let asker = Asker::new(&cluster)?;
            let since = Instant::now();
            cluster.lan.mend("n1")?;
            asker.capture.wait_for("an announcement", GENEROUS, |frame| {
                let told = decode::announcement(&frame.bytes).is_some_and(|told| told.address == IpAddr::V6(VIP6));
                frame.at > since && told
            })?;
            asker.ask(Duration::from_secs(3)).with_context(|| format!("round {round}"))?;
            cluster.lan.cut("n1")?;
            until("n1 to leave the group", GENEROUS, || Ok((!is_member()?).then_some(())))
        });
        stop.store(true, Ordering::Relaxed);
        busy.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)?;
        outcome
    })
}

/// A cluster of two nodes in which n1 owns the addresses of web-a, and web-a accepts nothing but at its owner.
fn owned(lab: &Lab) -> Result<Cluster> {
    let config = ClusterConfig { interval: "10s", cluster: "accept = false", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(lab, 2, &config)?;
    for (from, to) in [
        (r#"["10.77.0.101/24", "fd77::101/64"]"#, r#"["10.77.0.1/24", "fd77::1/64", "fe80::ff:fe00:1/64"]"#),
        (r#"nodes = ["n1", "n2"]"#, "priorities = { n1 = 255, n2 = 100 }"),
        ("name = \"n1\"\n", "name = \"n1\"\nlink_local = \"fe80::ff:fe00:1\"\n"),
    ] {
        ensure!(cluster.config.contains(from), "{from}");
        cluster.config = cluster.config.replacen(from, to, 1);
    }
    Ok(cluster)
}

/// The owner does not wait: with an interval of 10 s a Backup would listen for 30 s. First its advert, then the announcements
/// of all its addresses; what is sent to them it accepts, whatever `accept` says. RFC 9568 §6.4.1, §6.4.3.
/// Rows: +C1 +C14
#[test]
fn an_owner_announces_and_serves_its_addresses_at_once() -> Result<()> {
    let lab = lab!();
    let mut cluster = owned(&lab)?;
    let capture = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
    cluster.start(0)?;
    let mac = cluster.nodes[0].mac();
    for (is_ipv6, vips) in [(false, &["10.77.0.1"][..]), (true, &["fd77::1", "fe80::ff:fe00:1"][..])] {
        let advert = capture.wait_for("the owner's advert", Duration::from_secs(15), |frame| {
            let advert = decode::advertisement(&frame.bytes);
            advert.is_some_and(|advert| (advert.priority, advert.source.is_ipv6()) == (255, is_ipv6))
        })?;
        for vip in vips {
            let told = capture.wait_for("an announcement", GENEROUS, |frame| {
                decode::announcement(&frame.bytes).is_some_and(|told| (told.address, told.mac) == (ip(vip), mac))
            })?;
            ensure!(advert.at <= told.at, "{vip} was announced before the advert");
            if !vip.starts_with("fe80") {
                Probe::start(&cluster.client, ip(vip))?.wait_answered(GENEROUS)?;
            }
        }
    }
    Ok(())
}

/// Neighbors that say, unasked, that they have moved are believed by an Active and by a Backup: the guard lets them through.
/// RFC 9568 §8.2.4.
/// Rows: +D10
#[test]
fn a_neighbor_that_moves_is_believed() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    let (host, moved) = (Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x99), MacAddr([2, 0, 0, 0, 0, 0x99]));
    for node in &cluster.nodes {
        let entry = ["to", "fd77::99", "lladdr", "02:00:00:00:00:98", "dev", Host::INTERFACE, "nud", "stale"];
        node.run("ip", &[&["neigh", "replace"], &entry[..]].concat())?;
    }
    let said = neighbor::advertisement(Station { mac: moved, address: host.into() }, host);
    Injector::new(&cluster.client)?.send(&said)?;
    for node in &cluster.nodes {
        until("the node to believe it", GENEROUS, || Ok((node.neighbour(host.into())? == Some(moved)).then_some(())))?;
    }
    Ok(())
}

/// Hosts probe for the addresses that they give themselves, and a Backup that did would be without an address for a second,
/// or for good where somebody says that it has it. Virtual addresses are used without. RFC 9568 §8.2.2.
/// Rows: +D11 -D11
#[test]
fn virtual_addresses_are_not_probed_for() -> Result<()> {
    let lab = lab!();
    for keys in ["", "virtual_mac = true"] {
        let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { cluster: keys, ..ClusterConfig::default() })?;
        let node = cluster.nodes[0].clone();
        for interface in [Host::INTERFACE, "default"] {
            for setting in ["accept_dad", "dad_transmits"] {
                node.namespace().set(&format!("ipv6/conf/{interface}/{setting}"), "1")?;
            }
        }
        let asker = Asker::new(&cluster)?;
        let probed = |of: &str| {
            let probes = |frame: &Captured| {
                frame.bytes.get(22..38) == Some(&[0; 16])
                    && target(&frame.bytes, SOLICITATION).map(IpAddr::V6) == Some(ip(of))
            };
            asker.capture.frames().iter().any(|frame| !frame.outgoing && probes(frame))
        };
        node.run("ip", &["addr", "add", "fd77::77/64", "dev", Host::INTERFACE])?;
        until("an ordinary address to be probed for", GENEROUS, || Ok(probed("fd77::77").then_some(())))?;

        cluster.start(0)?;
        // Somebody who says all along that he has it, and probes for it himself.
        let liar = Station { mac: cluster.attacker.mac(), address: ip("fd77::66") };
        let nobody = Station { address: Ipv6Addr::UNSPECIFIED.into(), ..liar };
        until("the virtual address", GENEROUS, || {
            asker.injector.send(&neighbor::advertisement(liar, VIP6))?;
            asker.injector.send(&neighbor::solicitation(nobody, VIP6, None))?;
            Ok(node.has_address(VIP6.into())?.then_some(()))
        })?;
        let flags = node.run("ip", &["-6", "address", "show", "to", "fd77::101"])?;
        ensure!(flags.contains("nodad") && !flags.contains("tentative") && !flags.contains("dadfailed"), "{flags}");
        asker.ask(GENEROUS)?;
        Probe::start(&cluster.client, VIP6.into())?.wait_answered(GENEROUS)?;
        for address in ["fd77::101", "fe80::200:5eff:fe00:233"] {
            ensure!(!probed(address), "{address} was probed for: {keys:?}");
        }
    }
    Ok(())
}

/// The kernel's answers have the Router flag where the host forwards. Where it does not, vipd says so once for an interface,
/// however many virtual routers it has. RFC 9568 §6.4.3, RFC 4861 §4.4.
/// Rows: +D13 -D13
#[test]
fn answers_without_the_router_flag_are_no_surprise() -> Result<()> {
    let lab = lab!();
    for (forwarding, flag, notices) in [("0", 0x00, 1), ("1", 0x80, 0)] {
        let mut cluster = Cluster::new(&lab, 1, &ClusterConfig { preferred: &[0, 0], ..ClusterConfig::default() })?;
        cluster.nodes[0].namespace().set("ipv6/conf/vsw0/forwarding", forwarding)?;
        cluster.start_all()?;
        let answer = Asker::new(&cluster)?.ask(GENEROUS)?;
        ensure!(answer.bytes[58] & 0x80 == flag, "forwarding {forwarding}: {:02x?}", answer.bytes);
        let process = &cluster.agent(0)?.process;
        // Said after the notice, if there is one.
        process.wait_for_output("running as", GENEROUS)?;
        let said = process.transcript();
        let notice =
            "net.ipv6.conf.vsw0.forwarding is 0: the kernel answers Neighbor Solicitations without the Router flag";
        ensure!(said.matches(notice).count() == notices, "forwarding {forwarding}: {said}");
    }
    Ok(())
}

/// Another program has left the virtual addresses with other prefix lengths, as one that was killed does: a node that serves no
/// more answers for none of them.
#[test]
fn an_address_goes_whatever_its_prefix_length() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    for address in ["10.77.0.101/32", "fd77::101/128"] {
        node.run("ip", &["addr", "add", address, "dev", Host::INTERFACE])?;
    }
    cluster.start_all()?;
    cluster.take(0)?.process.terminate(GENEROUS)?;
    for address in Cluster::addresses(0) {
        ensure!(!node.has_address(address)?, "{address} is left");
    }
    Ok(())
}

/// The kernel goes by the greater one of an interface's own setting and that of all, and nothing is to be put back then.
#[test]
fn a_setting_that_holds_for_all_interfaces_is_not_made_for_one() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    for (interface, value) in [("all", "1"), (Host::INTERFACE, "0")] {
        node.namespace().set(&format!("ipv4/conf/{interface}/promote_secondaries"), value)?;
    }
    cluster.start_all()?;
    let own = node.run("cat", &["/proc/sys/net/ipv4/conf/vsw0/promote_secondaries"])?;
    ensure!(own == "0\n", "it was set to {own}");
    Ok(())
}
