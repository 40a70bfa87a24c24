//! Turns decisions into effects on the host. Nothing else changes it.
//!
//! Adverts are sent by the election thread itself, since they must not wait. Addresses and announcements are the work
//! of one task for each virtual router: the election says what should be, the task makes it so and reports what it
//! could not do. A task that is busy sees only the latest word, so nothing can pile up.

pub mod address;
pub mod advertise;
pub mod announce;

use std::{collections::VecDeque, net::Ipv6Addr, sync::Arc};

use ipnet::IpNet;
use rtnetlink::Handle;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{debug, error, warn};
use vrrp::MacAddr;

use self::announce::{Announcer, REPEATS};
use crate::mailbox::{Mail, Mailbox};

/// What the election wants of the virtual addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether the addresses should be on the interface.
    pub hold: bool,
    /// Counts the terms as Active, so that the report on one is not taken for the report on another.
    pub term: u64,
    /// Counts the announcements that are wanted.
    pub announcement: u64,
}

/// Where the virtual addresses go.
#[derive(Clone, Debug)]
pub struct Place {
    /// The interface.
    pub ifindex: u32,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its link-local address, when it is known.
    pub link_local: Option<Ipv6Addr>,
}

/// Keeps the addresses of one virtual router as the election wants them.
#[derive(Debug)]
pub struct Performer {
    /// The virtual router's place among all, which reports carry.
    pub router: usize,
    /// Its virtual addresses.
    pub addresses: Vec<IpNet>,
    /// The addresses are the host's own, and stay where they are.
    pub owned: bool,
    /// Where they go.
    pub place: watch::Receiver<Place>,
    /// For changes of addresses.
    pub handle: Handle,
    /// For announcements.
    pub announcer: Arc<Announcer>,
    /// Where outcomes are reported.
    pub mailbox: Mailbox,
}

impl Performer {
    /// Follows `wishes` until their sender is gone; the addresses are then off the interface.
    pub async fn run(mut self, mut wishes: watch::Receiver<Wish>) {
        let mut done = Wish::default();
        let mut repeats = VecDeque::new();
        loop {
            let repeat_at = repeats.front().copied();
            tokio::select! {
                changed = wishes.changed() => {
                    let last = changed.is_err();
                    let wish = if last { Wish::default() } else { wishes.borrow_and_update().clone() };
                    if self.fulfil(&wish, &done).await {
                        repeats = self.announcements(&wish, &done).unwrap_or(repeats);
                    } else {
                        repeats.clear();
                    }
                    done = wish;
                    if last {
                        return;
                    }
                }
                () = sleep_until(repeat_at.unwrap_or_else(Instant::now)), if repeat_at.is_some() => {
                    repeats.pop_front();
                    self.announce();
                }
            }
        }
    }

    /// Puts the addresses on or takes them off; says whether they are now held.
    async fn fulfil(&mut self, wish: &Wish, done: &Wish) -> bool {
        match (wish.hold, done.hold && wish.term == done.term) {
            (true, true) => true,
            (true, false) => {
                let outcome = self.take().await;
                let held = outcome.is_ok();
                self.mailbox.send(Mail::Addresses { router: self.router, term: wish.term, outcome }).await;
                held
            }
            (false, _) => {
                self.release().await;
                false
            }
        }
    }

    async fn take(&self) -> Result<(), String> {
        if self.owned {
            return Ok(());
        }
        let ifindex = self.place.borrow().ifindex;
        for &address in &self.addresses {
            if let Err(error) = address::add(&self.handle, ifindex, address).await {
                self.release().await;
                return Err(format!("failed to add {address}: {error}"));
            }
        }
        Ok(())
    }

    /// Takes the addresses off the interface, whoever put them there: a Backup must not answer for them.
    pub async fn release(&self) {
        if self.owned {
            return;
        }
        let ifindex = self.place.borrow().ifindex;
        for &address in &self.addresses {
            if let Err(error) = address::remove(&self.handle, ifindex, address).await {
                error!(%address, %error, "failed to remove a virtual address; this host may go on answering for it");
            }
        }
    }

    /// Announces if `wish` wants it, and says when to repeat.
    fn announcements(&self, wish: &Wish, done: &Wish) -> Option<VecDeque<Instant>> {
        if wish.term == done.term && wish.announcement == done.announcement {
            return None;
        }
        self.announce();
        let now = Instant::now();
        Some(REPEATS.iter().map(|&after| now + after).collect())
    }

    fn announce(&self) {
        let announced = self.announcer.announce(&self.place.borrow(), &self.addresses);
        match announced {
            Ok(()) => debug!(addresses = ?self.addresses, "announced"),
            Err(error) => warn!(%error, addresses = ?self.addresses, "failed to announce virtual addresses"),
        }
    }
}
