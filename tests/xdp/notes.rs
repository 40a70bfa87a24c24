//! What the guard notes for people: who speaks, and what was refused.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use harness::{frame::Advert, lab};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity},
    unistd::Pid,
};
use vrrp_wire::{
    Family,
    abi::{Source, SourceKey, Verdict, address_bytes},
};

use crate::{
    frames::{advert, announcement, carp, cases, syn},
    kernel::{
        CAPTURED, FAMILIES, Hook, IFINDEX, INWARD, Kernel, MULTICAST, PEER_MAC, SECOND, SIGNED, STRANGER_MAC, host,
        now_ns, peer_key, vip,
    },
};

/// The speaker that an advert of the peer is noted under.
fn speaker(family: Family) -> SourceKey {
    SourceKey {
        ifindex: IFINDEX,
        vlan: 0,
        family: family.number(),
        vrid: MULTICAST,
        source: address_bytes(host(family, 2)),
        mac: PEER_MAC.0,
        version: 3,
        padding: 0,
    }
}

#[test]
fn every_speaker_is_noted_with_what_it_says() -> Result<()> {
    let _lab = lab!();
    for (hook, family) in INWARD.into_iter().zip(FAMILIES) {
        let mut kernel = Kernel::new(1)?;
        let stranger = host(family, 66);
        let said = Source {
            frames: 1,
            address: address_bytes(host(family, 100)),
            interval_cs: 100,
            priority: 200,
            addresses: 1,
            ..Source::default()
        };
        let is = |verdict: Verdict| Source { verdict: verdict as u32, ..said };
        let known = speaker(family);
        let from_stranger = SourceKey { source: address_bytes(stranger), mac: STRANGER_MAC.0, ..known };
        let silent = Source { address: [0; 16], addresses: 0, priority: 100, ..is(Verdict::Carp) };
        let cases = [
            ("a peer", advert(family), known, is(Verdict::Admitted)),
            (
                "somebody else's",
                Advert { vrid: 99, ..advert(family) },
                SourceKey { vrid: 99, ..known },
                is(Verdict::NotConfigured),
            ),
            (
                "a VLAN",
                Advert { tags: vec![[0x8100, 5]], ..advert(family) },
                SourceKey { vlan: 5, ..known },
                is(Verdict::NotConfigured),
            ),
            (
                "a stranger",
                Advert { source: stranger, source_mac: STRANGER_MAC, ..advert(family) },
                from_stranger,
                is(Verdict::UnknownSource),
            ),
            (
                "VRRPv2",
                Advert { version: 2, ..advert(family) },
                SourceKey { version: 2, ..known },
                Source { interval_cs: 10_000, ..is(Verdict::Version) },
            ),
            ("CARP", carp(family), SourceKey { version: 0, ..known }, silent),
        ];
        let before_ns = now_ns()?;
        for (_, advert, _, _) in &cases {
            kernel.run(hook, &advert.frame())?;
        }
        let noted: BTreeMap<_, _> = kernel.guard.sources().into_iter().collect();
        for (case, _, key, expected) in &cases {
            let source = noted.get(key).with_context(|| format!("{case}, {family}, {hook:?}: {noted:?}"))?;
            ensure!((before_ns..=now_ns()?).contains(&source.first_ns), "{case}: {source:?}");
            ensure!(source.last_ns == source.first_ns, "{case}: {source:?}");
            let source = Source { first_ns: 0, last_ns: 0, ..*source };
            ensure!(source == *expected, "{case}, {family}, {hook:?}: {source:?} instead of {expected:?}");
        }
        ensure!(noted.len() == cases.len(), "{noted:?}");
    }
    Ok(())
}

#[test]
fn a_speaker_is_noted_once_with_its_last_words() -> Result<()> {
    let _lab = lab!();
    for (hook, family) in INWARD.into_iter().zip(FAMILIES) {
        let mut kernel = Kernel::new(1)?;
        for priority in [200, 150, 0] {
            kernel.run(hook, &Advert { priority, interval_cs: 0xf3e8, ..advert(family) }.frame())?;
        }
        let sources = kernel.guard.sources();
        let [(key, source)] = sources.as_slice() else { anyhow::bail!("{sources:?}") };
        ensure!(*key == speaker(family), "{key:?}");
        ensure!((source.frames, source.priority, source.interval_cs) == (3, 0, 1000), "{source:?}");
        ensure!(source.last_ns > source.first_ns, "{source:?}");
    }
    Ok(())
}

/// Keeps the thread on one CPU, for maps that have an entry for each.
fn stay_on_one_cpu() -> Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mut one = CpuSet::new();
    let here = sched_getcpu()?;
    ensure!(allowed.is_set(here)?, "this thread is where it may not be");
    one.set(here)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

#[test]
fn every_bad_frame_is_kept_and_no_other() -> Result<()> {
    let _lab = lab!();
    for (hook, family) in INWARD.into_iter().zip(FAMILIES) {
        let mut kernel = Kernel::new(1)?;
        kernel.set_mark(peer_key(family, SIGNED), CAPTURED - SECOND)?;
        let mut expected = Vec::new();
        let before_ns = now_ns()?;
        for case in cases(family) {
            kernel.run(hook, &case.frame)?;
            if case.verdict.is_bad() {
                expected.push((case.name, case.verdict, case.frame));
            }
        }
        for frame in
            [announcement(STRANGER_MAC, vip(family, MULTICAST)), syn(PEER_MAC, host(family, 9), host(family, 1))]
        {
            kernel.run(hook, &frame)?;
        }
        let kept = kernel.guard.rejects();
        ensure!(kept.len() == expected.len(), "{} kept, {} bad", kept.len(), expected.len());
        let mut last_ns = before_ns;
        for (reject, (name, verdict, frame)) in kept.iter().zip(expected) {
            // In pairs, and no more than there is room for.
            let captured = if frame.len() > 128 { 128 } else { frame.len() - frame.len() % 2 };
            let found = (reject.ifindex, reject.verdict, usize::try_from(reject.frame_len)?);
            ensure!(found == (IFINDEX, verdict as u32, frame.len()), "{name}, {family}, {hook:?}: {reject:?}");
            ensure!(usize::from(reject.captured) == captured, "{name}: {} bytes", reject.captured);
            ensure!(reject.frame[..captured] == frame[..captured], "{name}: other bytes");
            ensure!(reject.at_ns > last_ns, "{name}: out of order");
            last_ns = reject.at_ns;
        }
    }
    Ok(())
}

#[test]
fn the_oldest_bad_frames_give_way() -> Result<()> {
    let _lab = lab!();
    stay_on_one_cpu()?;
    let mut kernel = Kernel::new(1)?;
    for number in 1..=200 {
        kernel.run(Hook::Xdp, &Advert { priority: number, ttl: 1, ..advert(Family::Ipv4) }.frame())?;
    }
    let priorities: Vec<_> = kernel.guard.rejects().iter().map(|reject| reject.frame[36]).collect();
    let expected: Vec<_> = (137..=200).collect();
    ensure!(priorities == expected, "{priorities:?}");
    Ok(())
}
