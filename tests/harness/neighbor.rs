//! What hosts ask each other, ARP, Neighbor Discovery and echo, and who speaks in whose name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_wire::MacAddr;

use crate::frame::{checksum, multicast_mac, octets};

/// Everybody.
pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
/// Opcode of an ARP request. RFC 826.
pub const ARP_REQUEST: u8 = 1;
/// Opcode of an ARP reply.
pub const ARP_REPLY: u8 = 2;

const ICMP: u8 = 1;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// An address, and the Ethernet address where it is, or is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Ethernet address.
    pub mac: MacAddr,
    /// IP address.
    pub address: IpAddr,
}

/// ARP of a station about `target`. RFC 826.
#[must_use]
pub fn arp(operation: u8, sender: Station, target: Ipv4Addr, destination: MacAddr) -> Vec<u8> {
    let mut frame = [destination.0, sender.mac.0].concat();
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, operation]);
    frame.extend([&sender.mac.0[..], &octets(sender.address), &[0; 6], &target.octets()].concat());
    frame
}

/// A Neighbor Solicitation for `target`, to `destination` or to the target's group. The unspecified address asks whether
/// somebody has the target already. RFC 4861 §4.3, RFC 4862 §5.4.2.
#[must_use]
pub fn solicitation(sender: Station, target: Ipv6Addr, destination: Option<MacAddr>) -> Vec<u8> {
    let group = solicited_node(target);
    let (mac, address) = match destination {
        Some(mac) => (mac, target),
        None => (multicast_mac(group.into()), group),
    };
    let mut message = vec![NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    if !sender.address.is_unspecified() {
        message.extend([&[1, 1], &sender.mac.0[..]].concat());
    }
    icmp(sender, Station { mac, address: address.into() }, message)
}

/// A Neighbor Advertisement to all nodes: `target` is at the sender, whatever anybody knew. RFC 4861 §4.4.
#[must_use]
pub fn advertisement(sender: Station, target: Ipv6Addr) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into();
    let mut message = vec![NEIGHBOR_ADVERTISEMENT, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend([&target.octets()[..], &[2, 1], &sender.mac.0].concat());
    icmp(sender, Station { mac: multicast_mac(all_nodes), address: all_nodes }, message)
}

/// An echo request. RFC 792, RFC 4443 §4.1.
#[must_use]
pub fn echo(sender: Station, target: Station, identifier: u16, sequence: u16) -> Vec<u8> {
    icmp(sender, target, echo_message(target.address.is_ipv6(), identifier, sequence))
}

/// The message of an echo request over IPv4 or IPv6, without its checksum.
fn echo_message(is_ipv6: bool, identifier: u16, sequence: u16) -> Vec<u8> {
    let kind = if is_ipv6 { 128 } else { 8 };
    let mut message = vec![kind, 0, 0, 0];
    message.extend([identifier.to_be_bytes(), sequence.to_be_bytes()].concat());
    message
}

/// The message of an echo request as it is given to a raw socket of ICMP or ICMPv6; of the latter the kernel makes the checksum.
#[must_use]
pub fn echo_request(is_ipv6: bool, identifier: u16, sequence: u16) -> Vec<u8> {
    let mut message = echo_message(is_ipv6, identifier, sequence);
    if !is_ipv6 {
        let sum = checksum(&[&message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// A UDP datagram without checksum over IPv4. RFC 768.
#[must_use]
pub fn datagram(sender: Station, target: Station, port: u16, payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let ports = [port.to_be_bytes(), port.to_be_bytes()].concat();
    let mut frame = [target.mac.0, sender.mac.0].concat();
    frame.extend([0x08, 0x00]);
    frame.extend(ipv4_header(sender, target, udp_len, UDP));
    frame.extend([&ports[..], &udp_len.to_be_bytes(), &[0; 2], payload].concat());
    frame
}

/// The IPv4 header in front of `len` bytes.
fn ipv4_header(sender: Station, target: Station, len: u16, protocol: u8) -> Vec<u8> {
    let [l0, l1] = (20 + len).to_be_bytes();
    let mut header = vec![0x45, 0, l0, l1, 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend([octets(sender.address), octets(target.address)].concat());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// The frame of an ICMP message, whose checksum is still 0.
fn icmp(sender: Station, target: Station, mut message: Vec<u8>) -> Vec<u8> {
    let (source, destination) = (octets(sender.address), octets(target.address));
    let mut frame = [target.mac.0, sender.mac.0].concat();
    let len = u8::try_from(message.len()).unwrap_or(u8::MAX);
    let sum = if sender.address.is_ipv4() {
        frame.extend([0x08, 0x00]);
        frame.extend(ipv4_header(sender, target, len.into(), ICMP));
        checksum(&[&message])
    } else {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, len, ICMPV6, 255]);
        frame.extend([&source[..], &destination].concat());
        checksum(&[&source, &destination, &[0, 0, 0, len, 0, 0, 0, ICMPV6], &message])
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    frame.extend(message);
    frame
}

/// The group in which the owner of `address` listens for solicitations. RFC 4291 §2.7.1.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The addresses that the sender of a frame without VLAN tag says to be at: the sender of ARP, the source of a packet, the
/// target of a Neighbor Advertisement.
#[must_use]
pub fn spoken_for(frame: &[u8]) -> Vec<IpAddr> {
    let ipv4 = |at: usize| frame.get(at..at + 4)?.first_chunk().map(|&octets: &[u8; 4]| IpAddr::from(octets));
    let ipv6 = |at: usize| frame.get(at..at + 16)?.first_chunk().map(|&octets: &[u8; 16]| IpAddr::from(octets));
    match frame.get(12..14) {
        Some([0x08, 0x06]) => ipv4(28).into_iter().collect(),
        Some([0x08, 0x00]) => ipv4(26).into_iter().collect(),
        Some([0x86, 0xdd]) => {
            let is_advertisement = frame.get(20) == Some(&ICMPV6) && frame.get(54) == Some(&NEIGHBOR_ADVERTISEMENT);
            ipv6(22).into_iter().chain(is_advertisement.then(|| ipv6(62)).flatten()).collect()
        }
        Some(_) | None => Vec::new(),
    }
}

/// In whose name a frame answers a question: ARP reply, Neighbor Advertisement or echo reply.
#[must_use]
pub fn answers_for(frame: &[u8]) -> Option<IpAddr> {
    let is_answer = match frame.get(12..14)? {
        [0x08, 0x06] => frame.get(21) == Some(&ARP_REPLY),
        [0x86, 0xdd] if frame.get(20) == Some(&ICMPV6) && frame.get(54) == Some(&NEIGHBOR_ADVERTISEMENT) => true,
        _ => echo_reply(frame).is_some(),
    };
    is_answer.then(|| spoken_for(frame).pop()).flatten()
}

/// The Ethernet address that a frame comes from.
#[must_use]
pub fn sender(frame: &[u8]) -> Option<MacAddr> {
    frame.get(6..12)?.first_chunk().map(|&mac| MacAddr(mac))
}

/// Identifier and sequence of the echo reply in a frame.
#[must_use]
pub fn echo_reply(frame: &[u8]) -> Option<(u16, u16)> {
    let message = match (frame.get(12..14)?, frame.get(20)?, frame.get(23)?) {
        ([0x08, 0x00], _, &ICMP) => frame.get(34..).filter(|message| message.first() == Some(&0))?,
        ([0x86, 0xdd], &ICMPV6, _) => frame.get(54..).filter(|message| message.first() == Some(&129))?,
        _ => return None,
    };
    let &[_, _, _, _, i0, i1, s0, s1] = message.first_chunk()?;
    Some((u16::from_be_bytes([i0, i1]), u16::from_be_bytes([s0, s1])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x32]);

    #[test]
    fn a_question_is_asked_as_the_rfcs_have_it() {
        let sender = Station { mac: MAC, address: [10, 77, 0, 50].into() };
        let expected = [
            255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 0x32, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1, //
            2, 0, 0, 0, 0, 0x32, 10, 77, 0, 50, 0, 0, 0, 0, 0, 0, 10, 77, 0, 101,
        ];
        assert_eq!(arp(ARP_REQUEST, sender, [10, 77, 0, 101].into(), BROADCAST), expected);

        let sender = Station { mac: MAC, address: "fd77::50".parse().unwrap() };
        let frame = solicitation(sender, "fd77::101".parse().unwrap(), None);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x00, 0x01, 0x01]);
        assert_eq!(frame[12..22], [0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(frame[38..54], [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 1, 1]);
        assert_eq!((&frame[54..56], &frame[78..]), (&[135, 0][..], &[1, 1, 2, 0, 0, 0, 0, 0x32][..]));
    }

    #[test]
    fn who_speaks_is_seen_in_every_form() {
        let [ipv4, ipv6]: [IpAddr; 2] = [[10, 77, 0, 50].into(), "fd77::50".parse().unwrap()];
        let target: Ipv6Addr = "fd77::101".parse().unwrap();
        let cases = [
            (arp(ARP_REPLY, Station { mac: MAC, address: ipv4 }, [10, 77, 0, 1].into(), BROADCAST), vec![ipv4], true),
            (advertisement(Station { mac: MAC, address: ipv6 }, target), vec![ipv6, target.into()], true),
            (solicitation(Station { mac: MAC, address: ipv6 }, target, None), vec![ipv6], false),
            (vec![0; 13], vec![], false),
        ];
        for (frame, addresses, is_answer) in cases {
            assert_eq!(spoken_for(&frame), addresses, "{frame:x?}");
            assert_eq!(answers_for(&frame), addresses.last().copied().filter(|_| is_answer), "{frame:x?}");
        }
    }

    #[test]
    fn an_echo_is_told_from_its_reply() {
        for address in ["10.77.0.50", "fd77::50"] {
            let station = Station { mac: MAC, address: address.parse().unwrap() };
            let mut frame = echo(station, station, 0x1234, 7);
            assert_eq!((echo_reply(&frame), answers_for(&frame)), (None, None));
            let (at, reply) = if station.address.is_ipv4() { (34, 0) } else { (54, 129) };
            frame[at] = reply;
            assert_eq!(echo_reply(&frame), Some((0x1234, 7)), "{address}");
            assert_eq!(answers_for(&frame), Some(station.address));
        }
    }
}
