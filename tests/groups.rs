//! What a node hears: the VRRP groups on its own interface, through a switch that sends multicast only to those who have
//! joined; not itself, and not what comes to another interface.

use std::{
    mem::MaybeUninit,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{
    Capture, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lan, Status, decode,
    frame::{Advert, multicast_mac},
    ip, lab, until,
};
use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use vrrp_wire::Family;

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const ROUTER: &str = Cluster::ROUTERS[0];
/// 224.0.0.18 and ff02::12, as `ip maddress` prints them.
const GROUPS: [&str; 2] = ["inet  224.0.0.18", "inet6 ff02::12"];

/// Which of the groups a host is a member of on an interface.
fn joined(host: &Host, interface: &str) -> Result<[bool; 2]> {
    let members = host.run("ip", &["maddress", "show", "dev", interface])?;
    Ok(GROUPS.map(|group| members.lines().any(|line| line.trim().split(" users").next() == Some(group))))
}

fn wait_until_joined(host: &Host) -> Result<()> {
    until("both groups to be joined", GENEROUS, || Ok((joined(host, Host::INTERFACE)? == [true; 2]).then_some(())))
}

/// Lets the bridge ask every second who is a member of which group, and soon send IPv6 multicast to members only. A bridge
/// whose address is still tentative when it would ask does not, and sends to everybody until it asks again.
fn snoop(lan: &Lan) -> Result<()> {
    lan.namespace().set("ipv6/conf/br0/accept_dad", "0")?;
    lan.namespace().set("ipv6/conf/br0/disable_ipv6", "0")?;
    let ask = ["mcast_igmp_version", "3", "mcast_mld_version", "2", "mcast_query_response_interval", "50"];
    let often = ["mcast_query_interval", "100", "mcast_startup_query_interval", "100"];
    for settings in [&ask[..], &often, &["mcast_snooping", "1", "mcast_querier", "1"]] {
        lan.namespace().run("ip", &[&["link", "set", "br0", "type", "bridge"], settings].concat())?;
    }
    Ok(())
}

/// Waits until the bridge knows that the host on `port` is a member of ff02::12.
fn wait_until_known(lan: &Lan, port: &str) -> Result<()> {
    until(&format!("{port} to be known as a member"), GENEROUS, || {
        let members = lan.namespace().run("bridge", &["mdb", "show", "dev", "br0"])?;
        let is_known = members.lines().any(|line| line.contains(&format!("port {port} grp ff02::12 ")));
        Ok(is_known.then_some(()))
    })
}

/// Waits until a Backup has heard so many more adverts of each family.
fn hear_more(cluster: &Cluster, node: usize, count: u64) -> Result<()> {
    let agent = cluster.agent(node)?;
    let heard = |status: &Status| FAMILIES.map(|family| status.tally(ROUTER, family, "adverts_received").unwrap_or(0));
    let before = heard(&agent.status()?);
    agent.wait_for(&format!("{count} more adverts"), |status| {
        heard(status).iter().zip(before).all(|(&now, before)| now >= before + count)
    })?;
    Ok(())
}

/// A report that tells routers and switches of a member: IGMPv3 to 224.0.0.22, MLDv2 to ff02::16.
fn is_report(frame: &[u8], group: &str) -> bool {
    let (reports, octets): (_, Vec<u8>) = match ip(group) {
        IpAddr::V4(group) => ("224.0.0.22", group.octets().to_vec()),
        IpAddr::V6(group) => ("ff02::16", group.octets().to_vec()),
    };
    frame.starts_with(&multicast_mac(ip(reports)).0) && frame.windows(octets.len()).any(|window| window == octets)
}

/// Another program on a host that listens to both groups, as another router would.
fn listen(host: &Host) -> Result<[Socket; 2]> {
    host.namespace().enter(|| {
        let ifindex = if_nametoindex(Host::INTERFACE)?;
        let open = |domain| Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(112)));
        let [ipv4, ipv6] = [open(Domain::IPV4)?, open(Domain::IPV6)?];
        ipv4.join_multicast_v4_n(&Ipv4Addr::new(224, 0, 0, 18), &InterfaceIndexOrAddress::Index(ifindex))?;
        ipv6.join_multicast_v6(&Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12), ifindex)?;
        Ok([ipv4, ipv6])
    })?
}

/// How many datagrams wait at a socket.
fn heard_by(socket: &Socket) -> usize {
    std::iter::from_fn(|| socket.recv(&mut [MaybeUninit::uninit(); 2048]).ok()).count()
}

/// RFC 9568 §7.2 needs it, and a switch that snoops shows it: whoever has not joined hears no IPv6 advert, and a Backup hears
/// all, also after its cable was out.
/// Rows: +A22 -A22
#[test]
fn members_of_the_groups_hear_adverts_through_a_switch_that_snoops() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 2, &ClusterConfig::default())?;
    snoop(&cluster.lan)?;
    let port = Capture::start(cluster.lan.namespace(), "n2")?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    for group in ["224.0.0.18", "ff02::12"] {
        port.wait_for(&format!("a report of {group}"), GENEROUS, |frame| {
            !frame.outgoing && is_report(&frame.bytes, group)
        })?;
    }
    wait_until_known(&cluster.lan, "n2")?;
    let is_ipv6_advert = |frame: &[u8]| decode::advertisement(frame).is_some_and(|advert| advert.source.is_ipv6());
    until("the switch to send to members only", GENEROUS, || {
        let stranger = Capture::start(cluster.client.namespace(), Host::INTERFACE)?;
        hear_more(&cluster, 1, 10)?;
        Ok((!stranger.frames().iter().any(|frame| is_ipv6_advert(&frame.bytes))).then_some(()))
    })?;

    cluster.lan.cut("n2")?;
    for family in FAMILIES {
        cluster.agent(1)?.wait_for_state(ROUTER, family, "Fault")?;
    }
    cluster.lan.mend("n2")?;
    wait_until_known(&cluster.lan, "n2")?;
    cluster.settle_on(0, 0)?;
    hear_more(&cluster, 1, 10)
}

/// On the interface of the configuration, on the one that comes in its place, on no other, and not for longer than the agent
/// runs.
/// Rows: +A22 -A22
#[test]
fn the_groups_are_joined_where_adverts_are_heard_and_nowhere_else() -> Result<()> {
    let lab = lab!();
    let mut cluster = Cluster::new(&lab, 1, &ClusterConfig::default())?;
    let node = cluster.nodes[0].clone();
    node.run("ip", &["link", "add", "vsw1", "up", "type", "veth", "peer", "name", "vsw1peer"])?;
    ensure!(joined(&node, Host::INTERFACE)? == [false; 2], "joined before the agent runs");
    cluster.start_all()?;
    wait_until_joined(&node)?;
    node.make_interface_anew(1500, &["10.77.0.1/24"])?;
    ensure!(node.run("ip", &["link", "show", "dev", Host::INTERFACE])?.contains("UP"), "not up");
    wait_until_joined(&node)?;
    cluster.agent(0)?.wait_for_state(ROUTER, Family::Ipv4, "Active")?;
    for other in ["lo", "vsw1", "far"] {
        ensure!(joined(&node, other)? == [false; 2], "joined on {other}");
    }
    cluster.take(0)?.process.terminate(GENEROUS)?;
    ensure!(joined(&node, Host::INTERFACE)? == [false; 2], "joined although no agent runs");
    Ok(())
}

/// Wherever the guard is: nothing of what the agent sends comes back to it, nor to another program on its host, and an advert
/// that is right in every byte counts on the interface of its virtual router only.
/// Rows: +A20 -A20 -B7
#[test]
fn a_node_hears_neither_itself_nor_another_interface() -> Result<()> {
    let lab = lab!();
    for guard in ["", "attach = \"generic\"", "attach = \"tcx\"", "attach = \"clsact\"", "attach = \"off\""] {
        let mut cluster = Cluster::new(&lab, 2, &ClusterConfig { guard, ..ClusterConfig::default() })?;
        let node = cluster.nodes[0].clone();
        node.run("ip", &["link", "add", "vsw1", "type", "veth", "peer", "name", "vsw1peer"])?;
        for up in ["vsw1", "vsw1peer"] {
            node.run("ip", &["link", "set", up, "up"])?;
        }
        let listeners = listen(&node)?;
        cluster.start(0)?;
        let sent = |status: &Status, count: u64| {
            FAMILIES.iter().all(|&family| status.tally(ROUTER, family, "adverts_sent") >= Some(count))
        };
        cluster.agent(0)?.wait_for("twenty adverts to be sent", |status| sent(status, 20))?;

        let peer = &cluster.nodes[1];
        let [ipv4, ipv6] = Cluster::addresses(0);
        let adverts =
            [(ip("10.77.0.2"), vec![ipv4]), (peer.link_local().into(), vec![ip("fe80::200:5eff:fe00:233"), ipv6])]
                .map(|(source, addresses)| Advert::new(peer.mac(), source, Cluster::VRIDS[0], 255, &addresses).frame());
        let heard = Capture::start(node.namespace(), "vsw1")?;
        let elsewhere = Injector::on(node.namespace(), "vsw1peer")?;
        for advert in &adverts {
            elsewhere.flood(advert, 10)?;
            until("ten adverts on another interface", GENEROUS, || {
                Ok((heard.frames().iter().filter(|frame| frame.bytes == *advert).count() == 10).then_some(()))
            })?;
        }
        let before = cluster.agent(0)?.status()?;
        let status = cluster.agent(0)?.wait_for("forty adverts to be sent", |status| sent(status, 40))?;
        ensure!(status.transitions() == before.transitions() && status.all_in(&["Active"]), "{guard}: {status:?}");
        for family in FAMILIES {
            let router = status.router(ROUTER, family).context("no virtual router")?;
            ensure!(router["counters"].as_object().is_some_and(serde_json::Map::is_empty), "{guard}: {status:?}");
            ensure!(status.tally(ROUTER, family, "adverts_received") == Some(0), "{guard}: {status:?}");
        }
        ensure!(status.0["interfaces"][0]["not_configured"] == 0, "{guard}: {status:?}");

        for (socket, family) in listeners.iter().zip(FAMILIES) {
            let heard = heard_by(socket);
            ensure!(heard == 0, "{heard} adverts of {family} went back to the host that sent them");
        }

        let here = Injector::on(cluster.lan.namespace(), "n1")?;
        adverts.iter().try_for_each(|advert| here.send(advert))?;
        cluster.agent(0)?.wait_within(Duration::from_secs(3), "both adverts to be believed", |status| {
            FAMILIES.iter().all(|&family| status.tally(ROUTER, family, "adverts_received") == Some(1))
        })?;
        for socket in &listeners {
            until(
                "an advert of the LAN to be heard by others",
                GENEROUS,
                || Ok((heard_by(socket) == 1).then_some(())),
            )?;
        }
    }
    Ok(())
}
