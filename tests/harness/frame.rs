//! Frames to inject: VRRP adverts, right in every byte until a test spoils one.
//!
//! Written from the RFCs alone, so that a mistake in vipd's own code is not repeated here.

use std::{net::IpAddr, time::SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use vrrp_wire::MacAddr;

/// 224.0.0.18. RFC 9568 §5.1.1.2.
pub const GROUP_IPV4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 18));
/// ff02::12. RFC 9568 §5.1.2.2.
pub const GROUP_IPV6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12));

const PROTOCOL_VRRP: u8 = 112;

/// The checksum of an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Over a pseudo-header and the message: IPv6, and what keepalived and FRR send over IPv4.
    PseudoHeader,
    /// Over the message only: IPv4 by RFC 9568 §5.2.8.
    MessageOnly,
    /// This, right or wrong.
    Is(u16),
}

/// An advert and the headers around it. Change any field, then make the [`Advert::frame`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Receiver of the Ethernet frame.
    pub destination_mac: MacAddr,
    /// Sender of the Ethernet frame.
    pub source_mac: MacAddr,
    /// VLAN tags, outermost first: protocol identifier and control information.
    pub tags: Vec<[u16; 2]>,
    /// Sender; its version is the version of the packet.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// TTL or Hop Limit.
    pub ttl: u8,
    /// Version of VRRP.
    pub version: u8,
    /// Type of the message.
    pub packet_type: u8,
    /// VRID.
    pub vrid: u8,
    /// Priority.
    pub priority: u8,
    /// `IPvX` Addr Count, where it is not the number of `addresses`.
    pub count: Option<u8>,
    /// Max Advertise Interval in centiseconds, and the four reserved bits above. In version 2 the type of authentication
    /// and the seconds.
    pub interval_cs: u16,
    /// Virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// How the checksum is made.
    pub checksum: Checksum,
    /// What follows the addresses, inside the datagram.
    pub trailer: Vec<u8>,
}

impl Advert {
    /// A multicast advert with an interval of 1 s, without tags.
    #[must_use]
    pub fn new(source_mac: MacAddr, source: IpAddr, vrid: u8, priority: u8, addresses: &[IpAddr]) -> Self {
        let destination = if source.is_ipv4() { GROUP_IPV4 } else { GROUP_IPV6 };
        Self {
            destination_mac: multicast_mac(destination),
            source_mac,
            tags: Vec::new(),
            source,
            destination,
            ttl: 255,
            version: 3,
            packet_type: 1,
            vrid,
            priority,
            count: None,
            interval_cs: 100,
            addresses: addresses.to_vec(),
            checksum: Checksum::PseudoHeader,
            trailer: Vec::new(),
        }
    }

    /// The VRRP message.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut message = self.unsigned();
        // IPv6's is the host's, which knows nothing of trailers; that of version 2 covers what authenticates it.
        let covers_trailer = self.source.is_ipv6() || self.version == 2;
        if covers_trailer {
            message.extend(&self.trailer);
        }
        let checksum = match self.checksum {
            Checksum::PseudoHeader if self.version == 2 => checksum(&[&message]),
            Checksum::PseudoHeader => checksum(&[&self.pseudo_header(message.len()), &message]),
            Checksum::MessageOnly => checksum(&[&message]),
            Checksum::Is(value) => value,
        };
        message[6..8].copy_from_slice(&checksum.to_be_bytes());
        if !covers_trailer {
            message.extend(&self.trailer);
        }
        message
    }

    /// The same in version 2, with a password or without, sent every so many seconds. RFC 3768 §5.
    #[must_use]
    pub fn version_2(self, password: Option<&[u8; 8]>, seconds: u8) -> Self {
        let interval_cs = u16::from_be_bytes([u8::from(password.is_some()), seconds]);
        Self { version: 2, interval_cs, trailer: password.unwrap_or(&[0; 8]).to_vec(), ..self }
    }

    /// The message without trailer, its checksum 0.
    fn unsigned(&self) -> Vec<u8> {
        let count = self.count.unwrap_or_else(|| u8::try_from(self.addresses.len()).unwrap_or(u8::MAX));
        let [i0, i1] = self.interval_cs.to_be_bytes();
        let mut message = vec![self.version << 4 | self.packet_type, self.vrid, self.priority, count, i0, i1, 0, 0];
        for address in &self.addresses {
            message.extend(octets(*address));
        }
        message
    }

    /// The same with the trailer of draft-cassen-vrrp-auth-hmac: seconds, fraction and counter in `sequence`. What is
    /// changed afterwards is forged.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn signed(mut self, key_id: u8, key: &[u8], sequence: u64) -> Self {
        let family = if self.source.is_ipv4() { 4 } else { 6 };
        let mut pseudo_header = vec![family, self.version, self.vrid, 0];
        pseudo_header.extend(octets(self.source));
        pseudo_header.resize(20, 0);
        self.trailer = [&[1, key_id, 0, 0], &sequence.to_be_bytes()[..]].concat();
        let code = Hmac::<Sha256>::new_from_slice(key)
            .unwrap_or_else(|_| panic!("HMAC takes keys of any length, and refused {} bytes", key.len()))
            .chain_update(pseudo_header)
            .chain_update(self.unsigned())
            .chain_update(&self.trailer)
            .chain_update([0; 16])
            .finalize()
            .into_bytes();
        self.trailer.extend(&code[..16]);
        self
    }

    /// The whole frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = [self.destination_mac.0, self.source_mac.0].concat();
        for tag in &self.tags {
            frame.extend(tag.iter().flat_map(|half| half.to_be_bytes()));
        }
        let ethertype = if self.source.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
        frame.extend(ethertype);
        let message = self.message();
        frame.extend(self.ip_header(message.len()));
        frame.extend(message);
        frame
    }

    /// The IP header in front of `len` bytes: class CS6, as routing protocols send.
    fn ip_header(&self, len: usize) -> Vec<u8> {
        let [l0, l1] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        if self.source.is_ipv6() {
            let start = vec![0x6c, 0, 0, 0, l0, l1, PROTOCOL_VRRP, self.ttl];
            return [start, octets(self.source), octets(self.destination)].concat();
        }
        let [l0, l1] = u16::try_from(20 + len).unwrap_or(u16::MAX).to_be_bytes();
        let start = vec![0x45, 0xc0, l0, l1, 0, 0, 0, 0, self.ttl, PROTOCOL_VRRP, 0, 0];
        let mut header = [start, octets(self.source), octets(self.destination)].concat();
        let checksum = checksum(&[&header]);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    /// RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6.
    fn pseudo_header(&self, len: usize) -> Vec<u8> {
        let [l0, l1] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        let end = if self.source.is_ipv4() {
            vec![0, PROTOCOL_VRRP, l0, l1]
        } else {
            vec![0, 0, l0, l1, 0, 0, 0, PROTOCOL_VRRP]
        };
        [octets(self.source), octets(self.destination), end].concat()
    }
}

/// The sequence of an advert that is signed at `at`: seconds since 1970, 2⁻¹⁶ seconds, and no count.
#[must_use]
pub fn sequence(at: SystemTime) -> u64 {
    let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(at.subsec_nanos()) << 16) / 1_000_000_000;
    at.as_secs() << 32 | fraction << 16
}

/// The address that `text` is.
///
/// # Panics
/// Where it is none: tests and scripts write addresses down.
#[must_use]
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no IP address"))
}

/// The Ethernet address of a multicast group. RFC 1112 §6.4, RFC 2464 §7.
#[must_use]
pub fn multicast_mac(group: IpAddr) -> MacAddr {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            MacAddr([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            MacAddr([0x33, 0x33, a, b, c, d])
        }
    }
}

/// The Internet checksum over parts that each have an even length, the last one excepted. RFC 1071.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 = words.map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x02, 0x77, 0, 0, 0x01, 0x01]);

    fn keepalived(source: &str, vrid: u8, addresses: &[&str]) -> Advert {
        let addresses: Vec<_> = addresses.iter().map(|text| ip(text)).collect();
        Advert::new(MAC, ip(source), vrid, 200, &addresses)
    }

    /// VRID 55 of keepalived 2.4.3, its IP identification (1 instead of 0) taken back.
    #[test]
    fn an_ipv4_frame_equals_the_captured_one() {
        let frame = keepalived("198.51.100.10", 55, &["192.0.2.130"]).frame();
        let captured = [
            0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x08, 0x00, //
            0x45, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0xff, 0x70, 0xb0, 0x5d, //
            0xc6, 0x33, 0x64, 0x0a, 0xe0, 0x00, 0x00, 0x12, //
            0x31, 0x37, 0xc8, 0x01, 0x00, 0x64, 0x39, 0x13, 0xc0, 0x00, 0x02, 0x82,
        ];
        assert_eq!(frame, captured);
    }

    /// VRID 57 of keepalived 2.4.3, without its flow label.
    #[test]
    fn an_ipv6_frame_equals_the_captured_one() {
        let frame = keepalived("fe80::77:ff:fe00:101", 57, &["fe80::200", "2001:db8::200"]).frame();
        let captured = [
            0x33, 0x33, 0x00, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x86, 0xdd, //
            0x6c, 0x00, 0x00, 0x00, 0x00, 0x28, 0x70, 0xff, //
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x00, 0x77, 0x00, 0xff, 0xfe, 0x00, 0x01, 0x01, //
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x12, //
            0x31, 0x39, 0xc8, 0x02, 0x00, 0x64, 0xd7, 0x7f, //
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x00, //
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x00,
        ];
        assert_eq!(frame, captured);
    }

    /// VRID 56 of keepalived 2.4.3.
    #[test]
    fn the_checksum_may_leave_the_pseudo_header_out() {
        let advert = Advert { checksum: Checksum::MessageOnly, ..keepalived("198.51.100.10", 56, &["192.0.2.131"]) };
        assert_eq!(advert.message(), [0x31, 0x38, 0xc8, 0x01, 0x00, 0x64, 0x43, 0xde, 0xc0, 0x00, 0x02, 0x83]);
    }

    /// VRIDs 51 and 52 of keepalived 2.4.3: headers, message and trailer, IP identification and flow label taken back.
    #[test]
    fn a_signed_frame_equals_the_captured_one() {
        let key: Vec<u8> = (0..32).collect();
        let addresses = ["192.0.2.101", "192.0.2.102", "192.0.2.103"];
        let ipv4 = keepalived("198.51.100.10", 52, &addresses);
        let ipv4 = ipv4.signed(7, b"vipd-test-key-ascii-0123456789abcdef", 0x6b02_98d7_cb74_0000);
        let captured = [
            0x31, 0x34, 0xc8, 0x03, 0x00, 0x64, 0xb4, 0x5a, //
            0xc0, 0x00, 0x02, 0x65, 0xc0, 0x00, 0x02, 0x66, 0xc0, 0x00, 0x02, 0x67, //
            0x01, 0x07, 0x00, 0x00, 0x6b, 0x02, 0x98, 0xd7, 0xcb, 0x74, 0x00, 0x00, //
            0xb2, 0x6e, 0x4e, 0xfc, 0xd3, 0x96, 0x4a, 0x60, 0xab, 0x8f, 0xa9, 0x83, 0xa1, 0xab, 0xb6, 0xc6,
        ];
        assert_eq!(ipv4.message(), captured);
        assert_eq!(ipv4.frame()[16..18], [0, 68], "the datagram holds the trailer");

        let ipv6 = keepalived("fe80::77:ff:fe00:101", 51, &["fe80::100", "2001:db8::100"]);
        let captured = [
            0x31, 0x33, 0xc8, 0x02, 0x00, 0x64, 0xa9, 0x07, //
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, //
            0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, //
            0x01, 0x01, 0x00, 0x00, 0x6b, 0x02, 0x98, 0xd7, 0xcb, 0x5b, 0x00, 0x00, //
            0x40, 0xf4, 0x18, 0xbd, 0x15, 0x0c, 0x3b, 0x65, 0xb4, 0xc5, 0x4a, 0x42, 0xc0, 0x03, 0xf6, 0xfc,
        ];
        assert_eq!(ipv6.signed(1, &key, 0x6b02_98d7_cb5b_0000).message(), captured);
    }

    /// 2026-11-22 23:00:00.75 UTC.
    #[test]
    fn a_sequence_is_a_time() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_795_388_400_750);
        assert_eq!(sequence(at), 0x6b03_73f0_c000_0000);
    }

    /// The example of RFC 1071 §3.
    #[test]
    fn the_checksum_is_the_internets() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0x01]]), !0x0100);
    }

    #[test]
    fn tags_stand_before_the_ethertype() {
        let advert = Advert { tags: vec![[0x88a8, 100], [0x8100, 4000]], ..keepalived("192.0.2.1", 1, &["192.0.2.2"]) };
        assert_eq!(advert.frame()[12..22], [0x88, 0xa8, 0x00, 0x64, 0x81, 0x00, 0x0f, 0xa0, 0x08, 0x00]);
    }
}
