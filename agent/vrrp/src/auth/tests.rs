mod capture;
mod kernel;

use proptest::prelude::*;

use super::*;

/// The key of the published vectors.
pub(super) fn key_1() -> Key {
    let secret: Vec<u8> = (0..32).collect();
    Key::new(KeyId::new(1).unwrap(), &secret).unwrap()
}

pub(super) fn ring() -> Keyring {
    let other = Key::new(KeyId::new(7).unwrap(), b"vipd-test-key-ascii-0123456789abcdef").unwrap();
    Keyring::new(vec![key_1(), other]).unwrap()
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// An advert that owns its bytes.
#[derive(Clone, Debug)]
pub(super) struct Advert {
    pub(super) source: IpAddr,
    pub(super) message: Vec<u8>,
    pub(super) trailer: Trailer,
}

impl Advert {
    pub(super) fn new(source: &str, message: &str, trailer: &str) -> Self {
        Self { source: source.parse().unwrap(), message: hex(message), trailer: hex(trailer).try_into().unwrap() }
    }

    pub(super) fn signed(&self) -> Signed<'_> {
        Signed { source: self.source, message: &self.message, trailer: &self.trailer }
    }

    fn verify(&self, clock: &Clock, mark: Option<u64>) -> Result<u64, AuthError> {
        ring().verify(&self.signed(), clock, mark.map(Sequence::new)).map(Sequence::get)
    }
}

/// The sequence of the published vectors, 1/2 s after a second of the year 2025.
const SEQUENCE: u64 = 0x6800_0000_8000_0000;
const SECOND: u64 = 1 << 32;

/// The two vectors that the draft publishes.
pub(super) fn published() -> [Advert; 2] {
    [
        Advert::new(
            "198.51.100.10",
            "3133c80100640000c0000264",
            "010100006800000080000000\
             1b84bc4e8e43892dc6d98448f8ee2265",
        ),
        Advert::new(
            "fe80::10",
            "3133c80100640000fe800000000000000000000000000100",
            "010100006800000080000000\
             c8c56146ebfd66ee10ec4d8186461b78",
        ),
    ]
}

/// A clock that is `offset` milliseconds from the vectors' time.
fn clock(offset: i64) -> Clock {
    let now = (0x6800_0000_u64 * 1000 + 500).checked_add_signed(offset).unwrap();
    Clock { now: Duration::from_millis(now), window: Duration::from_secs(5) }
}

#[test]
fn the_published_vectors_are_signed_and_verified() {
    for advert in published() {
        assert_eq!(sign(&key_1(), advert.source, &advert.message, Sequence::new(SEQUENCE)), advert.trailer);
        assert_eq!(advert.verify(&clock(0), None), Ok(SEQUENCE));
    }
}

/// What the draft's authors refuse, with the reason that they give.
#[test]
fn a_changed_advert_is_refused_with_the_reason() {
    type Change = fn(&mut Advert);
    let tag = Err(AuthError::Tag(KeyId::new(1).unwrap()));
    let malformed = |ext_type, reserved| Err(AuthError::Malformed { ext_type, reserved });
    let cases: [(&str, Change, Result<u64, AuthError>); 17] = [
        ("nothing", |_| (), Ok(SEQUENCE)),
        ("checksum", |advert| advert.message[6] ^= 0xff, Ok(SEQUENCE)),
        ("checksum, second byte", |advert| advert.message[7] ^= 0xff, Ok(SEQUENCE)),
        ("priority", |advert| advert.message[2] ^= 1, tag),
        ("interval", |advert| advert.message[5] ^= 1, tag),
        ("first byte of the VIP", |advert| advert.message[8] ^= 1, tag),
        ("last byte of the VIP", |advert| *advert.message.last_mut().unwrap() ^= 1, tag),
        ("VRID", |advert| advert.message[1] ^= 1, tag),
        ("seconds", |advert| advert.trailer[7] ^= 1, tag),
        ("counter", |advert| advert.trailer[11] ^= 1, tag),
        ("first byte of the tag", |advert| advert.trailer[12] ^= 0x80, tag),
        ("last byte of the tag", |advert| advert.trailer[27] ^= 1, tag),
        ("a message cut short", |advert| advert.message.truncate(advert.message.len() - 1), tag),
        ("type", |advert| advert.trailer[0] = 2, malformed(2, 0)),
        ("type 0", |advert| advert.trailer[0] = 0, malformed(0, 0)),
        ("reserved", |advert| advert.trailer[3] = 1, malformed(1, 1)),
        ("key identifier", |advert| advert.trailer[1] = 2, Err(AuthError::UnknownKey(2))),
    ];
    for advert in published() {
        for (case, change, expected) in cases {
            let mut changed = advert.clone();
            change(&mut changed);
            assert_eq!(changed.verify(&clock(0), None), expected, "{case}");
        }
    }
}

#[test]
fn an_advert_belongs_to_its_source_and_its_key() {
    let [v4, v6] = published();
    let wrong_key_1 = Err(AuthError::Tag(KeyId::new(1).unwrap()));
    for source in ["198.51.100.11", "::c633:640a", "c633:640a::"] {
        let other = Advert { source: source.parse().unwrap(), ..v4.clone() };
        assert_eq!(other.verify(&clock(0), None), wrong_key_1, "{source}");
    }
    let other = Advert { source: "fe80::11".parse().unwrap(), ..v6 };
    assert_eq!(other.verify(&clock(0), None), wrong_key_1);
    let mut other = v4;
    other.trailer[1] = 7;
    assert_eq!(other.verify(&clock(0), None), Err(AuthError::Tag(KeyId::new(7).unwrap())));
    other.trailer[1] = 0;
    assert_eq!(other.verify(&clock(0), None), Err(AuthError::UnknownKey(0)));
}

/// Shape, key, window, replay, tag: each is reported although all that follow are wrong as well.
#[test]
fn reasons_are_found_in_the_order_of_the_kernel() {
    let [mut advert, _] = published();
    advert.trailer = [0xff; TRAILER_LEN];
    advert.trailer[4..12].copy_from_slice(&SEQUENCE.to_be_bytes());
    let mark = Some(SEQUENCE);
    let late = clock(3_600_000);
    assert_eq!(advert.verify(&late, mark), Err(AuthError::Malformed { ext_type: 255, reserved: 0xffff }));
    advert.trailer[0] = 1;
    advert.trailer[2..4].copy_from_slice(&[0; 2]);
    assert_eq!(advert.verify(&late, mark), Err(AuthError::UnknownKey(255)));
    advert.trailer[1] = 1;
    let skew = Skew::Behind(Duration::from_hours(1));
    assert_eq!(advert.verify(&late, mark), Err(AuthError::Stale { skew, window: Duration::from_secs(5) }));
    let sequence = Sequence::new(SEQUENCE);
    assert_eq!(advert.verify(&clock(0), mark), Err(AuthError::Replayed { sequence, mark: sequence }));
    assert_eq!(advert.verify(&clock(0), None), Err(AuthError::Tag(KeyId::new(1).unwrap())));
}

/// The window is closed, and as wide to one side as to the other.
#[test]
fn adverts_of_another_time_are_stale() {
    let [advert, _] = published();
    for offset in [0, 4999, 5000, -4999, -5000] {
        assert_eq!(advert.verify(&clock(offset), None), Ok(SEQUENCE), "{offset} ms");
    }
    let cases = [
        (5001, Skew::Behind(Duration::from_nanos(5_000_991_821))),
        (-5001, Skew::Ahead(Duration::from_nanos(5_001_007_080))),
        (3_600_000, Skew::Behind(Duration::from_hours(1))),
        (-3_600_000, Skew::Ahead(Duration::from_hours(1))),
    ];
    for (offset, skew) in cases {
        let stale = AuthError::Stale { skew, window: Duration::from_secs(5) };
        assert_eq!(advert.verify(&clock(offset), None), Err(stale), "{offset} ms");
    }
}

#[test]
fn an_advert_is_accepted_once() {
    let [advert, _] = published();
    let replayed = |mark| Err(AuthError::Replayed { sequence: Sequence::new(SEQUENCE), mark: Sequence::new(mark) });
    let cases = [
        ("the one before", SEQUENCE - 1, Ok(SEQUENCE)),
        ("itself", SEQUENCE, replayed(SEQUENCE)),
        ("the next", SEQUENCE + 1, replayed(SEQUENCE + 1)),
        ("the edge of the window", SEQUENCE + 5 * SECOND, replayed(SEQUENCE + 5 * SECOND)),
        ("a clock that had run ahead", SEQUENCE + 6 * SECOND, Ok(SEQUENCE)),
        ("a clock that had run ahead an hour", SEQUENCE + 3600 * SECOND, Ok(SEQUENCE)),
        ("an hour ago", SEQUENCE - 3600 * SECOND, Ok(SEQUENCE)),
    ];
    for (case, mark, expected) in cases {
        assert_eq!(advert.verify(&clock(0), Some(mark)), expected, "{case}");
    }
}

/// 2106-02-07, 06:28:16 UTC.
#[test]
fn authentication_survives_the_wrap_of_the_seconds() {
    let [advert, _] = published();
    let second_before = Duration::from_secs((1 << 32) - 1);
    let window = Duration::from_secs(5);
    let mut signer = Signer::new();
    let mut mark = None;
    for millis in [0, 400, 900, 1000, 1100, 2000] {
        let clock = Clock { now: second_before + Duration::from_millis(millis), window };
        let sequence = signer.next(&clock).sequence;
        let trailer = sign(&key_1(), advert.source, &advert.message, sequence);
        let received = Signed { source: advert.source, message: &advert.message, trailer: &trailer };
        assert_eq!(ring().verify(&received, &clock, mark), Ok(sequence), "{millis} ms");
        mark = Some(sequence);
        assert!(ring().verify(&received, &clock, mark).is_err(), "{millis} ms, again");
    }
    assert_eq!(mark, Some(Sequence::new(0x0000_0001_0000_0000)));
}

/// A sender whose clock is put back signs on, and a receiver that has heard the future believes it.
#[test]
fn a_clock_that_is_put_back_locks_nobody_out() {
    let [advert, _] = published();
    let mut signer = Signer::new();
    let mut mark = None;
    for offset in [0, 1000, 3_601_000, 2000, 3000] {
        let clock = clock(offset);
        let sequence = signer.next(&clock).sequence;
        let trailer = sign(&key_1(), advert.source, &advert.message, sequence);
        let received = Signed { source: advert.source, message: &advert.message, trailer: &trailer };
        assert_eq!(ring().verify(&received, &clock, mark), Ok(sequence), "{offset} ms");
        mark = Some(sequence);
    }
}

#[test]
fn errors_say_what_was_found() {
    let sequence = Sequence::new(0x6b02_98d7_c9ed_0003);
    let skew = Skew::Behind(Duration::from_millis(12_500));
    let cases = [
        (
            AuthError::Malformed { ext_type: 2, reserved: 0x100 },
            "the trailer is of type 2 with reserved bits 0x0100, not of type 1 with none",
        ),
        (AuthError::UnknownKey(9), "signed with key 9, which is not configured here"),
        (
            AuthError::Stale { skew, window: Duration::from_secs(5) },
            "signed 12.500 s behind our clock, more than 5s: an old advert, or a clock that is wrong",
        ),
        (
            AuthError::Replayed { sequence, mark: sequence },
            "sequence 6b0298d7.c9ed.0003 is not above 6b0298d7.c9ed.0003, the last from this sender: an advert seen \
             before",
        ),
        (
            AuthError::Tag(KeyId::new(1).unwrap()),
            "wrong tag for key 1: forged, changed on the way, or another secret under this identifier",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}

proptest! {
    /// Whatever is changed but the checksum, and however much, is noticed.
    #[test]
    fn random_mutations_never_verify(
        ipv6: bool,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 1..=u8::MAX), 1..8),
    ) {
        let [v4, v6] = published();
        let original = if ipv6 { v6 } else { v4 };
        let mut bytes = [original.message.as_slice(), &original.trailer].concat();
        for (at, flip) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        bytes[6..8].copy_from_slice(&[0; 2]);
        let (message, trailer) = bytes.split_last_chunk().unwrap();
        let changed = message != original.message || *trailer != original.trailer;
        let advert = Advert { source: original.source, message: message.to_vec(), trailer: *trailer };
        let verified = advert.verify(&Clock { window: Duration::from_secs(u32::MAX.into()), ..clock(0) }, None);
        prop_assert_eq!(verified.is_err(), changed);
    }

    #[test]
    fn random_bytes_never_panic(message in proptest::collection::vec(any::<u8>(), 0..64), trailer: [u8; TRAILER_LEN]) {
        let advert = Advert { source: "192.0.2.1".parse().unwrap(), message, trailer };
        prop_assert!(advert.verify(&clock(0), Some(SEQUENCE)).is_err());
    }

    #[test]
    fn what_is_signed_is_verified(
        message in proptest::collection::vec(any::<u8>(), 8..64),
        source: [u8; 16],
        millis in 0..u64::from(u32::MAX),
        key in proptest::collection::vec(any::<u8>(), 32..=64),
    ) {
        let key = Key::new(KeyId::new(200).unwrap(), &key).unwrap();
        let clock = Clock { now: Duration::from_millis(millis * 1000), window: Duration::ZERO };
        let sequence = Signer::new().next(&clock).sequence;
        let source = IpAddr::from(source);
        let trailer = sign(&key, source, &message, sequence);
        let advert = Signed { source, message: &message, trailer: &trailer };
        prop_assert_eq!(Keyring::new(vec![key]).unwrap().verify(&advert, &clock, None), Ok(sequence));
    }
}
