//! Turns decisions into effects on the host. Nothing else changes it.
//!
//! Adverts are sent by the election thread itself, since they must not wait. Addresses and announcements are the work
//! of one task for each virtual router: the election says what should be, the task makes it so and reports what it
//! could not do. A task that is busy sees only the latest word, so nothing can pile up.

pub mod address;
pub mod advertise;
pub mod announce;
pub mod arp;
pub mod crew;
pub mod groups;
pub mod outbox;
pub mod refusal;
pub mod sockets;
pub mod sysctl;
pub mod virtual_mac;

use std::{collections::VecDeque, net::Ipv6Addr, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use ipnet::IpNet;
use rtnetlink::Handle;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, error, warn};
use vrrp::MacAddr;

use self::{
    announce::{Announcer, REPEATS},
    arp::ArpSettings,
    groups::Groups,
    virtual_mac::VirtualMac,
};
use crate::{
    config,
    mailbox::{Mail, Mailbox},
};

/// How long until a virtual address that could not be removed is tried again.
const RELEASE_AGAIN: Duration = Duration::from_secs(1);
/// How long after a sign that addresses were removed the interface is looked at: removals come in groups.
const LOOK_AFTER: Duration = Duration::from_millis(20);
/// How long until it is looked at again after something was amiss.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Attempts to remove the addresses when the agent ends.
const LAST_ATTEMPTS: usize = 3;

/// What the election wants of the virtual addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Off the interface.
    #[default]
    Release,
    /// On the interface, and announced.
    Hold {
        /// Counts the terms as Active, so that the report on one is not taken for the report on another.
        term: u64,
        /// Counts the announcements that are wanted in the term.
        announcement: u64,
    },
}

impl Wish {
    const fn term(self) -> Option<u64> {
        match self {
            Self::Release => None,
            Self::Hold { term, .. } => Some(term),
        }
    }
}

/// Where the virtual addresses go.
#[derive(Clone, Debug)]
pub struct Place {
    /// The interface.
    pub ifindex: u32,
    /// The Ethernet address that is announced for the virtual addresses.
    pub mac: MacAddr,
    /// Where Neighbor Advertisements come from; `None`: from the address that they are about.
    pub link_local: Option<Ipv6Addr>,
    /// For announcements there.
    pub announcer: Arc<Announcer>,
}

/// Keeps the addresses of one virtual router as the election wants them.
#[derive(Debug)]
pub struct Performer {
    /// What its reports call the virtual router.
    pub router: u64,
    /// Its virtual addresses.
    pub addresses: Vec<IpNet>,
    /// The addresses are the host's own, and stay where they are.
    pub owned: bool,
    /// The addresses have the Virtual Router MAC Address, on an interface of their own.
    pub virtual_mac: Option<OnVirtualMac>,
    /// Where they go.
    pub place: watch::Receiver<Place>,
    /// Changes when addresses of an interface may have been removed.
    pub disturbances: watch::Receiver<()>,
    /// For changes of addresses.
    pub handle: Handle,
    /// Where outcomes are reported.
    pub mailbox: Mailbox,
}

/// What it takes to have addresses on a Virtual Router MAC Address.
#[derive(Clone, Debug)]
pub struct OnVirtualMac {
    /// Which one.
    pub mac: VirtualMac,
    /// The interface of the adverts, by name.
    pub below: String,
    /// What that interface must not do meanwhile.
    pub arp: Arc<ArpSettings>,
}

/// What a [`Performer`] has done so far.
#[derive(Debug, Default)]
struct Done {
    /// The wish that the interface now answers to; `None` where it could not be fulfilled.
    wish: Option<Wish>,
    /// When the announcement is repeated.
    repeats: VecDeque<Instant>,
    /// When to look whether the addresses are still there.
    look_at: Option<Instant>,
    /// Where questions for the addresses are heard.
    groups: Groups,
}

impl Done {
    const fn held_term(&self) -> Option<u64> {
        match self.wish {
            Some(wish) => wish.term(),
            None => None,
        }
    }
}

impl Performer {
    /// Follows `wishes` until their sender is gone, and takes the addresses off.
    pub async fn run(mut self, mut wishes: watch::Receiver<Wish>) -> anyhow::Result<()> {
        let mut done = Done { wish: Some(Wish::Release), ..Done::default() };
        loop {
            let repeat_at = done.repeats.front().copied();
            let release_again = done.wish.is_none() && *wishes.borrow() == Wish::Release;
            tokio::select! {
                biased;
                changed = wishes.changed() => match changed {
                    Ok(()) => self.fulfil(&mut wishes, &mut done).await,
                    Err(_) => return self.release_for_good().await,
                },
                Ok(()) = self.disturbances.changed() => {
                    done.look_at = done.look_at.or_else(|| Some(Instant::now() + LOOK_AFTER));
                }
                () = sleep(RELEASE_AGAIN), if release_again => self.fulfil(&mut wishes, &mut done).await,
                () = until(done.look_at), if done.look_at.is_some() => self.look(&wishes, &mut done).await,
                () = until(repeat_at), if repeat_at.is_some() => {
                    done.repeats.pop_front();
                    self.announce();
                }
            }
        }
    }

    /// Makes the latest wish true.
    async fn fulfil(&self, wishes: &mut watch::Receiver<Wish>, done: &mut Done) {
        let wish = *wishes.borrow_and_update();
        match wish {
            Wish::Release => {
                done.repeats.clear();
                done.groups = Groups::default();
                done.wish = self.release().await.then_some(wish);
            }
            Wish::Hold { term, .. } => {
                let is_new = done.held_term() != Some(term);
                if is_new {
                    done.repeats.clear();
                    match self.take(term, wishes).await {
                        Some(Ok(groups)) => done.groups = groups,
                        Some(Err(failure)) => {
                            (done.wish, done.groups) = (None, Groups::default());
                            return self.report(term, Err(failure)).await;
                        }
                        // Superseded: the newer wish is fulfilled next.
                        None => return done.wish = None,
                    }
                }
                if done.wish != Some(wish) && is_latest(term, wishes) {
                    self.announce_repeatedly(done);
                }
                done.wish = Some(wish);
                if is_new {
                    self.report(term, Ok(())).await;
                }
            }
        }
    }

    async fn report(&self, term: u64, outcome: Result<(), String>) {
        self.mailbox.send(Mail::Addresses { router: self.router, term, outcome }).await;
    }

    /// Puts back what somebody else has removed while it should be held: another program, or the kernel, which removes
    /// every secondary address together with the primary one of its subnet.
    async fn look(&self, wishes: &watch::Receiver<Wish>, done: &mut Done) {
        done.look_at = None;
        let Some(term) = done.held_term().filter(|&term| !self.owned && is_latest(term, wishes)) else { return };
        let present = match self.interface().await {
            Ok(Some(ifindex)) => address::list(&self.handle, ifindex).await.map_err(anyhow::Error::from),
            Ok(None) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let missing = match present {
            Ok(present) => {
                let is_present = |net: &IpNet| present.iter().any(|&(address, _)| address == net.addr());
                self.addresses.iter().copied().filter(|net| !is_present(net)).collect::<Vec<_>>()
            }
            Err(error) => {
                warn!(%error, "failed to read the addresses; looking again");
                done.look_at = Some(Instant::now() + LOOK_AGAIN);
                return;
            }
        };
        if missing.is_empty() || !is_latest(term, wishes) {
            return;
        }
        warn!(?missing, "virtual addresses were removed by somebody else: putting them back");
        match self.take(term, wishes).await {
            Some(Ok(groups)) => {
                done.groups = groups;
                self.announce_repeatedly(done);
                // Once a second at most, whoever removes them.
                done.look_at = Some(Instant::now() + LOOK_AGAIN);
            }
            Some(Err(failure)) => {
                (done.wish, done.groups) = (None, Groups::default());
                self.report(term, Err(failure)).await;
            }
            None => done.wish = None,
        }
    }

    /// Puts the addresses on the interface, and listens for questions; `None` where the election no longer wants them.
    async fn take(&self, term: u64, wishes: &watch::Receiver<Wish>) -> Option<Result<Groups, String>> {
        if self.owned {
            return Some(Ok(Groups::default()));
        }
        let ifindex = match self.prepare().await {
            Ok(ifindex) => ifindex,
            Err(error) => {
                self.release().await;
                return Some(Err(format!("{error:#}")));
            }
        };
        for &address in &self.addresses {
            if !is_latest(term, wishes) {
                return None;
            }
            if let Err(error) = address::add(&self.handle, ifindex, address, self.virtual_mac.is_none()).await {
                self.release().await;
                return Some(Err(format!("failed to add {address}: {error}")));
            }
        }
        Some(Ok(Groups::join(ifindex, &self.addresses).unwrap_or_else(|error| {
            warn!(%error, addresses = ?self.addresses, "failed to join their solicited-node groups; the kernel will");
            Groups::default()
        })))
    }

    /// The interface that the addresses go on, made if need be.
    async fn prepare(&self) -> anyhow::Result<u32> {
        let below = self.place.borrow().ifindex;
        let Some(on) = &self.virtual_mac else { return Ok(below) };
        on.arp.impose(&on.below)?;
        on.mac.hold(&self.handle, below).await
    }

    /// The interface that the addresses are on, if there is one.
    async fn interface(&self) -> anyhow::Result<Option<u32>> {
        let below = self.place.borrow().ifindex;
        match &self.virtual_mac {
            Some(on) => on.mac.find(&self.handle, below).await,
            None => Ok(Some(below)),
        }
    }

    /// Takes the addresses off the interface, whoever put them there: a Backup must not answer for them. Says whether
    /// they are gone.
    async fn release(&self) -> bool {
        if self.owned {
            return true;
        }
        let ifindex = self.place.borrow().ifindex;
        if let Some(on) = &self.virtual_mac {
            return match on.mac.release(&self.handle, ifindex).await {
                Ok(()) => true,
                Err(error) => {
                    error!("{error:#}; this host goes on answering for the virtual addresses");
                    false
                }
            };
        }
        let mut gone = true;
        for &address in &self.addresses {
            if let Err(error) = address::remove(&self.handle, ifindex, address).await {
                error!(%address, %error, "failed to remove a virtual address; this host goes on answering for it");
                gone = false;
            }
        }
        gone
    }

    async fn release_for_good(&self) -> anyhow::Result<()> {
        for _ in 0..LAST_ATTEMPTS {
            if self.release().await {
                return Ok(());
            }
            sleep(RELEASE_AGAIN).await;
        }
        bail!("virtual addresses are left on the interface: {:?}", self.addresses)
    }

    fn announce_repeatedly(&self, done: &mut Done) {
        self.announce();
        done.repeats = REPEATS.iter().map(|&after| Instant::now() + after).collect();
    }

    fn announce(&self) {
        let place = self.place.borrow().clone();
        match place.announcer.announce(&place, &self.addresses) {
            Ok(()) => debug!(addresses = ?self.addresses, "announced"),
            Err(error) => warn!(%error, addresses = ?self.addresses, "failed to announce virtual addresses"),
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Whether the election still wants the addresses held in `term`.
fn is_latest(term: u64, wishes: &watch::Receiver<Wish>) -> bool {
    wishes.borrow().term() == Some(term)
}

/// Removes the addresses that an earlier run has left on the interface, which belongs to this agent alone; those of virtual
/// routers that are `held` stay.
///
/// One of `configured` that somebody else has put there stays, and is reported: this host answers for it, whatever its
/// state.
pub async fn sweep(
    handle: &Handle,
    ifindex: u32,
    configured: &[IpNet],
    held: &[&config::VirtualRouter],
) -> anyhow::Result<()> {
    virtual_mac::sweep(handle, ifindex, &held.iter().filter_map(|router| router.virtual_mac()).collect::<Vec<_>>())
        .await?;
    let is_held = |address| held.iter().flat_map(|router| &router.addresses).any(|net| net.addr() == address);
    for (address, message) in address::list(handle, ifindex).await.context("failed to read the addresses")? {
        if is_held(address) {
            continue;
        }
        if address::is_marked(&message) {
            warn!(%address, "removing an address that an earlier run has left");
            address::remove_message(handle, message)
                .await
                .with_context(|| format!("failed to remove {address}, which an earlier run has left"))?;
        } else if configured.iter().any(|net| net.addr() == address) {
            warn!(%address, "a virtual address is on the interface, and vipd did not put it there: remove it");
        }
    }
    Ok(())
}
