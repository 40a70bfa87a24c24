//! Nodes that run two virtual routers each, which move together: the same histories, with links that one of the two may lose
//! alone.
//!
//! What each of the two does is judged by the oracle elsewhere. Here is what binds them: a node is Active for both or for
//! neither, at any time; without faults one node is, the best that may, and it stays.

mod happenings;

use std::{collections::BTreeMap, fmt::Write};

use rand::RngExt;
use rand_xorshift::XorShiftRng;
use vrrp::{
    Family, Priority, Version,
    election::StateName,
    group::{self, Order},
};

use crate::{
    clock::Time,
    dice::{Stream, dice},
    host::{Effect, Host, Life},
    kernel::Provenance,
    network::Network,
    oracle::Violation,
    scenario::{Happening, Scenario, address},
    summary::Summary,
    world::{Delivery, Milliseconds},
};

#[derive(Clone, Debug)]
enum Due {
    /// On the network of one of the two.
    Arrival(usize, Delivery),
    Turn(usize),
    AddressDone {
        node: usize,
        half: usize,
        term: u64,
        holds: bool,
    },
    Relief(usize),
    Happening(Happening),
}

/// A node with its two virtual routers, which share whatever befalls it.
struct Node {
    halves: [Host; 2],
    /// What a frozen daemon was about to do with its addresses: (half, term, holds).
    wishes: Vec<(usize, u64, bool)>,
    turn: Option<Time>,
    /// When it last stood again after a fault, or stood aside.
    returned_at: Option<Time>,
}

impl Node {
    fn life(&self) -> Life {
        self.halves[0].life
    }

    fn is_all(&self, state: StateName) -> bool {
        self.halves.iter().all(|half| half.is_running() && half.state() == state)
    }

    fn is_torn(&self) -> bool {
        let actives = self.halves.iter().filter(|half| half.state() == StateName::Active).count();
        self.life() == Life::Running && actives == 1
    }
}

/// An owner moves alone.
fn movable(priority: Priority) -> Priority {
    Priority::new(priority.get().min(254)).unwrap_or(priority)
}

/// The LAN while it runs.
pub(crate) struct Pairs<'t> {
    now: Time,
    number: u64,
    due: BTreeMap<(Time, u64), Due>,
    scenario: Scenario,
    nodes: Vec<Node>,
    networks: [Network; 2],
    dice: XorShiftRng,
    is_settled: bool,
    summary: Summary,
    trace: Option<&'t mut String>,
}

impl<'t> Pairs<'t> {
    pub(crate) fn new(seed: u64, trace: Option<&'t mut String>) -> Self {
        let mut scenario = Scenario::new(seed);
        for router in &mut scenario.routers {
            router.parameters.priority = movable(router.parameters.priority);
        }
        let families = match scenario.version {
            Version::V2 => [Family::Ipv4; 2],
            Version::V3 => [Family::Ipv4, Family::Ipv6],
        };
        let scenarios = [0, 1].map(|half| {
            let mut scenario = Scenario { family: families[half], ..scenario.clone() };
            for (number, router) in (1..).zip(&mut scenario.routers) {
                // Of equal priorities each of the two would decide otherwise.
                router.address = address(families[half], if half == 0 { number } else { 100 - number });
                router.parameters.breaks_ties = half == 0;
            }
            scenario
        });
        let count = scenario.routers.len();
        let node = |number| Node {
            halves: [0, 1].map(|half| Host::new(number, &scenarios[half])),
            wishes: Vec::new(),
            turn: None,
            returned_at: None,
        };
        Self {
            now: 0,
            number: 0,
            due: BTreeMap::new(),
            nodes: (1..=u8::try_from(count).unwrap_or(u8::MAX)).map(node).collect(),
            networks: families.map(|family| Network::new(count, family, scenario.delay)),
            dice: dice(seed, Stream::Pairs),
            is_settled: false,
            summary: Summary::default(),
            trace,
            scenario,
        }
    }

    /// Runs to the end of the history.
    pub(crate) fn run(mut self) -> Result<Summary, Violation> {
        for node in 0..self.nodes.len() {
            let boot = self.dice.random_range(0..=self.scenario.interval());
            self.plan(boot, Due::Happening(Happening::Start { host: node }));
        }
        for (at, happening) in self.scenario.happenings.clone() {
            self.plan(at, Due::Happening(happening));
        }
        let end = self.scenario.happenings.last().map_or(0, |&(at, _)| at);
        while let Some(((at, _), due)) = self.due.pop_first().filter(|&((at, _), _)| at <= end) {
            self.now = at;
            match due {
                Due::Arrival(half, delivery) => self.arrive(half, &delivery),
                Due::Turn(node) => {
                    self.nodes[node].turn = self.nodes[node].turn.filter(|&turn| turn > at);
                    self.turn(node)?;
                }
                Due::AddressDone { node, half, term, holds } => self.address_done(node, half, term, holds)?,
                Due::Relief(node) => self.relieve(node)?,
                Due::Happening(happening) => self.happen(&happening)?,
            }
        }
        Ok(self.summary)
    }

    fn plan(&mut self, at: Time, due: Due) {
        self.number += 1;
        self.due.insert((at, self.number), due);
    }

    fn soon(&mut self) -> Time {
        self.now + self.dice.random_range(0..=self.scenario.latency)
    }

    fn wake(&mut self, node: usize, at: Time) {
        if self.nodes[node].turn.is_none_or(|planned| planned > at) {
            self.nodes[node].turn = Some(at);
            self.plan(at, Due::Turn(node));
        }
    }

    fn arrive(&mut self, half: usize, delivery: &Delivery) {
        let host = &mut self.nodes[delivery.to].halves[half];
        if !host.has_power || !host.is_linked || host.life == Life::Suspended {
            return;
        }
        let provenance = if delivery.is_changed { Provenance::Forged } else { Provenance::Genuine };
        let (now, wall) = (host.now(self.now), host.clock.sequence(self.now));
        host.kernel.arrive(delivery, provenance, now, wall);
        self.summary.frames += 1;
        let soon = self.soon();
        self.wake(delivery.to, soon);
    }

    /// A turn of a node's election thread: all that has come in, then the timers, and after each what follows of it for the
    /// other half.
    fn turn(&mut self, node: usize) -> Result<(), Violation> {
        for step in [Host::take_in, Host::expire] {
            self.each(node, step)?;
            self.settle(node)?;
        }
        let deadline = self.nodes[node].halves.iter().filter_map(Host::deadline).min();
        if let Some(deadline) = deadline {
            let late = self.dice.random_range(0..=self.scenario.latency);
            self.wake(node, deadline.max(self.now + 1) + late);
        }
        Ok(())
    }

    fn each(&mut self, node: usize, act: impl Fn(&mut Host, Time) -> Vec<Effect>) -> Result<(), Violation> {
        for half in 0..2 {
            if self.nodes[node].halves[half].is_running() {
                let effects = act(&mut self.nodes[node].halves[half], self.now);
                self.perform(node, half, effects)?;
            }
        }
        Ok(())
    }

    fn settle(&mut self, node: usize) -> Result<(), Violation> {
        if self.nodes[node].life() != Life::Running {
            return Ok(());
        }
        let elections = |node: &Node| [0, 1].map(|half| node.halves[half].election.clone());
        for Order { member, event, .. } in group::orders(elections(&self.nodes[node]).iter()) {
            let effects = self.nodes[node].halves[member].follow(event, self.now);
            self.perform(node, member, effects)?;
        }
        let there = &mut self.nodes[node];
        let takeover_at = group::takeover_at(&elections(there));
        there.halves.iter_mut().for_each(|half| half.set_takeover(takeover_at));
        let is_torn = there.is_torn();
        self.expect(!is_torn, || format!("node {} is Active for one of two", node + 1))
    }

    fn expect(&self, holds: bool, what: impl FnOnce() -> String) -> Result<(), Violation> {
        if holds { Ok(()) } else { Err(Violation::new(self.now, what())) }
    }

    /// Lets the daemon do something after it has taken in what was heard before.
    fn act(&mut self, node: usize, act: impl Fn(&mut Host, Time) -> Vec<Effect>) -> Result<(), Violation> {
        self.turn(node)?;
        self.each(node, act)?;
        self.settle(node)?;
        self.turn(node)
    }

    fn perform(&mut self, node: usize, half: usize, effects: Vec<Effect>) -> Result<(), Violation> {
        for effect in effects {
            match effect {
                Effect::Send { frame, .. } => self.send(node, half, &frame),
                Effect::Hold { term } => self.change_address(node, half, term, true),
                Effect::Release { term } => self.change_address(node, half, term, false),
                Effect::Report(transition) => {
                    self.summary.transitions += 1;
                    self.say(|| {
                        let (from, to, reason) = (transition.from, transition.to, transition.reason);
                        format!("node {}, half {half}: {from} to {to}: {reason}", node + 1)
                    });
                    if transition.from == StateName::Fault {
                        self.nodes[node].returned_at = Some(self.now);
                    }
                    let is_calm = self.is_settled;
                    self.expect(!is_calm, || format!("node {} became {} in the calm", node + 1, transition.to))?;
                }
                Effect::Announce | Effect::Hear { .. } | Effect::Refuse { .. } | Effect::Saved { .. } => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, from: usize, half: usize, frame: &[u8]) {
        if !self.nodes[from].halves[half].is_linked {
            return;
        }
        for to in (0..self.nodes.len()).filter(|&to| to != from) {
            for copy in self.networks[half].carry(from, to, frame, self.now, &mut self.dice) {
                let delivery = Delivery { is_changed: copy.is_changed, ..Delivery::new(to, copy.frame, None) };
                self.plan(copy.at, Due::Arrival(half, delivery));
            }
        }
    }

    fn change_address(&mut self, node: usize, half: usize, term: u64, holds: bool) {
        let at = self.soon();
        self.plan(at, Due::AddressDone { node, half, term, holds });
    }

    fn address_done(&mut self, node: usize, half: usize, term: u64, holds: bool) -> Result<(), Violation> {
        match self.nodes[node].life() {
            Life::Gone => Ok(()),
            Life::Frozen | Life::Suspended => {
                self.nodes[node].wishes.push((half, term, holds));
                Ok(())
            }
            Life::Running => {
                let effects = self.nodes[node].halves[half].address_done(term, holds, self.now);
                self.perform(node, half, effects)?;
                self.settle(node)?;
                self.turn(node)
            }
        }
    }

    /// The calm has lasted long enough, unless a node has come back in it.
    fn settled(&mut self) -> Result<(), Violation> {
        let settling = self.scenario.settling();
        let is_late = |at: Option<Time>| at.is_some_and(|at| at + settling > self.now);
        let is_able = |node: &Node| node.halves.iter().all(Host::is_able);
        if self.nodes.iter().any(|node| is_late(node.returned_at) || !is_able(node)) {
            return Ok(());
        }
        self.check_one_active()?;
        self.is_settled = true;
        self.summary.settled += 1;
        Ok(())
    }

    /// Members of a group are Active on the same node once settled, and on no other.
    fn check_one_active(&mut self) -> Result<(), Violation> {
        let able: Vec<_> = self.nodes.iter().filter(|node| node.halves.iter().all(Host::is_able)).collect();
        let active: Vec<_> = able.iter().filter(|node| node.is_all(StateName::Active)).collect();
        let passed_over = able.iter().any(|node| {
            let [one, active] = [&node.halves[0], active.first().map_or(&node.halves[0], |active| &active.halves[0])];
            let preempts = one.parameters().preempt_after.is_some() && !one.election.stands_aside();
            preempts && one.parameters().priority > active.parameters().priority
        });
        let backups = able.iter().filter(|node| node.is_all(StateName::Backup)).count();
        let is_well = able.is_empty() || active.len() == 1 && backups + 1 == able.len() && !passed_over;
        let states: Vec<_> = able.iter().map(|node| node.halves.each_ref().map(Host::state)).collect();
        self.expect(is_well, || format!("in the calm the able nodes are {states:?}"))
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            // Writing to a String cannot fail.
            let _ = writeln!(trace, "{} {}", Milliseconds(self.now), what());
        }
    }
}
