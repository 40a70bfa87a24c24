//! What is configured, for the judgement in user space: the same tables as the kernel's maps, in ordinary ones.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    ops::DerefMut,
};

use vrrp_wire::{
    abi::{Counters, Peer, PeerKey, Router, RouterKey, Verdict},
    hmac::{Midstates, Workspace, tag},
    judge::{Finding, Tables, sender},
};

/// The tables of the raw-socket mode.
#[derive(Debug, Default)]
pub struct UserTables {
    routers: HashMap<RouterKey, Router>,
    peers: HashMap<PeerKey, Peer>,
    marks: HashMap<PeerKey, u64>,
    keys: BTreeMap<u8, Midstates>,
    /// The wall clock's time in the form of a sequence, as of the frame that is being judged.
    wall_clock: Option<u64>,
    counters: HashMap<RouterKey, Counters>,
    workspace: RefCell<Box<Workspace>>,
}

impl Tables for UserTables {
    fn router(&self, key: &RouterKey) -> Option<&Router> {
        self.routers.get(key)
    }

    fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        self.peers.get(key)
    }

    fn mark(&self, key: &PeerKey) -> Option<u64> {
        self.marks.get(key).copied()
    }

    fn key(&self, id: u8) -> Option<&Midstates> {
        self.keys.get(&id)
    }

    fn wall_clock(&self) -> Option<u64> {
        self.wall_clock
    }

    fn workspace(&self) -> Option<impl DerefMut<Target = Workspace>> {
        std::cell::RefMut::filter_map(self.workspace.try_borrow_mut().ok()?, |boxed| Some(boxed.as_mut())).ok()
    }

    fn code(&self, key: &Midstates, len: usize) -> Option<[u8; 16]> {
        Some(tag(&mut *self.workspace.try_borrow_mut().ok()?, key, len))
    }
}

impl UserTables {
    /// Configures a virtual router, or changes it.
    pub fn set_router(&mut self, key: RouterKey, router: Router) {
        self.routers.insert(key, router);
    }

    /// Forgets a virtual router.
    pub fn remove_router(&mut self, key: &RouterKey) {
        self.routers.remove(key);
    }

    /// Adds a sender to the allow-list.
    pub fn set_peer(&mut self, key: PeerKey, peer: Peer) {
        self.peers.insert(key, peer);
    }

    /// Takes a sender out of the allow-list.
    pub fn remove_peer(&mut self, key: &PeerKey) {
        self.peers.remove(key);
        self.marks.remove(key);
    }

    /// Notes the sequence of the last verified advert of a sender.
    pub fn set_mark(&mut self, key: PeerKey, sequence: u64) {
        self.marks.insert(key, sequence);
    }

    /// Puts `keys`, by identifier, in place of those that were in use.
    pub fn set_keys(&mut self, keys: BTreeMap<u8, Midstates>) {
        self.keys = keys;
    }

    /// Sets the wall clock's time, in the form of a [sequence](vrrp_wire::sequence).
    pub fn set_wall_clock(&mut self, time: u64) {
        self.wall_clock = Some(time);
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
        let is_good = finding.verdict == Verdict::Admitted;
        let is_news = if is_good { !finding.is_copy } else { finding.verdict.is_bad() };
        if !is_news {
            return;
        }
        let Some((key, _)) = sender(&finding.facts, finding.router, &*self) else { return };
        match self.peers.get_mut(&key) {
            Some(peer) if is_good => peer.stamp(finding.priority, finding.interval_cs, finding.sequence, now_ns),
            Some(peer) => peer.note_failure(finding.verdict, now_ns),
            None => {}
        }
    }
}
