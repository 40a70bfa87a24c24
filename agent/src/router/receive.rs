//! What a virtual router makes of adverts: who sent them, whether they count, and what is odd about them.

use std::{collections::BTreeSet, net::IpAddr};

use tracing::{error, info, warn};
use vrrp::{
    Instant, Priority,
    election::{Advert, Event},
    message::Message,
};
use vrrp_wire::abi::{AdvertRecord, Peer, PeerKey, address_from_bytes};

use super::{Heard, Oddity, VirtualRouter, accept::Accepted, is_link_local};
use crate::{config, datapath::Datapath, desk::Desk};

/// Senders and oddities that are remembered as reported; an attacker may make up link-local senders.
const WARNED_MAX: usize = 256;
/// Link-local senders that are believed at a time although no peer of the configuration stands for them.
const LEARNED_MAX: usize = 16;

impl VirtualRouter {
    /// Takes in an advert that the datapath handed over.
    pub fn advert(&mut self, record: &AdvertRecord, desk: &mut Desk, now: Instant) {
        let source = address_from_bytes(record.source, self.config.family);
        let sender = self.sender(record, source);
        match self.accept(record, sender, desk) {
            Ok(accepted) => {
                self.heard.insert(sender, Heard { at_ns: record.received_at_ns, source });
                self.tally.adverts_received += 1;
                self.warned.remove(&(sender, Oddity::Refused));
                self.remember(sender, &accepted, record.received_at_ns, desk);
                self.compare(sender, source, &accepted.message);
                let advert = Advert {
                    source,
                    priority: accepted.message.priority,
                    max_advertise_interval: accepted.message.max_advertise_interval.duration(),
                    received_at: Instant::from_nanos(record.received_at_ns),
                };
                self.handle(Event::Advert(advert), desk, now);
            }
            Err(reason) => {
                if self.is_known(sender) {
                    self.heard.insert(sender, Heard { at_ns: record.received_at_ns, source });
                }
                self.tally.adverts_refused += 1;
                if self.warned.len() < WARNED_MAX && self.warned.insert((sender, Oddity::Refused)) {
                    warn!(router = %self.name(), %source, %reason, "adverts of a peer are refused");
                }
            }
        }
    }

    /// The sender under the key that the allow-list has it by, or would have it by once it is learned.
    fn sender(&self, record: &AdvertRecord, source: IpAddr) -> PeerKey {
        let by_mac = PeerKey::by_mac(self.key, vrrp::MacAddr(record.source_mac));
        let is_pinned = |peer: &config::Peer| self.peer_key(peer) == by_mac;
        if is_link_local(source) && self.config.peers.iter().any(is_pinned) {
            by_mac
        } else {
            PeerKey { router: self.key, source: record.source }
        }
    }

    /// Whether the allow-list has the sender.
    fn is_known(&self, sender: PeerKey) -> bool {
        self.peer_keys().any(|key| key == sender)
    }

    /// The keys of the allow-list.
    pub(super) fn peer_keys(&self) -> impl Iterator<Item = PeerKey> {
        self.config.peers.iter().map(|peer| self.peer_key(peer)).chain(self.learned.keys().copied())
    }

    /// Notes the sequence of a verified advert, and a link-local sender that is believed though it is not configured.
    fn remember(&mut self, sender: PeerKey, accepted: &Accepted, at_ns: u64, desk: &mut Desk) {
        let is_configured = self.config.peers.iter().any(|peer| self.peer_key(peer) == sender);
        if !is_configured && self.learned.insert(sender, at_ns).is_none() {
            self.learn(sender, desk);
        }
        let Some(sequence) = accepted.sequence else { return };
        if let Err(error) = desk.datapath.set_mark(sender, sequence.get()) {
            error!(router = %self.name(), "{error:#}; copies of this advert are refused by the agent alone");
        }
        let skew = desk.authentication.as_ref().and_then(|authentication| authentication.alarming_skew(sequence));
        if self.finds(sender, Oddity::Clock, skew.is_some())
            && let Some(skew) = skew
        {
            let source = address_from_bytes(sender.source, self.config.family);
            warn!(
                router = %self.name(), %source,
                "a peer signs {skew} our clock, more than half of what is borne: see that both clocks are right"
            );
        }
    }

    /// Puts a sender into the datapath's allow-list, in place of the one that was silent longest if there are many.
    fn learn(&mut self, sender: PeerKey, desk: &mut Desk) {
        let source = address_from_bytes(sender.source, self.config.family);
        info!(router = %self.name(), %source, "believing a sender that the configuration does not list");
        if self.learned.len() > LEARNED_MAX
            && let Some((&oldest, _)) = self.learned.iter().min_by_key(|&(_, &at_ns)| at_ns)
        {
            self.forget(oldest, desk);
        }
        if let Err(error) = desk.datapath.set_peer(sender, None) {
            error!(router = %self.name(), "{error:#}; the guard does not keep the stamps of {source}");
        }
    }

    fn forget(&mut self, sender: PeerKey, desk: &mut Desk) {
        self.learned.remove(&sender);
        self.heard.remove(&sender);
        self.warned.retain(|&(warned, _)| warned != sender);
        if let Err(error) = desk.datapath.remove_peer(&sender) {
            error!(router = %self.name(), "{error:#}");
        }
    }

    /// What the datapath last heard of each sender, oldest first.
    #[must_use]
    pub fn stamps(&self, datapath: &Datapath) -> Vec<(PeerKey, Peer)> {
        let mut stamps: Vec<_> = self.peer_keys().filter_map(|key| Some((key, datapath.peer(&key)?))).collect();
        stamps.sort_by_key(|(_, peer)| peer.last_good_ns);
        stamps
    }

    /// Takes in the stamps whose adverts did not come through, because the ring buffer was full: that is no silence.
    ///
    /// An advert that came through counts for what the agent found of it, whatever its stamp says.
    pub fn heed_stamps(&mut self, stamps: Vec<(PeerKey, Peer)>, desk: &mut Desk, now: Instant) {
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
            self.handle(Event::Advert(advert), desk, now);
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
}
