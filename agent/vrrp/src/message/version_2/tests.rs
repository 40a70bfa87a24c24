use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn message(vrid: u8, priority: u8, seconds: u16, addresses: &[&str]) -> Message {
    Message {
        vrid: Vrid::new(vrid).unwrap(),
        priority: Priority::new(priority),
        max_advertise_interval: Centiseconds::new(seconds * 100).unwrap(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    }
}

/// Adverts that a real keepalived 2.4.3 sent, with what its configuration said.
/// Rows: +E4 +E8
#[test]
fn captured_adverts_decode_and_encode_to_the_same_bytes() {
    let password = Authentication::Password(Password::new("s3cret").unwrap());
    let cases = [
        ("213ac80100015436c000028c0000000000000000", 58, 200, "192.0.2.140", Authentication::None),
        ("213a000100011c37c000028c0000000000000000", 58, 0, "192.0.2.140", Authentication::None),
        ("213bc8010101171ac000028d7333637265740000", 59, 200, "192.0.2.141", password),
        ("213b00010101df1ac000028d7333637265740000", 59, 0, "192.0.2.141", password),
    ];
    for (bytes, vrid, priority, address, authentication) in cases {
        let message = message(vrid, priority, 1, &[address]);
        assert_eq!(decode(&hex(bytes)), Ok((message.clone(), authentication)), "{bytes}");
        assert_eq!(encode(&message, &authentication), hex(bytes), "{bytes}");
    }
}

/// Rows: -E4
#[test]
fn bad_bytes_are_refused_with_the_reason() {
    let cases = [
        ("", DecodeError::TooShort(0)),
        ("213ac801000154", DecodeError::TooShort(7)),
        ("313ac80100015436c000028c0000000000000000", DecodeError::Version { expected: 2, actual: 3 }),
        ("223ac80100015436c000028c0000000000000000", DecodeError::Type(2)),
        // As version 3 would have it: without authentication data.
        ("213ac80100015436c000028c", DecodeError::Length { expected: 20, actual: 12 }),
        ("213ac80100015436c000028c000000000000000000", DecodeError::Length { expected: 20, actual: 21 }),
        ("213ac80200015436c000028c0000000000000000", DecodeError::Length { expected: 24, actual: 20 }),
        ("213ac80100015437c000028c0000000000000000", DecodeError::Checksum(0x5437)),
        // The authentication data is covered.
        ("213bc8010101171ac000028d7333637265750000", DecodeError::Checksum(0x171a)),
        // Checksums of the following were worked out by hand.
        ("213ac80102015236c000028c0000000000000000", DecodeError::AuthType(2)),
        ("213ac80100005437c000028c0000000000000000", DecodeError::Interval),
        ("213ac8010029540ec000028c0000000000000000", DecodeError::Interval),
        ("2100c80100015470c000028c0000000000000000", DecodeError::Vrid),
        ("213ac800000116c40000000000000000", DecodeError::AddressCount),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(&hex(bytes)), Err(error), "{bytes}");
    }
}

/// Rows: -E8
#[test]
fn a_password_is_one_to_eight_bytes() {
    assert_eq!(Password::new(""), None);
    assert_eq!(Password::new("ninebytes"), None);
    assert_eq!(Password::new("a\0b"), None);
    assert_ne!(Password::new("s3cret"), Password::new("s3cres"));
    assert_ne!(Password::new("s3cret"), Password::new("s3cret2"));
    let password = Password::new("12345678").unwrap();
    assert_eq!(Authentication::Password(password).data(), *b"12345678");
    assert_eq!(format!("{password:?}"), "Password", "never printed");
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        vrid in 1..=u8::MAX,
        priority: u8,
        seconds in 1..=40_u16,
        addresses in proptest::collection::vec(any::<[u8; 4]>(), 1..=255),
        password in proptest::option::of("[a-zA-Z0-9]{1,8}"),
    ) {
        let message = Message {
            vrid: Vrid::new(vrid).unwrap(),
            priority: Priority::new(priority),
            max_advertise_interval: Centiseconds::new(seconds * 100).unwrap(),
            addresses: addresses.into_iter().map(IpAddr::from).collect(),
        };
        let authentication =
            password.map_or(Authentication::None, |text| Authentication::Password(Password::new(&text).unwrap()));
        prop_assert_eq!(decode(&encode(&message, &authentication)), Ok((message, authentication)));
    }

    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&bytes);
        let mut advert = hex("213ac80100015436c000028c0000000000000000");
        for (into, byte) in advert.iter_mut().zip(bytes) {
            *into ^= byte;
        }
        let _ = decode(&advert);
    }
}
