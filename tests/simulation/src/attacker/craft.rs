//! Frames as an attacker makes them: right in everything but what is to be wrong.

use std::net::IpAddr;

use rand::{Rng, RngExt};
use vrrp::{
    Centiseconds, Family, MacAddr, Priority, Version, Vrid, frame,
    message::{ChecksumForm, Message, version_2},
};

use crate::{
    host::{authentication, endpoints},
    scenario::{Auth, Scenario, address},
};

const VRID: u8 = 51;
/// The virtual address is host 100.
const VIP: u8 = 100;

/// Makes frames for one LAN.
#[derive(Debug)]
pub(super) struct Workshop {
    pub(super) family: Family,
    pub(super) version: Version,
    auth: Auth,
    interval: Centiseconds,
}

impl Workshop {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let first = scenario.routers.first();
        let interval = first.map_or(Centiseconds::MAX, |router| router.parameters.advertisement_interval);
        Self { family: scenario.family, version: scenario.version, auth: scenario.auth, interval }
    }

    pub(super) fn vip(&self) -> IpAddr {
        address(self.family, VIP)
    }

    /// An advert as a router sends it that has no secret; the password of version 2 is none.
    pub(super) fn advert(&self, source: IpAddr, source_mac: MacAddr, priority: u8) -> Vec<u8> {
        self.listing(vec![self.vip()], source, source_mac, priority)
    }

    pub(super) fn listing(&self, addresses: Vec<IpAddr>, source: IpAddr, source_mac: MacAddr, priority: u8) -> Vec<u8> {
        self.frame(addresses, &authentication(self.auth), source, source_mac, priority)
    }

    pub(super) fn with_password(&self, text: &str, source: IpAddr, source_mac: MacAddr, priority: u8) -> Vec<u8> {
        let password =
            version_2::Password::new(text).map_or(version_2::Authentication::None, version_2::Authentication::Password);
        self.frame(vec![self.vip()], &password, source, source_mac, priority)
    }

    fn frame(
        &self,
        addresses: Vec<IpAddr>,
        authentication: &version_2::Authentication,
        source: IpAddr,
        source_mac: MacAddr,
        priority: u8,
    ) -> Vec<u8> {
        let Some(vrid) = Vrid::new(VRID) else { return Vec::new() };
        let max_advertise_interval = self.interval;
        let message = Message { vrid, priority: Priority::new(priority), max_advertise_interval, addresses };
        let endpoints = endpoints(source);
        let bytes = match self.version {
            Version::V2 => version_2::encode(&message, authentication),
            Version::V3 => message.encode(&endpoints, ChecksumForm::PseudoHeader),
        };
        frame::multicast(source_mac, &endpoints, &bytes)
    }

    /// An advert that is signed, with a higher priority, or 0, and the right checksum.
    pub(super) fn raised(&self, frame: Vec<u8>, dice: &mut impl Rng) -> Vec<u8> {
        let old = frame[self.header_len() + 2];
        let new = if old == 255 { 0 } else { dice.random_range(old + 1..=255) };
        self.with_byte(frame, 2, new)
    }

    pub(super) fn without_interval(&self, mut frame: Vec<u8>) -> Vec<u8> {
        // Version 2 has the authentication type before it, in whole seconds.
        if self.version == Version::V3 {
            let reserved = frame[self.header_len() + 4] & 0xf0;
            frame = self.with_byte(frame, 4, reserved);
        }
        self.with_byte(frame, 5, 0)
    }

    /// The message with another byte in this place, and the right checksum. RFC 1624 §3.
    pub(super) fn with_byte(&self, mut frame: Vec<u8>, place: usize, new: u8) -> Vec<u8> {
        let start = self.header_len();
        let word = |byte: u8| if place.is_multiple_of(2) { u32::from(byte) << 8 } else { u32::from(byte) };
        let old = std::mem::replace(&mut frame[start + place], new);
        let checksum = u16::from_be_bytes([frame[start + 6], frame[start + 7]]);
        let mut sum = u32::from(!checksum) + (0xffff - word(old)) + word(new);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let checksum = !u16::try_from(sum).unwrap_or(0);
        frame[start + 6..start + 8].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    /// The same from another address.
    pub(super) fn moved(mut frame: Vec<u8>, source: IpAddr) -> Vec<u8> {
        match source {
            IpAddr::V4(source) => frame[26..30].copy_from_slice(&source.octets()),
            IpAddr::V6(source) => frame[22..38].copy_from_slice(&source.octets()),
        }
        frame
    }

    /// As a router would forward it.
    pub(super) fn forwarded(&self, mut frame: Vec<u8>) -> Vec<u8> {
        let ttl = if self.family == Family::Ipv4 { 14 + 8 } else { 14 + 7 };
        frame[ttl] = 254;
        frame
    }

    /// One byte changed, the checksum left.
    pub(super) fn damaged(&self, mut frame: Vec<u8>, dice: &mut impl Rng) -> Vec<u8> {
        let place = dice.random_range(self.header_len()..frame.len());
        frame[place] ^= dice.random_range(1..=255);
        frame
    }

    const fn header_len(&self) -> usize {
        match self.family {
            Family::Ipv4 => 14 + 20,
            Family::Ipv6 => 14 + 40,
        }
    }
}
