//! A guard on one interface, and what it does with real frames.

use std::net::{IpAddr, UdpSocket};

use anyhow::{Result, ensure};
use harness::{GENEROUS, frame::Advert, ip, until};
use nix::time::{ClockId, clock_gettime};
use vipd::datapath::{attach::Hook, guard::Guard, netlink::Side, nic::Nic};
use vrrp_wire::{
    Family, MacAddr,
    abi::{Counters, Heartbeat, Peer, PeerKey, Role, Router, RouterKey, Settings, VipKey, address_bytes},
};

use crate::network::{Network, nic};

const VRID: u8 = 51;
const OWN: &str = "10.77.0.1";
const PEER: &str = "10.77.0.2";
const STRANGER: &str = "10.77.0.66";
const VIP: &str = "10.77.0.100";
/// A port where nobody listens.
const DISCARD: u16 = 9;
const PEER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);
/// Longer than any trial takes on any machine, in nanoseconds.
const NEVER_STALE_NS: u64 = 1 << 60;

/// A guard that serves one virtual router over IPv4, in which this node is Backup. Everything is undone on drop.
pub(crate) struct Trial<'a> {
    guard: &'a mut Guard,
    network: &'a Network,
    nic: Nic,
    key: RouterKey,
    side: Option<Side>,
}

impl<'a> Trial<'a> {
    /// Configures the guard for frames of `vlan` on `interface`.
    pub(crate) fn new(guard: &'a mut Guard, network: &'a Network, interface: &str, vlan: u16) -> Result<Self> {
        let nic = nic(interface)?;
        let key = RouterKey { ifindex: nic.ifindex, vlan, family: Family::Ipv4.number(), vrid: VRID };
        let trial = Self { guard, network, nic, key, side: None };
        let router = Router { own_address: sixteen(OWN), fence: 1, ..Router::default() };
        serve(trial.guard, key, router, &Speaker { address: ip(PEER), mac: PEER_MAC }, 0)?;
        trial.guard.set_vip(trial.vip(), key)?;
        Ok(trial)
    }

    /// Attaches a program that was not.
    pub(crate) fn attach_to(mut self, side: Side, hook: Hook) -> Result<Self> {
        ensure!(!self.guard.programs().attach(&self.nic, side, hook)?, "there was a link already");
        self.side = Some(side);
        Ok(self)
    }

    /// Attaches a program by the link that an earlier run has left.
    pub(crate) fn take_over(mut self, side: Side, hook: Hook) -> Result<Self> {
        ensure!(self.guard.programs().attach(&self.nic, side, hook)?, "the link of the earlier run is gone");
        self.side = Some(side);
        Ok(self)
    }

    fn vip(&self) -> VipKey {
        VipKey { ifindex: self.key.ifindex, vlan: self.key.vlan, family: 4, padding: 0, address: sixteen(VIP) }
    }

    /// Sends a good advert and a forged one out of `interface`, and waits until the first is handed over and the second
    /// dropped.
    pub(crate) fn hears(&mut self, interface: &str, tags: &[[u16; 2]]) -> Result<String> {
        let good = Advert { tags: tags.to_vec(), ..Advert::new(PEER_MAC, ip(PEER), VRID, 200, &[ip(VIP)]) };
        let forged = Advert { source: ip(STRANGER), priority: 255, ..good.clone() };
        self.network.send(interface, &good.frame())?;
        self.network.send(interface, &forged.frame())?;
        let record = until("the advert to be handed over", GENEROUS, || Ok(self.guard.next_advert()))?;
        ensure!(record.vlan == self.key.vlan, "the advert came in VLAN {}", record.vlan);
        ensure!(record.message[..usize::from(record.message_len)] == good.message()[..], "another message");
        let dropped = |counters: Counters| counters.dropped == 1 && counters.unknown_source == 1;
        until("the forged advert to be dropped", GENEROUS, || {
            Ok(dropped(self.guard.counters(&self.key)).then_some(String::new()))
        })
    }

    /// Lets the kernel ask for a neighbour in the name of the virtual address, and waits until that is held back.
    pub(crate) fn holds_back(&mut self) -> Result<String> {
        let socket = UdpSocket::bind((VIP, 0))?;
        until("a Backup's ARP in the name of the virtual address to be held back", GENEROUS, || {
            // A neighbour that was asked for in vain is asked for again at the next datagram.
            let _ = socket.send_to(&[0], (STRANGER, DISCARD));
            Ok((self.guard.counters(&self.key).held_back > 0).then_some(String::new()))
        })
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(side) = self.side {
            // What goes wrong here shows in the next trial.
            let _ = detach(self.guard, &self.nic, side);
        }
        // An entry that stays is overwritten by the next trial.
        let _ = self.guard.remove_vip(&self.vip(), &self.key);
        let _ = self.guard.remove_router(&self.key);
    }
}

/// Takes the program off one side of `nic`, and waits until it is off: Linux 5.10 is in no hurry with pinned links.
pub(crate) fn detach(guard: &mut Guard, nic: &Nic, side: Side) -> Result<()> {
    guard.programs().detach(nic.ifindex, side);
    until("XDP to be off", GENEROUS, || Ok(Nic::read(nic.ifindex)?.xdp.is_none().then_some(())))
}

/// Who sends adverts.
pub(crate) struct Speaker {
    pub(crate) address: IpAddr,
    pub(crate) mac: MacAddr,
}

/// Configures a virtual router with one peer, for a daemon that lives and whose clock is `wall_offset_ns` ahead of
/// CLOCK_MONOTONIC.
pub(crate) fn serve(
    guard: &mut Guard,
    key: RouterKey,
    router: Router,
    peer: &Speaker,
    wall_offset_ns: u64,
) -> Result<()> {
    guard.set_settings(Settings { enforce: 1, ..Settings::default() })?;
    guard.set_heartbeat(Heartbeat { beat_ns: now_ns()?, wall_offset_ns })?;
    guard.set_router(key, router)?;
    guard.set_role(key, Role { stale_after_ns: NEVER_STALE_NS, ..Role::default() })?;
    let source = PeerKey { router: key, source: address_bytes(peer.address) };
    guard.set_peer(source, Peer { mac: peer.mac.0, mac_pinned: 1, ..Peer::default() })?;
    Ok(())
}

/// Now, on the CLOCK_MONOTONIC scale.
pub(crate) fn now_ns() -> Result<u64> {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(time.tv_sec())? * 1_000_000_000 + u64::try_from(time.tv_nsec())?)
}

fn sixteen(address: &str) -> [u8; 16] {
    address_bytes(ip(address))
}
