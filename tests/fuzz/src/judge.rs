//! The kernel's judgement of a frame, by the code that runs in the kernel.

use vipd::datapath::tables::UserTables;
use vrrp::{MacAddr, message::Endpoints};
use vrrp_wire::{
    abi::{Peer, PeerKey, Router, RouterKey, address_bytes},
    ethernet::link,
    judge::{self, Finding, GROUP_IPV4, GROUP_IPV6},
    parse::{Facts, parse},
};

/// Where every frame arrives.
const IFINDEX: u32 = 7;
const SOURCE_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 1]);

/// The frame of `message`, a whole one, between `endpoints`.
pub(crate) fn frame(endpoints: &Endpoints, message: &[u8]) -> Vec<u8> {
    vrrp::frame::multicast(SOURCE_MAC, endpoints, message)
}

/// What is found about `frame` where its virtual router is configured as `configure` completes it, and its sender is a
/// peer; `None` where it is not VRRP.
pub(crate) fn examine(
    frame: &[u8],
    configure: impl FnOnce(&Facts, PeerKey, &mut UserTables) -> Router,
) -> Option<Finding> {
    let facts = parse(frame, &link(frame)?)?;
    let key = RouterKey { ifindex: IFINDEX, vlan: facts.vlan, family: facts.family.number(), vrid: facts.vrid };
    let peer = PeerKey { router: key, source: facts.source };
    let groups = [address_bytes(GROUP_IPV4.into()), address_bytes(GROUP_IPV6.into())];
    let is_unicast = !groups.contains(&facts.destination);
    let mut tables = UserTables::default();
    let router = configure(&facts, peer, &mut tables);
    let mut own_address = facts.destination;
    if !is_unicast {
        // Any but the sender's.
        own_address = facts.source;
        own_address[0] ^= 1;
    }
    // No virtual router of ours has VRID 0.
    if facts.vrid != 0 {
        tables.set_router(key, Router { unicast: is_unicast.into(), own_address, ..router });
    }
    tables.set_peer(peer, Peer::default());
    judge::examine(frame, IFINDEX, &tables)
}
