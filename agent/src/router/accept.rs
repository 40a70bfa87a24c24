//! The daemon's own judgement of an advert: every check that the kernel made, where the record still shows it, and
//! those that need the whole message.

use std::{fmt, net::IpAddr};

use vrrp::{
    Centiseconds, Family, Instant, MacAddr, Version,
    auth::Sequence,
    message::{ChecksumForm, DecodeError, Endpoints, Message, Parts, split, version_2},
};
use vrrp_wire::{
    abi::{AdvertRecord, PeerKey, Verdict, address_from_bytes},
    judge::{GROUP_IPV4, GROUP_IPV6},
};

use super::{VirtualRouter, is_link_local};
use crate::{
    authentication::NotAuthentic,
    config::{self, LinkLocalSenders, PeerSource, Transport},
    desk::Desk,
    perform::advertise::endpoints,
};

/// Why an advert is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// For another virtual router.
    Router,
    /// TTL or Hop Limit is less than it may be.
    Ttl(u8),
    /// Not to the group, or not to us, whichever is configured.
    Destination(IpAddr),
    /// Our own address.
    OwnAddress,
    /// Not from a node of the configuration.
    Source(IpAddr),
    /// From a node, with another MAC address than its own.
    Mac(MacAddr),
    /// Not authentic.
    Authentication(NotAuthentic),
    /// Not an advert.
    Message(DecodeError),
    /// An IPv6 advert whose first address is not link-local.
    AddressList,
    /// Of version 2, with another authentication type than ours.
    AuthType(u8),
    /// Of version 2, with another password than ours.
    Password,
    /// Of version 2, which learns no interval, with another one than ours.
    Interval(Centiseconds),
}

/// An advert that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// What it says.
    pub(super) message: Message,
    /// What its checksum covers, where that can differ.
    pub(super) form: Option<ChecksumForm>,
    /// Its sequence, if it was signed.
    pub(super) sequence: Option<Sequence>,
}

impl Refusal {
    /// One word for it: that of the guard's verdict, where that looks for the same.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Ttl(_) => Verdict::Ttl.name(),
            Self::Destination(_) => Verdict::WrongDestination.name(),
            Self::OwnAddress => Verdict::OwnAddress.name(),
            Self::Source(_) => Verdict::UnknownSource.name(),
            Self::Mac(_) => Verdict::WrongMac.name(),
            Self::Authentication(error) => error.name(),
            Self::Message(error) => message_error(error),
            Self::AddressList => Verdict::AddressList.name(),
            Self::AuthType(_) => Verdict::AuthType.name(),
            Self::Password => Verdict::Password.name(),
            Self::Interval(_) => Verdict::Interval.name(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router => f.write_str("for another virtual router"),
            Self::Ttl(ttl) => write!(f, "TTL {ttl}, from beyond this link"),
            Self::Destination(address) => write!(f, "sent to {address}"),
            Self::OwnAddress => f.write_str("from our own address"),
            Self::Source(address) => write!(f, "{address} is none of the nodes"),
            Self::Mac(mac) => write!(f, "from MAC address {mac}, which is not the node's"),
            Self::Authentication(error) => error.fmt(f),
            Self::Message(error) => error.fmt(f),
            Self::AddressList => f.write_str("its first address is not link-local"),
            Self::AuthType(number) => write!(f, "authentication type {number}, which is not ours"),
            Self::Password => f.write_str("wrong password"),
            Self::Interval(interval) => write!(f, "interval {:?}, which is not ours", interval.duration()),
        }
    }
}

impl VirtualRouter {
    /// The advert in `record`, if it is one for this virtual router from one of its nodes, which is `sender` to the
    /// datapath.
    pub(super) fn accept(&self, record: &AdvertRecord, sender: PeerKey, desk: &Desk) -> Result<Accepted, Refusal> {
        let family = self.config.family;
        if record.family != family.number() || record.ifindex != self.key.ifindex || record.vlan != self.key.vlan {
            return Err(Refusal::Router);
        }
        if record.ttl < self.config.min_ttl {
            return Err(Refusal::Ttl(record.ttl));
        }
        let source = address_from_bytes(record.source, family);
        let destination = address_from_bytes(record.destination, family);
        let expected = match (self.config.transport, family) {
            (Transport::Unicast, _) => self.own_address,
            (Transport::Multicast, Family::Ipv4) => Some(GROUP_IPV4.into()),
            (Transport::Multicast, Family::Ipv6) => Some(GROUP_IPV6.into()),
        };
        if expected != Some(destination) {
            return Err(Refusal::Destination(destination));
        }
        if self.own_address == Some(source) {
            return Err(Refusal::OwnAddress);
        }
        let must_sign = self.check_sender(source, MacAddr(record.source_mac), desk)?;
        let accepted = match self.config.version {
            Version::V2 => self.read_version_2(message_of(record))?,
            Version::V3 => {
                let endpoints = endpoints(source, destination).ok_or(Refusal::Router)?;
                self.read_version_3(record, &endpoints, sender, desk)?
            }
        };
        if must_sign && accepted.sequence.is_none() {
            return Err(Refusal::Authentication(NotAuthentic::Unsigned));
        }
        if accepted.message.vrid == self.config.vrid { Ok(accepted) } else { Err(Refusal::Router) }
    }

    fn read_version_3(
        &self,
        record: &AdvertRecord,
        endpoints: &Endpoints,
        sender: PeerKey,
        desk: &Desk,
    ) -> Result<Accepted, Refusal> {
        let bytes = message_of(record);
        let family = self.config.family;
        let Parts { message, trailer } =
            if desk.authentication.is_some() { split(bytes, family) } else { Parts { message: bytes, trailer: None } };
        let sequence = match &desk.authentication {
            None => None,
            Some(authentication) => {
                let mark = desk.datapath.mark(&sender).map(Sequence::new);
                let received_at = Instant::from_nanos(record.received_at_ns);
                authentication
                    .verify(endpoints.source(), message, trailer, mark, received_at)
                    .map_err(Refusal::Authentication)?
            }
        };
        let (message, form) = match trailer {
            Some(trailer) => Message::decode_signed(message, trailer, endpoints),
            None => Message::decode(message, endpoints),
        }
        .map_err(Refusal::Message)?;
        if self.config.link_local_first && !message.addresses.first().is_some_and(|&first| is_link_local(first)) {
            return Err(Refusal::AddressList);
        }
        Ok(Accepted { message, form: Some(form).filter(|_| family == Family::Ipv4), sequence })
    }

    /// RFC 3768 §7.1.
    fn read_version_2(&self, bytes: &[u8]) -> Result<Accepted, Refusal> {
        let (message, authentication) = version_2::decode(bytes).map_err(Refusal::Message)?;
        if authentication.number() != self.config.authentication.number() {
            return Err(Refusal::AuthType(authentication.number()));
        }
        if authentication != self.config.authentication {
            return Err(Refusal::Password);
        }
        if message.max_advertise_interval != self.config.advertisement_interval {
            return Err(Refusal::Interval(message.max_advertise_interval));
        }
        Ok(Accepted { message, form: None, sequence: None })
    }

    /// Whether the sender may speak at all; says whether only signed adverts of it count.
    fn check_sender(&self, source: IpAddr, mac: MacAddr, desk: &Desk) -> Result<bool, Refusal> {
        let stands_for = |peer: &&config::Peer| match peer.source {
            PeerSource::Address(address) => address == source,
            PeerSource::Mac(pinned) => is_link_local(source) && pinned == mac,
        };
        if let Some(peer) = self.config.peers.iter().find(stands_for) {
            return match peer.mac {
                Some(pinned) if pinned != mac => Err(Refusal::Mac(mac)),
                Some(_) | None => Ok(false),
            };
        }
        match self.config.link_local_senders {
            LinkLocalSenders::Unlisted if is_link_local(source) => Ok(desk.enforces()),
            LinkLocalSenders::Listed | LinkLocalSenders::Unlisted => Err(Refusal::Source(source)),
        }
    }
}

/// One word for what is wrong with a message.
const fn message_error(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooShort(_) => Verdict::Truncated.name(),
        DecodeError::Version { .. } => Verdict::Version.name(),
        DecodeError::Type(_) => Verdict::Type.name(),
        DecodeError::Vrid => "router",
        DecodeError::AddressCount => Verdict::AddressCount.name(),
        DecodeError::Interval => Verdict::Interval.name(),
        DecodeError::AuthType(_) => Verdict::AuthType.name(),
        DecodeError::Length { .. } => Verdict::Length.name(),
        DecodeError::Checksum(_) => "checksum",
    }
}

/// The VRRP message of an advert.
fn message_of(record: &AdvertRecord) -> &[u8] {
    record.message.get(..usize::from(record.message_len)).unwrap_or_default()
}
