//! Another router is to serve because somebody wants it: asked for, confirmed by that router's advert, and taken back where
//! nobody takes over.

use std::{fmt, net::IpAddr};

use tokio::sync::oneshot;
use vrrp::{
    Instant, Priority,
    election::{Event, Expects, State, StateName},
};

use super::VirtualRouter;
use crate::desk::Desk;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoverRequest {
    /// The virtual routers of this name hand over once.
    Transfer(String),
    /// All virtual routers hand over, and the node takes over again only where nobody else does.
    Drain,
    /// The node takes part again as it is configured.
    Undrain,
}

/// A handover that is on its way.
#[derive(Debug)]
pub struct PendingHandover {
    /// Of which virtual router, as `NAME/FAMILY`.
    pub router: String,
    /// What becomes of it.
    pub outcome: oneshot::Receiver<Handover>,
}

/// What became of a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// This router advertises.
    TakenBy(IpAddr),
    /// Nobody took over, so this node serves again.
    NotTaken,
    /// It was over before anybody could take over.
    Ended(StateName),
}

impl fmt::Display for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakenBy(address) => write!(f, "{address} has taken over"),
            Self::NotTaken => f.write_str("no other router took over, so this node serves again"),
            Self::Ended(state) => write!(f, "no other router has taken over yet, and this node is in {state}"),
        }
    }
}

impl VirtualRouter {
    /// Lets another router serve, if this one does; `None` where there is nothing to hand over.
    pub fn hand_over(&mut self, desk: &mut Desk, now: Instant) -> Option<PendingHandover> {
        if self.election.state().name() != StateName::Active || self.config.priority == Priority::OWNER {
            return None;
        }
        let (sender, outcome) = oneshot::channel();
        self.handover = Some(sender);
        self.handle(Event::HandOver, desk, now);
        Some(PendingHandover { router: self.name(), outcome })
    }

    /// Takes the node out, or in again. An owner of the addresses stays: nobody else has them.
    pub fn drain(&mut self, is_drained: bool, desk: &mut Desk, now: Instant) -> Option<PendingHandover> {
        let pending = if is_drained { self.hand_over(desk, now) } else { None };
        self.set_drained(is_drained, desk, now);
        if !is_drained {
            self.handle(Event::Reclaim, desk, now);
        }
        pending
    }

    /// Takes in whether the node serves only where nobody else does, in whatever state it is.
    pub fn set_drained(&mut self, is_drained: bool, desk: &mut Desk, now: Instant) {
        self.is_drained = is_drained;
        self.handle(Event::Parameters(self.parameters()), desk, now);
    }

    /// Tells who waits what has become of the handover.
    pub(super) fn settle_handover(&mut self) {
        let outcome = match self.election.state() {
            State::Backup(backup) if backup.expects != Expects::Advert => return,
            State::Backup(_) => {
                self.election.last_advert().map_or(Handover::NotTaken, |it| Handover::TakenBy(it.source))
            }
            State::Active(_) => Handover::NotTaken,
            State::Initialize(_) | State::Fault { .. } => Handover::Ended(self.election.state().name()),
        };
        if let Some(asker) = self.handover.take() {
            // An asker that has gone away needs no answer.
            let _ = asker.send(outcome);
        }
    }
}
