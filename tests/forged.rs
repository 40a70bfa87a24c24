//! Forged and malformed adverts are counted, and change nothing.

mod spoil;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use harness::{
    Agent, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab, Status,
    frame::{Advert, Checksum},
    inject, ip, lab, until,
};
use nix::net::if_::if_nametoindex;
use vrrp_wire::{
    Family, Vrid,
    abi::{Counters, RouterKey},
};

const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
const ROUTER: &str = Cluster::ROUTERS[0];
const VRID: u8 = Cluster::VRIDS[0];
/// Half a second: a busy machine does not look like a dead Active, and a takeover still shows soon.
const CONFIG: ClusterConfig<'_> = ClusterConfig { interval: "500ms", ..ClusterConfig::DEFAULT };

/// A cluster of which n1 is the Active, and how it stood at first.
struct Siege {
    cluster: Cluster,
    transitions: u64,
}

impl Siege {
    /// `link_locals`: whether the configuration names the nodes' link-local addresses, or leaves them to be learned.
    fn lay(lab: &Lab, nodes: usize, guard: &str, link_locals: &str) -> Result<Self> {
        let mut text = ClusterConfig { guard, ..CONFIG }.text(nodes)?;
        if link_locals == "configured" {
            for node in 1..=nodes {
                let mac = format!("mac = \"02:00:00:00:00:0{node}\"\n");
                text = text.replace(&mac, &format!("{mac}link_local = \"fe80::ff:fe00:{node}\"\n"));
            }
        }
        let mut cluster = Cluster::with_config(lab, nodes, text)?;
        cluster.start_all()?;
        cluster.settle_on(0, 0)?;
        let transitions = cluster.transitions()?;
        Ok(Self { cluster, transitions })
    }

    /// Fails if a state has changed, or changes while the Active sends as many adverts as outlast Skew_Time.
    fn was_in_vain(&self) -> Result<()> {
        let Self { cluster, transitions } = self;
        for agent in cluster.agents.iter().flatten() {
            let now = agent.status()?;
            agent.wait_for("four more adverts of the Active", |status| {
                FAMILIES.iter().all(|&family| {
                    let heard = status.tally(ROUTER, family, "adverts_received");
                    let before = now.tally(ROUTER, family, "adverts_received");
                    now.state(ROUTER, family) == Some("Active") || heard >= before.map(|before| before + 4)
                })
            })?;
        }
        ensure!(cluster.transitions()? == *transitions, "a state has changed");
        cluster.settle_on(0, 0)?;
        for agent in cluster.agents.iter().flatten() {
            let said = agent.process.transcript();
            ensure!(agent.process.is_running() && !said.contains("panicked"), "{} said:\n{said}", agent.instance());
        }
        Ok(())
    }

    /// Waits until a node has counted `count` frames under `name`, and fails if it has counted more.
    fn counted(&self, node: usize, family: Family, name: &str, count: u64) -> Result<()> {
        let what = format!("{count} {family} frames to be counted as {name} on {}", self.cluster.nodes[node].name());
        let status =
            self.cluster.agent(node)?.wait_for(&what, |status| status.counter(ROUTER, family, name) >= count)?;
        ensure!(status.counter(ROUTER, family, name) == count, "more than {what}: {status:?}");
        Ok(())
    }

    /// Puts one good frame on a node's cable, and waits until the agent has heard it.
    fn believed(&self, node: usize, frame: &[u8], family: Family) -> Result<()> {
        let agent = self.cluster.agent(node)?;
        let before = agent.status()?.tally(ROUTER, family, "adverts_received");
        self.wire(node)?.send(frame)?;
        agent.wait_for("one advert to be heard", |status| status.tally(ROUTER, family, "adverts_received") > before)?;
        Ok(())
    }

    /// A good advert in the name of a node, from its Ethernet address.
    fn advert(&self, of: usize, family: Family, priority: u8) -> Advert {
        let host = &self.cluster.nodes[of];
        let [ipv4, ipv6] = Cluster::addresses(0);
        let (source, vips) = match family {
            Family::Ipv4 => (Ipv4Addr::new(10, 77, 0, u8::try_from(of + 1).unwrap_or(u8::MAX)).into(), vec![ipv4]),
            Family::Ipv6 => (host.link_local().into(), vec![ip("fe80::200:5eff:fe00:233"), ipv6]),
        };
        Advert { interval_cs: 50, ..Advert::new(host.mac(), source, VRID, priority, &vips) }
    }

    /// An advert that a node would act upon at once if it believed it: to the Active one of the highest priority, to a
    /// Backup that the Active leaves.
    fn tempting(&self, node: usize, family: Family) -> Advert {
        if node == 0 { self.advert(1, family, 255) } else { self.advert(0, family, 0) }
    }

    /// Whoever can put frames on the cable of one node, past the bridge, which learns nothing from them.
    fn wire(&self, node: usize) -> Result<Injector> {
        Injector::on(self.cluster.lan.namespace(), self.cluster.nodes[node].name())
    }

    /// What the attacker sends from its own Ethernet address.
    fn forge(&self, advert: Advert, count: usize) -> Result<()> {
        let attacker = &self.cluster.attacker;
        inject(attacker, &Advert { source_mac: attacker.mac(), ..advert }.frame(), count)
    }
}

/// The counters of one node in the kernel, which can be read as fast as a flood comes.
struct Meter {
    counters: HashMap<MapData, RouterKey, Counters>,
    key: RouterKey,
}

impl Meter {
    fn new(agent: &Agent, host: &Host, family: Family) -> Result<Self> {
        let map = MapData::from_pin(format!("{}/counters", agent.pin_dir()))?;
        let ifindex = host.namespace().enter(|| if_nametoindex(Host::INTERFACE))??;
        let vrid = Vrid::new(VRID).context("VRID 0")?;
        Ok(Self { counters: Map::HashMap(map).try_into()?, key: RouterKey::new(ifindex, family, vrid) })
    }

    fn unknown_source(&self) -> Result<u64> {
        Ok(self.counters.get(&self.key, 0)?.unknown_source)
    }
}

/// Sends `count` frames to all nodes; a queue between the hosts never overflows, so that none may be missing.
fn flood(siege: &Siege, family: Family, count: u64, frame: impl Fn(u64) -> Vec<u8>) -> Result<()> {
    const BURST: u64 = 100;
    let agents = siege.cluster.agents.iter().flatten().zip(&siege.cluster.nodes);
    let meters = agents.map(|(agent, host)| Meter::new(agent, host, family)).collect::<Result<Vec<_>>>()?;
    let injector = Injector::new(&siege.cluster.attacker)?;
    for number in 1..=count {
        injector.send(&frame(number))?;
        if number % BURST == 0 {
            until(&format!("all nodes to count {number} frames"), GENEROUS, || {
                let counts = meters.iter().map(Meter::unknown_source).collect::<Result<Vec<_>>>()?;
                Ok((counts.iter().all(|&count| count >= number)).then_some(()))
            })?;
        }
    }
    Ok(())
}

/// 100,000 adverts of the highest priority from 10,000 addresses that are in nobody's allow-list.
/// Rows: -B20
#[test]
fn a_flood_from_strangers_changes_nothing() -> Result<()> {
    const COUNT: u64 = 100_000;
    const COUNT_IPV6: u64 = 10_000;
    let lab = lab!();
    let siege = Siege::lay(&lab, 3, "", "learned")?;
    let cluster = &siege.cluster;
    let probes = cluster.probe(0)?;
    flood(&siege, Family::Ipv4, COUNT, |number| {
        let [.., high, low] = (number % 10_000).to_be_bytes();
        let source = IpAddr::from([10, 66, high, low]);
        Advert { source, source_mac: cluster.attacker.mac(), ..siege.advert(0, Family::Ipv4, 255) }.frame()
    })?;
    flood(&siege, Family::Ipv6, COUNT_IPV6, |_| {
        let source = cluster.attacker.link_local().into();
        Advert { source, source_mac: cluster.attacker.mac(), ..siege.advert(0, Family::Ipv6, 255) }.frame()
    })?;
    for node in 0..3 {
        for name in ["unknown_source", "dropped"] {
            siege.counted(node, Family::Ipv4, name, COUNT)?;
            siege.counted(node, Family::Ipv6, name, COUNT_IPV6)?;
        }
    }
    for (probe, address) in probes.iter().zip(Cluster::addresses(0)) {
        probe.wait_answered(GENEROUS)?;
        ensure!(cluster.client.neighbour(address)? == Some(cluster.nodes[0].mac()), "{address} is elsewhere");
    }
    siege.was_in_vain()
}

/// Priorities and intervals that would each harm in their own way: a takeover, a false farewell, a Backup that waits
/// for two minutes, one that hardly waits.
const HARMFUL: [(u8, u16); 4] = [(255, 50), (0, 50), (255, 4095), (200, 1)];

/// The address of a node, but not its Ethernet address, which the configuration pins.
#[test]
fn a_nodes_address_from_another_mac_address_changes_nothing() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 3, "", "configured")?;
    for family in FAMILIES {
        for (priority, interval_cs) in HARMFUL {
            for of in [0, 1] {
                siege.forge(Advert { interval_cs, ..siege.advert(of, family, priority) }, 20)?;
            }
        }
    }
    for family in FAMILIES {
        for (node, wrong_mac, own_address) in [(0, 80, 80), (1, 80, 80), (2, 160, 0)] {
            siege.counted(node, family, "wrong_mac", wrong_mac)?;
            siege.counted(node, family, "own_address", own_address)?;
            siege.counted(node, family, "dropped", 160)?;
        }
    }
    siege.was_in_vain()
}

/// Without its link-local address in the configuration, a node is known by its Ethernet address.
#[test]
fn a_learned_link_local_address_from_another_mac_address_changes_nothing() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, "", "learned")?;
    for (priority, interval_cs) in HARMFUL {
        for of in [0, 1] {
            siege.forge(Advert { interval_cs, ..siege.advert(of, Family::Ipv6, priority) }, 20)?;
        }
    }
    for node in [0, 1] {
        siege.counted(node, Family::Ipv6, "unknown_source", 80)?;
        siege.counted(node, Family::Ipv6, "own_address", 80)?;
    }
    siege.was_in_vain()
}

/// A node does not listen to itself, whether a loop brings its adverts back or somebody has copied all its addresses.
/// Rows: -B19
#[test]
fn our_own_address_changes_nothing() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, "", "learned")?;
    for node in [0, 1] {
        let wire = siege.wire(node)?;
        for family in FAMILIES {
            for (priority, interval_cs) in HARMFUL {
                let copied = Advert { interval_cs, ..siege.advert(node, family, priority) };
                let forged = Advert { source_mac: siege.cluster.attacker.mac(), ..copied.clone() };
                wire.flood(&copied.frame(), 10)?;
                wire.flood(&forged.frame(), 10)?;
            }
            siege.counted(node, family, "own_address", 80)?;
        }
    }
    siege.was_in_vain()
}

/// Whether `mode` only counts, and what an operator sees of it.
fn is_harmless_where_nothing_is_dropped(mode: &str) -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 3, mode, "configured")?;
    for family in FAMILIES {
        let stranger = match family {
            Family::Ipv4 => IpAddr::from([10, 77, 0, 66]),
            Family::Ipv6 => siege.cluster.attacker.link_local().into(),
        };
        for (priority, interval_cs) in HARMFUL {
            for source in [stranger, siege.advert(0, family, 0).source, siege.advert(1, family, 0).source] {
                siege.forge(Advert { interval_cs, source, ..siege.advert(0, family, priority) }, 10)?;
            }
        }
        for (node, wrong_mac, own_address) in [(0, 40, 40), (1, 40, 40), (2, 80, 0)] {
            siege.counted(node, family, "unknown_source", 40)?;
            siege.counted(node, family, "wrong_mac", wrong_mac)?;
            siege.counted(node, family, "own_address", own_address)?;
            siege.counted(node, family, "would_drop", 120)?;
            siege.counted(node, family, "dropped", 0)?;
        }
    }
    siege.was_in_vain()
}

#[test]
fn forged_adverts_change_nothing_where_the_guard_observes() -> Result<()> {
    is_harmless_where_nothing_is_dropped("mode = \"observe\"")
}

#[test]
fn forged_adverts_change_nothing_without_xdp() -> Result<()> {
    is_harmless_where_nothing_is_dropped("attach = \"off\"")
}

/// The frame with the IP length of a message of `len` bytes, and nothing after it.
fn shortened(frame: &[u8], family: Family, len: u8) -> Vec<u8> {
    let (length_at, ip_len, frame_len) = match family {
        Family::Ipv4 => (17, 20 + len, 34 + usize::from(len)),
        Family::Ipv6 => (19, len, 54 + usize::from(len)),
    };
    let mut frame = frame[..frame_len].to_vec();
    frame[length_at] = ip_len;
    frame
}

/// Everything that can be wrong with an advert, with the name of its counter; none where no VRRP is to be seen.
fn malformed(good: &Advert, family: Family) -> Vec<(Vec<u8>, Option<&'static str>)> {
    let frame = good.frame();
    let (message_at, option) = match family {
        Family::Ipv4 => (34, (spoil::with_options(&frame), Some("ip_options"))),
        Family::Ipv6 => (54, (spoil::with_extension(&frame, 60, &[0, 1, 4, 0, 0, 0, 0]), Some("extension_header"))),
    };
    let cut = (14..frame.len()).map(|len| (frame[..len].to_vec(), (len >= message_at + 2).then_some("truncated")));
    let mut all: Vec<_> = cut.collect();
    let len = u8::try_from(frame.len() - message_at).unwrap_or(u8::MAX);
    all.extend((2..len).map(|len| (shortened(&frame, family, len), Some("length"))));
    all.push(option);
    all.push((spoil::as_first_fragment(&frame), Some("fragment")));
    let mut add = |advert: Advert, counter| all.push((advert.frame(), Some(counter)));
    for len in 1..=40 {
        add(Advert { trailer: vec![0; len], ..good.clone() }, "length");
    }
    for ttl in [0, 1, 64, 254] {
        add(Advert { ttl, ..good.clone() }, "ttl");
    }
    for version in (0..16).filter(|&version| version != 3) {
        add(Advert { version, ..good.clone() }, "version");
    }
    for packet_type in (0..16).filter(|&packet_type| packet_type != 1) {
        add(Advert { packet_type, ..good.clone() }, "packet_type");
    }
    for (count, counter) in [(0, "address_count"), (3, "length"), (255, "length")] {
        add(Advert { count: Some(count), ..good.clone() }, counter);
    }
    for interval_cs in [0x0000, 0xf000] {
        add(Advert { interval_cs, ..good.clone() }, "interval");
    }
    all
}

/// From a peer's address and Ethernet address, to the Active and to a Backup.
fn malformed_adverts_change_nothing(guard: &str) -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, guard, "learned")?;
    for node in [0, 1] {
        let wire = siege.wire(node)?;
        for family in FAMILIES {
            let mut expected = BTreeMap::new();
            for (frame, counter) in malformed(&siege.tempting(node, family), family) {
                wire.send(&frame)?;
                *expected.entry(counter).or_insert(0) += 1;
            }
            for (counter, count) in expected {
                if let Some(counter) = counter {
                    siege.counted(node, family, counter, count)?;
                }
            }
        }
    }
    siege.was_in_vain()?;
    // The frames were worth refusing: without the fault, they are believed.
    for family in FAMILIES {
        siege.believed(0, &siege.tempting(0, family).frame(), family)?;
    }
    ensure!(siege.cluster.transitions()? > siege.transitions, "a good advert changed nothing either");
    Ok(())
}

/// Rows: -B1 -B2 -B3 -B4 -B5 -B9 -B10 +B15 -B15 -B17 -B18
#[test]
fn malformed_adverts_change_nothing_with_xdp() -> Result<()> {
    malformed_adverts_change_nothing("")
}

/// Rows: -B1 -B2 -B3 -B4 -B5 -B9 -B10 +B15 -B15 -B17 -B18
#[test]
fn malformed_adverts_change_nothing_without_xdp() -> Result<()> {
    malformed_adverts_change_nothing("attach = \"off\"")
}

/// The checksum is the agent's to verify.
/// Rows: -B6
#[test]
fn a_wrong_checksum_is_refused_by_the_agent() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, "", "learned")?;
    for node in [0, 1] {
        let wire = siege.wire(node)?;
        for family in FAMILIES {
            let corrupt = Advert { checksum: Checksum::Is(0x0bad), ..siege.tempting(node, family) };
            wire.flood(&corrupt.frame(), 10)?;
            siege.cluster.agent(node)?.wait_for("ten refused adverts", |status| {
                status.tally(ROUTER, family, "adverts_refused") == Some(10)
            })?;
        }
    }
    siege.was_in_vain()
}

/// An Active whose every advert is corrupt is as good as silent. RFC 9568 §7.1.
/// Rows: -B6
#[test]
fn corrupt_adverts_do_not_keep_a_backup_from_taking_over() -> Result<()> {
    let lab = lab!();
    let mut siege = Siege::lay(&lab, 2, "", "learned")?;
    // First the cable: nobody is to hear a goodbye.
    siege.cluster.lan.cut("n1")?;
    siege.cluster.take(0)?.process.kill()?;
    let wire = siege.wire(1)?;
    for family in FAMILIES {
        let corrupt = Advert { checksum: Checksum::Is(0x0bad), ..siege.advert(0, family, 200) }.frame();
        siege.cluster.agent(1)?.wait_for("n2 to take over", |status| {
            // As often as the status is asked for, and no less often than n1 would.
            let _ = wire.send(&corrupt);
            status.state(ROUTER, family) == Some("Active")
        })?;
    }
    Ok(())
}

/// VID 5 in the outer tag, the inner tag, or both; none of it is the untagged LAN that the virtual router is on.
const FOREIGN: [&[[u16; 2]]; 4] =
    [&[[0x8100, 5]], &[[0x8100, 0x6005]], &[[0x8100, 5], [0x8100, 0]], &[[0x8100, 0], [0x8100, 5]]];

/// Adverts of another VLAN, right in everything else, on the cable of each node. `seen` of them on each are VRRP to the
/// guard; a packet socket's filter keeps the others from the agent.
fn another_vlan_changes_nothing(guard: &str, seen: u64) -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, guard, "learned")?;
    for node in [0, 1] {
        let wire = siege.wire(node)?;
        for family in FAMILIES {
            for tags in FOREIGN {
                let tagged = Advert { tags: tags.to_vec(), ..siege.tempting(node, family) };
                wire.flood(&tagged.frame(), 5)?;
            }
        }
        siege.cluster.agent(node)?.wait_for(&format!("{seen} adverts of another VLAN"), |status| {
            status.0["interfaces"][0]["not_configured"] == seen
        })?;
    }
    siege.was_in_vain()?;
    for family in FAMILIES {
        // A losing one, which the Active answers. VID 0 is no VLAN.
        let priority_tagged = Advert { tags: vec![[0x8100, 0xe000]], ..siege.advert(1, family, 1) };
        siege.believed(0, &priority_tagged.frame(), family)?;
    }
    siege.was_in_vain()
}

/// Rows: +B7 -B7
#[test]
fn another_vlan_changes_nothing_with_xdp() -> Result<()> {
    another_vlan_changes_nothing("", 40)
}

/// Rows: +B7 -B7
#[test]
fn another_vlan_changes_nothing_without_xdp() -> Result<()> {
    another_vlan_changes_nothing("attach = \"off\"", 10)
}

/// The bridge takes the tag out of the frame, as many network cards do, and hands it on beside it.
fn a_stripped_tag_is_no_disguise(guard: &str) -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, guard, "learned")?;
    for family in FAMILIES {
        for node in [0, 1] {
            let tagged = Advert { tags: vec![[0x8100, 5]], ..siege.tempting(node, family) };
            inject(&siege.cluster.attacker, &tagged.frame(), 5)?;
        }
    }
    siege.was_in_vain()
}

#[test]
fn a_stripped_tag_is_no_disguise_without_xdp() -> Result<()> {
    a_stripped_tag_is_no_disguise("attach = \"off\"")
}

/// A weakness that the README names: XDP sees the frame without the tag, and takes the advert for one of the untagged
/// network.
#[test]
fn xdp_does_not_see_a_stripped_tag() -> Result<()> {
    let lab = lab!();
    let siege = Siege::lay(&lab, 2, "", "learned")?;
    let transitions = |status: &Status| status.tally("web-a", Family::Ipv4, "transitions").unwrap_or(0);
    let before = transitions(&siege.cluster.agent(1)?.status()?);
    let tagged = |family| Advert { tags: vec![[0x8100, 5]], ..siege.tempting(1, family) }.frame();
    let tagged = FAMILIES.map(tagged);
    // Goodbyes that n1's next adverts follow too soon have no effect, and one of one family alone has none.
    until("n2 to take over", GENEROUS, || {
        tagged.iter().try_for_each(|frame| inject(&siege.cluster.attacker, frame, 1))?;
        Ok((transitions(&siege.cluster.agent(1)?.status()?) > before).then_some(()))
    })
}
