//! Which virtual routers move together: those of a `[[group]]`, and the two halves of an entry of both IP versions.

use vrrp_wire::Priority;

use super::{check_unique, health, repeated, router::family_of};
use crate::config::{
    Membership, VirtualRouter,
    diagnostic::{Fault, Report},
    file::{self, File},
    table::Located,
};

/// Reports what is wrong with groups.
pub(super) fn check(file: &File, report: &mut Report<'_>) {
    check_names(file, report);
    let listed = file.groups.iter().filter_map(|group| group.virtual_routers.value()).flatten();
    for (again, first) in repeated(listed, |member| &member.value) {
        let what = format!("{:?} is listed in {} already", again.value, first.place.table_and_line());
        report.error(&again.place, Fault::new(what, "list each virtual router in one group, once"));
    }
    for group in &file.groups {
        check_group(file, group, report);
    }
    for entry in &file.virtual_routers {
        check_sync_families(file, entry, report);
    }
}

/// The virtual routers of this node, with their groups.
pub(super) fn join(file: &File, mut routers: Vec<VirtualRouter>) -> Vec<VirtualRouter> {
    for router in &mut routers {
        router.group = membership(file, &router.name);
    }
    let is_of = |router: &VirtualRouter, group: &Membership| {
        router.group.as_ref().is_some_and(|other| other.group == group.group)
    };
    let breaks_ties = |router: &VirtualRouter| {
        let group = router.group.as_ref()?;
        let mut others = routers.iter().filter(|other| is_of(other, group));
        // The order of the file may be another one elsewhere.
        Some(others.all(|other| rank(router) <= rank(other)))
    };
    let chosen: Vec<_> = routers.iter().map(breaks_ties).collect();
    for (router, breaks_ties) in routers.iter_mut().zip(chosen) {
        if let (Some(group), Some(breaks_ties)) = (&mut router.group, breaks_ties) {
            group.breaks_ties = breaks_ties;
        }
    }
    routers
}

fn rank(router: &VirtualRouter) -> impl Ord {
    (router.family, router.vrid, router.interface.clone())
}

/// The group of the entry `name`, if it has one.
fn membership(file: &File, name: &str) -> Option<Membership> {
    let is_listed = |group: &&file::Group| {
        group.virtual_routers.value().is_some_and(|members| members.iter().any(|member| member.value == name))
    };
    if let Some(group) = file.groups.iter().find(is_listed) {
        return Some(Membership { group: group.name.value()?.clone(), is_listed: true, breaks_ties: false });
    }
    let entry = entry(file, name)?;
    let syncs = entry.manner.sync_families.or(&file.cluster.manner.sync_families).or_default(true)?;
    let moves_together = syncs && is_dual_stack(entry) && owner(entry).is_none();
    moves_together.then(|| Membership { group: name.to_owned(), is_listed: false, breaks_ties: false })
}

fn entry<'f>(file: &'f File, name: &str) -> Option<&'f file::VirtualRouter> {
    file.virtual_routers.iter().find(|entry| entry.name.value().is_some_and(|own| own == name))
}

fn is_dual_stack(entry: &file::VirtualRouter) -> bool {
    let mut families = entry.addresses.value().into_iter().flatten().map(|address| family_of(address.value));
    families.next().is_some_and(|first| families.any(|other| other != first))
}

/// The node that owns the addresses of `entry`. It cannot leave them to another one because of a third.
fn owner(entry: &file::VirtualRouter) -> Option<&str> {
    let priorities = entry.priorities.value()?;
    priorities.iter().find(|(_, priority)| priority.value == Priority::OWNER).map(|(node, _)| node.as_str())
}

/// Who takes part in `entry`, and how, in the order of preference.
pub(super) fn preferences(entry: &file::VirtualRouter) -> Vec<(&str, Option<Priority>)> {
    let priorities = entry.priorities.value().into_iter().flatten();
    let mut preferences: Vec<_> = priorities.map(|(node, priority)| (node.as_str(), Some(priority.value))).collect();
    preferences.sort_unstable();
    preferences.extend(entry.nodes.value().into_iter().flatten().map(|node| (node.value.as_str(), None)));
    preferences
}

/// A name stands for one thing in `vipd status` and to those who are notified.
fn check_names(file: &File, report: &mut Report<'_>) {
    check_unique(file.groups.iter().map(|group| &group.name), report);
    for name in file.groups.iter().filter_map(|group| group.name.given()) {
        if let Some(entry) = entry(file, &name.value) {
            let what = format!("{:?} is the name of {} already", name.value, entry.heading.table_and_line());
            report.error(&name.place, Fault::new(what, "give the group a name of its own"));
        }
    }
}

fn check_group(file: &File, group: &file::Group, report: &mut Report<'_>) {
    health::check_references(&group.checks, file, report);
    let Some(Located { value: listed, place }) = group.virtual_routers.given() else { return };
    if listed.is_empty() {
        report.error(place, Fault::new("there is no virtual router", "list those that are to move together"));
        return;
    }
    let mut members = Vec::new();
    for member in listed {
        match entry(file, &member.value) {
            Some(entry) => members.push((member, entry)),
            // Where an entry has no legal name, that is the mistake.
            None if file.virtual_routers.iter().any(|entry| entry.name.value().is_none()) => {}
            None => {
                let names: Vec<_> =
                    file.virtual_routers.iter().filter_map(|entry| entry.name.value()).cloned().collect();
                let remedy = format!("choose of {}, or add a [[virtual_router]]", names.join(", "));
                report
                    .error(&member.place, Fault::new(format!("there is no virtual router {:?}", member.value), remedy));
            }
        }
    }
    for &(member, entry) in &members {
        check_member(member, entry, report);
    }
    let Some((&(first, leader), others)) = members.split_first() else { return };
    for (member, entry) in others {
        if preferences(entry) != preferences(leader) {
            let what = format!(
                "{:?} has other nodes, or prefers them in another order, than {:?}: no node could have both",
                member.value, first.value
            );
            report.error(&member.place, Fault::new(what, "give all members the same nodes, or the same priorities"));
        }
    }
    check_preemption(file, &members, report);
    if others.is_empty() && listed.len() == 1 && !is_dual_stack(leader) {
        let what = format!("{:?} alone has nobody to move together with", first.value);
        report.warning(&first.place, Fault::new(what, "list another one, or remove the group"));
    }
}

fn check_member(member: &Located<String>, entry: &file::VirtualRouter, report: &mut Report<'_>) {
    if let Some(owner) = owner(entry) {
        let what =
            format!("{owner:?} owns the addresses of {:?}, and keeps them whatever becomes of others", member.value);
        report.error(&member.place, Fault::new(what, "give it at most priority 254, or leave it out of the group"));
    }
    if let Some(apart) = entry.manner.sync_families.given().filter(|syncs| !syncs.value) {
        let what = format!("{:?} is in {}, whose members move together", member.value, member.place.table_and_line());
        report.error(&apart.place, Fault::new(what, "remove it, or leave the virtual router out of the group"));
    }
}

/// A group preempts when each of its members would.
fn check_preemption(file: &File, members: &[(&Located<String>, &file::VirtualRouter)], report: &mut Report<'_>) {
    let preempt = |entry: &file::VirtualRouter| {
        entry.manner.preempt.or(&file.cluster.manner.preempt).value().map(|preempt| preempt.after())
    };
    let Some(&(first, leader)) = members.first() else { return };
    if let Some(&(member, entry)) = members.iter().find(|(_, entry)| preempt(entry) != preempt(leader)) {
        let what = format!(
            "{:?} preempts otherwise than {:?}: the group preempts only when both would",
            member.value, first.value
        );
        let place = entry.manner.preempt.given().map_or(&member.place, |preempt| &preempt.place);
        report.warning(place, Fault::new(what, "give all members the same preempt"));
    }
}

fn check_sync_families(file: &File, entry: &file::VirtualRouter, report: &mut Report<'_>) {
    let Some(syncs) = entry.manner.sync_families.given().filter(|syncs| syncs.value) else { return };
    let is_member = entry.name.value().and_then(|name| membership(file, name)).is_some();
    // What is wrong with its addresses or its name is another mistake.
    if is_member || entry.addresses.value().is_none() || entry.name.value().is_none() {
        return;
    }
    let what = match owner(entry) {
        Some(owner) => format!("{owner:?} owns the addresses, and its IPv4 and IPv6 halves do not move together"),
        None => "changes nothing: all addresses are of one IP version".to_owned(),
    };
    report.warning(&syncs.place, Fault::new(what, "remove it"));
}
