//! What the supervisor's process does: waits for news of its agent, and hands over when there is none any more.

use std::{collections::HashMap, io, os::fd::AsFd, time::Duration};

use anyhow::Context;
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        mman::{MlockAllFlags, mlockall},
        prctl,
        time::TimeSpec,
    },
    unistd::setsid,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, error, info, warn};
use vrrp::{
    Instant,
    auth::{Key, Signer},
};

use super::{
    handover::{Handover, clear},
    line::{Heard, Line, Notice, Relief},
    pulse::Pulse,
    vitals::Vitals,
    will::{Bequest, Will},
};
use crate::{clock, instance::Instance};

/// An agent is not hung before it has been silent for so long, however short its intervals are.
///
/// Where they are shorter than a tenth of this its peers take over before, and a moment in which it was not scheduled must
/// not cost it its role.
const PATIENCE_MIN: Duration = Duration::from_millis(250);
/// Looks at a heart that does not beat in the time after which an agent is hung.
const LOOKS: u32 = 8;
/// How long another program may take to go on as the agent.
const COVER_MAX: Duration = Duration::from_secs(10);
/// Between two looks while there is nothing to look after.
const IDLE: Duration = Duration::from_secs(1);

/// Watches the agent `instance` at the other end of standard input, until it has ended, and hands over for it.
pub fn run(instance: &Instance) -> anyhow::Result<()> {
    let line = Line::from(io::stdin().as_fd().try_clone_to_owned().context("failed to take over the line")?);
    let vitals = Vitals::open(&instance.vitals()).context("failed to open the vitals")?;
    vitals.hold().context("failed to lock the vitals")?;
    let handover = Handover::new(instance)?;
    outlive(&handover).context("failed to watch for signals")?;
    let pulse = Pulse::new(vitals.last_beat(), clock::now());
    Watch { instance: instance.clone(), line, vitals, handover, pulse, cover: None }.watch()
}

/// Sees to it that what ends the agent does not end this process.
fn outlive(handover: &Handover) -> io::Result<()> {
    // It fails for the leader of a process group, which needs no other.
    let _ = setsid();
    let _inside = handover.runtime().enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        // The handler stays when its receiver is gone: the signal does nothing.
        drop(signal(kind)?);
    }
    stay_in_memory();
    // An orphan's wake-ups may be put off no more than the election thread's.
    let _ = prctl::set_timerslack(1);
    Ok(())
}

/// Keeps what this process has used so far of its program and its memory, and whatever more it will use of these, from being
/// given up: a host whose memory runs out kills the agent, and must not have to read the supervisor from a disk then. All that
/// the program has besides is not worth the memory.
///
/// Not what it will allocate: where a limit forbids that, it would end with the next allocation.
fn stay_in_memory() {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | on_fault) {
        debug!(%error, "the supervisor's memory may be swapped out");
    }
}

/// An agent, watched.
pub(super) struct Watch {
    pub(super) instance: Instance,
    line: Line,
    pub(super) vitals: Vitals,
    pub(super) handover: Handover,
    pulse: Pulse,
    /// While another program is about to go on as the agent.
    cover: Option<Cover>,
}

/// Adverts that are sent while nobody else does.
struct Cover {
    /// The last sign of life of the program before.
    beat: Instant,
    until: Instant,
    /// When the next advert of a virtual router is due, by slot.
    due: HashMap<u32, Instant>,
    signer: Signer,
}

impl Watch {
    fn watch(mut self) -> anyhow::Result<()> {
        debug!("supervising {}", self.instance);
        loop {
            let every = look_every(self.handover.bequests());
            let pause = self.pause(every);
            self.wait(pause).context("the supervisor cannot wait for its agent")?;
            loop {
                match self.line.notice().context("failed to hear the agent")? {
                    Heard::Message(Notice::Done) => return Ok(()),
                    Heard::Message(Notice::Will(key)) => self.adopt(key),
                    Heard::Message(Notice::Cover) => self.begin_cover(),
                    Heard::Nothing => break,
                    Heard::End => {
                        if !self.bridge() {
                            self.handover.settle(&self.vitals);
                            warn!("{} has ended without a word", self.instance);
                        }
                        return Ok(());
                    }
                }
            }
            if self.is_covering() {
                self.cover();
            } else {
                self.look(pause, every);
            }
        }
    }

    /// Until the next look, or the next advert.
    fn pause(&self, every: Duration) -> Duration {
        let due = self.cover.iter().flat_map(|cover| cover.due.values().copied());
        due.map(|at| at.since(clock::now())).fold(self.pulse.pause(every), Duration::min)
    }

    pub(super) fn begin_cover(&mut self) {
        let now = clock::now();
        let signer = self.vitals.sequence().map_or_else(Signer::new, Signer::after);
        self.cover = Some(Cover { beat: self.vitals.last_beat(), until: now + COVER_MAX, due: HashMap::new(), signer });
    }

    /// Whether the other program has not given a sign of life yet.
    fn is_covering(&mut self) -> bool {
        let (beat, now) = (self.vitals.last_beat(), clock::now());
        if self.cover.as_ref().is_some_and(|cover| cover.beat != beat || now >= cover.until) {
            self.cover = None;
            // What was silent was expected to be.
            self.pulse = Pulse::new(beat, now);
        }
        self.cover.is_some()
    }

    /// Sends the adverts that are due.
    pub(super) fn cover(&mut self) {
        let Some(cover) = &mut self.cover else { return };
        let now = clock::now();
        let mut covered = Vec::new();
        // A moment that is always past would leave no pause.
        cover.due.retain(|&slot, _| self.vitals.is_active(slot));
        for bequest in self.handover.bequests().iter().filter(|bequest| self.vitals.is_active(bequest.slot)) {
            let due = cover.due.entry(bequest.slot).or_insert(now);
            if *due <= now {
                *due = now + bequest.interval().duration();
                covered.push(bequest.clone());
            }
        }
        self.handover.cover(&covered, &mut cover.signer);
    }

    /// Waits for something to read, for `pause` at most.
    fn wait(&self, pause: Duration) -> nix::Result<()> {
        let mut fds = [PollFd::new(self.line.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, Some(TimeSpec::from_duration(pause)), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn adopt(&mut self, key: Option<Key>) {
        let path = self.instance.will();
        match Will::read(&path) {
            Ok(will) => {
                self.handover.adopt(will, key);
                self.handover.rehearse();
                stay_in_memory();
            }
            Err(error) => error!(%error, "failed to read `{}`; going by the one before", path.display()),
        }
    }

    /// Hands over for virtual routers whose agent hangs, after a pause that was to be `pause`.
    fn look(&mut self, pause: Duration, every: Duration) {
        let quiet_for = self.pulse.look(self.vitals.last_beat(), clock::now(), pause, every);
        let is_left = |bequest: &&Bequest| quiet_for >= patience(bequest) && self.vitals.is_active(bequest.slot);
        let left: Vec<_> = self.handover.bequests().iter().filter(is_left).cloned().collect();
        if !left.is_empty() {
            self.relieve(&left, quiet_for);
        }
    }

    /// Leaves in the name of an agent that may wake at any moment. From when on it is relieved is noted and said first: its
    /// election thread reads it before it does anything else, and what puts addresses back goes by the note.
    fn relieve(&mut self, left: &[Bequest], quiet_for: Duration) {
        for bequest in left {
            clear(bequest, &self.vitals);
        }
        let slots: Vec<_> = left.iter().map(|bequest| bequest.slot).collect();
        self.tell(&Relief { slots: slots.clone(), sequence: None });
        let sequence = self.handover.say_goodbye(left, &self.vitals);
        if sequence.is_some() {
            self.tell(&Relief { slots, sequence });
        }
        for bequest in left {
            // One that woke, and has become Active again meanwhile, needs them.
            if !self.vitals.is_active(bequest.slot) {
                self.handover.remove_items(bequest);
            }
            warn!(router = bequest.name, ?quiet_for, "the agent hangs: handed over for it");
        }
    }

    fn tell(&self, relief: &Relief) {
        if let Err(error) = self.line.relieve(relief) {
            info!(%error, "the agent cannot be told that it was relieved");
        }
    }
}

/// How long the agent may be silent before it is relieved of the virtual router.
fn patience(bequest: &Bequest) -> Duration {
    bequest.hung_after.max(PATIENCE_MIN)
}

/// Between two looks at a heart that does not beat.
fn look_every(bequests: &[Bequest]) -> Duration {
    bequests.iter().map(|bequest| patience(bequest) / LOOKS).fold(IDLE, Duration::min)
}
