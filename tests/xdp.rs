//! The XDP program as the kernel runs it, a frame at a time, by `BPF_PROG_TEST_RUN`.

#[path = "xdp/frames.rs"]
mod frames;
#[path = "xdp/kernel.rs"]
mod kernel;
mod spoil;

use std::{cell::RefCell, collections::BTreeSet, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use harness::{
    frame::{Advert, Checksum},
    ip, lab,
};
use nix::time::{ClockId, clock_gettime};
use proptest::{
    prop_oneof,
    test_runner::{Config, TestCaseError, TestRunner},
};
use vipd::datapath::xdp::Guard;
use vrrp_wire::{
    Family,
    abi::{Counters, Peer, Verdict},
};

use self::{
    frames::{advert, cases, mutated, not_vrrp, random},
    kernel::{DROP, FAMILIES, Kernel, MULTICAST_VRID, PASS, UNICAST_VRID, host, key},
};

fn now_ns() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

/// Whether adverts of `family` can have this verdict.
const fn applies(verdict: Verdict, family: Family) -> bool {
    !matches!((verdict, family), (Verdict::IpOptions, Family::Ipv6) | (Verdict::ExtensionHeader, Family::Ipv4))
}

/// Each frame is judged as it should in both modes, and counted under its verdict and nowhere else.
#[test]
fn every_verdict_has_its_counter_and_its_action() -> Result<()> {
    let _lab = lab!();
    for enforce in [0, 1] {
        let mut kernel = Kernel::new(enforce)?;
        for family in FAMILIES {
            let mut seen = BTreeSet::new();
            for case in cases(family) {
                let name = format!("{}, {family}, enforce = {enforce}", case.name);
                let is_bad = u64::from(case.action == DROP);
                let expected = kernel.counters_with(key(family, case.counted_under), |counters| {
                    counters.add(case.verdict);
                    counters.dropped += is_bad * u64::from(enforce);
                    counters.would_drop += is_bad * u64::from(1 - enforce);
                });

                let action = kernel.run(&case.frame)?;

                assert_eq!(action, if enforce == 1 { case.action } else { PASS }, "{name}");
                assert_eq!(kernel.counters(), expected, "{name}");
                assert_eq!(kernel.guard.next_advert().is_some(), case.verdict == Verdict::Admitted, "{name}");
                seen.insert(case.verdict);
            }
            let all: BTreeSet<_> = Verdict::ALL.iter().copied().filter(|&verdict| applies(verdict, family)).collect();
            assert_eq!(seen, all, "verdicts that {family} adverts were given");
        }
    }
    Ok(())
}

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
    for (family, message, source, destination) in expected {
        let frame = Advert { checksum: Checksum::Is(0), ..advert(family) }.frame();
        let before_ns = now_ns()?;
        kernel.run(&frame)?;
        let after_ns = now_ns()?;

        let record = kernel.guard.next_advert().context("no record")?;
        assert!((before_ns..=after_ns).contains(&record.received_at_ns), "{before_ns} {record:?} {after_ns}");
        assert_eq!((record.ifindex, record.vlan, record.family), (1, 0, family.number()));
        assert_eq!((record.ttl, record.source_mac), (255, [0x02, 0, 0, 0, 0, 0x02]));
        assert_eq!((record.source, record.destination), (source, destination));
        assert_eq!(&record.message[..record.message_len.into()], message);

        let stamped = kernel.peer(family, MULTICAST_VRID)?;
        let expected =
            Peer { mac: [0x02, 0, 0, 0, 0, 0x02], mac_pinned: 1, last_priority: 200, last_interval_cs: 100, ..stamped };
        assert_eq!(stamped, Peer { adverts: 1, last_good_ns: record.received_at_ns, ..expected });
        assert_eq!(kernel.peer(family, UNICAST_VRID)?.adverts, 0, "stamped for another virtual router");
    }
    Ok(())
}

/// What the kernel does not admit moves no stamp: silence stays silence.
#[test]
fn only_an_admitted_advert_is_stamped() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for family in FAMILIES {
        for case in cases(family).into_iter().filter(|case| case.verdict != Verdict::Admitted) {
            kernel.run(&case.frame)?;
            for vrid in [MULTICAST_VRID, UNICAST_VRID] {
                let peer = kernel.peer(family, vrid)?;
                assert_eq!((peer.adverts, peer.last_good_ns), (0, 0), "{}, {family}", case.name);
            }
        }
    }
    Ok(())
}

/// As many addresses as the count can say, or a record can hold.
#[test]
fn the_record_holds_a_message_of_any_length() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for (family, most, longest) in [(Family::Ipv4, 255, 1028), (Family::Ipv6, 92, 1480)] {
        for count in 1..=most {
            let addresses: Vec<_> = (1..=count).map(|number| host(family, number)).collect();
            let advert = Advert { addresses, ..advert(family) };
            assert_eq!(kernel.run(&advert.frame())?, PASS);
            let record = kernel.guard.next_advert().with_context(|| format!("no record of {count} addresses"))?;
            assert_eq!(&record.message[..record.message_len.into()], advert.message(), "{count} addresses");
            assert!(count < most || record.message_len == longest, "{record:?}");
        }
    }
    Ok(())
}

/// No advert is that long where the MTU is 1500. It passes; the host's stack may do with it what it likes.
#[test]
fn a_message_that_no_record_holds_is_not_admitted() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    let key = key(Family::Ipv6, MULTICAST_VRID);
    for count in 93..=255 {
        let addresses = (1..=count).map(|number| host(Family::Ipv6, number)).collect();
        let expected = kernel.counters_with(key, |counters| counters.truncated += 1);
        assert_eq!(kernel.run(&Advert { addresses, ..advert(Family::Ipv6) }.frame())?, PASS);
        assert_eq!(kernel.counters(), expected, "{count} addresses");
        assert_eq!(kernel.guard.next_advert(), None, "{count} addresses");
    }
    assert_eq!(kernel.peer(Family::Ipv6, MULTICAST_VRID)?.last_good_ns, 0);
    Ok(())
}

/// 262,144 bytes hold 169 records of 1,536 bytes and their headers of 8. The others are lost, but not their stamps.
#[test]
fn a_full_ring_buffer_loses_records_and_no_stamp() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    for number in 1..=200 {
        let sent = Advert { priority: number, ..advert(Family::Ipv4) };
        assert_eq!(kernel.run(&sent.frame())?, PASS);
    }
    let counters = kernel.guard.counters(&key(Family::Ipv4, MULTICAST_VRID));
    assert_eq!(counters, Counters { admitted: 200, record_lost: 31, ..Counters::default() });
    let peer = kernel.peer(Family::Ipv4, MULTICAST_VRID)?;
    assert_eq!((peer.adverts, peer.last_priority), (200, 200));

    let mut last_recorded_ns = 0;
    for number in 1..=169 {
        let record = kernel.guard.next_advert().context("a record is missing")?;
        assert_eq!(record.message[2], number, "out of order");
        last_recorded_ns = record.received_at_ns;
    }
    assert_eq!(kernel.guard.next_advert(), None);
    assert!(peer.last_good_ns > last_recorded_ns);

    kernel.run(&advert(Family::Ipv4).frame())?;
    assert!(kernel.guard.next_advert().is_some(), "no room after the records were read");
    Ok(())
}

/// The kernel comes to the same verdict about the same bytes as the library in user space.
#[test]
fn kernel_and_user_space_agree() -> Result<()> {
    let _lab = lab!();
    let kernel = RefCell::new(Kernel::new(0)?);
    let config = Config { cases: 8192, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let agreed = runner.run(&prop_oneof![3 => mutated(), 1 => random()], |frame| {
        let mut kernel = kernel.borrow_mut();
        kernel.agrees_with_user_space(&frame).map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    agreed.map_err(|error| anyhow!("{error}"))
}

/// What is not VRRP passes and leaves no trace.
#[test]
fn everything_but_vrrp_passes_untouched() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::new(1)?;
    let before = kernel.counters();
    // xorshift64: the same frames in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for number in 1..=100_000 {
        let frame = not_vrrp(&mut random);
        assert_eq!(kernel.run(&frame)?, PASS, "frame {number}: {frame:02x?}");
    }
    assert_eq!(kernel.counters(), before);
    assert_eq!(kernel.guard.next_advert(), None);
    Ok(())
}

/// An operator reads the maps with bpftool, by name.
#[test]
fn pinned_maps_name_their_fields() -> Result<()> {
    let lab = lab!();
    let pins = Path::new("/sys/fs/bpf/vipd@names");
    let mut kernel = Kernel::with_guard(Guard::load(Some(pins))?, 1)?;
    kernel.run(&advert(Family::Ipv4).frame())?;
    kernel.run(&Advert { source: ip("10.77.0.66"), ..advert(Family::Ipv4) }.frame())?;
    let cases: [(&str, &[&str]); 4] = [
        ("settings", &[r#""enforce": 1"#, r#""log_drops": 0"#]),
        ("routers", &[r#""ifindex": 1"#, r#""vrid": 51"#, r#""own_address": ["#, r#""unicast": 0"#]),
        ("peers", &[r#""mac": ["#, r#""mac_pinned": 1"#, r#""last_priority": 200"#, r#""last_good_ns": "#]),
        ("counters", &[r#""admitted": 1"#, r#""unknown_source": 1"#, r#""dropped": 1"#, r#""record_lost": 0"#]),
    ];
    for (map, fields) in cases {
        let dump = lab.bpftool(&["map", "dump", "pinned", &format!("{}/{map}", pins.display())])?;
        for field in fields {
            ensure!(
                dump.contains(field),
                "no `{field}` in `{map}`:
{dump}"
            );
        }
    }
    let adverts = lab.bpftool(&["map", "show", "pinned", &format!("{}/adverts", pins.display())])?;
    ensure!(adverts.contains("ringbuf"), "{adverts}");
    drop(kernel);
    ensure!(!pins.exists(), "the pinned maps outlive the run");
    Ok(())
}

/// The kernel refuses a program that takes it a million instructions to verify.
#[test]
fn the_verifier_has_little_to_do() -> Result<()> {
    const BUDGET: u32 = 200_000;
    let _lab = lab!();
    let mut guard = Guard::load(None)?;
    let verified = guard.program()?.info()?.verified_instruction_count().context("the kernel does not say")?;
    ensure!(verified < BUDGET, "{verified} instructions verified, {BUDGET} allowed");
    Ok(())
}
