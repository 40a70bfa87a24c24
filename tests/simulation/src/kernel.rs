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
    judge::{Finding, Tables, examine, sender},
    neighbor::Neighbor,
};

use crate::{attacker::Forgery, world::Delivery};

/// Adverts that wait for a daemon which does not run; those beyond leave their stamp only.
const RING: usize = 12;

/// What a frame is, as nobody but the simulation knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Provenance {
    /// What a router of this LAN has sent, and not a copy of what has been there.
    #[default]
    Genuine,
    /// A copy of it, from somebody else.
    Copy,
    /// Made up, and nothing tells it from what the router in whose name it comes would have sent.
    Plausible,
    /// Made up, or changed on the way.
    Forged,
}

/// An advert that was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) received_at: Instant,
    pub(crate) sender: PeerKey,
    pub(crate) message: Vec<u8>,
    pub(crate) provenance: Provenance,
    pub(crate) forgery: Option<Forgery>,
}

/// What the kernel makes of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) verdict: Verdict,
    /// It was good, and there was no room for it.
    pub(crate) is_lost: bool,
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
    /// Times that the fence has closed, whatever was forgotten since.
    pub(crate) closings: u64,
    peers: BTreeMap<PeerKey, Peer>,
    /// What the last stamp of each peer is of.
    stamped: BTreeMap<PeerKey, Provenance>,
    marks: BTreeMap<PeerKey, u64>,
    keys: BTreeMap<u8, Midstates>,
    fence: Fence,
    wall_clock: u64,
    workspace: RefCell<Box<Workspace>>,
}

impl Kernel {
    /// Each of the `peers` has its address, and the MAC address that it is pinned to.
    pub(crate) fn new(
        key: RouterKey,
        vip: IpAddr,
        router: Router,
        peers: impl Iterator<Item = (IpAddr, Option<MacAddr>)>,
    ) -> Self {
        let peer = |(source, pinned): (IpAddr, Option<MacAddr>)| {
            let (mac, mac_pinned) = (pinned.map_or([0; 6], |mac| mac.0), u8::from(pinned.is_some()));
            (PeerKey { router: key, source: address_bytes(source) }, Peer { mac, mac_pinned, ..Peer::default() })
        };
        Self {
            key,
            vip,
            router,
            role: Role::default(),
            beat_at: Instant::from_nanos(0),
            holds_address: false,
            ring: VecDeque::new(),
            closings: 0,
            peers: peers.map(peer).collect(),
            stamped: BTreeMap::new(),
            marks: BTreeMap::new(),
            keys: BTreeMap::new(),
            fence: Fence::default(),
            wall_clock: 0,
            workspace: RefCell::default(),
        }
    }

    /// Forgets what a new guard, or a new kernel, does not know.
    pub(crate) fn forget(&mut self) {
        let unheard = |peer: &Peer| Peer { mac: peer.mac, mac_pinned: peer.mac_pinned, ..Peer::default() };
        self.peers.values_mut().for_each(|peer| *peer = unheard(peer));
        self.stamped.clear();
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

    /// The last good advert of each peer, and what it really was.
    pub(crate) fn stamps(&self) -> impl Iterator<Item = (PeerKey, Peer, Provenance)> {
        let provenance = |key| self.stamped.get(key).copied().unwrap_or_default();
        self.peers.iter().map(move |(key, &peer)| (*key, peer, provenance(key)))
    }

    /// Judges the frame of `delivery` and hands it over; `None` where it is not VRRP.
    pub(crate) fn arrive(
        &mut self,
        delivery: &Delivery,
        provenance: Provenance,
        now: Instant,
        wall_clock: u64,
    ) -> Option<Arrival> {
        self.wall_clock = wall_clock;
        let finding = examine(&delivery.frame[..], self.key.ifindex, self)?;
        if finding.verdict != Verdict::Admitted {
            return Some(Arrival { verdict: finding.verdict, is_lost: false });
        }
        let by_address = PeerKey { router: finding.router, source: finding.facts.source };
        let sender = sender(&finding.facts, finding.router, self).map_or(by_address, |(key, _)| key);
        let at = finding.facts.message_offset;
        let message = delivery.frame.get(at..at + finding.facts.message_len)?.to_vec();
        let is_lost = self.ring.len() >= RING;
        if !is_lost {
            let forgery = delivery.forgery;
            self.ring.push_back(Record { received_at: now, sender, message, provenance, forgery });
        }
        self.move_fence(&finding, now.as_nanos());
        if let Some(peer) = self.peers.get_mut(&sender) {
            peer.stamp(finding.priority, finding.interval_cs, finding.sequence, now.as_nanos());
            self.stamped.insert(sender, provenance);
        }
        Some(Arrival { verdict: finding.verdict, is_lost })
    }

    fn move_fence(&mut self, finding: &Finding, now_ns: u64) {
        let Some(until) = fence::close(&self.key, finding.priority, finding.interval_cs, self, now_ns) else { return };
        let is_closed = self.fence.is_closed(&self.heartbeat(), now_ns);
        self.closings += u64::from(until > now_ns && !is_closed);
        (self.fence.closed_until_ns, self.fence.beat_ns) = (until, self.beat_at.as_nanos());
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
