//! How a performer changes the host: everything that comes, and everything that goes, with one write.

use std::io;

use anyhow::Context;
use rtnetlink::packet_route::address::AddressMessage;
use tokio::{sync::watch, time::Instant};
use tracing::{error, warn};

use super::{
    Done, Performer, Wish, address,
    announce::{self, Batch},
    groups::Groups,
    holdings::{Ground, Item},
    netlink::{Order, Refused},
    settings::Occasion,
};
use crate::killpoint::{Moment, pass};

/// Addresses that a rehearsal has of many.
const REHEARSED: usize = 2;
/// The greatest index that the kernel could give an interface.
const NO_INTERFACE: u32 = i32::MAX.cast_unsigned();

impl Performer {
    /// Goes the way of a takeover where it changes nothing: addresses are put on an interface that does not exist, and announced
    /// by a node that is not Active.
    pub(super) async fn rehearse(&self) {
        let addresses: Vec<_> = self.announced().into_iter().take(REHEARSED).collect();
        let nowhere = Ground { ifindex: NO_INTERFACE, is_own: false };
        let orders = addresses.iter().map(|&address| Item::Address(address).put(nowhere)).collect();
        // Each is refused.
        let _ = self.orders.carry_out(orders, None).await;
        let batch = announce::rehearsal(&self.place.borrow(), &addresses);
        if let Some(Batch { announcer, frames }) = batch.filter(|_| !self.standing.is_active()) {
            let _ = self.dispatch.send(announcer, frames, self.standing.clone()).await;
        }
    }

    /// Adds `items`, after the orders that `room` gives for the interface where they go; says whether they are there. Where they
    /// are not, nothing is left, and the election has been told; or it no longer wants anything.
    pub(super) async fn put(
        &self,
        term: u64,
        room: impl FnOnce(Ground) -> Vec<Order>,
        items: &[Item],
        wishes: &watch::Receiver<Wish>,
        done: &mut Done,
    ) -> bool {
        if !self.is_wanted(term, wishes) {
            done.end(None);
            return false;
        }
        let outcome = match self.prepare().await {
            Ok(ground) => {
                pass(Moment::Prepared);
                self.add(ground, room(ground), items, done).await
            }
            Err(error) => Err(format!("{error:#}")),
        };
        let Err(failure) = outcome else { return true };
        done.end(None);
        self.release(done).await;
        // What is no longer wanted is no failure.
        if self.is_wanted(term, wishes) {
            self.report(term, Err(failure)).await;
        }
        false
    }

    async fn add(&self, ground: Ground, room: Vec<Order>, items: &[Item], done: &mut Done) -> Result<(), String> {
        let (first, mut orders) = (room.len(), room);
        orders.extend(items.iter().map(|item| item.put(ground)));
        // Whatever becomes of it, it may be there from now on.
        done.ground = Some(ground);
        let new: Vec<_> = items.iter().filter(|item| !done.held.contains(item)).copied().collect();
        done.held.extend(new);
        let (refused, groups) = self.carry_out(ground, orders).await.map_err(|error| format!("{error:#}"))?;
        let mut failures = refused.iter().filter_map(|Refused { at, error }| {
            let item = items.get(at.checked_sub(first)?)?;
            (!item.is_there(*error)).then(|| format!("failed to add {item}: {}", io::Error::from(*error)))
        });
        if let Some(failure) = failures.next() {
            let others = failures.count();
            return Err(if others == 0 { failure } else { format!("{failure}; and {others} more") });
        }
        (done.held_since, done.groups) = (Instant::now(), groups);
        pass(Moment::Added);
        Ok(())
    }

    /// Has the kernel carry out `orders`, then hears the groups of all addresses.
    async fn carry_out(&self, ground: Ground, orders: Vec<Order>) -> anyhow::Result<(Vec<Refused>, Groups)> {
        let refused = self.orders.carry_out(orders, Some(self.standing.clone())).await;
        let refused = refused.context("failed to ask the kernel for the virtual addresses")?;
        let mut addresses: Vec<_> = self.holdings.borrow().items().iter().filter_map(Item::address).collect();
        addresses.retain(|address| address.addr().is_ipv6());
        if addresses.is_empty() {
            return Ok((refused, Groups::default()));
        }
        let groups = Groups::join(ground.ifindex, &addresses).unwrap_or_else(|error| {
            warn!(%error, ?addresses, "failed to join their solicited-node groups; the kernel will");
            Groups::default()
        });
        Ok((refused, groups))
    }

    /// The interface that the addresses go on, made and set up if need be.
    async fn prepare(&self) -> anyhow::Result<Ground> {
        self.note_interface();
        let below = self.place.borrow().ifindex;
        match self.virtual_mac {
            Some(mac) => {
                self.settings.impose(&self.interface, below, Occasion::VirtualMacAbove)?;
                Ok(Ground { ifindex: mac.hold(&self.handle, below).await?, is_own: true })
            }
            None => Ok(Ground { ifindex: below, is_own: false }),
        }
    }

    /// Keeps for the run after this one where something may be held, if that is not kept yet.
    pub(super) fn note_interface(&self) {
        if let Err(error) = self.settings.note(&self.interface) {
            warn!("{error:#}; `vipd detach` will not know of `{}`", self.interface);
        }
    }

    /// Has the kernel leave what is held where others are removed from beside it. Needed no sooner than that, and no takeover
    /// has to wait for it.
    pub(super) fn protect(&self) {
        let ifindex = self.place.borrow().ifindex;
        // Where nobody may change it, addresses are put back when they have gone with another.
        if self.virtual_mac.is_none()
            && let Err(error) = self.settings.impose(&self.interface, ifindex, Occasion::VirtualAddresses)
        {
            warn!(interface = self.interface, "virtual addresses may go with others: {error:#}");
        }
    }

    /// The interface that what is held was put on, else that where it would be, if there is one.
    async fn ground_of(&self, done: &Done) -> anyhow::Result<Option<Ground>> {
        match done.ground {
            Some(ground) => Ok(Some(ground)),
            None => self.ground().await,
        }
    }

    /// The interface that the addresses are on, if there is one.
    pub(super) async fn ground(&self) -> anyhow::Result<Option<Ground>> {
        let below = self.place.borrow().ifindex;
        match self.virtual_mac {
            Some(mac) => {
                let found = mac.find(&self.handle, below).await?;
                Ok(found.map(|ifindex| Ground { ifindex, is_own: true }))
            }
            None => Ok(Some(Ground { ifindex: below, is_own: false })),
        }
    }

    /// Takes off all that is held or was to be, whoever put the addresses there: a Backup must not answer for them. Says
    /// whether it is gone.
    pub(super) async fn release(&self, done: &mut Done) -> bool {
        let mut items = self.holdings.borrow().items();
        items.extend(done.held.iter().filter(|item| !items.contains(item)).copied().collect::<Vec<_>>());
        let mut is_gone = true;
        if let Some(mac) = self.virtual_mac {
            let below = self.place.borrow().ifindex;
            if let Err(error) = mac.release(&self.handle, below).await {
                error!("{error:#}; this host goes on answering for the virtual addresses");
                is_gone = false;
            }
            // Addresses and routes went with the interface.
            items.retain(|item| !is_gone || matches!(item, Item::Rule(_)));
        }
        is_gone &= self.remove(&items, done).await;
        is_gone &= self.remove_likes(items, done).await;
        if is_gone {
            done.held.clear();
            done.ground = None;
        }
        is_gone
    }

    /// Takes off what is left of the addresses among `items`: somebody else may have put them there with another prefix length,
    /// by which the kernel tells them apart. Says whether they are gone.
    async fn remove_likes(&self, items: Vec<Item>, done: &Done) -> bool {
        let outcome = async {
            let Some(ground) = self.ground_of(done).await? else { return Ok(Vec::new()) };
            let own: Vec<_> = items.iter().filter_map(Item::address).collect();
            let left = self.surveyor.addresses(ground.ifindex, items).await?;
            // One of vipd's with the right length is that of another virtual router, which has it from now on.
            let is_like = |message: &AddressMessage| !address::is_marked(message) || !address::is_one_of(message, &own);
            let orders: Vec<_> = left.into_iter().filter(is_like).map(address::take_off_message).collect();
            if orders.is_empty() { Ok(Vec::new()) } else { Ok(self.orders.carry_out(orders, None).await?) }
        };
        match outcome.await {
            Ok(refused) if refused.iter().all(|refused| Item::is_gone(refused.error)) => true,
            Ok(refused) => {
                error!(
                    ?refused,
                    "virtual addresses are left with another prefix length; this host goes on answering for them"
                );
                false
            }
            Err::<Vec<Refused>, anyhow::Error>(error) => {
                error!("failed to look what is left of virtual addresses: {error:#}");
                false
            }
        }
    }

    /// Removes `items`; says whether they are gone.
    pub(super) async fn remove(&self, items: &[Item], done: &mut Done) -> bool {
        let ground = match self.ground_of(done).await {
            Ok(ground) => ground.unwrap_or(Ground { ifindex: self.place.borrow().ifindex, is_own: true }),
            Err(error) => {
                error!("{error:#}");
                return false;
            }
        };
        // What came last goes first: rules before the routes that they lead to, and of a subnet the address that the others
        // depend on last.
        let items: Vec<_> = items.iter().rev().copied().collect();
        let orders: Vec<_> = items.iter().map(|item| item.take_off(ground)).collect();
        let refused = match self.orders.carry_out(orders, None).await {
            Ok(refused) => refused,
            Err(error) => {
                error!(%error, "failed to ask the kernel to remove virtual addresses; this host goes on answering for them");
                return false;
            }
        };
        let left: Vec<_> = refused.iter().filter(|refused| !Item::is_gone(refused.error)).collect();
        for Refused { at, error } in &left {
            if let Some(item) = items.get(*at) {
                error!(%item, %error, "failed to remove what a virtual router held; this host goes on having it");
            }
        }
        let is_left = |item: &Item| left.iter().any(|refused| items.get(refused.at) == Some(item));
        done.held.retain(|item| !items.contains(item) || is_left(item));
        left.is_empty()
    }
}
