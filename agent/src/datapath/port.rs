//! One interface: how its adverts are judged now, what else could be tried, and the watch over what was tried last.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use anyhow::Context;
use tracing::{info, warn};
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
};
use crate::clock;

/// Frames that the watch reads at a time.
const FRAMES_PER_LOOK: usize = 128;
/// How often the watch looks.
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

/// Sees whether a new program sees what the interface hears.
#[derive(Debug)]
struct Watch {
    canary: Canary,
    shadow: SocketSource,
    heard: u64,
    /// What the counters of the interface were when it was last looked.
    totals: HashMap<RouterKey, u64>,
    counted: u64,
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
        match SocketSource::open(self.ifindex) {
            Ok(shadow) => {
                // Loading and attaching takes its time.
                let now = clock::now();
                let canary = Canary::new(now, rung.nic.has_carrier, expected(rung.scope, guard, now));
                let totals = totals(rung.scope, guard);
                self.watch = Some(Watch { canary, shadow, heard: 0, totals, counted: 0, look_at: now + LOOK_EVERY });
            }
            Err(error) => warn!(interface = self.name, %error, "whether the program works is not watched"),
        }
    }

    /// Looks after a new program; the reason why it has to go, if it has.
    pub(super) fn look(&mut self, guard: &Guard, tables: &UserTables, now: Instant) -> Option<String> {
        let watch = self.watch.as_mut().filter(|watch| now >= watch.look_at)?;
        watch.look_at = now + LOOK_EVERY;
        let totals = totals(self.scope, guard);
        // On the parent of a VLAN the program counts what is for others of the VLAN with what is for other VLANs.
        let (scope, totals_now) = (self.scope, &totals);
        let is_counted = |facts: &Facts| {
            scope.vlan == 0
                || Vrid::new(facts.vrid).is_some_and(|vrid| totals_now.contains_key(&scope.key(facts.family, vrid)))
        };
        // A socket whose interface goes down says so once, and the carrier says it too.
        watch.heard += watch.shadow.count(tables, FRAMES_PER_LOOK, is_counted).unwrap_or(0);
        let known = |key| watch.totals.get(key).copied().unwrap_or(0);
        watch.counted += totals.iter().map(|(key, total)| total.saturating_sub(known(key))).sum::<u64>();
        watch.totals = totals;
        let seen = Observation { has_carrier: self.has_carrier, heard: watch.heard, counted: watch.counted };
        match watch.canary.poll(now, &seen) {
            Decision::Watch => None,
            Decision::Keep => {
                self.watch = None;
                None
            }
            Decision::Withdraw(reason) => {
                warn!(interface = self.name, mode = %self.mode, reason, "the program is taken off again");
                self.reasons.push(format!("{}: taken off until the next start: {reason}", self.mode));
                Some(reason)
            }
        }
    }

    /// Takes in that counters of the interface are about to go.
    pub(super) fn count_anew(&mut self, now: Instant) {
        if let Some(watch) = &mut self.watch {
            (watch.heard, watch.counted) = (0, 0);
            watch.canary.begin_anew(now);
        }
    }

    /// When [`Port::look`] has something to do.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.watch.as_ref().map(|watch| watch.look_at)
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
    let total = |counters: &Counters| Verdict::ALL.iter().map(|&verdict| counters.of(verdict)).sum();
    // On the parent of a VLAN: frames of others do not show that those of this one are seen with their tags.
    let is_counted = |key: &RouterKey| key.ifindex == scope.ifindex && (scope.vlan == 0 || key.vlan == scope.vlan);
    let counters = guard.all_counters().into_iter().filter(|(key, _)| is_counted(key));
    counters.map(|(key, counters)| (key, total(&counters))).collect()
}
