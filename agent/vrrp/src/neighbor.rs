//! Frames that tell the LAN where a virtual address lives: gratuitous ARP and unsolicited Neighbor Advertisement.

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

/// An unsolicited Neighbor Advertisement with Router and Override set, from `source` to all nodes: `address` is at
/// `mac`. RFC 9568 §6.4.1, §8.2.2.
#[must_use]
pub fn unsolicited_advertisement(mac: MacAddr, source: Ipv6Addr, address: Ipv6Addr) -> Vec<u8> {
    let mut body = vec![136, 0, 0, 0, ROUTER_OVERRIDE, 0, 0, 0];
    body.extend(address.octets());
    // Target Link-Layer Address option, one unit of eight bytes. RFC 4861 §4.6.1.
    body.extend([2, 1]);
    body.extend(mac.0);
    let covered = sum(&source.octets()) + sum(&ALL_NODES.octets()) + u64::from(ICMPV6) + u64::from(ADVERTISEMENT_LEN);
    let checksum = !fold(covered + sum(&body));
    if let Some(field) = body.get_mut(2..4) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let mut frame = ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, ADVERTISEMENT_LEN, ICMPV6, 255]);
    frame.extend(source.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(body);
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
}
