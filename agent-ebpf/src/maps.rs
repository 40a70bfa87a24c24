//! The maps, and the only functions that touch them.

pub(crate) mod ring;

use core::{arch::asm, hint::black_box, mem::MaybeUninit, ops::DerefMut};

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use vrrp_wire::{
    abi::{
        Arrivals, CLAIMS_MAX, Claim, ClaimKey, Counters, Fence, Heartbeat, KEYS_MAX, PEERS_MAX, Peer, PeerKey,
        REJECT_LEN, REJECTS_MAX, ROUTERS_MAX, Reject, Role, Router, RouterKey, SOURCES_MAX, STATIONS_MAX, Settings,
        Source, SourceKey, Station, VIPS_MAX, Verdict, VipKey,
    },
    fence::{Post, close},
    hmac::{Midstates, Workspace, tag},
    judge::{Finding, HEADER_LEN, Tables, VERSION_3, sender},
    neighbor::Neighbor,
    parse::Facts,
    sequence::from_nanoseconds,
    units::{Family, MacAddr},
};

use crate::packet::Packet;

#[btf_map(name = "settings")]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map(name = "heartbeat")]
static HEARTBEAT: Array<Heartbeat, 1> = Array::new();
#[btf_map(name = "routers")]
static ROUTERS: HashMap<RouterKey, Router, ROUTERS_MAX> = HashMap::new();
#[btf_map(name = "roles")]
static ROLES: HashMap<RouterKey, Role, ROUTERS_MAX> = HashMap::new();
#[btf_map(name = "fences")]
static FENCES: HashMap<RouterKey, Fence, ROUTERS_MAX> = HashMap::new();
#[btf_map(name = "fenced_until")]
static FENCED_UNTIL: Array<u64, 1> = Array::new();
#[btf_map(name = "arrivals")]
static ARRIVALS: HashMap<RouterKey, Arrivals, ROUTERS_MAX> = HashMap::new();
#[btf_map(name = "watched_until")]
static WATCHED_UNTIL: Array<u64, 1> = Array::new();
#[btf_map(name = "vips")]
static VIPS: HashMap<VipKey, RouterKey, VIPS_MAX> = HashMap::new();
#[btf_map(name = "peers")]
static PEERS: HashMap<PeerKey, Peer, PEERS_MAX> = HashMap::new();
#[btf_map(name = "marks")]
static MARKS: HashMap<PeerKey, u64, PEERS_MAX> = HashMap::new();
#[btf_map(name = "keys")]
static KEYS: HashMap<u32, Midstates, KEYS_MAX> = HashMap::new();
#[btf_map(name = "stations")]
static STATIONS: LruHashMap<Station, u64, STATIONS_MAX> = LruHashMap::new();
#[btf_map(name = "claims")]
static CLAIMS: LruHashMap<ClaimKey, Claim, CLAIMS_MAX> = LruHashMap::new();
#[btf_map(name = "sources")]
static SOURCES: LruHashMap<SourceKey, Source, SOURCES_MAX> = LruHashMap::new();
#[btf_map(name = "rejects")]
static REJECTS: PerCpuArray<Reject, REJECTS_MAX> = PerCpuArray::new();
#[btf_map(name = "counters")]
static COUNTERS: HashMap<RouterKey, Counters, ROUTERS_MAX> = HashMap::new();
// Not pinned: what is in it lasts for one frame, except for the count of bad frames.
#[btf_map(name = "scratch")]
static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();
// The second on the monotonic clock, and the lines logged in it.
#[btf_map(name = "log_budget")]
static LOG_BUDGET: Array<[u64; 2], 1> = Array::new();

/// What one CPU needs while it judges a frame, too large for the stack of a BPF program.
struct Scratch {
    neighbor: MaybeUninit<Neighbor>,
    facts: MaybeUninit<Facts>,
    finding: MaybeUninit<Finding>,
    workspace: Workspace,
    /// What the code is computed with, and the code.
    key: Midstates,
    len: usize,
    code: [u8; 16],
    /// Bad frames so far, which gives the place of the next in the ring of this CPU.
    rejects: u64,
}

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

    #[inline(always)]
    fn mark(&self, key: &PeerKey) -> Option<u64> {
        // SAFETY: as above.
        unsafe { MARKS.get(key) }.copied()
    }

    #[inline(always)]
    fn key(&self, id: u8) -> Option<&Midstates> {
        // SAFETY: as above.
        unsafe { KEYS.get(u32::from(id)) }
    }

    #[inline(always)]
    fn wall_clock(&self) -> Option<u64> {
        let offset_ns = HEARTBEAT.get(0)?.wall_offset_ns;
        (offset_ns != 0).then(|| from_nanoseconds(now_ns() + offset_ns))
    }

    #[inline(always)]
    fn workspace(&self) -> Option<impl DerefMut<Target = Workspace>> {
        let scratch = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: the entry is this CPU's own, and nothing else runs on it that looks at it before the frame is done.
        Some(unsafe { &mut (*scratch).workspace })
    }

    #[inline(always)]
    fn code(&self, key: &Midstates, len: usize) -> Option<[u8; 16]> {
        let scratch = SCRATCH.get_ptr_mut(0)?;
        // SAFETY: as above.
        unsafe {
            (*scratch).key = *key;
            (*scratch).len = len;
            vipd_code();
            Some((*scratch).code)
        }
    }
}

impl Post for BpfTables {
    #[inline(always)]
    fn vip(&self, key: &VipKey) -> Option<&RouterKey> {
        // SAFETY: the daemon replaces whole values.
        unsafe { VIPS.get(key) }
    }

    #[inline(always)]
    fn router(&self, key: &RouterKey) -> Option<&Router> {
        // SAFETY: as above.
        unsafe { ROUTERS.get(key) }
    }

    #[inline(always)]
    fn role(&self, key: &RouterKey) -> Option<&Role> {
        // SAFETY: as above.
        unsafe { ROLES.get(key) }
    }

    #[inline(always)]
    fn fence(&self, key: &RouterKey) -> Option<&Fence> {
        // SAFETY: its two fields are read on their own; racing CPUs can only lose a count.
        unsafe { FENCES.get(key) }
    }

    #[inline(always)]
    fn heartbeat(&self) -> Heartbeat {
        HEARTBEAT.get(0).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn knows(&self, station: &Station) -> bool {
        STATIONS.get_ptr(station).is_some()
    }
}

/// Computes the code of what is in this CPU's workspace.
///
/// A function with a name of its own, which the verifier therefore walks through once, whatever its callers know.
#[unsafe(no_mangle)]
extern "C" fn vipd_code() -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return 0 };
    // SAFETY: the entry is this CPU's own.
    let scratch = unsafe { &mut *scratch };
    scratch.code = tag(&mut scratch.workspace, &scratch.key, scratch.len);
    1
}

/// Accessors of what one stage leaves for the next in this CPU's scratch memory.
macro_rules! kept {
    ($keep:ident, $get:ident, $field:ident: $kind:ty) => {
        /// Keeps it for the next stage.
        #[inline(always)]
        pub(crate) fn $keep(value: $kind) {
            if let Some(scratch) = SCRATCH.get_ptr_mut(0) {
                // SAFETY: the entry is this CPU's own.
                unsafe { (*scratch).$field.write(value) };
            }
        }

        /// What an earlier stage has kept.
        #[inline(always)]
        pub(crate) fn $get() -> Option<&'static mut $kind> {
            let scratch = SCRATCH.get_ptr_mut(0)?;
            // SAFETY: the entry is this CPU's own, and a stage asks only for what an earlier one of the same frame kept.
            Some(unsafe { (*scratch).$field.assume_init_mut() })
        }
    };
}

kept!(keep_neighbor, neighbor, neighbor: Neighbor);
kept!(keep_facts, facts, facts: Facts);
kept!(keep_finding, finding, finding: Finding);

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

/// Notes that a good advert has come from its sender, from where, and what it said.
#[inline(never)]
pub(crate) fn stamp(finding: &Finding, now_ns: u64) {
    let facts = &finding.facts;
    let station = Station { ifindex: finding.router.ifindex, vlan: facts.vlan, mac: facts.source_mac.0 };
    // An error says that there is no room; then a peer's own ARP may be taken for a stranger's.
    let _ = STATIONS.insert(station, now_ns, 0);
    let Some((key, _)) = sender(facts, finding.router, &BpfTables) else { return };
    let Some(peer) = PEERS.get_ptr_mut(key) else { return };
    // SAFETY: the entry exists; a race with another CPU is accepted, as the type says.
    unsafe { (*peer).stamp(finding.priority, finding.interval_cs, finding.sequence, now_ns) };
}

/// Notes that an advert in the name of a peer has failed authentication.
#[inline(never)]
pub(crate) fn note_failure(finding: &Finding, now_ns: u64) {
    let Some((key, _)) = sender(&finding.facts, finding.router, &BpfTables) else { return };
    let Some(peer) = PEERS.get_ptr_mut(key) else { return };
    // SAFETY: as above.
    unsafe { (*peer).note_failure(finding.verdict, now_ns) };
}

/// Closes or opens the fence of the virtual router that a peer has just spoken for.
#[inline(never)]
pub(crate) fn move_fence(finding: &Finding, now_ns: u64) {
    let key = &finding.router;
    let Some(until_ns) = close(key, finding.priority, finding.interval_cs, &BpfTables, now_ns) else { return };
    let (Some(fence), Some(last)) = (FENCES.get_ptr_mut(key), FENCED_UNTIL.get_ptr_mut(0)) else { return };
    let heartbeat = BpfTables.heartbeat();
    // SAFETY: both entries exist; CPUs that race here have heard the same peer.
    unsafe {
        if until_ns > now_ns && !(*fence).is_closed(&heartbeat, now_ns) {
            (*fence).closings += 1;
        }
        (*fence).beat_ns = heartbeat.beat_ns;
        (*fence).closed_until_ns = until_ns;
        *last = until_ns.max(*last);
    }
}

/// When the last fence opens; 0 where none has closed.
#[inline(always)]
pub(crate) fn fenced_until_ns() -> u64 {
    FENCED_UNTIL.get(0).copied().unwrap_or(0)
}

/// Until when it is noted what comes to virtual addresses; 0 where nobody wants to know.
#[inline(always)]
pub(crate) fn watched_until_ns() -> u64 {
    WATCHED_UNTIL.get(0).copied().unwrap_or(0)
}

/// Notes that a frame has come to an address of the virtual router, if somebody wants to know.
#[inline(always)]
pub(crate) fn note_arrival(router: &RouterKey, now_ns: u64) {
    let Some(arrivals) = ARRIVALS.get_ptr_mut(router) else { return };
    // SAFETY: the entry exists; racing CPUs can only lose a count, or a few nanoseconds.
    unsafe {
        if (*arrivals).first_ns == 0 {
            (*arrivals).first_ns = now_ns;
        }
        (*arrivals).frames += 1;
    }
}

/// Whether the daemon is there to hear the adverts of a virtual router.
#[inline(always)]
pub(crate) fn is_alive(key: &RouterKey, now_ns: u64) -> bool {
    BpfTables.role(key).is_some_and(|role| !BpfTables.heartbeat().is_stale(role, now_ns))
}

/// Notes that somebody claims a virtual address.
#[inline(never)]
pub(crate) fn note_claim(vip: &VipKey, mac: MacAddr, now_ns: u64) {
    let key = ClaimKey { vip: *vip, mac: mac.0, padding: [0; 2] };
    if let Some(claim) = CLAIMS.get_ptr_mut(key) {
        // SAFETY: the entry exists; racing CPUs can only lose a count.
        unsafe {
            (*claim).last_ns = now_ns;
            (*claim).frames += 1;
        }
    } else {
        // The least recently used gives way; an error says that other CPUs hold what is left.
        let _ = CLAIMS.insert(key, Claim { first_ns: now_ns, last_ns: now_ns, frames: 1 }, 0);
    }
}

/// Notes who speaks, and what he says.
#[inline(never)]
pub(crate) fn note_source<P: Packet>(packet: &P, finding: &Finding, now_ns: u64) {
    let facts = &finding.facts;
    let Some(&[version_type, vrid, priority, addresses, i0, i1, _, _]) = packet.bytes::<8>(facts.message_offset) else {
        return;
    };
    let is_carp = finding.verdict == Verdict::Carp;
    let key = SourceKey {
        ifindex: finding.router.ifindex,
        vlan: facts.vlan,
        family: facts.family.number(),
        vrid,
        source: facts.source,
        mac: facts.source_mac.0,
        version: if is_carp { 0 } else { version_type >> 4 },
        padding: 0,
    };
    let source = if let Some(known) = SOURCES.get_ptr_mut(key) {
        known
    } else {
        let first = Source { first_ns: now_ns, ..Source::default() };
        // The least recently used gives way; an error says that other CPUs hold what is left.
        let _ = SOURCES.insert(key, first, 0);
        let Some(source) = SOURCES.get_ptr_mut(key) else { return };
        source
    };
    // SAFETY: the entry exists; racing CPUs can only mix what one speaker says in two adverts.
    unsafe {
        (*source).last_ns = now_ns;
        (*source).frames += 1;
        (*source).verdict = finding.verdict as u32;
        // VRRPv2 and CARP count seconds, in one byte. RFC 3768 §5.3.7.
        (*source).interval_cs =
            if key.version == VERSION_3 { u16::from_be_bytes([i0, i1]) & 0x0fff } else { u16::from(i1) * 100 };
        (*source).priority = priority;
        (*source).addresses = if is_carp { 0 } else { addresses };
        (*source).address = if is_carp { [0; 16] } else { first_address(packet, facts) };
    }
}

/// The first address of the message.
#[inline(always)]
fn first_address<P: Packet>(packet: &P, facts: &Facts) -> [u8; 16] {
    let offset = facts.message_offset + HEADER_LEN;
    match facts.family {
        Family::Ipv4 => {
            packet.bytes::<4>(offset).map_or([0; 16], |&[a, b, c, d]| [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        Family::Ipv6 => packet.bytes::<16>(offset).copied().unwrap_or_default(),
    }
}

/// Keeps the beginning of a bad frame, in place of the oldest that this CPU has kept.
#[inline(never)]
pub(crate) fn note_reject<P: Packet>(packet: &P, finding: &Finding, now_ns: u64) {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return };
    // SAFETY: the entry is this CPU's own.
    let place = unsafe {
        let place = (*scratch).rejects % REJECTS_MAX as u64;
        (*scratch).rejects += 1;
        place
    };
    let Some(reject) = REJECTS.get_ptr_mut(place as u32) else { return };
    // SAFETY: as above; the daemon may read a frame that is half another one.
    unsafe {
        (*reject).at_ns = now_ns;
        (*reject).ifindex = finding.router.ifindex;
        (*reject).verdict = finding.verdict as u32;
        (*reject).frame_len = packet.frame_len() as u32;
        (*reject).stripped_tag = packet.stripped_tag();
        (*reject).captured = keep(packet, &mut (*reject).frame);
    }
}

/// Copies the beginning of the frame, two bytes at a time, of which adverts are whole numbers; says how many bytes.
#[inline(always)]
fn keep<P: Packet>(packet: &P, to: &mut [u8; REJECT_LEN]) -> u16 {
    let mut at = 0;
    while at < REJECT_LEN {
        let Some(&[a, b]) = packet.bytes::<2>(at) else { break };
        (to[at], to[at + 1]) = (a, b);
        at += 2;
    }
    at as u16
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
