//! The entries of virtual routers, taken apart into one virtual router for each IP version.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use ipnet::{IpNet, Ipv6Net};
use vrrp::{Parameters, auth::TRAILER_LEN};
use vrrp_wire::{
    Family, MacAddr, Priority, Version, Vrid,
    abi::MESSAGE_MAX,
    judge::{AUTH_DATA_LEN, HEADER_LEN, SIGNED_MAX},
};

use super::{
    check_unique, health, holdings,
    manner::{self, Manner},
    repeated,
};
use crate::{
    check::Tracked,
    config::{
        Fence, LinkLocalSenders, OwnAddress, Peer, PeerSource, Transport, VirtualRouter,
        diagnostic::{Fault, Place, Report},
        file::{self, File, Node},
        table::{Field, Located},
    },
};

/// Where the list of nodes is too long for a priority each.
const LOWEST: Priority = Priority::new(1).unwrap();
/// The largest count of addresses that an advertisement can say. RFC 9568 §5.2.5.
const COUNT_MAX: usize = 255;

/// One virtual router, as far as the file says it: what is `None` is wrong there and has been reported.
pub(super) struct Router<'f> {
    pub(super) entry: &'f file::VirtualRouter,
    pub(super) family: Family,
    pub(super) members: Vec<Member<'f>>,
    addresses: Vec<IpNet>,
    interface: Option<&'f str>,
    pub(super) manner: Manner,
    rfc_pure: Option<bool>,
    startup_delay: Option<Duration>,
    pub(super) auth: &'f Field<file::Auth>,
    cluster: &'f file::Manner,
    checks: Option<Vec<Tracked>>,
}

/// A node as `nodes` or `priorities` lists it.
struct Listed<'f> {
    name: &'f str,
    priority: Priority,
    place: &'f Place,
}

/// A node that takes part in a virtual router.
#[derive(Clone, Copy)]
pub(super) struct Member<'f> {
    node: &'f Node,
    name: &'f str,
    pub(super) priority: Priority,
    place: &'f Place,
}

/// The virtual routers of all entries, in the order of the file, IPv4 before IPv6.
pub(super) fn routers<'f>(file: &'f File, report: &mut Report<'_>) -> Vec<Router<'f>> {
    if file.virtual_routers.is_empty() {
        let place = Place { key: "virtual_router".to_owned(), ..Place::default() };
        report.error(&place, Fault::new("there is no virtual router", "add a [[virtual_router]]"));
    }
    check_unique(file.virtual_routers.iter().map(|entry| &entry.name), report);
    check_interface(file, report);
    check_addresses(file, report);
    let mut routers = Vec::new();
    for entry in &file.virtual_routers {
        let members = members(entry, &file.nodes, report);
        health::check_references(&entry.checks, file, report);
        let checks = health::tracked(entry, file);
        let families = [Family::Ipv4, Family::Ipv6].into_iter();
        routers.extend(families.filter_map(|family| Router::new(file, entry, family, &members, checks.as_deref())));
    }
    for router in &routers {
        router.check_length(report);
        router.check_owner(&file.nodes, report);
        router.check_fence(report);
        router.check_checks(file, report);
        manner::check(router, &file.cluster.manner, report);
    }
    check_vrids(&routers, report);
    routers
}

impl<'f> Router<'f> {
    /// The half of `entry` that is of `family`; `None` where it lists no address of the family.
    fn new(
        file: &'f File,
        entry: &'f file::VirtualRouter,
        family: Family,
        members: &[Member<'f>],
        checks: Option<&[Tracked]>,
    ) -> Option<Self> {
        let listed = entry.addresses.value()?.iter().map(|address| address.value);
        let mut addresses: Vec<_> = listed.filter(|address| family_of(*address) == family).collect();
        if addresses.is_empty() {
            return None;
        }
        let cluster = &file.cluster;
        let manner = Manner::new(&entry.manner, &cluster.manner);
        if family == Family::Ipv6 && manner.virtual_link_local == Some(true) {
            lead_with_link_local(&mut addresses, entry.vrid.value().copied());
        }
        Some(Self {
            entry,
            family,
            members: members.to_vec(),
            addresses,
            interface: entry.interface.or(&cluster.interface).value().map(String::as_str),
            manner,
            rfc_pure: cluster.rfc_pure.or_default(false),
            startup_delay: cluster.startup_delay.or_default(Duration::ZERO),
            auth: &file.auth,
            cluster: &cluster.manner,
            checks: checks.map(<[Tracked]>::to_vec),
        })
    }

    /// `node` as a member of this virtual router.
    pub(super) fn member(&self, node: &Node) -> Option<&Member<'f>> {
        self.members.iter().find(|member| std::ptr::eq(member.node, node))
    }

    /// What the node called `name` runs; `None` where it takes no part.
    pub(super) fn seen_by(&self, name: &str) -> Option<VirtualRouter> {
        let own = self.members.iter().find(|member| member.name == name)?;
        let manner = &self.manner;
        let interval = manner.advertisement_interval?;
        let others: Vec<_> = self.members.iter().filter(|member| member.name != name).collect();
        let peers: Vec<_> = others.iter().filter_map(|member| self.peer(member)).collect();
        let all_known = peers.len() == others.len();
        Some(VirtualRouter {
            name: self.entry.name.value()?.clone(),
            vrid: *self.entry.vrid.value()?,
            family: self.family,
            interface: self.interface?.to_owned(),
            priority: own.priority,
            version: manner.version?,
            authentication: manner.authentication?,
            preempt_after: manner.preempt?.after(),
            startup_delay: self.startup_delay?,
            down_timer_adverts: manner.down_timer_adverts?,
            advertisement_interval: interval,
            learned_interval_max: if self.rfc_pure? { None } else { Some(interval.duration() * 2) },
            stagger: if self.rfc_pure? { Duration::ZERO } else { Parameters::STAGGER },
            transport: manner.transport?,
            min_ttl: manner.min_ttl?,
            checksum: manner.checksum?,
            accept: manner.accept? || own.priority == Priority::OWNER,
            virtual_mac: manner.virtual_mac?,
            addresses: self.addresses.clone(),
            extra_addresses: holdings::extra_addresses(self.entry, self.family),
            routes: holdings::routes(self.entry, self.family),
            rules: holdings::rules(self.entry, self.family),
            checks: if own.priority == Priority::OWNER { Vec::new() } else { self.checks.clone()? },
            announcement_refresh: manner.announcement_refresh?.every(),
            announcement_rate: manner.announcement_rate?.limit(),
            gateways: holdings::gateways(self.entry, self.cluster, self.family),
            link_local_first: self.family == Family::Ipv6 && manner.virtual_link_local?,
            own_address: self.source_of(own.node).map_or(OwnAddress::LinkLocal, OwnAddress::Configured),
            link_local_senders: if all_known { LinkLocalSenders::Listed } else { LinkLocalSenders::Unlisted },
            nodes: self.members.len(),
            peers,
            fence: if own.priority == Priority::OWNER { Fence::Off } else { manner.fence? },
            group: None,
        })
    }

    /// `member` as a peer; `None` where the file gives no address to know it by.
    fn peer(&self, member: &Member<'_>) -> Option<Peer> {
        let shared = self.shared_mac();
        let mac = member.node.mac.value().map(|&own| shared.unwrap_or(own));
        let source = match self.source_of(member.node) {
            Some(address) => PeerSource::Address(address),
            None => PeerSource::Mac(mac.filter(|_| shared.is_none())?),
        };
        Some(Peer { node: member.name.to_owned(), priority: member.priority, source, mac })
    }

    /// The address that adverts of `node` come from, as far as the file gives it.
    fn source_of(&self, node: &Node) -> Option<IpAddr> {
        match (self.family, self.manner.transport?) {
            (Family::Ipv4, _) => node.address.value().copied().map(IpAddr::V4),
            (Family::Ipv6, Transport::Multicast) => node.link_local.value().copied().map(IpAddr::V6),
            (Family::Ipv6, Transport::Unicast) => node.address6.value().copied().map(IpAddr::V6),
        }
    }

    /// The MAC address that the multicast adverts of all nodes come from, where they do not come from their own.
    fn shared_mac(&self) -> Option<MacAddr> {
        let is_shared = self.manner.virtual_mac? && self.manner.transport? == Transport::Multicast;
        self.entry.vrid.value().filter(|_| is_shared).map(|vrid| vrid.mac(self.family))
    }

    /// Whether the file says how to tell the IPv6 multicast adverts of `node` from those of strangers.
    pub(super) fn can_tell(&self, node: &Node) -> bool {
        !node.link_local.is_absent() || (!node.mac.is_absent() && self.shared_mac().is_none())
    }

    fn check_length(&self, report: &mut Report<'_>) {
        let Some(listed) = self.entry.addresses.given() else { return };
        // An IPv6 header is 20 bytes longer, and no advert may be fragmented at an MTU of 1500.
        let message_max = match self.family {
            Family::Ipv4 => MESSAGE_MAX,
            Family::Ipv6 => MESSAGE_MAX - 20,
        };
        let trailer_len = match self.manner.version {
            Some(Version::V2) => AUTH_DATA_LEN,
            Some(Version::V3) | None if self.auth.is_absent() => 0,
            Some(Version::V3) | None => TRAILER_LEN,
        };
        let max = ((message_max - HEADER_LEN - trailer_len) / self.family.address_len()).min(COUNT_MAX);
        if self.addresses.len() > max {
            let note = match self.family {
                Family::Ipv4 => "",
                Family::Ipv6 => " (one of them link-local)",
            };
            let what = format!("{} {} addresses{note} do not fit into one advert", self.addresses.len(), self.family);
            let remedy = format!("list at most {max}, and the others in a virtual router of another VRID");
            report.error(&listed.place, Fault::new(what, remedy));
            return;
        }
        let verified = (SIGNED_MAX - HEADER_LEN - TRAILER_LEN) / self.family.address_len();
        if !self.auth.is_absent() && self.addresses.len() > verified {
            let what = format!(
                "the guard verifies no signed advert with more than {verified} {} addresses: a flood of forged ones would \
                 reach the agent",
                self.family
            );
            let remedy = format!("list at most {verified}, and the others in a virtual router of another VRID");
            report.warning(&listed.place, Fault::new(what, remedy));
        }
    }

    /// Priority 255 is for the node whose own all the addresses are, and for no other. RFC 9568 §5.2.4.
    fn check_owner(&self, nodes: &[Node], report: &mut Report<'_>) {
        let is_owner = |node| self.member(node).is_some_and(|member| member.priority == Priority::OWNER);
        let extra = self.entry.extra_addresses.value().into_iter().flatten();
        for listed in self.entry.addresses.value().into_iter().flatten().chain(extra) {
            for node in nodes.iter().filter(|node| owns(node, listed.value.addr()) && !is_owner(node)) {
                let what = format!("{} is the own address of {}", listed.value.addr(), node.heading.table_and_line());
                let remedy = "choose an address that is no node's; only a node with priority 255 in `priorities` \
                              may own it";
                report.error(&listed.place, Fault::new(what, remedy));
            }
        }
        for member in self.members.iter().filter(|member| member.priority == Priority::OWNER) {
            if let Some(foreign) = self.addresses.iter().find(|address| !owns(member.node, address.addr())) {
                let what =
                    format!("255 is for the owner of all addresses, and {foreign} is not {:?}'s own", member.name);
                let remedy = match self.family {
                    Family::Ipv4 => "give at most 254",
                    Family::Ipv6 => "give at most 254, or list the node's link_local among the addresses",
                };
                report.error(member.place, Fault::new(what, remedy));
            }
        }
    }

    /// The owner of the addresses cannot be kept from answering for them.
    fn check_fence(&self, report: &mut Report<'_>) {
        let Some(fence) = self.entry.manner.fence.given().filter(|fence| fence.value == Fence::Auto) else { return };
        if let Some(owner) = self.members.iter().find(|member| member.priority == Priority::OWNER) {
            let what = format!("{:?} owns the addresses and is never fenced", owner.name);
            let remedy = "remove it: without it the owner is not fenced, and the other nodes are";
            report.warning(&fence.place, Fault::new(what, remedy));
        }
    }

    /// The addresses of their owner are on its interface whatever it checks, and weights are there to change an order.
    fn check_checks(&self, file: &File, report: &mut Report<'_>) {
        let Some(checks) = self.entry.checks.given().filter(|checks| !checks.value.is_empty()) else { return };
        let priorities: Vec<_> = self.members.iter().map(|member| member.priority).collect();
        if let Some(fault) = self.checks.as_deref().and_then(|tracked| health::idle(tracked, &priorities, file)) {
            report.warning(&checks.place, fault);
        }
        if let Some(owner) = self.members.iter().find(|member| member.priority == Priority::OWNER) {
            let what = format!("{:?} owns the addresses, which stay on it whatever a check says", owner.name);
            let remedy = "the other nodes go by the checks; give it a priority of 254 or less, and addresses that are not its \
                          own, to have it go by them too";
            report.warning(&checks.place, Fault::new(what, remedy));
        }
    }
}

/// Who takes part in `entry`; reports who cannot.
fn members<'f>(entry: &'f file::VirtualRouter, nodes: &'f [Node], report: &mut Report<'_>) -> Vec<Member<'f>> {
    let Some(listed) = listed(entry, report) else { return Vec::new() };
    if listed.is_empty() {
        report.error(&entry.heading, Fault::new("no node takes part", "list at least one in nodes or priorities"));
    }
    for (again, _) in repeated(&listed, |listed| listed.name) {
        report.error(again.place, Fault::new(format!("{:?} is listed twice", again.name), "list each node once"));
    }
    for (again, first) in repeated(&listed, |listed| listed.priority) {
        let what = format!("{:?} and {:?} have the same priority, {}", first.name, again.name, first.priority);
        report.warning(again.place, Fault::new(what, "give each its own, or their addresses decide between them"));
    }
    let names: Vec<_> = nodes.iter().filter_map(|node| node.name.value()).map(String::as_str).collect();
    let mut members = Vec::new();
    for Listed { name, priority, place } in listed {
        match nodes.iter().find(|node| node.name.value().is_some_and(|own| own == name)) {
            Some(node) => members.push(Member { node, name, priority, place }),
            // Where a node has no legal name, or there is none at all, that is the mistake.
            None if names.len() < nodes.len() || nodes.is_empty() => {}
            None => {
                let remedy = format!("choose one of {}, or add a [[node]]", names.join(", "));
                report.error(place, Fault::new(format!("there is no node {name:?}"), remedy));
            }
        }
    }
    members
}

/// What `nodes` or `priorities` says; `None` where the file has not exactly one of them.
fn listed<'f>(entry: &'f file::VirtualRouter, report: &mut Report<'_>) -> Option<Vec<Listed<'f>>> {
    match (entry.nodes.is_absent(), entry.priorities.is_absent()) {
        (false, true) => {
            let nodes = entry.nodes.value()?;
            let in_order = nodes.iter().enumerate().map(|(index, node)| Listed {
                name: &node.value,
                priority: priority_by_order(index, nodes.len()),
                place: &node.place,
            });
            Some(in_order.collect())
        }
        (true, false) => {
            let listed = |(name, priority): &'f (String, Located<Priority>)| Listed {
                name,
                priority: priority.value,
                place: &priority.place,
            };
            Some(entry.priorities.value()?.iter().map(listed).collect())
        }
        (neither, _) => {
            let what =
                if neither { "neither nodes nor priorities is given" } else { "nodes and priorities are both given" };
            let remedy =
                r#"give one of them: nodes = ["n1", ...] in order of preference, or priorities = { n1 = 200, ... }"#;
            report.error(&entry.heading, Fault::new(what, remedy));
            None
        }
    }
}

/// 200 for the first of up to four nodes and 50 less for each next one; of more nodes the steps are smaller.
fn priority_by_order(index: usize, count: usize) -> Priority {
    let step = (150 / count.saturating_sub(1).max(3)).max(1);
    let priority = 200_usize.saturating_sub(index * step);
    u8::try_from(priority).ok().and_then(Priority::new).unwrap_or(LOWEST)
}

/// One message for the whole file: where `[cluster]` names no interface, every entry is likely to lack it.
fn check_interface(file: &File, report: &mut Report<'_>) {
    let lacking = file.virtual_routers.iter().find(|entry| entry.interface.is_absent());
    if let Some(entry) = lacking.filter(|_| file.cluster.interface.is_absent()) {
        let what = format!("missing, and {} gives none of its own", entry.heading.table_and_line());
        let place = file.cluster.heading.key("interface", file.cluster.heading.line);
        report.error(&place, Fault::new(what, "add interface = ... there or in [cluster]"));
    }
}

/// No address may be in two places, except that a link-local one is another on another link.
fn check_addresses(file: &File, report: &mut Report<'_>) {
    let mut listed = Vec::new();
    for entry in &file.virtual_routers {
        if let Some(Located { value: addresses, place }) = entry.addresses.given() {
            if addresses.is_empty() {
                report.error(place, Fault::new("there is no address", "list at least one ADDRESS/PREFIX"));
            }
            let interface = entry.interface.or(&file.cluster.interface).value();
            let extra = entry.extra_addresses.value().into_iter().flatten();
            listed.extend(addresses.iter().chain(extra).map(|address| (address, interface)));
        }
    }
    let key = |(address, interface): (&Located<IpNet>, _)| {
        (address.value.addr(), if is_link_local(address.value) { interface } else { None })
    };
    for ((again, _), (first, _)) in repeated(listed, key) {
        let what = format!("{} is listed in {} already", again.value.addr(), first.place.table_and_line());
        report.error(&again.place, Fault::new(what, "list each address once"));
    }
}

fn check_vrids(routers: &[Router<'_>], report: &mut Report<'_>) {
    let vrid_of = |router: &Router<'_>| router.entry.vrid.value().copied();
    let known = routers.iter().filter(|router| router.interface.is_some() && vrid_of(router).is_some());
    for (again, first) in repeated(known, |router| (router.interface, router.family, vrid_of(router))) {
        let (Some(vrid), Some(interface)) = (again.entry.vrid.given(), again.interface) else { continue };
        let first = first.entry.vrid.given().map_or(&first.entry.heading, |vrid| &vrid.place).table_and_line();
        let what = format!("{} is the VRID of {first} already, on {interface} too", vrid.value);
        report.error(&vrid.place, Fault::new(what, "give each its own VRID on one interface"));
    }
}

pub(super) fn family_of(address: IpNet) -> Family {
    match address {
        IpNet::V4(_) => Family::Ipv4,
        IpNet::V6(_) => Family::Ipv6,
    }
}

fn is_link_local(address: IpNet) -> bool {
    matches!(address.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Whether `address` is one of the node's own.
fn owns(node: &Node, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => node.address.value() == Some(&address),
        IpAddr::V6(address) => [&node.address6, &node.link_local].iter().any(|own| own.value() == Some(&address)),
    }
}

/// Moves the first link-local address to the front; without one, puts that of the Virtual Router MAC there.
/// RFC 9568 §5.2.9.
fn lead_with_link_local(addresses: &mut Vec<IpNet>, vrid: Option<Vrid>) {
    if let Some(at) = addresses.iter().position(|address| is_link_local(*address)) {
        addresses[..=at].rotate_right(1);
    } else if let Some(vrid) = vrid {
        addresses.insert(0, link_local_of(vrid));
    }
}

/// The modified EUI-64 address of 00-00-5E-00-02-{VRID}. RFC 4291 appendix A.
fn link_local_of(vrid: Vrid) -> IpNet {
    let mac = vrid.mac(Family::Ipv6).0;
    let bytes = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]];
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(bytes), 64))
}
