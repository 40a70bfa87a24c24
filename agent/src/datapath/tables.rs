//! What is configured, for the judgement in user space: the same tables as the kernel's maps, in ordinary ones.

use std::collections::HashMap;

use vrrp_wire::{
    abi::{Counters, Peer, PeerKey, Router, RouterKey, Verdict},
    judge::{Finding, Tables, sender},
};

/// The tables of the raw-socket mode.
#[derive(Debug, Default)]
pub struct UserTables {
    routers: HashMap<RouterKey, Router>,
    peers: HashMap<PeerKey, Peer>,
    counters: HashMap<RouterKey, Counters>,
}

impl Tables for UserTables {
    fn router(&self, key: &RouterKey) -> Option<&Router> {
        self.routers.get(key)
    }

    fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        self.peers.get(key)
    }
}

impl UserTables {
    /// Configures a virtual router, or changes it.
    pub fn set_router(&mut self, key: RouterKey, router: Router) {
        self.routers.insert(key, router);
    }

    /// Adds a sender to the allow-list.
    pub fn set_peer(&mut self, key: PeerKey, peer: Peer) {
        self.peers.insert(key, peer);
    }

    /// What is known of a sender.
    #[must_use]
    pub fn peer_entry(&self, key: &PeerKey) -> Option<Peer> {
        self.peers.get(key).copied()
    }

    /// The counters under `key`.
    #[must_use]
    pub fn counters(&self, key: &RouterKey) -> Counters {
        self.counters.get(key).copied().unwrap_or_default()
    }

    /// Counts `finding`, and stamps its sender if it is admitted.
    ///
    /// Nothing can be dropped here: what the kernel's program would have dropped counts as `would_drop`.
    pub fn note(&mut self, finding: &Finding, now_ns: u64) {
        let counters = self.counters.entry(finding.router).or_default();
        counters.add(finding.verdict);
        if finding.verdict.is_bad() {
            counters.would_drop += 1;
        }
        if finding.verdict != Verdict::Admitted {
            return;
        }
        let Some((key, _)) = sender(&finding.facts, finding.router, &*self) else { return };
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.stamp(finding.priority, finding.interval_cs, now_ns);
        }
    }
}
