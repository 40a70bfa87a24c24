//! Sync groups to `[[group]]`.

use super::{
    Host,
    checks::Checks,
    cluster::Entry,
    model::{Instance, SyncGroup},
    note::{Notes, Place},
};

/// A group of virtual routers.
pub(super) struct Group {
    /// As keepalived calls it.
    pub(super) original: String,
    pub(super) name: String,
    /// Names of entries.
    pub(super) members: Vec<String>,
    pub(super) checks: Vec<String>,
    place: Place,
}

/// The group of keepalived's that `instance` belongs to on `host`.
pub(super) fn of<'h>(host: &'h Host, instance: &Instance) -> Option<&'h SyncGroup> {
    host.read.groups.iter().find(|group| group.members.iter().any(|member| member.value == instance.name.value))
}

/// The group of `host` that keepalived calls `name`.
pub(super) fn named<'h>(host: &'h Host, name: &str) -> Option<&'h SyncGroup> {
    host.read.groups.iter().find(|group| group.name.value == name)
}

/// The groups of all hosts.
pub(super) fn groups(hosts: &[Host], entries: &[Entry<'_>], checks: &mut Checks, notes: &mut Notes) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        let mut taken = Vec::new();
        for group in &host.read.groups {
            let members = members(group, at, host, entries, &mut taken, notes);
            if members.is_empty() {
                continue;
            }
            let listed = checks.of(&group.tracks, None, Some(group), host, notes);
            match groups.iter().find(|known| known.original == group.name.value) {
                Some(known) => compare(known, &members, &listed, group, notes),
                None => groups.push(Group {
                    name: name(group, entries, notes),
                    original: group.name.value.clone(),
                    members,
                    checks: listed,
                    place: group.name.place.clone(),
                }),
            }
        }
    }
    for group in &groups {
        check_priorities(group, entries, hosts, notes);
    }
    unique(groups, notes)
}

/// The names of the entries that are in `group` on the host `at`.
fn members(
    group: &SyncGroup,
    at: usize,
    host: &Host,
    entries: &[Entry<'_>],
    taken: &mut Vec<String>,
    notes: &mut Notes,
) -> Vec<String> {
    let mut members = Vec::new();
    for member in &group.members {
        let is_it = |entry: &&Entry<'_>| {
            entry.members.iter().any(|(host, instance)| *host == at && instance.name.value == member.value)
        };
        match entries.iter().find(is_it) {
            Some(entry) if taken.contains(&entry.name) => {
                let what = format!("{} is in a sync group already", member.value);
                notes.ignored(&member.place, what, "keepalived leaves it in the first one too");
            }
            Some(entry) => {
                taken.push(entry.name.clone());
                members.push(entry.name.clone());
            }
            None if host.read.elsewhere.contains(&member.value) => {
                let what = format!(
                    "{} is on another interface, and its group {} would fall apart: an agent has the groups of its own file",
                    member.value, group.name.value
                );
                notes.lost(&member.place, what, "take it out of the group, or put all members on one interface");
            }
            None => {
                let what = format!("there is no instance {:?} for the group {}", member.value, group.name.value);
                notes.ignored(&member.place, what, "keepalived goes on without it too");
            }
        }
    }
    members
}

/// A name that no virtual router has.
fn name(group: &SyncGroup, entries: &[Entry<'_>], notes: &mut Notes) -> String {
    let own = &group.name.value;
    let is_free = |name: &String| entries.iter().all(|entry| entry.name != *name);
    if is_free(own) {
        return own.clone();
    }
    let what = format!("the group {own} has the name of an instance, and gets another one");
    notes.changed(&group.name.place, what, "programs that are notified are told the new name");
    // Among one more than there are entries one is free.
    (1..=entries.len() + 1).map(|count| format!("{own}{}", "-group".repeat(count))).find(is_free).unwrap_or_default()
}

fn compare(known: &Group, members: &[String], checks: &[String], group: &SyncGroup, notes: &mut Notes) {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    if sorted(&known.members) != sorted(members) {
        let what = format!("the group {} has other members than at {}", group.name.value, known.place);
        notes.lost(&group.name.place, what, "make it the same on every host; the latter is imported");
    }
    if sorted(&known.checks) != sorted(checks) {
        let what = format!("the group {} tracks something else than at {}", group.name.value, known.place);
        notes.lost(&group.name.place, what, "make it the same on every host; the latter is imported");
    }
}

/// Members have the same priorities, or no node could have them all.
fn check_priorities(group: &Group, entries: &[Entry<'_>], hosts: &[Host], notes: &mut Notes) {
    let mut members = entries.iter().filter(|entry| group.members.contains(&entry.name));
    let Some(first) = members.next() else { return };
    for other in members {
        for (at, host) in hosts.iter().enumerate() {
            let own =
                |entry: &Entry<'_>| entry.members.iter().find(|(of, _)| *of == at).map(|(_, it)| it.priority.value);
            if own(first) != own(other) {
                let what = format!(
                    "{} and {} are in a sync group and have different priorities on {}, so that no host could keep both",
                    first.name, other.name, host.name
                );
                notes.lost(
                    &other.lead().priority.place,
                    what,
                    "give all members of a group the same; those of the first are imported",
                );
            }
        }
        if other.members.iter().chain(&first.members).any(|(_, it)| it.priority.value == 255) {
            let what = format!(
                "{} has an owner (priority 255), who keeps the addresses whatever becomes of the group",
                other.name
            );
            notes.lost(&other.lead().priority.place, what, "give it 254 at most, or leave it out of the group");
        }
    }
}

/// Groups of different names on different hosts must not share members.
fn unique(groups: Vec<Group>, notes: &mut Notes) -> Vec<Group> {
    let mut kept: Vec<Group> = Vec::new();
    for group in groups {
        let twin = kept.iter().find(|other| other.members.iter().any(|member| group.members.contains(member)));
        if let Some(twin) = twin {
            let what = format!("the group {} shares members with {} at {}", group.original, twin.original, twin.place);
            notes.lost(&group.place, what, "make the groups the same on every host; the latter is imported");
        } else {
            kept.push(group);
        }
    }
    kept
}

impl Group {
    /// Virtual routers of both IP versions that keepalived has in one instance.
    pub(super) fn of_families(name: String, members: Vec<String>, place: &Place) -> Self {
        Self { original: name.clone(), name, members, checks: Vec::new(), place: place.clone() }
    }
}
