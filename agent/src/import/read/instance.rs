//! A `vrrp_instance`: what its words come to together, by keepalived's rules.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use vrrp::Family;

use super::{address, draft::Draft, route, value};
use crate::import::{
    model::{Globals, Instance, Micros, Preempt},
    note::{At, Notes, Place},
    tree::Statement,
};

/// How many addresses the count of an advert can say.
const LISTED_MAX: usize = 255;
/// The longest interval that version 3 can say, in hundredths of a second.
const CENTISECONDS_MAX: u64 = 4095;

/// Reads an instance; `None` where keepalived would not run it.
pub(super) fn read(statement: &Statement, globals: &Globals, notes: &mut Notes) -> Option<Instance> {
    let name = value::text(statement, notes)?;
    let mut draft = Draft::read(&statement.block, notes);
    let not_run = |why: &str, notes: &mut Notes| {
        let what = format!("{} is left out: it has {why}", name.value);
        notes.lost(&name.place, what, "add it, or remove the instance: keepalived does not run it either");
    };
    let interface = draft.interface.clone();
    let held = addresses(&draft.addresses, interface.as_ref(), notes);
    let (Some(vrid), Some(interface)) = (draft.vrid.clone(), interface) else {
        not_run("no virtual_router_id, or no interface", notes);
        return None;
    };
    if interface.value == "lo" {
        not_run("the loopback interface", notes);
        return None;
    }
    let Some(family) = held.first().map(|first| family_of(first.value)) else {
        not_run("no address that vipd could hold", notes);
        return None;
    };
    let strict = switched_on(draft.strict.as_ref(), globals.strict.as_ref());
    let (of_family, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|held| family_of(held.value) == family);
    for other in others {
        let what = format!("{} is of another IP version than the first address", other.value.addr());
        notes.ignored(&other.place, what, "keepalived does not hold it; list it in virtual_ipaddress_excluded");
    }
    let version = version(&draft, family, globals, &statement.place, notes);
    let interval = interval(&draft, version.value, &statement.place, notes);
    let priority = priority(&draft, &statement.place, notes);
    let preempt = preempt(&draft, priority.value, strict.is_some(), &statement.place, notes);
    let accept = accept(&draft, version.value, strict.as_ref(), &statement.place, notes);
    let down_timer_adverts = down_timer_adverts(&draft, globals, strict.is_some(), notes);
    let (of_family, surplus) = divided(of_family, notes);
    unicast(&mut draft, family, &name, notes);
    let password = password(&mut draft, version.value, strict.as_ref(), notes);
    let extra_addresses: Vec<_> =
        surplus.into_iter().chain(addresses(&draft.excluded, Some(&interface), notes)).collect();
    let held: Vec<_> = of_family.iter().chain(&extra_addresses).map(|held| held.value).collect();
    let read = |line: &&Statement, notes: &mut Notes| route::route(line, &interface.value, &held, notes);
    Some(Instance {
        routes: draft.routes.iter().filter_map(|line| read(line, notes)).collect(),
        rules: draft.rules.iter().filter_map(|line| route::rule(line, notes)).collect(),
        extra_addresses,
        name,
        interface,
        vrid,
        family,
        version,
        interval,
        priority,
        preempt,
        addresses: of_family,
        source: draft.source,
        peers: draft.peers,
        min_ttl: draft.min_ttl,
        password,
        hmac: draft.hmac,
        accept,
        virtual_mac: draft.virtual_mac,
        down_timer_adverts,
        refresh: draft.refresh.or_else(|| globals.refresh.clone()),
        announcement_spacing: globals.announcement_spacing.clone(),
        checksum_as_v2: switched_on(draft.checksum_as_v2.as_ref(), globals.checksum_as_v2.as_ref()),
        tracks: draft.tracks,
        reports: draft.reports,
    })
}

pub(in crate::import) const fn family_of(net: IpNet) -> Family {
    match net {
        IpNet::V4(_) => Family::Ipv4,
        IpNet::V6(_) => Family::Ipv6,
    }
}

/// Where something is switched on, by the instance's own word if it has one.
fn switched_on(own: Option<&At<bool>>, global: Option<&At<bool>>) -> Option<Place> {
    own.or(global).filter(|switch| switch.value).map(|switch| switch.place.clone())
}

/// The addresses of `lines`, each once.
fn addresses(lines: &[&Statement], interface: Option<&At<String>>, notes: &mut Notes) -> Vec<At<IpNet>> {
    let mut seen = BTreeSet::new();
    let mut addresses = Vec::new();
    for line in lines {
        let Some(read) = address::read(line, interface.map(|it| it.value.as_str()), notes) else { continue };
        if seen.insert(read.value.addr()) {
            addresses.push(read);
        } else {
            notes.ignored(&read.place, format!("{} is listed twice", read.value.addr()), "keepalived skips it as well");
        }
    }
    addresses
}

fn version(draft: &Draft<'_>, family: Family, globals: &Globals, place: &Place, notes: &mut Notes) -> At<u8> {
    let given = draft.version.clone();
    if family == Family::Ipv6 {
        if let Some(two) = given.as_ref().filter(|version| version.value == 2) {
            notes.ignored(&two.place, "version 2 is for IPv4 only; IPv6 is of version 3", "keepalived does so too");
        }
        return At { value: 3, place: given.map_or_else(|| place.clone(), |given| given.place) };
    }
    given.unwrap_or_else(|| At { value: globals.version.unwrap_or(2), place: place.clone() })
}

/// Of version 2 whole seconds, of version 3 hundredths.
fn interval(draft: &Draft<'_>, version: u8, place: &Place, notes: &mut Notes) -> At<u16> {
    let second = At { value: 1_000_000, place: place.clone() };
    let At { value: micros, place } = draft.interval.clone().unwrap_or(second);
    let step: Micros = if version == 2 { 1_000_000 } else { 10_000 };
    let rounded = ((micros + step / 2) / step).max(1) * step;
    if rounded != micros {
        let what =
            format!("version {version} cannot say this advert_int; keepalived makes {} ms of it", rounded / 1000);
        notes.changed(&place, what, "write that on every host");
    }
    let centiseconds = rounded / 10_000;
    let limit = if version == 2 { 4000 } else { CENTISECONDS_MAX };
    if centiseconds > limit {
        let what = format!("advert_int of {} s is more than vipd can", rounded / 1_000_000);
        notes.lost(&place, what, "shorten it to 40 s at most, on every host");
    }
    At { value: u16::try_from(centiseconds.min(limit)).unwrap_or(u16::MAX), place }
}

fn priority(draft: &Draft<'_>, place: &Place, notes: &mut Notes) -> At<u8> {
    match (&draft.priority, &draft.is_master) {
        (Some(priority), Some(master)) if priority.value != 255 => {
            let what = "state MASTER decides nothing: every node starts as Backup, and the priority elects";
            notes.changed(master, what, "nothing");
            priority.clone()
        }
        (Some(priority), _) => priority.clone(),
        (None, Some(master)) => {
            let what = "state MASTER without a priority makes this host the owner of the addresses (255): they must be its own";
            notes.changed(master, what, "give it a priority of 254 or less unless they are");
            At { value: 255, place: master.clone() }
        }
        (None, None) => At { value: 100, place: place.clone() },
    }
}

fn preempt(draft: &Draft<'_>, priority: u8, strict: bool, place: &Place, notes: &mut Notes) -> At<Preempt> {
    let delay = draft.preempt_delay.as_ref().filter(|delay| delay.value > 0);
    let given = draft.nopreempt.as_ref().or_else(|| delay.map(|delay| &delay.place));
    let Some(given) = given else {
        return At { value: Preempt::After(0), place: place.clone() };
    };
    let at = |value| At { value, place: given.clone() };
    let why_not = match (&draft.is_master, priority, &draft.nopreempt) {
        (_, 255, Some(_)) => Some("an owner always preempts"),
        (_, _, None) if strict => Some("strict mode has no preempt_delay"),
        (Some(_), _, _) if !strict => Some("it does not go with state MASTER"),
        _ => None,
    };
    if let Some(why) = why_not {
        let what = format!("nopreempt and preempt_delay are not in force: {why}");
        notes.changed(given, what, "write state BACKUP in keepalived's file if it was meant, and import it again");
        return at(Preempt::After(0));
    }
    if let (Some(_), Some(delay)) = (&draft.nopreempt, delay) {
        notes.ignored(&delay.place, "preempt_delay means nothing beside nopreempt", "keepalived clears it too");
        return at(Preempt::Never);
    }
    match delay {
        Some(delay) => at(Preempt::After(delay.value)),
        None => at(Preempt::Never),
    }
}

/// Strict mode drops what is sent to the addresses, unless `accept` stands beside it, which version 2 does not have.
fn accept(draft: &Draft<'_>, version: u8, strict: Option<&Place>, place: &Place, notes: &mut Notes) -> At<bool> {
    let given = draft.accept.as_ref().filter(|accept| strict.is_none() || version == 3 || !accept.value);
    match (given, strict) {
        (Some(accept), _) => accept.clone(),
        (None, Some(strict)) => {
            let what = "strict mode: who does not own the addresses drops what is sent to them, and so does accept = false here";
            notes.changed(strict, what, "write accept = true if the addresses are to be reached");
            At { value: false, place: strict.clone() }
        }
        (None, None) => At { value: true, place: place.clone() },
    }
}

/// Adverts that may be missed; in strict mode three.
fn down_timer_adverts(draft: &Draft<'_>, globals: &Globals, strict: bool, notes: &mut Notes) -> Option<At<u8>> {
    let given = draft.down_timer_adverts.as_ref().or(globals.down_timer_adverts.as_ref())?;
    if strict {
        notes.ignored(&given.place, "down_timer_adverts is 3 in strict mode", "keepalived resets it too");
        return None;
    }
    Some(given.clone())
}

/// What adverts can list, and the rest.
fn divided(mut addresses: Vec<At<IpNet>>, notes: &mut Notes) -> (Vec<At<IpNet>>, Vec<At<IpNet>>) {
    let rest = addresses.split_off(addresses.len().min(LISTED_MAX));
    if let Some(first) = rest.first() {
        let what = format!("an advert lists {LISTED_MAX} addresses: the others become extra_addresses");
        notes.changed(&first.place, what, "nothing: keepalived does not list them either");
    }
    (addresses, rest)
}

fn unicast(draft: &mut Draft<'_>, family: Family, name: &At<String>, notes: &mut Notes) {
    of_family(draft, family, notes);
    let Some(unicast) = draft.unicast.clone().or_else(|| draft.needs_peer.clone()) else { return };
    if draft.peers.is_empty() {
        if let Some(needs) = &draft.needs_peer {
            let what = format!("{} has no peer, and unicast_fault_no_peer keeps it in FAULT", name.value);
            notes.lost(needs, what, "list its peers, or remove it for multicast");
        } else {
            let what = "unicast without peers: keepalived sends multicast, and so does vipd";
            notes.changed(&unicast, what, "list the peers if unicast was meant");
        }
        draft.min_ttl = None;
        return;
    }
    if !draft.checks_source {
        let what = "adverts from other addresses than the nodes' are dropped, which keepalived does with check_unicast_src alone";
        notes.changed(&unicast, what, "see that each node has the address that its adverts come from");
    }
    received(draft, family, notes);
}

/// Leaves out peers and the source where they are of another IP version than the addresses.
fn of_family(draft: &mut Draft<'_>, family: Family, notes: &mut Notes) {
    let is_of_family = |address: &At<IpAddr>| address.value.is_ipv6() == (family == Family::Ipv6);
    let what = |address: &At<IpAddr>| format!("{} is of another IP version than the addresses", address.value);
    draft.peers.retain(|peer| {
        if !is_of_family(peer) {
            notes.ignored(&peer.place, what(peer), "keepalived skips it as well");
        }
        is_of_family(peer)
    });
    if let Some(source) = draft.source.take_if(|source| !is_of_family(source)) {
        let remedy = "send from an address of their version: of the two keepalived takes what stands first";
        notes.lost(&source.place, what(&source), remedy);
    }
}

/// The least TTL that is taken. keepalived looks at that of peers with `min_ttl` alone; vipd takes what this host, like the others,
/// sends on the same link.
fn received(draft: &mut Draft<'_>, family: Family, notes: &mut Notes) {
    let Some(any) = draft.any_ttl.clone() else { return };
    let what = "keepalived looks at no TTL of this peer; vipd drops adverts with less than 255, or than min_ttl";
    notes.changed(&any, what, "set min_ttl if a router is between the hosts");
    let given = draft.unicast_ttl.clone().filter(|ttl| ttl.value > 0);
    let ipv6 = (family == Family::Ipv6).then_some(At { value: 64, place: any });
    let Some(sent) = given.or(ipv6).filter(|ttl| ttl.value < 255) else { return };
    if draft.min_ttl.as_ref().is_none_or(|least| sent.value < least.value) {
        let what = format!("keepalived sends unicast adverts with a TTL of {}, which min_ttl has to allow", sent.value);
        notes.changed(&sent.place, what, "remove min_ttl when the last keepalived is gone: vipd sends 255");
        draft.min_ttl = Some(sent);
    }
}

fn password(
    draft: &mut Draft<'_>,
    version: u8,
    strict: Option<&Place>,
    notes: &mut Notes,
) -> Option<At<zeroize::Zeroizing<String>>> {
    let password = draft.password.take().filter(|password| !password.value.is_empty())?;
    let why = match (version, strict, &draft.hmac) {
        (3, ..) => "version 3 has no passwords",
        (_, Some(_), _) => "strict mode has none",
        (_, _, Some(_)) => "auth_hmac is in its place",
        _ if !draft.has_passwords => "there is no auth_type PASS",
        _ => return Some(password),
    };
    let what = format!("the password is not in force: {why}");
    notes.ignored(&password.place, what, "keepalived does not use it either; [auth] signs adverts");
    None
}
