//! Somebody on the LAN who hears every advert, may send any frame from any address, and knows no secret.

mod craft;

use std::{collections::VecDeque, net::IpAddr};

use rand::{Rng, RngExt, seq::IndexedRandom};
use vrrp::{MacAddr, Version};

use self::craft::Workshop;
use crate::{
    host::mac,
    scenario::{Auth, Scenario, address},
    world::Delivery,
};

/// The attacker is host 66.
const OWN: u8 = 66;
/// Frames that it keeps.
const KEPT: usize = 32;
const MAC: MacAddr = MacAddr([0x02, 0x66, 0x66, 0x66, 0x66, 0x66]);

/// What is wrong with a frame. But for [`Forgery::Damaged`] and [`Forgery::Replayed`] the guard itself refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// Its sender is none of the routers.
    Stranger,
    /// What a router has sent, from a sender who is none.
    StrangersCopy,
    /// It comes from the receiver's own address.
    OwnAddress,
    /// The other version of VRRP.
    OtherVersion,
    /// As a router would forward it.
    Forwarded,
    /// Not from the MAC address that the sender has.
    OtherMac,
    /// For another virtual router.
    OtherVrid,
    /// It lists no address.
    NoAddress,
    /// Its interval is 0.
    NoInterval,
    /// Its list of IPv6 addresses does not begin with a link-local one.
    NoLinkLocal,
    /// Not as long as its address count says.
    WrongLength,
    /// Another password of version 2.
    WrongPassword,
    /// Nothing but the missing trailer tells it from an advert of the peer.
    Unsigned,
    /// Signed, then changed.
    Tampered,
    /// Signed, and it has been there before.
    Replayed,
    /// Right but for its checksum, which only the daemon looks at.
    Damaged,
}

impl Forgery {
    /// Whether the guard may admit it.
    pub(crate) const fn is_for_daemon(self) -> bool {
        matches!(self, Self::Damaged | Self::Replayed)
    }

    /// What can be tried on the LAN of `scenario`.
    fn kinds(scenario: &Scenario) -> Vec<Self> {
        let mut kinds = vec![
            Self::Stranger,
            Self::StrangersCopy,
            Self::OwnAddress,
            Self::OtherVersion,
            Self::Forwarded,
            Self::OtherVrid,
            Self::NoAddress,
            Self::NoInterval,
            Self::WrongLength,
        ];
        if scenario.pins_macs {
            kinds.push(Self::OtherMac);
        }
        if scenario.family == vrrp::Family::Ipv6 {
            kinds.push(Self::NoLinkLocal);
        }
        match scenario.auth {
            Auth::Off => kinds.extend([Self::Damaged; 4]),
            Auth::Password => kinds.extend([Self::WrongPassword, Self::Damaged, Self::Damaged, Self::Damaged]),
            Auth::Permissive => kinds.extend([[Self::Tampered, Self::Replayed, Self::Damaged]; 3].as_flattened()),
            Auth::Enforce => kinds.extend([[Self::Tampered, Self::Replayed, Self::Unsigned]; 3].as_flattened()),
        }
        kinds
    }
}

/// Keeps what it has heard and makes something of it.
#[derive(Debug)]
pub(crate) struct Attacker {
    workshop: Workshop,
    routers: usize,
    kinds: Vec<Forgery>,
    heard: VecDeque<(Vec<u8>, (usize, u64))>,
}

impl Attacker {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            workshop: Workshop::new(scenario),
            routers: scenario.routers.len(),
            kinds: Forgery::kinds(scenario),
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
        let to = dice.random_range(0..self.routers);
        let forgery = *self.kinds.choose(dice)?;
        let priority = *[0, 255, 254].choose(dice)?;
        let mut delivery = Delivery { forgery: Some(forgery), ..Delivery::new(to, Vec::new(), None) };
        delivery.frame = match forgery {
            Forgery::Replayed => {
                let (frame, origin) = self.keepsake(dice)?;
                delivery.origin = Some(origin);
                frame
            }
            Forgery::Tampered => self.workshop.raised(self.keepsake(dice)?.0, dice),
            Forgery::StrangersCopy => Workshop::moved(self.keepsake(dice)?.0, self.address(OWN)),
            Forgery::Stranger
            | Forgery::OwnAddress
            | Forgery::OtherVersion
            | Forgery::Forwarded
            | Forgery::OtherMac
            | Forgery::OtherVrid
            | Forgery::NoAddress
            | Forgery::NoInterval
            | Forgery::NoLinkLocal
            | Forgery::WrongLength
            | Forgery::WrongPassword
            | Forgery::Unsigned
            | Forgery::Damaged => self.craft(forgery, to, priority, dice),
        };
        Some(delivery)
    }

    fn craft(&self, forgery: Forgery, to: usize, priority: u8, dice: &mut impl Rng) -> Vec<u8> {
        let workshop = &self.workshop;
        let (peer, peer_mac) = self.peer(to);
        match forgery {
            Forgery::Stranger => workshop.advert(self.address(OWN), MAC, priority),
            Forgery::OwnAddress => workshop.advert(self.address(number(to)), MAC, priority),
            Forgery::OtherMac => workshop.advert(peer, MAC, priority),
            Forgery::OtherVersion => {
                let version_type = match workshop.version {
                    Version::V2 => 0x31,
                    Version::V3 => 0x21,
                };
                workshop.with_byte(workshop.advert(peer, peer_mac, priority), 0, version_type)
            }
            Forgery::Forwarded => workshop.forwarded(workshop.advert(peer, peer_mac, priority)),
            Forgery::OtherVrid => workshop.with_byte(workshop.advert(peer, peer_mac, priority), 1, 52),
            Forgery::NoInterval => workshop.without_interval(workshop.advert(peer, peer_mac, priority)),
            Forgery::NoAddress => workshop.listing(Vec::new(), peer, peer_mac, priority),
            Forgery::NoLinkLocal => {
                let global = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100]);
                workshop.listing(vec![global, workshop.vip()], peer, peer_mac, priority)
            }
            // One address more than there are bytes for, or one less.
            Forgery::WrongLength => {
                let count = *[0, 2, 200].choose(dice).unwrap_or(&2);
                let frame = workshop.advert(peer, peer_mac, priority);
                workshop.with_byte(frame, 3, if count == 0 { 3 } else { count })
            }
            Forgery::WrongPassword => workshop.with_password("guessed", peer, peer_mac, priority),
            Forgery::Damaged => workshop.damaged(workshop.advert(peer, peer_mac, priority), dice),
            // Copies are made from what was overheard.
            Forgery::Unsigned | Forgery::Replayed | Forgery::Tampered | Forgery::StrangersCopy => {
                workshop.advert(peer, peer_mac, priority)
            }
        }
    }

    /// An advert without fault in the name of a peer of `to`, which loses to everybody's, or says that the peer leaves.
    pub(crate) fn assail(&self, to: usize, priority: u8) -> Delivery {
        let (peer, peer_mac) = self.peer(to);
        Delivery::new(to, self.workshop.advert(peer, peer_mac, priority), None)
    }

    fn keepsake(&self, dice: &mut impl Rng) -> Option<(Vec<u8>, (usize, u64))> {
        self.heard.get(dice.random_range(0..KEPT)).cloned()
    }

    fn peer(&self, to: usize) -> (IpAddr, MacAddr) {
        let number = number((to + 1) % self.routers);
        (self.address(number), mac(number))
    }

    fn address(&self, number: u8) -> IpAddr {
        address(self.workshop.family, number)
    }
}

/// The number of the host in this place.
fn number(place: usize) -> u8 {
    u8::try_from(place + 1).unwrap_or(u8::MAX)
}
