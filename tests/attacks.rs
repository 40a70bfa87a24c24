//! What a hostile station on the same segment can do, who hears everything and sends any frame it likes, and what comes of
//! it, with authentication and without.
//!
//! | Row | Attack | Without authentication | With it |
//! |---|---|---|---|
//! | 1 | a stranger's adverts | `forged.rs` | here |
//! | 2 | a node's address from another MAC address | `forged.rs` | here, as row 3 |
//! | 3 | a node's address and MAC address | here: it takes over | here |
//! | 4 | the highest priority | here: one frame is an outage | here |
//! | 5 | Priority 0 to a Backup | here: two Actives for a moment | here, as row 3 |
//! | 6, 16 | Priority 0, or a lower one, to the Active | here: answers are limited | here |
//! | 7 | a long interval, then silence | here: the limit holds | here |
//! | 8 | interval 0, or a tiny one | here | here |
//! | 9 | copies of genuine adverts | — | here |
//! | 10 | another list of addresses | here: reported | here |
//! | 11 | ARP for a virtual address | here | the same |
//! | 12 | Neighbor Discovery for a virtual address | here | the same |
//! | 13 | a flood of adverts | `forged.rs`, `resilience.rs` | here |
//! | 14 | a flood of other traffic | here | the same |
//! | 15 | malformed adverts | `forged.rs` | here: their trailers |
//! | 17 | another VLAN | `forged.rs` | here |
//! | 18 | our own address | `forged.rs` | here |

#[path = "attacks/flood.rs"]
mod flood;
mod keys;
#[path = "attacks/neighbors.rs"]
mod neighbors;
mod spoil;
#[path = "attacks/unsigned.rs"]
mod unsigned;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use harness::{
    Capture, Captured, ClusterConfig, GENEROUS, Host, Lab, Siege, decode,
    frame::{Advert, sequence},
    lab, until,
};
use vrrp_wire::Family;

use self::keys::{ENFORCE, KEYS, write_keys};

const ROUTER: &str = Siege::ROUTER;
const FAMILIES: [Family; 2] = Siege::FAMILIES;

/// A cluster that believes signed adverts alone.
fn enforcing(lab: &Lab, nodes: usize) -> Result<Siege> {
    write_keys(lab)?;
    Siege::lay(lab, nodes, &ClusterConfig { auth: ENFORCE, ..ClusterConfig::default() })
}

/// Signs with the right key, now.
fn signed(advert: Advert) -> Advert {
    advert.signed(1, KEYS[0].as_bytes(), sequence(SystemTime::now()))
}

/// Forgeries of an advert that would be believed if it were signed, with the names of their counters.
///
/// Their time is ahead of ours, as far as is borne: none is overtaken by a genuine advert before it is sent.
fn forgeries(good: &Advert) -> Vec<(Advert, &'static str)> {
    let (key, now) = (KEYS[0].as_bytes(), SystemTime::now() + Duration::from_secs(3));
    let right = good.clone().signed(1, key, sequence(now));
    let at = |at: SystemTime| good.clone().signed(1, key, sequence(at));
    let mut other_type = right.clone();
    other_type.trailer[0] = 2;
    let mut reserved = right.clone();
    reserved.trailer[3] = 1;
    let mut other_code = right.clone();
    other_code.trailer[27] ^= 1;
    let of_another_router = Advert { vrid: 99, ..good.clone() }.signed(1, key, sequence(now));
    let of_another_source = Advert {
        source: good.source,
        ..Advert { source: other(good.source), ..good.clone() }.signed(1, key, sequence(now))
    };
    vec![
        (good.clone(), "auth_missing"),
        (other_type, "auth_malformed"),
        (reserved, "auth_malformed"),
        (good.clone().signed(9, key, sequence(now)), "auth_unknown_key"),
        (at(now - Duration::from_hours(1)), "auth_stale"),
        (at(now + Duration::from_hours(1)), "auth_stale"),
        (other_code, "auth_code"),
        (good.clone().signed(1, KEYS[2].as_bytes(), sequence(now)), "auth_code"),
        (Advert { priority: good.priority ^ 0x0f, ..right }, "auth_code"),
        (Advert { trailer: of_another_router.trailer, ..good.clone() }, "auth_code"),
        (of_another_source, "auth_code"),
    ]
}

fn other(source: IpAddr) -> IpAddr {
    if source.is_ipv4() { [10, 77, 0, 9].into() } else { harness::ip("fe80::9") }
}

/// Sends frames to a node, and waits until it has counted each under its name, and dropped all of them.
fn refused(siege: &Siege, node: usize, family: Family, frames: &[(Vec<u8>, &'static str)]) -> Result<()> {
    let wire = siege.wire(node)?;
    let status = siege.cluster.agent(node)?.status()?;
    let mut expected = BTreeMap::new();
    for (frame, counter) in frames {
        wire.send(frame)?;
        for counter in [counter, "dropped"] {
            *expected.entry(counter).or_insert_with(|| status.counter(ROUTER, family, counter)) += 1;
        }
    }
    expected.into_iter().try_for_each(|(counter, count)| siege.counted(node, family, counter, count))
}

/// A thousand addresses that are no node's; a signature, even a right one, does not make them nodes.
#[test]
fn row_01_strangers() -> Result<()> {
    const COUNT: u64 = 10_000;
    let lab = lab!();
    let siege = enforcing(&lab, 3)?;
    let attacker = siege.cluster.attacker.clone();
    let injector = harness::Injector::new(&attacker)?;
    for number in 1..=COUNT {
        let [.., high, low] = (number % 1_000).to_be_bytes();
        let source = [10, 66, high, low].into();
        let forged = Advert { source, source_mac: attacker.mac(), ..siege.advert(0, Family::Ipv4, 255) };
        injector.send(&if number % 2 == 0 { forged.frame() } else { signed(forged).frame() })?;
        if number % 100 == 0 {
            until(&format!("all nodes to count {number} frames"), GENEROUS, || {
                let agents = siege.cluster.agents.iter().flatten();
                let counts = agents.map(|agent| agent.counters(Family::Ipv4, Siege::VRID));
                let counts = counts.collect::<Result<Vec<_>>>()?;
                Ok(counts.iter().all(|counters| counters.unknown_source >= number).then_some(()))
            })?;
        }
    }
    for node in 0..3 {
        siege.counted(node, Family::Ipv4, "unknown_source", COUNT)?;
        siege.counted(node, Family::Ipv4, "dropped", COUNT)?;
    }
    siege.was_in_vain()
}

/// Everything is forged but the code: to the Active in the name of a Backup, to a Backup in the name of the Active.
#[test]
fn row_03_forged_ip_and_mac() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 3)?;
    for (node, of) in [(0, 1), (1, 0), (2, 0)] {
        for family in FAMILIES {
            for priority in [255, 0] {
                let forged = forgeries(&siege.advert(of, family, priority));
                let frames: Vec<_> = forged.into_iter().map(|(advert, counter)| (advert.frame(), counter)).collect();
                refused(&siege, node, family, &frames)?;
            }
        }
    }
    siege.was_in_vain()
}

/// Ten a second of them.
#[test]
fn row_04_a_stream_of_the_highest_priority() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    for _ in 0..20 {
        for family in FAMILIES {
            for node in [0, 1] {
                let forged = siege.advert(1 - node, family, 255);
                refused(&siege, node, family, &[(forged.frame(), "auth_missing")])?;
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    siege.was_in_vain()
}

/// The Active does not answer what it does not believe.
#[test]
fn row_06_and_16_losing_adverts_are_not_answered() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    let frames = [0, 100].map(|priority| siege.advert(1, Family::Ipv4, priority).frame());
    let flooded = flood::of_losing_adverts(&siege, &frames)?;
    let regular = flooded.regular;
    ensure!((regular - 2..=regular + 1).contains(&flooded.sent), "{} adverts instead of {regular}", flooded.sent);
    siege.was_in_vain()
}

/// The last that is heard of the Active is a forgery with a long interval: it is not waited for.
#[test]
fn row_07_a_poisoned_interval() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    let took = unsigned::takeover_after(&siege, &|family| siege.advert(0, family, 200))?;
    // Active_Down_Interval is 1.7 s, and would be 3.4 s if the forgery were believed.
    ensure!(took < Duration::from_millis(3_200), "took {took:?}");
    Ok(())
}

#[test]
fn row_08_no_interval() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    for family in FAMILIES {
        let forged = |interval_cs| Advert { interval_cs, ..siege.advert(0, family, 200) };
        let frames = [
            (signed(forged(0)).frame(), "interval"),
            (forged(0).frame(), "interval"),
            (forged(1).frame(), "auth_missing"),
            (forged(4095).frame(), "auth_missing"),
        ];
        refused(&siege, 1, family, &frames)?;
    }
    siege.was_in_vain()
}

/// The genuine adverts that a capture has seen, of one node and family, oldest first.
fn genuine(siege: &Siege, capture: &Capture, node: usize, family: Family) -> Vec<Captured> {
    let mac = siege.node(node).mac();
    let is_genuine = |frame: &Captured| {
        decode::advertisement(&frame.bytes)
            .is_some_and(|advert| advert.source_mac == mac && advert.source.is_ipv6() == (family == Family::Ipv6))
    };
    capture.frames().into_iter().filter(is_genuine).collect()
}

/// Copies of what was heard before, to those who have heard it.
#[test]
fn row_09_copies() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 3)?;
    let capture = Capture::start(siege.cluster.client.namespace(), Host::INTERFACE)?;
    for family in FAMILIES {
        until("five adverts", GENEROUS, || Ok((genuine(&siege, &capture, 0, family).len() >= 5).then_some(())))?;
        // The last one may not have arrived everywhere, and those of long ago are stale.
        let copies = genuine(&siege, &capture, 0, family);
        let copies = &copies[copies.len() - 5..copies.len() - 1];
        let copies: Vec<_> = copies.iter().map(|frame| (frame.bytes.clone(), "auth_replayed")).collect();
        refused(&siege, 1, family, &copies)?;
        refused(&siege, 2, family, &copies)?;
        // And to the one who sent it.
        let returned: Vec<_> = copies.into_iter().map(|(frame, _)| (frame, "own_address")).collect();
        refused(&siege, 0, family, &returned)?;
    }
    siege.was_in_vain()
}

/// A node that has missed adverts takes a copy for genuine, once, while it is no older than the window; it waits for the
/// sender once more, and takes over again.
#[test]
fn row_09_copies_of_what_was_missed() -> Result<()> {
    const WINDOW: Duration = Duration::from_secs(5);
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    let agent = siege.cluster.agent(1)?;
    siege.cluster.lan.silence("n2")?;
    let capture = Capture::start(siege.cluster.client.namespace(), Host::INTERFACE)?;
    agent.wait_for("n2 to be Active", |status| status.all_in(&["Active"]))?;
    until("four adverts", GENEROUS, || Ok((genuine(&siege, &capture, 0, Family::Ipv4).len() >= 4).then_some(())))?;
    let copies = genuine(&siege, &capture, 0, Family::Ipv4);
    let [.., young, last] = copies.as_slice() else { unreachable!("there are four") };
    let wire = siege.wire(1)?;
    wire.send(&young.bytes)?;
    agent.wait_for_state(ROUTER, Family::Ipv4, "Backup")?;
    refused(
        &siege,
        1,
        Family::Ipv4,
        &[(young.bytes.clone(), "auth_replayed"), (copies[0].bytes.clone(), "auth_replayed")],
    )?;
    agent.wait_for_state(ROUTER, Family::Ipv4, "Active")?;
    let before = agent.status()?.transitions();
    thread::sleep((WINDOW + Duration::from_millis(100)).saturating_sub(last.at.elapsed()));
    refused(&siege, 1, Family::Ipv4, &[(last.bytes.clone(), "auth_stale")])?;
    ensure!(agent.status()?.transitions() == before, "a copy that is too old was believed");
    Ok(())
}

#[test]
fn row_10_other_addresses() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    for family in FAMILIES {
        for node in [0, 1] {
            let other = Advert {
                addresses: vec![other(siege.advert(0, family, 1).source)],
                ..siege.advert(1 - node, family, 255)
            };
            refused(&siege, node, family, &[(other.frame(), "auth_missing")])?;
            let differs = siege.cluster.agent(node)?.status()?.tally(ROUTER, family, "address_list_differs");
            ensure!(differs == Some(0), "{differs:?} lists of addresses were compared");
        }
    }
    siege.was_in_vain()
}

/// Right in everything but the length of the trailer, or behind headers that no router sends.
#[test]
fn row_15_malformed() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    for node in [0, 1] {
        for family in FAMILIES {
            let good = signed(siege.tempting(node, family));
            let with_trailer = |trailer: Vec<u8>| Advert { trailer, ..good.clone() };
            let mut frames: Vec<_> =
                (1..28).map(|len| (with_trailer(good.trailer[..len].to_vec()).frame(), "length")).collect();
            frames.extend(
                (1..40).map(|more| (with_trailer([&good.trailer[..], &vec![0; more]].concat()).frame(), "length")),
            );
            let (count, frame) = (u8::try_from(good.addresses.len())?, good.frame());
            frames.push((Advert { count: Some(0), ..good.clone() }.frame(), "address_count"));
            frames.push((Advert { count: Some(count + 1), ..good.clone() }.frame(), "length"));
            frames.push((spoil::as_first_fragment(&frame), "fragment"));
            frames.push(match family {
                Family::Ipv4 => (spoil::with_options(&frame), "ip_options"),
                Family::Ipv6 => (spoil::with_extension(&frame, 60, &[0, 1, 4, 0, 0, 0, 0]), "extension_header"),
            });
            refused(&siege, node, family, &frames)?;
        }
    }
    siege.was_in_vain()
}

/// A genuine advert that somebody carries into another VLAN is none of it.
#[test]
fn row_17_another_vlan() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    for node in [0, 1] {
        let wire = siege.wire(node)?;
        for family in FAMILIES {
            for tags in [vec![[0x8100, 5]], vec![[0x8100, 0], [0x8100, 5]]] {
                wire.send(&Advert { tags, ..signed(siege.tempting(node, family)) }.frame())?;
            }
        }
        let seen = |status: &harness::Status| status.0["interfaces"][0]["not_configured"] == 4;
        siege.cluster.agent(node)?.wait_for("four adverts of another VLAN", seen)?;
    }
    siege.was_in_vain()
}

#[test]
fn row_18_our_own_address() -> Result<()> {
    let lab = lab!();
    let siege = enforcing(&lab, 2)?;
    for node in [0, 1] {
        for family in FAMILIES {
            let frames = [255, 0].map(|priority| (signed(siege.advert(node, family, priority)).frame(), "own_address"));
            refused(&siege, node, family, &frames)?;
        }
    }
    siege.was_in_vain()
}

/// How long it takes from `start` until a node is Active in both families.
fn time_to_active(siege: &Siege, node: usize, start: Instant) -> Result<Duration> {
    for family in FAMILIES {
        siege.cluster.agent(node)?.wait_for_state(ROUTER, family, "Active")?;
    }
    Ok(start.elapsed())
}

/// Waits for a frame of a node, as `what` describes it, that comes after `since`.
fn wait_for_advert(capture: &Capture, siege: &Siege, node: usize, since: Instant, priority: u8) -> Result<Captured> {
    let mac = siege.node(node).mac();
    capture
        .wait_for("an advert", GENEROUS, |frame| {
            frame.at > since
                && decode::advertisement(&frame.bytes)
                    .is_some_and(|advert| (advert.source_mac, advert.priority) == (mac, priority))
        })
        .with_context(|| format!("of priority {priority} from n{}", node + 1))
}
