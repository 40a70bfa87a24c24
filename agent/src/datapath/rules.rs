//! What the agent tells those who judge, the guard in the kernel and the agent's own tables, and what it asks them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use vrrp::{Instant, MacAddr};
use vrrp_wire::{
    abi::{
        AdvertRecord, Arrivals, Claim, ClaimKey, Counters, Fence, Heartbeat, Peer, PeerKey, Role, Router, RouterKey,
        Station, VipKey,
    },
    hmac::Midstates,
    judge::SIGNED_MAX,
    sequence::from_nanoseconds,
};

use super::{Datapath, guard::Guard};
use crate::clock;

/// How often it is looked whether fences have opened, which a heartbeat need not wait for.
const LOOK_AT_FENCES_EVERY: Duration = Duration::from_secs(1);

impl Datapath {
    /// Tells that the agent lives, and what time it is.
    pub fn set_heartbeat(&mut self, heartbeat: Heartbeat) -> anyhow::Result<()> {
        self.tables.set_wall_clock(from_nanoseconds(heartbeat.beat_ns + heartbeat.wall_offset_ns));
        let Some(guard) = &mut self.guard else { return Ok(()) };
        guard.set_heartbeat(heartbeat).context("failed to write the heartbeat map")?;
        let now = Instant::from_nanos(heartbeat.beat_ns);
        if now < self.fences_looked_at + LOOK_AT_FENCES_EVERY {
            return Ok(());
        }
        self.fences_looked_at = now;
        guard.forget_fences(now).context("failed to write until when fences are closed")
    }

    /// Configures a virtual router, or changes it.
    pub fn set_router(&mut self, key: RouterKey, router: Router) -> anyhow::Result<()> {
        self.tables.set_router(key, router);
        match &mut self.guard {
            Some(guard) => guard.set_router(key, router).context("failed to write the map of virtual routers"),
            None => Ok(()),
        }
    }

    /// Forgets a virtual router, its addresses and its peers.
    pub fn remove_router(
        &mut self,
        key: &RouterKey,
        vips: impl Iterator<Item = VipKey>,
        peers: impl Iterator<Item = PeerKey>,
    ) {
        self.tables.remove_router(key);
        // What cannot be written ends by itself.
        let _ = self.end_watch(key);
        for port in self.ports.iter_mut().filter(|port| port.scope.ifindex == key.ifindex) {
            port.count_anew(clock::now());
        }
        // What cannot be removed concerns an interface on which nothing is judged any more.
        if let Some(guard) = &mut self.guard {
            vips.for_each(|vip| drop(guard.remove_vip(&vip, key)));
            let _ = guard.remove_router(key);
        }
        peers.for_each(|peer| drop(self.remove_peer(&peer)));
    }

    /// Says what this node is in a virtual router. Without a guard there is nobody who would want to know.
    pub fn set_role(&mut self, key: RouterKey, role: Role) -> anyhow::Result<()> {
        match &mut self.guard {
            Some(guard) => guard.set_role(key, role).context("failed to write the map of roles"),
            None => Ok(()),
        }
    }

    /// Says whose a virtual address is.
    pub fn set_vip(&mut self, key: VipKey, router: RouterKey) -> anyhow::Result<()> {
        match &mut self.guard {
            Some(guard) => guard.set_vip(key, router).context("failed to write the map of virtual addresses"),
            None => Ok(()),
        }
    }

    /// Forgets virtual addresses of a virtual router.
    pub fn remove_vips(&mut self, keys: &[VipKey], router: &RouterKey) -> anyhow::Result<()> {
        let Some(guard) = &mut self.guard else { return Ok(()) };
        let mut keys = keys.iter();
        keys.try_for_each(|key| guard.remove_vip(key, router)).context("failed to write the map of virtual addresses")
    }

    /// Adds a sender to the allow-list, perhaps with the only MAC address that it may have. What is known of it stays.
    pub fn set_peer(&mut self, key: PeerKey, mac: Option<MacAddr>) -> anyhow::Result<()> {
        let with_mac = |known: Option<Peer>| Peer {
            mac: mac.map_or([0; 6], |mac| mac.0),
            mac_pinned: u8::from(mac.is_some()),
            ..known.unwrap_or_default()
        };
        self.tables.set_peer(key, with_mac(self.tables.peer_entry(&key)));
        let Some(guard) = &mut self.guard else { return Ok(()) };
        let peer = with_mac(guard.peer(&key));
        guard.set_peer(key, peer).context("failed to write the map of peers")
    }

    /// Takes a sender out of the allow-list.
    pub fn remove_peer(&mut self, key: &PeerKey) -> anyhow::Result<()> {
        self.tables.remove_peer(key);
        match &mut self.guard {
            Some(guard) => guard.remove_peer(key).context("failed to write the map of peers"),
            None => Ok(()),
        }
    }

    /// Notes the sequence of the last verified advert of a sender, which no later one may repeat, and where it came from if it
    /// was too long for the guard.
    pub fn note_sequence(&mut self, key: PeerKey, sequence: u64, record: &AdvertRecord) -> anyhow::Result<()> {
        self.tables.set_mark(key, sequence);
        let Some(guard) = &mut self.guard else { return Ok(()) };
        guard.set_mark(key, sequence).context("failed to write the map of marks")?;
        if usize::from(record.message_len) > SIGNED_MAX {
            let station = Station { ifindex: record.ifindex, vlan: record.vlan, mac: record.source_mac };
            guard.set_station(station, record.received_at_ns).context("failed to write the map of stations")?;
        }
        Ok(())
    }

    /// The sequence of the last verified advert of a sender, in an earlier run perhaps.
    #[must_use]
    pub fn mark(&self, key: &PeerKey) -> Option<u64> {
        use vrrp_wire::judge::Tables as _;
        self.tables.mark(key).or_else(|| self.guard.as_ref()?.mark(key))
    }

    /// Puts `keys` in place of those that are in use: the new ones first, so that there is no moment without a key.
    pub fn set_keys(&mut self, keys: BTreeMap<u8, Midstates>) -> anyhow::Result<()> {
        if let Some(guard) = &mut self.guard {
            for (&id, &midstates) in &keys {
                guard.set_key(u32::from(id), midstates).context("failed to write the map of keys")?;
            }
            for id in guard.key_ids().context("failed to read the map of keys")? {
                if !keys.keys().any(|&kept| u32::from(kept) == id) {
                    guard.remove_key(id).context("failed to write the map of keys")?;
                }
            }
        }
        self.tables.set_keys(keys);
        Ok(())
    }

    /// What the last good advert of a sender said, and when it came.
    #[must_use]
    pub fn peer(&self, key: &PeerKey) -> Option<Peer> {
        if self.is_guarded(key.router.ifindex) { self.guard.as_ref()?.peer(key) } else { self.tables.peer_entry(key) }
    }

    /// The counters under `key`.
    #[must_use]
    pub fn counters(&self, key: &RouterKey) -> Counters {
        match &self.guard {
            Some(guard) if self.is_guarded(key.ifindex) => guard.counters(key),
            Some(_) | None => self.tables.counters(key),
        }
    }

    /// Who judges what comes to an interface: `kernel`, or `socket` where that is the agent.
    #[must_use]
    pub fn judge(&self, ifindex: u32) -> &'static str {
        if self.is_guarded(ifindex) { "kernel" } else { "socket" }
    }

    /// The fence of a virtual router; `None` where no guard is on its interface.
    #[must_use]
    pub fn fence(&self, key: &RouterKey) -> Option<Fence> {
        self.guard.as_ref().filter(|_| self.is_guarded(key.ifindex))?.fence(key)
    }

    /// Counts what comes to the virtual addresses of a virtual router, until `until` at most: a daemon that is gone by then watches
    /// nothing. Goes on where that is counted already. Says whether it can be.
    pub fn watch_arrivals(&mut self, key: RouterKey, until: Instant) -> anyhow::Result<bool> {
        if !self.is_guarded(key.ifindex) {
            return Ok(false);
        }
        let Some(guard) = &mut self.guard else { return Ok(false) };
        if self.watched.insert(key, until).is_none() {
            guard.begin_arrivals(key).context("failed to write the map of arrivals")?;
        }
        self.say_what_is_watched()?;
        Ok(true)
    }

    /// What has come there since; `None` where it is not counted.
    #[must_use]
    pub fn arrivals(&self, key: &RouterKey) -> Option<Arrivals> {
        self.guard.as_ref()?.arrivals(key)
    }

    /// Counts that no longer: while nothing is counted, ordinary traffic is not looked at.
    pub fn end_watch(&mut self, key: &RouterKey) -> anyhow::Result<()> {
        if self.watched.remove(key).is_none() {
            return Ok(());
        }
        self.say_what_is_watched()?;
        match &mut self.guard {
            Some(guard) => guard.end_arrivals(key).context("failed to write the map of arrivals"),
            None => Ok(()),
        }
    }

    fn say_what_is_watched(&mut self) -> anyhow::Result<()> {
        let until_ns = self.watched.values().max().map_or(0, |until| until.as_nanos());
        match &mut self.guard {
            Some(guard) => guard.set_watched_until(until_ns).context("failed to write until when arrivals are counted"),
            None => Ok(()),
        }
    }

    /// The claims of strangers to virtual addresses.
    #[must_use]
    pub fn claims(&self) -> Vec<(ClaimKey, Claim)> {
        self.guard.as_ref().map(Guard::claims).unwrap_or_default()
    }
}
