//! Somebody on the LAN who hears every advert, may send any frame from any address, and knows no secret.

use std::{collections::VecDeque, net::IpAddr};

use crate::{
    host::endpoints,
    scenario::{Auth, Scenario, address},
    world::Delivery,
};
use rand::{Rng, RngExt, seq::IndexedRandom};
use vrrp::{
    Centiseconds, Family, MacAddr, Priority, Version, Vrid, frame,
    message::{ChecksumForm, Message, version_2},
};

const VRID: u8 = 51;
/// The virtual address is host 100, the attacker host 66.
const VIP: u8 = 100;
const OWN: u8 = 66;
/// Frames that it keeps.
const KEPT: usize = 32;
const MAC: MacAddr = MacAddr([0x02, 0x66, 0x66, 0x66, 0x66, 0x66]);

/// Keeps what it has heard and makes something of it.
#[derive(Debug)]
pub(crate) struct Attacker {
    family: Family,
    version: Version,
    auth: Auth,
    routers: u8,
    heard: VecDeque<(Vec<u8>, (usize, u64))>,
}

impl Attacker {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            family: scenario.family,
            version: scenario.version,
            auth: scenario.auth,
            routers: u8::try_from(scenario.routers.len()).unwrap_or(u8::MAX),
            heard: VecDeque::new(),
        }
    }

    pub(crate) fn overhear(&mut self, frame: &[u8], origin: (usize, u64)) {
        self.heard.push_back((frame.to_vec(), origin));
        if self.heard.len() > KEPT {
            self.heard.pop_front();
        }
    }

    /// A frame for one of the hosts.
    pub(crate) fn forge(&self, dice: &mut impl Rng) -> Option<Delivery> {
        let to = dice.random_range(0..usize::from(self.routers));
        let forged = |frame| Delivery { to, frame, origin: None, is_changed: false, is_replay: false };
        if self.auth.signs() && dice.random() {
            let (frame, origin) = self.heard.get(dice.random_range(0..KEPT))?.clone();
            if dice.random() {
                return Some(Delivery { origin: Some(origin), is_replay: true, ..forged(frame) });
            }
            return Some(forged(self.tampered(frame, dice)));
        }
        let peer = address(self.family, 1 + u8::try_from((to + 1) % usize::from(self.routers)).unwrap_or(0));
        let frame = match dice.random_range(0..4) {
            0 => self.advert(address(self.family, OWN), self.version, dice),
            1 => self.advert(peer, other(self.version), dice),
            2 => self.forwarded(self.advert(peer, self.version, dice)),
            // Nothing but a secret tells this one from an advert of the peer.
            _ if self.auth == Auth::Enforce => self.advert(peer, self.version, dice),
            _ => self.damaged(self.advert(peer, self.version, dice), dice),
        };
        Some(forged(frame))
    }

    /// An advert that is signed, with another priority and the right checksum.
    fn tampered(&self, mut frame: Vec<u8>, dice: &mut impl Rng) -> Vec<u8> {
        let start = self.header_len();
        let old = frame[start + 2];
        let new = if old == 255 { 0 } else { dice.random_range(old + 1..=255) };
        frame[start + 2] = new;
        // The checksum of a changed word. RFC 1624 §3.
        let checksum = u16::from_be_bytes([frame[start + 6], frame[start + 7]]);
        let word = |priority: u8| u32::from(priority) << 8;
        let mut sum = u32::from(!checksum) + (0xffff - word(old)) + word(new);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let checksum = !u16::try_from(sum).unwrap_or(0);
        frame[start + 6..start + 8].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    fn advert(&self, source: IpAddr, version: Version, dice: &mut impl Rng) -> Vec<u8> {
        let Some(vrid) = Vrid::new(VRID) else { return Vec::new() };
        let message = Message {
            vrid,
            priority: Priority::new(*[0, 255, 254].choose(dice).unwrap_or(&255)),
            max_advertise_interval: Centiseconds::new(100).unwrap_or(Centiseconds::MAX),
            addresses: vec![address(self.family, VIP)],
        };
        let endpoints = endpoints(source);
        let bytes = match version {
            Version::V2 => version_2::encode(&message, &version_2::Authentication::None),
            Version::V3 => message.encode(&endpoints, ChecksumForm::PseudoHeader),
        };
        frame::multicast(MAC, &endpoints, &bytes)
    }

    /// As a router would forward it.
    fn forwarded(&self, mut frame: Vec<u8>) -> Vec<u8> {
        let ttl = if self.family == Family::Ipv4 { 14 + 8 } else { 14 + 7 };
        frame[ttl] = 254;
        frame
    }

    /// One byte changed, the checksum left.
    fn damaged(&self, mut frame: Vec<u8>, dice: &mut impl Rng) -> Vec<u8> {
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

const fn other(version: Version) -> Version {
    match version {
        Version::V2 => Version::V3,
        Version::V3 => Version::V2,
    }
}
