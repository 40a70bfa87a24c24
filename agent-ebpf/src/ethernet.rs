//! The Ethernet header of a frame, with up to two VLAN tags.

use crate::{frame::Frame, units::MacAddr};

const HEADER_LEN: usize = 14;
const TAG_LEN: usize = 4;

/// IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// ARP. RFC 826.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

/// The VLAN identifier of a tag's control information; the rest is priority bits.
const VLAN_ID_MASK: u16 = 0x0fff;

/// What the Ethernet header of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Sender of the frame.
    pub source: MacAddr,
    /// VLAN identifier; 0 for an untagged frame, and for a priority tag, which the kernel treats as untagged.
    pub vlan: u16,
    /// What follows the tags.
    pub ethertype: u16,
    /// Where that begins, in bytes from the start of the frame.
    pub payload_offset: usize,
}

/// Reads the header; `None` where the frame ends in it, and for a VLAN inside a VLAN or one of a provider's (802.1ad), which
/// belong to no interface whose frames are told apart by their tags.
#[inline(always)]
pub fn link<F: Frame + ?Sized>(frame: &F) -> Option<Link> {
    let &[_, _, _, _, _, _, m0, m1, m2, m3, m4, m5, t0, t1] = frame.bytes::<HEADER_LEN>(0)?;
    let mut ethertype = u16::from_be_bytes([t0, t1]);
    let mut payload_offset = HEADER_LEN;
    let mut vlan = frame.stripped_tag() & VLAN_ID_MASK;
    for _ in 0..2 {
        if ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ {
            break;
        }
        let &[c0, c1, t0, t1] = frame.bytes::<TAG_LEN>(payload_offset)?;
        let id = u16::from_be_bytes([c0, c1]) & VLAN_ID_MASK;
        if id != 0 && (vlan != 0 || ethertype == ETHERTYPE_QINQ) {
            return None;
        }
        vlan |= id;
        ethertype = u16::from_be_bytes([t0, t1]);
        payload_offset += TAG_LEN;
    }
    Some(Link { source: MacAddr([m0, m1, m2, m3, m4, m5]), vlan, ethertype, payload_offset })
}

#[cfg(test)]
mod tests;
