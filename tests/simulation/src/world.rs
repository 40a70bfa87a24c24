//! The run of a scenario: events in the order of their time, from one host to the next.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    ops::AddAssign,
};

use rand::{RngExt, SeedableRng};
use rand_xorshift::XorShiftRng;
use vrrp::Priority;
use vrrp_wire::abi::Verdict;

use crate::{
    attacker::Attacker,
    clock::Time,
    host::{Effect, Host, Life},
    network::Network,
    oracle::{Oracle, Violation},
    scenario::{Happening, Scenario},
};

/// What comes to a host.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) to: usize,
    pub(crate) frame: Vec<u8>,
    /// The host and the number of the frame among all that it has sent; `None` for a forgery.
    pub(crate) origin: Option<(usize, u64)>,
    pub(crate) is_changed: bool,
    /// It does not come from its sender.
    pub(crate) is_replay: bool,
}

impl Delivery {
    fn describe(&self) -> String {
        let origin =
            self.origin.map_or_else(|| "a forgery".into(), |(host, number)| format!("{number} of host {}", host + 1));
        let changed = if self.is_changed { ", changed" } else { "" };
        let again = if self.is_replay { ", replayed" } else { "" };
        format!("{origin}{changed}{again}")
    }
}

/// What the kernel makes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) verdict: Verdict,
    /// It was good, and there was no room for it.
    pub(crate) is_lost: bool,
}

#[derive(Clone, Debug)]
enum Due {
    Arrival(Delivery),
    Turn(usize),
    AddressDone { host: usize, term: u64, holds: bool },
    Happening(Happening),
    Forgery { left: u32, every: Time },
    Look,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames that arrived.
    pub frames: u64,
    /// Changes of state.
    pub transitions: u64,
    /// Frames that were refused.
    pub refused: u64,
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.transitions += other.transitions;
        self.refused += other.refused;
    }
}

/// The LAN while it runs.
pub(crate) struct World<'t> {
    now: Time,
    number: u64,
    due: BTreeMap<(Time, u64), Due>,
    scenario: Scenario,
    hosts: Vec<Host>,
    turns: Vec<Option<Time>>,
    sent: Vec<u64>,
    network: Network,
    attacker: Attacker,
    oracle: Oracle,
    dice: XorShiftRng,
    summary: Summary,
    trace: Option<&'t mut String>,
}

impl<'t> World<'t> {
    pub(crate) fn new(seed: u64, trace: Option<&'t mut String>) -> Self {
        let mut dice = XorShiftRng::seed_from_u64(seed);
        let scenario = Scenario::new(&mut dice);
        let count = scenario.routers.len();
        let hosts: Vec<_> =
            (1..=u8::try_from(count).unwrap_or(u8::MAX)).map(|number| Host::new(number, &scenario)).collect();
        let mut world = Self {
            now: 0,
            number: 0,
            due: BTreeMap::new(),
            hosts,
            turns: vec![None; count],
            sent: vec![0; count],
            network: Network::new(count, scenario.family, scenario.delay),
            attacker: Attacker::new(&scenario),
            oracle: Oracle::new(&scenario),
            dice,
            summary: Summary::default(),
            trace,
            scenario,
        };
        for (at, happening) in world.scenario.happenings.clone() {
            world.plan(at, Due::Happening(happening));
        }
        world
    }

    /// Runs to the end of the history.
    pub(crate) fn run(mut self) -> Result<Summary, Violation> {
        let scenario = self.scenario.clone();
        self.say(|| {
            format!(
                "{:?} {:?} {:?}, delay {}",
                scenario.version,
                scenario.family,
                scenario.auth,
                Milliseconds(scenario.delay)
            )
        });
        for (place, router) in scenario.routers.iter().enumerate() {
            self.say(|| format!("host {} {:?} {:?}", place + 1, router.parameters, router.clock));
        }
        for host in 0..self.hosts.len() {
            let boot = self.dice.random_range(0..=self.scenario.interval());
            self.plan(boot, Due::Happening(Happening::Start { host }));
        }
        let end = scenario.happenings.last().map_or(0, |&(at, _)| at);
        self.plan(0, Due::Look);
        while let Some(((at, _), due)) = self.due.pop_first() {
            if at > end {
                break;
            }
            self.now = at;
            self.meet(due)?;
        }
        Ok(self.summary)
    }

    fn plan(&mut self, at: Time, due: Due) {
        self.number += 1;
        self.due.insert((at, self.number), due);
    }

    fn meet(&mut self, due: Due) -> Result<(), Violation> {
        match due {
            Due::Arrival(delivery) => self.arrive(&delivery),
            Due::Turn(host) => {
                if self.turns[host].is_some_and(|at| at <= self.now) {
                    self.turns[host] = None;
                }
                let effects = self.hosts[host].turn(self.now);
                self.perform(host, effects)
            }
            Due::AddressDone { host, term, holds } => self.address_done(host, term, holds),
            Due::Happening(happening) => self.happen(&happening),
            Due::Forgery { left, every } => {
                if let Some(delivery) = self.attacker.forge(&mut self.dice) {
                    self.plan(self.now + 1, Due::Arrival(delivery));
                }
                if left > 1 {
                    self.plan(self.now + every, Due::Forgery { left: left - 1, every });
                }
                Ok(())
            }
            Due::Look => {
                // A daemon that runs says so all the time.
                for host in self.hosts.iter_mut().filter(|host| host.is_running()) {
                    host.kernel.beat_at = host.now(self.now);
                }
                self.oracle.look(self.now, &self.hosts, &self.network)?;
                self.plan(self.now + self.oracle.look_every(), Due::Look);
                Ok(())
            }
        }
    }

    fn arrive(&mut self, delivery: &Delivery) -> Result<(), Violation> {
        let host = &mut self.hosts[delivery.to];
        if !host.has_power || !host.is_linked {
            return Ok(());
        }
        self.summary.frames += 1;
        let is_genuine = self.oracle.is_genuine(delivery);
        let (now, wall) = (host.now(self.now), host.clock.sequence(self.now));
        if host.is_running() {
            host.kernel.beat_at = now;
        }
        let waiting = host.kernel.ring.len();
        let verdict = host.kernel.arrive(&delivery.frame, is_genuine, now, wall);
        self.say(|| format!("host {} gets {}: {verdict:?}", delivery.to + 1, delivery.describe()));
        let is_lost = verdict == Some(Verdict::Admitted) && self.hosts[delivery.to].kernel.ring.len() == waiting;
        self.summary.refused += u64::from(verdict != Some(Verdict::Admitted));
        let verdict = verdict.map(|verdict| Arrival { verdict, is_lost });
        self.oracle.arrived(delivery, is_genuine, verdict, self.now, &self.hosts)?;
        let soon = self.now + self.dice.random_range(0..=self.scenario.latency);
        self.wake(delivery.to, soon);
        Ok(())
    }

    /// Lets the daemon run at `at`, unless it runs before.
    fn wake(&mut self, host: usize, at: Time) {
        if self.turns[host].is_none_or(|planned| planned > at) {
            self.turns[host] = Some(at);
            self.plan(at, Due::Turn(host));
        }
    }

    fn perform(&mut self, host: usize, effects: Vec<Effect>) -> Result<(), Violation> {
        for effect in effects {
            match effect {
                Effect::Send { frame, priority } => self.send(host, &frame, priority)?,
                Effect::Hold { term } => self.change_address(host, term, true),
                Effect::Release { term } => self.change_address(host, term, false),
                Effect::Report(transition) => {
                    self.summary.transitions += 1;
                    self.say(|| {
                        format!("host {}: {} to {}: {}", host + 1, transition.from, transition.to, transition.reason)
                    });
                    self.oracle.changed(host, &transition, self.now, &self.hosts)?;
                }
                Effect::Heard { advert, before, after, is_genuine } => {
                    let parameters = *self.hosts[host].election.parameters();
                    self.oracle.heard(host, &advert, (before, after), is_genuine, &parameters, self.now)?;
                }
            }
        }
        if let Some(deadline) = self.hosts[host].deadline() {
            let late = self.dice.random_range(0..=self.scenario.latency);
            self.wake(host, deadline.max(self.now + 1) + late);
        }
        Ok(())
    }

    fn change_address(&mut self, host: usize, term: u64, holds: bool) {
        let at = self.now + self.dice.random_range(0..=self.scenario.latency);
        self.plan(at, Due::AddressDone { host, term, holds });
    }

    fn address_done(&mut self, host: usize, term: u64, holds: bool) -> Result<(), Violation> {
        let (there, now) = (&mut self.hosts[host], self.now);
        match there.life {
            Life::Gone => Ok(()),
            // It goes on when the daemon does.
            Life::Frozen => {
                self.plan(now + self.scenario.interval(), Due::AddressDone { host, term, holds });
                Ok(())
            }
            Life::Running => {
                let effects = there.address_done(term, holds, now);
                self.perform(host, effects)
            }
        }
    }

    fn send(&mut self, from: usize, frame: &[u8], priority: u8) -> Result<(), Violation> {
        self.sent[from] += 1;
        let number = self.sent[from];
        self.say(|| format!("host {} sends {number}, priority {priority}", from + 1));
        let origin = Some((from, self.sent[from]));
        self.oracle.sent(from, priority, self.now, &self.hosts)?;
        self.attacker.overhear(frame, (from, self.sent[from]));
        if !self.hosts[from].is_linked {
            return Ok(());
        }
        for to in (0..self.hosts.len()).filter(|&to| to != from) {
            for copy in self.network.carry(from, to, frame, self.now, &mut self.dice) {
                let delivery =
                    Delivery { to, frame: copy.frame, origin, is_changed: copy.is_changed, is_replay: false };
                self.plan(copy.at, Due::Arrival(delivery));
            }
        }
        Ok(())
    }

    fn happen(&mut self, happening: &Happening) -> Result<(), Violation> {
        self.say(|| format!("{happening:?}"));
        let now = self.now;
        self.oracle.disturbed(happening, now);
        match *happening {
            Happening::Impair { from, to, lost, twice } => {
                self.network.change(from, to, now, |way| (way.lost, way.twice) = (lost, twice));
            }
            Happening::Jitter { most } => self.network.set_jitter(most),
            Happening::Noise { once_in } => self.network.set_noise(once_in),
            Happening::Partition { ref side } => self.network.part(side, now),
            Happening::Freeze { host } => self.freeze(host),
            Happening::Thaw { host } => self.thaw(host),
            Happening::Kill { host } => self.hosts[host].life = Life::Gone,
            Happening::Stop { host } => self.act(host, |host| host.stop(now))?,
            Happening::Start { host } => self.start(host)?,
            Happening::Reload { host, priority } => self.reload(host, priority)?,
            Happening::PowerLoss { host } => self.lose_power(host),
            Happening::PortDown { host } => self.link(host, false),
            Happening::PortUp { host } => self.link(host, true),
            Happening::AddressFailure { host } => self.hosts[host].failures = 1,
            Happening::WallClock { host, ahead } => self.hosts[host].clock.wall_ahead = ahead,
            Happening::Keys { host, step } => self.change_keys(host, step)?,
            Happening::Forge { times, every } => self.plan(now, Due::Forgery { left: times, every }),
            Happening::Calm => self.calm()?,
            Happening::Settled => self.oracle.settled(now, &self.hosts)?,
            Happening::LoseActive { in_order } => self.lose_active(in_order)?,
            Happening::Replaced => self.oracle.replaced(now, &self.hosts)?,
        }
        Ok(())
    }

    /// Lets the daemon act on news, after it has taken in what was heard before.
    fn act(&mut self, host: usize, action: impl FnOnce(&mut Host) -> Vec<Effect>) -> Result<(), Violation> {
        let heard = self.hosts[host].turn(self.now);
        self.perform(host, heard)?;
        let effects = action(&mut self.hosts[host]);
        self.oracle.met(host, self.now);
        self.perform(host, effects)
    }

    fn freeze(&mut self, host: usize) {
        if self.hosts[host].is_running() {
            self.hosts[host].kernel.beat_at = self.hosts[host].now(self.now);
            self.hosts[host].life = Life::Frozen;
            self.oracle.met(host, self.now);
        }
    }

    fn thaw(&mut self, host: usize) {
        if self.hosts[host].life == Life::Frozen {
            self.hosts[host].life = Life::Running;
            self.oracle.attended(host);
            self.oracle.met(host, self.now);
            self.wake(host, self.now);
        }
    }

    fn link(&mut self, host: usize, is_up: bool) {
        if std::mem::replace(&mut self.hosts[host].is_linked, is_up) != is_up {
            self.oracle.met(host, self.now);
            self.wake(host, self.now);
        }
    }

    fn start(&mut self, host: usize) -> Result<(), Violation> {
        self.hosts[host].has_power = true;
        if self.hosts[host].life != Life::Gone {
            return Ok(());
        }
        self.oracle.started(host);
        self.oracle.attended(host);
        let now = self.now;
        self.act(host, |host| host.start(now))
    }

    /// A daemon that does not run takes it in when it starts.
    fn reload(&mut self, host: usize, priority: Priority) -> Result<(), Violation> {
        let (now, was_running) = (self.now, self.hosts[host].is_running());
        self.act(host, |host| host.stop(now))?;
        self.hosts[host].priority = priority;
        if was_running { self.start(host) } else { Ok(()) }
    }

    fn lose_power(&mut self, host: usize) {
        let host_there = &mut self.hosts[host];
        (host_there.has_power, host_there.life) = (false, Life::Gone);
        host_there.kernel.holds_address = false;
        host_there.term += 1;
        self.oracle.met(host, self.now);
    }

    /// The keys of a daemon that is not there are those that it starts with.
    fn set_keys(&mut self, host: usize, keys: (Vec<u8>, u8)) -> Result<(), Violation> {
        if self.hosts[host].life == Life::Frozen {
            return Ok(());
        }
        self.act(host, |host| {
            host.set_keys(keys);
            Vec::new()
        })
    }

    /// The new key is accepted beside the old one, then it signs, then the old one goes.
    fn change_keys(&mut self, host: usize, step: u8) -> Result<(), Violation> {
        let (known, active) = self.hosts[host].keys.clone();
        let old = known.first().copied().unwrap_or(1);
        self.set_keys(
            host,
            match step {
                0 => (vec![old, old + 1], active),
                1 => (known.clone(), known.last().copied().unwrap_or(old)),
                _ => (vec![active], active),
            },
        )
    }

    fn calm(&mut self) -> Result<(), Violation> {
        self.network.mend(self.now);
        self.due.retain(|_, due| !matches!(due, Due::Forgery { .. }));
        for host in 0..self.hosts.len() {
            self.hosts[host].clock.wall_ahead = 0;
            self.hosts[host].failures = 0;
            self.thaw(host);
            self.set_keys(host, (vec![1], 1))?;
            self.link(host, true);
            self.start(host)?;
            let own = self.hosts[host].router.parameters.priority;
            if self.hosts[host].election.parameters().priority != own {
                self.reload(host, own)?;
            }
        }
        Ok(())
    }

    fn lose_active(&mut self, in_order: bool) -> Result<(), Violation> {
        let Some(active) = (0..self.hosts.len()).find(|&host| self.hosts[host].is_active()) else { return Ok(()) };
        self.oracle.losing(active, in_order, self.now, &self.hosts);
        let now = self.now;
        if in_order {
            return self.act(active, |host| host.stop(now));
        }
        self.lose_power(active);
        Ok(())
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            // Writing to a String cannot fail.
            let _ = writeln!(trace, "{} {}", Milliseconds(self.now), what());
        }
    }
}

/// Prints a time.
pub(crate) struct Milliseconds(pub(crate) Time);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7}.{:06} ms", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
