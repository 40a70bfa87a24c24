//! A virtual router as one of several that move together.

use std::mem;

use vrrp::{
    Instant,
    election::{Cause, Election, Event, State},
};

use super::VirtualRouter;
use crate::{config::Membership, desk::Desk};

impl VirtualRouter {
    /// Its election, for the rules of its group.
    #[must_use]
    pub const fn election(&self) -> &Election {
        &self.election
    }

    /// How it belongs to a group.
    #[must_use]
    pub const fn membership(&self) -> Option<&Membership> {
        self.config.group.as_ref()
    }

    /// The name of its group.
    #[must_use]
    pub fn group_name(&self) -> Option<&str> {
        self.membership().map(|membership| membership.group.as_str())
    }

    /// Whether somebody who says `name` means it, or the group that it is in.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.config_name() == name || self.group_name() == Some(name)
    }

    /// Takes in what follows for it from another member, of which this is to be `said`.
    pub fn follow(&mut self, event: Event, said: Option<String>, desk: &mut Desk, now: Instant) {
        self.leader = said.or_else(|| self.leader.take());
        self.handle(event, desk, now);
    }

    /// Whether something has happened to it since this was asked last.
    pub const fn take_unsettled(&mut self) -> bool {
        mem::replace(&mut self.is_unsettled, false)
    }

    /// Lets its group look at it, which has changed.
    pub const fn unsettle(&mut self) {
        self.is_unsettled = true;
    }

    /// Takes in when its group takes over.
    pub const fn set_takeover_at(&mut self, at: Option<Instant>) {
        self.takeover_at = at;
    }

    /// What is said of it to those that have followed it.
    #[must_use]
    pub fn as_leader(&self) -> String {
        let (name, state) = (self.name(), self.election.state().name());
        let why = self.reason().map_or_else(String::new, |reason| format!(": {reason}"));
        format!("{name}, with which it moves together, is in {state}{why}")
    }

    /// Takes in what is to be said of the member that keeps it from serving now.
    pub fn set_leader(&mut self, said: String) {
        if self.election.causes().any(Cause::is_of_group) {
            self.leader = Some(said);
        }
    }

    /// Whether it would take over, and others of its group would not yet.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        matches!(self.election.state(), State::Backup(backup) if backup.active_down_at <= now)
    }

    /// What it waits for while others of its group could take over, if it is a Backup that hears somebody.
    #[must_use]
    pub fn explain_hold(&self, now: Instant) -> Option<String> {
        let State::Backup(backup) = self.election.state() else { return None };
        if backup.active_down_at <= now {
            return None;
        }
        let name = self.name();
        Some(self.election.last_advert().map_or_else(
            || format!("{name} has not listened long enough"),
            |advert| format!("{name} hears {}", advert.source),
        ))
    }
}
