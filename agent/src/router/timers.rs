//! When a virtual router has something to do by itself.

use vrrp::{
    Instant,
    election::{State, StateName},
};

use super::VirtualRouter;

impl VirtualRouter {
    /// When [`VirtualRouter::expire`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.election.state() {
            State::Backup(_) => self.takeover_at,
            State::Initialize(_) | State::Active(_) | State::Fault { .. } => self.election.deadline(),
        }
    }

    /// Whether the deadline has come.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When Adver_Timer fires, in an Active Router.
    #[must_use]
    pub const fn adver_at(&self) -> Option<Instant> {
        self.election.adver_at()
    }

    /// Whether it waits for the Active Router to fall silent.
    #[must_use]
    pub fn is_backup(&self) -> bool {
        self.election.state().name() == StateName::Backup
    }
}
