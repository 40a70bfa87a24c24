//! A virtual router that is configured no more, as long as this host may still answer for its addresses.

use tokio::sync::watch;
use vrrp_wire::abi::{PeerKey, RouterKey, VipKey};

use super::VirtualRouter;
use crate::{desk::Desk, perform::Place};

/// What the guard knows of it still: that this node is not Active, and which addresses must therefore not be answered for.
#[derive(Debug)]
pub struct Departing {
    /// The name of its interface.
    pub interface: String,
    /// The key that the datapath has it by.
    pub key: RouterKey,
    vips: Vec<VipKey>,
    peers: Vec<PeerKey>,
    /// The task that takes the addresses off listens there until it has.
    task: watch::Sender<Place>,
}

impl VirtualRouter {
    /// Leaves the rest to the task that looks after the addresses, which ends when they are off. To be called once it has stopped.
    #[must_use]
    pub fn depart(self) -> Departing {
        Departing {
            vips: self.config.held_addresses().map(|address| self.vip_key(address.addr())).collect(),
            peers: self.peer_keys().collect(),
            key: self.key,
            interface: self.config.interface,
            task: self.reins.places,
        }
    }
}

impl Departing {
    /// Whether the addresses are off, or nobody tries any longer.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.task.is_closed()
    }

    /// Has the guard forget it.
    pub fn leave_guard(&self, desk: &mut Desk) {
        desk.datapath.remove_router(&self.key, self.vips.iter().copied(), self.peers.iter().copied());
    }
}
