//! The run of a scenario: events in the order of their time, from one host to the next.

mod happenings;

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use rand::RngExt;
use rand_xorshift::XorShiftRng;
use vrrp_wire::abi::Verdict;

use crate::{
    attacker::{Attacker, Forgery},
    clock::Time,
    dice::{Stream, dice},
    host::{Effect, Host, Life, Said},
    kernel::Provenance,
    network::Network,
    oracle::{Oracle, Violation},
    scenario::{Happening, Scenario},
    summary::Summary,
};

/// What comes to a host.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) to: usize,
    pub(crate) frame: Vec<u8>,
    /// The host and the number of the frame among all that it has sent; `None`: no router has sent it.
    pub(crate) origin: Option<(usize, u64)>,
    /// A bit of it was turned on the way.
    pub(crate) is_changed: bool,
    /// What is wrong with it.
    pub(crate) forgery: Option<Forgery>,
}

impl Delivery {
    pub(crate) const fn new(to: usize, frame: Vec<u8>, origin: Option<(usize, u64)>) -> Self {
        Self { to, frame, origin, is_changed: false, forgery: None }
    }

    fn describe(&self) -> String {
        let origin = self
            .origin
            .map_or_else(|| "what nobody sent".into(), |(host, number)| format!("{number} of host {}", host + 1));
        let changed = if self.is_changed { ", changed" } else { "" };
        let forgery = self.forgery.map_or_else(String::new, |forgery| format!(", {forgery:?}"));
        format!("{origin}{changed}{forgery}")
    }
}

#[derive(Clone, Debug)]
enum Due {
    Arrival(Delivery),
    Turn(usize),
    AddressDone {
        host: usize,
        term: u64,
        holds: bool,
    },
    /// The address must have followed the state.
    FollowUp(usize),
    /// A supervisor looks after its daemon.
    Relief(usize),
    Happening(Happening),
    Forgery {
        left: u32,
        every: Time,
    },
    Assault {
        left: u32,
        every: Time,
        leaving: bool,
    },
    Look,
}

/// The LAN while it runs.
pub(crate) struct World<'t> {
    now: Time,
    number: u64,
    due: BTreeMap<(Time, u64), Due>,
    scenario: Scenario,
    hosts: Vec<Host>,
    turns: Vec<Option<Time>>,
    /// What a frozen daemon was about to do with its address: (term, holds).
    wishes: Vec<Vec<(u64, bool)>>,
    sent: Vec<u64>,
    network: Network,
    attacker: Attacker,
    oracle: Oracle,
    network_dice: XorShiftRng,
    turn_dice: XorShiftRng,
    attacker_dice: XorShiftRng,
    summary: Summary,
    trace: Option<&'t mut String>,
}

impl<'t> World<'t> {
    pub(crate) fn new(seed: u64, trace: Option<&'t mut String>) -> Self {
        let scenario = Scenario::new(seed);
        let count = scenario.routers.len();
        let hosts: Vec<_> =
            (1..=u8::try_from(count).unwrap_or(u8::MAX)).map(|number| Host::new(number, &scenario)).collect();
        let mut world = Self {
            now: 0,
            number: 0,
            due: BTreeMap::new(),
            hosts,
            turns: vec![None; count],
            wishes: vec![Vec::new(); count],
            sent: vec![0; count],
            network: Network::new(count, scenario.family, scenario.delay),
            attacker: Attacker::new(&scenario),
            oracle: Oracle::new(&scenario),
            network_dice: dice(seed, Stream::Network),
            turn_dice: dice(seed, Stream::Turns),
            attacker_dice: dice(seed, Stream::Attacker),
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
                "{:?} {:?} {:?}, MAC addresses pinned: {}, delay {}",
                scenario.version,
                scenario.family,
                scenario.auth,
                scenario.pins_macs,
                Milliseconds(scenario.delay)
            )
        });
        for (place, router) in scenario.routers.iter().enumerate() {
            self.say(|| format!("host {} {:?} {:?}", place + 1, router.parameters, router.clock));
        }
        for host in 0..self.hosts.len() {
            let boot = self.turn_dice.random_range(0..=self.scenario.interval());
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
        self.summary += self.oracle.judged;
        self.summary.closings = self.hosts.iter().map(|host| host.kernel.closings).sum();
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
                if let Some(delivery) = self.attacker.forge(&mut self.attacker_dice) {
                    self.plan(self.now + 1, Due::Arrival(delivery));
                }
                if left > 1 {
                    self.plan(self.now + every, Due::Forgery { left: left - 1, every });
                }
                Ok(())
            }
            Due::Assault { left, every, leaving } => {
                self.assail(leaving);
                if left > 1 {
                    self.plan(self.now + every, Due::Assault { left: left - 1, every, leaving });
                }
                Ok(())
            }
            Due::Relief(host) => self.relieve(host),
            Due::FollowUp(host) => {
                self.beat();
                self.oracle.follow_up(host, self.now, &self.hosts[host])
            }
            Due::Look => {
                self.beat();
                self.oracle.look(self.now, &self.hosts, &self.network)?;
                self.plan(self.now + self.oracle.look_every(), Due::Look);
                Ok(())
            }
        }
    }

    /// A daemon that runs says so all the time.
    fn beat(&mut self) {
        for host in self.hosts.iter_mut().filter(|host| host.is_running()) {
            host.kernel.beat_at = host.now(self.now);
        }
    }

    fn arrive(&mut self, delivery: &Delivery) -> Result<(), Violation> {
        let host = &mut self.hosts[delivery.to];
        if !host.has_power || !host.is_linked || host.life == Life::Suspended {
            return Ok(());
        }
        self.summary.frames += 1;
        let provenance = self.oracle.provenance(delivery);
        let (now, wall) = (host.now(self.now), host.clock.sequence(self.now));
        if host.is_running() {
            host.kernel.beat_at = now;
        }
        let arrival = host.kernel.arrive(delivery, provenance, now, wall);
        let verdict = arrival.map(|arrival| arrival.verdict);
        self.say(|| format!("host {} gets {}: {verdict:?}", delivery.to + 1, delivery.describe()));
        self.summary.refused += u64::from(verdict != Some(Verdict::Admitted));
        let is_genuine = provenance == Provenance::Genuine;
        self.oracle.arrived(delivery, is_genuine, arrival, self.now, &self.hosts)?;
        let soon = self.now + self.turn_dice.random_range(0..=self.scenario.latency);
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
                Effect::Send { frame, said } => self.send(host, &frame, said)?,
                Effect::Announce => self.announce(host),
                Effect::Hold { term } => {
                    self.announce(host);
                    self.change_address(host, term, true);
                }
                Effect::Release { term } => self.change_address(host, term, false),
                Effect::Report(transition) => {
                    self.summary.transitions += 1;
                    self.say(|| {
                        format!("host {}: {} to {}: {}", host + 1, transition.from, transition.to, transition.reason)
                    });
                    self.oracle.changed(host, &transition, self.now, &self.hosts)?;
                    self.plan(self.now + self.oracle.address_lag(), Due::FollowUp(host));
                }
                Effect::Hear { advert, before, after, heard } => {
                    self.oracle.heard(host, &advert, (before, after), heard, &self.hosts[host], self.now)?;
                }
                Effect::Refuse { provenance, forgery } => self.oracle.refused(provenance, forgery),
                Effect::Saved { by_stamp: true } => self.summary.saved_by_stamp += 1,
                Effect::Saved { by_stamp: false } => self.summary.saved_by_ring += 1,
            }
        }
        if let Some(deadline) = self.hosts[host].deadline() {
            let late = self.turn_dice.random_range(0..=self.scenario.latency);
            self.wake(host, deadline.max(self.now + 1) + late);
        }
        Ok(())
    }

    fn change_address(&mut self, host: usize, term: u64, holds: bool) {
        let at = self.now + self.turn_dice.random_range(0..=self.scenario.latency);
        self.plan(at, Due::AddressDone { host, term, holds });
    }

    fn address_done(&mut self, host: usize, term: u64, holds: bool) -> Result<(), Violation> {
        let (there, now) = (&mut self.hosts[host], self.now);
        match there.life {
            Life::Gone => Ok(()),
            // It goes on when the daemon does.
            Life::Frozen | Life::Suspended => {
                self.wishes[host].push((term, holds));
                Ok(())
            }
            Life::Running => {
                let effects = there.address_done(term, holds, now);
                self.perform(host, effects)
            }
        }
    }

    fn send(&mut self, from: usize, frame: &[u8], said: Said) -> Result<(), Violation> {
        self.sent[from] += 1;
        let number = self.sent[from];
        let Said { priority, interval, .. } = said;
        self.say(|| format!("host {} sends {number}, priority {priority}, {}", from + 1, Milliseconds(interval)));
        let origin = Some((from, self.sent[from]));
        self.oracle.sent(from, said, self.now, &self.hosts)?;
        self.attacker.overhear(frame, (from, self.sent[from]));
        if !self.hosts[from].is_linked {
            return Ok(());
        }
        for to in (0..self.hosts.len()).filter(|&to| to != from) {
            for copy in self.network.carry(from, to, frame, self.now, &mut self.network_dice) {
                let delivery = Delivery { is_changed: copy.is_changed, ..Delivery::new(to, copy.frame, origin) };
                self.plan(copy.at, Due::Arrival(delivery));
            }
        }
        Ok(())
    }

    fn announce(&mut self, host: usize) {
        self.say(|| format!("host {} announces the address", host + 1));
        self.oracle.announced(host);
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
