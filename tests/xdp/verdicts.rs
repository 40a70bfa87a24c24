//! Every verdict on every shape of frame, by both programs that judge what arrives.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use harness::{frame::Advert, lab};
use vrrp_wire::{
    Family,
    abi::{Heartbeat, Verdict},
};

use crate::{
    frames::{Case, FRAME_MIN, advert, cases, signed},
    kernel::{
        Action, CAPTURED, EITHER, FAMILIES, HOUR_NS, Hook, INWARD, KEY_1, Kernel, MULTICAST, SECOND, SIGNED, UNICAST,
        VRIDS, host, key, now_ns, peer_key,
    },
};

/// Whether adverts of `family` can have this verdict.
const fn applies(verdict: Verdict, family: Family) -> bool {
    !matches!(
        (verdict, family),
        (Verdict::IpOptions, Family::Ipv6) | (Verdict::ExtensionHeader | Verdict::AddressList, Family::Ipv4)
    )
}

/// The kernel of the table of cases.
fn kernel(enforce: u32) -> Result<Kernel> {
    let mut kernel = Kernel::new(enforce)?;
    for family in FAMILIES {
        kernel.set_mark(peer_key(family, SIGNED), CAPTURED - SECOND)?;
    }
    Ok(kernel)
}

/// Runs one case and looks at all that it must change, and must not.
fn judge(kernel: &mut Kernel, hook: Hook, family: Family, case: &Case, enforce: u32) -> Result<()> {
    let is_bad = u64::from(case.action == Action::Drop);
    kernel.expect(key(family, case.counted_under), |counters| {
        counters.add(case.verdict);
        counters.dropped += is_bad * u64::from(enforce);
        counters.would_drop += is_bad * u64::from(1 - enforce);
    });
    let action = kernel.run(hook, &case.frame)?;
    let expected = if enforce == 1 { case.action } else { Action::Pass };
    ensure!(action == expected, "{action:?} instead of {expected:?}");
    kernel.settle()?;
    let is_recorded = kernel.guard.next_advert().is_some();
    let is_handed_over = matches!(case.verdict, Verdict::Admitted | Verdict::Unverified);
    ensure!(is_recorded == is_handed_over, "recorded: {is_recorded}");
    Ok(())
}

/// Each frame is judged as it should in both modes, and counted under its verdict and nowhere else.
/// Rows: +B15 -B15 +B16 -B16
#[test]
fn every_verdict_has_its_counter_and_its_action() -> Result<()> {
    let _lab = lab!();
    let mut kernel = kernel(1)?;
    for enforce in [0, 1] {
        kernel.set_enforce(enforce)?;
        for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
            let mut seen = BTreeSet::new();
            for case in cases(family) {
                judge(&mut kernel, hook, family, &case, enforce)
                    .with_context(|| format!("{}, {family}, {hook:?}, enforce = {enforce}", case.name))?;
                seen.insert(case.verdict);
            }
            let all: BTreeSet<_> = Verdict::ALL.iter().copied().filter(|&verdict| applies(verdict, family)).collect();
            assert_eq!(seen, all, "verdicts that {family} adverts were given");
        }
    }
    Ok(())
}

/// What this host sends is its own affair.
#[test]
fn adverts_on_their_way_out_are_not_judged() -> Result<()> {
    let _lab = lab!();
    let mut kernel = kernel(1)?;
    for family in FAMILIES {
        for case in cases(family) {
            ensure!(kernel.run(Hook::Egress, &case.frame)? == Action::Pass, "{}", case.name);
        }
    }
    kernel.settle()
}

/// Where a frame belongs by its tags.
enum Seen {
    Untagged,
    /// In VLAN 5, where no virtual router is.
    Vlan,
    Nowhere,
}

/// Tags that the kernel takes for none, and others; in front of every case.
#[test]
fn tags_are_read_as_the_host_reads_them() -> Result<()> {
    let _lab = lab!();
    let priority = [0x81, 0x00, 0xe0, 0x00];
    let provider_priority = [0x88, 0xa8, 0x00, 0x00];
    let vlan = [0x81, 0x00, 0x00, 0x05];
    let provider = [0x88, 0xa8, 0x40, 0x06];
    let tags: [(&[[u8; 4]], Seen); 10] = [
        (&[], Seen::Untagged),
        (&[priority], Seen::Untagged),
        (&[provider_priority, priority], Seen::Untagged),
        (&[vlan], Seen::Vlan),
        (&[priority, vlan], Seen::Vlan),
        (&[vlan, priority], Seen::Vlan),
        (&[provider], Seen::Nowhere),
        (&[provider, vlan], Seen::Nowhere),
        (&[vlan, vlan], Seen::Nowhere),
        (&[priority, priority, priority], Seen::Nowhere),
    ];
    let mut kernel = kernel(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        // Cases that bring a tag of their own aside.
        for case in cases(family).into_iter().filter(|case| case.frame[12..14] != [0x81, 0x00]) {
            for (tags, seen) in &tags {
                let name = || format!("{}, {family}, {hook:?}, tags {tags:02x?}", case.name);
                let (addresses, rest) = case.frame.split_at(12);
                let frame = [addresses, tags.as_flattened(), rest].concat();
                let verdict = kernel.agrees(hook, &frame).with_context(name)?;
                let expected = match seen {
                    Seen::Untagged => Some(case.verdict),
                    Seen::Vlan if case.verdict == Verdict::Carp => Some(Verdict::Carp),
                    Seen::Vlan => Some(Verdict::NotConfigured),
                    Seen::Nowhere => None,
                };
                ensure!(verdict == expected, "{}: {verdict:?}", name());
            }
        }
    }
    kernel.settle()
}

/// A message of every length from 0 on, all of it there, for a virtual router that wants a trailer, one that takes one,
/// and one that does not.
/// Rows: -B4 -B5
#[test]
fn only_the_exact_length_is_right() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        let (message_at, length_at, header_len, unsigned) = match family {
            Family::Ipv4 => (34, 16, 20, 12),
            Family::Ipv6 => (54, 18, 0, 24),
        };
        for vrid in VRIDS {
            let good = Advert { vrid, ..advert(family) };
            let good = if vrid == UNICAST { Advert { destination: host(family, 1), ..good } } else { good };
            let takes_trailer = matches!(vrid, SIGNED | EITHER);
            let frame = if takes_trailer { good.signed(1, &KEY_1, CAPTURED) } else { good }.frame();
            for len in 0..=200_usize {
                let mut frame = frame.clone();
                frame.resize(message_at + len, 0);
                let stated = u16::try_from(header_len + len)?.to_be_bytes();
                frame[length_at..length_at + 2].copy_from_slice(&stated);
                let verdict = kernel.agrees(hook, &frame)?;
                let expected = match len {
                    0 | 1 => None,
                    len if len == unsigned && vrid == SIGNED => Some(Verdict::AuthMissing),
                    len if len == unsigned || takes_trailer && len == unsigned + 28 => Some(Verdict::Admitted),
                    _ => Some(Verdict::Length),
                };
                ensure!(verdict == expected, "{len} bytes, VRID {vrid}, {family}, {hook:?}: {verdict:?}");
            }
        }
    }
    kernel.settle()
}

/// Every frame cut off at every place.
/// Rows: -B4
#[test]
fn a_frame_cut_short_is_never_admitted() -> Result<()> {
    let _lab = lab!();
    let mut kernel = kernel(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        for case in cases(family) {
            for len in (FRAME_MIN..case.frame.len()).filter(|&len| Kernel::takes(hook, &case.frame[..len])) {
                let verdict = kernel.agrees(hook, &case.frame[..len]).with_context(|| case.name)?;
                let is_handed_over = verdict.is_some_and(Verdict::is_handed_over);
                ensure!(!is_handed_over, "{len} bytes of {}, {family}, {hook:?}", case.name);
            }
        }
    }
    kernel.settle()
}

/// Padding does not matter, whatever is in it.
/// Rows: +B5
#[test]
fn ethernet_padding_changes_no_verdict() -> Result<()> {
    let _lab = lab!();
    let mut kernel = kernel(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        for case in cases(family).into_iter().filter(|case| case.verdict != Verdict::Truncated) {
            for padding in [1, 2, 3, 18, 28, 46] {
                let mut frame = case.frame.clone();
                frame.resize(frame.len() + padding, 0xee);
                let verdict = kernel.agrees(hook, &frame)?;
                ensure!(verdict == Some(case.verdict), "{}, {padding} bytes, {hook:?}: {verdict:?}", case.name);
            }
        }
    }
    kernel.settle()
}

/// Before the daemon has said what time it is, user space verifies.
#[test]
fn without_a_clock_signed_adverts_are_handed_over_unverified() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    kernel.set_heartbeat(Heartbeat { beat_ns: now_ns()?, wall_offset_ns: 0 })?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        kernel.expect(key(family, SIGNED), |counters| counters.unverified += 1);
        ensure!(kernel.run(hook, &signed(family).frame())? == Action::Pass);
        kernel.settle()?;
        ensure!(kernel.guard.next_advert().is_some());
        ensure!(kernel.peer(family, SIGNED)?.adverts == 0, "stamped although nobody has verified it");
    }
    Ok(())
}

/// Another program may have taken the place of a daemon that is dead; it needs its adverts, and decides about the bad ones.
#[test]
fn nothing_is_dropped_for_a_daemon_that_is_not_there() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        let stranger = Advert { source: host(family, 67), ..advert(family) };
        for (stale_after_ns, expected) in [(HOUR_NS, Action::Drop), (0, Action::Pass)] {
            kernel.set_role(key(family, MULTICAST), 1, stale_after_ns)?;
            kernel.expect(key(family, MULTICAST), |counters| {
                counters.unknown_source += 1;
                counters.dropped += u64::from(expected == Action::Drop);
                counters.would_drop += u64::from(expected == Action::Pass);
            });
            let action = kernel.run(hook, &stranger.frame())?;
            ensure!(action == expected, "{family}, {hook:?}: {action:?}");
            kernel.settle()?;
        }
    }
    Ok(())
}

/// Behind a header that is longer than what is looked through: nothing is found, and nothing that was found of the frame
/// before is taken for it.
#[test]
fn a_message_out_of_reach_is_not_judged_by_the_one_before() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    let mut padding = vec![10, 1, 84];
    padding.resize(87, 0);
    let far = crate::spoil::with_extension(&advert(Family::Ipv6).frame(), 60, &padding);
    for hook in INWARD {
        kernel.begin_anew()?;
        // The first frame that this CPU sees, and one after a good advert.
        for before in [None, Some(advert(Family::Ipv6))] {
            if let Some(before) = before {
                kernel.expect(key(Family::Ipv6, MULTICAST), |counters| counters.admitted += 1);
                kernel.run(hook, &before.frame())?;
                kernel.guard.next_advert().context("a good advert is not recorded")?;
            }
            let stamped = kernel.peer(Family::Ipv6, MULTICAST)?;
            ensure!(kernel.run(hook, &far)? == Action::Pass);
            kernel.settle()?;
            ensure!(kernel.guard.next_advert().is_none(), "recorded");
            ensure!(kernel.peer(Family::Ipv6, MULTICAST)? == stamped, "stamped");
        }
    }
    Ok(())
}
