//! Adverts of both versions over both IP versions: what is read, what is written, and what the kernel thinks of it.
//!
//! The first byte says what the others are: an advert between two addresses, the values to write one of, or a frame. What
//! is expected comes from [`wire`], which knows the RFCs and not the code.

use vrrp::{
    Family,
    message::{ChecksumForm, DecodeError, Endpoints, Message, split, version_2},
};
use vrrp_wire::{
    abi::{Router, Verdict},
    judge::{AUTH_DATA_LEN, Finding},
    parse::{Facts, Shape},
};

use crate::{input::Input, judge, wire};

/// The checksum is put right first, as hardly any bytes have a right one.
const MEND: u8 = 0x10;
/// What it covers is the message alone.
const MESSAGE_ONLY: u8 = 0x20;

/// Tries what `data` says.
///
/// # Panics
///
/// Where reading, writing and judging do not agree with the RFCs or each other.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let head = input.byte();
    let family = if head & 1 == 0 { Family::Ipv4 } else { Family::Ipv6 };
    match head & 0x0e {
        0 | 2 => {
            let endpoints = wire::endpoints(&mut input, family);
            read_version_3(&mended(input, head, Some(&endpoints)), &endpoints);
        }
        4 | 6 => {
            let endpoints = wire::endpoints(&mut input, Family::Ipv4);
            read_version_2(&mended(input, head | MESSAGE_ONLY, None), &endpoints);
        }
        8 | 10 => {
            let endpoints = wire::endpoints(&mut input, family);
            write(&wire::message(&mut input), &endpoints, wire::form(family, head & MESSAGE_ONLY != 0));
        }
        _ => judge_frame(input.rest()),
    }
}

/// The rest of the input, as the flags in `head` would have its checksum.
fn mended(input: Input<'_>, head: u8, endpoints: Option<&Endpoints>) -> Vec<u8> {
    let mut bytes = input.rest().to_vec();
    if head & MEND != 0 {
        wire::put_checksum(&mut bytes, endpoints.filter(|_| head & MESSAGE_ONLY == 0));
    }
    bytes
}

/// An advert is what the RFC says it is, and written again it is the same.
fn read_version_3(bytes: &[u8], endpoints: &Endpoints) {
    let family = endpoints.family();
    check_split(bytes, family);
    let is_advert = wire::is_version_3(bytes, family);
    let with_pseudo_header = wire::is_summed(bytes, Some(endpoints));
    let message_only = family == Family::Ipv4 && wire::is_summed(bytes, None);
    let decoded = Message::decode(bytes, endpoints);
    assert_eq!(decoded.is_ok(), is_advert && (with_pseudo_header || message_only), "{decoded:?}");
    if let Ok((message, form)) = &decoded {
        let is_right = if *form == ChecksumForm::PseudoHeader { with_pseudo_header } else { message_only };
        assert!(is_right, "{form:?} is not what the checksum covers");
        let mut meant = bytes.to_vec();
        // Four bits are reserved, and ignored.
        meant[4] &= 0x0f;
        check_same(&message.encode(endpoints, *form), meant, bytes);
    }
    check_judgement(bytes, endpoints, is_advert, |_| Router::default());
}

/// As for version 3; there is one form of the checksum.
fn read_version_2(bytes: &[u8], endpoints: &Endpoints) {
    let is_advert = wire::is_version_2(bytes);
    let decoded = version_2::decode(bytes);
    assert_eq!(decoded.is_ok(), is_advert && wire::is_summed(bytes, None), "{decoded:?}");
    if let Ok((message, authentication)) = &decoded {
        let mut meant = bytes.to_vec();
        if meant[4] == 0 {
            // Where there is no password, the bytes for it are ignored.
            let kept = meant.len() - AUTH_DATA_LEN;
            meant[kept..].fill(0);
        }
        check_same(&version_2::encode(message, authentication), meant, bytes);
    }
    check_judgement(bytes, endpoints, is_advert, |bytes| {
        let password = bytes.last_chunk().copied().unwrap_or_default();
        let [auth_type, interval_s] = [4, 5].map(|at| bytes.get(at).copied().unwrap_or(0));
        let (auth_type, interval_s) = (auth_type.min(1), if interval_s > 40 { 1 } else { interval_s.max(1) });
        Router { version_2: 1, auth_type, interval_s, password, ..Router::default() }
    });
}

/// `encoded` is what the advert `bytes` say, `meant`, with the checksum that belongs to it; a sum of zero has two forms.
fn check_same(encoded: &[u8], mut meant: Vec<u8>, bytes: &[u8]) {
    if meant != bytes || meant[6..8] == [0xff; 2] {
        meant[6..8].copy_from_slice(&encoded[6..8]);
    }
    assert_eq!(encoded, meant, "written again it is not the same");
}

/// Nothing is lost and nothing added where the trailer begins.
fn check_split(bytes: &[u8], family: Family) {
    let parts = split(bytes, family);
    let trailer = parts.trailer.map_or(&[][..], |trailer| trailer);
    assert_eq!([parts.message, trailer].concat(), bytes, "split and put together");
}

/// The kernel admits what is an advert in all but the checksum, which it does not compute, and nothing else.
fn check_judgement(bytes: &[u8], endpoints: &Endpoints, is_advert: bool, configure: fn(&[u8]) -> Router) {
    if endpoints.source() == endpoints.destination() {
        return;
    }
    let frame = judge::frame(endpoints, bytes);
    let finding = judge::examine(&frame, |_, _, _| configure(bytes));
    let is_admitted = finding.is_some_and(|finding| finding.verdict == Verdict::Admitted);
    assert_eq!(is_admitted, is_advert, "{finding:?}");
}

/// What is written can be read, and is what was meant.
fn write(message: &Message, endpoints: &Endpoints, form: ChecksumForm) {
    let said = wire::said(message, endpoints.family());
    let bytes = message.encode(endpoints, form);
    let decoded = Message::decode(&bytes, endpoints);
    if said.is_empty() {
        assert_eq!(decoded, Err(DecodeError::AddressCount));
    } else {
        let addresses = said.clone();
        assert_eq!(decoded.map(|(decoded, _)| decoded), Ok(Message { addresses, ..message.clone() }));
    }

    let said = wire::said(message, Family::Ipv4);
    let seconds = (message.max_advertise_interval.get() / 100).max(1);
    let decoded = version_2::decode(&version_2::encode(message, &version_2::Authentication::None));
    match decoded {
        Err(error) => assert!(said.is_empty() && error == DecodeError::AddressCount, "{error}"),
        Ok((decoded, _)) => {
            assert_eq!(decoded.max_advertise_interval.get(), seconds * 100);
            let max_advertise_interval = decoded.max_advertise_interval;
            assert_eq!(decoded, Message { addresses: said, max_advertise_interval, ..message.clone() });
        }
    }
}

/// Any frame: what is admitted is a plain datagram from this link with an advert in it.
fn judge_frame(frame: &[u8]) {
    let Some(Finding { facts, verdict, .. }) = judge::examine(frame, |_, _, _| Router::default()) else { return };
    if verdict != Verdict::Admitted {
        return;
    }
    let Facts { shape, ttl, message_offset, message_len, .. } = facts;
    assert_eq!((shape, ttl), (Shape::Plain, 255));
    let message = frame.get(message_offset..message_offset + message_len);
    assert!(message.is_some_and(|message| wire::is_version_3(message, facts.family)), "{message:?} was admitted");
}
