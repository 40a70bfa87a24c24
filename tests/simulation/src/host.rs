//! A host: the kernel's half, and a daemon that drives the real election as vipd's election thread does.

mod group;
mod upkeep;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use vrrp::{
    Centiseconds, Family, Instant, MacAddr, Parameters, Priority, Version, Vrid,
    auth::{self, Key, KeyId, Keyring, Sequence, Signed, Signer},
    election::{Action, Advert, Cause, Election, Event, State, StateName, Transition},
    frame,
    message::{ChecksumForm, Endpoints, Message, split, version_2},
};
use vrrp_wire::{
    abi::{PeerKey, Role, Router as RouterEntry, RouterKey, address_bytes, address_from_bytes},
    judge::{GROUP_IPV4, GROUP_IPV6},
};

use self::group::Takeover;
use crate::{
    attacker::Forgery,
    clock::{Clock, Time, nanoseconds},
    kernel::{Kernel, Provenance, Record},
    scenario::{Auth, Router, Scenario, address},
};

const IFINDEX: u32 = 2;
const VRID: u8 = 51;
/// The virtual address is host 100 of the network.
const VIP: u8 = 100;
/// How far the time in a trailer may be off.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);

/// What a turn of the daemon leads to.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// A frame leaves.
    Send {
        frame: Vec<u8>,
        said: Said,
    },
    /// The address is announced again.
    Announce,
    /// The address is to be put on the interface, or taken from it, for this term.
    Hold {
        term: u64,
    },
    Release {
        term: u64,
    },
    /// The state changed.
    Report(Transition),
    /// An advert was taken in.
    Hear {
        advert: Advert,
        before: State,
        after: State,
        heard: Heard,
    },
    /// One was refused.
    Refuse {
        provenance: Provenance,
        forgery: Option<Forgery>,
    },
    /// A takeover that was due did not happen.
    Saved {
        by_stamp: bool,
    },
}

/// What an advert says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// 0: the sender leaves.
    pub(crate) priority: u8,
    pub(crate) interval: Time,
    /// It was sent because of another one.
    pub(crate) is_answer: bool,
}

/// How an advert came to the election.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) provenance: Provenance,
    /// Only its stamp was left.
    pub(crate) by_stamp: bool,
    /// Adverts that were sent in answer.
    pub(crate) answers: usize,
}

/// What becomes of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    Frozen,
    /// With its host, whose clock stands still.
    Suspended,
    Gone,
}

/// What the daemon wants the address to be: held or not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// Each wish is a new one; what is not the last is not reported any more.
    pub(crate) term: u64,
    holds: bool,
}

/// A host of the LAN.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) number: u8,
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) kernel: Kernel,
    pub(crate) election: Election,
    pub(crate) life: Life,
    pub(crate) has_power: bool,
    pub(crate) is_linked: bool,
    /// What the daemon knows of that.
    knows_link: bool,
    /// How many attempts to hold the address are going to fail.
    pub(crate) failures: u32,
    /// What the address is to be.
    pub(crate) wish: Wish,
    /// Keys that are accepted, and the one that signs.
    pub(crate) keys: (Vec<u8>, u8),
    /// When its group takes over; `None`: it is in none, and goes by its own timer.
    takeover: Option<Takeover>,
    /// The configuration as it was last read.
    pub(crate) configured: Parameters,
    /// What the daemon hears of before anything else when it runs again.
    news: Vec<Event>,
    version: Version,
    auth: Auth,
    keyring: Option<Keyring>,
    signer: Signer,
    heard: BTreeMap<PeerKey, u64>,
}

impl Host {
    pub(crate) fn new(number: u8, scenario: &Scenario) -> Self {
        let router = scenario.routers[usize::from(number) - 1].clone();
        let key = RouterKey { ifindex: IFINDEX, family: scenario.family.number(), vrid: VRID, ..RouterKey::default() };
        let entry = RouterEntry {
            own_address: address_bytes(router.address),
            window: vrrp_wire::sequence::from_parts(WINDOW.as_secs(), 0),
            own_mac: mac(number).0,
            auth: match scenario.auth {
                Auth::Off | Auth::Password => RouterEntry::AUTH_OFF,
                Auth::Permissive => RouterEntry::AUTH_OPTIONAL,
                Auth::Enforce => RouterEntry::AUTH_REQUIRED,
            },
            fence: 1,
            version_2: u8::from(scenario.version == Version::V2),
            auth_type: authentication(scenario.auth).number(),
            password: authentication(scenario.auth).data(),
            interval_s: u8::try_from(router.parameters.advertisement_interval.get() / 100).unwrap_or(u8::MAX),
            link_local_first: u8::from(scenario.family == Family::Ipv6),
            ..RouterEntry::default()
        };
        let peers = (1..).zip(&scenario.routers).filter(|(_, peer)| peer.address != router.address);
        let peers = peers.map(|(number, peer)| (peer.address, scenario.pins_macs.then(|| mac(number))));
        let mut host = Self {
            number,
            clock: router.clock,
            kernel: Kernel::new(key, address(scenario.family, VIP), entry, peers),
            election: Election::new(router.parameters),
            life: Life::Gone,
            has_power: true,
            is_linked: true,
            knows_link: true,
            failures: 0,
            wish: Wish::default(),
            keys: (vec![1], 1),
            takeover: None,
            configured: router.parameters,
            news: Vec::new(),
            version: scenario.version,
            auth: scenario.auth,
            keyring: None,
            signer: Signer::new(),
            heard: BTreeMap::new(),
            router,
        };
        host.read_keys();
        host
    }

    pub(crate) fn now(&self, time: Time) -> Instant {
        self.clock.monotonic(time)
    }

    pub(crate) fn state(&self) -> StateName {
        self.election.state().name()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.life == Life::Running && self.has_power
    }

    /// Whether it is Active and knows what happens to it.
    pub(crate) fn is_active(&self) -> bool {
        self.is_running() && self.state() == StateName::Active
    }

    /// Whether it can take part: nothing that is its own keeps it from serving.
    pub(crate) fn is_able(&self) -> bool {
        self.is_running() && self.is_linked && matches!(self.state(), StateName::Backup | StateName::Active)
    }

    /// When the daemon wants to run.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.timer().filter(|_| self.is_running()).map(|deadline| self.clock.time(deadline))
    }

    /// Goes on with other keys, and the one that signs.
    pub(crate) fn set_keys(&mut self, keys: (Vec<u8>, u8)) {
        self.keys = keys;
        self.read_keys();
    }

    fn read_keys(&mut self) {
        let keys: Vec<Key> = self.keys.0.iter().filter_map(|&id| Key::new(KeyId::new(id)?, &[id; 32]).ok()).collect();
        self.kernel.set_keys(keys.iter());
        self.keyring = if self.auth.signs() { Keyring::new(keys).ok() } else { None };
    }

    /// Starts the daemon, which first removes what an earlier run has left.
    pub(crate) fn start(&mut self, time: Time) -> Vec<Effect> {
        if self.life != Life::Gone || !self.has_power {
            return Vec::new();
        }
        self.life = Life::Running;
        self.wish.term += 1;
        self.kernel.holds_address = false;
        self.kernel.forget();
        self.heard.clear();
        let wall = self.clock.wall(time);
        self.signer = self.signer.last().map_or_else(Signer::new, |kept| Signer::resume(kept, wall));
        self.election = Election::new(self.configured);
        self.news.clear();
        let mut effects = self.handle(Event::PrimaryAddress(self.router.address), time);
        self.knows_link = true;
        effects.extend(self.heed_link(time));
        effects.extend(self.handle(Event::Startup, time));
        effects
    }

    /// Stops the daemon in order.
    pub(crate) fn stop(&mut self, time: Time) -> Vec<Effect> {
        if !self.is_running() {
            return Vec::new();
        }
        let effects = self.handle(Event::Shutdown, time);
        self.life = Life::Gone;
        // It ends when it has done what was to be done.
        self.kernel.holds_address &= self.wish.holds;
        self.wish.term += 1;
        effects
    }

    /// What the daemon learns of its link.
    fn heed_link(&mut self, time: Time) -> Vec<Effect> {
        if std::mem::replace(&mut self.knows_link, self.is_linked) == self.is_linked {
            return Vec::new();
        }
        self.handle(if self.is_linked { Event::Recovered(Cause::Link) } else { Event::Fault(Cause::Link) }, time)
    }

    /// The address is on the interface, or gone, as was wished; or it could not be put there.
    pub(crate) fn address_done(&mut self, term: u64, holds: bool, time: Time) -> Vec<Effect> {
        if term != self.wish.term {
            return Vec::new();
        }
        let fails = holds && self.failures > 0;
        self.kernel.holds_address = holds && !fails;
        if !holds {
            return Vec::new();
        }
        self.failures = self.failures.saturating_sub(1);
        self.handle(if fails { Event::Fault(Cause::VirtualAddresses) } else { Event::AddressesHeld }, time)
    }

    /// One turn of the election thread: first everything that was heard, then the news, and then the timers.
    pub(crate) fn turn(&mut self, time: Time) -> Vec<Effect> {
        if !self.is_running() {
            return Vec::new();
        }
        self.kernel.beat_at = self.now(time);
        let mut effects = self.take_in(time);
        effects.extend(self.expire(time));
        effects
    }

    /// The first half of a turn: whatever has come in.
    pub(crate) fn take_in(&mut self, time: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        for event in std::mem::take(&mut self.news) {
            effects.extend(self.handle(event, time));
        }
        let was_due = self.is_takeover_due(time);
        effects.extend(self.receive(time));
        if was_due && self.state() == StateName::Backup && !self.is_takeover_due(time) {
            effects.push(Effect::Saved { by_stamp: false });
        }
        effects.extend(self.heed_link(time));
        if self.is_takeover_due(time) {
            effects.extend(self.heed_stamps(time));
            if !self.is_takeover_due(time) {
                effects.push(Effect::Saved { by_stamp: true });
            }
        }
        effects
    }

    fn receive(&mut self, time: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(record) = self.kernel.ring.pop_front() {
            let accepted = self.accept(&record);
            self.heard.insert(record.sender, record.received_at.as_nanos());
            let Record { provenance, forgery, .. } = record;
            let Some((message, sequence)) = accepted else {
                effects.push(Effect::Refuse { provenance, forgery });
                continue;
            };
            if let Some(sequence) = sequence {
                self.kernel.set_mark(record.sender, sequence.get());
            }
            let advert = Advert {
                source: address_from_bytes(record.sender.source, self.family()),
                priority: message.priority,
                max_advertise_interval: message.max_advertise_interval.duration(),
                received_at: record.received_at,
            };
            effects.extend(self.hear(advert, provenance, false, time));
        }
        effects
    }

    fn hear(&mut self, advert: Advert, provenance: Provenance, by_stamp: bool, time: Time) -> Vec<Effect> {
        let before = *self.election.state();
        let consequences = self.handle(Event::Advert(advert), time);
        let after = *self.election.state();
        let answers = consequences.iter().filter(|effect| matches!(effect, Effect::Send { .. })).count();
        let heard = Heard { provenance, by_stamp, answers };
        let mut effects = vec![Effect::Hear { advert, before, after, heard }];
        effects.extend(consequences);
        effects
    }

    /// Adverts that were lost between the kernel and here have left their stamp.
    fn heed_stamps(&mut self, time: Time) -> Vec<Effect> {
        let mut stamps = Vec::new();
        for (key, peer, provenance) in self.kernel.stamps() {
            let interval = u16::try_from(peer.last_interval_cs).ok().and_then(Centiseconds::new);
            let is_news = peer.last_good_ns > self.heard.get(&key).copied().unwrap_or(0);
            let (Some(interval), Some(priority)) = (interval.filter(|_| is_news), Priority::new(peer.last_priority))
            else {
                continue;
            };
            let advert = Advert {
                source: address_from_bytes(key.source, self.family()),
                priority: Some(priority),
                max_advertise_interval: interval.duration(),
                received_at: Instant::from_nanos(peer.last_good_ns),
            };
            stamps.push((key, advert, provenance));
        }
        stamps.sort_by_key(|(_, advert, _)| self.election.parameters().waits_until(advert));
        let mut effects = Vec::new();
        for (key, advert, provenance) in stamps {
            self.heard.insert(key, advert.received_at.as_nanos());
            effects.extend(self.hear(advert, provenance, true, time));
        }
        effects
    }

    /// The daemon's own judgement of what the kernel has admitted.
    fn accept(&self, record: &Record) -> Option<(Message, Option<Sequence>)> {
        let source = address_from_bytes(record.sender.source, self.family());
        if self.version == Version::V2 {
            let (message, found) = version_2::decode(&record.message).ok()?;
            let is_ours = found == authentication(self.auth)
                && message.max_advertise_interval == self.parameters().advertisement_interval;
            return is_ours.then_some((message, None));
        }
        let endpoints = endpoints(source);
        let parts = split(&record.message, self.family());
        let Some(keyring) = &self.keyring else {
            return Message::decode(&record.message, &endpoints).ok().map(|(message, _)| (message, None));
        };
        let Some(trailer) = parts.trailer else {
            let (message, _) = Message::decode(&record.message, &endpoints).ok()?;
            return (self.auth == Auth::Permissive).then_some((message, None));
        };
        let signed = Signed { source, message: parts.message, trailer };
        let mark = self.kernel.mark_of(&record.sender).map(Sequence::new);
        let sequence = keyring.verify(&signed, &self.wall(self.clock.time(record.received_at)), mark).ok()?;
        let (message, _) = Message::decode_signed(parts.message, trailer, &endpoints).ok()?;
        Some((message, Some(sequence)))
    }

    fn handle(&mut self, event: Event, time: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        let is_answer = matches!(event, Event::Advert(_));
        for action in self.election.handle(event, self.now(time)) {
            match action {
                Action::Hasten(priority) => {
                    effects.extend(self.advertise(Some(priority), Centiseconds::MIN, is_answer, time));
                }
                Action::Advertise(priority) => {
                    let interval = self.parameters().advertisement_interval;
                    effects.extend(self.advertise(priority, interval, is_answer, time));
                }
                Action::TakeAddresses => {
                    self.tell_kernel(time);
                    self.wish = Wish { term: self.wish.term + 1, holds: true };
                    effects.push(Effect::Hold { term: self.wish.term });
                }
                Action::ReleaseAddresses => {
                    self.tell_kernel(time);
                    self.wish = Wish { term: self.wish.term + 1, holds: false };
                    effects.push(Effect::Release { term: self.wish.term });
                }
                Action::Announce => effects.push(Effect::Announce),
                Action::Report(transition) => effects.push(Effect::Report(transition)),
            }
        }
        effects
    }

    fn tell_kernel(&mut self, time: Time) {
        self.kernel.beat_at = self.now(time);
        self.kernel.role = Role {
            stale_after_ns: nanoseconds(self.parameters().hung_after()),
            active: u32::from(self.state() == StateName::Active),
            ..Role::default()
        };
    }

    fn advertise(
        &mut self,
        priority: Option<Priority>,
        interval: Centiseconds,
        is_answer: bool,
        time: Time,
    ) -> Option<Effect> {
        let message = Message {
            vrid: Vrid::new(VRID)?,
            priority,
            max_advertise_interval: interval,
            addresses: vec![self.kernel.vip],
        };
        let endpoints = endpoints(self.router.address);
        let clock = self.wall(time);
        let key = self.keyring.as_ref().and_then(|keyring| keyring.get(self.keys.1));
        let bytes = match (self.version, key) {
            (Version::V2, _) => version_2::encode(&message, &authentication(self.auth)),
            (Version::V3, Some(key)) => {
                let issued = self.signer.next(&clock);
                message.encode_signed(&endpoints, ChecksumForm::PseudoHeader, key, issued.sequence)
            }
            (Version::V3, None) => message.encode(&endpoints, ChecksumForm::PseudoHeader),
        };
        let frame = frame::multicast(mac(self.number), &endpoints, &bytes);
        let priority = priority.map_or(0, Priority::get);
        Some(Effect::Send { frame, said: Said { priority, interval: nanoseconds(interval.duration()), is_answer } })
    }

    fn family(&self) -> Family {
        if self.router.address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    fn wall(&self, time: Time) -> auth::Clock {
        auth::Clock { now: self.clock.wall(time), window: WINDOW }
    }
}

pub(crate) fn authentication(auth: Auth) -> version_2::Authentication {
    match (auth, version_2::Password::new("simple")) {
        (Auth::Password, Some(password)) => version_2::Authentication::Password(password),
        _ => version_2::Authentication::None,
    }
}

pub(crate) fn mac(number: u8) -> MacAddr {
    MacAddr([0x02, 0, 0, 0, 0, number])
}

/// From `source` to the group.
pub(crate) const fn endpoints(source: IpAddr) -> Endpoints {
    match source {
        IpAddr::V4(source) => Endpoints::Ipv4 { source, destination: GROUP_IPV4 },
        IpAddr::V6(source) => Endpoints::Ipv6 { source, destination: GROUP_IPV6 },
    }
}
