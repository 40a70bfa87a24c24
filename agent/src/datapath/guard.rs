//! The kernel's side: loads the object with its programs and maps, writes what is configured, reads what was counted.

use std::{
    collections::BTreeSet,
    fmt,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use anyhow::{Context, anyhow};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf},
    programs::Xdp,
};
use vrrp::Instant;
use vrrp_wire::{
    abi::{
        AdvertRecord, Arrivals, CLAIMS_MAX, Claim, ClaimKey, Counters, Fence, Heartbeat, MESSAGE_MAX, Peer, PeerKey,
        ROUTERS_MAX, Reject, Role, Router, RouterKey, SOURCES_MAX, Settings, Source, SourceKey, Station, VipKey, map,
    },
    hmac::Midstates,
};

use super::{
    hooks::Programs,
    object::{Object, load_maps},
    pins::Pins,
};

/// The programs and their maps. Attached programs are taken off, and pinned files removed, when this is dropped; when the
/// process is killed they stay, and the next run takes them over.
pub struct Guard {
    // First, so that programs are off before their maps are unpinned.
    programs: Programs,
    settings: Array<MapData, Settings>,
    heartbeat: Array<MapData, Heartbeat>,
    routers: HashMap<MapData, RouterKey, Router>,
    roles: HashMap<MapData, RouterKey, Role>,
    fences: HashMap<MapData, RouterKey, Fence>,
    fenced_until: Array<MapData, u64>,
    arrivals: HashMap<MapData, RouterKey, Arrivals>,
    watched_until: Array<MapData, u64>,
    vips: HashMap<MapData, VipKey, RouterKey>,
    peers: HashMap<MapData, PeerKey, Peer>,
    marks: HashMap<MapData, PeerKey, u64>,
    keys: HashMap<MapData, u32, Midstates>,
    stations: HashMap<MapData, Station, u64>,
    claims: HashMap<MapData, ClaimKey, Claim>,
    sources: HashMap<MapData, SourceKey, Source>,
    rejects: PerCpuArray<MapData, Reject>,
    counters: HashMap<MapData, RouterKey, Counters>,
    adverts: RingBuf<MapData>,
    leftovers: Leftovers,
    /// The maps are those of an earlier run.
    has_earlier_maps: bool,
    _pins: RemovedOnDrop,
}

/// What an earlier run has configured and this one has not yet.
#[derive(Debug, Default)]
struct Leftovers {
    routers: BTreeSet<RouterKey>,
    vips: BTreeSet<VipKey>,
    peers: BTreeSet<PeerKey>,
    keys: BTreeSet<u32>,
}

/// The pin directory of a run.
struct RemovedOnDrop(Option<Pins>);

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        if let Some(pins) = self.0.take() {
            // What is left is replaced by the next run, or removed by `vipd detach`.
            let _ = pins.remove();
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("leftovers", &self.leftovers).finish_non_exhaustive()
    }
}

impl Guard {
    /// Loads the programs, which the kernel verifies now, and pins the maps in `pin_dir`.
    ///
    /// Maps of an earlier run that was killed are used again where they fit: counters, stamps and sequences go on, and
    /// this node is Active nowhere. What was configured stays until it is set anew or [`Guard::drop_leftovers`] removes
    /// it. That maps cannot be pinned is reported, and no error.
    pub fn load(pin_dir: Option<&Path>) -> anyhow::Result<Self> {
        let mut guard = Self::open(pin_dir)?;
        if guard.has_earlier_maps {
            guard.forget_roles().context("failed to take over the maps of an earlier run")?;
        }
        Ok(guard)
    }

    /// [`Guard::load`] for another program in the process that has used the maps: roles stay, and what waits in the ring
    /// buffer is heard.
    pub fn resume(pin_dir: Option<&Path>) -> anyhow::Result<Self> {
        let mut guard = Self::open(pin_dir)?;
        guard.programs.use_rehearsed();
        Ok(guard)
    }

    /// Whether its maps are those of an earlier run, which has noted in them what came until now.
    #[must_use]
    pub const fn has_earlier_maps(&self) -> bool {
        self.has_earlier_maps
    }

    fn open(pin_dir: Option<&Path>) -> anyhow::Result<Self> {
        let (mut ebpf, pins, earlier) = load_maps(pin_dir)?;
        // Whatever fails from here on leaves nothing behind.
        let removed = RemovedOnDrop(pins.clone());
        let mut guard = Self {
            settings: take(&mut ebpf, map::SETTINGS)?,
            heartbeat: take(&mut ebpf, map::HEARTBEAT)?,
            routers: take(&mut ebpf, map::ROUTERS)?,
            roles: take(&mut ebpf, map::ROLES)?,
            fences: take(&mut ebpf, map::FENCES)?,
            fenced_until: take(&mut ebpf, map::FENCED_UNTIL)?,
            arrivals: take(&mut ebpf, map::ARRIVALS)?,
            watched_until: take(&mut ebpf, map::WATCHED_UNTIL)?,
            vips: take(&mut ebpf, map::VIPS)?,
            peers: take(&mut ebpf, map::PEERS)?,
            marks: take(&mut ebpf, map::MARKS)?,
            keys: take(&mut ebpf, map::KEYS)?,
            stations: take(&mut ebpf, map::STATIONS)?,
            claims: take(&mut ebpf, map::CLAIMS)?,
            sources: take(&mut ebpf, map::SOURCES)?,
            rejects: take(&mut ebpf, map::REJECTS)?,
            counters: take(&mut ebpf, map::COUNTERS)?,
            adverts: take(&mut ebpf, map::ADVERTS)?,
            programs: Programs::new(Object::new(ebpf), pins),
            leftovers: Leftovers::default(),
            has_earlier_maps: earlier,
            _pins: removed,
        };
        if earlier {
            // Nobody waits any more for what the earlier run has watched.
            guard.set_watched_until(0).context("failed to use the maps of an earlier run")?;
            guard.leftovers = guard.configured().context("failed to read the maps of an earlier run")?;
        }
        Ok(guard)
    }

    /// This node is Active nowhere until an election has said so.
    fn forget_roles(&mut self) -> Result<(), MapError> {
        for key in keys(&self.roles)? {
            let role = self.roles.get(&key, 0)?;
            self.roles.insert(key, Role { active: 0, ..role }, 0)?;
        }
        // What waited there is old; the stamps say what counts of it.
        while self.next_advert().is_some() {}
        Ok(())
    }

    fn configured(&self) -> Result<Leftovers, MapError> {
        Ok(Leftovers {
            routers: keys(&self.routers)?,
            vips: keys(&self.vips)?,
            peers: keys(&self.peers)?,
            keys: keys(&self.keys)?,
        })
    }

    /// Removes what an earlier run has configured and this one has not, in maps and on interfaces.
    pub fn drop_leftovers(&mut self) -> Result<(), MapError> {
        let leftovers = std::mem::take(&mut self.leftovers);
        leftovers.vips.iter().try_for_each(|key| remove(&mut self.vips, key))?;
        leftovers.peers.iter().try_for_each(|key| self.remove_peer(key))?;
        leftovers.routers.iter().try_for_each(|key| self.remove_router(key))?;
        leftovers.keys.iter().try_for_each(|&id| self.remove_key(id))?;
        self.programs.drop_leftovers();
        Ok(())
    }

    /// The programs, to be attached.
    pub fn programs(&mut self) -> &mut Programs {
        &mut self.programs
    }

    /// The XDP program, for `BPF_PROG_TEST_RUN`.
    pub fn program(&mut self) -> anyhow::Result<&mut Xdp> {
        self.programs.xdp()
    }

    /// Sets what holds for every interface.
    pub fn set_settings(&mut self, settings: Settings) -> Result<(), MapError> {
        self.settings.set(0, settings, 0)
    }

    /// Says that the daemon lives.
    pub fn set_heartbeat(&mut self, heartbeat: Heartbeat) -> Result<(), MapError> {
        self.heartbeat.set(0, heartbeat, 0)
    }

    /// Configures a virtual router, or changes it, and gives it counters and an open fence if it has none.
    pub fn set_router(&mut self, key: RouterKey, router: Router) -> Result<(), MapError> {
        self.leftovers.routers.remove(&key);
        self.add_counters(key)?;
        add(&mut self.fences, key)?;
        self.routers.insert(key, router, 0)
    }

    /// Forgets a virtual router with its role, fence and counters.
    pub fn remove_router(&mut self, key: &RouterKey) -> Result<(), MapError> {
        remove(&mut self.routers, key)?;
        remove(&mut self.roles, key)?;
        remove(&mut self.fences, key)?;
        remove(&mut self.arrivals, key)?;
        remove(&mut self.counters, key)
    }

    /// Says what this node is in a virtual router.
    pub fn set_role(&mut self, key: RouterKey, role: Role) -> Result<(), MapError> {
        self.roles.insert(key, role, 0)
    }

    /// The fence of a virtual router.
    #[must_use]
    pub fn fence(&self, key: &RouterKey) -> Option<Fence> {
        self.fences.get(key, 0).ok()
    }

    /// Moves the fence of a virtual router.
    pub fn set_fence(&mut self, key: RouterKey, fence: Fence) -> Result<(), MapError> {
        self.fences.insert(key, fence, 0)
    }

    /// Says that no fence is closed, where the last one has opened at `now`, so that ordinary traffic is not looked at. To be called
    /// once the daemon has said that it lives: who closes a fence at this moment has not seen that yet, and it opens the fence.
    pub fn forget_fences(&mut self, now: Instant) -> Result<(), MapError> {
        let until_ns = self.fenced_until.get(&0, 0)?;
        if until_ns == 0 || now.as_nanos() < until_ns { Ok(()) } else { self.clear_fenced_until() }
    }

    /// Says that no fence is closed.
    pub fn clear_fenced_until(&mut self) -> Result<(), MapError> {
        self.fenced_until.set(0, 0, 0)
    }

    /// Counts what comes to the virtual addresses of a virtual router from now on.
    pub fn begin_arrivals(&mut self, key: RouterKey) -> Result<(), MapError> {
        self.arrivals.insert(key, Arrivals::default(), 0)
    }

    /// What has come to them since; `None` where it is not counted.
    #[must_use]
    pub fn arrivals(&self, key: &RouterKey) -> Option<Arrivals> {
        self.arrivals.get(key, 0).ok()
    }

    /// Counts no longer.
    pub fn end_arrivals(&mut self, key: &RouterKey) -> Result<(), MapError> {
        remove(&mut self.arrivals, key)
    }

    /// Says until when arrivals are counted, in nanoseconds of CLOCK_MONOTONIC; 0 for not at all.
    pub fn set_watched_until(&mut self, until_ns: u64) -> Result<(), MapError> {
        self.watched_until.set(0, until_ns, 0)
    }

    /// Says whose a virtual address is.
    pub fn set_vip(&mut self, key: VipKey, router: RouterKey) -> Result<(), MapError> {
        self.leftovers.vips.remove(&key);
        self.vips.insert(key, router, 0)
    }

    /// Forgets a virtual address of `router`; one that another virtual router has by now stays.
    pub fn remove_vip(&mut self, key: &VipKey, router: &RouterKey) -> Result<(), MapError> {
        match self.vips.get(key, 0) {
            Ok(owner) if owner == *router => self.vips.remove(key),
            Ok(_) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives `key` counters, if it has none.
    pub fn add_counters(&mut self, key: RouterKey) -> Result<(), MapError> {
        add(&mut self.counters, key)
    }

    /// Forgets the counters of `key`.
    pub fn remove_counters(&mut self, key: &RouterKey) -> Result<(), MapError> {
        remove(&mut self.counters, key)
    }

    /// Adds a sender to the allow-list, or replaces what is known of it.
    pub fn set_peer(&mut self, key: PeerKey, peer: Peer) -> Result<(), MapError> {
        self.leftovers.peers.remove(&key);
        self.peers.insert(key, peer, 0)
    }

    /// Takes a sender off the allow-list, and forgets its mark.
    pub fn remove_peer(&mut self, key: &PeerKey) -> Result<(), MapError> {
        remove(&mut self.peers, key)?;
        remove(&mut self.marks, key)
    }

    /// What is known of a sender; `None` where it is not in the allow-list.
    #[must_use]
    pub fn peer(&self, key: &PeerKey) -> Option<Peer> {
        self.peers.get(key, 0).ok()
    }

    /// Notes the sequence of the last advert of a sender that was verified.
    pub fn set_mark(&mut self, key: PeerKey, mark: u64) -> Result<(), MapError> {
        self.marks.insert(key, mark, 0)
    }

    /// The sequence of the last advert of a sender that was verified.
    #[must_use]
    pub fn mark(&self, key: &PeerKey) -> Option<u64> {
        self.marks.get(key, 0).ok()
    }

    /// Notes that a verified advert has come from `station` at the moment `at_ns`.
    pub fn set_station(&mut self, station: Station, at_ns: u64) -> Result<(), MapError> {
        self.stations.insert(station, at_ns, 0)
    }

    /// Adds a key, or replaces it.
    pub fn set_key(&mut self, id: u32, key: Midstates) -> Result<(), MapError> {
        self.leftovers.keys.remove(&id);
        self.keys.insert(id, key, 0)
    }

    /// Forgets a key.
    pub fn remove_key(&mut self, id: u32) -> Result<(), MapError> {
        remove(&mut self.keys, &id)
    }

    /// The identifiers of the keys.
    pub fn key_ids(&self) -> Result<BTreeSet<u32>, MapError> {
        keys(&self.keys)
    }

    /// Claims of strangers to virtual addresses, in no order.
    #[must_use]
    pub fn claims(&self) -> Vec<(ClaimKey, Claim)> {
        entries(&self.claims, CLAIMS_MAX)
    }

    /// The speakers of VRRP and CARP, in no order.
    #[must_use]
    pub fn sources(&self) -> Vec<(SourceKey, Source)> {
        entries(&self.sources, SOURCES_MAX)
    }

    /// The last bad frames of every CPU, oldest first.
    #[must_use]
    pub fn rejects(&self) -> Vec<Reject> {
        let mut rejects: Vec<Reject> =
            self.rejects.iter().filter_map(Result::ok).flat_map(|values| values.to_vec()).collect();
        rejects.retain(|reject| reject.at_ns != 0);
        rejects.sort_by_key(|reject| reject.at_ns);
        rejects
    }

    /// The counters under `key`; all zero where there are none.
    #[must_use]
    pub fn counters(&self, key: &RouterKey) -> Counters {
        self.counters.get(key, 0).unwrap_or_default()
    }

    /// All counters.
    #[must_use]
    pub fn all_counters(&self) -> Vec<(RouterKey, Counters)> {
        entries(&self.counters, ROUTERS_MAX)
    }

    /// The oldest advert in the ring buffer.
    pub fn next_advert(&mut self) -> Option<AdvertRecord> {
        while let Some(item) = self.adverts.next() {
            if let Some(record) = read_record(&item) {
                return Some(record);
            }
        }
        None
    }
}

impl AsFd for Guard {
    /// Readable when the ring buffer holds an advert.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.adverts.as_fd()
    }
}

fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<T> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("no map `{name}` in the object"))?;
    map.try_into().with_context(|| format!("map `{name}` is not of the expected kind"))
}

fn keys<K: Pod + Ord, V: Pod>(map: &HashMap<MapData, K, V>) -> Result<BTreeSet<K>, MapError> {
    map.keys().collect()
}

/// The entries of a map, in no order.
///
/// At most `most` of them: where entries go while they are read, the kernel begins again with the first, in a flood perhaps
/// for ever.
fn entries<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>, most: usize) -> Vec<(K, V)> {
    // An entry that goes away meanwhile is an error of its own.
    map.iter().take(most).filter_map(Result::ok).collect()
}

/// Gives `key` an empty entry, if it has none.
fn add<K: Pod, V: Pod + Default>(map: &mut HashMap<MapData, K, V>, key: K) -> Result<(), MapError> {
    match map.get(&key, 0) {
        Err(MapError::KeyNotFound) => map.insert(key, V::default(), 0),
        known => known.map(drop),
    }
}

/// Removes the entry of `key`, if it has one.
fn remove<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, key: &K) -> Result<(), MapError> {
    match map.get(key, 0) {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => map.remove(key),
    }
}

/// Reads a record out of the ring buffer's bytes; `None` where they are none, which no version of the program sends.
fn read_record(bytes: &[u8]) -> Option<AdvertRecord> {
    let mut rest = bytes;
    let mut record = AdvertRecord {
        received_at_ns: u64::from_ne_bytes(split(&mut rest)?),
        ifindex: u32::from_ne_bytes(split(&mut rest)?),
        message_len: u16::from_ne_bytes(split(&mut rest)?),
        vlan: u16::from_ne_bytes(split(&mut rest)?),
        family: u8::from_ne_bytes(split(&mut rest)?),
        ttl: u8::from_ne_bytes(split(&mut rest)?),
        source_mac: split(&mut rest)?,
        source: split(&mut rest)?,
        destination: split(&mut rest)?,
        message: [0; MESSAGE_MAX],
    };
    let len = usize::from(record.message_len);
    record.message.get_mut(..len)?.copy_from_slice(rest.get(..len)?);
    Some(record)
}

fn split<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}
