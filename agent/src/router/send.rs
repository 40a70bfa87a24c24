//! What a virtual router sends: its adverts, to whom, and by which way.

use std::{net::IpAddr, sync::Arc};

use tracing::warn;
use vrrp::{
    Centiseconds, Family, Priority, frame,
    message::{Endpoints, Message},
};
use vrrp_wire::judge::{GROUP_IPV4, GROUP_IPV6};

use super::VirtualRouter;
use crate::{
    authentication::Authentication,
    config::{PeerSource, Transport},
    desk::Desk,
    perform::{
        advertise::endpoints,
        outbox::{Letter, Outcome, Way},
    },
};

impl VirtualRouter {
    pub(super) fn advertise(&mut self, priority: Option<Priority>, interval: Centiseconds, desk: &mut Desk) {
        for letter in self.letters(priority, interval, desk) {
            self.tally.priority_zero_sent += u64::from(priority.is_none());
            desk.outbox.post(letter);
        }
    }

    /// An advert, for each destination.
    pub(super) fn letters(&self, priority: Option<Priority>, interval: Centiseconds, desk: &mut Desk) -> Vec<Letter> {
        let Some(source) = self.own_address else { return Vec::new() };
        let message = Message {
            vrid: self.config.vrid,
            priority,
            max_advertise_interval: interval,
            addresses: self.config.addresses.iter().map(ipnet::IpNet::addr).collect(),
        };
        let signature = desk.authentication.as_mut().and_then(Authentication::sign_next);
        let letter = |destination| {
            let endpoints = endpoints(source, destination)?;
            self.letter(endpoints, self.dialect().encode(&message, &endpoints, signature))
        };
        self.destinations().into_iter().filter_map(letter).collect()
    }

    /// Multicast adverts come from the Virtual Router MAC Address where the virtual router has one, RFC 9568 §7.2; `None`
    /// while there is no interface.
    fn letter(&self, endpoints: Endpoints, message: Vec<u8>) -> Option<Letter> {
        let (router, advertiser) = (self.key, self.advertiser.as_ref()?);
        let is_framed = self.config.virtual_mac || self.only_to.is_some();
        if is_framed && self.config.transport == Transport::Multicast {
            let bytes = match &self.only_to {
                Some(to) => frame::multicast_to(to.mac, self.own_mac, &endpoints, &message),
                None => frame::multicast(self.own_mac, &endpoints, &message),
            };
            let way = Way::Frame(self.reins.places.borrow().announcer.clone()?);
            return Some(Letter { router, way, endpoints, bytes });
        }
        Some(Letter { router, way: Way::Socket(Arc::clone(advertiser)), endpoints, bytes: message })
    }

    /// Takes in what became of an advert.
    pub fn sent(&mut self, outcome: &Outcome) {
        match &outcome.result {
            Ok(()) => {
                self.tally.adverts_sent += 1;
                self.sending_fails = false;
            }
            Err(error) => {
                self.tally.adverts_unsent += 1;
                if !std::mem::replace(&mut self.sending_fails, true) {
                    let destination = outcome.destination;
                    warn!(router = %self.name(), %destination, %error, "failed to send an advert");
                }
            }
        }
    }

    pub(super) fn destinations(&self) -> Vec<IpAddr> {
        match (self.config.transport, self.config.family) {
            (Transport::Multicast, Family::Ipv4) => vec![GROUP_IPV4.into()],
            (Transport::Multicast, Family::Ipv6) => vec![GROUP_IPV6.into()],
            (Transport::Unicast, _) => self
                .config
                .peers
                .iter()
                .filter(|peer| self.only_to.as_ref().is_none_or(|to| to.node == peer.node))
                .filter_map(|peer| match peer.source {
                    PeerSource::Address(address) => Some(address),
                    PeerSource::Mac(_) => None,
                })
                .collect(),
        }
    }
}
