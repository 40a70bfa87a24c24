//! Captured adverts and the ways to spoil them, for the tables of `parse` and `judge`.

pub(crate) mod signed;

extern crate std;
use std::vec::Vec;

use crate::{
    abi::RouterKey,
    units::{Family, MacAddr},
};

/// A VLAN tag: protocol identifier and control information.
pub(crate) type Tag = [u8; 4];
/// An IPv6 extension header: its number, and all its bytes but the first, which names what follows.
pub(crate) type Extension<'a> = (u8, &'a [u8]);

/// Where every test's frame arrives.
pub(crate) const IFINDEX: u32 = 7;

/// Destination and source of the Ethernet header, before the `EtherType` or a tag.
const MAC_ADDRESSES_LEN: usize = 12;
const IP_AT: usize = 14;
const IPV6_LEN: usize = 40;

/// An advert that keepalived 2.4.3 sent, and where in it the fields are.
#[derive(Debug)]
pub(crate) struct Golden {
    pub(crate) frame: &'static [u8],
    pub(crate) family: Family,
    pub(crate) vrid: u8,
    pub(crate) source_mac: MacAddr,
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    /// Bytes of one address.
    pub(crate) address_len: usize,
    /// Bytes of the message.
    pub(crate) message_len: usize,
    /// Offsets in the frame: the IP length field, TTL, the two addresses, the message.
    pub(crate) length_at: usize,
    pub(crate) ttl_at: usize,
    pub(crate) source_at: usize,
    pub(crate) destination_at: usize,
    pub(crate) message_at: usize,
}

/// VRID 55, 192.0.2.130, priority 200, interval 1 s, checksum with pseudo-header.
pub(crate) const IPV4: Golden = Golden {
    frame: &[
        0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x08, 0x00, //
        0x45, 0xc0, 0x00, 0x20, 0x00, 0x01, 0x00, 0x00, 0xff, 0x70, 0xb0, 0x5c, //
        0xc6, 0x33, 0x64, 0x0a, 0xe0, 0x00, 0x00, 0x12, //
        0x31, 0x37, 0xc8, 0x01, 0x00, 0x64, 0x39, 0x13, 0xc0, 0x00, 0x02, 0x82,
    ],
    family: Family::Ipv4,
    vrid: 55,
    source_mac: MacAddr([0x02, 0x77, 0, 0, 0x01, 0x01]),
    source: [198, 51, 100, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    destination: [224, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    address_len: 4,
    message_len: 12,
    length_at: 16,
    ttl_at: 22,
    source_at: 26,
    destination_at: 30,
    message_at: 34,
};

/// VRID 57, `fe80::200` and `2001:db8::200`, priority 200, interval 1 s.
pub(crate) const IPV6: Golden = Golden {
    frame: &[
        0x33, 0x33, 0x00, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x86, 0xdd, //
        0x6c, 0x02, 0x84, 0xe8, 0x00, 0x28, 0x70, 0xff, //
        0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x77, 0x00, 0xff, 0xfe, 0x00, 0x01, 0x01, //
        0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, //
        0x31, 0x39, 0xc8, 0x02, 0x00, 0x64, 0xd7, 0x7f, //
        0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, //
        0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00,
    ],
    family: Family::Ipv6,
    vrid: 57,
    source_mac: MacAddr([0x02, 0x77, 0, 0, 0x01, 0x01]),
    source: [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x77, 0, 0xff, 0xfe, 0, 0x01, 0x01],
    destination: [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12],
    address_len: 16,
    message_len: 40,
    length_at: 18,
    ttl_at: 21,
    source_at: 22,
    destination_at: 38,
    message_at: 54,
};

/// Both of them.
pub(crate) const GOLDEN: [Golden; 2] = [IPV4, IPV6];

impl Golden {
    /// The key under which the virtual router is configured.
    pub(crate) const fn key(&self) -> RouterKey {
        RouterKey { ifindex: IFINDEX, vlan: 0, family: self.family.number(), vrid: self.vrid }
    }

    /// The frame with other bytes at `offset`.
    pub(crate) fn with(&self, offset: usize, bytes: &[u8]) -> Vec<u8> {
        patched(self.frame, offset, bytes)
    }

    /// The frame with other bytes at `offset` of its VRRP message.
    pub(crate) fn with_message(&self, offset: usize, bytes: &[u8]) -> Vec<u8> {
        self.with(self.message_at + offset, bytes)
    }

    /// The frame with another source address.
    pub(crate) fn from(&self, source: &[u8; 16]) -> Vec<u8> {
        self.with(self.source_at, &source[..self.address_len])
    }

    /// The frame with another destination address.
    pub(crate) fn to(&self, destination: &[u8; 16]) -> Vec<u8> {
        self.with(self.destination_at, &destination[..self.address_len])
    }

    /// The frame with a message of `len` bytes, cut or filled with zeros, and the IP length that belongs to it.
    pub(crate) fn resized(&self, len: usize) -> Vec<u8> {
        let mut frame = self.stating(len);
        frame.resize(self.message_at + len, 0);
        frame
    }

    /// The frame, as long as ever, with the IP length of a message of `len` bytes.
    pub(crate) fn stating(&self, len: usize) -> Vec<u8> {
        let ip_len = if matches!(self.family, Family::Ipv4) { len + 20 } else { len };
        self.with(self.length_at, &u16::try_from(ip_len).unwrap().to_be_bytes())
    }
}

/// `frame` with other bytes at `offset`.
pub(crate) fn patched(frame: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    frame
}

/// `frame` with tags in front of its `EtherType`.
pub(crate) fn tagged(frame: &[u8], tags: &[Tag]) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(MAC_ADDRESSES_LEN);
    [addresses, &tags.concat(), rest].concat()
}

/// The IPv4 advert with `words` words of IP options, all No Operation.
pub(crate) fn with_options(words: u8) -> Vec<u8> {
    let options = std::vec![1; usize::from(words) * 4];
    let (before, message) = IPV4.frame.split_at(IPV4.message_at);
    let mut frame = [before, &options, message].concat();
    frame[IP_AT] = 0x45 + words;
    frame[IPV4.length_at + 1] += words * 4;
    frame
}

/// The IPv6 advert with extension headers.
pub(crate) fn with_extensions(headers: &[Extension<'_>]) -> Vec<u8> {
    let (before, message) = IPV6.frame.split_at(IP_AT + IPV6_LEN);
    let mut frame = before.to_vec();
    let mut next_header_at = IP_AT + 6;
    for (number, rest) in headers {
        frame[next_header_at] = *number;
        next_header_at = frame.len();
        frame.push(112);
        frame.extend_from_slice(rest);
    }
    frame.extend_from_slice(message);
    let payload_len = u16::try_from(frame.len() - IP_AT - IPV6_LEN).unwrap();
    patched(&frame, IPV6.length_at, &payload_len.to_be_bytes())
}
