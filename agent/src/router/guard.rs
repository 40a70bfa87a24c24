//! What a virtual router tells the guard: how to judge adverts for it, and whether its addresses may be spoken for.

use std::net::IpAddr;

use tracing::error;
use vrrp::{Version, election::StateName};
use vrrp_wire::{
    abi::{PeerKey, Role, Router, RouterKey, VipKey, address_bytes},
    judge::{HEADER_LEN, SIGNED_MAX, TRAILER_LEN, TTL},
};

use super::VirtualRouter;
use crate::{
    authentication::Authentication,
    config::{self, Fence, LinkLocalSenders, PeerSource, Transport},
    datapath::Datapath,
    desk::Desk,
};

impl VirtualRouter {
    /// Writes it into the datapath's tables, once it has an interface; the role first, since maps of an earlier run may say that
    /// it was Active.
    pub fn configure(&self, desk: &mut Desk) -> anyhow::Result<()> {
        if self.ifindex == 0 {
            return Ok(());
        }
        desk.datapath.set_role(self.key, self.role())?;
        let router = Router {
            own_address: self.own_address.map_or([0; 16], address_bytes),
            window: desk.authentication.as_ref().map_or(0, Authentication::window),
            own_mac: self.own_mac.0,
            unicast: u8::from(self.config.transport == Transport::Unicast),
            auth: desk.authentication.as_ref().map_or(Router::AUTH_OFF, Authentication::demand),
            link_local: match self.config.link_local_senders {
                LinkLocalSenders::Listed => Router::LISTED,
                LinkLocalSenders::Unlisted if desk.enforces() => Router::VERIFIED,
                LinkLocalSenders::Unlisted => Router::ANY,
            },
            fence: u8::from(self.config.fence == Fence::Auto),
            version_2: u8::from(self.config.version == Version::V2),
            auth_type: self.config.authentication.number(),
            password: self.config.authentication.data(),
            interval_s: u8::try_from(self.config.advertisement_interval.get() / 100).unwrap_or(u8::MAX),
            hops_max: TTL - self.config.min_ttl,
            link_local_first: u8::from(self.config.link_local_first),
            long: u8::from(self.signed_len() > SIGNED_MAX),
        };
        desk.datapath.set_router(self.key, router)?;
        for address in self.config.held_addresses() {
            desk.datapath.set_vip(self.vip_key(address.addr()), self.key)?;
        }
        Ok(())
    }

    /// Bytes of a signed advert with its addresses.
    fn signed_len(&self) -> usize {
        HEADER_LEN + self.config.addresses.len() * self.config.family.address_len() + TRAILER_LEN
    }

    /// Takes back what [`VirtualRouter::configure`] and the allow-list say.
    pub fn leave_guard(&self, desk: &mut Desk) {
        let vips = self.config.held_addresses().map(|address| self.vip_key(address.addr()));
        desk.datapath.remove_router(&self.key, vips, self.peer_keys());
    }

    pub(super) fn vip_key(&self, address: IpAddr) -> VipKey {
        let RouterKey { ifindex, vlan, family, .. } = self.key;
        VipKey { ifindex, vlan, family, address: address_bytes(address), ..VipKey::default() }
    }

    /// Writes the nodes of the configuration, and who is believed beside them, into the datapath's allow-list: before
    /// [`VirtualRouter::configure`], from which on adverts are judged, or those that come in between would be a stranger's.
    pub fn introduce_peers(&self, datapath: &mut Datapath) -> anyhow::Result<()> {
        if self.ifindex == 0 {
            return Ok(());
        }
        self.learned.keys().try_for_each(|&key| datapath.set_peer(key, None))?;
        self.config.peers.iter().try_for_each(|peer| datapath.set_peer(self.peer_key(peer), peer.mac))
    }

    /// The key that the allow-list has a node of the configuration by.
    pub(super) fn peer_key(&self, peer: &config::Peer) -> PeerKey {
        match peer.source {
            PeerSource::Address(address) => PeerKey { router: self.key, source: address_bytes(address) },
            PeerSource::Mac(mac) => PeerKey::by_mac(self.key, mac),
        }
    }

    /// What the guard is to know of its state.
    fn role(&self) -> Role {
        let stale_after = self.hung_after();
        Role {
            stale_after_ns: u64::try_from(stale_after.as_nanos()).unwrap_or(u64::MAX),
            active: u32::from(self.election.state().name() == StateName::Active),
            ..Role::default()
        }
    }

    /// Tells the guard the role before anything else follows from it: it lets no ARP out for a router that is not Active.
    /// The supervisor too, which hands over for nobody else.
    pub(super) fn tell_guard(&self, desk: &mut Desk) {
        let role = self.role();
        if let Err(error) = self.reins.standing.set_active(role.active != 0) {
            error!(router = %self.name(), %error, "the supervisor is not told the role");
        }
        if let Err(error) = desk.datapath.set_role(self.key, role) {
            error!(router = %self.name(), "{error:#}; the fence may keep the virtual addresses from being announced");
        }
    }
}
