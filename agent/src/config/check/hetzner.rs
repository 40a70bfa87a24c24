//! `[[hetzner]]`: what is routed, one address each; which server each node is; and only with the keys of its API.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use hyper::Uri;

use super::{check_unique, group::preferences, repeated};
use crate::config::{
    diagnostic::{Fault, Place, Report},
    file::{self, File},
    hetzner::{Hetzner, Login, Route},
    table::{Field, Located},
};

/// Where Robot is, unless the file says it.
const ROBOT: &str = "https://robot-ws.your-server.de";
/// Where Cloud is.
const CLOUD: &str = "https://api.hetzner.cloud/v1";
/// How long the answer to a request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is read where an address of Cloud is routed.
const RECHECK: Duration = Duration::from_mins(1);
/// Of Robot, times the entries that share what it allows: 30 of the 100 requests an hour.
const ROBOT_RECHECK: Duration = Duration::from_mins(2);
/// The least, times the entries: half of what Robot allows. The rest is for takeovers, and for other programs.
const ROBOT_RECHECK_MIN: Duration = Duration::from_secs(72);

/// The keys that choose what is routed, and those that go with each.
const KINDS: [(&str, &[&str]); 3] = [
    ("failover_ip", &["servers", "username", "password"]),
    ("floating_ip", &["servers", "token"]),
    ("alias_ip", &["servers", "network", "token"]),
];

/// Reports what is wrong.
pub(super) fn check(file: &File, report: &mut Report<'_>) {
    check_unique(file.hetzner.iter().map(|entry| &entry.name), report);
    let addresses = file.hetzner.iter().filter_map(address);
    for (again, first) in repeated(addresses, |given| given.value) {
        let what = format!("{} is routed by {} already", again.value, first.place.table_and_line());
        report.error(&again.place, Fault::new(what, "let each address follow one virtual router or group"));
    }
    for entry in &file.hetzner {
        let Some(kind) = check_kind(entry, report) else { continue };
        check_address(entry, report);
        let Some(router) = entry.router.given() else { continue };
        match nodes(file, &router.value) {
            Some(nodes) => check_servers(file, entry, kind, &nodes, report),
            None => report.error(&router.place, unknown_router(file, &router.value)),
        }
        check_recheck(file, entry, report);
    }
}

/// The checked form, for `node`, of every entry that is right and follows a virtual router in which the node takes part.
pub(super) fn of_node(file: &File, node: &str) -> Vec<Hetzner> {
    file.hetzner.iter().filter_map(|entry| of_entry(file, entry, node)).collect()
}

fn of_entry(file: &File, entry: &file::Hetzner, node: &str) -> Option<Hetzner> {
    let router = entry.router.value()?;
    if !nodes(file, router)?.contains(node) {
        return None;
    }
    let server = server(entry, node).map(|server| server.value.clone());
    let (route, default_recheck) = if let Some(&address) = entry.failover_ip.value() {
        let sharers = sharers(file);
        let route = Route::Failover { address, server: server?.parse().ok()?, sharers };
        (route, ROBOT_RECHECK * sharers)
    } else {
        let server = server.unwrap_or_else(|| node.to_owned());
        let route = match (entry.floating_ip.value(), entry.alias_ip.value()) {
            (Some(&address), _) => Route::Floating { address, server },
            (None, Some(&IpAddr::V4(address))) => {
                Route::Alias { address, network: entry.network.value()?.clone(), server }
            }
            (None, Some(IpAddr::V6(_)) | None) => return None,
        };
        (route, RECHECK)
    };
    let (login, endpoint) = match &route {
        Route::Failover { .. } => {
            let (username, password) = (entry.username.value()?.clone(), entry.password.value()?.clone());
            (Login::Basic { username, password }, ROBOT)
        }
        Route::Floating { .. } | Route::Alias { .. } => (Login::Bearer(entry.token.value()?.clone()), CLOUD),
    };
    Some(Hetzner {
        name: entry.name.value()?.clone(),
        router: router.clone(),
        route,
        login,
        endpoint: entry.endpoint.unless_wrong()?.value().cloned().unwrap_or_else(|| Uri::from_static(endpoint)),
        ca_file: entry.ca_file.unless_wrong()?.value().cloned(),
        timeout: entry.timeout.or_default(TIMEOUT)?,
        recheck: entry.recheck.or_default(default_recheck.min(Duration::from_hours(1)))?,
    })
}

/// How many entries share what Robot allows.
fn sharers(file: &File) -> u32 {
    let count = file.hetzner.iter().filter(|entry| !entry.failover_ip.is_absent()).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What is routed.
fn address(entry: &file::Hetzner) -> Option<&Located<IpAddr>> {
    [&entry.failover_ip, &entry.floating_ip, &entry.alias_ip].into_iter().find_map(Field::given)
}

/// The nodes of a virtual router or group; `None` where there is no such thing.
fn nodes<'f>(file: &'f File, name: &str) -> Option<BTreeSet<&'f str>> {
    let is_named = |field: &Field<String>| field.value().is_some_and(|own| own == name);
    let group = file.groups.iter().find(|group| is_named(&group.name));
    let is_of = |entry: &&file::VirtualRouter| match group {
        Some(group) => {
            let members = group.virtual_routers.value().into_iter().flatten();
            members.map(|member| &member.value).any(|member| entry.name.value() == Some(member))
        }
        None => is_named(&entry.name),
    };
    let entries: Vec<_> = file.virtual_routers.iter().filter(is_of).collect();
    if entries.is_empty() && group.is_none() {
        return None;
    }
    Some(entries.into_iter().flat_map(preferences).map(|(node, _)| node).collect())
}

fn unknown_router(file: &File, name: &str) -> Fault {
    let routers = file.virtual_routers.iter().map(|router| &router.name);
    let known = routers.chain(file.groups.iter().map(|group| &group.name)).filter_map(Field::value);
    let names = known.map(String::as_str).collect::<Vec<_>>().join(", ");
    Fault::new(format!("there is no virtual router or group {name:?}"), format!("choose one of {names}"))
}

/// What is routed, and whether the other keys go with it.
fn check_kind(entry: &file::Hetzner, report: &mut Report<'_>) -> Option<&'static str> {
    let given = [!entry.failover_ip.is_absent(), !entry.floating_ip.is_absent(), !entry.alias_ip.is_absent()];
    let mut chosen = KINDS.iter().zip(given).filter(|(_, given)| *given).map(|(kind, _)| kind);
    let (Some((kind, keys)), None) = (chosen.next(), chosen.next()) else {
        let none = given.iter().all(|given| !given);
        let what = if none { "it says not what is routed" } else { "it says more than one address to be routed" };
        let remedy =
            "give exactly one of failover_ip (Robot), floating_ip and alias_ip (Cloud); write a [[hetzner]] for each";
        report.error(&entry.heading, Fault::new(what, remedy));
        return None;
    };
    for (key, written) in entry.optional() {
        match written {
            Written::At(place) if !keys.contains(&key) => {
                let what = format!("it is no key of a [[hetzner]] with {kind}");
                report.error(place, Fault::new(what, format!("remove it; with {kind} go {}", keys.join(", "))));
            }
            Written::Not if keys.contains(&key) && key != "servers" => {
                let example = match key {
                    "username" => "add the webservice user of Robot: username = \"#ws+...\"",
                    "network" => "add the name of the private network, as Cloud shows it",
                    _ => "say where the secret is: the path of a file of mode 0600, credential:NAME or env:NAME",
                };
                report.error(&entry.heading.key(key, entry.heading.line), Fault::new("missing", example));
            }
            Written::At(_) | Written::Wrong | Written::Not => {}
        }
    }
    Some(kind)
}

impl file::Hetzner {
    /// The keys that do not go with every kind.
    const fn optional(&self) -> [(&'static str, Written<'_>); 5] {
        [
            ("servers", Written::of(&self.servers)),
            ("network", Written::of(&self.network)),
            ("username", Written::of(&self.username)),
            ("password", Written::of(&self.password)),
            ("token", Written::of(&self.token)),
        ]
    }
}

/// Whether a key is in the file.
#[derive(Clone, Copy)]
enum Written<'f> {
    Not,
    /// It is, and what is wrong with it has been reported.
    Wrong,
    At(&'f Place),
}

impl<'f> Written<'f> {
    const fn of<T>(field: &'f Field<T>) -> Self {
        match field {
            Field::Given(given) => Self::At(&given.place),
            Field::Wrong => Self::Wrong,
            Field::Absent => Self::Not,
        }
    }
}

/// Robot and floating IPs are of the internet, alias IPs of a private network.
fn check_address(entry: &file::Hetzner, report: &mut Report<'_>) {
    let Some(Located { value: address, place }) = address(entry) else { return };
    let is_alias = !entry.alias_ip.is_absent();
    match address {
        IpAddr::V6(_) if is_alias => {
            let what = format!("{address} is an IPv6 address, and private networks of Cloud have none");
            report.error(place, Fault::new(what, "give the IPv4 address"));
        }
        _ if is_alias && !is_private(*address) => {
            let what = format!("{address} is no private address, and alias IPs are of a private network");
            report.error(place, Fault::new(what, "if it is a floating IP, write floating_ip"));
        }
        _ if !is_alias && is_private(*address) => {
            let what = format!("{address} is a private address, which no failover or floating IP is");
            report.error(
                place,
                Fault::new(what, "on a vSwitch nothing need be routed; in a network of Cloud write alias_ip"),
            );
        }
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local() || is_shared(address),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// RFC 6598: addresses that providers share among their customers.
const fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

fn server<'f>(entry: &'f file::Hetzner, node: &str) -> Option<&'f Located<String>> {
    entry.servers.value()?.iter().find(|(name, _)| name == node).map(|(_, server)| server)
}

/// Every node that may be Active must be some server, and each another one.
fn check_servers(file: &File, entry: &file::Hetzner, kind: &str, nodes: &BTreeSet<&str>, report: &mut Report<'_>) {
    let is_robot = kind == "failover_ip";
    let servers = entry.servers.value().map_or(&[][..], Vec::as_slice);
    for (node, server) in servers {
        let is_node = |other: &file::Node| other.name.value() == Some(node);
        if !file.nodes.iter().any(is_node) {
            let names: Vec<_> = file.nodes.iter().filter_map(|node| node.name.value()).cloned().collect();
            let fault = Fault::new(format!("there is no node {node:?}"), format!("choose one of {}", names.join(", ")));
            report.error(&server.place, fault);
        }
        if is_robot && let Some(fault) = wrong_server(entry, &server.value) {
            report.error(&server.place, fault);
        }
        let is_default = nodes.contains(server.value.as_str()) && self::server(entry, &server.value).is_none();
        if !is_robot && is_default {
            let what =
                format!("{:?} is the server of the node of that name, for which no other one is given", server.value);
            report.error(&server.place, Fault::new(what, "give each node its own server"));
        }
    }
    for ((node, again), (other, _)) in repeated(servers.iter(), |(_, server)| &server.value) {
        let what =
            format!("{:?} is the server of {other:?} already, so {node:?} could not have the address", again.value);
        report.error(&again.place, Fault::new(what, "give each node its own server"));
    }
    if !is_robot || matches!(entry.servers, Field::Wrong) {
        return;
    }
    let missing: Vec<_> = nodes.iter().filter(|node| server(entry, node).is_none()).copied().collect();
    if !missing.is_empty() {
        let what = format!("it says not which server {} is", missing.join(" and "));
        let example = missing.iter().map(|node| format!("{node} = \"MAIN ADDRESS\"")).collect::<Vec<_>>().join(", ");
        let place = entry
            .servers
            .given()
            .map_or_else(|| entry.heading.key("servers", entry.heading.line), |given| given.place.clone());
        report.error(&place, Fault::new(what, format!("write servers = {{ {example} }}, as Robot shows them")));
    }
}

/// What is wrong with the main address of a server of Robot.
fn wrong_server(entry: &file::Hetzner, server: &str) -> Option<Fault> {
    let remedy = "give the server's main address as Robot shows it, without prefix length";
    let Ok(address) = server.parse::<IpAddr>() else {
        return Some(Fault::new(format!("{server:?} is not an address, by which Robot knows servers"), remedy));
    };
    let failover = *entry.failover_ip.value()?;
    if is_private(address) {
        let what = format!("{server:?} is a private address, which Robot does not know");
        return Some(Fault::new(what, remedy));
    }
    if address == failover {
        return Some(Fault::new(format!("{server:?} is what is to be routed, not where to"), remedy));
    }
    match (failover, address) {
        (IpAddr::V4(_), IpAddr::V6(_)) => {
            let what = format!("{server:?} is an IPv6 address, and {failover} is routed to the main IPv4 address");
            Some(Fault::new(what, remedy))
        }
        (IpAddr::V6(_), IpAddr::V4(_)) => {
            let what = format!("{server:?} is an IPv4 address, and {failover} is routed to the main IPv6 subnet");
            Some(Fault::new(what, "give the first address of the server's main IPv6 subnet, which ends with ::"))
        }
        (IpAddr::V6(_), IpAddr::V6(address)) if !is_subnet(address) => {
            let what =
                format!("{server:?} is an address in the server's subnet, and Robot knows the subnet by its first");
            let [a, b, c, d, ..] = address.segments();
            let first = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
            Some(Fault::new(what, format!("write \"{first}\"")))
        }
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => None,
    }
}

/// Whether it is the first address of a network of 64 bits.
const fn is_subnet(address: Ipv6Addr) -> bool {
    address.to_bits().trailing_zeros() >= 64
}

/// What Robot allows is for all entries, and for takeovers too.
fn check_recheck(file: &File, entry: &file::Hetzner, report: &mut Report<'_>) {
    let Some(recheck) = entry.recheck.given().filter(|_| !entry.failover_ip.is_absent()) else { return };
    let least = (ROBOT_RECHECK_MIN * sharers(file)).min(Duration::from_hours(1));
    if recheck.value < least {
        let what = format!(
            "it would be read every {:?}, for {} failover IPs, and Robot allows 100 requests an hour, of which half are for takeovers",
            recheck.value,
            sharers(file)
        );
        report.error(&recheck.place, Fault::new(what, format!("give at least \"{}s\"", least.as_secs())));
    }
}
