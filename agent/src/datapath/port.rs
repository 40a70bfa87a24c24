//! One interface: how its adverts are judged now, what else could be tried, and the watch over what was tried last.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use anyhow::Context;
use tracing::{debug, info, warn};
use vrrp::{Family, Instant};
use vrrp_wire::{
    Centiseconds, Vrid,
    abi::{Counters, RouterKey, Verdict},
    parse::Facts,
};

use super::{
    AttachMode, Attachment,
    attach::{Hook, Rung, Scope},
    canary::{Canary, Decision, Observation},
    guard::Guard,
    hooks::neighbours,
    netlink::Side,
    preflight,
    socket::SocketSource,
    tables::UserTables,
    witness::Witness,
};
use crate::clock;

/// Frames that a close watch reads at a time.
const FRAMES_PER_LOOK: usize = 128;
/// How often a watch looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One interface.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: String,
    /// The interface itself, whatever the scope is.
    pub(super) ifindex: u32,
    pub(super) scope: Scope,
    pub(super) mode: AttachMode,
    pub(super) socket: Option<SocketSource>,
    pub(super) has_carrier: bool,
    /// What may still be tried, best first.
    rungs: VecDeque<Rung>,
    reasons: Vec<String>,
    watch: Option<Watch>,
}

/// Sees whether the program sees what the interface hears.
#[derive(Debug)]
enum Watch {
    /// For some seconds, by a packet socket, to which every frame costs something.
    Close(Close),
    /// Ever after, by what reaches the host.
    Distant(Distant),
}

#[derive(Debug)]
struct Close {
    canary: Canary,
    shadow: SocketSource,
    heard: u64,
    /// What the counters of the interface were when it was last looked.
    totals: HashMap<RouterKey, u64>,
    counted: u64,
    look_at: Instant,
}

#[derive(Debug)]
struct Distant {
    witness: Witness,
    /// What the counters of a virtual router were when an advert for it was last heard.
    known: HashMap<RouterKey, u64>,
    look_at: Instant,
}

impl Port {
    /// An interface that `rungs` may lead to, with reasons why others cannot.
    pub(super) fn new(name: &str, ifindex: u32, rungs: Vec<Rung>, reasons: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            ifindex,
            scope: Scope { ifindex, vlan: 0 },
            mode: AttachMode::Socket,
            socket: None,
            has_carrier: false,
            rungs: rungs.into(),
            reasons,
            watch: None,
        }
    }

    pub(super) fn attachment(&self) -> Attachment {
        let reason = (!self.reasons.is_empty()).then(|| self.reasons.join("; "));
        Attachment { mode: self.mode, reason, scope: self.scope }
    }

    pub(super) fn is_guarded(&self) -> bool {
        self.mode != AttachMode::Socket
    }

    /// Prefers the way that an earlier run has left its program on, which costs no disturbance.
    pub(super) fn prefer_inherited(&mut self, guard: &mut Guard) {
        let inherited = |rung: &Rung| guard.programs().inherits(rung.nic.ifindex, Side::Ingress) == Some(rung.hook);
        let Some(at) = self.rungs.iter().position(inherited) else { return };
        let skipped = self.rungs.drain(..at).map(|rung| format!("{}: not tried again after the run before", rung.hook));
        self.reasons.extend(skipped);
    }

    /// Takes the best way that is left, down to a packet socket.
    pub(super) fn climb(&mut self, guard: Option<&mut Guard>) -> anyhow::Result<()> {
        self.watch = None;
        if let Some(guard) = guard {
            while let Some(rung) = self.rungs.pop_front() {
                match take(&rung, guard) {
                    Ok(()) => {
                        self.settle_on(&rung, guard);
                        return Ok(());
                    }
                    Err(error) => self.reasons.push(format!("{}: {error:#}", rung.hook)),
                }
            }
        }
        self.mode = AttachMode::Socket;
        self.scope = Scope { ifindex: self.ifindex, vlan: 0 };
        let name = &self.name;
        let socket = SocketSource::open(self.ifindex)
            .with_context(|| format!("failed to listen on `{name}` (a packet socket needs CAP_NET_RAW)"))?;
        self.socket = Some(socket);
        Ok(())
    }

    fn settle_on(&mut self, rung: &Rung, guard: &mut Guard) {
        self.mode = rung.hook.into();
        self.scope = rung.scope;
        self.has_carrier = rung.nic.has_carrier;
        let notes = preflight::notes(&rung.nic, rung.hook);
        let neighbours = neighbours(&rung.nic);
        if !(notes.is_empty() && neighbours.is_empty()) {
            info!(interface = self.name, mode = %self.mode, ?notes, traffic_control_of_others = ?neighbours, "noted");
        }
        if let Err(error) = close_way_out(rung, guard) {
            self.reasons.push(format!("no fence on the way out: {error:#}"));
        }
        let now = clock::now();
        let canary = Canary::new(now, rung.nic.has_carrier, expected(rung.scope, guard, now));
        self.watch = self.watch_closely(canary, guard, now);
        if self.watch.is_none() {
            warn!(interface = self.name, "whether the program works is not watched");
        }
    }

    /// Begins to watch the program by a packet socket.
    fn watch_closely(&self, canary: Canary, guard: &Guard, now: Instant) -> Option<Watch> {
        let shadow = SocketSource::open(self.ifindex);
        let shadow = shadow.inspect_err(|error| {
            debug!(interface = self.name, %error, "whether the program sees what the interface hears is not watched");
        });
        let totals = totals(self.scope, guard);
        Some(Watch::Close(Close {
            canary,
            shadow: shadow.ok()?,
            heard: 0,
            totals,
            counted: 0,
            look_at: now + LOOK_EVERY,
        }))
    }

    /// Begins to watch a program that works.
    fn watch_from_afar(&self, guard: &Guard, now: Instant) -> Option<Watch> {
        let witness = Witness::open(&self.name);
        let witness = witness.inspect_err(|error| {
            warn!(interface = self.name, %error, "whether the program goes on working is not watched");
        });
        let known = totals(self.scope, guard);
        Some(Watch::Distant(Distant { witness: witness.ok()?, known, look_at: now + LOOK_EVERY }))
    }

    /// Looks after the program; says whether it has to go.
    pub(super) fn look(&mut self, guard: &Guard, tables: &UserTables, now: Instant) -> bool {
        match &mut self.watch {
            Some(Watch::Close(close)) if now >= close.look_at => {
                match close.look(self.scope, self.has_carrier, guard, tables, now) {
                    Decision::Watch => {}
                    Decision::Keep => {
                        if close.canary.is_of_new_program() {
                            info!(interface = self.name, mode = %self.mode, "the program works");
                        }
                        self.watch = self.watch_from_afar(guard, now);
                    }
                    Decision::Withdraw(reason) => {
                        warn!(interface = self.name, mode = %self.mode, reason, "the program is taken off again");
                        self.reasons.push(format!("{}: taken off until the next start: {reason}", self.mode));
                        return true;
                    }
                }
            }
            Some(Watch::Distant(distant)) if now >= distant.look_at => {
                if distant.misses_something(self.scope, guard, tables, now)
                    && let Some(close) = self.watch_closely(Canary::again(now), guard, now)
                {
                    self.watch = Some(close);
                }
            }
            Some(Watch::Close(_) | Watch::Distant(_)) | None => {}
        }
        false
    }

    /// Takes in that counters of the interface are about to go, and may be made anew.
    pub(super) fn count_anew(&mut self, now: Instant) {
        match &mut self.watch {
            Some(Watch::Close(close)) => {
                (close.heard, close.counted) = (0, 0);
                close.canary.begin_anew(now);
            }
            Some(Watch::Distant(distant)) => distant.known.clear(),
            None => {}
        }
    }

    /// When [`Port::look`] has something to do. A program that works is looked at in any other turn.
    pub(super) fn look_at(&self) -> Option<Instant> {
        match &self.watch {
            Some(Watch::Close(close)) => Some(close.look_at),
            Some(Watch::Distant(_)) | None => None,
        }
    }
}

impl Close {
    fn look(&mut self, scope: Scope, has_carrier: bool, guard: &Guard, tables: &UserTables, now: Instant) -> Decision {
        self.look_at = now + LOOK_EVERY;
        let totals = totals(scope, guard);
        // On the parent of a VLAN the program counts what is for others of the VLAN with what is for other VLANs.
        let is_counted = |facts: &Facts| {
            scope.vlan == 0
                || Vrid::new(facts.vrid).is_some_and(|vrid| totals.contains_key(&scope.key(facts.family, vrid)))
        };
        // A socket whose interface goes down says so once, and the carrier says it too.
        self.heard += self.shadow.count(tables, FRAMES_PER_LOOK, is_counted).unwrap_or(0);
        let known = |key| self.totals.get(key).copied().unwrap_or(0);
        self.counted += totals.iter().map(|(key, total)| total.saturating_sub(known(key))).sum::<u64>();
        self.totals = totals;
        self.canary.poll(now, &Observation { has_carrier, heard: self.heard, counted: self.counted })
    }
}

impl Distant {
    /// Whether an advert has reached the host that the program has not counted. That may be because of how it was sent, so it proves
    /// nothing.
    fn misses_something(&mut self, scope: Scope, guard: &Guard, tables: &UserTables, now: Instant) -> bool {
        self.look_at = now + LOOK_EVERY;
        let mut misses = false;
        // First what was heard: the program has counted that by now.
        for key in self.witness.heard(scope, tables) {
            let count = total(&guard.counters(&key));
            misses |= self.known.insert(key, count).is_some_and(|before| before == count);
        }
        misses
    }
}

/// Attaches the program on the way in.
fn take(rung: &Rung, guard: &mut Guard) -> anyhow::Result<()> {
    if rung.hook.is_xdp() {
        let occupant = guard.programs().occupant(&rung.nic);
        let obstacles = preflight::obstacles(&rung.nic, occupant.as_ref());
        anyhow::ensure!(obstacles.is_empty(), "{}", obstacles.join(", "));
    }
    for family in [Family::Ipv4, Family::Ipv6] {
        guard.add_counters(RouterKey::unconfigured(rung.scope.ifindex, family))?;
    }
    let renewed = guard.programs().attach(&rung.nic, Side::Ingress, rung.hook)?;
    if renewed {
        info!(interface = rung.nic.name, mode = %rung.hook, "a pinned link has the new program");
    }
    Ok(())
}

/// Attaches the program on the way out.
fn close_way_out(rung: &Rung, guard: &mut Guard) -> anyhow::Result<()> {
    let programs = guard.programs();
    let Err(first) = programs.attach(&rung.nic, Side::Egress, Hook::Tcx) else { return Ok(()) };
    let Err(second) = programs.attach(&rung.nic, Side::Egress, Hook::Clsact) else { return Ok(()) };
    Err(second.context(format!("{first:#}")))
}

/// The longest interval of those who were heard on the interface within three of their intervals.
fn expected(scope: Scope, guard: &Guard, now: Instant) -> Option<Duration> {
    let interval = |interval: u16| Some(Centiseconds::new(interval)?.duration());
    let admitted = Verdict::Admitted as u32;
    guard
        .sources()
        .into_iter()
        .filter(|(key, source)| (key.ifindex, key.vlan, source.verdict) == (scope.ifindex, scope.vlan, admitted))
        .filter_map(|(_, source)| Some((Instant::from_nanos(source.last_ns), interval(source.interval_cs)?)))
        .filter(|&(last, interval)| now.since(last) < interval * 3)
        .map(|(_, interval)| interval)
        .max()
}

/// Frames that the program has counted on the interface, under each key.
fn totals(scope: Scope, guard: &Guard) -> HashMap<RouterKey, u64> {
    // On the parent of a VLAN: frames of others do not show that those of this one are seen with their tags.
    let is_counted = |key: &RouterKey| key.ifindex == scope.ifindex && (scope.vlan == 0 || key.vlan == scope.vlan);
    let counters = guard.all_counters().into_iter().filter(|(key, _)| is_counted(key));
    counters.map(|(key, counters)| (key, total(&counters))).collect()
}

fn total(counters: &Counters) -> u64 {
    Verdict::ALL.iter().map(|&verdict| counters.of(verdict)).sum()
}
