//! The states of an election, with the timers that run in them.

use std::time::Duration;

use super::StateName;
use crate::Instant;

/// The state, with the timers that run in it: what cannot run does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not taking part.
    Initialize(Waiting),
    /// Listening to the Active Router.
    Backup(Backup),
    /// Serving the virtual addresses.
    Active(Active),
    /// Not able to serve.
    Fault {
        /// When to stand again after the virtual addresses could not be held.
        retry_at: Option<Instant>,
    },
}

/// The states in which a router takes part, and goes on where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// [`State::Backup`].
    Backup(Backup),
    /// [`State::Active`].
    Active(Active),
}

/// What a router in Initialize waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// [`Event::Startup`](super::Event::Startup).
    ForStartup,
    /// The end of the delay of its start.
    ForDelay {
        /// When that is.
        until: Instant,
    },
    /// That nothing [keeps](super::Cause::is_fault) it waiting any more.
    ForAddress,
}

/// What runs in a Backup Router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// When Active_Down_Timer fires.
    pub active_down_at: Instant,
    /// Active_Adver_Interval, learned from the Active Router.
    pub active_adver_interval: Duration,
    /// What it waits for meanwhile.
    pub expects: Expects,
    /// From when on adverts of lower priority are discarded; `None` before the first of them.
    pub preempts_at: Option<Instant>,
    /// Why no other member of its [group](crate::group) may be Active meanwhile; `None` where it only listens so far.
    pub gives_way: Option<Parting>,
}

/// How a router that follows a Backup of its [group](crate::group) ends its term as Active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// As one that leaves on its own account: a better router is heard, which need not be Active for this one too.
    Goodbye,
    /// Without a word: the group was silent for so long that another router may have taken over.
    Silence,
}

/// What a Backup Router waits for while Active_Down_Timer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// The next advert of the Active Router.
    Advert,
    /// That it is the first to take over from an Active Router that has left.
    Turn,
    /// That another router takes over from this one, which has handed over.
    Successor,
}

/// What runs in an Active Router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// When Adver_Timer fires.
    pub adver_at: Instant,
    /// Adverts that may still be sent out of turn before it does.
    pub replies_left: u8,
    /// When the virtual addresses were last announced.
    pub announced_at: Instant,
    /// When a router whose adverts lost will have fallen silent, and the virtual addresses are announced again; `None` where
    /// there is none.
    pub rival_silent_at: Option<Instant>,
}

impl State {
    /// The state without its timers.
    #[must_use]
    pub const fn name(&self) -> StateName {
        match self {
            Self::Initialize(_) => StateName::Initialize,
            Self::Backup(_) => StateName::Backup,
            Self::Active(_) => StateName::Active,
            Self::Fault { .. } => StateName::Fault,
        }
    }
}
