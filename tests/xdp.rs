//! The guard's programs as the kernel runs them, a frame at a time, by `BPF_PROG_TEST_RUN`.

#[path = "xdp/agreement.rs"]
mod agreement;
#[path = "xdp/arrivals.rs"]
mod arrivals;
#[path = "xdp/capture.rs"]
mod capture;
#[path = "xdp/dice.rs"]
mod dice;
#[path = "xdp/fence.rs"]
mod fence;
#[path = "xdp/frames.rs"]
mod frames;
#[path = "xdp/kernel.rs"]
mod kernel;
#[path = "xdp/neighbors.rs"]
mod neighbors;
#[path = "xdp/notes.rs"]
mod notes;
#[path = "xdp/records.rs"]
mod records;
mod spoil;
#[path = "xdp/verdicts.rs"]
mod verdicts;
#[path = "xdp/waking.rs"]
mod waking;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::{frame::Advert, ip, lab};
use vipd::datapath::guard::Guard;
use vrrp_wire::{
    Family,
    abi::{PeerKey, RouterKey, program},
};

use self::{
    frames::{advert, announcement, signed},
    kernel::{Hook, Kernel, MULTICAST, STRANGER_MAC, key, vip},
};

/// An operator reads the maps with bpftool, by name.
#[test]
fn pinned_maps_name_their_fields() -> Result<()> {
    let lab = lab!();
    let pins = Path::new("/sys/fs/bpf/vipd@names");
    let mut kernel = Kernel::with_guard(Guard::load(Some(pins))?, 1)?;
    kernel.set_mark(PeerKey { router: RouterKey::default(), ..PeerKey::default() }, 7)?;
    kernel.guard.begin_arrivals(key(Family::Ipv4, MULTICAST))?;
    for frame in [
        advert(Family::Ipv4).frame(),
        Advert { source: ip("10.77.0.66"), ..advert(Family::Ipv4) }.frame(),
        announcement(STRANGER_MAC, vip(Family::Ipv4, MULTICAST)),
    ] {
        kernel.run(Hook::Xdp, &frame)?;
    }
    let cases: [(&str, &[&str]); 13] = [
        ("settings", &[r#""enforce": 1"#, r#""log_drops": 0"#, r#""layout": "#]),
        ("heartbeat", &[r#""beat_ns": "#, r#""wall_offset_ns": "#]),
        ("routers", &[r#""ifindex": 1"#, r#""vrid": 51"#, r#""own_address": ["#, r#""unicast": 0"#, r#""window": "#]),
        ("roles", &[r#""active": 1"#, r#""stale_after_ns": 3600000000000"#]),
        ("fences", &[r#""closed_until_ns": 0"#, r#""closings": 0"#]),
        ("arrivals", &[r#""first_ns": 0"#, r#""frames": 0"#]),
        ("vips", &[r#""family": 4"#, r#""vrid": 51"#]),
        ("peers", &[r#""mac": ["#, r#""mac_pinned": 1"#, r#""last_priority": 200"#, r#""failing_since_ns": 0"#]),
        ("keys", &[r#""inner": ["#, r#""outer": ["#]),
        ("claims", &[r#""first_ns": "#, r#""frames": 1"#]),
        ("sources", &[r#""priority": 200"#, r#""interval_cs": 100"#, r#""version": 3"#]),
        ("rejects", &[r#""frame_len": 46"#, r#""captured": 46"#]),
        ("counters", &[r#""admitted": 1"#, r#""unknown_source": 1"#, r#""dropped": 1"#, r#""record_lost": 0"#]),
    ];
    for (map, fields) in cases {
        let dump = lab.bpftool(&["map", "dump", "pinned", &format!("{}/{map}", pins.display())])?;
        for field in fields {
            ensure!(dump.contains(field), "no `{field}` in `{map}`:\n{dump}");
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
    const BUDGET: u32 = 400_000;
    const SMALL: u32 = 10_000;
    let _lab = lab!();
    let mut guard = Guard::load(None)?;
    let programs = guard.programs();
    let infos = [
        (program::XDP, programs.xdp()?.info()?, BUDGET),
        (program::INGRESS, programs.classifier(program::INGRESS)?.info()?, BUDGET),
        (program::EGRESS, programs.classifier(program::EGRESS)?.info()?, SMALL),
    ];
    for (name, info, budget) in infos {
        let verified = info.verified_instruction_count().context("the kernel does not say")?;
        eprintln!("{name}: {verified} instructions verified, {budget} allowed");
        ensure!(verified < budget, "{name}: {verified} instructions verified, {budget} allowed");
    }
    Ok(())
}

/// Nothing is judged before the daemon has said anything.
#[test]
fn without_configuration_everything_passes() -> Result<()> {
    let _lab = lab!();
    let mut kernel = Kernel::bare(1)?;
    kernel.guard = Guard::load(None)?;
    for family in kernel::FAMILIES {
        for hook in [Hook::Xdp, Hook::Ingress, Hook::Egress] {
            for frame in
                [advert(family).frame(), signed(family).frame(), announcement(STRANGER_MAC, vip(family, MULTICAST))]
            {
                ensure!(kernel.run(hook, &frame)? == kernel::Action::Pass, "{family}, {hook:?}");
            }
        }
        ensure!(kernel.guard.counters(&key(family, MULTICAST)) == vrrp_wire::abi::Counters::default());
    }
    Ok(())
}
