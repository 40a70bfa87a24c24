//! What the checksum covers, and that nothing that it covers can be changed. RFC 9568 §5.2.8.
//!
//! The checksums were worked out with an independent implementation.

use super::*;

const IPV4: &str = "3137c80100643913c0000282";
const IPV6: &str = "3139c8020064d77ffe80000000000000000000000000020020010db8000000000000000000000200";

/// Rows: -B6
#[test]
fn every_flipped_bit_is_noticed() {
    for (good, endpoints) in [(hex(IPV4), V4), (hex(IPV6), v6())] {
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Message::decode(&bytes, &endpoints).is_err(), "bit {bit} of {} bytes", bytes.len());
        }
    }
}

/// The same message from two senders.
/// Rows: +A11 -A11
#[test]
fn the_message_alone_has_one_checksum_whoever_sends_it() {
    let other = Endpoints::Ipv4 { source: Ipv4Addr::new(198, 51, 100, 11), destination: Ipv4Addr::new(224, 0, 0, 18) };
    let checksum = |endpoints, form| message(55, 200, &["192.0.2.130"]).encode(&endpoints, form)[6..8].to_vec();
    assert_eq!(checksum(V4, ChecksumForm::MessageOnly), [0x43, 0xe0]);
    assert_eq!(checksum(other, ChecksumForm::MessageOnly), [0x43, 0xe0]);
    assert_eq!(checksum(V4, ChecksumForm::PseudoHeader), [0x39, 0x13]);
    assert_eq!(checksum(other, ChecksumForm::PseudoHeader), [0x39, 0x12]);
}

/// Rows: -B6 -Q1
#[test]
fn the_sender_is_covered_by_the_pseudo_header() {
    let other = Endpoints::Ipv4 { source: Ipv4Addr::new(198, 51, 100, 11), destination: Ipv4Addr::new(224, 0, 0, 18) };
    assert_eq!(Message::decode(&hex(IPV4), &other), Err(DecodeError::Checksum(0x3913)));
}

/// RFC 8200 §8.1. Over IPv6 the pseudo-header is always there: sender, receiver and length count.
/// Rows: +A12 -A12 -B6
#[test]
fn an_ipv6_checksum_is_right_with_its_pseudo_header_only() {
    let encoded = message(57, 200, &["fe80::200", "2001:db8::200"]).encode(&v6(), ChecksumForm::PseudoHeader);
    assert_eq!(encoded[6..8], [0xd7, 0x7f]);
    let alone = hex(&IPV6.replacen("d77f", "d625", 1));
    assert_eq!(Message::decode(&alone, &v6()), Err(DecodeError::Checksum(0xd625)));
    for (source, destination) in [("fe80::77:ff:fe00:102", "ff02::12"), ("fe80::77:ff:fe00:101", "ff02::13")] {
        let others = Endpoints::Ipv6 { source: source.parse().unwrap(), destination: destination.parse().unwrap() };
        assert_eq!(Message::decode(&hex(IPV6), &others), Err(DecodeError::Checksum(0xd77f)), "{source}");
    }
}

/// A sum of 0 has two forms in one's complement; a sender that computes says 0000, and both verify. RFC 1071 §2.
/// Rows: +B6 -B6
#[test]
fn both_forms_of_a_checksum_of_0_are_right() {
    let bytes = |checksum: &str| hex(&format!("3137c8010064{checksum}c0004662"));
    let zero = message(55, 200, &["192.0.70.98"]);
    assert_eq!(zero.encode(&V4, ChecksumForm::MessageOnly), bytes("0000"));
    for right in ["0000", "ffff"] {
        assert_eq!(Message::decode(&bytes(right), &V4), Ok((zero.clone(), ChecksumForm::MessageOnly)), "{right}");
    }
    for (wrong, said) in [("0001", 0x0001), ("fffe", 0xfffe), ("ff00", 0xff00)] {
        assert_eq!(Message::decode(&bytes(wrong), &V4), Err(DecodeError::Checksum(said)));
    }
}
