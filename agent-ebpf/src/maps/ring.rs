//! Hands adverts to the daemon, by the ring buffer.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    btf_maps::RingBuf,
    helpers::generated::bpf_ringbuf_query,
    macros::btf_map,
};
use vrrp_wire::{
    abi::{AdvertRecord, MESSAGE_MAX, RING_LEN, RING_UNREAD_MAX, SHORT_MAX, Verdict},
    fence::Post as _,
    judge::{Finding, sender},
};

use super::{BpfTables, PEERS};
use crate::packet::Packet;

// The record type is given at `reserve`: libbpf refuses a ring buffer that declares a value.
#[btf_map(name = "adverts")]
static ADVERTS: RingBuf<(), RING_LEN> = RingBuf::new();

/// Why an admitted advert was not handed over.
pub(crate) enum NotRecorded {
    /// The frame ends before the message, or the message is longer than a record.
    Truncated,
    /// The ring buffer is full.
    Full,
}

/// Bytes that wait in the ring buffer.
#[inline(always)]
fn unread() -> u64 {
    // SAFETY: the helper takes the map itself, of which it reads two positions.
    unsafe { bpf_ringbuf_query((&raw const ADVERTS).cast_mut().cast(), u64::from(BPF_RB_AVAIL_DATA)) }
}

/// Whether the daemon must hear of the advert at once. Who is not Active and hears the same as ever only puts off his timer, and
/// reads what waits before that ends. Waking him costs the sender's or the receiver's CPU more than all else that is done here.
#[inline(never)]
fn is_news(finding: &Finding, now_ns: u64) -> bool {
    if finding.verdict != Verdict::Admitted || BpfTables.role(&finding.router).is_none_or(|role| role.active != 0) {
        return true;
    }
    let Some((key, _)) = sender(&finding.facts, finding.router, &BpfTables) else { return true };
    let Some(peer) = PEERS.get_ptr_mut(key) else { return true };
    // SAFETY: the entry exists; what another CPU writes meanwhile is as good as what was there.
    let has_said = unsafe { (*peer).has_said(finding.priority, finding.interval_cs, now_ns) };
    !has_said || BpfTables.heartbeat().has_slept(finding.interval_cs, now_ns) || unread() > RING_UNREAD_MAX as u64
}

/// Hands the advert to the daemon: writes it into the ring buffer's own memory.
#[inline(always)]
pub(crate) fn record<P: Packet>(packet: &P, finding: &Finding, now_ns: u64) -> Result<(), NotRecorded> {
    let is_news = is_news(finding, now_ns);
    if finding.facts.message_len <= SHORT_MAX {
        record_in::<P, SHORT_MAX>(packet, finding, is_news, now_ns)
    } else {
        record_in::<P, MESSAGE_MAX>(packet, finding, is_news, now_ns)
    }
}

/// Hands it over in a record with so much room.
#[inline(always)]
fn record_in<P: Packet, const ROOM: usize>(
    packet: &P,
    finding: &Finding,
    is_news: bool,
    now_ns: u64,
) -> Result<(), NotRecorded> {
    let facts = &finding.facts;
    let Some(mut slot) = ADVERTS.reserve_untyped::<AdvertRecord<ROOM>>(0) else { return Err(NotRecorded::Full) };
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
        copy(packet, facts.message_offset, facts.message_len, &raw mut (*record).message)
    };
    if copied {
        // Not left to the kernel, which wakes nobody while an advert that was no news waits.
        slot.submit(u64::from(if is_news { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP }));
        Ok(())
    } else {
        slot.discard(0);
        Err(NotRecorded::Truncated)
    }
}

/// Copies a message of whole 32-bit words; its length was checked against its address count.
///
/// # Safety
/// `to` must be valid for writes of `ROOM` bytes.
#[inline(always)]
unsafe fn copy<P: Packet, const ROOM: usize>(packet: &P, offset: usize, len: usize, to: *mut [u8; ROOM]) -> bool {
    if len > ROOM {
        return false;
    }
    let mut at = 0;
    while at < ROOM {
        if at >= len {
            return true;
        }
        let Some(word) = packet.bytes::<4>(offset + at) else { return false };
        // SAFETY: `at` is a multiple of 4 below ROOM, which is one too.
        unsafe { to.cast::<[u8; 4]>().add(at / 4).write(*word) };
        at += 4;
    }
    true
}
