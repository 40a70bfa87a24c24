//! Frames of ARP and Neighbor Discovery: those that tell the LAN where a virtual address lives, gratuitous ARP and unsolicited
//! Neighbor Advertisement, and those that ask where another address does.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{
    MacAddr,
    message::{fold, sum},
};

const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// ff02::1, all nodes, and its Ethernet group.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: MacAddr = MacAddr([0x33, 0x33, 0, 0, 0, 1]);
const ICMPV6: u8 = 58;
/// Bytes of a Neighbor Advertisement with one Target Link-Layer Address option.
const ADVERTISEMENT_LEN: u8 = 32;
/// Bytes of a Neighbor Solicitation with one Source Link-Layer Address option.
const SOLICITATION_LEN: u8 = 32;
/// Router and Override, not Solicited. RFC 9568 §6.4.1, RFC 4861 §4.4.
const ROUTER_OVERRIDE: u8 = 0xa0;

/// The two forms of a gratuitous ARP. Hosts and switches differ in which they heed, so both are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpForm {
    /// Operation 1, as RFC 9568 §8.1.2 describes it.
    Request,
    /// Operation 2.
    Reply,
}

/// A gratuitous ARP frame: `address` is at `mac`. RFC 9568 §6.4.1, §8.1.2.
///
/// Sender and target protocol address are both `address`; the target hardware address is `mac` too, since Linux
/// takes the reply form for gratuitous only then.
#[must_use]
pub fn gratuitous_arp(mac: MacAddr, address: Ipv4Addr, form: ArpForm) -> Vec<u8> {
    let operation = match form {
        ArpForm::Request => 1,
        ArpForm::Reply => 2,
    };
    let mut frame = ethernet(MacAddr::BROADCAST, mac, ETHERTYPE_ARP);
    // Ethernet, IPv4, address lengths 6 and 4.
    frame.extend([0, 1, 0x08, 0x00, 6, 4, 0, operation]);
    for _sender_then_target in 0..2 {
        frame.extend(mac.0);
        frame.extend(address.octets());
    }
    frame
}

/// An ARP request from `own` at `mac` for `address`. RFC 826.
#[must_use]
pub fn arp_request(mac: MacAddr, own: Ipv4Addr, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(MacAddr::BROADCAST, mac, ETHERTYPE_ARP);
    frame.extend([0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend(own.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

/// An unsolicited Neighbor Advertisement with Router and Override set, from `source` to all nodes: `address` is at
/// `mac`. RFC 9568 §6.4.1, §8.2.2.
#[must_use]
pub fn unsolicited_advertisement(mac: MacAddr, source: Ipv6Addr, address: Ipv6Addr) -> Vec<u8> {
    let mut body = vec![136, 0, 0, 0, ROUTER_OVERRIDE, 0, 0, 0];
    body.extend(address.octets());
    // Target Link-Layer Address option, one unit of eight bytes. RFC 4861 §4.6.1.
    body.extend([2, 1]);
    body.extend(mac.0);
    icmpv6([mac, ALL_NODES_MAC], [source, ALL_NODES], ADVERTISEMENT_LEN, body)
}

/// A Neighbor Solicitation from `own` at `mac` for `address`, to the solicited-node group of that. RFC 4861 §4.3.
#[must_use]
pub fn solicitation(mac: MacAddr, own: Ipv6Addr, address: Ipv6Addr) -> Vec<u8> {
    let mut body = vec![135, 0, 0, 0, 0, 0, 0, 0];
    body.extend(address.octets());
    // Source Link-Layer Address option.
    body.extend([1, 1]);
    body.extend(mac.0);
    let [.., a, b, c] = address.octets();
    let group = Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]);
    icmpv6([mac, MacAddr([0x33, 0x33, 0xff, a, b, c])], [own, group], SOLICITATION_LEN, body)
}

/// A frame between two stations and addresses, the sender's first, with an ICMPv6 message of `len` bytes that lacks its
/// checksum. The Hop Limit of 255 says that nobody has forwarded it.
fn icmpv6(stations: [MacAddr; 2], addresses: [Ipv6Addr; 2], len: u8, mut message: Vec<u8>) -> Vec<u8> {
    let [source, destination] = addresses;
    let covered = sum(&source.octets()) + sum(&destination.octets()) + u64::from(ICMPV6) + u64::from(len);
    let checksum = !fold(covered + sum(&message));
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let [from, to] = stations;
    let mut frame = ethernet(to, from, ETHERTYPE_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, len, ICMPV6, 255]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame.extend(message);
    frame
}

fn ethernet(destination: MacAddr, source: MacAddr, ethertype: [u8; 2]) -> Vec<u8> {
    [destination.0.as_slice(), &source.0, &ethertype].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    /// Rows: +D1
    #[test]
    fn gratuitous_arp_is_laid_out_as_the_rfc_says() {
        let address = Ipv4Addr::new(10, 77, 0, 100);
        #[rustfmt::skip]
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06,
            0, 1, 8, 0, 6, 4, 0, 1,
            2, 0, 0, 0, 0, 1, 10, 77, 0, 100,
            2, 0, 0, 0, 0, 1, 10, 77, 0, 100,
        ];
        assert_eq!(gratuitous_arp(MAC, address, ArpForm::Request), expected);
        let reply = gratuitous_arp(MAC, address, ArpForm::Reply);
        assert_eq!(reply[21], 2);
        assert_eq!(reply[..21], expected[..21]);
        assert_eq!(reply[22..], expected[22..]);
    }

    /// The checksum was worked out with an independent implementation.
    /// Rows: +D2
    #[test]
    fn neighbor_advertisement_is_laid_out_as_the_rfc_says() {
        let frame = unsolicited_advertisement(MAC, "fe80::ff:fe00:1".parse().unwrap(), "fd77::100".parse().unwrap());
        #[rustfmt::skip]
        let expected = [
            0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
            0x60, 0, 0, 0, 0, 32, 58, 255,
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1,
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            136, 0, 0xd8, 0xa4, 0xa0, 0, 0, 0,
            0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
            2, 1, 2, 0, 0, 0, 0, 1,
        ];
        assert_eq!(frame, expected);
    }

    #[test]
    fn questions_are_laid_out_as_the_rfcs_say() {
        #[rustfmt::skip]
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06,
            0, 1, 8, 0, 6, 4, 0, 1,
            2, 0, 0, 0, 0, 1, 10, 77, 0, 1,
            0, 0, 0, 0, 0, 0, 10, 77, 0, 254,
        ];
        assert_eq!(arp_request(MAC, Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(10, 77, 0, 254)), expected);
        // The checksum was worked out with an independent implementation.
        #[rustfmt::skip]
        let expected = [
            0x33, 0x33, 0xff, 0x12, 0x34, 0x56, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
            0x60, 0, 0, 0, 0, 32, 58, 255,
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1,
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x12, 0x34, 0x56,
            135, 0, 0x13, 0xd4, 0, 0, 0, 0,
            0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56,
            1, 1, 2, 0, 0, 0, 0, 1,
        ];
        let own = "fe80::ff:fe00:1".parse().unwrap();
        assert_eq!(solicitation(MAC, own, "fd77::12:3456".parse().unwrap()), expected);
    }
}
