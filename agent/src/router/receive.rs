//! What a virtual router makes of adverts: who sent them, whether they count, and what is odd about them.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use tracing::{error, info, warn};
use vrrp::{
    Centiseconds, Instant, MacAddr, Priority,
    election::{Advert, Event},
    message::{ChecksumForm, Message},
};
use vrrp_wire::abi::{AdvertRecord, Peer, PeerKey, address_from_bytes};

use super::{Heard, VirtualRouter, accept::Accepted, is_link_local, oddities::Oddity, refusals::Standing};
use crate::{
    config::{self, Transport},
    datapath::Datapath,
    desk::Desk,
    perform::neighbours::Whereabouts,
};

/// Link-local senders that are believed at a time although no peer of the configuration stands for them.
const LEARNED_MAX: usize = 16;

impl VirtualRouter {
    /// Takes in an advert that the datapath handed over.
    pub fn advert(&mut self, record: &AdvertRecord, desk: &mut Desk, now: Instant) {
        let source = address_from_bytes(record.source, self.config.family);
        let sender = self.sender(record, source);
        match self.accept(record, sender, desk) {
            Ok(accepted) => {
                let interval = Some(accepted.message.max_advertise_interval);
                let before = self.heard.insert(sender, Heard { at_ns: record.received_at_ns, source, interval });
                self.tally.adverts_received += 1;
                self.tally.priority_zero_received += u64::from(accepted.message.priority.is_none());
                if let Some(before) = before.filter(|before| before.interval.is_some()) {
                    let gap = record.received_at_ns.saturating_sub(before.at_ns);
                    self.history.advert_gaps.note(Duration::from_nanos(gap));
                }
                self.locate(sender, record, source, before.map(|before| before.at_ns), desk);
                self.refusals.accept(sender, now);
                match accepted.form {
                    Some(ChecksumForm::PseudoHeader) => self.tally.checksums_with_pseudo_header += 1,
                    Some(ChecksumForm::MessageOnly) => self.tally.checksums_of_message_only += 1,
                    None => {}
                }
                self.remember(sender, &accepted, record, desk);
                // The shortest interval is said once by whoever is about to leave.
                let is_leaving = interval == Some(Centiseconds::MIN)
                    && (accepted.message.priority.is_none()
                        || before.is_some_and(|before| before.interval != interval));
                if !is_leaving {
                    self.compare(sender, &accepted.message, now);
                }
                let advert = Advert {
                    source,
                    priority: accepted.message.priority,
                    max_advertise_interval: accepted.message.max_advertise_interval.duration(),
                    received_at: Instant::from_nanos(record.received_at_ns),
                };
                self.handle(Event::Advert(advert), desk, now);
            }
            Err(reason) => {
                let standing = if self.is_known(sender) { Standing::Peer } else { Standing::Stranger };
                if standing == Standing::Peer {
                    self.heard.insert(sender, Heard { at_ns: record.received_at_ns, source, interval: None });
                }
                self.tally.adverts_refused += 1;
                self.history.count_refusal(reason.name());
                if self.refusals.refuse(sender, standing, now) {
                    warn!(router = %self.name(), %source, %reason, "adverts of a peer are refused");
                }
            }
        }
    }

    /// Tells the kernel where a peer is that adverts go to, and that was not heard for long: it may have lost him.
    fn locate(&self, sender: PeerKey, record: &AdvertRecord, address: IpAddr, before_ns: Option<u64>, desk: &Desk) {
        let parameters = self.election.parameters();
        let silence = parameters.active_down_interval(parameters.advertisement_interval.duration());
        let gap = before_ns.map(|before_ns| Duration::from_nanos(record.received_at_ns.saturating_sub(before_ns)));
        let is_back = gap.is_none_or(|gap| gap >= silence);
        if is_back && self.config.transport == Transport::Unicast && self.is_known(sender) {
            desk.neighbours.tell(Whereabouts { ifindex: self.ifindex, address, mac: MacAddr(record.source_mac) });
        }
    }

    /// The sender under the key that the allow-list has it by, or would have it by once it is learned.
    fn sender(&self, record: &AdvertRecord, source: IpAddr) -> PeerKey {
        let by_mac = PeerKey::by_mac(self.key, MacAddr(record.source_mac));
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
    fn remember(&mut self, sender: PeerKey, accepted: &Accepted, record: &AdvertRecord, desk: &mut Desk) {
        let at_ns = record.received_at_ns;
        let is_configured = self.config.peers.iter().any(|peer| self.peer_key(peer) == sender);
        if !is_configured && self.learned.insert(sender, at_ns).is_none() {
            self.learn(sender, desk);
        }
        let Some(sequence) = accepted.sequence else { return };
        if let Err(error) = desk.datapath.note_sequence(sender, sequence.get(), record) {
            error!(router = %self.name(), "{error:#}; copies of this advert are refused by the agent alone");
        }
        let at = Instant::from_nanos(at_ns);
        let skew = desk.authentication.as_ref().and_then(|authentication| authentication.alarming_skew(sequence, at));
        let what = skew.map(|skew| {
            format!(
                "{} signs {skew} our clock, more than half of what is borne: see that both clocks are right",
                self.describe(sender)
            )
        });
        self.oddities.note(sender, Oddity::Clock, what, at);
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

    pub(super) fn forget(&mut self, sender: PeerKey, desk: &mut Desk) {
        self.learned.remove(&sender);
        self.heard.remove(&sender);
        self.refusals.forget(sender);
        self.oddities.forget(sender);
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
    /// An advert that came through counts for what the agent found of it, whatever its stamp says. Of several stamps the
    /// one that makes this router wait longest counts: nobody has looked at the checksum of what left them, and one that
    /// is wrong must not take the wait for a live peer back. One that says goodbye has nothing to say to a router that
    /// waits no longer.
    pub fn heed_stamps(&mut self, stamps: Vec<(PeerKey, Peer)>, desk: &mut Desk, now: Instant) {
        let mut adverts = Vec::new();
        for (key, peer) in stamps {
            let interval = u16::try_from(peer.last_interval_cs).ok().and_then(Centiseconds::new);
            let heard = self.heard.get(&key).copied();
            let is_news = peer.last_good_ns > heard.map_or(0, |heard| heard.at_ns);
            let (Some(interval), Some(priority)) = (interval.filter(|_| is_news), Priority::new(peer.last_priority))
            else {
                continue;
            };
            let source = heard.map_or_else(|| address_from_bytes(key.source, self.config.family), |heard| heard.source);
            self.heard.insert(key, Heard { at_ns: peer.last_good_ns, source, interval: Some(interval) });
            adverts.push(Advert {
                source,
                priority: Some(priority),
                max_advertise_interval: interval.duration(),
                received_at: Instant::from_nanos(peer.last_good_ns),
            });
        }
        adverts.sort_by_key(|advert| self.election.parameters().waits_until(advert));
        for advert in adverts {
            self.handle(Event::Advert(advert), desk, now);
        }
    }

    /// Notes what a peer's configuration has differently; the advert counts all the same. RFC 9568 §7.1, §8.3.2.
    fn compare(&mut self, sender: PeerKey, message: &Message, now: Instant) {
        let findings = [
            (Oddity::Addresses, self.other_addresses(sender, message)),
            (Oddity::Interval, self.other_interval(sender, message)),
            (Oddity::Priority, self.same_priority(sender, message)),
        ];
        self.tally.address_list_differs += u64::from(findings[0].1.is_some());
        for (oddity, what) in findings {
            self.oddities.note(sender, oddity, what, now);
        }
    }

    fn other_addresses(&self, sender: PeerKey, message: &Message) -> Option<String> {
        let ours: BTreeSet<_> = self.config.addresses.iter().map(ipnet::IpNet::addr).collect();
        let theirs: BTreeSet<_> = message.addresses.iter().copied().collect();
        if ours == theirs {
            return None;
        }
        let list = |addresses: Vec<&IpAddr>| match addresses[..] {
            [] => "nothing".to_owned(),
            _ => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let missing = list(ours.difference(&theirs).collect());
        let extra = list(theirs.difference(&ours).collect());
        let peer = self.describe(sender);
        Some(format!(
            "{peer} advertises other addresses than ours: it lacks {missing} and adds {extra}; give both nodes the same list"
        ))
    }

    fn other_interval(&self, sender: PeerKey, message: &Message) -> Option<String> {
        let (ours, theirs) = (self.config.advertisement_interval, message.max_advertise_interval);
        (ours != theirs).then(|| {
            let (peer, heeded) = (self.describe(sender), self.election.parameters().learn(theirs.duration()));
            let (ours, theirs) = (ours.duration(), theirs.duration());
            format!("{peer} advertises every {theirs:?} and we every {ours:?}; as its Backup we heed {heeded:?}")
        })
    }

    fn same_priority(&self, sender: PeerKey, message: &Message) -> Option<String> {
        let ours = self.config.priority;
        (message.priority == Some(ours)).then(|| {
            let peer = self.describe(sender);
            if ours == Priority::OWNER {
                format!("{peer} says that it owns the addresses, as this node does: one of the two is wrong")
            } else {
                format!("{peer} has priority {ours} as this node has: the greater address wins between them")
            }
        })
    }
}
