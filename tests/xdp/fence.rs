//! The daemon is hung or dead: a peer that takes over closes the fence, and silence, Priority 0 or a heartbeat opens it.

use anyhow::{Context, Result, ensure};
use harness::{frame::Advert, lab};
use vrrp_wire::{
    Family,
    abi::{Fence, Heartbeat, Verdict},
};

use crate::{
    frames::{advert, announcement, question, signed, syn},
    kernel::{
        Action, CAPTURED_NS, FAMILIES, Hook, INWARD, Kernel, MULTICAST, OWN_MAC, PEER_MAC, SIGNED, STRANGER_MAC,
        UNICAST, host, key, now_ns, vip,
    },
    neighbors::{Counted, meets},
};

/// How long the daemon may be silent.
const STALE_AFTER_NS: u64 = 2_000_000_000;

/// Makes this a node whose daemon has fallen silent.
fn hang(kernel: &mut Kernel, family: Family, active: u32) -> Result<()> {
    kernel.begin_anew()?;
    for vrid in [MULTICAST, UNICAST, SIGNED] {
        kernel.set_role(key(family, vrid), active, STALE_AFTER_NS)?;
    }
    falls_silent(kernel)
}

fn falls_silent(kernel: &mut Kernel) -> Result<()> {
    let now_ns = now_ns()?;
    let beat_ns = now_ns - 10 * STALE_AFTER_NS;
    kernel.set_heartbeat(Heartbeat { beat_ns, wall_offset_ns: CAPTURED_NS - now_ns })
}

/// A good advert of a peer that is waited for long enough for any test.
fn patient(family: Family) -> Advert {
    Advert { interval_cs: 4095, ..advert(family) }
}

/// The peer's advert, and how the fence stands after it.
fn hears(kernel: &mut Kernel, hook: Hook, advert: &Advert, family: Family) -> Result<Fence> {
    kernel.expect(key(family, advert.vrid), |counters| counters.add(Verdict::Admitted));
    ensure!(kernel.run(hook, &advert.frame())? == Action::Pass, "a good advert is dropped");
    kernel.settle()?;
    kernel.guard.next_advert().context("a good advert is not recorded")?;
    fence(kernel, family)
}

fn fence(kernel: &Kernel, family: Family) -> Result<Fence> {
    kernel.guard.fence(&key(family, MULTICAST)).context("no fence")
}

/// Whether the host is kept from answering, hearing and speaking for the virtual address.
fn is_fenced(kernel: &mut Kernel, hook: Hook, family: Family, expected: bool) -> Result<()> {
    let (vip, client) = (vip(family, MULTICAST), host(family, 9));
    let frames = [
        (hook, question(STRANGER_MAC, client, vip), Counted::Fenced),
        (hook, syn(STRANGER_MAC, client, vip), Counted::Traffic),
        (Hook::Egress, announcement(OWN_MAC, vip), Counted::HeldBack),
    ];
    for (hook, frame, counted) in frames {
        let expected = if expected { (Action::Drop, counted) } else { (Action::Pass, Counted::Nothing) };
        meets(kernel, hook, &frame, key(family, MULTICAST), expected).with_context(|| format!("{counted:?}"))?;
    }
    Ok(())
}

/// Whatever is not about the virtual address goes on as ever.
fn others_pass(kernel: &mut Kernel, hook: Hook, family: Family) -> Result<()> {
    let client = host(family, 9);
    let frames = [
        question(STRANGER_MAC, client, host(family, 1)),
        question(STRANGER_MAC, client, vip(family, UNICAST)),
        syn(STRANGER_MAC, client, host(family, 1)),
        syn(STRANGER_MAC, client, vip(family, UNICAST)),
        announcement(PEER_MAC, vip(family, MULTICAST)),
    ];
    for (number, frame) in frames.into_iter().enumerate() {
        meets(kernel, hook, &frame, key(family, MULTICAST), (Action::Pass, Counted::Nothing))
            .with_context(|| format!("frame {number}"))?;
    }
    Ok(())
}

/// Runs a test in both programs that meet what is received, for each family.
fn everywhere(test: impl Fn(&mut Kernel, Hook, Family) -> Result<()>) -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        test(&mut kernel, hook, family).with_context(|| format!("{hook:?}, {family}"))?;
    }
    Ok(())
}

/// Nobody else has taken the address: somebody has to answer.
#[test]
fn silence_alone_closes_nothing() -> Result<()> {
    everywhere(|kernel, hook, family| {
        hang(kernel, family, 1)?;
        is_fenced(kernel, hook, family, false)?;
        ensure!(fence(kernel, family)? == Fence::default());
        Ok(())
    })
}

#[test]
fn a_peers_advert_closes_the_fence_for_four_of_its_intervals() -> Result<()> {
    everywhere(|kernel, hook, family| {
        hang(kernel, family, 1)?;
        // (interval in centiseconds, four of them in nanoseconds)
        for (interval_cs, span_ns) in [(100, 4_000_000_000), (4095, 163_800_000_000), (6000, 76_160_000_000)] {
            let before_ns = now_ns()?;
            let heard = Advert { interval_cs, ..advert(family) };
            let fence = hears(kernel, hook, &heard, family)?;
            let window = before_ns + span_ns..=now_ns()? + span_ns;
            ensure!(window.contains(&fence.closed_until_ns), "{interval_cs} cs: {fence:?}, {window:?}");
            ensure!(fence.closings == 1, "closed twice: {fence:?}");
            is_fenced(kernel, hook, family, true)?;
            others_pass(kernel, hook, family)?;
        }
        Ok(())
    })
}

#[test]
fn a_peer_that_leaves_opens_the_fence() -> Result<()> {
    everywhere(|kernel, hook, family| {
        hang(kernel, family, 1)?;
        hears(kernel, hook, &patient(family), family)?;
        is_fenced(kernel, hook, family, true)?;
        let fence = hears(kernel, hook, &Advert { priority: 0, ..patient(family) }, family)?;
        ensure!((fence.closed_until_ns, fence.closings) == (0, 1), "{fence:?}");
        is_fenced(kernel, hook, family, false)?;
        let fence = hears(kernel, hook, &patient(family), family)?;
        ensure!(fence.closings == 2, "{fence:?}");
        is_fenced(kernel, hook, family, true)?;
        Ok(())
    })
}

#[test]
fn a_peer_that_falls_silent_opens_the_fence() -> Result<()> {
    everywhere(|kernel, hook, family| {
        hang(kernel, family, 1)?;
        let fence = hears(kernel, hook, &patient(family), family)?;
        is_fenced(kernel, hook, family, true)?;
        // Four intervals later.
        kernel.guard.set_fence(key(family, MULTICAST), Fence { closed_until_ns: now_ns()?, ..fence })?;
        is_fenced(kernel, hook, family, false)?;
        let fence = hears(kernel, hook, &patient(family), family)?;
        ensure!(fence.closings == 2, "{fence:?}");
        is_fenced(kernel, hook, family, true)?;
        Ok(())
    })
}

/// And for good: when it hangs again, a peer has to take over again.
#[test]
fn a_daemon_that_comes_back_opens_the_fence() -> Result<()> {
    everywhere(|kernel, hook, family| {
        hang(kernel, family, 1)?;
        let closed = hears(kernel, hook, &patient(family), family)?;
        kernel.set_wall_clock(CAPTURED_NS)?;
        is_fenced(kernel, hook, family, false)?;
        // While it is there no advert moves the fence.
        ensure!(hears(kernel, hook, &patient(family), family)? == closed);
        ensure!(hears(kernel, hook, &Advert { priority: 0, ..patient(family) }, family)? == closed);
        falls_silent(kernel)?;
        is_fenced(kernel, hook, family, false)?;
        ensure!(hears(kernel, hook, &patient(family), family)?.closings == closed.closings + 1);
        is_fenced(kernel, hook, family, true)?;
        Ok(())
    })
}

#[test]
fn only_a_good_advert_for_an_active_closes_the_fence() -> Result<()> {
    everywhere(|kernel, hook, family| {
        hang(kernel, family, 1)?;
        let bad = [
            Advert { ttl: 1, ..advert(family) },
            Advert { source: host(family, 66), ..advert(family) },
            Advert { source_mac: STRANGER_MAC, ..advert(family) },
            Advert { interval_cs: 0, ..advert(family) },
            Advert { destination: host(family, 3), ..advert(family) },
            Advert { priority: 255, ..signed(family) },
            Advert { vrid: SIGNED, ..advert(family) },
            Advert { vrid: 99, ..advert(family) },
        ];
        // Nothing is dropped for a daemon that is not there.
        kernel.set_enforce(0)?;
        for (number, bad) in bad.into_iter().enumerate() {
            kernel.agrees(hook, &bad.frame())?;
            for vrid in [MULTICAST, SIGNED] {
                let fence = kernel.guard.fence(&key(family, vrid));
                ensure!(fence == Some(Fence::default()), "advert {number}, {family}, {hook:?}: {fence:?}");
            }
        }
        kernel.set_enforce(1)?;
        // A signed one does, and of its own virtual router only.
        kernel.agrees(hook, &signed(family).frame())?;
        let fences = [MULTICAST, SIGNED].map(|vrid| kernel.guard.fence(&key(family, vrid)).map(|fence| fence.closings));
        ensure!(fences == [Some(0), Some(1)], "{fences:?}");

        hang(kernel, family, 0)?;
        ensure!(hears(kernel, hook, &patient(family), family)? == Fence::default(), "a Backup has a fence");
        hang(kernel, family, 1)?;
        kernel.open_for_good(key(family, MULTICAST))?;
        ensure!(hears(kernel, hook, &patient(family), family)? == Fence::default(), "the fence is off");
        is_fenced(kernel, hook, family, false)?;
        Ok(())
    })
}

/// Stale heartbeat and closed fence drop no advert, good or bad, and count no claim away.
#[test]
fn adverts_come_through_a_closed_fence() -> Result<()> {
    everywhere(|kernel, hook, family| {
        hang(kernel, family, 1)?;
        hears(kernel, hook, &patient(family), family)?;
        kernel.expect(key(family, MULTICAST), |counters| {
            counters.ttl += 1;
            counters.would_drop += 1;
        });
        ensure!(kernel.run(hook, &Advert { ttl: 1, ..advert(family) }.frame())? == Action::Pass);
        kernel.settle()?;
        let claim = announcement(STRANGER_MAC, vip(family, MULTICAST));
        meets(kernel, hook, &claim, key(family, MULTICAST), (Action::Pass, Counted::Claim))?;
        Ok(())
    })
}
