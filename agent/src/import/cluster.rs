//! Instances of several hosts to virtual routers: which are the same, and where hosts contradict each other.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use vrrp::{Family, Priority};

use super::{
    Host, checks, groups,
    model::{Instance, Preempt},
    nodes::Node,
    note::{At, Class, Notes, Place},
    routers::priority,
    toml::{Keys, inline, span},
};

/// A virtual router: the instances that are one on the wire, at most one of each host.
pub(super) struct Entry<'h> {
    pub(super) name: String,
    /// The number of the host, and its instance; never empty.
    pub(super) members: Vec<(usize, &'h Instance)>,
}

impl<'h> Entry<'h> {
    /// The instance that counts where others say something else.
    pub(super) fn lead(&self) -> &'h Instance {
        self.members[0].1
    }

    fn is(&self, other: &Instance) -> bool {
        let lead = self.lead();
        (lead.vrid.value, lead.family) == (other.vrid.value, other.family)
            && lead.interface.value == other.interface.value
    }
}

/// The virtual routers of all hosts, in the order of the files.
pub(super) fn entries<'h>(hosts: &'h [Host], notes: &mut Notes) -> Vec<Entry<'h>> {
    let mut entries: Vec<Entry<'h>> = Vec::new();
    for (host, instance) in
        hosts.iter().enumerate().flat_map(|(at, host)| host.read.instances.iter().map(move |it| (at, it)))
    {
        match entries.iter_mut().find(|entry| entry.is(instance)) {
            Some(entry) if entry.members.iter().any(|(other, _)| *other == host) => {
                let what = format!(
                    "{} has the virtual_router_id {} of {}, on the same interface: keepalived puts it in FAULT",
                    instance.name.value, instance.vrid.value, entry.name
                );
                notes.lost(&instance.vrid.place, what, "give it another virtual_router_id, on every host");
            }
            Some(entry) => {
                if entry.lead().name.value != instance.name.value {
                    let what =
                        format!("{} is called {} at {}", instance.name.value, entry.name, entry.lead().name.place);
                    notes.changed(
                        &instance.name.place,
                        what,
                        "programs that are notified are told the latter, on every node",
                    );
                }
                entry.members.push((host, instance));
            }
            None => {
                let name = unique(&instance.name.value, instance.vrid.value, &entries);
                entries.push(Entry { name, members: vec![(host, instance)] });
            }
        }
    }
    for entry in &entries {
        contradictions(entry, notes);
    }
    interfaces(&entries, notes);
    addresses(&entries, notes);
    entries
}

fn unique(name: &str, vrid: u8, entries: &[Entry<'_>]) -> String {
    let is_free = |name: &str| entries.iter().all(|entry| entry.name != name);
    if is_free(name) {
        return name.to_owned();
    }
    // Among one more than there are entries one is free.
    let names = (0..=entries.len()).map(|count| format!("{name}-{vrid}{}", "-".repeat(count)));
    names.into_iter().find(|name| is_free(name)).unwrap_or_default()
}

/// Says where the hosts of one virtual router do not agree. The first host is the one that counts.
fn contradictions(entry: &Entry<'_>, notes: &mut Notes) {
    let lead = entry.lead();
    for (_, other) in &entry.members[1..] {
        for (ours, theirs) in facets(lead).into_iter().zip(facets(other)) {
            if ours.value != theirs.value {
                let what = format!(
                    "{}: {} {} here, and {} at {}",
                    entry.name, ours.word, theirs.value, ours.value, ours.place
                );
                notes.add(ours.class, &theirs.place, what, "make it the same on every host; the latter is imported");
            }
        }
        passwords(entry, other, notes);
    }
}

/// Something that all hosts have to say alike.
struct Facet {
    class: Class,
    word: &'static str,
    value: String,
    place: Place,
}

fn facets(instance: &Instance) -> Vec<Facet> {
    let facet = |class, word, value: String, place: &Place| Facet { class, word, value, place: place.clone() };
    let list = |items: Vec<String>| {
        let mut items = items;
        items.sort();
        format!("[{}]", items.join(", "))
    };
    let nets = |nets: &[At<IpNet>]| list(nets.iter().map(|net| net.value.to_string()).collect());
    let keys = |keys: &[At<Keys>]| list(keys.iter().map(|it| inline(it.value.iter().cloned())).collect());
    let name = &instance.name.place;
    let first = |nets: &[At<IpNet>]| nets.first().map_or(name, |net| &net.place).clone();
    let is_unicast = !instance.peers.is_empty();
    let (serious, otherwise) = (Class::Lost, Class::Changed);
    let refresh = instance.refresh.as_ref();
    vec![
        facet(
            serious,
            "advert_int is",
            format!("{} ms", u32::from(instance.interval.value) * 10),
            &instance.interval.place,
        ),
        facet(serious, "version is", instance.version.value.to_string(), &instance.version.place),
        facet(serious, "virtual_ipaddress is", nets(&instance.addresses), &first(&instance.addresses)),
        facet(
            serious,
            "virtual_ipaddress_excluded is",
            nets(&instance.extra_addresses),
            &first(&instance.extra_addresses),
        ),
        facet(
            serious,
            "virtual_routes is",
            keys(&instance.routes),
            instance.routes.first().map_or(name, |it| &it.place),
        ),
        facet(serious, "virtual_rules is", keys(&instance.rules), instance.rules.first().map_or(name, |it| &it.place)),
        facet(
            serious,
            "adverts are sent by",
            if is_unicast { "unicast" } else { "multicast" }.to_owned(),
            instance.peers.first().map_or(name, |peer| &peer.place),
        ),
        facet(serious, "accept is", instance.accept.value.to_string(), &instance.accept.place),
        facet(
            serious,
            "use_vmac is",
            instance.virtual_mac.is_some().to_string(),
            instance.virtual_mac.as_ref().unwrap_or(name),
        ),
        facet(
            serious,
            "down_timer_adverts is",
            instance.down_timer_adverts.as_ref().map_or(3, |it| it.value).to_string(),
            instance.down_timer_adverts.as_ref().map_or(name, |it| &it.place),
        ),
        facet(
            otherwise,
            "garp_master_refresh is",
            refresh.map_or_else(|| "not given".to_owned(), |it| it.value.to_string()),
            refresh.map_or(name, |it| &it.place),
        ),
        facet(
            otherwise,
            "v3_checksum_as_v2 is",
            instance.checksum_as_v2.is_some().to_string(),
            instance.checksum_as_v2.as_ref().unwrap_or(name),
        ),
    ]
}

/// Compares authentication without quoting it.
fn passwords(entry: &Entry<'_>, other: &Instance, notes: &mut Notes) {
    let lead = entry.lead();
    let place = |it: &Instance| {
        let hmac = it.hmac.as_ref().map(|hmac| hmac.place.clone());
        hmac.or_else(|| it.password.as_ref().map(|it| it.place.clone())).unwrap_or_else(|| it.name.place.clone())
    };
    let (ours, theirs) = (lead.password.as_ref(), other.password.as_ref());
    let first_eight = |text: &str| text.as_bytes()[..text.len().min(8)].to_vec();
    let (here, there) = (place(other), place(lead));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if *ours.value != *theirs.value => {
            if first_eight(&ours.value) == first_eight(&theirs.value) {
                let what = format!(
                    "{}: this password and that at {there} differ after their first 8 bytes, which alone count",
                    entry.name
                );
                notes.changed(&here, what, "nothing: the first 8 bytes are imported");
            } else {
                let what = format!("{}: this password is another one than that at {there}", entry.name);
                notes.lost(&here, what, "make it the same on every host; that of the first is imported");
            }
        }
        (Some(_), None) | (None, Some(_)) => {
            let what = format!("{}: one of this and {there} has a password, and the other has none", entry.name);
            notes.lost(&here, what, "make it the same on every host; what the first has is imported");
        }
        _ => {}
    }
    if lead.hmac.as_ref().map(|hmac| &hmac.value) != other.hmac.as_ref().map(|hmac| &hmac.value) {
        let what = format!("{}: auth_hmac is not the same as at {there}", entry.name);
        notes.lost(&here, what, "give every host the same keys, active_key, window and mode");
    }
}

/// Each host has its own `nopreempt`. While priorities stay, that of the host which nobody is below means nothing; the others must be
/// alike, and all of them where what is tracked moves priorities.
pub(super) fn preemption(entries: &[Entry<'_>], hosts: &[Host], known: &[Node], notes: &mut Notes) {
    for entry in entries {
        let (chosen, choosing) = (preempting(entry, known), choosing(entry, known));
        let moves = entry.members.iter().any(|(at, it)| {
            let group = groups::of(&hosts[*at], it);
            checks::move_priority(it, group, &hosts[*at])
        });
        let lowest = choosing.iter().map(|(_, priority)| *priority).min();
        for (other, priority) in &choosing {
            if other.preempt.value == chosen.preempt.value {
                continue;
            }
            let what = format!("{}: preemption is otherwise here than at {}", entry.name, chosen.preempt.place);
            let place = &other.preempt.place;
            if moves {
                let what = format!("{what}, and what is tracked moves priorities");
                let remedy = "make nopreempt and preempt_delay the same on every host, or drop the weights: a failure means FAULT then; \
                              that of the best host is imported";
                notes.lost(place, what, remedy);
            } else if Some(*priority) == lowest {
                notes.changed(place, what, "nothing: a host that no other one is below has nobody to preempt");
            } else {
                let remedy =
                    "make nopreempt and preempt_delay the same on every host; that of the best host is imported";
                notes.lost(place, what, remedy);
            }
        }
    }
}

/// The instances of `entry` that have a choice whether to preempt, which an owner has not, and their priorities.
fn choosing<'h>(entry: &Entry<'h>, known: &[Node]) -> Vec<(&'h Instance, u8)> {
    let members = entry.members.iter().map(|(host, it)| (*it, priority(it, &known[*host])));
    members.filter(|(_, priority)| *priority < Priority::OWNER.get()).collect()
}

/// The instance whose preemption is imported: the best one of those that have a choice.
fn preempting<'h>(entry: &Entry<'h>, known: &[Node]) -> &'h Instance {
    let best = choosing(entry, known).into_iter().max_by_key(|(_, priority)| *priority);
    best.map_or_else(|| entry.lead(), |(instance, _)| instance)
}

/// The preemption of an entry, as vipd writes it; `None` for its default.
pub(super) fn preempt(entry: &Entry<'_>, known: &[Node]) -> Option<String> {
    match preempting(entry, known).preempt.value {
        Preempt::Never => Some("false".to_owned()),
        Preempt::After(0) => None,
        Preempt::After(delay) => Some(format!("{{ after = {} }}", span(delay))),
    }
}

/// A node has one address in the file, and an interface of a virtual router has one name on all nodes.
fn interfaces(entries: &[Entry<'_>], notes: &mut Notes) {
    for (at, entry) in entries.iter().enumerate() {
        let (lead, earlier) = (entry.lead(), &entries[..at]);
        let twin = earlier.iter().map(Entry::lead).find(|other| {
            let shares = |net: &At<IpNet>| lead.addresses.iter().any(|own| own.value == net.value);
            (other.vrid.value, other.family) == (lead.vrid.value, lead.family)
                && other.interface.value != lead.interface.value
                && other.addresses.iter().any(shares)
        });
        if let Some(twin) = twin {
            let what = format!(
                "{} is on {} here, and on {} at {}: in vipd's file an interface has one name on all nodes",
                entry.name, lead.interface.value, twin.interface.value, twin.interface.place
            );
            notes.lost(
                &lead.interface.place,
                what,
                "rename one: a .link file of systemd does it, or ip link set NAME name NEW",
            );
            continue;
        }
        let needs_address = |it: &Instance| it.family == Family::Ipv4 || !it.peers.is_empty();
        let other =
            earlier.iter().map(Entry::lead).find(|it| needs_address(it) && it.interface.value != lead.interface.value);
        if let Some(other) = other.filter(|_| needs_address(lead)) {
            let what = format!(
                "{} is on {}, and others are on {}: in a file of vipd a node has one address to send adverts from",
                entry.name, lead.interface.value, other.interface.value
            );
            let remedy = "import once for each interface (--interface NAME), and run an agent for each (vipd run --instance NAME)";
            notes.lost(&lead.interface.place, what, remedy);
        }
    }
}

/// An address belongs to one virtual router.
fn addresses(entries: &[Entry<'_>], notes: &mut Notes) {
    let mut seen: BTreeMap<IpAddr, &Place> = BTreeMap::new();
    for held in entries.iter().map(Entry::lead).flat_map(|it| it.addresses.iter().chain(&it.extra_addresses)) {
        let address = held.value.addr();
        match seen.get(&address) {
            Some(place) => {
                let what = format!("{address} is held by the instance at {place} already");
                notes.lost(&held.place, what, "keep it in one of the two; vipd check refuses it in both");
            }
            None => {
                seen.insert(address, &held.place);
            }
        }
    }
}
