//! The XDP entry point: examine, count, stamp, record.

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    macros::xdp,
    programs::XdpContext,
};
use aya_log_ebpf::warn;
use vrrp_wire::{
    abi::{Counters, Verdict},
    judge::{Finding, examine},
};

use crate::{
    maps::{self, BpfTables, NotRecorded},
    packet::Packet,
};

/// Judges one frame. Never aborts, transmits or redirects.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the macro calls")]
#[xdp(frags)]
fn vipd_guard(ctx: XdpContext) -> u32 {
    let packet = Packet(&ctx);
    let Some(finding) = examine(&packet, packet.ifindex(), &BpfTables) else { return XDP_PASS };
    if finding.verdict == Verdict::Admitted {
        admit(&packet, &finding);
        return XDP_PASS;
    }
    maps::count(&finding.router, finding.verdict as usize);
    if !finding.verdict.is_bad() {
        return XDP_PASS;
    }
    let settings = maps::settings();
    if settings.log_drops != 0 && maps::may_log() {
        log(&ctx, &finding);
    }
    if settings.enforce != 0 {
        maps::count(&finding.router, Counters::DROPPED);
        XDP_DROP
    } else {
        maps::count(&finding.router, Counters::WOULD_DROP);
        XDP_PASS
    }
}

#[inline(always)]
fn admit(packet: &Packet<'_>, finding: &Finding) {
    let now_ns = maps::now_ns();
    match maps::record(packet, finding, now_ns) {
        Ok(()) => {}
        Err(NotRecorded::Truncated) => return maps::count(&finding.router, Verdict::Truncated as usize),
        Err(NotRecorded::Full) => maps::count(&finding.router, Counters::RECORD_LOST),
    }
    maps::stamp(finding, now_ns);
    maps::count(&finding.router, Verdict::Admitted as usize);
}

#[inline(always)]
fn log(ctx: &XdpContext, finding: &Finding) {
    let router = finding.router;
    warn!(
        ctx,
        "bad advert: {} on interface {} for VRID {} over IPv{}, from {:mac}",
        finding.verdict.name(),
        router.ifindex,
        router.vrid,
        router.family,
        finding.facts.source_mac.0
    );
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing in this program panics; the verifier refuses an endless loop that could be reached.
    loop {}
}

/// The helpers that vipd uses are open to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
