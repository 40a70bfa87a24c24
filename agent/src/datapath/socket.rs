//! Adverts from a packet socket, where no XDP program is attached: the same frames, judged by the same code.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::libc;
use socket2::SockFilter;
use vrrp_wire::{
    abi::{AdvertRecord, MESSAGE_MAX, Verdict},
    judge::{Finding, examine},
    parse::IP_PROTO_VRRP,
};

use super::tables::UserTables;
use crate::{clock, packet::PacketSocket};

/// Longest frame that is read; one that is cut is no advert.
const FRAME_MAX: usize = 2048;
/// Room for some hundred adverts that wait while the agent does not run.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Hears VRRP on one interface.
#[derive(Debug)]
pub struct SocketSource {
    socket: PacketSocket,
    ifindex: u32,
}

impl SocketSource {
    /// Listens on the interface `ifindex`; needs `CAP_NET_RAW`.
    pub fn open(ifindex: u32) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::receiver(ifindex, &vrrp_filter(), RECEIVE_BUFFER)?, ifindex })
    }

    /// Reads frames that wait until one is admitted; counts and stamps each in `tables`.
    pub fn next_advert(&self, tables: &mut UserTables) -> io::Result<Option<AdvertRecord>> {
        let mut buffer = [0; FRAME_MAX];
        while let Some(frame) = self.socket.receive(&mut buffer)? {
            let Some(mut finding) = examine(frame, self.ifindex, tables) else { continue };
            let now_ns = clock::now().as_nanos();
            let record = record(frame, &finding, now_ns);
            if finding.verdict == Verdict::Admitted && record.is_none() {
                finding.verdict = Verdict::Truncated;
            }
            tables.note(&finding, now_ns);
            if finding.verdict == Verdict::Admitted {
                return Ok(record);
            }
        }
        Ok(None)
    }
}

impl AsFd for SocketSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The record of an advert, as the kernel's program writes it; `None` where the frame ends before the message.
fn record(frame: &[u8], finding: &Finding, now_ns: u64) -> Option<AdvertRecord> {
    let facts = &finding.facts;
    let bytes = frame.get(facts.message_offset..)?.get(..facts.message_len)?;
    let mut message = [0; MESSAGE_MAX];
    message.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(AdvertRecord {
        received_at_ns: now_ns,
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
/// like one of the untagged network.
fn vrrp_filter() -> Vec<SockFilter> {
    const SKIP_TO_DROP: u8 = u8::MAX;
    const SKIP_TO_ACCEPT: u8 = u8::MAX - 1;
    let ancillary = |field: libc::c_int| load(libc::BPF_W, (libc::SKF_AD_OFF + field).cast_unsigned());
    let mut program = vec![
        ancillary(libc::SKF_AD_PKTTYPE),
        jump_if(u32::from(libc::PACKET_OUTGOING), SKIP_TO_DROP, 0),
        ancillary(libc::SKF_AD_VLAN_TAG_PRESENT),
        jump_if(0, 3, 0),
        ancillary(libc::SKF_AD_VLAN_TAG),
        statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0x0fff),
        jump_if(0, 0, SKIP_TO_DROP),
        load(libc::BPF_H, 12),
        jump_if(0x8100, SKIP_TO_ACCEPT, 0),
        jump_if(0x88a8, SKIP_TO_ACCEPT, 0),
        jump_if(0x0800, 0, 2),
        load(libc::BPF_B, 23),
        jump_if(u32::from(IP_PROTO_VRRP), SKIP_TO_ACCEPT, SKIP_TO_DROP),
        jump_if(0x86dd, 0, SKIP_TO_DROP),
        load(libc::BPF_B, 20),
    ];
    // VRRP, and the extension headers behind which it may hide.
    for next_header in [IP_PROTO_VRRP, 0, 43, 44, 51, 60] {
        program.push(jump_if(u32::from(next_header), SKIP_TO_ACCEPT, 0));
    }
    let drop_at = program.len();
    let resolve = |at: usize, skip: u8| match skip {
        SKIP_TO_DROP => u8::try_from(drop_at - at - 1).unwrap_or_default(),
        SKIP_TO_ACCEPT => u8::try_from(drop_at - at).unwrap_or_default(),
        near => near,
    };
    let mut filter: Vec<_> = program
        .into_iter()
        .enumerate()
        .map(|(at, (code, jt, jf, k))| SockFilter::new(code, resolve(at, jt), resolve(at, jf), k))
        .collect();
    filter.push(SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, 0));
    filter.push(SockFilter::new(code(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX));
    filter
}

/// Code, jump if true, jump if false, constant.
type Instruction = (u16, u8, u8, u32);

fn code(bits: u32) -> u16 {
    // Every code of classic BPF fits sixteen bits.
    u16::try_from(bits).unwrap_or_default()
}

fn statement(bits: u32, constant: u32) -> Instruction {
    (code(bits), 0, 0, constant)
}

fn load(width: u32, offset: u32) -> Instruction {
    statement(libc::BPF_LD | width | libc::BPF_ABS, offset)
}

/// Skips `if_equal` instructions where the accumulator is `constant`, else `if_not`.
fn jump_if(constant: u32, if_equal: u8, if_not: u8) -> Instruction {
    (code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), if_equal, if_not, constant)
}
