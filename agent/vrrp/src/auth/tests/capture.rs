//! Adverts that a real keepalived 2.4.3 signed.

use super::{kernel::tag_in_kernel, *};
use crate::{
    Centiseconds, Priority, Vrid,
    message::{ChecksumForm, Endpoints, Message, Parts, split},
};

/// One line of the capture.
struct Captured {
    arrival: Duration,
    endpoints: Endpoints,
    advert: Advert,
}

impl Captured {
    fn read(line: &str) -> Self {
        let fields: Vec<&str> = line.split(' ').collect();
        let [arrival, source, destination, message, trailer] = fields[..] else { panic!("not five fields: {line}") };
        let (seconds, micros) = arrival.split_once('.').unwrap();
        let endpoints = match (source.parse().unwrap(), destination.parse().unwrap()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Endpoints::Ipv4 { source, destination },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Endpoints::Ipv6 { source, destination },
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families: {line}"),
        };
        Self {
            arrival: Duration::from_secs(seconds.parse().unwrap()) + Duration::from_micros(micros.parse().unwrap()),
            endpoints,
            advert: Advert::new(source, message, trailer),
        }
    }

    /// As it was on the wire.
    fn bytes(&self) -> Vec<u8> {
        [self.advert.message.as_slice(), &self.advert.trailer].concat()
    }

    fn clock(&self) -> Clock {
        Clock { now: self.arrival, window: Duration::from_secs(5) }
    }

    fn sequence(&self) -> Sequence {
        Sequence::new(u64::from_be_bytes(self.advert.trailer[4..12].try_into().unwrap()))
    }

    /// What keepalived's configuration says of the virtual router: key identifier and addresses.
    fn configured(&self) -> (u8, &'static [&'static str]) {
        match (self.advert.message[1], self.endpoints.family()) {
            (51, Family::Ipv4) => (1, &["192.0.2.100"]),
            (51, Family::Ipv6) => (1, &["fe80::100", "2001:db8::100"]),
            (52, Family::Ipv4) => (7, &["192.0.2.101", "192.0.2.102", "192.0.2.103"]),
            (53, Family::Ipv4) => (1, &["192.0.2.110"]),
            (54, Family::Ipv6) => (7, &["2001:db8::120"]),
            (vrid, family) => panic!("no VRID {vrid} over {family} is signed"),
        }
    }

    fn message(&self) -> Message {
        let (_, addresses) = self.configured();
        Message {
            vrid: Vrid::new(self.advert.message[1]).unwrap(),
            priority: Priority::new(self.advert.message[2]),
            max_advertise_interval: Centiseconds::new(100).unwrap(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        }
    }
}

fn capture() -> Vec<Captured> {
    let lines = include_str!("keepalived.txt").lines().filter(|line| !line.starts_with('#'));
    let capture: Vec<_> = lines.map(Captured::read).collect();
    assert_eq!(capture.len(), 35);
    capture
}

#[test]
fn every_captured_advert_is_authentic_on_both_sides() {
    for captured in capture() {
        let (id, _) = captured.configured();
        let verified = ring().verify(&captured.advert.signed(), &captured.clock(), None);
        assert_eq!(verified, Ok(captured.sequence()), "{:?}", captured.advert);
        let tag = tag_in_kernel(ring().get(id).unwrap(), &captured.advert);
        assert_eq!(tag, captured.advert.trailer[12..], "{:?}", captured.advert);
    }
}

/// The mark of each sender, which is one for each virtual router and family.
#[test]
fn captured_sequences_grow_and_cannot_be_replayed() {
    let mut marks = std::collections::HashMap::new();
    for captured in capture() {
        let sender = (captured.advert.source, captured.advert.message[1]);
        let mark = marks.get(&sender).copied();
        let signed = captured.advert.signed();
        let sequence = ring().verify(&signed, &captured.clock(), mark).unwrap();
        let again = ring().verify(&signed, &captured.clock(), Some(sequence));
        assert_eq!(again, Err(AuthError::Replayed { sequence, mark: sequence }));
        marks.insert(sender, sequence);
    }
    assert_eq!(marks.len(), 5);
}

#[test]
fn captured_adverts_decode_and_encode_to_the_same_bytes() {
    for captured in capture() {
        let bytes = captured.bytes();
        let parts = split(&bytes, captured.endpoints.family());
        assert_eq!(parts, Parts { message: &captured.advert.message, trailer: Some(&captured.advert.trailer) });

        let decoded = Message::decode_signed(&captured.advert.message, &captured.advert.trailer, &captured.endpoints);
        let message = captured.message();
        assert_eq!(decoded, Ok((message.clone(), ChecksumForm::PseudoHeader)), "{:?}", captured.advert);

        let ring = ring();
        let key = ring.get(captured.configured().0).unwrap();
        let encoded = message.encode_signed(&captured.endpoints, ChecksumForm::PseudoHeader, key, captured.sequence());
        assert_eq!(encoded, bytes, "{:?}", captured.advert);
    }
}

/// keepalived signs, and the kernel stamps what leaves a moment later by the same clock.
#[test]
fn our_reading_of_a_clock_is_keepaliveds() {
    for captured in capture() {
        let age = match captured.sequence().skew(captured.arrival) {
            Skew::Behind(age) => age,
            Skew::Ahead(Duration::ZERO) => Duration::ZERO,
            Skew::Ahead(distance) => panic!("signed {distance:?} after it was sent: {:?}", captured.advert),
        };
        assert!(age < Duration::from_millis(10), "{age:?}: {:?}", captured.advert);
    }
}
