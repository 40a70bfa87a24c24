//! Which node of the file this machine is.

use std::{fmt::Display, net::IpAddr};

use crate::config::{
    Identity,
    diagnostic::{Fault, Place, Report},
    file::Node,
};

/// The name of the node that `identity` is: by `--node`, else by host name, else by address. `--node` may also be what
/// Kubernetes calls the node, which is all that a pod can be told.
pub(super) fn find<'f>(identity: &Identity, nodes: &'f [Node], report: &mut Report<'_>) -> Option<&'f str> {
    let name_of = |node: &'f Node| node.name.value().map(String::as_str);
    let names: Vec<&str> = nodes.iter().filter_map(name_of).collect();
    let by_name = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    let place = Place { line: nodes.first()?.heading.line, key: "node".to_owned(), ..Place::default() };

    if let Some(wanted) = &identity.node {
        let in_kubernetes = |node: &&Node| node.kubernetes_name.value().is_some_and(|name| name == wanted);
        let found = by_name(wanted).or_else(|| nodes.iter().find(in_kubernetes).and_then(name_of));
        if found.is_none() {
            let what = format!("--node or $VIPD_NODE says {wanted:?}, which is no node of this file");
            report.error(&place, Fault::new(what, format!("choose one of {}, or add a [[node]]", list(&names))));
        }
        return found;
    }
    let host_name = identity.host_name.as_deref().unwrap_or_default();
    let label = host_name.split('.').next().unwrap_or_default();
    if let Some(name) = by_name(host_name).or_else(|| by_name(label)) {
        return Some(name);
    }
    let ours = |node: &&Node| own_addresses(node).any(|address| identity.addresses.contains(&address));
    let by_address: Vec<&str> = nodes.iter().filter(ours).filter_map(name_of).collect();
    let what = match by_address[..] {
        [name] => return Some(name),
        [] => format!(
            "this machine is no node of this file: --node and $VIPD_NODE are not given, the host name {host_name:?} is \
             no node's, and none of its addresses ({}) is a node's",
            list(&identity.addresses)
        ),
        _ => format!("this machine has the addresses of more than one node: {}", list(&by_address)),
    };
    report.error(&place, Fault::new(what, format!("give --node with one of {}, or add a [[node]]", list(&names))));
    None
}

/// The addresses by which a node may be known: not its link-local one, which another link may have too.
fn own_addresses(node: &Node) -> impl Iterator<Item = IpAddr> {
    let address = node.address.value().copied().map(IpAddr::V4);
    address.into_iter().chain(node.address6.value().copied().map(IpAddr::V6))
}

fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
