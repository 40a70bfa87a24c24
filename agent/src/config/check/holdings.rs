//! What a virtual router holds besides the addresses of its adverts: which family's it is, and what does not go together.

use std::net::IpAddr;

use ipnet::IpNet;
use vrrp_wire::Family;

use super::{repeated, router::family_of};
use crate::{
    config::{
        diagnostic::{Fault, Place, Report},
        file::{self, File},
    },
    perform::{
        route::{MAIN_TABLE, Route},
        rule::Rule,
    },
};

/// The place of rules that are given none: before the main table.
const DEFAULT_RULE_PRIORITY: u32 = 1000;

/// The extra addresses of one half of an entry.
pub(super) fn extra_addresses(entry: &file::VirtualRouter, family: Family) -> Vec<IpNet> {
    let listed = entry.extra_addresses.value().into_iter().flatten().map(|address| address.value);
    listed.filter(|address| family_of(*address) == family).collect()
}

/// The routes of one half of an entry.
pub(super) fn routes(entry: &file::VirtualRouter, family: Family) -> Vec<Route> {
    let routes = entry.routes.value().into_iter().flatten().filter_map(route);
    routes.filter(|route| family_of(route.to) == family).collect()
}

/// The rules of one half of an entry.
pub(super) fn rules(entry: &file::VirtualRouter, family: Family) -> Vec<Rule> {
    let rules = entry.rules.value().into_iter().flatten().filter_map(rule);
    rules.filter(|rule| rule.from.or(rule.to).map(family_of) == Some(family)).collect()
}

/// Who is asked for an answer after a takeover of one half of an entry; `None` where the file leaves that to routes.
pub(super) fn gateways(entry: &file::VirtualRouter, cluster: &file::Manner, family: Family) -> Option<Vec<IpAddr>> {
    let listed = entry.manner.gateways.or(&cluster.gateways).value()?;
    Some(listed.iter().map(|gateway| gateway.value).filter(|&gateway| self::family(gateway) == family).collect())
}

/// Reports what is wrong with what the entries hold.
pub(super) fn check(file: &File, report: &mut Report<'_>) {
    for entry in &file.virtual_routers {
        for address in entry.extra_addresses.value().into_iter().flatten() {
            check_family(entry, family_of(address.value), &address.place, report);
        }
        let manner = &entry.manner;
        let has_own_interface = manner.virtual_mac.or(&file.cluster.manner.virtual_mac).value() == Some(&true);
        for route in entry.routes.value().into_iter().flatten() {
            check_route(entry, route, report);
            if has_own_interface {
                check_next_hop(route, report);
            }
        }
        for rule in entry.rules.value().into_iter().flatten() {
            check_rule(entry, rule, report);
        }
    }
    check_unique(file, report);
    check_gateways(file, report);
}

/// A virtual address is never answered for by another host than the one that asks.
fn check_gateways(file: &File, report: &mut Report<'_>) {
    let entries = file.virtual_routers.iter();
    let held: Vec<_> = (entries.clone())
        .flat_map(|entry| [&entry.addresses, &entry.extra_addresses])
        .filter_map(|addresses| addresses.value())
        .flatten()
        .map(|address| address.value.addr())
        .collect();
    let lists = std::iter::once(&file.cluster.manner).chain(entries.map(|entry| &entry.manner));
    for gateway in lists.filter_map(|manner| manner.gateways.value()).flatten() {
        if held.contains(&gateway.value) {
            let what = format!("{} is a virtual address itself", gateway.value);
            report.error(&gateway.place, Fault::new(what, "give a router that all nodes reach through the interface"));
        }
    }
}

/// The kernel has a route and a rule once; the virtual router that is first no longer Active would take the other's away.
fn check_unique(file: &File, report: &mut Report<'_>) {
    let routes = file.virtual_routers.iter().filter_map(|entry| entry.routes.value()).flatten();
    let routes = routes.filter_map(|written| Some((&written.heading, route(written)?)));
    let remedy = "give one of them another table or metric";
    report_repeated(routes.map(|(place, route)| (place, (route.to, route.table, route.metric))), remedy, report);
    let rules = file.virtual_routers.iter().filter_map(|entry| entry.rules.value()).flatten();
    let rules = rules.filter_map(|written| Some((&written.heading, rule(written)?)));
    report_repeated(rules, "give one of them another priority, or leave it out", report);
}

fn report_repeated<'f, K: PartialEq + Copy>(
    items: impl Iterator<Item = (&'f Place, K)>,
    remedy: &str,
    report: &mut Report<'_>,
) {
    for ((again, _), (first, _)) in repeated(items, |(_, key)| key) {
        let what = format!("is {} already", first.table_and_line());
        report.error(again, Fault::new(what, remedy));
    }
}

/// Reports where `family` is none of the addresses' of `entry`; nobody would hold it.
fn check_family(entry: &file::VirtualRouter, family: Family, place: &Place, report: &mut Report<'_>) {
    let Some(addresses) = entry.addresses.value() else { return };
    if !addresses.iter().any(|address| family_of(address.value) == family) {
        let what = format!("is of {family}, and `addresses` has none of that");
        report.error(place, Fault::new(what, "list an address of that family there, or remove this"));
    }
}

fn check_route(entry: &file::VirtualRouter, route: &file::Route, report: &mut Report<'_>) {
    let (Some(&to), via, source) = (route.to.value(), route.via.given(), route.source.given()) else { return };
    let ends = [to.map(family_of), via.map(|via| family(via.value)), source.map(|source| family(source.value))];
    let mut families = ends.into_iter().flatten();
    let Some(first) = families.next() else {
        // Where `via` or `source` is wrong, that is the mistake.
        if route.via.is_absent() && route.source.is_absent() {
            let what = "\"default\" is of IPv4 or of IPv6, and nothing says of which";
            report.error(&route.heading, Fault::new(what, "add via = ..., or write to = \"0.0.0.0/0\" or \"::/0\""));
        }
        return;
    };
    if families.any(|other| other != first) {
        let what = "IPv4 and IPv6 do not go together in one route";
        report.error(&route.heading, Fault::new(what, "give to, via and source of one family"));
        return;
    }
    check_family(entry, first, &route.heading, report);
    if let Some(on_link) = route.on_link.given().filter(|on_link| on_link.value && route.via.is_absent()) {
        let what = "only a next hop can be on the link";
        report.error(&on_link.place, Fault::new(what, "add via = ..., or remove it"));
    }
    let extra = entry.extra_addresses.value().into_iter().flatten();
    let mut held = entry.addresses.value().into_iter().flatten().chain(extra);
    if let Some(source) = source.filter(|source| !held.any(|address| address.value.addr() == source.value)) {
        let what = format!("{} is no address of this virtual router", source.value);
        report.error(&source.place, Fault::new(what, "give one of addresses or extra_addresses"));
    }
}

/// The kernel takes no IPv6 next hop to be on the link of one interface that another interface leads to; every one leads to
/// link-local addresses.
fn check_next_hop(route: &file::Route, report: &mut Report<'_>) {
    let Some(via) = route.via.given() else { return };
    if matches!(via.value, IpAddr::V6(via) if !via.is_unicast_link_local()) {
        let what = format!("{} cannot be reached from the interface that virtual_mac = true makes", via.value);
        report.error(&via.place, Fault::new(what, "give the link-local address of that router, fe80::..."));
    }
}

fn check_rule(entry: &file::VirtualRouter, rule: &file::Rule, report: &mut Report<'_>) {
    if rule.from.is_absent() && rule.to.is_absent() {
        let what = "neither from nor to is given, so it would be for all packets";
        report.error(&rule.heading, Fault::new(what, "add from = \"ADDRESS\" or to = \"ADDRESS\""));
    }
    let mut families = rule.from.value().into_iter().chain(rule.to.value()).copied().map(family_of);
    let Some(first) = families.next() else { return };
    if families.any(|other| other != first) {
        let what = "IPv4 and IPv6 do not go together in one rule";
        report.error(&rule.heading, Fault::new(what, "give from and to of one family"));
        return;
    }
    check_family(entry, first, &rule.heading, report);
}

/// The route as written, without what is wrong with it.
fn route(route: &file::Route) -> Option<Route> {
    let (to, via) = (*route.to.value()?, route.via.value().copied());
    let source = route.source.value().copied();
    let family = to.map(family_of).or(via.or(source).map(family))?;
    let nowhere = match family {
        Family::Ipv4 => IpAddr::from([0; 4]),
        Family::Ipv6 => IpAddr::from([0; 16]),
    };
    Some(Route {
        to: to.or_else(|| IpNet::new(nowhere, 0).ok())?,
        via,
        source,
        metric: route.metric.or_default(Route::default_metric(family))?,
        table: route.table.or_default(MAIN_TABLE)?,
        on_link: route.on_link.or_default(false)?,
    })
}

fn rule(rule: &file::Rule) -> Option<Rule> {
    let (from, to) = (rule.from.value().copied(), rule.to.value().copied());
    let (table, priority) = (*rule.table.value()?, rule.priority.or_default(DEFAULT_RULE_PRIORITY)?);
    (from.is_some() || to.is_some()).then_some(Rule { from, to, table, priority })
}

const fn family(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}
