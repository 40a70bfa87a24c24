//! Hosts to `[[node]]`: their names, and the addresses that the files tell of each other.

use std::{collections::BTreeSet, net::IpAddr};

use vrrp::Family;

use super::{
    Host,
    cluster::Entry,
    note::{Class, Notes},
    toml::{Table, quoted},
};

/// A node, as far as it is known.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) addresses: BTreeSet<IpAddr>,
    /// Whether its file was imported; else only its address is known, from its peers.
    pub(super) has_file: bool,
}

impl Node {
    fn has(&self, is: fn(&IpAddr) -> bool) -> bool {
        self.addresses.iter().any(is)
    }
}

/// The nodes of `hosts`, in their order, and those that only their peers know.
pub(super) fn nodes(hosts: &[Host], entries: &[Entry<'_>], notes: &mut Notes) -> Vec<Node> {
    let mut found: Vec<_> = hosts
        .iter()
        .map(|host| Node {
            name: host.name.clone(),
            addresses: host.addresses.iter().copied().collect(),
            has_file: true,
        })
        .collect();
    for entry in entries {
        for (host, instance) in &entry.members {
            let node = &mut found[*host];
            if let Some(source) = &instance.source {
                node.addresses.insert(source.value);
            }
        }
    }
    for family in [|address: &IpAddr| address.is_ipv4(), |address: &IpAddr| address.is_ipv6()] {
        eliminate(&mut found, entries, family);
    }
    strangers(&mut found, entries, notes);
    found
}

/// Who has peers, but no address: the one that all peers of others list and this one does not is its own.
fn eliminate(found: &mut [Node], entries: &[Entry<'_>], is_of_family: fn(&IpAddr) -> bool) {
    loop {
        let known: BTreeSet<_> = found.iter().flat_map(|node| node.addresses.iter().copied()).collect();
        let listed = |of: Option<usize>| -> BTreeSet<IpAddr> {
            let members = entries.iter().flat_map(|entry| &entry.members);
            let members = members.filter(|(host, _)| of.is_none_or(|of| of == *host));
            members.flat_map(|(_, it)| it.peers.iter().map(|peer| peer.value)).filter(is_of_family).collect()
        };
        let all = listed(None);
        let one = (0..found.len()).filter(|&at| !found[at].has(is_of_family)).find_map(|at| {
            let own = listed(Some(at));
            let mut candidates = all.iter().filter(|it| !own.contains(it) && !known.contains(it));
            let first = candidates.next().filter(|_| !own.is_empty())?;
            candidates.next().is_none().then_some((at, *first))
        });
        match one {
            Some((at, address)) => found[at].addresses.insert(address),
            None => return,
        };
    }
}

/// Peers without a file.
fn strangers(found: &mut Vec<Node>, entries: &[Entry<'_>], notes: &mut Notes) {
    let mut known: BTreeSet<_> = found.iter().flat_map(|node| node.addresses.iter().copied()).collect();
    for peer in entries.iter().flat_map(|entry| &entry.members).flat_map(|(_, instance)| &instance.peers) {
        if !known.insert(peer.value) {
            continue;
        }
        let name = format!("host-{}", peer.value.to_string().replace([':', '.'], "-"));
        let what = format!("the configuration of the peer {} was not given: its priority is written as 0", peer.value);
        notes.add(
            Class::Missing,
            &peer.place,
            what,
            "import it together with this one: vipd import n1=FILE n2=FILE ...",
        );
        found.push(Node { name, addresses: [peer.value].into(), has_file: false });
    }
}

/// The tables of `nodes`; says which addresses are missing.
pub(super) fn tables(found: &[Node], entries: &[Entry<'_>], notes: &mut Notes) -> Vec<Table> {
    let needs = |family: Family, unicast: bool| {
        entries.iter().map(Entry::lead).find(|it| it.family == family && (!unicast || !it.peers.is_empty()))
    };
    let (ipv4, ipv6) = (needs(Family::Ipv4, false), needs(Family::Ipv6, true));
    let mut tables = Vec::new();
    for node in found {
        let mut table = Table { heading: "[[node]]", keys: vec![("name", quoted(&node.name))], ..Table::default() };
        if !node.has_file {
            table.comments.push("known from its peers alone: write its name".to_owned());
        }
        for address in &node.addresses {
            let key = match address {
                IpAddr::V4(_) => "address",
                IpAddr::V6(v6) if v6.is_unicast_link_local() => "link_local",
                IpAddr::V6(_) => "address6",
            };
            if table.keys.iter().any(|(own, _)| *own == key) {
                let what = format!("{} sends adverts from more than one address; {address} is left out", node.name);
                notes.add_general(
                    Class::Lost,
                    what,
                    "import once for each of them, and run an agent for each (--instance)",
                );
            } else {
                table.keys.push((key, quoted(&address.to_string())));
            }
        }
        for (key, needed, example) in [("address", ipv4, "-4"), ("address6", ipv6, "-6")] {
            if let Some(instance) = needed.filter(|_| !table.keys.iter().any(|(own, _)| *own == key)) {
                let interface = &instance.interface.value;
                table.comments.push(format!("{key} is missing: see ip {example} address show dev {interface}"));
                let what = format!("no file says from which address {} sends its adverts", node.name);
                let remedy = format!("write {key} into its [[node]], or import with --address {}=ADDRESS", node.name);
                notes.add_general(Class::Missing, what, remedy);
            }
        }
        tables.push(table);
    }
    tables
}
