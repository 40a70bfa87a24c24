//! What a captured frame says: adverts, and announcements of who has an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_wire::MacAddr;

const ARP_FOR_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const ICMPV6: u8 = 58;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: [u8; 2] = [2, 1];
const OVERRIDE: u8 = 0x20;

/// A VRRP advert as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Sender of the Ethernet frame.
    pub source_mac: MacAddr,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// TTL or Hop Limit.
    pub ttl: u8,
    /// Version of VRRP, 2 or 3.
    pub version: u8,
    /// VRID.
    pub vrid: u8,
    /// Priority; 0 where the sender leaves.
    pub priority: u8,
    /// Advertisement_Interval, in centiseconds.
    pub interval_cs: u16,
    /// Virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The trailer, if it is signed.
    pub signature: Option<Signature>,
}

/// What the trailer of an advert says. draft-cassen-vrrp-auth-hmac.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Identifier of the key.
    pub key: u8,
    /// Seconds, fraction and counter.
    pub sequence: u64,
}

/// The advert in a frame without VLAN tag and IP options.
#[must_use]
pub fn advertisement(frame: &[u8]) -> Option<Advertisement> {
    let (source_mac, ethertype, packet) = ethernet(frame)?;
    let (source, destination, ttl, protocol, message): (IpAddr, IpAddr, _, _, _) = match ethertype {
        0x0800 => {
            let total_len = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            (ipv4(packet, 12)?.into(), ipv4(packet, 16)?.into(), packet[8], packet[9], packet.get(20..total_len)?)
        }
        0x86dd => (ipv6(packet, 8)?.into(), ipv6(packet, 24)?.into(), packet[7], packet[6], &packet[40..]),
        _ => return None,
    };
    let (&[version_type, vrid, priority, count, i0, i1, _, _], addresses) = message.split_first_chunk()?;
    let (version, interval_cs) = match version_type {
        0x21 => (2, u16::from(i1) * 100),
        0x31 => (3, u16::from_be_bytes([i0, i1]) & 0x0fff),
        _ => return None,
    };
    let address_len = if source.is_ipv4() { 4 } else { 16 };
    let signature = addresses.get(address_len * usize::from(count)..).and_then(signature);
    let addresses = match source {
        IpAddr::V4(_) => (0..count).map(|n| ipv4(addresses, 4 * usize::from(n)).map(IpAddr::from)).collect(),
        IpAddr::V6(_) => (0..count).map(|n| ipv6(addresses, 16 * usize::from(n)).map(IpAddr::from)).collect(),
    };
    let addresses: Option<Vec<_>> = addresses;
    (protocol == 112).then_some(Advertisement {
        source_mac,
        source,
        destination,
        ttl,
        version,
        vrid,
        priority,
        interval_cs,
        addresses: addresses?,
        signature,
    })
}

fn signature(trailer: &[u8]) -> Option<Signature> {
    let [1, key, 0, 0, sequence @ ..] = trailer.first_chunk::<12>()? else { return None };
    (trailer.len() == 28).then_some(Signature { key: *key, sequence: u64::from_be_bytes(*sequence) })
}

/// Who says, unasked, that it has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The address.
    pub address: IpAddr,
    /// The Ethernet address under which it is reached from now on.
    pub mac: MacAddr,
    /// How it was said.
    pub form: Form,
}

/// The forms of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Gratuitous ARP request. RFC 5227 §2.3.
    Request,
    /// Gratuitous ARP reply.
    Reply,
    /// Unsolicited Neighbor Advertisement to all nodes, and whether Override is set. RFC 4861 §7.2.6.
    Neighbor {
        /// Whether those who know the address shall change their mind.
        overrides: bool,
    },
}

/// The announcement in a frame without VLAN tag.
#[must_use]
pub fn announcement(frame: &[u8]) -> Option<Announcement> {
    let (_, ethertype, packet) = ethernet(frame)?;
    match ethertype {
        0x0806 => gratuitous_arp(packet),
        0x86dd => unsolicited_advertisement(packet),
        _ => None,
    }
}

fn gratuitous_arp(packet: &[u8]) -> Option<Announcement> {
    let (head, rest) = packet.split_first_chunk::<8>()?;
    let form = match head {
        [kind @ .., 0, 1] if *kind == ARP_FOR_IPV4 => Form::Request,
        [kind @ .., 0, 2] if *kind == ARP_FOR_IPV4 => Form::Reply,
        _ => return None,
    };
    let (sender, target) = (ipv4(rest, 6)?, ipv4(rest, 16)?);
    (sender == target).then_some(Announcement { address: sender.into(), mac: mac(rest, 0)?, form })
}

fn unsolicited_advertisement(packet: &[u8]) -> Option<Announcement> {
    let to_all_nodes = ipv6(packet, 24)? == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let message = &packet[40..];
    if packet[6] != ICMPV6 || *message.first()? != NEIGHBOR_ADVERTISEMENT || !to_all_nodes {
        return None;
    }
    let address = ipv6(message, 8)?.into();
    (message.get(24..26)? == TARGET_LINK_LAYER_ADDRESS).then_some(Announcement {
        address,
        mac: mac(message, 26)?,
        form: Form::Neighbor { overrides: message[4] & OVERRIDE != 0 },
    })
}

/// Sender, `EtherType` and packet.
fn ethernet(frame: &[u8]) -> Option<(MacAddr, u16, &[u8])> {
    let (header, packet) = frame.split_first_chunk::<14>()?;
    Some((mac(header, 6)?, u16::from_be_bytes([header[12], header[13]]), packet))
}

fn mac(bytes: &[u8], at: usize) -> Option<MacAddr> {
    bytes.get(at..)?.first_chunk().copied().map(MacAddr)
}

fn ipv4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().copied().map(Ipv4Addr::from)
}

fn ipv6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    bytes.get(at..)?.first_chunk::<16>().copied().map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Advert, GROUP_IPV6};

    const MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);

    #[test]
    fn an_advert_is_read_as_it_was_built() {
        for (source, addresses) in [("192.0.2.1", &["192.0.2.9"][..]), ("fe80::1", &["fe80::9", "2001:db8::9"])] {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            let advert = Advert::new(MAC, source.parse().unwrap(), 51, 0, &addresses);
            let mut frame = advert.frame();
            let read = advertisement(&frame).unwrap();
            assert_eq!((read.source_mac, read.source, read.ttl), (MAC, advert.source, 255));
            assert_eq!((read.version, read.vrid, read.priority, read.interval_cs), (3, 51, 0, 100));
            assert_eq!((read.addresses, read.signature), (addresses, None));
            let signed = advertisement(&advert.signed(7, b"key", 0x0102_0304_0506_0708).frame()).unwrap();
            assert_eq!(signed.signature, Some(Signature { key: 7, sequence: 0x0102_0304_0506_0708 }));
            frame.truncate(frame.len() - 1);
            assert_eq!(advertisement(&frame), None);
        }
        let old = Advert::new(MAC, "192.0.2.1".parse().unwrap(), 51, 7, &["192.0.2.9".parse().unwrap()]);
        let read = advertisement(&old.version_2(Some(b"password"), 3).frame()).unwrap();
        assert_eq!((read.version, read.vrid, read.priority, read.interval_cs), (2, 51, 7, 300));
        assert_eq!((read.addresses, read.signature), (vec!["192.0.2.9".parse().unwrap()], None));
        let not_vrrp = Advert { packet_type: 2, ..Advert::new(MAC, "fe80::1".parse().unwrap(), 1, 1, &[GROUP_IPV6]) };
        assert_eq!(advertisement(&not_vrrp.frame()), None);
    }

    #[test]
    fn gratuitous_arp_names_its_sender_twice() {
        let mut frame = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06];
        frame
            .extend([0, 1, 0x08, 0x00, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 77, 0, 100, 0, 0, 0, 0, 0, 0, 10, 77, 0, 100]);
        let request = Announcement { address: [10, 77, 0, 100].into(), mac: MAC, form: Form::Request };
        assert_eq!(announcement(&frame), Some(request));
        frame[21] = 2;
        assert_eq!(announcement(&frame), Some(Announcement { form: Form::Reply, ..request }));
        frame[41] = 101;
        assert_eq!(announcement(&frame), None, "an ordinary reply");
    }

    #[test]
    fn an_unsolicited_advertisement_goes_to_all_nodes() {
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
        frame.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
        frame.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([136, 0, 0, 0, 0x20, 0, 0, 0]);
        frame.extend([0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        frame.extend([2, 1, 2, 0, 0, 0, 0, 1]);
        let address = "fd77::100".parse().unwrap();
        let said = Announcement { address, mac: MAC, form: Form::Neighbor { overrides: true } };
        assert_eq!(announcement(&frame), Some(said));
        frame[58] = 0;
        assert_eq!(announcement(&frame), Some(Announcement { form: Form::Neighbor { overrides: false }, ..said }));
        frame[53] = 2;
        assert_eq!(announcement(&frame), None, "to another destination");
    }
}
