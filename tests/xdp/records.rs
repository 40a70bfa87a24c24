//! What reaches the daemon of a good advert: its record, and the stamp of its sender.

use anyhow::{Context, Result, ensure};
use harness::{
    frame::{Advert, Checksum},
    lab,
};
use vrrp_wire::{
    Family,
    abi::{Peer, Verdict},
};

use crate::{
    frames::{advert, cases, signed},
    kernel::{
        Action, CAPTURED, FAMILIES, Hook, INWARD, KEY_1, Kernel, MULTICAST, SECOND, SIGNED, UNICAST, VRIDS, host, key,
        now_ns, peer_key,
    },
};

/// An admitted advert reaches the daemon as it was on the wire, and moves the stamp of its sender.
#[test]
fn an_admitted_advert_is_recorded_and_stamped() -> Result<()> {
    let _lab = lab!();
    let ipv4 = [0x31, 51, 200, 1, 0x00, 0x64, 0, 0, 10, 77, 0, 100];
    let ipv6 = [0x31, 51, 200, 1, 0x00, 0x64, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100];
    let group_ipv4 = [224, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let group_ipv6 = [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12];
    let source_ipv4 = [10, 77, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let source_ipv6 = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let expected: [(_, &[u8], _, _); 2] =
        [(Family::Ipv4, &ipv4, source_ipv4, group_ipv4), (Family::Ipv6, &ipv6, source_ipv6, group_ipv6)];
    let mut kernel = Kernel::new(1)?;
    for hook in INWARD {
        kernel.begin_anew()?;
        for (family, message, source, destination) in expected {
            let frame = Advert { checksum: Checksum::Is(0), ..advert(family) }.frame();
            let before_ns = now_ns()?;
            kernel.run(hook, &frame)?;
            let after_ns = now_ns()?;

            let record = kernel.guard.next_advert().context("no record")?;
            assert!((before_ns..=after_ns).contains(&record.received_at_ns), "{before_ns} {record:?} {after_ns}");
            assert_eq!((record.ifindex, record.vlan, record.family), (1, 0, family.number()));
            assert_eq!((record.ttl, record.source_mac), (255, [0x02, 0, 0, 0, 0, 0x02]));
            assert_eq!((record.source, record.destination), (source, destination));
            assert_eq!(&record.message[..record.message_len.into()], message);

            let expected = Peer {
                mac: [0x02, 0, 0, 0, 0, 0x02],
                mac_pinned: 1,
                last_priority: 200,
                last_interval_cs: 100,
                adverts: 1,
                last_good_ns: record.received_at_ns,
                failing_since_ns: 0,
                last_failure_ns: 0,
                last_failure: 0,
                padding: 0,
                last_sequence: 0,
            };
            assert_eq!(kernel.peer(family, MULTICAST)?, expected);
            assert_eq!(kernel.peer(family, UNICAST)?.adverts, 0, "stamped for another virtual router");
        }
    }
    Ok(())
}

/// What the kernel does not admit moves no stamp: silence stays silence.
#[test]
fn only_an_admitted_advert_is_stamped() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for hook in INWARD {
        kernel.begin_anew()?;
        for family in FAMILIES {
            kernel.set_mark(peer_key(family, SIGNED), CAPTURED - SECOND)?;
            for case in cases(family).into_iter().filter(|case| case.verdict != Verdict::Admitted) {
                kernel.run(hook, &case.frame)?;
                for vrid in VRIDS {
                    let peer = kernel.peer(family, vrid)?;
                    assert_eq!((peer.adverts, peer.last_good_ns), (0, 0), "{}, {family}", case.name);
                }
            }
        }
    }
    Ok(())
}

/// The agent raises an alarm when a known peer is refused for long; a good advert ends that.
#[test]
fn bad_adverts_of_a_peer_are_noted_until_a_good_one() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for hook in INWARD {
        kernel.begin_anew()?;
        for family in FAMILIES {
            let forged = Advert { priority: 255, ..signed(family) }.frame();
            let before_ns = now_ns()?;
            kernel.run(hook, &forged)?;
            let first = kernel.peer(family, SIGNED)?;
            ensure!((before_ns..=now_ns()?).contains(&first.failing_since_ns), "{first:?}");
            ensure!(first.last_failure_ns == first.failing_since_ns && first.adverts == 0, "{first:?}");

            let unsigned = Advert { vrid: SIGNED, ..advert(family) }.frame();
            kernel.run(hook, &unsigned)?;
            let second = kernel.peer(family, SIGNED)?;
            ensure!(second.failing_since_ns == first.failing_since_ns, "{second:?}");
            ensure!(second.last_failure_ns > first.last_failure_ns, "{second:?}");
            let failures = [first.last_failure, second.last_failure];
            ensure!(failures == [Verdict::AuthCode as u32, Verdict::AuthMissing as u32], "{failures:?}");

            // Somebody else: neither here nor there.
            kernel.run(hook, &Advert { source: host(family, 66), ..signed(family) }.frame())?;
            ensure!(kernel.peer(family, SIGNED)? == second, "{family}");
            kernel.run(hook, &Advert { ttl: 1, ..signed(family) }.frame())?;
            let third = kernel.peer(family, SIGNED)?;
            ensure!(third.last_failure == Verdict::Ttl as u32, "{third:?}");

            kernel.run(hook, &signed(family).frame())?;
            let good = kernel.peer(family, SIGNED)?;
            ensure!((good.failing_since_ns, good.adverts) == (0, 1), "{good:?}");
        }
    }
    Ok(())
}

/// As many addresses as the count can say, or a record can hold.
#[test]
fn the_record_holds_a_message_of_any_length() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for hook in INWARD {
        kernel.begin_anew()?;
        for (family, most, longest) in [(Family::Ipv4, 255, 1028), (Family::Ipv6, 92, 1480)] {
            for count in 1..=most {
                let addresses: Vec<_> = (1..=count).map(|number| host(family, number)).collect();
                let advert = Advert { addresses, ..advert(family) };
                assert_eq!(kernel.run(hook, &advert.frame())?, Action::Pass);
                let record = kernel.guard.next_advert().with_context(|| format!("no record of {count} addresses"))?;
                assert_eq!(&record.message[..record.message_len.into()], advert.message(), "{count} addresses");
                assert!(count < most || record.message_len == longest, "{record:?}");
            }
        }
    }
    Ok(())
}

/// With the longest that is verified in the kernel, and longer ones, which user space verifies.
#[test]
fn the_record_holds_the_trailer() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for hook in INWARD {
        kernel.begin_anew()?;
        for (family, verified, most) in [(Family::Ipv4, 111, 255), (Family::Ipv6, 27, 90)] {
            for count in 1..=most {
                let addresses: Vec<_> = (1..=count).map(|number| host(family, number)).collect();
                let sequence = CAPTURED + u64::from(count);
                let advert = Advert { addresses, vrid: SIGNED, ..advert(family) }.signed(1, &KEY_1, sequence);
                kernel.expect(key(family, SIGNED), |counters| {
                    counters.add(if count <= verified { Verdict::Admitted } else { Verdict::Unverified });
                });
                assert_eq!(kernel.run(hook, &advert.frame())?, Action::Pass);
                kernel.settle().with_context(|| format!("{count} addresses, {family}, {hook:?}"))?;
                let record = kernel.guard.next_advert().with_context(|| format!("no record of {count} addresses"))?;
                assert_eq!(&record.message[..record.message_len.into()], advert.message(), "{count} addresses");
                let stamped = kernel.peer(family, SIGNED)?.adverts;
                assert_eq!(stamped, u32::from(count.min(verified)), "only what was verified is stamped");
            }
        }
    }
    Ok(())
}

/// No advert is that long where the MTU is 1500. It passes; the host's stack may do with it what it likes.
#[test]
fn a_message_that_no_record_holds_is_not_admitted() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    // A frame in traffic control is no longer than a page here.
    for (hook, most) in [(Hook::Xdp, 255), (Hook::Ingress, 200)] {
        for count in 93..=most {
            let addresses = (1..=count).map(|number| host(Family::Ipv6, number)).collect();
            kernel.expect(key(Family::Ipv6, MULTICAST), |counters| counters.truncated += 1);
            let action = kernel.run(hook, &Advert { addresses, ..advert(Family::Ipv6) }.frame())?;
            assert_eq!(action, Action::Pass);
            kernel.settle().with_context(|| format!("{count} addresses, {hook:?}"))?;
            assert_eq!(kernel.guard.next_advert(), None, "{count} addresses, {hook:?}");
        }
    }
    assert_eq!(kernel.peer(Family::Ipv6, MULTICAST)?.last_good_ns, 0);
    Ok(())
}

/// 524,288 bytes hold 3,276 short records of 152 bytes and their headers of 8. The others are lost, but not their stamps.
#[test]
fn a_full_ring_buffer_loses_records_and_no_stamp() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for number in 1..=3_297 {
        let sent = Advert { interval_cs: number, ..advert(Family::Ipv4) };
        assert_eq!(kernel.run(Hook::Xdp, &sent.frame())?, Action::Pass);
    }
    kernel.expect(key(Family::Ipv4, MULTICAST), |counters| {
        counters.admitted += 3_297;
        counters.record_lost += 21;
    });
    kernel.settle()?;
    let peer = kernel.peer(Family::Ipv4, MULTICAST)?;
    assert_eq!((peer.adverts, peer.last_interval_cs), (3_297, 3_297));

    let mut last_recorded_ns = 0;
    for number in 1..=3_276_u16 {
        let record = kernel.guard.next_advert().context("a record is missing")?;
        assert_eq!(record.message[4..6], number.to_be_bytes(), "out of order");
        last_recorded_ns = record.received_at_ns;
    }
    assert_eq!(kernel.guard.next_advert(), None);
    assert!(peer.last_good_ns > last_recorded_ns);

    kernel.run(Hook::Xdp, &advert(Family::Ipv4).frame())?;
    assert!(kernel.guard.next_advert().is_some(), "no room after the records were read");
    Ok(())
}
