//! `vipd-kernel-probe`: tries everything that the guard asks of a kernel, and prints a line for each.
//!
//! The only program in a machine that `cargo xtask kernels` boots, and made for nothing else: it leaves interfaces
//! behind. A kernel that is too old for something says `no`; one that is new enough and does not work, `failed`.

#[path = "../xdp/frames.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod frames;
#[path = "../xdp/kernel.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod kernel;
mod network;
mod report;
mod reuse;
mod signed;
#[path = "../spoil.rs"]
mod spoil;
mod trial;

use std::{env, path::Path, process::ExitCode};

use anyhow::{Result, ensure};
use harness::Namespace;
use vipd::datapath::{attach::Hook, guard::Guard, netlink::Side};
use vrrp_wire::abi::{Verdict, program};

use self::{
    kernel::{CAPTURED, FAMILIES, Kernel, SECOND, SIGNED, peer_key},
    network::{FAR, FAR_VLAN, NEAR, NEAR_VLAN, Network, VLAN},
    report::{Report, Since},
    trial::Trial,
};

/// Any kernel that is supported at all.
const ANY: Since = Since(5, 10);
/// Links for programs in traffic control.
const TCX: Since = Since(6, 6);

fn main() -> Result<ExitCode> {
    if env::args().nth(1).as_deref() == Some(reuse::HOLD) {
        return reuse::hold();
    }
    let mut report = Report::begin()?;
    // Whatever is attached here does not concern the machine's own interfaces.
    let namespace = Namespace::new()?;
    let network = Network::new(&namespace)?;
    namespace.enter(|| -> Result<()> {
        // Verifying takes an emulated machine a while, so that all share one guard: the one that takes over.
        let left = reuse::leave(&network);
        match Guard::load(Some(Path::new(reuse::PINS))) {
            Ok(guard) => left.and_then(|()| try_everything(&mut report, guard, &network)),
            Err(error) => {
                report.check("XDP program loads", ANY, || Err(error));
                Ok(())
            }
        }
    })??;
    report::end();
    Ok(ExitCode::SUCCESS)
}

fn try_everything(report: &mut Report, mut guard: Guard, network: &Network) -> Result<()> {
    programs(report, &mut guard, network);
    taken_over(report, &mut guard, network);
    ways(report, &mut guard, network);
    vlans(report, &mut guard, network);
    for (feature, hook, since) in [
        ("signed adverts are verified in XDP", Hook::Native, ANY),
        ("signed adverts are verified in traffic control", Hook::Clsact, ANY),
    ] {
        report.check(feature, since, || signed::verified(&mut guard, network, hook));
    }
    verdicts(report, guard)
}

/// Whether the verifier takes each program, and what it takes to walk through it.
fn programs(report: &mut Report, guard: &mut Guard, network: &Network) {
    let programs = [
        ("XDP program loads", Side::Ingress, Hook::Native, ANY),
        ("ingress classifier loads", Side::Ingress, Hook::Clsact, ANY),
        ("egress classifier loads", Side::Egress, Hook::Clsact, ANY),
    ];
    for (feature, side, hook, since) in programs {
        report.check(feature, since, || {
            let info = match (hook, side) {
                (Hook::Native, _) => guard.program()?.info(),
                (_, Side::Ingress) => guard.programs().classifier(program::INGRESS)?.info(),
                (_, Side::Egress) => guard.programs().classifier(program::EGRESS)?.info(),
            };
            match info {
                // Kernels before 5.16 do not say.
                Ok(info) => {
                    Ok(info.verified_instruction_count().map_or(String::new(), |it| format!("{it} instructions")))
                }
                // The reason comes out when it is to be used.
                Err(error) => Trial::new(guard, network, NEAR, 0)?.attach_to(side, hook).and(Err(error.into())),
            }
        });
    }
}

/// What a process that was killed has left on [`NEAR`].
fn taken_over(report: &mut Report, guard: &mut Guard, network: &Network) {
    report.check("pinned XDP link outlives a kill and is taken over", ANY, || {
        Trial::new(guard, network, NEAR, 0)?.take_over(Side::Ingress, Hook::Native)?.hears(FAR, &[])
    });
    report.check("pinned tcx link outlives a kill and is taken over", TCX, || {
        Trial::new(guard, network, NEAR, 0)?.take_over(Side::Egress, Hook::Tcx)?.holds_back()
    });
}

/// Adverts over a pair of virtual Ethernet interfaces: a good one is handed over, a forged one dropped.
fn ways(report: &mut Report, guard: &mut Guard, network: &Network) {
    let ways = [
        ("native XDP on veth, by a link", Hook::Native, ANY),
        ("generic XDP on veth", Hook::Generic, ANY),
        ("tcx on veth", Hook::Tcx, TCX),
        ("clsact on veth", Hook::Clsact, ANY),
    ];
    for (feature, hook, since) in ways {
        report.check(feature, since, || {
            Trial::new(guard, network, NEAR, 0)?.attach_to(Side::Ingress, hook)?.hears(FAR, &[])
        });
    }
    for (feature, hook, since) in
        [("tcx on veth, what is sent", Hook::Tcx, TCX), ("clsact on veth, what is sent", Hook::Clsact, ANY)]
    {
        report
            .check(feature, since, || Trial::new(guard, network, NEAR, 0)?.attach_to(Side::Egress, hook)?.holds_back());
    }
}

/// On a VLAN sub-interface, and on its parent.
fn vlans(report: &mut Report, guard: &mut Guard, network: &Network) {
    let in_frame: &[_] = &[[0x8100, VLAN]];
    // A VLAN interface leaves the tag to its device, and veth hands it over beside the frame.
    let ways = [
        ("tcx on a VLAN sub-interface", Hook::Tcx, TCX, NEAR_VLAN, FAR, in_frame),
        ("clsact on a VLAN sub-interface", Hook::Clsact, ANY, NEAR_VLAN, FAR, in_frame),
        ("generic XDP on a VLAN sub-interface", Hook::Generic, ANY, NEAR_VLAN, FAR, in_frame),
        ("native XDP on the parent, tag in the frame", Hook::Native, ANY, NEAR, FAR, in_frame),
        ("tcx on the parent, tag in the frame", Hook::Tcx, TCX, NEAR, FAR, in_frame),
        ("clsact on the parent, tag in the frame", Hook::Clsact, ANY, NEAR, FAR, in_frame),
        ("tcx on the parent, tag beside the frame", Hook::Tcx, TCX, NEAR, FAR_VLAN, &[]),
        ("clsact on the parent, tag beside the frame", Hook::Clsact, ANY, NEAR, FAR_VLAN, &[]),
    ];
    for (feature, hook, since, interface, sender, tags) in ways {
        let vlan = if interface == NEAR { VLAN } else { 0 };
        report.check(feature, since, || {
            Trial::new(guard, network, interface, vlan)?.attach_to(Side::Ingress, hook)?.hears(sender, tags)
        });
    }
    report.check("native XDP on the parent, tag beside the frame: looks untagged", ANY, || {
        Trial::new(guard, network, NEAR, 0)?.attach_to(Side::Ingress, Hook::Native)?.hears(FAR_VLAN, &[])
    });
}

/// The frames of the tests, through `BPF_PROG_TEST_RUN`.
fn verdicts(report: &mut Report, guard: Guard) -> Result<()> {
    let mut kernel = Kernel::with_guard(guard, 1)?;
    for family in FAMILIES {
        kernel.set_mark(peer_key(family, SIGNED), CAPTURED - SECOND)?;
    }
    for (feature, program, since) in [
        ("verdicts in XDP on every kind of frame", kernel::Hook::Xdp, ANY),
        ("verdicts in traffic control on every kind of frame", kernel::Hook::Ingress, ANY),
    ] {
        report.check(feature, since, || judged(&mut kernel, program));
    }
    Ok(())
}

fn judged(kernel: &mut Kernel, program: kernel::Hook) -> Result<String> {
    let mut judged = 0;
    for family in FAMILIES {
        for case in frames::cases(family) {
            let action = kernel.run(program, &case.frame)?;
            ensure!(action == case.action, "{}, {family}: {action:?}, not {:?}", case.name, case.action);
            let is_recorded = kernel.guard.next_advert().is_some();
            let is_handed_over = matches!(case.verdict, Verdict::Admitted | Verdict::Unverified);
            ensure!(is_recorded == is_handed_over, "{}, {family}: recorded: {is_recorded}", case.name);
            judged += 1;
        }
    }
    Ok(format!("{judged} frames"))
}
