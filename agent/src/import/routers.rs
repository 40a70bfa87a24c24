//! Entries to `[[virtual_router]]`, and what they have in common to `[cluster]`.

use std::net::IpAddr;

use vrrp::{Family, Priority};

use super::{
    cluster::{Entry, preempt},
    groups::Group,
    model::Instance,
    nodes::Node,
    note::{At, Notes},
    read::family_of,
    toml::{Keys, Table, array, inline, quoted, span},
};

/// The seconds between two announcements that vipd can be told.
const REFRESH_MAX_S: u64 = 3600;
/// The highest `announcement_rate`.
const ANNOUNCEMENT_RATE_MAX: u64 = 30_000;

/// A `[[virtual_router]]` in the making.
pub(super) struct Router {
    pub(super) name: String,
    pub(super) comments: Vec<String>,
    keys: Keys,
    /// What may be said in `[cluster]` for all.
    manner: Keys,
    checks: Vec<String>,
}

/// The virtual routers of `entry`: itself, and another one where it holds addresses of the other IP version as well.
pub(super) fn routers(
    entry: &Entry<'_>,
    known: &[Node],
    checks: &[String],
    groups: &mut Vec<Group>,
    notes: &mut Notes,
) -> Vec<Router> {
    let lead = entry.lead();
    let members = priorities(entry, known);
    let (own, other): (Vec<_>, Vec<_>) =
        lead.extra_addresses.iter().partition(|address| family_of(address.value) == lead.family);
    let mut keys = vec![
        ("name", quoted(&entry.name)),
        ("vrid", lead.vrid.value.to_string()),
        ("addresses", array(lead.addresses.iter().map(|address| address.value.to_string()))),
    ];
    if !own.is_empty() {
        keys.push(("extra_addresses", array(own.iter().map(|address| address.value.to_string()))));
    }
    for (key, held) in [("routes", &lead.routes), ("rules", &lead.rules)] {
        if !held.is_empty() {
            let lines: Vec<_> = held.iter().map(|it| format!("    {},\n", inline(it.value.iter().cloned()))).collect();
            keys.push((key, format!("[\n{}]", lines.concat())));
        }
    }
    keys.push(members.clone());
    let comments = vec![format!("{}", lead.name.place)];
    let router = Router {
        name: entry.name.clone(),
        comments,
        keys,
        manner: manner(entry, known, notes),
        checks: checks.to_vec(),
    };
    let companion = companion(entry, known, &other, members, groups, notes);
    std::iter::once(router).chain(companion).collect()
}

/// The addresses of the other IP version, which must be another virtual router: it moves with the first.
fn companion(
    entry: &Entry<'_>,
    known: &[Node],
    addresses: &[&At<ipnet::IpNet>],
    members: (&'static str, String),
    groups: &mut Vec<Group>,
    notes: &mut Notes,
) -> Option<Router> {
    let (first, lead) = (addresses.first()?, entry.lead());
    let family = family_of(first.value);
    let name = format!("{} over {family}", entry.name);
    let what = format!(
        "the {family} addresses become a virtual router of their own, with the same VRID, that moves together with {}",
        entry.name
    );
    notes.changed(&first.place, what, "nothing: a keepalived beside vipd does not advertise it, and is not asked to");
    match groups.iter_mut().find(|group| group.members.contains(&entry.name)) {
        Some(group) => group.members.push(name.clone()),
        None => groups.push(Group::of_families(
            format!("{} all", entry.name),
            vec![entry.name.clone(), name.clone()],
            &first.place,
        )),
    }
    let keys = vec![
        ("name", quoted(&name)),
        ("vrid", lead.vrid.value.to_string()),
        ("addresses", array(addresses.iter().map(|address| address.value.to_string()))),
        members,
    ];
    let mut manner: Keys =
        manner_of(entry, known).into_iter().filter(|(key, _)| !matches!(*key, "version" | "password")).collect();
    if !lead.peers.is_empty() && family == Family::Ipv6 {
        // The peers' IPv6 addresses are in no file.
        manner.retain(|(key, _)| !matches!(*key, "transport" | "min_ttl"));
    }
    Some(Router { name, comments: vec![format!("{}", first.place)], keys, manner, checks: Vec::new() })
}

/// `nodes` where the priorities are those that vipd gives by itself, else `priorities`.
fn priorities(entry: &Entry<'_>, known: &[Node]) -> (&'static str, String) {
    let mut members: Vec<(&str, u8)> =
        entry.members.iter().map(|(host, it)| (known[*host].name.as_str(), priority(it, &known[*host]))).collect();
    members.sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
    let peers: Vec<IpAddr> = entry.members.iter().flat_map(|(_, it)| it.peers.iter().map(|peer| peer.value)).collect();
    let is_peer = |node: &&Node| !node.has_file && node.addresses.iter().any(|address| peers.contains(address));
    members.extend(known.iter().filter(is_peer).map(|node| (node.name.as_str(), 0)));
    let by_order = [200, 150, 100, 50];
    let is_by_order = members.len() <= by_order.len()
        && members.iter().zip(by_order).all(|((_, priority), default)| *priority == default);
    if is_by_order {
        ("nodes", array(members.iter().map(|(name, _)| name)))
    } else {
        ("priorities", inline(members.iter().map(|(name, priority)| (*name, priority.to_string()))))
    }
}

/// The priority of `instance` on `node`: that of an owner only where the addresses are its own.
pub(super) fn priority(instance: &Instance, node: &Node) -> u8 {
    let owns = instance.addresses.iter().all(|address| node.addresses.contains(&address.value.addr()));
    if owns { instance.priority.value } else { instance.priority.value.min(Priority::OWNER.get() - 1) }
}

/// How an entry works, and notes of what cannot be said so.
fn manner(entry: &Entry<'_>, known: &[Node], notes: &mut Notes) -> Keys {
    let lead = entry.lead();
    if let Some(password) = &lead.password
        && first_eight(&password.value).is_none()
    {
        let what = "the first 8 bytes of the password are no text that a TOML file could hold";
        notes.lost(&password.place, what, "choose a password of ASCII characters, on every host");
    }
    if lead.refresh.as_ref().is_some_and(|refresh| refresh.value > REFRESH_MAX_S) {
        let place = lead.refresh.as_ref().map_or(&lead.name.place, |refresh| &refresh.place);
        notes.changed(place, "addresses are announced each hour at least", "nothing");
    }
    let owners = entry.members.iter().filter(|(_, it)| it.priority.value == Priority::OWNER.get());
    for (host, owner) in owners {
        let (name, place) = (&entry.name, &owner.priority.place);
        if priority(owner, &known[*host]) == Priority::OWNER.get() {
            let what =
                format!("{name} is for the owner of the addresses (255): vipd neither adds nor removes them there");
            notes.changed(place, what, "see that they are on its interface always, or give it 254 at most");
        } else if let Some(own) = owner.addresses.iter().find(|it| known[*host].addresses.contains(&it.value.addr())) {
            let what = format!(
                "{name} has the priority of an owner (255), and of its addresses {} is {}'s own, and others are not",
                own.value.addr(),
                known[*host].name
            );
            notes.lost(place, what, "make two instances of it: one with the host's own addresses, one with the others");
        } else {
            let what = format!(
                "{name} has the priority of an owner (255), and its addresses are not {}'s own: it becomes 254",
                known[*host].name
            );
            notes.changed(place, what, "nothing, unless another host has 254 as well");
        }
    }
    manner_of(entry, known)
}

fn manner_of(entry: &Entry<'_>, known: &[Node]) -> Keys {
    let lead = entry.lead();
    let mut keys = vec![
        ("interface", quoted(&lead.interface.value)),
        ("advertisement_interval", span(u64::from(lead.interval.value) * 10_000)),
    ];
    if !lead.peers.is_empty() {
        keys.push(("transport", quoted("unicast")));
    }
    let min_ttl = entry.members.iter().filter_map(|(_, it)| it.min_ttl.as_ref()).map(|ttl| ttl.value).min();
    keys.extend(min_ttl.filter(|ttl| *ttl < 255).map(|ttl| ("min_ttl", ttl.to_string())));
    if lead.version.value == 2 {
        keys.push(("version", "2".to_owned()));
        let password = lead.password.as_ref().and_then(|password| first_eight(&password.value));
        keys.extend(password.map(|password| ("password", quoted(&password))));
    }
    keys.extend(preempt(entry, known).map(|preempt| ("preempt", preempt)));
    if !lead.accept.value {
        keys.push(("accept", "false".to_owned()));
    }
    if lead.virtual_mac.is_some() {
        keys.push(("virtual_mac", "true".to_owned()));
    }
    if let Some(adverts) = lead.down_timer_adverts.as_ref().filter(|adverts| adverts.value != 3) {
        keys.push(("down_timer_adverts", adverts.value.to_string()));
    }
    if let Some(refresh) = lead.refresh.as_ref().filter(|refresh| refresh.value != 60) {
        let seconds = refresh.value.min(REFRESH_MAX_S);
        let value = if seconds == 0 { quoted("off") } else { quoted(&format!("{seconds}s")) };
        keys.push(("announcement_refresh", value));
    }
    if let Some(spacing) = lead.announcement_spacing.as_ref().filter(|spacing| spacing.value > 0) {
        // Of microseconds.
        let in_a_second = (1_000_000 / spacing.value).clamp(1, ANNOUNCEMENT_RATE_MAX);
        keys.push(("announcement_rate", in_a_second.to_string()));
    }
    if lead.checksum_as_v2.is_some() && lead.version.value == 3 && lead.family == Family::Ipv4 {
        keys.push(("checksum", quoted("rfc9568")));
    }
    if lead.family == Family::Ipv6 && !leads_with_link_local(lead) {
        keys.push(("virtual_link_local", "false".to_owned()));
    }
    keys
}

fn leads_with_link_local(instance: &Instance) -> bool {
    instance
        .addresses
        .first()
        .is_some_and(|first| matches!(first.value.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local()))
}

/// What keepalived takes of a password; `None` where that ends inside of a character.
fn first_eight(password: &str) -> Option<String> {
    let bytes = &password.as_bytes()[..password.len().min(8)];
    std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).map(str::to_owned)
}

/// The keys that all of `routers` have in common, taken out of them, and the tables of the routers.
pub(super) fn tables(routers: Vec<Router>) -> (Keys, Vec<Table>) {
    let common: Keys = match routers.split_first() {
        None => Keys::new(),
        Some((first, others)) => {
            let is_common = |key: &(&'static str, String)| others.iter().all(|router| router.manner.contains(key));
            first.manner.iter().filter(|key| is_common(key)).cloned().collect()
        }
    };
    let tables = routers.into_iter().map(|router| {
        let mut keys = router.keys;
        keys.extend(router.manner.into_iter().filter(|key| !common.contains(key)));
        if !router.checks.is_empty() {
            keys.push(("checks", array(&router.checks)));
        }
        Table { heading: "[[virtual_router]]", comments: router.comments, keys }
    });
    let tables = tables.collect();
    (common, tables)
}
