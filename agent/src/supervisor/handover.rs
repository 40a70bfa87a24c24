//! Leaves virtual routers in the name of an agent that cannot: says goodbye, and takes their addresses off.
//!
//! Everything that takes long is done beforehand: sockets are open, the key is known. What is left is a system call for each
//! socket and source, and one for each address.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use rtnetlink::Handle;
use tokio::runtime::{Builder, Runtime};
use tracing::{debug, info, warn};
use vrrp::{
    Centiseconds, Family, Priority, Version,
    auth::{Clock, Key, Sequence, Signer},
    frame,
    message::Message,
};
use vrrp_wire::abi::RouterKey;

use super::{
    vitals::Vitals,
    will::{Bequest, Will},
};
use crate::{
    clock,
    instance::Instance,
    perform::{
        advertise::{Advertiser, endpoints},
        announce::Announcer,
        holdings::{Ground, Item},
        netlink::{self, Refused},
        outbox::{Letter, Outbox, Way},
        settings::Settings,
        sweep::{self, Held},
    },
    sequence_file,
};

/// The greatest index that an interface can have; nobody has so many.
const NO_INTERFACE: u32 = i32::MAX.cast_unsigned();
/// Addresses that are asked for in a rehearsal.
const REHEARSED: usize = 2;

/// Who leaves virtual routers, and what it takes.
pub struct Handover {
    bequests: Vec<Bequest>,
    key: Option<Key>,
    window: Duration,
    restart_grace: Duration,
    sequence_file: PathBuf,
    settings: PathBuf,
    open: Open,
    outbox: Outbox,
    is_rehearsed: bool,
    runtime: Runtime,
    handle: Handle,
}

/// The sockets that goodbyes are said through; as few as the agent has.
#[derive(Default)]
struct Open {
    advertisers: HashMap<(u32, Family), Arc<Advertiser>>,
    announcers: HashMap<u32, Arc<Announcer>>,
}

impl Handover {
    /// One with nothing to leave yet, for the agent `instance`.
    pub fn new(instance: &Instance) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("failed to start the runtime")?;
        let connect = || -> io::Result<Handle> {
            let _inside = runtime.enter();
            let (connection, handle, _) = rtnetlink::new_connection()?;
            runtime.spawn(connection);
            Ok(handle)
        };
        let handle = connect().context("failed to open a netlink socket")?;
        Ok(Self {
            bequests: Vec::new(),
            key: None,
            window: Duration::ZERO,
            restart_grace: Duration::ZERO,
            sequence_file: instance.sequence(),
            settings: instance.settings(),
            open: Open::default(),
            outbox: Outbox::default(),
            is_rehearsed: false,
            runtime,
            handle,
        })
    }

    /// The runtime that its requests to the kernel run on.
    #[must_use]
    pub const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// For requests to the kernel, on that runtime.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What there is to leave.
    #[must_use]
    pub fn bequests(&self) -> &[Bequest] {
        &self.bequests
    }

    /// How long another run of the agent is waited for.
    #[must_use]
    pub const fn restart_grace(&self) -> Duration {
        self.restart_grace
    }

    /// Makes ready for `will`, signing with `key`. Where a socket cannot be had, its virtual routers are left without a word.
    pub fn adopt(&mut self, will: Will, key: Option<Key>) {
        let open = std::mem::take(&mut self.open);
        for bequest in &will.bequests {
            if let Err(error) = self.open(bequest, &open) {
                warn!(router = bequest.name, %error, "there will be no goodbye of it: no socket to say it through");
            }
        }
        self.window = will.signing.as_ref().map_or(Duration::ZERO, |signing| signing.window);
        self.restart_grace = will.restart_grace;
        (self.bequests, self.key) = (will.bequests, key.filter(|_| will.signing.is_some()));
    }

    /// Opens what says goodbye for `bequest`, or takes it over from what is open.
    fn open(&mut self, bequest: &Bequest, open: &Open) -> io::Result<()> {
        let (Some(family), ifindex) = (bequest.family(), bequest.ifindex) else { return Ok(()) };
        if bequest.source_mac.is_some() {
            if let Entry::Vacant(entry) = self.open.announcers.entry(ifindex) {
                let known = open.announcers.get(&ifindex).cloned();
                entry.insert(known.map_or_else(|| Announcer::open(ifindex).map(Arc::new), Ok)?);
            }
        } else if let Entry::Vacant(entry) = self.open.advertisers.entry((ifindex, family)) {
            let known = open.advertisers.get(&(ifindex, family)).cloned();
            let new = || Advertiser::outside(&bequest.interface, ifindex, family).map(Arc::new);
            entry.insert(known.map_or_else(new, Ok)?);
        }
        Ok(())
    }

    /// Goes through most of a handover without any effect, once there is something to leave: what that takes of the program and
    /// of memory has been used then, and stays.
    pub fn rehearse(&mut self) {
        if self.is_rehearsed || self.bequests.is_empty() {
            return;
        }
        self.is_rehearsed = true;
        for bequest in self.bequests.clone() {
            self.post(&bequest, None, Centiseconds::MIN, &mut Signer::new());
        }
        self.outbox = Outbox::default();
        let nowhere = Ground { ifindex: NO_INTERFACE, is_own: false };
        let items = self.bequests.iter().flat_map(|bequest| &bequest.items);
        // Rules, and routes too, are found without their interface.
        let addresses = items.filter(|item| matches!(item, Item::Address(_))).take(REHEARSED);
        let orders: Vec<_> = addresses.map(|item| item.take_off(nowhere)).collect();
        let refused = netlink::carry_out(&orders).map(|refused| refused.len());
        let (configured, held) = (BTreeSet::new(), Held::default());
        let swept = self.runtime.block_on(sweep::interface(&self.handle, NO_INTERFACE, &configured, &held));
        debug!(?refused, ?swept, "ready to hand over");
    }

    /// Says goodbye for each of `leaving`, of which `vitals` tell when the agent lived last. Returns the last sequence that
    /// was signed with.
    ///
    /// As an agent that leaves in good order does, it first tells the shortest interval. Not so where another router may have
    /// taken over already: an advert of this priority might make it give way once more.
    pub fn say_goodbye(&mut self, leaving: &[Bequest], vitals: &Vitals) -> Option<Sequence> {
        let silent_for = clock::now().since(vitals.last_beat());
        let mut signer = vitals.sequence().map_or_else(Signer::new, Signer::after);
        for bequest in leaving {
            if bequest.version != Version::V2.number() && silent_for < bequest.untaken_for {
                self.post(bequest, bequest.priority(), Centiseconds::MIN, &mut signer);
            }
            self.post(bequest, None, Centiseconds::MIN, &mut signer);
        }
        self.send();
        self.key.as_ref().and(signer.last())
    }

    /// Sends a regular advert of each of `covered`, in the name of an agent that is about to go on.
    pub fn cover(&mut self, covered: &[Bequest], signer: &mut Signer) {
        for bequest in covered {
            self.post(bequest, bequest.priority(), bequest.interval(), signer);
        }
        self.send();
    }

    fn send(&mut self) {
        self.outbox.flush();
        for outcome in self.outbox.outcomes() {
            if let Err(error) = outcome.result {
                warn!(vrid = outcome.router.vrid, destination = %outcome.destination, %error, "failed to send an advert");
            }
        }
    }

    fn post(&mut self, bequest: &Bequest, priority: Option<Priority>, interval: Centiseconds, signer: &mut Signer) {
        let (Some(source), Some(family), Some(vrid)) = (bequest.source, bequest.family(), bequest.vrid()) else {
            return;
        };
        let message =
            Message { vrid, priority, max_advertise_interval: interval, addresses: bequest.addresses.clone() };
        let clock = Clock { now: clock::wall(), window: self.window };
        let signature = self.key.as_ref().map(|key| (key, signer.next(&clock).sequence));
        for &destination in &bequest.destinations {
            let Some(endpoints) = endpoints(source, destination) else { continue };
            let bytes = bequest.dialect().encode(&message, &endpoints, signature);
            let letter =
                |way, bytes| Letter { router: RouterKey::new(bequest.ifindex, family, vrid), way, endpoints, bytes };
            let posted = match bequest.source_mac() {
                Some(mac) => self.open.announcers.get(&bequest.ifindex).map(|announcer| {
                    letter(Way::Frame(Arc::clone(announcer)), frame::multicast(mac, &endpoints, &bytes))
                }),
                None => self
                    .open
                    .advertisers
                    .get(&(bequest.ifindex, family))
                    .map(|advertiser| letter(Way::Socket(Arc::clone(advertiser)), bytes)),
            };
            if let Some(letter) = posted {
                self.outbox.post(letter);
            }
        }
    }

    /// Takes what `bequest` has on the host off it, the addresses of an owner excepted.
    pub fn remove_items(&self, bequest: &Bequest) {
        let (router, ifindex) = (&bequest.name, bequest.ifindex);
        let mut items = bequest.items.clone();
        if let Some(mac) = bequest.virtual_mac() {
            match self.runtime.block_on(mac.release(&self.handle, ifindex)) {
                // Addresses and routes go with their interface.
                Ok(()) => items.retain(|item| matches!(item, Item::Rule(_))),
                Err(error) => warn!(router, "{error:#}; this host goes on answering for the virtual addresses"),
            }
        }
        remove(bequest, ifindex, items);
    }

    /// Takes `items`, which are not all that `bequest` has on the host, off it.
    pub fn take_off(&self, bequest: &Bequest, items: Vec<Item>) {
        let ground = match bequest.virtual_mac() {
            Some(mac) => self.runtime.block_on(mac.find(&self.handle, bequest.ifindex)),
            None => Ok(Some(bequest.ifindex)),
        };
        match ground {
            Ok(ifindex) => remove(bequest, ifindex.unwrap_or(bequest.ifindex), items),
            Err(error) => warn!(router = bequest.name, ?items, "{error:#}; this host goes on having them"),
        }
    }

    /// Leaves what an agent that is gone has left: a goodbye for the virtual routers that were Active, and then nothing of any
    /// of them is on the host, whatever its role was.
    ///
    /// Afterwards the vitals say that none is Active, so that nobody does it again.
    pub fn settle(&mut self, vitals: &Vitals) {
        let active: Vec<_> = self.bequests.iter().filter(|bequest| vitals.is_active(bequest.slot)).cloned().collect();
        let sequence = self.say_goodbye(&active, vitals);
        for bequest in &active {
            self.remove_items(bequest);
            clear(bequest, vitals);
            info!(router = bequest.name, "handed over for the agent, which is gone");
        }
        for bequest in self.bequests.iter().filter(|bequest| !active.contains(bequest)) {
            // Rules of those that were just being left are on no interface, where a sweep would find them.
            let rules = bequest.items.iter().filter(|item| matches!(item, Item::Rule(_)));
            remove(bequest, bequest.ifindex, rules.copied().collect());
        }
        self.sweep();
        if let Some(sequence) = sequence
            && let Err(error) = sequence_file::write(&self.sequence_file, sequence)
        {
            warn!(%error, "failed to write `{}`", self.sequence_file.display());
        }
    }

    /// Removes what is left besides the addresses of Active Routers: those that were just being removed, and what the host
    /// was forbidden for the sake of a Virtual Router MAC Address.
    fn sweep(&self) {
        let mut interfaces: Vec<_> = self.bequests.iter().map(|bequest| bequest.ifindex).collect();
        interfaces.sort_unstable();
        interfaces.dedup();
        for ifindex in interfaces {
            let (configured, held) = (BTreeSet::new(), Held::default());
            let swept = sweep::interface(&self.handle, ifindex, &configured, &held);
            if let Err(error) = self.runtime.block_on(swept) {
                warn!("{error:#}");
            }
        }
        Settings::new(self.settings.clone()).restore();
    }
}

/// Notes that the virtual router is not Active any more.
pub fn clear(bequest: &Bequest, vitals: &Vitals) {
    if let Err(error) = vitals.set_active(bequest.slot, false) {
        warn!(router = bequest.name, %error, "failed to note that it was handed over");
    }
}

/// Takes `items` of `bequest`, which are on the interface `ifindex`, off this host, what came last first.
fn remove(bequest: &Bequest, ifindex: u32, mut items: Vec<Item>) {
    let router = &bequest.name;
    items.reverse();
    let ground = Ground { ifindex, is_own: bequest.virtual_mac };
    let orders: Vec<_> = items.iter().map(|item| item.take_off(ground)).collect();
    match netlink::carry_out(&orders) {
        Ok(refused) => {
            for Refused { at, error } in refused.into_iter().filter(|refused| !Item::is_gone(refused.error)) {
                if let Some(item) = items.get(at) {
                    warn!(router, %item, %error, "failed to remove what a virtual router held; this host goes on having it");
                }
            }
        }
        Err(error) => warn!(router, %error, "failed to ask the kernel to remove virtual addresses"),
    }
}
