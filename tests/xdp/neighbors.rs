//! ARP and Neighbor Discovery about virtual addresses while the daemon is alive: claims of strangers, and silence of a
//! Backup.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use harness::{frame::Advert, lab};
use vrrp_wire::{
    Family, MacAddr,
    abi::{Claim, ClaimKey, RouterKey, VipKey},
};

use crate::{
    frames::{advert, announcement, answer, question, signed, syn},
    kernel::{
        Action, CAPTURED, FAMILIES, HOUR_NS, Hook, INWARD, KEY_1, Kernel, MULTICAST, OWN_MAC, PEER_MAC, SIGNED,
        STRANGER_MAC, host, key, now_ns, vip, vip_key,
    },
};

/// Which counter moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Nothing,
    Claim,
    Fenced,
    HeldBack,
    Traffic,
}

/// Lets `frame` meet a program, and looks at what becomes of it and which counter of the virtual router moves.
pub(crate) fn meets(
    kernel: &mut Kernel,
    hook: Hook,
    frame: &[u8],
    router: RouterKey,
    expected: (Action, Counted),
) -> Result<()> {
    let (action, counted) = expected;
    kernel.expect(router, |counters| match counted {
        Counted::Nothing => {}
        Counted::Claim => counters.claims += 1,
        Counted::Fenced => counters.fenced_neighbor += 1,
        Counted::HeldBack => counters.held_back += 1,
        Counted::Traffic => counters.fenced_traffic += 1,
    });
    let found = kernel.run(hook, frame)?;
    ensure!(found == action, "{found:?} instead of {action:?}");
    kernel.settle()?;
    ensure!(kernel.guard.next_advert().is_none(), "recorded as an advert");
    Ok(())
}

/// Makes this a node that has just heard its peer, Active or not.
fn become_node(kernel: &mut Kernel, enforce: u32, active: u32, family: Family) -> Result<()> {
    kernel.begin_anew()?;
    kernel.set_enforce(enforce)?;
    kernel.set_role(key(family, MULTICAST), active, HOUR_NS)?;
    kernel.agrees(Hook::Xdp, &advert(family).frame()).map(drop)
}

/// What is on the wire, and what becomes of it: in an Active, and in a Backup.
fn cases(family: Family) -> Vec<(&'static str, Vec<u8>, Counted, Counted)> {
    use Counted::{Claim, Fenced, Nothing};
    let vip = vip(family, MULTICAST);
    let (client, nobody) = (host(family, 9), unspecified(family));
    let (stranger, peer) = (STRANGER_MAC, PEER_MAC);
    vec![
        ("a client asks for it", question(stranger, client, vip), Nothing, Fenced),
        ("a peer asks for it", question(peer, client, vip), Nothing, Fenced),
        ("somebody probes for it", question(stranger, nobody, vip), Nothing, Fenced),
        ("a client asks for another", question(stranger, client, host(family, 10)), Nothing, Nothing),
        ("a peer announces it", announcement(peer, vip), Nothing, Nothing),
        ("a peer answers for it", answer(peer, peer, vip), Nothing, Nothing),
        ("a peer asks from it", question(peer, vip, client), Nothing, Nothing),
        ("we announce it", announcement(OWN_MAC, vip), Nothing, Nothing),
        ("a stranger announces it", announcement(stranger, vip), Claim, Claim),
        ("a stranger answers for it", answer(stranger, stranger, vip), Claim, Claim),
        ("a stranger asks from it", question(stranger, vip, client), Claim, Claim),
        ("a stranger names the peer", answer(stranger, peer, vip), Claim, Claim),
        ("a peer names a stranger", answer(peer, stranger, vip), Claim, Claim),
        ("a stranger answers for another", answer(stranger, stranger, client), Nothing, Nothing),
        ("a client connects to it", syn(stranger, client, vip), Nothing, Nothing),
    ]
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::from([0; 4]),
        Family::Ipv6 => IpAddr::from([0; 16]),
    }
}

/// A claim is stopped where this node is Active, and noted where it is not; a Backup answers nobody.
#[test]
fn arp_and_neighbor_discovery_are_met_as_the_role_says() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        for (enforce, active) in [(1, 1), (1, 0), (0, 1), (0, 0)] {
            become_node(&mut kernel, enforce, active, family)?;
            for (name, frame, as_active, as_backup) in cases(family) {
                let counted = if active == 1 { as_active } else { as_backup };
                let is_stopped = counted == Counted::Fenced || counted == Counted::Claim && active == 1;
                let action = if is_stopped && enforce == 1 { Action::Drop } else { Action::Pass };
                meets(&mut kernel, hook, &frame, key(family, MULTICAST), (action, counted))
                    .with_context(|| format!("{name}, {family}, {hook:?}, active {active}, enforce {enforce}"))?;
            }
        }
    }
    Ok(())
}

/// RFC 4861 §7.1: whoever takes one that was forwarded is broken.
#[test]
fn forwarded_neighbor_discovery_is_not_met() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    let router = key(Family::Ipv6, MULTICAST);
    let vip = vip(Family::Ipv6, MULTICAST);
    for hook in INWARD {
        for active in [0, 1] {
            become_node(&mut kernel, 1, active, Family::Ipv6)?;
            for mut frame in [announcement(STRANGER_MAC, vip), question(STRANGER_MAC, host(Family::Ipv6, 9), vip)] {
                // The hop limit.
                frame[21] = 254;
                meets(&mut kernel, hook, &frame, router, (Action::Pass, Counted::Nothing))
                    .with_context(|| format!("{hook:?}, active {active}"))?;
            }
        }
    }
    Ok(())
}

/// Before any advert a peer is a stranger; after it, it is not.
#[test]
fn a_good_advert_makes_its_sender_known() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    let places = INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family)));
    for ((hook, family), number) in places.zip(0x20..) {
        // Nobody has heard this one before.
        let mac = MacAddr([0x02, 0, 0, 0, 0, number]);
        let good = Advert { source_mac: mac, ..advert(family) };
        let router = key(family, MULTICAST);
        kernel.add_peer(router, host(family, 2), Some(mac))?;
        let claim = announcement(mac, vip(family, MULTICAST));
        meets(&mut kernel, hook, &claim, router, (Action::Drop, Counted::Claim)).context("before any advert")?;
        for bad in [Advert { ttl: 1, ..good.clone() }, Advert { source: host(family, 66), ..good.clone() }] {
            kernel.agrees(hook, &bad.frame())?;
        }
        meets(&mut kernel, hook, &claim, router, (Action::Drop, Counted::Claim)).context("after bad adverts")?;
        kernel.agrees(hook, &good.frame())?;
        meets(&mut kernel, hook, &claim, router, (Action::Pass, Counted::Nothing)).context("after a good advert")?;
        let mut tagged = claim.clone();
        tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
        meets(&mut kernel, hook, &tagged, router, (Action::Pass, Counted::Nothing)).context("in a VLAN, not ours")?;
    }
    Ok(())
}

/// Nobody without the key becomes known by a copy of a signed advert, however fast he is: the daemon has not read it yet. Nor does
/// the copy count as a sign of life.
#[test]
fn a_copy_makes_nobody_known() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    let places = INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family)));
    for ((hook, family), number) in places.zip(0x30..) {
        kernel.begin_anew()?;
        // Nobody has heard this one before.
        let stranger = MacAddr([0x02, 0, 0, 0, 0, number]);
        let router = key(family, SIGNED);
        kernel.add_peer(router, host(family, 2), None)?;
        let claim = announcement(stranger, vip(family, SIGNED));
        kernel.run(hook, &signed(family).frame())?;
        let known = kernel.peer(family, SIGNED)?;
        ensure!((known.adverts, known.last_sequence) == (1, CAPTURED), "{known:?}");

        let earlier = Advert { vrid: SIGNED, ..advert(family) }.signed(1, &KEY_1, CAPTURED - 1);
        for copy in [signed(family), earlier] {
            kernel.run(hook, &Advert { source_mac: stranger, ..copy }.frame())?;
            ensure!(kernel.peer(family, SIGNED)? == known, "{:?}", kernel.peer(family, SIGNED)?);
        }
        ensure!(kernel.run(hook, &claim)? == Action::Drop, "who has sent copies is a station, {hook:?}, {family}");

        let later = Advert { vrid: SIGNED, ..advert(family) }.signed(1, &KEY_1, CAPTURED + 1);
        kernel.run(hook, &Advert { source_mac: stranger, ..later }.frame())?;
        ensure!(kernel.run(hook, &claim)? == Action::Pass, "who has said something new is none, {hook:?}, {family}");
    }
    Ok(())
}

/// Who claims what, from where, how often and when.
#[test]
fn claims_are_noted() -> Result<()> {
    let _lab = lab!();
    for (hook, family) in INWARD.into_iter().zip(FAMILIES) {
        let mut kernel = Kernel::new(1)?;
        become_node(&mut kernel, 1, 0, family)?;
        let other = MacAddr([0x02, 0, 0, 0, 0, 0x67]);
        let address = vip(family, MULTICAST);
        let before_ns = now_ns()?;
        for frame in [
            announcement(STRANGER_MAC, address),
            answer(STRANGER_MAC, STRANGER_MAC, address),
            answer(PEER_MAC, other, address),
            announcement(PEER_MAC, address),
            announcement(STRANGER_MAC, host(family, 10)),
        ] {
            kernel.run(hook, &frame)?;
        }
        let after_ns = now_ns()?;
        let mut claims = kernel.guard.claims();
        claims.sort_by_key(|(key, _)| *key);
        let vip: VipKey = vip_key(family, MULTICAST);
        let expected = [STRANGER_MAC, other].map(|mac| ClaimKey { vip, mac: mac.0, padding: [0; 2] });
        let [(first, repeated), (second, single)] = claims.as_slice() else { anyhow::bail!("{claims:?}") };
        ensure!([*first, *second] == expected, "{claims:?}");
        ensure!((repeated.frames, single.frames) == (2, 1), "{claims:?}");
        let is_in_order = |claim: &Claim| before_ns <= claim.first_ns && claim.last_ns <= after_ns;
        ensure!(is_in_order(repeated) && is_in_order(single) && repeated.first_ns < repeated.last_ns, "{claims:?}");
        ensure!(single.first_ns == single.last_ns, "{claims:?}");
    }
    Ok(())
}

/// On the way out: a Backup says nothing in the name of a virtual address, an Active says what it likes.
#[test]
fn a_backup_is_kept_from_speaking_for_a_virtual_address() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for family in FAMILIES {
        let vip = vip(family, MULTICAST);
        let client = host(family, 9);
        let cases = [
            ("an announcement", announcement(OWN_MAC, vip), true),
            ("an answer", answer(OWN_MAC, OWN_MAC, vip), true),
            ("a question in its name", question(OWN_MAC, vip, client), true),
            ("a question for it", question(OWN_MAC, host(family, 1), vip), false),
            ("our own address", announcement(OWN_MAC, host(family, 1)), false),
            ("an advert", advert(family).frame(), false),
            ("a connection from it", syn(OWN_MAC, vip, client), false),
        ];
        for (enforce, active) in [(1, 1), (1, 0), (0, 0)] {
            become_node(&mut kernel, enforce, active, family)?;
            for (name, frame, is_in_its_name) in &cases {
                let is_stopped = *is_in_its_name && active == 0;
                let counted = if is_stopped { Counted::HeldBack } else { Counted::Nothing };
                let action = if is_stopped && enforce == 1 { Action::Drop } else { Action::Pass };
                meets(&mut kernel, Hook::Egress, frame, key(family, MULTICAST), (action, counted))
                    .with_context(|| format!("{name}, {family}, active {active}, enforce {enforce}"))?;
            }
        }
    }
    Ok(())
}

/// With `fence = "off"` the host may say what it likes; strangers may not.
#[test]
fn without_a_fence_only_claims_are_met() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        for active in [0, 1] {
            become_node(&mut kernel, 1, active, family)?;
            let router = key(family, MULTICAST);
            let vip = vip(family, MULTICAST);
            kernel.open_for_good(router)?;
            let claim = if active == 1 { Action::Drop } else { Action::Pass };
            let claimed = announcement(STRANGER_MAC, vip);
            meets(&mut kernel, hook, &claimed, router, (claim, Counted::Claim))?;
            let question = question(STRANGER_MAC, host(family, 9), vip);
            meets(&mut kernel, hook, &question, router, (Action::Pass, Counted::Nothing))?;
            let own = announcement(OWN_MAC, vip);
            meets(&mut kernel, Hook::Egress, &own, router, (Action::Pass, Counted::Nothing))?;
        }
    }
    Ok(())
}
