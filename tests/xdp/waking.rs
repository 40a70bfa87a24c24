//! Which adverts the daemon is woken for, and which wait until it wakes anyway.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Result, ensure};
use harness::{GENEROUS, frame::Advert, lab, until};
use nix::{
    poll::PollTimeout,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
};
use vrrp_wire::{Family, abi::Heartbeat};

use crate::{
    frames::advert,
    kernel::{FAMILIES, HOUR_NS, Hook, INWARD, Kernel, MULTICAST, key, now_ns},
};

/// Somebody who waits for adverts, and is told only of what wakes him: that something waits to be read, he does not see.
struct Sleeper(Epoll);

impl Sleeper {
    fn new(adverts: BorrowedFd<'_>) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        epoll.add(adverts, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0))?;
        Ok(Self(epoll))
    }

    /// The kernel wakes on the CPU that has run the program, as soon as interrupts are on again.
    fn is_woken(&self) -> Result<bool> {
        Ok(self.0.wait(&mut [EpollEvent::empty()], PollTimeout::from(20_u8))? != 0)
    }
}

fn wakes(kernel: &mut Kernel, hook: Hook, advert: &Advert) -> Result<bool> {
    while kernel.guard.next_advert().is_some() {}
    let sleeper = Sleeper::new(kernel.guard.as_fd())?;
    kernel.run(hook, &advert.frame())?;
    let is_woken = sleeper.is_woken()?;
    ensure!(kernel.guard.next_advert().is_some(), "no record");
    Ok(is_woken)
}

/// The second of two adverts of a peer.
#[test]
fn a_backup_is_woken_for_news() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        kernel.begin_anew()?;
        kernel.set_role(key(family, MULTICAST), 0, HOUR_NS)?;
        let usual = advert(family);
        ensure!(wakes(&mut kernel, hook, &usual)?, "the first of a peer is news");
        ensure!(!wakes(&mut kernel, hook, &usual)?, "the same again is none, {family}, {hook:?}");
        for (what, other) in [
            ("lower priority", Advert { priority: 100, ..usual.clone() }),
            ("shorter interval", Advert { interval_cs: 50, ..usual.clone() }),
            ("goodbye", Advert { priority: 0, ..usual.clone() }),
        ] {
            ensure!(wakes(&mut kernel, hook, &other)?, "{what} is news");
            ensure!(wakes(&mut kernel, hook, &other)? == (other.priority == 0), "{what} once more, {family}, {hook:?}");
            ensure!(wakes(&mut kernel, hook, &usual)?, "{what} has ended");
        }
    }
    Ok(())
}

/// News behind adverts that are none.
#[test]
fn what_waits_unread_does_not_hide_news() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    kernel.set_role(key(Family::Ipv4, MULTICAST), 0, HOUR_NS)?;
    let usual = advert(Family::Ipv4);
    for hook in INWARD {
        kernel.run(hook, &usual.frame())?;
        let sleeper = Sleeper::new(kernel.guard.as_fd())?;
        ensure!(sleeper.is_woken()?, "who begins to wait sees what is there");
        kernel.run(hook, &usual.frame())?;
        ensure!(!sleeper.is_woken()?, "the same again, {hook:?}");
        kernel.run(hook, &Advert { priority: 0, ..usual.clone() }.frame())?;
        ensure!(sleeper.is_woken()?, "a goodbye, {hook:?}");
    }
    Ok(())
}

/// For an Active every advert is a contest.
#[test]
fn an_active_is_woken_for_every_advert() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for hook in INWARD {
        for _ in 0..3 {
            ensure!(wakes(&mut kernel, hook, &advert(Family::Ipv4))?, "{hook:?}");
        }
    }
    Ok(())
}

/// Adverts that come faster than the daemon wakes would fill the ring buffer.
#[test]
fn who_has_slept_for_an_interval_is_woken() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    kernel.set_role(key(Family::Ipv4, MULTICAST), 0, HOUR_NS)?;
    let usual = Advert { interval_cs: 100, ..advert(Family::Ipv4) };
    for hook in INWARD {
        kernel.run(hook, &usual.frame())?;
        for (slept_ms, expected) in [(100, false), (1_100, true)] {
            let beat_ns = now_ns()? - slept_ms * 1_000_000;
            kernel.set_heartbeat(Heartbeat { beat_ns, wall_offset_ns: 0 })?;
            ensure!(wakes(&mut kernel, hook, &usual)? == expected, "after {slept_ms} ms, {hook:?}");
        }
        kernel.begin_anew()?;
        kernel.set_role(key(Family::Ipv4, MULTICAST), 0, HOUR_NS)?;
    }
    Ok(())
}

/// Whose adverts are heard no more for two of their intervals is back with the next one.
#[test]
fn a_peer_that_is_back_is_news() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    kernel.set_role(key(Family::Ipv4, MULTICAST), 0, HOUR_NS)?;
    let usual = Advert { interval_cs: 1, ..advert(Family::Ipv4) };
    for hook in INWARD {
        kernel.run(hook, &usual.frame())?;
        let last_ns = kernel.peer(Family::Ipv4, MULTICAST)?.last_good_ns;
        until("two intervals to pass", GENEROUS, || Ok((now_ns()? > last_ns + 20_000_000).then_some(())))?;
        ensure!(wakes(&mut kernel, hook, &usual)?, "{hook:?}");
    }
    Ok(())
}

/// A quarter of 524,288 bytes is 819 short records of 152 bytes with their headers of 8, and a part of another.
#[test]
fn who_leaves_much_unread_is_woken() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    kernel.set_role(key(Family::Ipv4, MULTICAST), 0, HOUR_NS)?;
    let usual = Advert { interval_cs: 4095, ..advert(Family::Ipv4) };
    for hook in INWARD {
        while kernel.guard.next_advert().is_some() {}
        kernel.run(hook, &usual.frame())?;
        let sleeper = Sleeper::new(kernel.guard.as_fd())?;
        ensure!(sleeper.is_woken()?, "who begins to wait sees what is there");
        for _ in 2..=820 {
            kernel.run(hook, &usual.frame())?;
        }
        ensure!(!sleeper.is_woken()?, "819 waited when the last one came, {hook:?}");
        kernel.run(hook, &usual.frame())?;
        ensure!(sleeper.is_woken()?, "820 waited, {hook:?}");
    }
    Ok(())
}
