//! Where peers are that are heard again: the kernel, which has lost them, asks the LAN but once a second.
//!
//! Adverts to single routers wait for the answer, the last word to a better router among them, which has it announce the
//! virtual addresses. The advert that has come from there is an answer as good.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::{Handle, packet_route::neighbour::NeighbourState};
use tokio::sync::mpsc;
use tracing::{debug, warn};
use vrrp::MacAddr;

use super::station::is_of;

/// Peers that wait to be told of. One more is not told of: it is asked for in time.
const WAITING_MAX: usize = 256;

/// A peer that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The interface.
    pub ifindex: u32,
    /// Where its adverts come from, and ours go to.
    pub address: IpAddr,
    /// The Ethernet address that the advert came from.
    pub mac: MacAddr,
}

/// Where peers are told of.
#[derive(Clone, Debug)]
pub struct Neighbours(mpsc::Sender<Whereabouts>);

impl Neighbours {
    /// With the task that tells the kernel, which ends with the last copy of this. To be called on a runtime.
    #[must_use]
    pub fn begin(handle: Handle) -> Self {
        let (sender, heard) = mpsc::channel(WAITING_MAX);
        tokio::spawn(serve(handle, heard));
        Self(sender)
    }

    /// Tells of a peer. Never waits.
    pub fn tell(&self, peer: Whereabouts) {
        let _ = self.0.try_send(peer);
    }
}

async fn serve(handle: Handle, mut heard: mpsc::Receiver<Whereabouts>) {
    let mut peers = Vec::new();
    while heard.recv_many(&mut peers, WAITING_MAX).await > 0 {
        peers.dedup();
        if let Err(error) = tell_kernel(&handle, &peers).await {
            warn!(%error, ?peers, "failed to tell the kernel where peers are; it asks them itself");
        }
        peers.clear();
    }
}

/// Only what the kernel is asking for: what it knows is its own affair, or the operator's.
async fn tell_kernel(handle: &Handle, peers: &[Whereabouts]) -> Result<(), rtnetlink::Error> {
    let mut sought = Vec::new();
    let mut entries = handle.neighbours().get().execute();
    while let Some(entry) = entries.try_next().await? {
        if entry.header.state == NeighbourState::Incomplete {
            sought
                .extend(peers.iter().find(|peer| peer.ifindex == entry.header.ifindex && is_of(&entry, peer.address)));
        }
    }
    for Whereabouts { ifindex, address, mac } in sought {
        debug!(%address, %mac, "the kernel has lost a peer");
        let neighbour = handle.neighbours().add(ifindex, address).link_layer_address(&mac.0);
        neighbour.state(NeighbourState::Stale).replace().execute().await?;
    }
    Ok(())
}
