//! The rules that hold between keys: the file as written becomes the checked form, or a list of mistakes.

mod identity;
mod router;

use std::fmt::Display;

use vrrp_wire::Family;

use self::router::Router;
use super::{
    Attach, Config, Guard, Identity, Mode, Transport,
    diagnostic::{Fault, Place, Report},
    file::{File, Node},
    table::{Field, Located},
};

/// Checks all of `file`; the outcome is worth something only if `report` has no error in the end.
pub(super) fn check(file: &File, identity: &Identity, report: &mut Report<'_>) -> Option<Config> {
    check_nodes(&file.nodes, report);
    let routers = router::routers(file, report);
    check_reachability(&file.nodes, &routers, report);
    let node = identity::find(identity, &file.nodes, report)?;
    Some(Config {
        cluster: file.cluster.name.value()?.clone(),
        node: node.to_owned(),
        guard: Guard {
            mode: file.guard.mode.or_default(Mode::default())?,
            attach: file.guard.attach.or_default(Attach::default())?,
            log_drops: file.guard.log_drops.or_default(false)?,
        },
        virtual_routers: routers.iter().filter_map(|router| router.seen_by(node)).collect(),
        warnings: Vec::new(),
    })
}

fn check_nodes(nodes: &[Node], report: &mut Report<'_>) {
    if nodes.is_empty() {
        let place = Place { key: "node".to_owned(), ..Place::default() };
        report.error(&place, Fault::new("there is no node", "add a [[node]] for each machine of the cluster"));
    }
    check_unique(nodes.iter().map(|node| &node.name), report);
    check_unique(nodes.iter().map(|node| &node.address), report);
    check_unique(nodes.iter().map(|node| &node.address6), report);
    check_unique(nodes.iter().map(|node| &node.link_local), report);
    check_unique(nodes.iter().map(|node| &node.mac), report);
}

/// Every node of a virtual router must have an address to send from, and must be known to the others by one.
fn check_reachability(nodes: &[Node], routers: &[Router<'_>], report: &mut Report<'_>) {
    for node in nodes {
        let mut reported = Vec::new();
        for router in routers.iter().filter(|router| router.member(node).is_some()) {
            let Some(transport) = router.transport else { continue };
            let (key, missing, remedy) = match (router.family, transport) {
                (Family::Ipv4, _) => {
                    ("address", node.address.is_absent(), "add the node's primary IPv4 address on the interface")
                }
                (Family::Ipv6, Transport::Unicast) => {
                    ("address6", node.address6.is_absent(), "add the IPv6 address that its adverts come from")
                }
                (Family::Ipv6, Transport::Multicast) => (
                    "link_local",
                    router.members.len() > 1 && node.link_local.is_absent() && node.mac.is_absent(),
                    "add it, or mac: by one of them its adverts are told from forged ones",
                ),
            };
            if missing && !reported.contains(&key) {
                reported.push(key);
                let place = node.heading.key(key, node.heading.line);
                let user =
                    format!("missing, but {} needs it for {}", router.entry.heading.table_and_line(), router.family);
                report.error(&place, Fault::new(user, remedy));
            }
        }
    }
}

/// Reports each value that an earlier one equals.
fn check_unique<'f, T: PartialEq + Display + 'f>(fields: impl Iterator<Item = &'f Field<T>>, report: &mut Report<'_>) {
    for (again, first) in repeated(fields.filter_map(Field::given), |given: &'f Located<T>| &given.value) {
        let what = format!("{} is that of {} already", again.value, first.place.table_and_line());
        report.error(&again.place, Fault::new(what, "give each its own"));
    }
}

/// The items whose key an earlier item has, each with the first of that key.
fn repeated<T: Copy, K: PartialEq>(items: impl IntoIterator<Item = T>, key: impl Fn(T) -> K) -> Vec<(T, T)> {
    let mut firsts: Vec<T> = Vec::new();
    let mut repeated = Vec::new();
    for item in items {
        match firsts.iter().find(|first| key(**first) == key(item)) {
            Some(first) => repeated.push((item, *first)),
            None => firsts.push(item),
        }
    }
    repeated
}
