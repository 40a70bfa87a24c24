//! Adverts of version 2. RFC 3768 §7.1.

use super::*;

/// What keepalived 2.4.3 sent: VRID 58 without authentication, VRID 59 with the password `s3cret`, once a second; here
/// under the VRID that the tests configure.
const UNAUTHENTICATED: [u8; 20] = [0x21, 55, 200, 1, 0, 1, 0x54, 0x39, 192, 0, 2, 140, 0, 0, 0, 0, 0, 0, 0, 0];
const WITH_PASSWORD: [u8; 20] =
    [0x21, 55, 200, 1, 1, 1, 0x17, 0x1e, 192, 0, 2, 141, b's', b'3', b'c', b'r', b'e', b't', 0, 0];

fn version_2(auth_type: u8) -> Configured {
    let mut tables = Configured::multicast();
    for router in tables.routers.values_mut() {
        (router.version_2, router.auth_type, router.interval_s, router.password) = (1, auth_type, 1, *b"s3cret\0\0");
    }
    tables
}

fn frame(message: &[u8]) -> Vec<u8> {
    patched(&IPV4.resized(message.len()), IPV4.message_at, message)
}

fn verdict(auth_type: u8, message: &[u8]) -> Verdict {
    version_2(auth_type).verdict(&frame(message)).unwrap()
}

/// Rows: +E5 -E5 +E8 -E8
#[test]
fn the_authentication_type_is_the_configured_one() {
    assert_eq!(verdict(0, &UNAUTHENTICATED), Verdict::Admitted);
    assert_eq!(verdict(1, &WITH_PASSWORD), Verdict::Admitted);
    assert_eq!(verdict(1, &UNAUTHENTICATED), Verdict::AuthType);
    assert_eq!(verdict(0, &WITH_PASSWORD), Verdict::AuthType);
    for at in 12..20 {
        assert_eq!(verdict(1, &patched(&WITH_PASSWORD, at, b"x")), Verdict::Password, "byte {at}");
    }
    // Type 0 has no data to look at.
    assert_eq!(verdict(0, &patched(&UNAUTHENTICATED, 15, &[1])), Verdict::Admitted);
}

#[test]
fn an_advert_says_what_it_says() {
    let finding = examine(frame(&UNAUTHENTICATED).as_slice(), IFINDEX, &version_2(0)).unwrap();
    assert_eq!((finding.verdict, finding.priority, finding.interval_cs), (Verdict::Admitted, 200, 100));
}

/// Rows: -E5
#[test]
fn another_interval_is_discarded() {
    for seconds in [0, 2, 255] {
        assert_eq!(verdict(0, &patched(&UNAUTHENTICATED, 5, &[seconds])), Verdict::Interval, "{seconds} s");
    }
}

/// Rows: -E4 -E5
#[test]
fn the_authentication_data_is_part_of_the_length() {
    // (bytes, address count, verdict)
    let cases = [
        (20, 1, Verdict::Admitted),
        (12, 1, Verdict::Length),
        (19, 1, Verdict::Length),
        (21, 1, Verdict::Length),
        (48, 1, Verdict::Length),
        (20, 2, Verdict::Length),
        (24, 2, Verdict::Admitted),
        (16, 0, Verdict::AddressCount),
        (7, 1, Verdict::Length),
    ];
    for (len, count, expected) in cases {
        let mut message = UNAUTHENTICATED.to_vec();
        message.resize(len, 0);
        message.iter_mut().skip(3).take(1).for_each(|byte| *byte = count);
        assert_eq!(verdict(0, &message), expected, "{len} bytes, {count} addresses");
    }
}

/// Rows: -B2 -E10
#[test]
fn versions_do_not_mix() {
    assert_eq!(version_2(0).verdict(IPV4.frame), Some(Verdict::Version));
    assert_eq!(multicast_verdict(&frame(&UNAUTHENTICATED)), Some(Verdict::Version));
    assert_eq!(verdict(0, &patched(&UNAUTHENTICATED, 0, &[0x22])), Verdict::Type);
}

/// A frame that ends within the authentication data.
#[test]
fn a_cut_message_passes_to_the_host() {
    let whole = frame(&WITH_PASSWORD);
    for len in IPV4.message_at + 8..whole.len() {
        assert_eq!(version_2(1).verdict(&whole[..len]), Some(Verdict::Truncated), "{len} bytes");
    }
    assert_eq!(version_2(1).verdict(&whole), Some(Verdict::Admitted));
}
