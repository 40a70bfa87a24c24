//! Finds a VRRP message behind an Ethernet header and states the facts of its headers; decides nothing.

use crate::{
    ethernet::{ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Link},
    frame::Frame,
    neighbor::IP_PROTO_ICMPV6,
    units::{Family, MacAddr},
};

const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// IP protocol number of VRRP, and of CARP. RFC 9568 §5.1.1.4.
pub const IP_PROTO_VRRP: u8 = 112;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// IPv6 extension headers that are followed in search of VRRP; a longer chain is left to the host.
const EXTENSION_HEADERS_MAX: usize = 4;

/// How the IP headers in front of the message are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A plain header, as every honest sender builds it.
    Plain,
    /// An IPv4 header with options.
    Options,
    /// The first fragment of a datagram.
    Fragment,
    /// IPv6 extension headers before protocol 112.
    ExtensionHeaders,
}

/// The headers of a frame that carries a VRRP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Sender of the Ethernet frame.
    pub source_mac: MacAddr,
    /// VLAN identifier; 0 for an untagged frame, and for a priority tag, which the kernel treats as untagged.
    pub vlan: u16,
    /// Carrying IP version.
    pub family: Family,
    /// How the IP headers are built.
    pub shape: Shape,
    /// TTL or Hop Limit.
    pub ttl: u8,
    /// Virtual Router Identifier as received, 0 included.
    pub vrid: u8,
    /// Where the VRRP message begins, in bytes from the start of the frame.
    pub message_offset: usize,
    /// Bytes of the VRRP message as the IP header states them; Ethernet padding is not counted.
    pub message_len: usize,
    /// Source address; an IPv4 address fills the first four bytes.
    pub source: [u8; 16],
    /// Destination address, in the same form.
    pub destination: [u8; 16],
}

/// Bytes of headers in front of a VRRP message that are looked through. No honest sender needs more, and the verifier has to
/// know a bound.
pub const HEADERS_MAX: usize = 128;

/// Whether `frame`, whose Ethernet header is `link`, may be VRRP, ARP or Neighbor Discovery: what can be told from a byte or
/// two, before the rest is made readable. True where they cannot be read.
#[inline(always)]
pub fn may_concern<F: Frame + ?Sized>(frame: &F, link: &Link) -> bool {
    match link.ethertype {
        ETHERTYPE_ARP => true,
        ETHERTYPE_IPV4 => match frame.bytes::<1>(link.payload_offset + 9) {
            Some(&[protocol]) => protocol == IP_PROTO_VRRP,
            None => true,
        },
        ETHERTYPE_IPV6 => match frame.bytes::<1>(link.payload_offset + 6) {
            Some(&[next_header]) => matches!(
                next_header,
                IP_PROTO_VRRP
                    | IP_PROTO_ICMPV6
                    | HOP_BY_HOP
                    | ROUTING
                    | FRAGMENT
                    | AUTHENTICATION
                    | DESTINATION_OPTIONS
            ),
            None => true,
        },
        _ => false,
    }
}

/// The facts of `frame`, whose Ethernet header is `link`; `None` where it is not VRRP, or not recognisable as VRRP: a
/// later fragment, a header cut short, or behind more than [`HEADERS_MAX`] bytes.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F, link: &Link) -> Option<Facts> {
    match link.ethertype {
        ETHERTYPE_IPV4 => read_ipv4(frame, link),
        ETHERTYPE_IPV6 => read_ipv6(frame, link),
        _ => None,
    }
}

/// Reads an IPv4 header of any length. RFC 791 §3.1.
#[inline(always)]
fn read_ipv4<F: Frame + ?Sized>(frame: &F, link: &Link) -> Option<Facts> {
    let offset = link.payload_offset;
    let header = frame.bytes::<IPV4_LEN>(offset)?;
    let &[version_ihl, _, l0, l1, _, _, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    let fragment = u16::from_be_bytes([f0, f1]);
    // A later fragment holds no VRRP header; without the first, which is dropped, it is never reassembled.
    if protocol != IP_PROTO_VRRP || version_ihl >> 4 != 4 || header_len < IPV4_LEN || fragment & 0x1fff != 0 {
        return None;
    }
    let message_offset = offset + header_len;
    let &[_, vrid] = frame.bytes::<2>(message_offset)?;
    Some(Facts {
        source_mac: link.source,
        vlan: link.vlan,
        family: Family::Ipv4,
        shape: match (fragment & 0x2000 != 0, header_len > IPV4_LEN) {
            (true, _) => Shape::Fragment,
            (false, true) => Shape::Options,
            (false, false) => Shape::Plain,
        },
        ttl,
        vrid,
        message_offset,
        message_len: usize::from(u16::from_be_bytes([l0, l1])).saturating_sub(header_len),
        source: [s0, s1, s2, s3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        destination: [d0, d1, d2, d3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    })
}

/// Reads an IPv6 header and follows its extension headers. RFC 8200 §3, §4.
#[inline(always)]
fn read_ipv6<F: Frame + ?Sized>(frame: &F, link: &Link) -> Option<Facts> {
    let offset = link.payload_offset;
    let &[version_class, _, _, _, l0, l1, mut next_header, hop_limit] = frame.bytes::<8>(offset)?;
    if version_class >> 4 != 6 {
        return None;
    }
    let source = *frame.bytes::<16>(offset + 8)?;
    let destination = *frame.bytes::<16>(offset + 24)?;
    let mut message_offset = offset + IPV6_LEN;
    let mut message_len = usize::from(u16::from_be_bytes([l0, l1]));
    let mut shape = Shape::Plain;
    for _ in 0..EXTENSION_HEADERS_MAX {
        if next_header == IP_PROTO_VRRP {
            break;
        }
        let header_len;
        (shape, header_len) = extension_header(frame, next_header, message_offset)?;
        let &[following] = frame.bytes::<1>(message_offset)?;
        next_header = following;
        message_offset += header_len;
        message_len = message_len.saturating_sub(header_len);
    }
    if next_header != IP_PROTO_VRRP || message_offset > HEADERS_MAX {
        return None;
    }
    let &[_, vrid] = frame.bytes::<2>(message_offset)?;
    Some(Facts {
        source_mac: link.source,
        vlan: link.vlan,
        family: Family::Ipv6,
        shape,
        ttl: hop_limit,
        vrid,
        message_offset,
        message_len,
        source,
        destination,
    })
}

/// What the extension header of type `kind` at `offset` makes of the packet, and its length. RFC 8200 §4, RFC 4302 §2.2.
///
/// `None` for one that is unknown, and for a later fragment.
#[inline(always)]
fn extension_header<F: Frame + ?Sized>(frame: &F, kind: u8, offset: usize) -> Option<(Shape, usize)> {
    match kind {
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
            let &[_, units] = frame.bytes::<2>(offset)?;
            Some((Shape::ExtensionHeaders, (usize::from(units) + 1) * 8))
        }
        AUTHENTICATION => {
            let &[_, units] = frame.bytes::<2>(offset)?;
            Some((Shape::ExtensionHeaders, (usize::from(units) + 2) * 4))
        }
        FRAGMENT => {
            let &[_, _, f0, f1] = frame.bytes::<4>(offset)?;
            let is_first = u16::from_be_bytes([f0, f1]) & 0xfff8 == 0;
            is_first.then_some((Shape::Fragment, 8))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
