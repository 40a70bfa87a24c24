//! One virtual router: takes what the datapath, the link and the tasks report, lets the election decide, and has it
//! performed.

mod accept;
mod act;
mod bequest;
pub mod departing;
mod explain;
mod guard;
pub mod handover;
mod member;
pub mod memory;
mod oddities;
mod proof;
mod receive;
mod reconfigure;
mod refusals;
mod report;
mod send;
mod status;
mod timers;
mod tracking;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use tracing::warn;
use vrrp::{
    Centiseconds, Family, Instant, MacAddr, Parameters, Priority, Vrid,
    election::{Action, Cause, Election, Event, Reason, StateName, Transition},
};
use vrrp_wire::abi::{PeerKey, RouterKey};

use self::{
    handover::{PendingAnswer, Successor},
    memory::{Interlude, RouterMemory},
    oddities::Oddities,
    proof::Proof,
    refusals::Refusals,
    tracking::Tracking,
};
use crate::{
    check::board::Standings,
    config::{self, OwnAddress, WireIdentity},
    desk::Desk,
    link::LinkState,
    observe::{History, Tally, event::Condition},
    perform::{
        Place, Wish,
        advertise::Advertiser,
        announce::Announcer,
        crew::{Crew, Reins},
        holdings::Holdings,
        sockets::Sockets,
        virtual_mac::VirtualMac,
    },
    reactor::Interface,
};

/// One virtual router of one family on one interface.
#[derive(Debug)]
pub struct VirtualRouter {
    config: config::VirtualRouter,
    /// Under which the datapath knows it.
    key: RouterKey,
    /// The interface that adverts and addresses are on; 0 while there is none.
    ifindex: u32,
    election: Election,
    own_address: Option<IpAddr>,
    /// The MAC address that is announced for the virtual addresses.
    own_mac: MacAddr,
    /// `None` while there is no interface.
    advertiser: Option<Arc<Advertiser>>,
    /// The task that looks after the addresses.
    reins: Reins,
    /// Virtual addresses that somebody has kept from being answered for, and when last.
    unfit: BTreeMap<IpAddr, Instant>,
    /// Terms as Active so far.
    terms: u64,
    tally: Tally,
    history: History,
    last_transition: Option<Transition>,
    /// What the last failure to hold the addresses said.
    failure: Option<String>,
    /// The last advert of each sender that came through, accepted or not.
    heard: BTreeMap<PeerKey, Heard>,
    /// Link-local senders that no peer of the configuration stands for, and when each was last believed.
    learned: BTreeMap<PeerKey, u64>,
    refusals: Refusals,
    oddities: Oddities,
    /// Whether others have heard of the takeover; `None` where that is not watched.
    proof: Option<Proof>,
    sending_fails: bool,
    /// The node serves only where nobody else does.
    is_drained: bool,
    /// What the checks come to that it goes by.
    tracking: Tracking,
    /// In the same state since when and why, by the program that was here before; until the state changes.
    resumed: Option<(Instant, Option<String>)>,
    /// Who waits for another router to take over from this one.
    handover: Option<PendingAnswer>,
    /// Who alone is told what is sent now.
    only_to: Option<Successor>,
    /// When it takes over from a silent Active Router, with its group; `None` where that does not come by itself.
    takeover_at: Option<Instant>,
    /// Something has happened to it that its group has not looked at yet.
    is_unsettled: bool,
    /// What is to be said of the virtual router whose lead it has followed last.
    leader: Option<String>,
}

/// An advert that came through.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at_ns: u64,
    source: IpAddr,
    /// Its Max Advertise Interval, where the whole advert came through.
    interval: Option<Centiseconds>,
}

impl VirtualRouter {
    /// A virtual router in Initialize on `interface`, which may not be there yet, or as it is in `memory`, with a task of `crew`; the
    /// guard knows it when this returns.
    pub fn build(
        config: config::VirtualRouter,
        interface: &Interface,
        sockets: &mut Sockets,
        crew: &mut Crew,
        desk: &mut Desk,
        memory: Option<(&RouterMemory, Interlude)>,
    ) -> anyhow::Result<Self> {
        let link = &interface.link;
        let (announcer, advertiser) = match interface.ifindex {
            0 => (None, None),
            _ => (Some(sockets.announcer(link)?), Some(sockets.advertiser(link, config.family)?)),
        };
        let known_as = memory.map(|(memory, _)| memory.slot());
        let reins = crew.hire(&config, place(&config, link, announcer), known_as);
        let mut router = Self::new(config, interface, advertiser, reins, &desk.checks);
        if let Some((memory, interlude)) = memory {
            router.resume(memory, interlude);
        }
        router.introduce_peers(&mut desk.datapath)?;
        router.configure(desk)?;
        Ok(router)
    }

    fn new(
        config: config::VirtualRouter,
        interface: &Interface,
        advertiser: Option<Arc<Advertiser>>,
        reins: Reins,
        checks: &Standings,
    ) -> Self {
        let link = &interface.link;
        let tracking = Tracking::new(&config, checks);
        Self {
            key: interface.attachment.scope.key(config.family, config.vrid),
            ifindex: interface.ifindex,
            election: Election::new(parameters(&config, tracking.total.priority, false)),
            own_address: find_own_address(&config, link),
            own_mac: announced_mac(&config, link),
            advertiser,
            reins,
            unfit: BTreeMap::new(),
            terms: 0,
            tally: Tally::default(),
            history: History::default(),
            last_transition: None,
            failure: None,
            heard: BTreeMap::new(),
            learned: BTreeMap::new(),
            refusals: Refusals::default(),
            oddities: Oddities::default(),
            proof: None,
            sending_fails: false,
            is_drained: false,
            tracking,
            resumed: None,
            handover: None,
            only_to: None,
            takeover_at: None,
            is_unsettled: true,
            leader: None,
            config,
        }
    }

    /// What makes it the same one on the wire under another configuration.
    #[must_use]
    pub fn identity(&self) -> WireIdentity {
        self.config.identity()
    }

    /// What reports of its task call it.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.reins.id
    }

    /// Holds something else from now on, at once where it is Active: what is new comes before what is gone goes, and nothing
    /// else is touched. Its adverts and the guard go by the configuration.
    fn hold(&self, holdings: Holdings) {
        self.reins.holdings.send_if_modified(|known| {
            let has_changed = *known != holdings;
            *known = holdings;
            has_changed
        });
    }

    /// Takes in that somebody has kept `address` from being answered for.
    pub fn note_unfit(&mut self, address: IpAddr, now: Instant) {
        self.unfit.insert(address, now);
    }

    /// The key under which the datapath knows it.
    #[must_use]
    pub const fn key(&self) -> RouterKey {
        self.key
    }

    /// The time between its own adverts.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.config.advertisement_interval.duration()
    }

    /// How old the heartbeat gets before the guard takes the agent for hung.
    #[must_use]
    pub fn hung_after(&self) -> Duration {
        self.election.parameters().hung_after()
    }

    /// Begins to take part.
    pub fn start(&mut self, desk: &mut Desk, now: Instant) {
        self.handle(Event::Startup, desk, now);
    }

    /// Leaves, and is `end` from then on.
    pub fn stop(&mut self, end: Condition, desk: &mut Desk, now: Instant) {
        let from = self.election.state().name();
        self.handle(Event::Shutdown, desk, now);
        let transition = Transition { from, to: StateName::Initialize, reason: Reason::Shutdown, at: now };
        self.report_end(transition, end, desk);
    }

    /// Takes in that something keeps it from serving, or no longer does.
    pub fn set_cause(&mut self, cause: Cause, present: bool, desk: &mut Desk, now: Instant) {
        self.handle(if present { Event::Fault(cause) } else { Event::Recovered(cause) }, desk, now);
    }

    /// Takes in that the supervisor has handed over for it.
    pub fn relieve(&mut self, desk: &mut Desk, now: Instant) {
        self.handle(Event::Relieved, desk, now);
    }

    /// Gives up where the supervisor has handed over for it and is gone, which it never could say: it had taken the agent for lost.
    pub fn heed_standing(&mut self, desk: &mut Desk, now: Instant) {
        if self.election.state().name() == StateName::Active && !self.reins.standing.is_active() {
            self.relieve(desk, now);
        }
    }

    /// Its name in the configuration, which is that of both families.
    #[must_use]
    pub fn config_name(&self) -> &str {
        &self.config.name
    }

    /// The name of its interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.config.interface
    }

    /// Leaves its interface, which is gone: the last one that does so closes the socket. One that stayed open would take the
    /// group from the interface that has the index next, when it is closed at last.
    pub fn leave(&mut self) {
        (self.ifindex, self.advertiser) = (0, None);
    }

    /// Whether it is on `interface`, as that is judged now.
    #[must_use]
    pub fn is_on(&self, interface: &Interface) -> bool {
        let key = interface.attachment.scope.key(self.config.family, self.config.vrid);
        (self.ifindex, self.key) == (interface.ifindex, key)
    }

    /// Moves to `interface`, which was made anew, or is judged in another place; nothing of the old one counts any more.
    pub fn settle(&mut self, interface: &Interface, sockets: &mut Sockets, desk: &mut Desk) -> anyhow::Result<()> {
        let link = &interface.link;
        let announcer = Some(sockets.announcer(link)?);
        self.advertiser = Some(sockets.advertiser(link, self.config.family)?);
        self.leave_guard(desk);
        self.key = interface.attachment.scope.key(self.config.family, self.config.vrid);
        self.ifindex = interface.ifindex;
        self.heard.clear();
        self.learned.clear();
        self.refusals.clear();
        self.oddities.clear();
        (self.own_address, self.own_mac) = (find_own_address(&self.config, link), announced_mac(&self.config, link));
        self.reins.places.send_replace(place(&self.config, link, announcer));
        self.introduce_peers(&mut desk.datapath)?;
        self.configure(desk)
    }

    /// Takes in the state of its interface.
    pub fn link(&mut self, link: &LinkState, desk: &mut Desk, now: Instant) {
        if link.interface != self.config.interface {
            return;
        }
        let mut has_moved = false;
        self.reins.places.send_modify(|known| {
            let new = place(&self.config, link, known.announcer.clone());
            has_moved = known.mac != new.mac;
            (known.mac, known.link_local) = (new.mac, new.link_local);
        });
        self.set_own_address(link, desk, now);
        let no_source = match self.config.family {
            Family::Ipv4 => Cause::PrimaryAddress,
            Family::Ipv6 => Cause::Ipv6Source,
        };
        let causes = [(Cause::Link, !link.up || link.ifindex != self.ifindex), (no_source, self.own_address.is_none())];
        // Faults first: one fault in place of another is no recovery in between.
        for &(cause, present) in causes.iter().filter(|(_, present)| *present) {
            self.set_cause(cause, present, desk, now);
        }
        for &(cause, present) in causes.iter().filter(|(_, present)| !present) {
            self.set_cause(cause, present, desk, now);
        }
        if has_moved {
            self.announce_again();
        }
    }

    fn set_own_address(&mut self, link: &LinkState, desk: &mut Desk, now: Instant) {
        let (own_address, own_mac) = (find_own_address(&self.config, link), announced_mac(&self.config, link));
        if (own_address, own_mac) != (self.own_address, self.own_mac) {
            (self.own_address, self.own_mac) = (own_address, own_mac);
            if let Err(error) = self.configure(desk) {
                warn!(router = %self.name(), "{error:#}");
            }
        }
        if let Some(address) = own_address {
            self.handle(Event::PrimaryAddress(address), desk, now);
        }
    }

    /// Lets the timer fire, and posts the adverts that are due; answers what is to be [carried out](Self::carry_out) once
    /// they are sent: others whose timers have fired post theirs first.
    #[must_use]
    pub fn expire(&mut self, desk: &mut Desk, now: Instant) -> Vec<Action> {
        self.elect(Event::Timer, desk, now)
    }

    /// Takes in that the host was suspended.
    pub fn slept(&mut self, span: Duration, desk: &mut Desk, now: Instant) {
        self.handle(Event::Slept(span), desk, now);
    }

    /// Counts a takeover that would have been wrong.
    pub fn count_false_takeover(&mut self) {
        self.tally.false_takeovers_avoided += 1;
        warn!(router = %self.name(), "adverts were handled late; no takeover, since they had come in time");
    }

    /// Takes in what became of the wish to hold the addresses in `term`; of a term that is over it is no news.
    pub fn addresses(&mut self, term: u64, outcome: Result<(), String>, desk: &mut Desk, now: Instant) {
        if !matches!(*self.reins.wishes.borrow(), Wish::Hold { term: current, .. } if current == term) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.failure = None;
                self.note_held(now);
                self.handle(Event::AddressesHeld, desk, now);
            }
            Err(failure) => {
                warn!(router = %self.name(), %failure, "cannot hold the virtual addresses");
                self.failure = Some(failure);
                self.handle(Event::Fault(Cause::VirtualAddresses), desk, now);
            }
        }
    }

    /// What people call it: `NAME/FAMILY`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.config.name, self.config.family)
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// What the election goes by, with the priority that checks have left. A drained node takes over where nobody else does, and
/// from nobody.
fn parameters(config: &config::VirtualRouter, effective: Priority, is_drained: bool) -> Parameters {
    let is_last = is_drained && config.priority != Priority::OWNER;
    let priority = if is_last { Priority::LEAST } else { effective };
    Parameters {
        version: config.version,
        priority,
        advertisement_interval: config.advertisement_interval,
        preempt_after: config.preempt_after,
        startup_delay: config.startup_delay,
        spread: spread(config.advertisement_interval.duration(), config.vrid),
        down_timer_adverts: config.down_timer_adverts,
        learned_interval_max: config.learned_interval_max,
        stagger: config.stagger * better_than(priority, config.peers.iter().map(|peer| peer.priority)),
        breaks_ties: config.group.as_ref().is_none_or(|group| group.breaks_ties),
    }
}

/// How many of `others`, whose priorities are known as they are configured, may be better than one of `priority` where one of them was Active
/// and is gone.
fn better_than(priority: Priority, others: impl Iterator<Item = Priority>) -> u32 {
    let better = others.filter(|&other| other > priority).count();
    u32::try_from(better.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Moments of an interval at which adverts are sent; those of one moment leave together.
const SLOTS: u32 = 4;
/// The longest time between two such moments: who is Backup for many takes them all over within a few of these.
const SLOT_MAX: Duration = Duration::from_millis(1);

/// How far into the interval the adverts of a virtual router are sent, the same on every node: the order among nodes stays
/// that of their priorities.
fn spread(interval: Duration, vrid: Vrid) -> Duration {
    (interval / SLOTS).min(SLOT_MAX) * (u32::from(vrid.get()) % SLOTS)
}

/// The MAC address that is announced for the virtual addresses.
fn announced_mac(config: &config::VirtualRouter, link: &LinkState) -> MacAddr {
    config.virtual_mac().map_or(link.mac, VirtualMac::mac)
}

/// Where the virtual addresses go while `link` is as it is.
#[must_use]
pub fn place(config: &config::VirtualRouter, link: &LinkState, announcer: Option<Arc<Announcer>>) -> Place {
    // What comes from the Virtual Router MAC Address does not come from an address of the interface.
    let link_local = link.link_local().filter(|_| !config.virtual_mac);
    Place { ifindex: link.ifindex, mac: announced_mac(config, link), link_local, announcer }
}

/// The address that adverts come from, if the interface has it.
fn find_own_address(config: &config::VirtualRouter, link: &LinkState) -> Option<IpAddr> {
    match config.own_address {
        OwnAddress::Configured(address) => link.addresses.contains(&address).then_some(address),
        OwnAddress::LinkLocal => link.link_local().map(IpAddr::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_waits_for_the_second_and_the_fourth_for_two() {
        let priority = |number| Priority::new(number).unwrap();
        for (own, others, expected) in [
            (200, vec![150, 100], 0),
            (150, vec![200, 100], 0),
            (100, vec![200, 150], 1),
            (50, vec![200, 150, 100], 2),
            // Checks have taken from its own.
            (90, vec![150, 100], 1),
            (100, vec![100, 100, 100], 0),
            (1, vec![], 0),
        ] {
            assert_eq!(better_than(priority(own), others.iter().copied().map(priority)), expected, "{own} {others:?}");
        }
    }

    /// No virtual router waits a whole interval longer, and one of four waits no longer at all.
    /// Rows: +C2
    #[test]
    fn the_first_wait_is_longer_by_a_part_of_the_interval() {
        for (vrid, interval_ms, spread_us) in
            [(1, 1_000, 1_000), (31, 1_000, 3_000), (32, 1_000, 0), (51, 100, 3_000), (1, 10, 1_000), (255, 10, 3_000)]
        {
            let spread = spread(Duration::from_millis(interval_ms), Vrid::new(vrid).unwrap());
            assert_eq!(spread, Duration::from_micros(spread_us), "VRID {vrid}");
        }
    }
}
