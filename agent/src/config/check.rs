//! The rules that hold between keys: the file as written becomes the checked form, or a list of mistakes.

mod auth;
mod group;
mod health;
mod hetzner;
mod holdings;
mod identity;
mod kubernetes;
mod manner;
mod metrics;
mod notify;
mod router;

use std::{fmt::Display, path::PathBuf, time::Duration};

use sha2::{Digest, Sha256};
use vrrp_wire::Family;

use self::router::Router;
use super::{
    Attach, Config, Guard, Identity, Mode, Process, Transport, VlanGuard,
    diagnostic::{Fault, Place, Report, Severity},
    file::{self, File, Node},
    table::{Field, Located},
};
use crate::check::Check;

/// Checks all of `file`; the outcome is worth something only if `report` has no error in the end.
pub(super) fn check(file: &File, identity: &Identity, report: &mut Report<'_>) -> Option<Config> {
    check_nodes(&file.nodes, report);
    check_vlan(&file.guard, report);
    let node = identity::find(identity, &file.nodes, report);
    let checks = health::checks(file, node, report);
    let routers = router::routers(file, report);
    holdings::check(file, report);
    group::check(file, report);
    let auth = auth::check(file, &routers, report);
    check_reachability(file, &routers, report);
    let notify = notify::check(file, report);
    hetzner::check(file, report);
    let metrics = metrics::check(file, node, report);
    check_grace(&file.cluster, &file.guard, report);
    let node = node?;
    let virtual_routers: Vec<_> = routers.iter().filter_map(|router| router.seen_by(node)).collect();
    let is_used = |check: &Check| {
        virtual_routers.iter().flat_map(|router| &router.checks).any(|tracked| tracked.check == check.name)
    };
    Some(Config {
        cluster: file.cluster.name.value()?.clone(),
        node: node.to_owned(),
        fingerprint: fingerprint(report.text()),
        supervisor: file.cluster.supervisor.or_default(true)?,
        restart_grace: file.cluster.restart_grace.or_default(Duration::ZERO)?,
        guard: Guard {
            mode: file.guard.mode.or_default(Mode::default())?,
            attach: file.guard.attach.or_default(Attach::default())?,
            vlan: file.guard.vlan.or_default(VlanGuard::default())?,
            log_drops: file.guard.log_drops.or_default(false)?,
        },
        process: process(&file.process)?,
        auth: if file.auth.is_absent() { None } else { Some(auth?) },
        checks: checks.into_iter().filter(is_used).collect(),
        virtual_routers: group::join(file, virtual_routers),
        notify,
        hetzner: hetzner::of_node(file, node),
        metrics: metrics?,
        warnings: Vec::new(),
    })
}

/// What tells a file with this text from others.
fn fingerprint(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(String::new(), |hexadecimal, byte| format!("{hexadecimal}{byte:02x}"))
}

/// Only a supervisor can wait; it hears nothing meanwhile, and only the guard's fence heeds who takes over.
fn check_grace(cluster: &file::Cluster, guard: &file::Guard, report: &mut Report<'_>) {
    let Some(grace) = cluster.restart_grace.given().filter(|grace| !grace.value.is_zero()) else { return };
    if cluster.supervisor.value() == Some(&false) {
        let what = "nobody advertises for an agent that is gone, since supervisor = false";
        report.error(&grace.place, Fault::new(what, "remove it, or remove supervisor = false"));
    } else if guard.attach.value() == Some(&Attach::Off) {
        let what = "no guard keeps this node from answering beside a better one that takes over meanwhile";
        report.warning(&grace.place, Fault::new(what, "remove it, or remove attach = \"off\""));
    }
}

fn process(process: &file::Process) -> Option<Process> {
    let given = process.realtime_priority.given();
    Some(Process {
        realtime_priority: if process.realtime_priority.is_absent() { None } else { Some(given?.value) },
        lock_memory: process.lock_memory.or_default(false)?,
        cpus: process.cpus.value().map(|cpus| cpus.iter().map(|cpu| cpu.value).collect()).unwrap_or_default(),
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
    check_unique(nodes.iter().map(|node| &node.kubernetes_name), report);
}

/// Only XDP can sit on the parent of a VLAN sub-interface.
fn check_vlan(guard: &file::Guard, report: &mut Report<'_>) {
    let Some(vlan) = guard.vlan.given().filter(|vlan| vlan.value == VlanGuard::Parent) else { return };
    let attach = match guard.attach.or_default(Attach::default()) {
        Some(Attach::Tcx) => "tcx",
        Some(Attach::Clsact) => "clsact",
        Some(Attach::Off) => "off",
        Some(Attach::Auto | Attach::Native | Attach::Generic) | None => return,
    };
    let what = format!("\"parent\" changes nothing: attach = {attach:?} puts no XDP program on the parent");
    let remedy = r#"remove it, or write attach = "auto", "native" or "generic""#;
    report.warning(&vlan.place, Fault::new(what, remedy));
}

/// Every node of a virtual router must have an address to send from, and should be known to the others by one.
fn check_reachability(file: &File, routers: &[Router<'_>], report: &mut Report<'_>) {
    for node in &file.nodes {
        let mut reported = Vec::new();
        for router in routers.iter().filter(|router| router.member(node).is_some()) {
            let Some((key, severity, fault)) = missing_address(node, router, &file.auth) else { continue };
            if !reported.contains(&key) {
                reported.push(key);
                let place = node.heading.key(key, node.heading.line);
                match severity {
                    Severity::Error => report.error(&place, fault),
                    Severity::Warning => report.warning(&place, fault),
                }
            }
        }
    }
}

/// Which address of `node` the file does not give, though `router` needs it, and what that means.
fn missing_address(
    node: &Node,
    router: &Router<'_>,
    auth: &Field<file::Auth>,
) -> Option<(&'static str, Severity, Fault)> {
    let needed_by = router.entry.heading.table_and_line();
    let needed = || format!("missing, but {needed_by} needs it for {}", router.family);
    match (router.family, router.manner.transport?) {
        (Family::Ipv4, _) => node.address.is_absent().then(|| {
            let remedy = "add the node's primary IPv4 address on the interface";
            ("address", Severity::Error, Fault::new(needed(), remedy))
        }),
        (Family::Ipv6, Transport::Unicast) => node.address6.is_absent().then(|| {
            ("address6", Severity::Error, Fault::new(needed(), "add the IPv6 address that its adverts come from"))
        }),
        (Family::Ipv6, Transport::Multicast) => {
            let unknown = router.members.len() > 1 && !router.can_tell(node);
            (unknown && auth::enforces(auth) == Some(false)).then(|| {
                let what = format!(
                    "missing, so {needed_by} believes IPv6 adverts from any link-local address: anyone on the link \
                     can forge them"
                );
                let or_mac = if router.manner.virtual_mac == Some(true) { "" } else { ", or mac" };
                let remedy = format!("add it{or_mac}; or an [auth] with mode = \"enforce\"");
                ("link_local", Severity::Warning, Fault::new(what, remedy))
            })
        }
    }
}

/// Directories that a service has for itself where its unit says `PrivateTmp=yes`, as that of the package does.
const PRIVATE: [&str; 2] = ["/tmp", "/var/tmp"];

/// Says where the agent would look in vain for what other programs have made.
fn warn_of_private_directory(path: &Field<PathBuf>, report: &mut Report<'_>) {
    let Some(Located { value: path, place }) = path.given() else { return };
    if let Some(private) = PRIVATE.iter().find(|private| path.starts_with(private)) {
        let what = format!("as a service of systemd the agent has a {private} of its own, where nothing of others is");
        let remedy = "put it elsewhere, below /run say; or write PrivateTmp=no into a drop-in (systemctl edit vipd)";
        report.warning(place, Fault::new(what, remedy));
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
