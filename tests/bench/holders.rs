//! Which host has which address, and since when, as its kernel tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::{FutureExt, StreamExt};
use harness::{Host, prefer_this_thread};
use rtnetlink::{
    MulticastGroup, new_multicast_connection,
    packet_core::NetlinkPayload,
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags},
    },
};
use tokio::{runtime::Builder, sync::oneshot};
use vipd::perform::address::address;

use crate::moment::now;

/// Between two looks at what the kernel tells while it tells much; no figure is more exact.
const CALM: Duration = Duration::from_micros(200);

/// A host answers for an address from now on, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) at: Duration,
    /// Number of the host.
    pub(crate) node: usize,
    pub(crate) address: IpAddr,
    pub(crate) is_held: bool,
}

/// Follows the addresses of hosts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Holders {
    changes: Arc<Mutex<Vec<Change>>>,
    _ends: Vec<oneshot::Sender<()>>,
}

impl Holders {
    pub(crate) fn follow(hosts: &[Host]) -> Result<Self> {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let mut ends = Vec::new();
        for (node, host) in hosts.iter().cloned().enumerate() {
            let (end, ended) = oneshot::channel();
            let (ready, is_ready) = sync_channel(1);
            let changes = Arc::clone(&changes);
            thread::spawn(move || host.namespace().enter(|| follow(node, &changes, &ready, ended)));
            is_ready.recv().context("netlink does not answer")?;
            ends.push(end);
        }
        Ok(Self { changes, _ends: ends })
    }

    /// Every change since `moment`, in order.
    pub(crate) fn since(&self, moment: Duration) -> Vec<Change> {
        lock(&self.changes).iter().filter(|change| change.at >= moment).copied().collect()
    }
}

fn lock(changes: &Mutex<Vec<Change>>) -> MutexGuard<'_, Vec<Change>> {
    changes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn follow(
    node: usize,
    changes: &Mutex<Vec<Change>>,
    ready: &SyncSender<()>,
    ended: oneshot::Receiver<()>,
) -> Result<()> {
    prefer_this_thread();
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, _handle, mut news) = new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        ready.send(())?;
        let mut interfaces = Interfaces::default();
        let listen = async {
            while let Some(first) = news.next().await {
                let at = now();
                let others = iter::from_fn(|| news.next().now_or_never().flatten());
                for (message, _) in iter::once(first).chain(others) {
                    let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
                    let told = interfaces.heed(&message).into_iter();
                    lock(changes).extend(told.map(|(address, is_held)| Change { at, node, address, is_held }));
                }
                // Whoever woke up for each of hundreds of addresses would hold up the daemon that puts them on.
                thread::sleep(CALM);
            }
        };
        tokio::select! {
            () = listen => {}
            _ = ended => {}
        }
        Ok(())
    })
}

/// What is on the interfaces of a host, and which of those that somebody has made above the LAN's are down.
#[derive(Default)]
struct Interfaces {
    addresses: BTreeMap<u32, BTreeSet<IpAddr>>,
    down: BTreeSet<u32>,
}

impl Interfaces {
    /// The addresses that the host answers for from now on, or no longer. FRR leaves them where they are, and takes the carrier
    /// from their interface.
    fn heed(&mut self, message: &RouteNetlinkMessage) -> Vec<(IpAddr, bool)> {
        if let RouteNetlinkMessage::NewAddress(message) = message {
            let Some(address) = address(message) else { return Vec::new() };
            self.addresses.entry(message.header.index).or_default().insert(address);
            return if self.down.contains(&message.header.index) { Vec::new() } else { vec![(address, true)] };
        }
        if let RouteNetlinkMessage::DelAddress(message) = message {
            let Some(address) = address(message) else { return Vec::new() };
            self.addresses.entry(message.header.index).or_default().remove(&address);
            return if self.down.contains(&message.header.index) { Vec::new() } else { vec![(address, false)] };
        }
        let RouteNetlinkMessage::NewLink(link) = message else { return Vec::new() };
        if link.attributes.contains(&LinkAttribute::IfName(Host::INTERFACE.to_owned())) {
            return Vec::new();
        }
        let (index, is_up) = (link.header.index, link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp));
        let has_changed = if is_up { self.down.remove(&index) } else { self.down.insert(index) };
        let addresses = self.addresses.get(&index).filter(|_| has_changed).into_iter().flatten();
        addresses.map(|&address| (address, is_up)).collect()
    }
}
