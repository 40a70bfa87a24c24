//! Signed adverts: what was made with a key verifies, and nothing else does.
//!
//! The first byte says whether the others are an advert as it came, or one to be signed here and then tampered with. What
//! was captured from keepalived is in the corpus, made with the keys below; to forge more, a fuzzer would have to break
//! HMAC.

use std::time::Duration;

use vrrp::{
    Family,
    auth::{AuthError, Clock, Key, KeyId, Keyring, Sequence, Signed, sign},
    message::{DecodeError, Endpoints, Message, Parts, split},
};
use vrrp_wire::{
    abi::{Router, Verdict},
    judge::SIGNED_MAX,
    sequence,
};

use crate::{input::Input, judge, wire};

/// The secrets that keepalived had in the captures, by their identifiers.
const KEYS: [(u8, &[u8]); 2] = [
    (1, b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"),
    (7, b"vipd-test-key-ascii-0123456789abcdef"),
];
/// The secret of somebody who does not know ours, under an identifier that we have.
const STRANGER: (u8, &[u8]) = (1, b"\x80\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f");
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// What the receiver knows.
struct Receiver {
    ring: Keyring,
    clock: Clock,
    mark: Option<Sequence>,
}

/// Tries what `data` says.
///
/// # Panics
///
/// Where an advert is believed that is not authentic, or one refused that is.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let head = input.byte();
    let family = if head & 1 == 0 { Family::Ipv4 } else { Family::Ipv6 };
    let now = Duration::new(input.u32().into(), u32::from(input.u16()) * 15_000);
    let window = Duration::from_millis(u64::from(input.u16()) * 5);
    let time = Sequence::from_wall(now).get();
    // A mark of 0 is none to the kernel.
    let mark = Some(time.wrapping_add(input.u64())).filter(|&mark| head & 2 != 0 && mark != 0);
    let ring = Keyring::new(KEYS.into_iter().map(key).collect());
    let Ok(ring) = ring else { unreachable!("two keys of different identifiers") };
    let receiver = Receiver { ring, clock: Clock { now, window }, mark: mark.map(Sequence::new) };
    let endpoints = wire::endpoints(&mut input, family);
    if head & 4 == 0 {
        receiver.hear(input.rest(), &endpoints);
        return;
    }
    let signer = match head >> 3 & 3 {
        0 => KEYS[0],
        1 => KEYS[1],
        _ => STRANGER,
    };
    let sequence = Sequence::new(time.wrapping_add(input.u64()));
    let tampering = input.array();
    let message = wire::message(&mut input);
    let bytes = message.encode_signed(&endpoints, wire::form(family, head & 0x20 != 0), &key(signer), sequence);
    receiver.hear_signed(&bytes, &message, &endpoints, sequence, signer != STRANGER);
    receiver.hear_tampered(&bytes, &endpoints, tampering);
}

fn key((id, secret): (u8, &[u8])) -> Key {
    let Some(Ok(key)) = KeyId::new(id).map(|id| Key::new(id, secret)) else { unreachable!("a key that is legal") };
    key
}

impl Receiver {
    fn verify(&self, bytes: &[u8], endpoints: &Endpoints) -> Option<Result<Sequence, AuthError>> {
        let Parts { message, trailer } = split(bytes, endpoints.family());
        let signed = Signed { source: endpoints.source(), message, trailer: trailer? };
        Some(self.ring.verify(&signed, &self.clock, self.mark))
    }

    /// Any bytes: what is believed was made with one of the keys, in time, and not heard before; the kernel finds the same.
    fn hear(&self, bytes: &[u8], endpoints: &Endpoints) {
        let Some(outcome) = self.verify(bytes, endpoints) else { return };
        if let Ok(sequence) = outcome {
            assert!(self.is_due(sequence), "{sequence} is believed at {:?} with {:?}", self.clock, self.mark);
            let Parts { message, trailer } = split(bytes, endpoints.family());
            let made = self.ring.iter().map(|key| sign(key, endpoints.source(), message, sequence));
            assert!(made.into_iter().any(|made| Some(&made) == trailer), "{bytes:02x?} is believed and none of ours");
        }
        self.check_judgement(bytes, endpoints, outcome);
    }

    /// What is signed by somebody who has a key is believed if its time is right, and says what was meant.
    fn hear_signed(&self, bytes: &[u8], message: &Message, endpoints: &Endpoints, sequence: Sequence, has_key: bool) {
        self.hear(bytes, endpoints);
        let outcome = self.verify(bytes, endpoints);
        let is_believed = outcome == Some(Ok(sequence));
        assert_eq!(is_believed, has_key && self.is_due(sequence), "{outcome:?} for {sequence}");
        let said = wire::said(message, endpoints.family());
        let decoded = decode(bytes, endpoints).map(|decoded| decoded.addresses);
        assert_eq!(decoded, if said.is_empty() { Err(DecodeError::AddressCount) } else { Ok(said) });
        if is_believed {
            let again = Self { ring: self.ring.clone(), mark: Some(sequence), ..*self };
            let replayed = AuthError::Replayed { sequence, mark: sequence };
            assert_eq!(again.verify(bytes, endpoints), Some(Err(replayed)), "heard twice");
        }
    }

    /// What was changed on its way is not believed: neither with another byte, nor cut, nor from another source.
    fn hear_tampered(&self, bytes: &[u8], endpoints: &Endpoints, [p0, p1, change]: [u8; 3]) {
        let at = usize::from(u16::from_be_bytes([p0, p1])) % bytes.len();
        let mut tampered = bytes.to_vec();
        if let Some(byte) = tampered.get_mut(at) {
            *byte ^= change.max(1);
        }
        if CHECKSUM.contains(&at) {
            // The code does not cover the checksum, which is what finds this, unless it is right in the other form now.
            let decoded = decode(&tampered, endpoints);
            assert_eq!(
                !matches!(decoded, Err(DecodeError::Checksum(_))),
                is_summed(&tampered, endpoints),
                "{decoded:?}"
            );
            assert_eq!(self.verify(&tampered, endpoints), self.verify(bytes, endpoints), "the checksum is covered");
        } else {
            self.refuses(&tampered, endpoints);
        }
        self.refuses(bytes.get(..at).unwrap_or_default(), endpoints);
        let elsewhere = match *endpoints {
            Endpoints::Ipv4 { source, destination } => {
                Endpoints::Ipv4 { source: (source.to_bits() ^ 1 << (change % 32)).into(), destination }
            }
            Endpoints::Ipv6 { source, destination } => {
                Endpoints::Ipv6 { source: (source.to_bits() ^ 1 << (change % 128)).into(), destination }
            }
        };
        self.refuses(bytes, &elsewhere);
    }

    fn refuses(&self, bytes: &[u8], endpoints: &Endpoints) {
        let outcome = self.verify(bytes, endpoints);
        assert!(!matches!(outcome, Some(Ok(_))), "{outcome:?} for a forged advert");
        self.hear(bytes, endpoints);
    }

    /// Whether an advert of `sequence` is neither too old, nor too new, nor known, worked out in steps of 2⁻¹⁶ s.
    fn is_due(&self, sequence: Sequence) -> bool {
        let steps = |span: Duration| span.as_nanos() * 0x1_0000 / 1_000_000_000;
        let now = i128::try_from(steps(self.clock.now)).unwrap_or(i128::MAX);
        let is_near = |sequence: Sequence| {
            let era: i128 = 1 << 48;
            let ahead = (i128::from(sequence.get() >> 16) - now).rem_euclid(era);
            ahead.min(era - ahead).unsigned_abs() <= steps(self.clock.window)
        };
        let is_above = |mark: Sequence| (1..1 << 63).contains(&sequence.get().wrapping_sub(mark.get()));
        is_near(sequence) && self.mark.is_none_or(|mark| !is_near(mark) || is_above(mark))
    }

    /// The kernel gives the same reason, where the rest of the message is right and short enough for it.
    fn check_judgement(&self, bytes: &[u8], endpoints: &Endpoints, outcome: Result<Sequence, AuthError>) {
        let message = split(bytes, endpoints.family()).message;
        let is_right = wire::is_version_3(message, endpoints.family()) && bytes.len() <= SIGNED_MAX;
        if !is_right || endpoints.source() == endpoints.destination() {
            return;
        }
        let finding = judge::examine(&judge::frame(endpoints, bytes), |_, peer, tables| {
            let Clock { now, window } = self.clock;
            tables.set_keys(self.ring.iter().map(|key| (key.id().get(), key.midstates())).collect());
            tables.set_wall_clock(Sequence::from_wall(now).get());
            if let Some(mark) = self.mark {
                tables.set_mark(peer, mark.get());
            }
            let window = sequence::from_parts(window.as_secs(), window.subsec_nanos());
            Router { auth: Router::AUTH_OPTIONAL, window, ..Router::default() }
        });
        let expected = match outcome {
            Ok(_) => Verdict::Admitted,
            Err(AuthError::Malformed { .. }) => Verdict::AuthMalformed,
            Err(AuthError::UnknownKey(_)) => Verdict::AuthUnknownKey,
            Err(AuthError::Stale { .. }) => Verdict::AuthStale,
            Err(AuthError::Replayed { .. }) => Verdict::AuthReplayed,
            Err(AuthError::Tag(_)) => Verdict::AuthCode,
        };
        assert_eq!(
            finding.map(|finding| finding.verdict),
            Some(expected),
            "the kernel, where the agent says {outcome:?}"
        );
    }
}

/// Whether the checksum is right in one of the forms that are in use. Over IPv6 it covers the trailer.
fn is_summed(bytes: &[u8], endpoints: &Endpoints) -> bool {
    match endpoints.family() {
        Family::Ipv4 => {
            let message = split(bytes, Family::Ipv4).message;
            wire::is_summed(message, None) || wire::is_summed(message, Some(endpoints))
        }
        Family::Ipv6 => wire::is_summed(bytes, Some(endpoints)),
    }
}

fn decode(bytes: &[u8], endpoints: &Endpoints) -> Result<Message, DecodeError> {
    let decoded = match split(bytes, endpoints.family()) {
        Parts { message, trailer: Some(trailer) } => Message::decode_signed(message, trailer, endpoints),
        Parts { message, trailer: None } => Message::decode(message, endpoints),
    };
    decoded.map(|(message, _)| message)
}
