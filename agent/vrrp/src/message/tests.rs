mod checksum;
mod fields;

use proptest::prelude::*;

use super::*;

const V4: Endpoints =
    Endpoints::Ipv4 { source: Ipv4Addr::new(198, 51, 100, 10), destination: Ipv4Addr::new(224, 0, 0, 18) };

fn v6() -> Endpoints {
    Endpoints::Ipv6 { source: "fe80::77:ff:fe00:101".parse().unwrap(), destination: "ff02::12".parse().unwrap() }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn message(vrid: u8, priority: u8, addresses: &[&str]) -> Message {
    Message {
        vrid: Vrid::new(vrid).unwrap(),
        priority: Priority::new(priority),
        max_advertise_interval: Centiseconds::new(100).unwrap(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

/// Adverts that a real keepalived 2.4.3 sent, with what its configuration said.
/// Rows: +A6 +A9 +A10 +A11 +A12 +A13 +B4 +B6 +Q1
#[test]
fn captured_adverts_decode_and_encode_to_the_same_bytes() {
    use ChecksumForm::{MessageOnly, PseudoHeader};
    let v6_addresses = ["fe80::200", "2001:db8::200"];
    let cases = [
        ("3137c80100643913c0000282", V4, PseudoHeader, message(55, 200, &["192.0.2.130"])),
        ("3137000100640114c0000282", V4, PseudoHeader, message(55, 0, &["192.0.2.130"])),
        ("3138c801006443dec0000283", V4, MessageOnly, message(56, 200, &["192.0.2.131"])),
        ("3138000100640bdfc0000283", V4, MessageOnly, message(56, 0, &["192.0.2.131"])),
        (
            "3139c8020064d77ffe80000000000000000000000000020020010db8000000000000000000000200",
            v6(),
            PseudoHeader,
            message(57, 200, &v6_addresses),
        ),
        (
            "3139000200649f80fe80000000000000000000000000020020010db8000000000000000000000200",
            v6(),
            PseudoHeader,
            message(57, 0, &v6_addresses),
        ),
    ];
    for (bytes, endpoints, form, message) in cases {
        assert_eq!(Message::decode(&hex(bytes), &endpoints), Ok((message.clone(), form)), "{bytes}");
        assert_eq!(message.encode(&endpoints, form), hex(bytes), "{bytes}");
    }
}

/// Rows: -B2 -B3 -B4 -B5 -B6 -B9 -B10
#[test]
fn bad_bytes_are_refused_with_the_reason() {
    let cases = [
        ("", DecodeError::TooShort(0)),
        ("3137c801006439", DecodeError::TooShort(7)),
        ("2137c80100643913c0000282", DecodeError::Version { expected: 3, actual: 2 }),
        ("3237c80100643913c0000282", DecodeError::Type(2)),
        ("3137c80200643913c0000282", DecodeError::Length { expected: 16, actual: 12 }),
        ("3137c80100643913c00002", DecodeError::Length { expected: 12, actual: 11 }),
        ("3137c80100643913c000028200", DecodeError::Length { expected: 12, actual: 13 }),
        ("3137c80100643914c0000282", DecodeError::Checksum(0x3914)),
        // Checksums of the following three were worked out by hand over the message alone.
        ("3137c80000640664", DecodeError::AddressCount),
        ("3137c8010000444400000000", DecodeError::Checksum(0x4444)),
        ("3137c801000006c7", DecodeError::Length { expected: 12, actual: 8 }),
        ("3137c801000044c4c0000202", DecodeError::Interval),
        ("3100c801006444970000c000", DecodeError::Checksum(0x4497)),
        ("3100c8010064069a00000000", DecodeError::Vrid),
    ];
    for (bytes, error) in cases {
        assert_eq!(Message::decode(&hex(bytes), &V4), Err(error), "{bytes}");
    }
}

/// Reserved bits are ignored on reception, and no part of the interval. RFC 9568 §5.2.6.
/// Rows: +B12 -B12
#[test]
fn reserved_bits_are_ignored() {
    let mut bytes = hex("3138c801006443dec0000283");
    bytes[4] |= 0xf0;
    // 0xf000 more in the sum is 0xf000 less in its complement: 43de - f000, with the end-around borrow.
    bytes[6..8].copy_from_slice(&[0x53, 0xdd]);
    let (message, _) = Message::decode(&bytes, &V4).unwrap();
    assert_eq!(message.max_advertise_interval.get(), 100);
}

/// What scapy 2.8.0 makes of `VRRPv3(vrid=55, priority=200, adv=100, addrlist=["192.0.2.130"])`: below an IP header, which
/// it needs for the checksum, and by itself, where it leaves checksum and addresses as they are.
/// Rows: +Q5 -Q5
#[test]
fn adverts_of_scapy_are_good_below_an_ip_header() {
    let below_ip = Message::decode(&hex("3137c80100643913c0000282"), &V4);
    assert_eq!(below_ip, Ok((message(55, 200, &["192.0.2.130"]), ChecksumForm::PseudoHeader)));
    let alone = hex("3137c801006400003139322e302e322e313330");
    assert_eq!(Message::decode(&alone, &V4), Err(DecodeError::Length { expected: 12, actual: 19 }));
    assert_eq!(Message::decode(&hex("3137c80100640000c0000282"), &V4), Err(DecodeError::Checksum(0)));
}

/// A message and its trailer as keepalived 2.4.3 sent them.
const SIGNED_V4: &str = "3133c80100643935c0000264010100006b0298d7c9ed00003f4419c941693f6e776fed3476b03ce1";
const SIGNED_V6: &str = "3133c8020064a907fe80000000000000000000000000010020010db8000000000000000000000100\
                         010100006b0298d7cb5b000040f418bd150c3b65b4c54a42c003f6fc";

#[test]
fn a_trailer_is_the_28_bytes_beyond_the_addresses() {
    let (v4, v6) = (hex(SIGNED_V4), hex(SIGNED_V6));
    // (bytes, family, length of the message, whether a trailer follows)
    let cases = [
        (&v4[..], Family::Ipv4, 12, true),
        (&v6[..], Family::Ipv6, 40, true),
        (&v4[..], Family::Ipv6, 40, false),
        (&v6[..], Family::Ipv4, 68, false),
        (&v4[..12], Family::Ipv4, 12, false),
        (&v4[..39], Family::Ipv4, 39, false),
        (&[&v4[..], &[0]].concat()[..], Family::Ipv4, 41, false),
        (&v4[..28], Family::Ipv4, 28, false),
        (&v4[..7], Family::Ipv4, 7, false),
        (&[], Family::Ipv4, 0, false),
    ];
    for (bytes, family, message_len, has_trailer) in cases {
        let parts = split(bytes, family);
        assert_eq!(parts.message, &bytes[..message_len]);
        assert_eq!(parts.trailer.is_some(), has_trailer, "{} bytes over {family}", bytes.len());
        assert_eq!(parts.trailer.map_or(&[][..], |trailer| &trailer[..]), &bytes[message_len..]);
    }
}

/// The checksum covers the trailer over IPv6 only.
#[test]
fn a_trailer_is_covered_by_the_checksum_over_ipv6() {
    for (bytes, endpoints, is_covered) in [(hex(SIGNED_V4), V4, false), (hex(SIGNED_V6), v6(), true)] {
        let (message, trailer) = bytes.split_last_chunk().unwrap();
        let right = Message::decode_signed(message, trailer, &endpoints);
        assert!(right.is_ok(), "{right:?}");
        let mut changed = *trailer;
        changed[27] ^= 1;
        assert_eq!(Message::decode_signed(message, &changed, &endpoints).is_err(), is_covered);
        assert_eq!(Message::decode(message, &endpoints).is_err(), is_covered);
    }
}

/// Who asks for no trailer gets none past unnoticed.
#[test]
fn a_trailer_is_too_much_for_an_unsigned_advert() {
    let error = DecodeError::Length { expected: 12, actual: 40 };
    assert_eq!(Message::decode(&hex(SIGNED_V4), &V4), Err(error));
    let error = DecodeError::Length { expected: 40, actual: 68 };
    assert_eq!(Message::decode(&hex(SIGNED_V6), &v6()), Err(error));
}

/// The form without a pseudo-header covers the message alone, signed or not.
#[test]
fn a_signed_advert_may_have_either_checksum() {
    let key = Key::new(auth::KeyId::new(1).unwrap(), &[7; 32]).unwrap();
    let advert = message(56, 200, &["192.0.2.131"]);
    let bytes = advert.encode_signed(&V4, ChecksumForm::MessageOnly, &key, Sequence::new(1));
    let (encoded, trailer) = bytes.split_last_chunk().unwrap();
    assert_eq!(encoded, hex("3138c801006443dec0000283"));
    assert_eq!(Message::decode_signed(encoded, trailer, &V4), Ok((advert, ChecksumForm::MessageOnly)));
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes, &V4);
        let _ = Message::decode(&bytes, &v6());
    }

    #[test]
    fn what_is_encoded_is_decoded(
        vrid in 1..=u8::MAX,
        priority: u8,
        interval in 1..=4095_u16,
        addresses in proptest::collection::vec(any::<[u8; 4]>(), 1..=255),
    ) {
        let message = Message {
            vrid: Vrid::new(vrid).unwrap(),
            priority: Priority::new(priority),
            max_advertise_interval: Centiseconds::new(interval).unwrap(),
            addresses: addresses.into_iter().map(IpAddr::from).collect(),
        };
        let bytes = message.encode(&V4, ChecksumForm::PseudoHeader);
        prop_assert_eq!(Message::decode(&bytes, &V4).unwrap().0, message);
    }
}
