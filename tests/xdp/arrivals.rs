//! Frames that come for virtual addresses, counted while the agent wants a proof of its takeover.

use anyhow::{Result, ensure};
use harness::lab;
use vrrp_wire::{Family, MacAddr, abi::Arrivals};

use crate::{
    frames::{advert, answer_to, question, syn},
    kernel::{
        FAMILIES, HOUR_NS, Hook, INWARD, Kernel, MULTICAST, OWN_MAC, PEER_MAC, STRANGER_MAC, host, key, now_ns, vip,
    },
};

/// `frame` with another receiver.
fn to(mac: MacAddr, frame: &[u8]) -> Vec<u8> {
    [&mac.0[..], &frame[6..]].concat()
}

/// What is counted for the virtual router after `frame`.
fn counts(kernel: &mut Kernel, hook: Hook, family: Family, frame: &[u8]) -> Result<Option<Arrivals>> {
    kernel.run(hook, frame)?;
    Ok(kernel.guard.arrivals(&key(family, MULTICAST)))
}

#[test]
fn what_reaches_a_virtual_address_at_our_ethernet_address_is_counted_while_it_is_watched() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (hook, family) in INWARD.into_iter().flat_map(|hook| FAMILIES.map(|family| (hook, family))) {
        let (vip, client) = (vip(family, MULTICAST), host(family, 9));
        let reaches = [
            to(OWN_MAC, &syn(STRANGER_MAC, client, vip)),
            to(OWN_MAC, &answer_to(STRANGER_MAC, STRANGER_MAC, client, vip)),
        ];
        let misses = [
            // A switch that does not know better sends it everywhere.
            to(PEER_MAC, &syn(STRANGER_MAC, client, vip)),
            to(OWN_MAC, &syn(STRANGER_MAC, client, host(family, 10))),
            to(PEER_MAC, &answer_to(STRANGER_MAC, STRANGER_MAC, client, vip)),
            // Asked by all, of all.
            question(STRANGER_MAC, client, vip),
            advert(family).frame(),
        ];
        for frame in &reaches {
            ensure!(counts(&mut kernel, hook, family, frame)?.is_none(), "{hook:?}, {family}: counted unasked");
        }
        kernel.guard.begin_arrivals(key(family, MULTICAST))?;
        let before_ns = now_ns()?;
        kernel.guard.set_watched_until(before_ns + HOUR_NS)?;
        for (number, frame) in misses.iter().enumerate() {
            let counted = counts(&mut kernel, hook, family, frame)?;
            ensure!(counted == Some(Arrivals::default()), "{hook:?}, {family}, {number}: {counted:?}");
        }
        for (number, frame) in (1..).zip(&reaches) {
            let counted = counts(&mut kernel, hook, family, frame)?.unwrap_or_default();
            ensure!(counted.frames == number, "{hook:?}, {family}: {counted:?} instead of {number}");
            ensure!((before_ns..now_ns()?).contains(&counted.first_ns), "{hook:?}, {family}: {counted:?}");
        }
        let first = kernel.guard.arrivals(&key(family, MULTICAST));
        for until_ns in [0, now_ns()?] {
            kernel.guard.set_watched_until(until_ns)?;
            ensure!(counts(&mut kernel, hook, family, &reaches[0])? == first, "{hook:?}, {family}: counted too long");
        }
        kernel.guard.end_arrivals(&key(family, MULTICAST))?;
        ensure!(kernel.guard.arrivals(&key(family, MULTICAST)).is_none());
        while kernel.guard.next_advert().is_some() {}
    }
    Ok(())
}
