//! Who may answer for a virtual address: what ARP, Neighbor Discovery and traffic meet on the host, and who has reached it.
//!
//! Three rules. A stranger's claim to a virtual address is noted and, while this node is Active, stopped. While this node
//! is not Active it does not answer for a virtual address. And when the daemon is hung or dead and a peer has taken the
//! virtual router over, this host stops answering, although the address is still on the interface.

use crate::{
    abi::{CENTISECOND_NS, Fence, Heartbeat, Role, Router, RouterKey, Station, VipKey},
    neighbor::Neighbor,
    recipient::Recipient,
    units::MacAddr,
};

/// What is configured and what the daemon says: BPF maps in the kernel, ordinary ones in tests.
pub trait Post {
    /// Whose virtual address this is.
    fn vip(&self, key: &VipKey) -> Option<&RouterKey>;
    /// The virtual router under `key`.
    fn router(&self, key: &RouterKey) -> Option<&Router>;
    /// What this node is in it.
    fn role(&self, key: &RouterKey) -> Option<&Role>;
    /// Its fence.
    fn fence(&self, key: &RouterKey) -> Option<&Fence>;
    /// The daemon's sign of life.
    fn heartbeat(&self) -> Heartbeat;
    /// Whether a peer's adverts come from there.
    fn knows(&self, station: &Station) -> bool;
}

/// Somebody who is no peer claims a virtual address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trespass {
    /// The virtual address.
    pub vip: VipKey,
    /// The virtual router that it belongs to.
    pub router: RouterKey,
    /// This node is Active, so that the claim must not come through.
    pub is_contested: bool,
}

/// Whether `neighbor`, which arrived on `ifindex`, claims one of our virtual addresses.
#[inline(always)]
pub fn trespass<P: Post>(neighbor: &Neighbor, ifindex: u32, post: &P, now_ns: u64) -> Option<Trespass> {
    let vip = vip_key(ifindex, neighbor, neighbor.claimed);
    let router = *post.vip(&vip)?;
    let own_mac = post.router(&router)?.own_mac;
    let is_ours = |mac: MacAddr| {
        let station = Station { ifindex, vlan: neighbor.vlan, mac: mac.0 };
        mac.0 == own_mac || post.knows(&station)
    };
    if is_ours(neighbor.claimed_mac) && is_ours(neighbor.source_mac) {
        return None;
    }
    let role = post.role(&router)?;
    Some(Trespass { vip, router, is_contested: role.active != 0 && !post.heartbeat().is_stale(role, now_ns) })
}

/// The virtual router for whose address `neighbor`, which arrived on `ifindex`, asks, where no answer may be given.
#[inline(always)]
pub fn unanswered<P: Post>(neighbor: &Neighbor, ifindex: u32, post: &P, now_ns: u64) -> Option<RouterKey> {
    // A gratuitous request teaches this host's own cache; what the host would answer is stopped on its way out.
    if neighbor.claimed == neighbor.asked {
        return None;
    }
    let router = *post.vip(&vip_key(ifindex, neighbor, neighbor.asked))?;
    is_silenced(&router, post, now_ns).then_some(router)
}

/// The virtual router in whose name `neighbor`, which this host sends on `ifindex`, may not speak.
#[inline(always)]
pub fn held_back<P: Post>(neighbor: &Neighbor, ifindex: u32, post: &P, now_ns: u64) -> Option<RouterKey> {
    let router = *post.vip(&vip_key(ifindex, neighbor, neighbor.claimed))?;
    is_silenced(&router, post, now_ns).then_some(router)
}

/// The virtual router whose closed fence stops what comes to `destination`.
#[inline(always)]
pub fn cut_off<P: Post>(key: &VipKey, post: &P, now_ns: u64) -> Option<RouterKey> {
    let router = *post.vip(key)?;
    let (may_close, role) = (post.router(&router)?.fence != 0, post.role(&router)?);
    (may_close && is_closed(&router, role, post, now_ns)).then_some(router)
}

/// The virtual router that a frame for `recipient`, which arrived on `ifindex`, has reached where this node says that it is: proof
/// that whoever sent it has heard so. A frame to another Ethernet address came here because a switch did not know better.
#[inline(always)]
pub fn reached<P: Post>(recipient: &Recipient, ifindex: u32, post: &P) -> Option<RouterKey> {
    let router = *post.vip(&recipient.vip_key(ifindex))?;
    (post.router(&router)?.own_mac == recipient.mac.0).then_some(router)
}

/// Whether this host must not speak for the addresses of a virtual router: it is not Active, or its fence is closed.
///
/// A dead daemon's last word is not enough: another program may have taken its place.
#[inline(always)]
fn is_silenced<P: Post>(key: &RouterKey, post: &P, now_ns: u64) -> bool {
    let Some(router) = post.router(key) else { return false };
    let Some(role) = post.role(key) else { return false };
    if router.fence == 0 {
        return false;
    }
    if post.heartbeat().is_stale(role, now_ns) { is_closed(key, role, post, now_ns) } else { role.active == 0 }
}

/// A daemon that has come back decides itself: its first heartbeat opens the fence.
#[inline(always)]
fn is_closed<P: Post>(key: &RouterKey, role: &Role, post: &P, now_ns: u64) -> bool {
    let heartbeat = post.heartbeat();
    post.fence(key).is_some_and(|fence| fence.is_closed(&heartbeat, now_ns)) && heartbeat.is_stale(role, now_ns)
}

/// How a good advert of a peer moves the fence of a virtual router: until when it is closed, or `None` where it stays as
/// it is, because the daemon is alive or this node was not Active.
///
/// Closed for as long as a peer that has fallen silent is waited for, four of its intervals; a peer that leaves with
/// Priority 0 opens it. Somebody has to answer.
#[inline(always)]
pub fn close<P: Post>(key: &RouterKey, priority: u8, interval_cs: u16, post: &P, now_ns: u64) -> Option<u64> {
    let (router, role) = (post.router(key)?, post.role(key)?);
    if router.fence == 0 || role.active == 0 || !post.heartbeat().is_stale(role, now_ns) {
        return None;
    }
    Some(if priority == 0 { 0 } else { now_ns + 4 * u64::from(interval_cs) * CENTISECOND_NS })
}

/// The key of `address` where `neighbor` was seen.
#[inline(always)]
const fn vip_key(ifindex: u32, neighbor: &Neighbor, address: [u8; 16]) -> VipKey {
    VipKey { ifindex, vlan: neighbor.vlan, family: neighbor.family.number(), padding: 0, address }
}

#[cfg(test)]
mod tests;
