//! Turns decisions into effects on the host. Nothing else changes it.
//!
//! Adverts are sent by the election thread itself, since they must not wait. Addresses and announcements are the work
//! of one task for each virtual router: the election says what should be, the task makes it so and reports what it
//! could not do. A task that is busy sees only the latest word, so nothing can pile up. All tasks share a thread, which waits for
//! the kernel: what comes meanwhile goes together. Announcements and long lists are left to other threads.

pub mod address;
pub mod advertise;
pub mod announce;
pub mod crew;
pub mod dispatch;
pub mod gateways;
pub mod groups;
pub mod holdings;
mod host;
pub mod neighbours;
pub mod netlink;
pub mod order_queue;
pub mod outbox;
pub mod pace;
pub mod refusal;
pub mod route;
pub mod rule;
pub mod settings;
pub mod sockets;
pub mod station;
pub mod survey;
pub mod sweep;
pub mod sysctl;
mod upkeep;
pub mod virtual_mac;
pub mod worker;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use anyhow::bail;
use ipnet::IpNet;
use rtnetlink::Handle;
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};
use vrrp::MacAddr;

use self::{
    announce::{Announcements, Announcer, Batch},
    dispatch::Dispatch,
    gateways::Gateways,
    groups::Groups,
    holdings::{Change, Ground, Holdings, Item},
    order_queue::OrderQueue,
    settings::Settings,
    survey::Surveyor,
    virtual_mac::VirtualMac,
};
use crate::{
    killpoint::{Moment, pass},
    link::Removals,
    mailbox::{Mail, Mailbox},
    supervisor::vitals::Standing,
};

/// The mark on everything that vipd adds: VRRP's protocol number, as the protocol of addresses, routes and rules.
pub const MARK: u8 = 112;
/// How long until what could not be removed is tried again.
const RELEASE_AGAIN: Duration = Duration::from_secs(1);
/// How long after a sign that something was removed the host is looked at: removals come in groups.
const LOOK_AFTER: Duration = Duration::from_millis(20);
/// Attempts to remove everything when the agent ends.
const LAST_ATTEMPTS: usize = 3;

/// What the election wants of the virtual addresses, and of what goes with them.
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
    /// For announcements there; `None` until there is an interface.
    pub announcer: Option<Arc<Announcer>>,
}

/// Keeps what one virtual router holds as the election wants it.
#[derive(Debug)]
pub struct Performer {
    /// What its reports call the virtual router.
    pub router: u32,
    /// What it holds while it is Active. A change counts at once: what is new is added before what is gone is removed.
    pub holdings: watch::Receiver<Holdings>,
    /// The Virtual Router MAC Address, if the addresses have that, on an interface of their own.
    pub virtual_mac: Option<VirtualMac>,
    /// The name of the interface of the adverts.
    pub interface: String,
    /// What that interface must do meanwhile.
    pub settings: Arc<Settings>,
    /// Changes when a takeover may come at once.
    pub rehearsals: watch::Receiver<()>,
    /// Where the addresses go.
    pub place: watch::Receiver<Place>,
    /// Changes when something that is held may have been removed.
    pub disturbances: watch::Receiver<Removals>,
    /// For interfaces of their own.
    pub handle: Handle,
    /// For everything else that is to be on the host.
    pub orders: OrderQueue,
    /// For looks at the host.
    pub surveyor: Surveyor,
    /// For announcements.
    pub dispatch: Dispatch,
    /// Who is asked for an answer where the configuration does not say.
    pub gateways: Arc<Gateways>,
    /// Where outcomes are reported.
    pub mailbox: Mailbox,
    /// Says whether the supervisor has handed over, because the election thread hangs.
    pub standing: Standing,
}

/// What a [`Performer`] has done so far.
#[derive(Debug)]
struct Done {
    /// The wish that the host now answers to; `None` where it could not be fulfilled.
    wish: Option<Wish>,
    /// What is on the host, or may be.
    held: Vec<Item>,
    /// Where that was put: the place may be another by now. `None` where nothing is held.
    ground: Option<Ground>,
    /// When the last of it was added.
    held_since: Instant,
    /// What is said of the addresses.
    announcements: Announcements,
    /// Gateways have not been asked in this term yet.
    is_to_ask: bool,
    /// When to look whether everything is still there.
    look_at: Option<Instant>,
    /// When to try again to take off what could not be taken off.
    release_at: Option<Instant>,
    /// Where questions for the addresses are heard.
    groups: Groups,
}

impl Done {
    fn nothing() -> Self {
        Self {
            wish: Some(Wish::Release),
            held: Vec::new(),
            ground: None,
            held_since: Instant::now(),
            announcements: Announcements::default(),
            is_to_ask: false,
            look_at: None,
            release_at: None,
            groups: Groups::default(),
        }
    }

    const fn held_term(&self) -> Option<u64> {
        match self.wish {
            Some(wish) => wish.term(),
            None => None,
        }
    }

    /// Takes in that nothing is announced any more, and that the host answers to `wish`.
    fn end(&mut self, wish: Option<Wish>) {
        self.announcements = Announcements::default();
        self.groups = Groups::default();
        self.wish = wish;
    }
}

impl Performer {
    /// Follows `wishes` until their sender is gone, and takes everything off.
    pub async fn run(mut self, mut wishes: watch::Receiver<Wish>) -> anyhow::Result<()> {
        let mut done = Done::nothing();
        // Before a takeover has to wait for it.
        self.note_interface();
        loop {
            let announce_at = done.announcements.next().map(|(at, _)| at);
            tokio::select! {
                biased;
                changed = wishes.changed() => match changed {
                    Ok(()) => self.fulfil(&mut wishes, &mut done).await,
                    Err(_) => return self.release_for_good(&mut done).await,
                },
                Ok(()) = self.holdings.changed() => self.adopt(&wishes, &mut done).await,
                Ok(()) = self.rehearsals.changed() => self.rehearse().await,
                Ok(()) = self.disturbances.changed() => {
                    done.look_at = done.look_at.or_else(|| Some(Instant::now() + LOOK_AFTER));
                }
                () = until(done.release_at), if done.release_at.is_some() => self.fulfil(&mut wishes, &mut done).await,
                () = until(done.look_at), if done.look_at.is_some() => self.look(&wishes, &mut done).await,
                () = until(announce_at), if announce_at.is_some() => self.go_on_announcing(&mut done).await,
            }
        }
    }

    /// Makes the latest wish true.
    async fn fulfil(&mut self, wishes: &mut watch::Receiver<Wish>, done: &mut Done) {
        let wish = *wishes.borrow_and_update();
        done.release_at = None;
        let Wish::Hold { term, .. } = wish else {
            done.end(None);
            if self.release(done).await {
                done.wish = Some(wish);
            } else {
                done.release_at = Some(Instant::now() + RELEASE_AGAIN);
            }
            pass(Moment::Removed);
            return;
        };
        let is_new = done.held_term() != Some(term);
        if is_new {
            done.end(None);
            let holdings = self.holdings.borrow_and_update().clone();
            let change = Change { added: holdings.items(), ..holdings.change(&done.held) };
            if !self.make(term, &change, wishes, done).await {
                return;
            }
            self.remove(&change.last, done).await;
        }
        if done.wish != Some(wish) && self.is_wanted(term, wishes) {
            // What waits to be sent may say something else.
            done.announcements.drop_frames();
            self.announce(&self.announced(), done).await;
            if is_new {
                self.protect();
                self.set_refresh(done);
            }
            pass(Moment::Announced);
        }
        done.wish = Some(wish);
        if is_new {
            self.report(term, Ok(())).await;
            done.is_to_ask = true;
        }
        if done.is_to_ask {
            self.ask_gateways(term, wishes, done).await;
        }
    }

    /// Takes over other holdings: adds and announces what is new, then removes what is gone.
    async fn adopt(&mut self, wishes: &watch::Receiver<Wish>, done: &mut Done) {
        let holdings = self.holdings.borrow_and_update().clone();
        let Some(term) = done.held_term().filter(|&term| self.is_wanted(term, wishes)) else { return };
        let change = holdings.change(&done.held);
        let added: Vec<_> = change.added.iter().filter_map(Item::address).collect();
        debug!(?change, "other holdings");
        if !self.make(term, &change, wishes, done).await {
            return;
        }
        if !added.is_empty() {
            self.announce(&added, done).await;
        }
        self.set_refresh(done);
        if !self.remove(&change.last, done).await {
            // They go with the term at the latest.
            warn!(left = ?names(&change.last), "failed to remove what is no longer to be held");
        }
    }

    /// Makes room for what `change` adds, and adds it.
    async fn make(&self, term: u64, change: &Change, wishes: &watch::Receiver<Wish>, done: &mut Done) -> bool {
        let room = |ground| change.first.iter().map(|item| item.take_off(ground)).collect();
        let is_made = self.put(term, room, &change.added, wishes, done).await;
        done.held.retain(|item| !is_made || !change.first.contains(item));
        is_made
    }

    async fn report(&self, term: u64, outcome: Result<(), String>) {
        self.mailbox.send(Mail::Addresses { router: self.router, term, outcome }).await;
    }

    async fn release_for_good(&mut self, done: &mut Done) -> anyhow::Result<()> {
        for _ in 0..LAST_ATTEMPTS {
            if self.release(done).await {
                return Ok(());
            }
            sleep(RELEASE_AGAIN).await;
        }
        bail!("virtual addresses are left on the interface: {:?}", names(&done.held))
    }

    /// The addresses that are announced.
    fn announced(&self) -> Vec<IpNet> {
        self.holdings.borrow().announced().collect()
    }

    /// Announces `addresses`, beginning at once, and all that are held repeatedly thereafter.
    async fn announce(&self, addresses: &[IpNet], done: &mut Done) {
        done.announcements.start(&self.place.borrow(), addresses, Instant::now());
        // The first frames do not wait for a timer, which counts in milliseconds.
        self.go_on_announcing(done).await;
    }

    /// Asks gateways for an answer to an address, which proves that it is known where the addresses are. Later, if something else is
    /// wanted before it is known who they are: a host of the Internet's routes takes long to list them.
    async fn ask_gateways(&self, term: u64, wishes: &mut watch::Receiver<Wish>, done: &mut Done) {
        let found = tokio::select! {
            biased;
            Ok(()) = wishes.changed() => {
                wishes.mark_changed();
                return;
            }
            found = self.find_gateways(done.held_since) => found,
        };
        done.is_to_ask = false;
        let gateways = match found {
            Ok(gateways) => gateways,
            Err(error) => {
                warn!("{error:#}; whether others hear of the takeover is left to their traffic");
                return;
            }
        };
        done.announcements.ask(gateways.clone(), &self.place.borrow(), &self.announced(), Instant::now());
        self.mailbox.send(Mail::Asked { router: self.router, term, gateways }).await;
    }

    async fn find_gateways(&self, since: Instant) -> anyhow::Result<Vec<IpAddr>> {
        let is_ipv4 = self.announced().first().is_some_and(|address| address.addr().is_ipv4());
        if let Some(gateways) = &self.holdings.borrow().gateways {
            return Ok(gateways.clone());
        }
        // The host's own routes lead through the interface of the adverts, also where the addresses are on one above it.
        let below = self.place.borrow().ifindex;
        let mut found = self.gateways.of(below, since).await?;
        if let Some(Ground { ifindex, is_own: true }) = self.ground().await? {
            found.extend(self.gateways.of(ifindex, since).await?);
        }
        found.retain(|gateway| gateway.is_ipv4() == is_ipv4);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn set_refresh(&self, done: &mut Done) {
        let every = self.holdings.borrow().announcement_refresh;
        done.announcements.set_refresh(every, self.router, Instant::now());
    }

    /// Whether everything is still to be held in `term`: the election wants it, and nobody has handed over for it.
    fn is_wanted(&self, term: u64, wishes: &watch::Receiver<Wish>) -> bool {
        is_latest(term, wishes) && self.standing.is_active()
    }

    async fn go_on_announcing(&self, done: &mut Done) {
        if !self.standing.is_active() {
            done.announcements = Announcements::default();
            return;
        }
        let (addresses, rate) = (self.announced(), self.holdings.borrow().announcement_rate);
        let batch = done.announcements.begin(&self.place.borrow(), &addresses, rate, Instant::now());
        let Some(Batch { announcer, frames }) = batch.filter(|batch| !batch.frames.is_empty()) else { return };
        match self.dispatch.send(announcer, frames, self.standing.clone()).await {
            Ok(unsent) => done.announcements.put_back(unsent, Instant::now()),
            Err(error) => {
                done.announcements.drop_frames();
                warn!(%error, ?addresses, "failed to announce virtual addresses");
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        // A timer counts in milliseconds.
        Some(moment) if moment <= Instant::now() => yield_now().await,
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Whether the election still wants the addresses held in `term`.
fn is_latest(term: u64, wishes: &watch::Receiver<Wish>) -> bool {
    wishes.borrow().term() == Some(term)
}

fn names(items: &[Item]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}
