//! One virtual router: takes what the datapath, the link and the tasks report, lets the election decide, and has it
//! performed.

mod accept;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use tokio::sync::watch;
use tracing::{info, warn};
use vrrp::{
    Instant, Parameters, Priority,
    election::{Action, Advert, Cause, Election, Event, StateName, Transition},
    message::{ChecksumForm, Message},
};
use vrrp_wire::{
    abi::{AdvertRecord, Peer, PeerKey, Router, RouterKey, address_bytes, address_from_bytes},
    judge::{GROUP_IPV4, GROUP_IPV6},
};

use crate::{
    config::{self, OwnAddress, PeerSource, Transport},
    datapath::Datapath,
    link::LinkState,
    observe::{RouterStatus, Tally, milliseconds, named},
    perform::{
        Place, Wish,
        advertise::{Advertiser, endpoints},
    },
};

/// One virtual router of one family on one interface.
#[derive(Debug)]
pub struct VirtualRouter {
    config: config::VirtualRouter,
    key: RouterKey,
    election: Election,
    own_address: Option<IpAddr>,
    advertiser: Arc<Advertiser>,
    wishes: watch::Sender<Wish>,
    places: watch::Sender<Place>,
    /// Terms as Active so far.
    terms: u64,
    tally: Tally,
    last_transition: Option<Transition>,
    /// What the last failure to hold the addresses said.
    failure: Option<String>,
    /// The last advert of each sender that came through, accepted or not.
    heard: BTreeMap<PeerKey, Heard>,
    /// What was reported of each sender, and still holds.
    warned: BTreeSet<(PeerKey, Oddity)>,
    sending_fails: bool,
}

/// An advert that came through.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at_ns: u64,
    source: IpAddr,
}

/// What may be odd about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Oddity {
    Refused,
    Addresses,
    Interval,
    Priority,
}

impl VirtualRouter {
    /// A virtual router in Initialize on the interface `link`, whose task follows `wishes` and `places`.
    #[must_use]
    pub fn new(
        config: config::VirtualRouter,
        link: &LinkState,
        advertiser: Arc<Advertiser>,
        wishes: watch::Sender<Wish>,
        places: watch::Sender<Place>,
    ) -> Self {
        let parameters = Parameters {
            priority: config.priority,
            advertisement_interval: config.advertisement_interval,
            preempt_mode: config.preempt,
            learned_interval_max: config.learned_interval_max,
        };
        Self {
            key: RouterKey::new(link.ifindex, config.family, config.vrid),
            election: Election::new(parameters),
            own_address: find_own_address(&config, link),
            advertiser,
            wishes,
            places,
            terms: 0,
            tally: Tally::default(),
            last_transition: None,
            failure: None,
            heard: BTreeMap::new(),
            warned: BTreeSet::new(),
            sending_fails: false,
            config,
        }
    }

    /// The key under which the datapath knows it.
    #[must_use]
    pub const fn key(&self) -> RouterKey {
        self.key
    }

    /// The senders that may speak for it, for the datapath's allow-list.
    pub fn peers(&self) -> impl Iterator<Item = (PeerKey, Option<vrrp::MacAddr>)> {
        self.config.peers.iter().map(|peer| {
            let key = match peer.source {
                PeerSource::Address(address) => PeerKey { router: self.key, source: address_bytes(address) },
                PeerSource::Mac(mac) => PeerKey::by_mac(self.key, mac),
            };
            (key, peer.mac)
        })
    }

    /// Begins to take part.
    pub fn start(&mut self, now: Instant) {
        self.handle(Event::Startup, now);
    }

    /// Leaves.
    pub fn stop(&mut self, now: Instant) {
        self.handle(Event::Shutdown, now);
    }

    /// When [`VirtualRouter::expire`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.election.deadline()
    }

    /// Whether the deadline has come.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Whether it waits for the Active Router to fall silent.
    #[must_use]
    pub fn is_backup(&self) -> bool {
        self.election.state().name() == StateName::Backup
    }

    /// Takes in the state of its interface.
    pub fn link(&mut self, link: &LinkState, datapath: &mut Datapath, now: Instant) {
        if link.interface != self.config.interface {
            return;
        }
        let place = Place { ifindex: self.key.ifindex, mac: link.mac, link_local: link.link_local() };
        let has_moved = self.places.send_replace(place).mac != link.mac;
        self.set_own_address(link, datapath, now);
        let causes = [
            (Cause::Link, !link.up || link.ifindex != self.key.ifindex),
            (Cause::PrimaryAddress, self.own_address.is_none()),
        ];
        // Faults first: one fault in place of another is no recovery in between.
        for (cause, _) in causes.iter().filter(|(_, present)| *present) {
            self.handle(Event::Fault(*cause), now);
        }
        for (cause, _) in causes.iter().filter(|(_, present)| !present) {
            self.handle(Event::Recovered(*cause), now);
        }
        if has_moved {
            self.announce_again();
        }
    }

    fn set_own_address(&mut self, link: &LinkState, datapath: &mut Datapath, now: Instant) {
        let own_address = find_own_address(&self.config, link);
        if own_address != self.own_address {
            self.own_address = own_address;
            if let Err(error) = self.configure(datapath) {
                warn!(router = %self.name(), "{error:#}");
            }
        }
        if let Some(address) = own_address {
            self.handle(Event::PrimaryAddress(address), now);
        }
    }

    /// Writes it into the datapath's tables.
    pub fn configure(&self, datapath: &mut Datapath) -> anyhow::Result<()> {
        let router = Router {
            own_address: self.own_address.map_or([0; 16], address_bytes),
            unicast: u32::from(self.config.transport == Transport::Unicast),
            padding: 0,
        };
        datapath.set_router(self.key, router)
    }

    /// Takes in an advert that the datapath admitted.
    pub fn advert(&mut self, record: &AdvertRecord, now: Instant) {
        let source = address_from_bytes(record.source, self.config.family);
        let sender = self.sender(record, source);
        self.heard.insert(sender, Heard { at_ns: record.received_at_ns, source });
        match self.accept(record) {
            Ok(message) => {
                self.tally.adverts_received += 1;
                self.warned.remove(&(sender, Oddity::Refused));
                self.compare(sender, source, &message);
                let advert = Advert {
                    source,
                    priority: message.priority,
                    max_advertise_interval: message.max_advertise_interval.duration(),
                    received_at: Instant::from_nanos(record.received_at_ns),
                };
                self.handle(Event::Advert(advert), now);
            }
            Err(reason) => {
                self.tally.adverts_refused += 1;
                if self.warned.insert((sender, Oddity::Refused)) {
                    warn!(router = %self.name(), %source, %reason, "adverts of a peer are refused");
                }
            }
        }
    }

    /// The sender under the key that the allow-list has it by; an attacker cannot make up more of them.
    fn sender(&self, record: &AdvertRecord, source: IpAddr) -> PeerKey {
        if self.config.peers.iter().any(|peer| peer.source == PeerSource::Address(source)) {
            PeerKey { router: self.key, source: record.source }
        } else {
            PeerKey::by_mac(self.key, vrrp::MacAddr(record.source_mac))
        }
    }

    /// What the datapath last heard of each sender, oldest first.
    #[must_use]
    pub fn stamps(&self, datapath: &Datapath) -> Vec<(PeerKey, Peer)> {
        let mut stamps: Vec<_> = self.peers().filter_map(|(key, _)| Some((key, datapath.peer(&key)?))).collect();
        stamps.sort_by_key(|(_, peer)| peer.last_good_ns);
        stamps
    }

    /// Takes in the stamps whose adverts did not come through, because the ring buffer was full: that is no silence.
    ///
    /// An advert that came through counts for what the agent found of it, whatever its stamp says.
    pub fn heed_stamps(&mut self, stamps: Vec<(PeerKey, Peer)>, now: Instant) {
        for (key, peer) in stamps {
            let interval = u16::try_from(peer.last_interval_cs).ok().and_then(vrrp::Centiseconds::new);
            let heard = self.heard.get(&key).copied();
            let is_news = peer.last_good_ns > heard.map_or(0, |heard| heard.at_ns);
            let Some(interval) = interval.filter(|_| is_news) else { continue };
            let source = heard.map_or_else(|| address_from_bytes(key.source, self.config.family), |heard| heard.source);
            self.heard.insert(key, Heard { at_ns: peer.last_good_ns, source });
            let advert = Advert {
                source,
                priority: Priority::new(peer.last_priority),
                max_advertise_interval: interval.duration(),
                received_at: Instant::from_nanos(peer.last_good_ns),
            };
            self.handle(Event::Advert(advert), now);
        }
    }

    /// Lets the timer fire.
    pub fn expire(&mut self, now: Instant) {
        self.handle(Event::Timer, now);
    }

    /// Counts a takeover that would have been wrong.
    pub fn count_false_takeover(&mut self) {
        self.tally.false_takeovers_avoided += 1;
        warn!(router = %self.name(), "adverts were handled late; no takeover, since they had come in time");
    }

    /// Takes in what became of the wish to hold the addresses in `term`; of a term that is over it is no news.
    pub fn addresses(&mut self, term: u64, outcome: Result<(), String>, now: Instant) {
        if !matches!(*self.wishes.borrow(), Wish::Hold { term: current, .. } if current == term) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.failure = None;
                self.handle(Event::AddressesHeld, now);
            }
            Err(failure) => {
                warn!(router = %self.name(), %failure, "cannot hold the virtual addresses");
                self.failure = Some(failure);
                self.handle(Event::Fault(Cause::VirtualAddresses), now);
            }
        }
    }

    fn handle(&mut self, event: Event, now: Instant) {
        for action in self.election.handle(event, now) {
            match action {
                Action::Advertise(priority) => self.advertise(priority),
                Action::TakeAddresses => {
                    self.terms += 1;
                    self.wishes.send_replace(Wish::Hold { term: self.terms, announcement: 0 });
                }
                Action::Announce => self.announce_again(),
                Action::ReleaseAddresses => {
                    self.wishes.send_replace(Wish::Release);
                }
                Action::Report(transition) => self.report(transition),
            }
        }
    }

    fn announce_again(&self) {
        self.wishes.send_if_modified(|wish| match wish {
            Wish::Hold { announcement, .. } => {
                *announcement += 1;
                true
            }
            Wish::Release => false,
        });
    }

    fn advertise(&mut self, priority: Option<Priority>) {
        let Some(source) = self.own_address else { return };
        let message = Message {
            vrid: self.config.vrid,
            priority,
            max_advertise_interval: self.config.advertisement_interval,
            addresses: self.config.addresses.iter().map(ipnet::IpNet::addr).collect(),
        };
        for destination in self.destinations() {
            let Some(endpoints) = endpoints(source, destination) else { continue };
            let bytes = message.encode(&endpoints, ChecksumForm::PseudoHeader);
            match self.advertiser.send(&endpoints, &bytes) {
                Ok(()) => {
                    self.tally.adverts_sent += 1;
                    self.sending_fails = false;
                }
                Err(error) => {
                    self.tally.adverts_unsent += 1;
                    if !std::mem::replace(&mut self.sending_fails, true) {
                        warn!(router = %self.name(), %destination, %error, "failed to send an advert");
                    }
                }
            }
        }
    }

    fn destinations(&self) -> Vec<IpAddr> {
        match (self.config.transport, self.config.family) {
            (Transport::Multicast, vrrp::Family::Ipv4) => vec![GROUP_IPV4.into()],
            (Transport::Multicast, vrrp::Family::Ipv6) => vec![GROUP_IPV6.into()],
            (Transport::Unicast, _) => self
                .config
                .peers
                .iter()
                .filter_map(|peer| match peer.source {
                    PeerSource::Address(address) => Some(address),
                    PeerSource::Mac(_) => None,
                })
                .collect(),
        }
    }

    /// Reports what a peer's configuration has differently, once; the advert counts all the same. RFC 9568 §7.1, §8.3.2.
    fn compare(&mut self, sender: PeerKey, source: IpAddr, message: &Message) {
        let ours: BTreeSet<_> = self.config.addresses.iter().map(ipnet::IpNet::addr).collect();
        let theirs: BTreeSet<_> = message.addresses.iter().copied().collect();
        if ours != theirs {
            self.tally.address_list_differs += 1;
        }
        if self.finds(sender, Oddity::Addresses, ours != theirs) {
            let missing: Vec<_> = ours.difference(&theirs).collect();
            let extra: Vec<_> = theirs.difference(&ours).collect();
            warn!(router = %self.name(), %source, ?missing, ?extra, "a peer advertises other addresses than ours");
        }
        let interval = message.max_advertise_interval;
        if self.finds(sender, Oddity::Interval, interval != self.config.advertisement_interval) {
            warn!(router = %self.name(), %source, interval = ?interval.duration(), "a peer has another interval than ours");
        }
        if self.finds(sender, Oddity::Priority, message.priority == Some(self.config.priority)) {
            warn!(router = %self.name(), %source, priority = %self.config.priority, "a peer has our priority");
        }
    }

    /// Whether an oddity of a peer is there and was not reported before.
    fn finds(&mut self, sender: PeerKey, oddity: Oddity, present: bool) -> bool {
        if present {
            return self.warned.insert((sender, oddity));
        }
        self.warned.remove(&(sender, oddity));
        false
    }

    fn report(&mut self, transition: Transition) {
        self.tally.transitions += 1;
        self.last_transition = Some(transition);
        let Transition { from, to, .. } = transition;
        let reason = self.reason().unwrap_or_default();
        info!(router = %self.name(), vrid = %self.config.vrid, %from, %to, %reason, "state changed");
    }

    fn name(&self) -> String {
        format!("{}/{}", self.config.name, self.config.family)
    }

    /// Why it is in its state; in Fault, what is to be mended.
    fn reason(&self) -> Option<String> {
        if self.election.state().name() != StateName::Fault {
            return Some(self.last_transition?.reason.to_string());
        }
        Some(self.election.causes().map(|cause| self.explain(cause)).collect::<Vec<_>>().join("; "))
    }

    fn explain(&self, cause: Cause) -> String {
        let interface = &self.config.interface;
        match cause {
            Cause::Link => format!("interface `{interface}` is gone, down, or without carrier"),
            Cause::PrimaryAddress => match self.config.own_address {
                OwnAddress::Configured(address) => {
                    format!("{address}, where adverts come from, is not on `{interface}`")
                }
                OwnAddress::LinkLocal => format!("`{interface}` has no IPv6 link-local address that can be used yet"),
            },
            Cause::VirtualAddresses => self.failure.clone().unwrap_or_else(|| cause.to_string()),
        }
    }

    /// What people see of it.
    #[must_use]
    pub fn status(&self, datapath: &Datapath, now: Instant) -> RouterStatus {
        let last = self.election.last_advert();
        RouterStatus {
            name: self.config.name.clone(),
            vrid: self.config.vrid.get(),
            family: self.config.family.to_string(),
            interface: self.config.interface.clone(),
            state: self.election.state().name().to_string(),
            reason: self.reason(),
            since_ms: self.last_transition.map_or(0, |transition| milliseconds(now.since(transition.at))),
            priority: self.config.priority.get(),
            own_address: self.own_address,
            last_advert_from: last.map(|advert| advert.source),
            last_advert_priority: last.map(|advert| advert.priority.map_or(0, Priority::get)),
            last_advert_ms: last.map(|advert| milliseconds(now.since(advert.received_at))),
            timer_ms: self.deadline().map(|deadline| milliseconds(deadline.since(now))),
            advertisement_interval_ms: milliseconds(self.config.advertisement_interval.duration()),
            addresses: self.config.addresses.iter().map(ToString::to_string).collect(),
            tally: self.tally,
            counters: named(&datapath.counters(&self.key)),
        }
    }
}

/// The address that adverts come from, if the interface has it.
fn find_own_address(config: &config::VirtualRouter, link: &LinkState) -> Option<IpAddr> {
    match config.own_address {
        OwnAddress::Configured(address) => link.addresses.contains(&address).then_some(address),
        OwnAddress::LinkLocal => link.link_local().map(IpAddr::V6),
    }
}
