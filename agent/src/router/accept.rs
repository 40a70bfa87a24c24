//! The daemon's own judgement of an advert: every check that the kernel made, where the record still shows it, and
//! those that need the whole message.

use std::{fmt, net::IpAddr};

use vrrp::{
    MacAddr,
    message::{DecodeError, Message},
};
use vrrp_wire::{
    abi::{AdvertRecord, address_from_bytes},
    judge::{GROUP_IPV4, GROUP_IPV6, TTL},
};

use super::VirtualRouter;
use crate::{
    config::{PeerSource, Transport},
    perform::advertise::endpoints,
};

/// Why an advert is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// For another virtual router.
    Router,
    /// TTL or Hop Limit is not 255.
    Ttl(u8),
    /// Not to the group, or not to us, whichever is configured.
    Destination(IpAddr),
    /// Our own address.
    OwnAddress,
    /// Not from a node of the configuration.
    Source(IpAddr),
    /// From a node, with another MAC address than its own.
    Mac(MacAddr),
    /// Not an advert.
    Message(DecodeError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router => f.write_str("for another virtual router"),
            Self::Ttl(ttl) => write!(f, "TTL {ttl}, not 255"),
            Self::Destination(address) => write!(f, "sent to {address}"),
            Self::OwnAddress => f.write_str("from our own address"),
            Self::Source(address) => write!(f, "{address} is none of the nodes"),
            Self::Mac(mac) => write!(f, "from MAC address {mac}, which is not the node's"),
            Self::Message(error) => error.fmt(f),
        }
    }
}

impl VirtualRouter {
    /// The message of `record`, if it is an advert for this virtual router from one of its nodes.
    pub(super) fn accept(&self, record: &AdvertRecord) -> Result<Message, Refusal> {
        let family = self.config.family;
        if record.family != family.number() || record.ifindex != self.key.ifindex || record.vlan != self.key.vlan {
            return Err(Refusal::Router);
        }
        if record.ttl != TTL {
            return Err(Refusal::Ttl(record.ttl));
        }
        let source = address_from_bytes(record.source, family);
        let destination = address_from_bytes(record.destination, family);
        let expected = match (self.config.transport, family) {
            (Transport::Unicast, _) => self.own_address,
            (Transport::Multicast, vrrp::Family::Ipv4) => Some(GROUP_IPV4.into()),
            (Transport::Multicast, vrrp::Family::Ipv6) => Some(GROUP_IPV6.into()),
        };
        if expected != Some(destination) {
            return Err(Refusal::Destination(destination));
        }
        if self.own_address == Some(source) {
            return Err(Refusal::OwnAddress);
        }
        self.check_sender(source, MacAddr(record.source_mac))?;
        let message = record.message.get(..usize::from(record.message_len)).unwrap_or_default();
        let endpoints = endpoints(source, destination).ok_or(Refusal::Router)?;
        let (message, _) = Message::decode(message, &endpoints).map_err(Refusal::Message)?;
        if message.vrid == self.config.vrid { Ok(message) } else { Err(Refusal::Router) }
    }

    fn check_sender(&self, source: IpAddr, mac: MacAddr) -> Result<(), Refusal> {
        let is_link_local = matches!(source, IpAddr::V6(address) if address.is_unicast_link_local());
        let peer = self
            .config
            .peers
            .iter()
            .find(|peer| match peer.source {
                PeerSource::Address(address) => address == source,
                PeerSource::Mac(pinned) => is_link_local && pinned == mac,
            })
            .ok_or(Refusal::Source(source))?;
        match peer.mac {
            Some(pinned) if pinned != mac => Err(Refusal::Mac(mac)),
            Some(_) | None => Ok(()),
        }
    }
}
