//! The sending sockets, which the virtual routers of an interface share.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use anyhow::Context;
use vrrp::Family;

use super::{advertise::Advertiser, announce::Announcer};
use crate::link::LinkState;

/// The sockets that are open.
#[derive(Debug, Default)]
pub struct Sockets {
    advertisers: HashMap<(u32, Family), Arc<Advertiser>>,
    announcers: HashMap<u32, Arc<Announcer>>,
}

impl Sockets {
    /// What sends the adverts of `family` on the interface.
    pub fn advertiser(&mut self, link: &LinkState, family: Family) -> anyhow::Result<Arc<Advertiser>> {
        let open = || Advertiser::open(&link.interface, link.ifindex, family);
        shared(&mut self.advertisers, (link.ifindex, family), open).with_context(|| no_raw_socket(link))
    }

    /// Takes over a socket that the program before has left open, for adverts of `family` on the interface `ifindex`.
    pub fn adopt(&mut self, ifindex: u32, family: Family, socket: OwnedFd) {
        self.advertisers.insert((ifindex, family), Arc::new(Advertiser::adopt(ifindex, socket)));
    }

    /// The sockets for adverts that are open: index of the interface, family, socket.
    pub fn advertisers(&self) -> impl Iterator<Item = (u32, Family, BorrowedFd<'_>)> {
        self.advertisers.iter().map(|(&(ifindex, family), advertiser)| (ifindex, family, advertiser.as_fd()))
    }

    /// What announces virtual addresses on the interface.
    pub fn announcer(&mut self, link: &LinkState) -> anyhow::Result<Arc<Announcer>> {
        shared(&mut self.announcers, link.ifindex, || Announcer::open(link.ifindex))
            .with_context(|| no_raw_socket(link))
    }

    /// Forgets the sockets of an interface that is gone.
    pub fn forget(&mut self, ifindex: u32) {
        self.advertisers.retain(|&(of, _), _| of != ifindex);
        self.announcers.remove(&ifindex);
    }
}

fn shared<K: Eq + Hash, T>(
    opened: &mut HashMap<K, Arc<T>>,
    key: K,
    open: impl FnOnce() -> io::Result<T>,
) -> io::Result<Arc<T>> {
    Ok(match opened.entry(key) {
        Entry::Occupied(entry) => Arc::clone(entry.get()),
        Entry::Vacant(entry) => Arc::clone(entry.insert(Arc::new(open()?))),
    })
}

fn no_raw_socket(link: &LinkState) -> String {
    format!("failed to open a raw socket on `{}` (it needs CAP_NET_RAW)", link.interface)
}
