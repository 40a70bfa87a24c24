//! The kernel's half of a host: the code of the guard over ordinary tables, with the ring buffer and its stamps.

use std::{
    cell::{RefCell, RefMut},
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    ops::DerefMut,
};

use vrrp::{Instant, MacAddr, auth::Key};
use vrrp_wire::{
    abi::{Fence, Heartbeat, Peer, PeerKey, Role, Router, RouterKey, Station, Verdict, VipKey, address_bytes},
    fence::{self, Post},
    hmac::{Midstates, Workspace, tag},
    judge::{Tables, examine, sender},
    neighbor::Neighbor,
};

/// Adverts that wait for a daemon which does not run; those beyond leave their stamp only.
const RING: usize = 24;

/// An advert that was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) received_at: Instant,
    pub(crate) sender: PeerKey,
    pub(crate) message: Vec<u8>,
    /// Whether it is what a router of this network sent.
    pub(crate) is_genuine: bool,
}

/// What the kernel of one host knows about its virtual router.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) key: RouterKey,
    pub(crate) vip: IpAddr,
    pub(crate) router: Router,
    pub(crate) role: Role,
    pub(crate) beat_at: Instant,
    /// Whether the virtual address is on the interface.
    pub(crate) holds_address: bool,
    pub(crate) ring: VecDeque<Record>,
    peers: BTreeMap<PeerKey, Peer>,
    marks: BTreeMap<PeerKey, u64>,
    keys: BTreeMap<u8, Midstates>,
    fence: Fence,
    wall_clock: u64,
    workspace: RefCell<Box<Workspace>>,
}

impl Kernel {
    pub(crate) fn new(key: RouterKey, vip: IpAddr, router: Router, peers: impl Iterator<Item = IpAddr>) -> Self {
        let peer = |source| (PeerKey { router: key, source: address_bytes(source) }, Peer::default());
        Self {
            key,
            vip,
            router,
            role: Role::default(),
            beat_at: Instant::from_nanos(0),
            holds_address: false,
            ring: VecDeque::new(),
            peers: peers.map(peer).collect(),
            marks: BTreeMap::new(),
            keys: BTreeMap::new(),
            fence: Fence::default(),
            wall_clock: 0,
            workspace: RefCell::default(),
        }
    }

    /// Forgets what a new guard, or a new kernel, does not know.
    pub(crate) fn forget(&mut self) {
        self.peers.values_mut().for_each(|peer| *peer = Peer::default());
        self.marks.clear();
        self.ring.clear();
        (self.role, self.fence) = (Role::default(), Fence::default());
    }

    pub(crate) fn set_keys<'k>(&mut self, keys: impl Iterator<Item = &'k Key>) {
        self.keys = keys.map(|key| (key.id().get(), key.midstates())).collect();
    }

    pub(crate) fn set_mark(&mut self, sender: PeerKey, sequence: u64) {
        self.marks.insert(sender, sequence);
    }

    pub(crate) fn mark_of(&self, sender: &PeerKey) -> Option<u64> {
        self.marks.get(sender).copied()
    }

    pub(crate) fn stamps(&self) -> Vec<(PeerKey, Peer)> {
        let mut stamps: Vec<_> = self.peers.iter().map(|(&key, &peer)| (key, peer)).collect();
        stamps.sort_by_key(|(_, peer)| peer.last_good_ns);
        stamps
    }

    /// Judges a frame that arrives and hands it over.
    pub(crate) fn arrive(&mut self, frame: &[u8], is_genuine: bool, now: Instant, wall_clock: u64) -> Option<Verdict> {
        self.wall_clock = wall_clock;
        let finding = examine(frame, self.key.ifindex, self)?;
        if finding.verdict != Verdict::Admitted {
            return Some(finding.verdict);
        }
        let (sender, _) = sender(&finding.facts, finding.router, self)?;
        let at = finding.facts.message_offset;
        let message = frame.get(at..at + finding.facts.message_len)?.to_vec();
        if self.ring.len() < RING {
            self.ring.push_back(Record { received_at: now, sender, message, is_genuine });
        }
        let now_ns = now.as_nanos();
        if let Some(until) = fence::close(&self.key, finding.priority, finding.interval_cs, self, now_ns) {
            (self.fence.closed_until_ns, self.fence.beat_ns) = (until, self.beat_at.as_nanos());
        }
        if let Some(peer) = self.peers.get_mut(&sender) {
            peer.stamp(finding.priority, finding.interval_cs, now_ns);
        }
        Some(finding.verdict)
    }

    /// Whether this host answers who asks for the virtual address.
    pub(crate) fn answers(&self, now: Instant) -> bool {
        let nobody = [0; 16];
        let question = Neighbor {
            source_mac: MacAddr([2; 6]),
            vlan: 0,
            family: if self.vip.is_ipv4() { vrrp::Family::Ipv4 } else { vrrp::Family::Ipv6 },
            claimed: nobody,
            claimed_mac: MacAddr([2; 6]),
            asked: address_bytes(self.vip),
        };
        self.holds_address && fence::unanswered(&question, self.key.ifindex, self, now.as_nanos()).is_none()
    }
}

impl Tables for Kernel {
    fn router(&self, key: &RouterKey) -> Option<&Router> {
        (*key == self.key).then_some(&self.router)
    }

    fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        self.peers.get(key)
    }

    fn mark(&self, key: &PeerKey) -> Option<u64> {
        self.mark_of(key)
    }

    fn key(&self, id: u8) -> Option<&Midstates> {
        self.keys.get(&id)
    }

    fn wall_clock(&self) -> Option<u64> {
        Some(self.wall_clock)
    }

    fn workspace(&self) -> Option<impl DerefMut<Target = Workspace>> {
        Some(RefMut::map(self.workspace.borrow_mut(), Box::as_mut))
    }

    fn code(&self, key: &Midstates, len: usize) -> Option<[u8; 16]> {
        Some(tag(&mut self.workspace.borrow_mut(), key, len))
    }
}

impl Post for Kernel {
    fn vip(&self, key: &VipKey) -> Option<&RouterKey> {
        (key.address == address_bytes(self.vip)).then_some(&self.key)
    }

    fn router(&self, key: &RouterKey) -> Option<&Router> {
        (*key == self.key).then_some(&self.router)
    }

    fn role(&self, key: &RouterKey) -> Option<&Role> {
        (*key == self.key).then_some(&self.role)
    }

    fn fence(&self, key: &RouterKey) -> Option<&Fence> {
        (*key == self.key).then_some(&self.fence)
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat { beat_ns: self.beat_at.as_nanos(), wall_offset_ns: 0 }
    }

    fn knows(&self, _station: &Station) -> bool {
        true
    }
}
