//! The election thread: waits for adverts, mail and deadlines, and serves them in that order.
//!
//! Nothing here blocks except the one wait, and the kernel while a guard is put on an interface that is new, or is exchanged:
//! the supervisor advertises meanwhile. Adverts come before deadlines, so that a thread that was held up learns
//! what it missed before it takes over from anybody.

mod groups;
mod handover;
mod interfaces;
pub mod readiness;
pub mod reload;
mod status;

use std::{
    collections::{BTreeSet, HashMap},
    os::fd::AsFd,
    time::Duration,
};

use anyhow::Context;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::sched_yield,
};
use tracing::{info, warn};
use vrrp::{
    Family, Instant,
    auth::{Key, Sequence},
    election::Cause,
};
use vrrp_wire::abi::{AdvertRecord, Heartbeat, RING_LEN, RouterKey, SHORT_MAX};

use self::{
    groups::{Group, joins},
    readiness::Readiness,
};
use crate::{
    authentication::Authentication,
    check::board::News,
    clock::{self, Alarm},
    config,
    datapath::{AttachMode, Attachment, Datapath, attach::Scope},
    desk::Desk,
    link::LinkState,
    mailbox::{Inbox, Mail},
    observe::{Snapshot, event::Condition},
    perform::{crew::Crew, sockets::Sockets},
    realtime::Lateness,
    restart::{Memory, leave_open},
    router::{VirtualRouter, departing::Departing},
    supervisor::{supervised::Supervised, will::Will},
    watchman::Watchman,
};

/// Frames of each source that are handled before deadlines get their turn again.
const FRAMES_PER_TURN: usize = 128;
/// Adverts of the ring buffer that are handled after this thread seemed to hang: more than it holds.
const RECORDS_AFTER_STALL: usize = RING_LEN / size_of::<AdvertRecord<SHORT_MAX>>();
/// Mail that is handled before deadlines get their turn again.
const MAIL_PER_TURN: usize = 64;
/// Longest time between two heartbeats, which tell the guard that this thread lives.
const BEAT_EVERY_MAX: Duration = Duration::from_millis(500);
/// A thread that wakes so long after its deadline was held up.
const LATE_MIN: Duration = Duration::from_millis(1);
/// The shortest suspension of the host that counts: reading two clocks takes less.
const SUSPENSION_MIN: Duration = Duration::from_millis(100);
/// How often it is looked for what ought to alarm people.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An interface and how its adverts are judged.
#[derive(Debug)]
pub struct Interface {
    /// Its index when the guard and the sockets were put on it; 0 while there is none.
    pub ifindex: u32,
    /// Its state.
    pub link: LinkState,
    /// What judges its adverts.
    pub attachment: Attachment,
    /// When to try again to be there, where that has failed.
    pub again_at: Option<Instant>,
}

impl Interface {
    /// One that is not there.
    #[must_use]
    pub fn absent(name: &str) -> Self {
        let attachment = Attachment { mode: AttachMode::Socket, reason: None, scope: Scope { ifindex: 0, vlan: 0 } };
        Self { ifindex: 0, link: LinkState::absent(name), attachment, again_at: None }
    }
}

/// All elections of this agent.
#[derive(Debug)]
pub struct Reactor {
    /// What virtual routers work with.
    pub desk: Desk,
    /// The virtual routers, in the order of the configuration.
    pub routers: Vec<VirtualRouter>,
    /// Those that have left, and whose addresses may not be off yet.
    pub departing: Vec<Departing>,
    /// Which of them move together.
    pub groups: Vec<Group>,
    /// The interfaces that they are on.
    pub interfaces: Vec<Interface>,
    /// What they send through.
    pub sockets: Sockets,
    /// Who looks after their addresses.
    pub crew: Crew,
    /// News from the rest of the agent.
    pub inbox: Inbox,
    /// Goes off at the next deadline.
    pub alarm: Alarm,
    /// What a [`Snapshot`] says of the agent itself; its lists are filled in when it is asked for.
    pub about: Snapshot,
    /// What people should know of.
    pub watchman: Watchman,
    /// Where each virtual router is among all.
    pub places: HashMap<RouterKey, usize>,
    /// Whether a takeover would be quick.
    pub readiness: Readiness,
    /// How late it has sent.
    pub lateness: Lateness,
    /// What it has to do with the supervisor.
    pub supervised: Supervised,
}

impl Reactor {
    /// Runs the elections until [`Mail::Shutdown`] or an error, and leaves every virtual router. Gives the desk back: the
    /// guard must stay until this host answers for no virtual address any more.
    pub fn run(mut self) -> (anyhow::Result<()>, Desk) {
        let now = clock::now();
        for at in 0..self.interfaces.len() {
            self.heed_link(at, now);
        }
        self.look_around(now);
        if self.about.drained {
            self.routers.iter_mut().for_each(|router| router.set_drained(true, &mut self.desk, now));
        }
        self.bequeath();
        self.regroup(now);
        self.heed_first_checks(now);
        // Who is kept from serving by another one learns it before he begins to take part.
        self.settle_groups(now);
        self.routers.iter_mut().for_each(|router| router.start(&mut self.desk, now));
        self.settle_groups(now);
        let outcome = self.elect();
        info!("leaving");
        let now = clock::now();
        self.routers.iter_mut().for_each(|router| router.stop(Condition::Stopped, &mut self.desk, now));
        self.send();
        self.end_groups(now);
        (outcome, self.desk)
    }

    fn elect(&mut self) -> anyhow::Result<()> {
        self.places = places(&self.routers);
        let mut look_at = clock::now();
        let mut suspended = clock::suspended();
        // What came while the program before gave way.
        self.receive(RECORDS_AFTER_STALL);
        loop {
            let beat_every = self.routers.iter().map(VirtualRouter::interval).fold(BEAT_EVERY_MAX, Duration::min);
            let hung_after = self.routers.iter().map(VirtualRouter::hung_after).fold(Duration::MAX, Duration::min);
            let beat_at = self.beat() + beat_every;
            let due_at = self.wait(beat_at.min(look_at)).context("the election thread cannot wait for events")?;
            // The moment that counts for this turn: everything that is known by the end of it arrived after.
            let now = clock::now();
            self.heed_supervisor(now);
            let slept = clock::suspended().saturating_sub(suspended);
            if slept >= SUSPENSION_MIN {
                suspended += slept;
                warn!(?slept, "the host was suspended");
                self.routers.iter_mut().for_each(|router| router.slept(slept, &mut self.desk, now));
            }
            // What waits to be read when a deadline comes is no sign that this thread is late: nothing but news wakes it before.
            let is_late = now.since(due_at) >= LATE_MIN;
            let late = if is_late { self.takeovers_due(now) } else { BTreeSet::new() };
            // The heartbeat at the end of a turn opens a closed fence: then nothing that closed it may be unread.
            let seemed_hung = now.since(beat_at) + beat_every >= hung_after;
            self.receive(if seemed_hung { RECORDS_AFTER_STALL } else { FRAMES_PER_TURN });
            self.look_after_guard(now);
            if self.take_mail() {
                return Ok(());
            }
            self.confirm_silence(late, now);
            if clock::now().since(now) >= hung_after {
                // This turn was held up in its middle: what came meanwhile comes before deadlines too.
                self.heed_supervisor(now);
                self.receive(RECORDS_AFTER_STALL);
                self.settle_groups(now);
            }
            self.expire(now);
            self.settle_groups(now);
            self.send();
            self.get_ready(now);
            if now >= look_at {
                self.look_around(now);
                self.settle_groups(now);
                look_at = now + LOOK_EVERY;
            }
        }
    }

    /// Lets all timers fire whose time has come. Hundreds of virtual routers take over in one turn: all advertise, with few
    /// system calls, before those who add addresses are woken and compete with this thread; last, people are told.
    fn expire(&mut self, now: Instant) {
        let (mut due, mut fired) = (Vec::new(), Vec::new());
        for (at, router) in self.routers.iter_mut().enumerate().filter(|(_, router)| router.is_due(now)) {
            fired.extend(router.adver_at().filter(|&at| at <= now));
            due.push((at, router.expire(&mut self.desk, now)));
        }
        self.desk.outbox.flush();
        if !fired.is_empty() {
            let sent_at = clock::now();
            for at in fired {
                self.lateness.note(sent_at.since(at));
            }
        }
        let mut changes = Vec::new();
        for (at, rest) in due {
            if let Some(router) = self.routers.get_mut(at) {
                let new = router.carry_out(rest, &mut self.desk, now);
                changes.extend(new.into_iter().map(|transition| (at, transition)));
            }
        }
        if !changes.is_empty() {
            // Those that were just woken may wait for this CPU, and clients for them.
            let _ = sched_yield();
        }
        for (at, transition) in changes {
            if let Some(router) = self.routers.get(at) {
                router.report(transition, &self.desk);
            }
        }
    }

    /// Sends the adverts of this turn.
    fn send(&mut self) {
        self.desk.outbox.flush();
        for outcome in self.desk.outbox.outcomes() {
            if let Some(router) = self.places.get(&outcome.router).and_then(|&at| self.routers.get_mut(at)) {
                router.sent(&outcome);
            }
        }
    }

    /// Tells the guard that this thread lives, having acted on everything that it knew; says when.
    fn beat(&mut self) -> Instant {
        let now = clock::now();
        let heartbeat = Heartbeat { beat_ns: now.as_nanos(), wall_offset_ns: clock::wall_offset_ns() };
        if let Err(error) = self.desk.datapath.set_heartbeat(heartbeat) {
            self.watchman.once(&format!("the guard is not told that the agent lives: {error:#}"));
        }
        self.tell_supervisor(now);
        now
    }

    /// Tells the supervisor that this thread lives.
    fn tell_supervisor(&mut self, now: Instant) {
        let sequence = self.desk.authentication.as_ref().and_then(Authentication::last_sent);
        if let Err(error) = self.supervised.beat(now, sequence) {
            self.watchman.once(&format!("the supervisor is not told that the agent lives: {error}"));
        }
    }

    /// Takes in what the supervisor has done while this thread seemed to hang.
    fn heed_supervisor(&mut self, now: Instant) {
        while let Some(relief) = self.supervised.relief() {
            if let (Some(authentication), Some(sequence)) = (&mut self.desk.authentication, relief.sequence) {
                authentication.heed(sequence);
            }
            for router in self.routers.iter_mut().filter(|router| relief.slots.contains(&router.slot())) {
                router.relieve(&mut self.desk, now);
            }
        }
    }

    /// Tells the supervisor how virtual routers are left, if that has changed.
    fn bequeath(&self) {
        let (key, signing) = self.desk.authentication.as_ref().and_then(Authentication::signing).unzip();
        let grace = self.supervised.restart_grace;
        let will = Will::new(signing, grace, self.routers.iter().filter_map(VirtualRouter::bequest).collect());
        self.supervised.bequeath(will, key);
    }

    fn look_around(&mut self, now: Instant) {
        self.routers.iter_mut().for_each(|router| router.heed_standing(&mut self.desk, now));
        self.settle_again(now);
        self.see_off();
        if let Some(present) = self.watchman.clock_gate(&self.desk, now) {
            for router in &mut self.routers {
                router.set_cause(Cause::Clock, present, &mut self.desk, now);
            }
        }
        self.routers.iter_mut().for_each(|router| router.look_at_proof(&mut self.desk, now));
        self.watchman.look(&self.routers, &self.desk, now);
    }

    /// Waits for something to read, the next deadline, or `latest`; says when the deadline was.
    fn wait(&self, latest: Instant) -> nix::Result<Instant> {
        let deadline = self
            .routers
            .iter()
            .filter_map(VirtualRouter::deadline)
            .chain(self.desk.datapath.deadline())
            .chain(self.ready_at())
            .fold(latest, Instant::min);
        self.alarm.set(deadline)?;
        let mut fds: Vec<_> = [self.inbox.as_fd(), self.alarm.as_fd()]
            .into_iter()
            .chain(self.supervised.fd())
            .chain(self.desk.datapath.fds())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(deadline),
            Err(error) => Err(error),
        }
    }

    /// Hands every advert that waits to its virtual router, so many of the ring buffer at most.
    fn receive(&mut self, records: usize) {
        let mut turn = Datapath::turn(records, FRAMES_PER_TURN);
        while let Some(record) = self.desk.datapath.next_advert(&mut turn) {
            let key = RouterKey {
                ifindex: record.ifindex,
                vlan: record.vlan,
                family: record.family,
                vrid: record.message.get(1).copied().unwrap_or(0),
            };
            if let Some(router) = self.places.get(&key).and_then(|&at| self.routers.get_mut(at)) {
                router.advert(&record, &mut self.desk, clock::now());
            }
        }
    }

    /// The virtual routers that would take over now because nothing was heard.
    fn takeovers_due(&self, now: Instant) -> BTreeSet<RouterKey> {
        let is_due = |router: &&VirtualRouter| router.is_backup() && router.is_due(now);
        self.routers.iter().filter(is_due).map(VirtualRouter::key).collect()
    }

    fn router(&mut self, key: RouterKey) -> Option<&mut VirtualRouter> {
        self.places.get(&key).and_then(|&at| self.routers.get_mut(at))
    }

    /// Asks the kernel's stamps before a takeover: where an advert got lost on its way here, its stamp did not.
    ///
    /// `late` are those that were due when this thread woke, where it was held up; a takeover that does not happen after all is
    /// counted.
    fn confirm_silence(&mut self, mut late: BTreeSet<RouterKey>, now: Instant) {
        self.settle_groups(now);
        let due = self.takeovers_due(now);
        let mut stamps = Vec::new();
        for key in &due {
            let router = self.places.get(key).and_then(|&at| self.routers.get(at));
            stamps.extend(router.map(|router| (*key, router.stamps(&self.desk.datapath))));
        }
        if !stamps.is_empty() {
            // A stamp whose advert waits in the ring buffer is no news; the advert itself is.
            self.receive(FRAMES_PER_TURN);
        }
        for (key, stamps) in stamps {
            if let Some(router) = self.places.get(&key).and_then(|&at| self.routers.get_mut(at)) {
                router.heed_stamps(stamps, &mut self.desk, now);
            }
        }
        self.settle_groups(now);
        late.extend(due);
        for key in late {
            if let Some(router) = self.router(key).filter(|router| router.is_backup() && !router.is_due(now)) {
                router.count_false_takeover();
            }
        }
    }

    /// Serves the mail; says whether it was the last.
    fn take_mail(&mut self) -> bool {
        self.inbox.clear();
        for _ in 0..MAIL_PER_TURN {
            let Some(mail) = self.inbox.take() else { return false };
            let now = clock::now();
            match mail {
                Mail::Link(link) => self.link_changed(link, now),
                Mail::Addresses { router, term, outcome } => {
                    if let Some(router) = self.routers.iter_mut().find(|known| known.id() == router) {
                        router.addresses(term, outcome, &mut self.desk, now);
                    }
                }
                Mail::Asked { router, term, gateways } => {
                    if let Some(router) = self.routers.iter_mut().find(|known| known.id() == router) {
                        router.note_asked(term, gateways);
                    }
                }
                Mail::Unfit { router, address } => {
                    if let Some(router) = self.routers.iter_mut().find(|known| known.id() == router) {
                        router.note_unfit(address, now);
                    }
                }
                Mail::Checks(news) => self.heed_checks(&news, now),
                Mail::Supervisor(supervisor) => self.supervised.turn_to(supervisor),
                Mail::Status(asker) => {
                    // An asker that has gone away needs no answer.
                    let _ = asker.send(self.snapshot(now));
                }
                Mail::Explain { router, asker } => {
                    let _ = asker.send(self.explain(router.as_deref(), now));
                }
                Mail::Candidate { router, node, asker } => {
                    let _ = asker.send(self.candidate(&router, &node));
                }
                Mail::HandOver { request, asker } => {
                    let _ = asker.send(self.hand_over(&request, now));
                }
                Mail::Reload { reload, done } => {
                    // An asker that has gone away needs no answer.
                    let _ = done.send(self.reload(*reload, now));
                }
                Mail::Freeze { memory, thaw } => {
                    if memory.send(self.remember(now)).is_ok() {
                        // Nothing is ever sent where all goes well: the process goes on as another program.
                        let _ = thaw.recv();
                    }
                }
                Mail::Shutdown => return true,
            }
        }
        self.inbox.wake();
        false
    }

    /// Takes in what checks have come to.
    fn heed_checks(&mut self, news: &News, now: Instant) {
        for (check, standing) in &news.changes {
            match standing {
                Some(standing) => drop(self.desk.checks.insert(check.clone(), standing.clone())),
                None => drop(self.desk.checks.remove(check)),
            }
        }
        let (routers, desk) = (&mut self.routers, &mut self.desk);
        let concerned = routers.iter_mut().filter(|router| router.goes_by(&news.changes));
        concerned.for_each(|router| router.heed_checks(desk, now));
        self.bequeath();
    }

    /// Takes in what checks have come to before any virtual router starts; those that go on take part already.
    fn heed_first_checks(&mut self, now: Instant) {
        let joining: Vec<_> = self.routers.iter().map(|router| joins(router, &self.routers)).collect();
        for (router, joins) in self.routers.iter_mut().zip(joining) {
            router.heed_first_checks(joins, &mut self.desk, now);
        }
    }

    /// What the next program in this process is to know.
    fn remember(&mut self, now: Instant) -> anyhow::Result<Memory> {
        self.settle_groups(now);
        // What is to be said in this turn: nobody says it in the next program.
        self.send();
        let mut memory = Memory::new();
        memory.routers = self.routers.iter().filter_map(|router| router.to_memory(now)).collect();
        memory.lateness = Some(self.lateness.distribution().clone());
        memory.sequence = self.desk.authentication.as_ref().and_then(Authentication::last_sent).map(Sequence::get);
        for (ifindex, family, socket) in self.sockets.advertisers() {
            memory.descriptors.advertisers.push((ifindex, family == Family::Ipv6, leave_open(socket)?));
        }
        // The supervisor is to sign after the last sequence.
        self.beat();
        memory.descriptors.supervisor = self.supervised.give_way()?;
        Ok(memory)
    }

    /// Takes over other keys: first the guard learns the new ones, then the old ones go, so that none is missed.
    fn change_authentication(&mut self, config: &config::Auth, keys: Vec<Key>) -> anyhow::Result<()> {
        let authentication = self.desk.authentication.as_mut().context("adverts are not authenticated")?;
        authentication.change(config, keys)?;
        let midstates = authentication.midstates();
        self.desk.datapath.set_keys(midstates).context("failed to write the map of keys")?;
        self.bequeath();
        self.routers.iter().try_for_each(|router| router.configure(&mut self.desk))
    }
}

/// Where each virtual router is among all.
fn places(routers: &[VirtualRouter]) -> HashMap<RouterKey, usize> {
    routers.iter().enumerate().map(|(at, router)| (router.key(), at)).collect()
}
