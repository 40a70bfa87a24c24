//! The stages of judging a frame. What one finds for the next lies in this CPU's scratch memory, because the stack of a
//! BPF program holds no more than one of them.

use aya_log_ebpf::warn;
use vrrp_wire::{
    abi::{Counters, Verdict},
    ethernet::{Link, link},
    judge::{self as judgement, Finding},
    neighbor::neighbor,
    parse::{HEADERS_MAX, may_concern, parse},
};

use super::Action;
use crate::{
    maps::{
        self, BpfTables,
        ring::{self, NotRecorded},
    },
    packet::Packet,
};

/// Longest frame that is looked at.
const FRAME_MAX: usize = 1536;

/// What a frame is.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// Something else.
    Other,
    /// ARP or Neighbor Discovery.
    Neighbor,
    /// A VRRP message.
    Advert,
}

/// What [`judge`] returns where [`verify`] is to follow.
pub(crate) const UNVERIFIED: u32 = 1;
/// What it returns where it has found nothing: what lies in the scratch memory is of another frame.
pub(crate) const NOTHING: u32 = 2;

/// Finds out what the frame is.
#[inline(always)]
pub(crate) fn find<P: Packet>(packet: &P) -> Found {
    let Some(link) = readable_link(packet) else { return Found::Other };
    if let Some(neighbor) = neighbor(packet, &link) {
        maps::keep_neighbor(neighbor);
        return Found::Neighbor;
    }
    let Some(facts) = parse(packet, &link) else { return Found::Other };
    maps::keep_facts(facts);
    Found::Advert
}

/// The Ethernet header of a frame that may be one to look at, whose other headers are readable from then on. Ordinary frames
/// are left as they are: to make more of them readable may cost a copy.
#[inline(always)]
pub(crate) fn readable_link<P: Packet>(packet: &P) -> Option<Link> {
    if let Some(link) = link(packet)
        && !may_concern(packet, &link)
    {
        return None;
    }
    packet.make_readable(HEADERS_MAX);
    link(packet)
}

/// Judges the VRRP message that was found by everything but its authentication code.
#[inline(always)]
pub(crate) fn judge<P: Packet>(packet: &P) -> u32 {
    packet.make_readable(FRAME_MAX);
    let Some(&mut mut facts) = maps::facts() else { return NOTHING };
    // Not true of any message that was found; the verifier does not know.
    if facts.message_offset > HEADERS_MAX {
        return NOTHING;
    }
    facts.message_len &= 0xffff;
    let finding = judgement::judge(packet, facts, packet.ifindex(), &BpfTables);
    maps::keep_finding(finding);
    if finding.key == 0 { 0 } else { UNVERIFIED }
}

/// Verifies the authentication code of the advert that was judged.
#[inline(always)]
pub(crate) fn verify<P: Packet>(packet: &P) -> u32 {
    let Some(mut finding) = finding() else { return 0 };
    judgement::verify(packet, &mut finding, &BpfTables);
    if let Some(kept) = maps::finding() {
        kept.verdict = finding.verdict;
    }
    0
}

/// What was found so far, in this stage's own memory, where the verifier knows the bounds of what it has seen checked.
#[inline(always)]
fn finding() -> Option<Finding> {
    let finding = *maps::finding()?;
    (finding.facts.message_offset <= HEADERS_MAX && finding.facts.message_len <= 0xffff).then_some(finding)
}

/// Counts and notes what was found of the advert, hands a good one over, and says what becomes of it.
#[inline(always)]
pub(crate) fn conclude<P: Packet>(packet: &P) -> Action {
    let Some(mut finding) = finding() else { return Action::Pass };
    let finding = &mut finding;
    let now_ns = maps::now_ns();
    if finding.verdict.is_handed_over() {
        finding.verdict = hand_over(packet, finding, now_ns);
    }
    let verdict = finding.verdict;
    maps::count(&finding.router, verdict as usize);
    maps::note_source(packet, finding, now_ns);
    if !verdict.is_bad() {
        return Action::Pass;
    }
    maps::note_failure(finding, now_ns);
    maps::note_reject(packet, finding, now_ns);
    let settings = maps::settings();
    if settings.log_drops != 0 && maps::may_log() {
        log(packet.context(), finding);
    }
    // A daemon that is hung or dead may have been replaced by another program, which needs its adverts.
    if settings.enforce != 0 && maps::is_alive(&finding.router, now_ns) {
        maps::count(&finding.router, Counters::DROPPED);
        Action::Drop
    } else {
        maps::count(&finding.router, Counters::WOULD_DROP);
        Action::Pass
    }
}

/// Hands a good advert over; says what was found of it in the end.
#[inline(always)]
fn hand_over<P: Packet>(packet: &P, finding: &Finding, now_ns: u64) -> Verdict {
    match ring::record(packet, finding, now_ns) {
        Ok(()) => {}
        Err(NotRecorded::Truncated) => return Verdict::Truncated,
        Err(NotRecorded::Full) => maps::count(&finding.router, Counters::RECORD_LOST),
    }
    // A copy may come from anywhere: it makes nobody a station, and no silence shorter.
    if finding.verdict == Verdict::Admitted && !finding.is_copy {
        maps::stamp(finding, now_ns);
        maps::move_fence(finding, now_ns);
    }
    finding.verdict
}

#[inline(never)]
fn log<C: aya_ebpf::EbpfContext>(ctx: &C, finding: &Finding) {
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
