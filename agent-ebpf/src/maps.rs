//! The maps, and the only functions that touch them.

use core::{arch::asm, hint::black_box};

use aya_ebpf::{
    btf_maps::{Array, HashMap, RingBuf},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use vrrp_wire::{
    abi::{
        AdvertRecord, Counters, MESSAGE_MAX, PEERS_MAX, Peer, PeerKey, RING_LEN, ROUTERS_MAX, Router, RouterKey,
        Settings,
    },
    frame::Frame,
    judge::{Finding, Tables, sender},
};

#[btf_map(name = "settings")]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map(name = "routers")]
static ROUTERS: HashMap<RouterKey, Router, ROUTERS_MAX> = HashMap::new();
#[btf_map(name = "peers")]
static PEERS: HashMap<PeerKey, Peer, PEERS_MAX> = HashMap::new();
#[btf_map(name = "counters")]
static COUNTERS: HashMap<RouterKey, Counters, ROUTERS_MAX> = HashMap::new();
// The record type is given at `reserve`: libbpf refuses a ring buffer that declares a value.
#[btf_map(name = "adverts")]
static ADVERTS: RingBuf<(), RING_LEN> = RingBuf::new();
// The second on the monotonic clock, and the lines logged in it.
#[btf_map(name = "log_budget")]
static LOG_BUDGET: Array<[u64; 2], 1> = Array::new();

/// The kernel's view of what is configured.
pub(crate) struct BpfTables;

impl Tables for BpfTables {
    #[inline(always)]
    fn router(&self, key: &RouterKey) -> Option<&Router> {
        // SAFETY: the daemon replaces whole values; a torn read costs one misjudged advert.
        unsafe { ROUTERS.get(key) }
    }

    #[inline(always)]
    fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        // SAFETY: as above.
        unsafe { PEERS.get(key) }
    }
}

/// What holds for every interface; all off before the daemon has written it.
#[inline(always)]
pub(crate) fn settings() -> Settings {
    SETTINGS.get(0).copied().unwrap_or_default()
}

/// Adds one to the counter at `place` of `router`.
#[inline(always)]
pub(crate) fn count(router: &RouterKey, place: usize) {
    let Some(counters) = COUNTERS.get_ptr_mut(router) else { return };
    // LLVM knows the range of a verdict and would leave the check out; the verifier does not and needs it.
    let place = black_box(place);
    if place >= Counters::LEN {
        return;
    }
    // SAFETY: `Counters` is `LEN` consecutive `u64`s, `place` is below `LEN`, and everybody adds atomically. The
    // standard library has no atomic addition for a target without compare-and-swap.
    unsafe {
        let counter = counters.cast::<u64>().add(place);
        asm!("lock *(u64 *)({counter} + 0) += {one}", counter = in(reg) counter, one = in(reg) 1_u64);
    }
}

/// Notes in the sender's entry that a good advert has come, and what it said.
#[inline(always)]
pub(crate) fn stamp(finding: &Finding, now_ns: u64) {
    let Some((key, _)) = sender(&finding.facts, finding.router, &BpfTables) else { return };
    let Some(peer) = PEERS.get_ptr_mut(key) else { return };
    // SAFETY: the entry exists; a race with another CPU is accepted, as the type says.
    unsafe { (*peer).stamp(finding.priority, finding.interval_cs, now_ns) };
}

/// Now, on the CLOCK_MONOTONIC scale.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Whether a log line may be written: ten a second, so that a flood cannot fill the log.
///
/// Two CPUs may both take the last one.
#[inline(always)]
pub(crate) fn may_log() -> bool {
    const LINES_PER_SECOND: u64 = 10;
    const SECOND_NS: u64 = 1_000_000_000;
    let Some(budget) = LOG_BUDGET.get_ptr_mut(0) else { return false };
    let second = now_ns() / SECOND_NS;
    // SAFETY: the entry of an array map always exists; racing CPUs can only miscount lines.
    unsafe {
        if (*budget)[0] != second {
            *budget = [second, 0];
        }
        (*budget)[1] += 1;
        (*budget)[1] <= LINES_PER_SECOND
    }
}

/// Why an admitted advert was not handed over.
pub(crate) enum NotRecorded {
    /// The frame ends before the message, or the message is longer than a record.
    Truncated,
    /// The ring buffer is full.
    Full,
}

/// Hands the advert to the daemon: writes it into the ring buffer's own memory.
#[inline(always)]
pub(crate) fn record<F: Frame>(frame: &F, finding: &Finding, now_ns: u64) -> Result<(), NotRecorded> {
    let facts = &finding.facts;
    let Some(mut slot) = ADVERTS.reserve_untyped::<AdvertRecord>(0) else { return Err(NotRecorded::Full) };
    let record = slot.as_mut_ptr();
    // SAFETY: `slot` is memory for one record, ours until submitted; every field in use is written.
    let copied = unsafe {
        (*record).received_at_ns = now_ns;
        (*record).ifindex = finding.router.ifindex;
        (*record).message_len = u16::try_from(facts.message_len).unwrap_or(u16::MAX);
        (*record).vlan = facts.vlan;
        (*record).family = facts.family.number();
        (*record).ttl = facts.ttl;
        (*record).source_mac = facts.source_mac.0;
        (*record).source = facts.source;
        (*record).destination = facts.destination;
        copy(frame, facts.message_offset, facts.message_len, &raw mut (*record).message)
    };
    if copied {
        slot.submit(0);
        Ok(())
    } else {
        slot.discard(0);
        Err(NotRecorded::Truncated)
    }
}

/// Copies a message of whole 32-bit words; its length was checked against its address count.
///
/// # Safety
/// `to` must be valid for writes of [`MESSAGE_MAX`] bytes.
#[inline(always)]
unsafe fn copy<F: Frame>(frame: &F, offset: usize, len: usize, to: *mut [u8; MESSAGE_MAX]) -> bool {
    if len > MESSAGE_MAX {
        return false;
    }
    let mut at = 0;
    while at < MESSAGE_MAX {
        if at >= len {
            return true;
        }
        let Some(word) = frame.bytes::<4>(offset + at) else { return false };
        // SAFETY: `at` is a multiple of 4 below MESSAGE_MAX, which is one too.
        unsafe { to.cast::<[u8; 4]>().add(at / 4).write(*word) };
        at += 4;
    }
    true
}
