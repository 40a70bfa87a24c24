//! Adverts from a packet socket, where no XDP program is attached: the same frames, judged by the same code.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::libc;
use vrrp::Instant;
use vrrp_wire::{
    abi::{AdvertRecord, MESSAGE_MAX, Verdict},
    judge::{Finding, examine},
    parse::{Facts, IP_PROTO_VRRP},
    sequence::from_nanoseconds,
};

use super::tables::UserTables;
use crate::{
    clock,
    packet::{PacketSocket, filter},
};

/// Longest frame that is read; one that is cut is no advert.
const FRAME_MAX: usize = 2048;
/// Room for some hundred adverts that wait while the agent does not run.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Hears VRRP on one interface.
#[derive(Debug)]
pub struct SocketSource {
    socket: PacketSocket,
    ifindex: u32,
    /// When nothing was waiting: what comes later has not arrived before.
    emptied_at: Instant,
}

impl SocketSource {
    /// Listens on the interface `ifindex`; needs `CAP_NET_RAW`.
    pub fn open(ifindex: u32) -> io::Result<Self> {
        let emptied_at = clock::now();
        Ok(Self { socket: PacketSocket::receiver(ifindex, &vrrp_filter(), RECEIVE_BUFFER)?, ifindex, emptied_at })
    }

    /// The next advert among the next `left` frames, from which those that were read are taken; counts and stamps each
    /// frame in `tables`.
    ///
    /// Bad frames count too, so that a flood of them cannot hold the elections up.
    pub fn next_advert(&mut self, tables: &mut UserTables, left: &mut usize) -> io::Result<Option<AdvertRecord>> {
        let mut buffer = [0; FRAME_MAX];
        let wall_offset_ns = clock::wall_offset_ns();
        while *left > 0 {
            *left -= 1;
            let asked_at = clock::now();
            let Some((frame, at)) = self.socket.receive(&mut buffer)? else {
                self.emptied_at = asked_at;
                return Ok(None);
            };
            // A wall clock that is set while a frame waits does not make it older than that.
            let at = at.max(self.emptied_at);
            // An agent that was held up judges by the time when the advert came.
            tables.set_wall_clock(from_nanoseconds(at.as_nanos() + wall_offset_ns));
            let Some(mut finding) = examine(frame, self.ifindex, tables) else { continue };
            let is_good = finding.verdict.is_handed_over();
            let record = if is_good { record(frame, &finding, at.as_nanos()) } else { None };
            if is_good && record.is_none() {
                finding.verdict = Verdict::Truncated;
            }
            tables.note(&finding, at.as_nanos());
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }

    /// How many of the next `limit` frames are VRRP, good or bad, and are `wanted`.
    pub fn count(&self, tables: &UserTables, limit: usize, wanted: impl Fn(&Facts) -> bool) -> io::Result<u64> {
        let mut buffer = [0; FRAME_MAX];
        let mut count = 0;
        for _ in 0..limit {
            let Some((frame, _)) = self.socket.receive(&mut buffer)? else { break };
            let finding = examine(frame, self.ifindex, tables);
            count += u64::from(finding.is_some_and(|finding| wanted(&finding.facts)));
        }
        Ok(count)
    }
}

impl AsFd for SocketSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The record of an advert, as the kernel's program writes it; `None` where the frame ends before the message.
fn record(frame: &[u8], finding: &Finding, received_at_ns: u64) -> Option<AdvertRecord> {
    let facts = &finding.facts;
    let bytes = frame.get(facts.message_offset..)?.get(..facts.message_len)?;
    let mut message = [0; MESSAGE_MAX];
    message.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(AdvertRecord {
        received_at_ns,
        ifindex: finding.router.ifindex,
        message_len: u16::try_from(bytes.len()).ok()?,
        vlan: facts.vlan,
        family: facts.family.number(),
        ttl: facts.ttl,
        source_mac: facts.source_mac.0,
        source: facts.source,
        destination: facts.destination,
        message,
    })
}

/// A filter in classic BPF: what may be VRRP, received, and not in a VLAN.
///
/// The kernel takes the outer tag out of a frame before a packet socket sees it; a tagged advert would otherwise look
/// like one of the untagged network. Behind IPv6 extension headers VRRP may hide, so they are let through.
fn vrrp_filter() -> Vec<filter::Instruction> {
    use filter::{accept, and, drop, jump_if, load_ancillary, load_byte, load_half, load_vlan_tag_present};
    // Each jump names the instructions that are skipped: to `accept` at 22, to `drop` at 21.
    let program = [
        /*  0 */ load_ancillary(libc::SKF_AD_PKTTYPE),
        /*  1 */ jump_if(libc::PACKET_OUTGOING.into(), 19, 0),
        /*  2 */ load_vlan_tag_present(),
        /*  3 */ jump_if(0, 3, 0),
        /*  4 */ load_ancillary(libc::SKF_AD_VLAN_TAG),
        /*  5 */ and(0x0fff),
        /*  6 */ jump_if(0, 0, 14),
        /*  7 */ load_half(12),
        /*  8 */ jump_if(0x8100, 13, 0),
        /*  9 */ jump_if(0x88a8, 12, 0),
        /* 10 */ jump_if(0x0800, 0, 2),
        /* 11 */ load_byte(23),
        /* 12 */ jump_if(IP_PROTO_VRRP.into(), 9, 8),
        /* 13 */ jump_if(0x86dd, 0, 7),
        /* 14 */ load_byte(20),
        /* 15 */ jump_if(IP_PROTO_VRRP.into(), 6, 0),
        /* 16 */ jump_if(0, 5, 0),
        /* 17 */ jump_if(43, 4, 0),
        /* 18 */ jump_if(44, 3, 0),
        /* 19 */ jump_if(51, 2, 0),
        /* 20 */ jump_if(60, 1, 0),
        /* 21 */ drop(),
        /* 22 */ accept(),
    ];
    program.into()
}
