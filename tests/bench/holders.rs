//! Which host has which address, and since when, as its kernel tells.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use harness::{Host, prefer_this_thread};
use rtnetlink::{
    MulticastGroup, new_multicast_connection, packet_core::NetlinkPayload, packet_route::RouteNetlinkMessage,
};
use tokio::{runtime::Builder, sync::oneshot};
use vipd::perform::address::address;

use crate::moment::now;

/// A host got an address, or lost it.
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
        let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, _handle, mut news) = new_multicast_connection(&groups)?;
        tokio::spawn(connection);
        ready.send(())?;
        let listen = async {
            while let Some((message, _)) = news.next().await {
                let at = now();
                let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
                let is_held = matches!(message, RouteNetlinkMessage::NewAddress(_));
                let (RouteNetlinkMessage::NewAddress(message) | RouteNetlinkMessage::DelAddress(message)) = message
                else {
                    continue;
                };
                if let Some(address) = address(&message) {
                    lock(changes).push(Change { at, node, address, is_held });
                }
            }
        };
        tokio::select! {
            () = listen => {}
            _ = ended => {}
        }
        Ok(())
    })
}
