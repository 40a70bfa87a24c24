//! One virtual router: takes what the datapath, the link and the tasks report, lets the election decide, and has it
//! performed.

mod accept;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use tokio::sync::watch;
use tracing::{debug, info, warn};
use vrrp::{
    Instant, Parameters, Priority,
    election::{Action, Advert, Cause, Election, Event, StateName, Transition},
    message::{ChecksumForm, Message},
};
use vrrp_wire::abi::{AdvertRecord, PeerKey, Router, RouterKey};

use crate::{
    config::{self, OwnAddress, PeerSource, Transport},
    datapath::Datapath,
    link::LinkState,
    observe::{RouterStatus, Tally, milliseconds, named},
    perform::{
        Place, Wish,
        advertise::{Advertiser, GROUP_IPV4, GROUP_IPV6, endpoints},
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
    tally: Tally,
    last_transition: Option<Transition>,
    /// What the last failure to hold the addresses said.
    failure: Option<String>,
    /// Senders whose address list was found to differ; each is reported once.
    differing: BTreeSet<IpAddr>,
    sending_fails: bool,
}

impl VirtualRouter {
    /// A virtual router in Initialize, whose tasks follow `wishes` and `places`.
    #[must_use]
    pub fn new(
        config: config::VirtualRouter,
        ifindex: u32,
        advertiser: Arc<Advertiser>,
        wishes: watch::Sender<Wish>,
        places: watch::Sender<Place>,
    ) -> Self {
        let parameters = Parameters {
            vrid: config.vrid,
            family: config.family,
            priority: config.priority,
            advertisement_interval: config.advertisement_interval,
            preempt_mode: config.preempt,
            learned_interval_max: config.learned_interval_max,
        };
        Self {
            key: RouterKey::new(ifindex, config.family, config.vrid),
            election: Election::new(parameters),
            own_address: None,
            advertiser,
            wishes,
            places,
            tally: Tally::default(),
            last_transition: None,
            failure: None,
            differing: BTreeSet::new(),
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
                PeerSource::Address(address) => PeerKey { router: self.key, source: sixteen(address) },
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
        self.places.send_replace(Place { ifindex: self.key.ifindex, mac: link.mac, link_local: link.link_local() });
        let own_address = match self.config.own_address {
            OwnAddress::Configured(address) => link.addresses.contains(&address).then_some(address),
            OwnAddress::LinkLocal => link.link_local().map(IpAddr::V6),
        };
        if own_address != self.own_address {
            self.own_address = own_address;
            if let Err(error) = self.configure(datapath) {
                warn!(router = %self.name(), "{error:#}");
            }
        }
        if let Some(address) = own_address {
            self.handle(Event::PrimaryAddress(address), now);
        }
        // An interface that was deleted and made anew is another one: the guard is not attached to it.
        self.fault(Cause::Link, !link.up || link.ifindex != self.key.ifindex, now);
        self.fault(Cause::PrimaryAddress, own_address.is_none(), now);
    }

    /// Writes it into the datapath's tables.
    pub fn configure(&self, datapath: &mut Datapath) -> anyhow::Result<()> {
        let router = Router {
            own_address: self.own_address.map_or([0; 16], sixteen),
            unicast: u32::from(self.config.transport == Transport::Unicast),
            padding: 0,
        };
        datapath.set_router(self.key, router)
    }

    /// Takes in an advert that the datapath admitted.
    pub fn advert(&mut self, record: &AdvertRecord, now: Instant) {
        match self.accept(record) {
            Ok((source, message)) => {
                self.tally.adverts_received += 1;
                self.compare_addresses(source, &message);
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
                debug!(router = %self.name(), %reason, "advert refused");
            }
        }
    }

    /// Takes in the stamp of the last good advert, if it is newer than the last that was handled.
    ///
    /// It counts where the advert itself did not come through: a full ring buffer is no silence.
    pub fn heed_stamps(&mut self, datapath: &Datapath, now: Instant) {
        let newest = self
            .peers()
            .filter_map(|(key, _)| datapath.peer(&key).map(|peer| (key, peer)))
            .max_by_key(|(_, peer)| peer.last_good_ns);
        let Some((key, peer)) = newest else { return };
        let received_at = Instant::from_nanos(peer.last_good_ns);
        if self.election.last_advert().is_some_and(|last| last.received_at >= received_at) || peer.last_good_ns == 0 {
            return;
        }
        let interval = u16::try_from(peer.last_interval_cs).ok().and_then(vrrp::Centiseconds::new);
        let Some(interval) = interval else { return };
        let advert = Advert {
            source: address(key.source, self.config.family),
            priority: Priority::new(peer.last_priority),
            max_advertise_interval: interval.duration(),
            received_at,
        };
        self.handle(Event::Advert(advert), now);
    }

    /// Lets the timer fire.
    pub fn expire(&mut self, now: Instant) {
        self.handle(Event::Timer, now);
    }

    /// Counts a takeover that would have been wrong.
    pub fn count_false_takeover(&mut self) {
        self.tally.false_takeovers_avoided += 1;
        warn!(router = %self.name(), "handled adverts late; without the kernel's stamps this would have been a takeover");
    }

    /// Takes in what became of the wish to hold the addresses in `term`.
    pub fn addresses(&mut self, term: u64, outcome: Result<(), String>, now: Instant) {
        if term != self.wishes.borrow().term {
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

    fn fault(&mut self, cause: Cause, present: bool, now: Instant) {
        self.handle(if present { Event::Fault(cause) } else { Event::Recovered(cause) }, now);
    }

    fn handle(&mut self, event: Event, now: Instant) {
        for action in self.election.handle(event, now) {
            match action {
                Action::Advertise(priority) => self.advertise(priority),
                Action::TakeAddresses => self.wish(|wish| {
                    wish.hold = true;
                    wish.term += 1;
                    wish.announcement += 1;
                }),
                Action::Announce => self.wish(|wish| wish.announcement += 1),
                Action::ReleaseAddresses => self.wish(|wish| wish.hold = false),
                Action::Report(transition) => self.report(transition),
            }
        }
    }

    fn wish(&self, change: impl FnOnce(&mut Wish)) {
        self.wishes.send_modify(change);
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

    /// RFC 9568 §7.1: another address list may be reported; the advert counts all the same.
    fn compare_addresses(&mut self, source: IpAddr, message: &Message) {
        let ours: BTreeSet<_> = self.config.addresses.iter().map(ipnet::IpNet::addr).collect();
        let theirs: BTreeSet<_> = message.addresses.iter().copied().collect();
        if ours == theirs {
            self.differing.remove(&source);
            return;
        }
        self.tally.address_list_differs += 1;
        if self.differing.insert(source) {
            let missing: Vec<_> = ours.difference(&theirs).collect();
            let extra: Vec<_> = theirs.difference(&ours).collect();
            warn!(router = %self.name(), %source, ?missing, ?extra, "a peer advertises other addresses than ours");
        }
    }

    fn report(&mut self, transition: Transition) {
        self.tally.transitions += 1;
        self.last_transition = Some(transition);
        let Transition { from, to, reason, .. } = transition;
        info!(router = %self.name(), vrid = %self.config.vrid, %from, %to, %reason, "state changed");
    }

    fn name(&self) -> String {
        format!("{}/{}", self.config.name, self.config.family)
    }

    /// Why it is in its state; in Fault, what is to be mended.
    fn reason(&self) -> Option<String> {
        let causes: Vec<_> = self.election.causes().map(|cause| self.explain(cause)).collect();
        if causes.is_empty() { Some(self.last_transition?.reason.to_string()) } else { Some(causes.join("; ")) }
    }

    fn explain(&self, cause: Cause) -> String {
        let interface = &self.config.interface;
        match cause {
            Cause::Link => format!("interface `{interface}` is down, has no carrier, or was made anew since the start"),
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

/// `address` as maps and records carry it.
fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address that maps and records carry as `bytes`.
fn address(bytes: [u8; 16], family: vrrp::Family) -> IpAddr {
    match family {
        vrrp::Family::Ipv4 => {
            let [a, b, c, d, ..] = bytes;
            IpAddr::from([a, b, c, d])
        }
        vrrp::Family::Ipv6 => Ipv6Addr::from(bytes).into(),
    }
}
