//! Every field of an advert that is sent, up to the ends of its range. RFC 9568 §5.2.

use super::*;

/// Bytes of the message before the first address.
fn header(message: &Message, endpoints: &Endpoints) -> [u8; 8] {
    *message.encode(endpoints, ChecksumForm::PseudoHeader).first_chunk().unwrap()
}

/// §5.2.1 to §5.2.4: whatever it says, an advert is of version 3 and type 1, and says it for its virtual router.
/// Rows: +A6 -A6 +A7 +A8
#[test]
fn an_advert_begins_with_version_type_vrid_and_priority() {
    for (endpoints, address) in [(V4, "192.0.2.130"), (v6(), "fe80::200")] {
        for vrid in [1, 55, 255] {
            for priority in [0, 1, 100, 254, 255] {
                for interval in [1, 4095] {
                    let message = Message {
                        max_advertise_interval: Centiseconds::new(interval).unwrap(),
                        ..message(vrid, priority, &[address])
                    };
                    let [version_type, said_vrid, said_priority, ..] = header(&message, &endpoints);
                    assert_eq!((version_type, said_vrid, said_priority), (0x31, vrid, priority), "{message:?}");
                }
            }
        }
    }
}

/// §5.2.6, §5.2.7, erratum 8301: twelve bits, and never one above them.
/// Rows: +A10 -A10
#[test]
fn the_interval_leaves_the_reserved_bits_0() {
    let cases = [(1, [0x00, 0x01]), (100, [0x00, 0x64]), (256, [0x01, 0x00]), (4095, [0x0f, 0xff])];
    for (centiseconds, bytes) in cases {
        let max_advertise_interval = Centiseconds::new(centiseconds).unwrap();
        let message = Message { max_advertise_interval, ..message(55, 200, &["192.0.2.130"]) };
        let [.., i0, i1, _, _] = header(&message, &V4);
        assert_eq!([i0, i1], bytes, "{centiseconds} cs");
    }
    for centiseconds in [0, 4096, 0x1064, 0xf064, u16::MAX] {
        assert_eq!(Centiseconds::new(centiseconds), None, "{centiseconds} cs");
    }
}

/// §5.2.5: what does not fit into the count is left out, rather than miscounted.
/// Rows: +A9 -A9
#[test]
fn the_count_is_that_of_the_addresses_that_follow() {
    // (addresses given, count, bytes of the message over IPv4, over IPv6)
    let cases = [(1, 1, 12, 24), (2, 2, 16, 40), (255, 255, 1028, 4088), (256, 255, 1028, 4088)];
    for (given, count, ipv4_len, ipv6_len) in cases {
        for (endpoints, address, len) in [(V4, "192.0.2.1", ipv4_len), (v6(), "fe80::1", ipv6_len)] {
            let bytes = message(55, 200, &vec![address; given]).encode(&endpoints, ChecksumForm::PseudoHeader);
            assert_eq!((bytes[3], bytes.len()), (count, len), "{given} times {address}");
        }
    }
}

/// §5.2.9: four or sixteen bytes each, in the order in which they are listed.
/// Rows: +A13 -A13 +A15 -A15
#[test]
fn addresses_are_said_in_their_order_and_those_of_the_other_family_not_at_all() {
    let mixed = message(57, 200, &["192.0.2.131", "fe80::200", "192.0.2.130", "2001:db8::200", "192.0.2.255"]);
    let after_header = |endpoints| mixed.encode(&endpoints, ChecksumForm::PseudoHeader).split_off(8);
    assert_eq!(after_header(V4), hex("c0000283c0000282c00002ff"));
    assert_eq!(after_header(v6()), hex("fe80000000000000000000000000020020010db8000000000000000000000200"));
}
