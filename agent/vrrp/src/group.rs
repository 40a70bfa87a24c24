//! Virtual routers that move together: the members of a group, on one router.
//!
//! Each member has an election of its own, with adverts and timers of its own. The rules here bind them:
//!
//! - Backups take over together, once nobody is heard for any of them: [`takeover_at`]. Whoever still hears the Active Router for
//!   one member leaves it the others too.
//! - An Active Router that becomes Backup for one member, or hears a router that is as good, does so for all.
//! - What keeps one member from serving keeps the others from it.
//! - Those that are Active advertise at the same moments, where their intervals are the same, though one has answered a router
//!   that left and restarted its Adver_Timer: the Backups' takeover waits for whoever was heard last.
//! - A rival of one Active may have served the addresses of all: all announce them.
//!
//! So a router is Active for all members or for none, but for a member that has just been added. The rules look at states
//! alone and remember nothing: where they leave something to be done, [`orders`] says so until it is done.

use crate::{
    Instant,
    election::{Backup, Cause, Election, Event, State, StateName},
};

/// What a member must be told because of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Which member, by its place.
    pub member: usize,
    /// What.
    pub event: Event,
    /// The member that keeps it from serving; `None` where none does any more, or it goes on serving.
    pub from: Option<usize>,
}

/// The state of a group: Active where all members are, else the one that is furthest from it.
#[must_use]
pub fn state<'e>(members: impl IntoIterator<Item = &'e Election>) -> StateName {
    let remoteness = |state: &StateName| match state {
        StateName::Active => 0,
        StateName::Backup => 1,
        StateName::Initialize => 2,
        StateName::Fault => 3,
    };
    members.into_iter().map(|member| member.state().name()).max_by_key(remoteness).unwrap_or(StateName::Initialize)
}

/// When the Backups among `members` take over: when Active_Down_Timer has fired for each of them, and no other one is in their
/// way. `None` where that does not come by itself. They must not be told of [`Event::Timer`] before.
#[must_use]
pub fn takeover_at<'e>(members: impl IntoIterator<Item = &'e Election>) -> Option<Instant> {
    let latest = members.into_iter().try_fold(None, |latest, member| match member.state() {
        State::Backup(backup) => Some(latest.max(Some(backup.active_down_at))),
        State::Active(_) => Some(latest),
        State::Initialize(_) | State::Fault { .. } => None,
    });
    latest.flatten()
}

/// What the members must be told because of each other; nothing more, once they have been. To be asked for whenever something
/// has happened to one of them.
#[must_use]
pub fn orders<'e>(members: impl IntoIterator<Item = &'e Election, IntoIter: Clone>) -> Vec<Order> {
    let members = members.into_iter();
    let mut orders = Vec::new();
    let mut recoveries = Vec::new();
    for cause in [Cause::Member, Cause::MemberWaits] {
        let mut hindered = places(&members, |member| is_hindered(member, cause.is_fault()));
        let (first, second) = (hindered.next(), hindered.next());
        for (member, election) in members.clone().enumerate() {
            let from = if first == Some(member) { second } else { first };
            match (from, election.causes().any(|known| known == cause)) {
                (Some(_), false) => orders.push(Order { member, event: Event::Fault(cause), from }),
                (None, true) => recoveries.push(Order { member, event: Event::Recovered(cause), from }),
                (Some(_), true) | (None, false) => {}
            }
        }
    }
    let leader = members.clone().enumerate().find_map(|(place, member)| match member.state() {
        State::Backup(Backup { gives_way: Some(parting), .. }) => Some((place, *parting)),
        State::Backup(_) | State::Initialize(_) | State::Active(_) | State::Fault { .. } => None,
    });
    if let Some((from, parting)) = leader {
        let follow = |member| Order { member, event: Event::Follow(parting), from: Some(from) };
        orders.extend(places(&members, |member| member.state().name() == StateName::Active).map(follow));
    }
    // One hindrance in place of another is no recovery in between.
    orders.extend(recoveries);
    orders.extend(adverts_in_step(&members));
    if let Some(silent_at) = members.clone().filter_map(Election::rival_silent_at).max() {
        let knows_none = |member: &Election| member.adver_at().is_some() && member.rival_silent_at().is_none();
        let heed = |member| Order { member, event: Event::Rival(silent_at), from: None };
        orders.extend(places(&members, knows_none).map(heed));
    }
    orders
}

/// Orders for those that would advertise later than another member of the same interval does.
fn adverts_in_step<'e>(members: &(impl Iterator<Item = &'e Election> + Clone)) -> impl Iterator<Item = Order> {
    let earliest = members.clone().filter_map(Election::adver_at).min();
    let first = move |interval| {
        let alike = members.clone().filter(move |member| member.parameters().advertisement_interval == interval);
        alike.filter_map(Election::adver_at).min()
    };
    members.clone().enumerate().filter_map(move |(member, election)| {
        // Mostly nobody is later: hundreds need not be compared with each other.
        let at = election.adver_at().filter(|&at| Some(at) > earliest)?;
        let first = first(election.parameters().advertisement_interval).filter(|&first| first < at)?;
        Some(Order { member, event: Event::AdvertiseBy(first), from: None })
    })
}

/// Whether something of its own keeps a member from serving, or only from taking part yet.
fn is_hindered(member: &Election, by_fault: bool) -> bool {
    member.causes().any(|cause| !cause.is_of_group() && cause.is_fault() == by_fault)
}

fn places<'e>(
    members: &(impl Iterator<Item = &'e Election> + Clone),
    is_meant: impl Fn(&Election) -> bool,
) -> impl Iterator<Item = usize> {
    members.clone().enumerate().filter(move |(_, member)| is_meant(member)).map(|(place, _)| place)
}

#[cfg(test)]
mod tests;
