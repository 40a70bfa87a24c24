//! The interfaces that adverts go over: there, up, with the addresses that this node needs and room for what it sends.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use vrrp_wire::Family;

use super::{
    host::{Host, Link},
    kind::Kind,
    report::{Area, Report},
};
use crate::{
    config::{Config, OwnAddress, VirtualRouter},
    daemon::scope::advert_fits,
    perform::sysctl::Setting,
};

/// The VLANs of Hetzner's vSwitches, and the bytes that a datagram may have there.
const VSWITCH_VLANS: std::ops::RangeInclusive<u16> = 4000..=4091;
const VSWITCH_MTU: u32 = 1400;
/// The kinds of interfaces that take what comes to their ports.
const TAKING: [&str; 4] = ["bridge", "bond", "team", "openvswitch"];

/// The virtual routers of each interface.
pub(super) fn by_interface(config: &Config) -> BTreeMap<&str, Vec<&VirtualRouter>> {
    let mut routers = BTreeMap::<_, Vec<_>>::new();
    for router in &config.virtual_routers {
        routers.entry(router.interface.as_str()).or_default().push(router);
    }
    routers
}

/// Looks at each interface of the configuration.
pub(super) fn look(report: &mut Report, host: &Host, config: &Config) {
    for (name, routers) in by_interface(config) {
        let mut area = report.area(format!("interface {name}"));
        let Some(link) = host.link(name) else {
            let others: Vec<_> = host.links.iter().map(|link| link.name.as_str()).collect();
            let what = format!("there is no interface `{name}`; there are {}", others.join(", "));
            area.find(Kind::InterfaceMissing, what, "make it, or name another one by `interface`");
            continue;
        };
        look_at_link(&mut area, host, link);
        for router in &routers {
            look_at_router(&mut area, host, link, router, config.auth.is_some());
        }
        look_at_vlan(&mut area, link);
        let addresses = link.addresses.len();
        area.conclude(format!("up, MTU {}, {addresses} addresses, this node's among them", link.mtu));
    }
}

fn look_at_link(area: &mut Area<'_>, host: &Host, link: &Link) {
    let name = &link.name;
    if !link.is_up() {
        area.find(Kind::InterfaceDown, "it is switched off", format!("ip link set {name} up"));
    } else if !link.has_carrier() {
        let what = "it has no carrier";
        area.find(
            Kind::InterfaceDown,
            what,
            format!("look at the cable and the switch, or at what `{name}` is made of"),
        );
    }
    let controller = host.controller(link).filter(|it| it.kind.as_deref().is_some_and(|kind| TAKING.contains(&kind)));
    if let Some(controller) = controller {
        let (above, kind) = (&controller.name, controller.kind.as_deref().unwrap_or_default());
        let what = format!("it is a port of the {kind} `{above}`");
        area.find(
            Kind::InterfaceEnslaved,
            what,
            format!("write interface = \"{above}\", and give the addresses to it"),
        );
    }
}

fn look_at_router(area: &mut Area<'_>, host: &Host, link: &Link, router: &VirtualRouter, is_signed: bool) {
    let name = &link.name;
    if let Err(what) = advert_fits(router, link.mtu, is_signed) {
        area.find(Kind::MtuSmall, what, "raise the MTU, or split the virtual router");
    }
    if router.family == Family::Ipv6 && Setting::DISABLE_IPV6.read(name).is_ok_and(|value| value != 0) {
        let what = format!("net.ipv6.conf.{name}.disable_ipv6 is 1");
        area.find(Kind::Ipv6Disabled, what, format!("sysctl -w net/ipv6/conf/{name}/disable_ipv6=0"));
        return;
    }
    match router.own_address {
        OwnAddress::Configured(address) => look_for(area, host, link, address),
        OwnAddress::LinkLocal => {
            let is_usable = |address: Ipv6Addr| address.is_unicast_link_local();
            let is_there = link.addresses.iter().any(|it| {
                !it.is_unfit && !it.is_ours && matches!(it.net.addr(), IpAddr::V6(address) if is_usable(address))
            });
            if !is_there && link.is_up() {
                let mode = Setting::ADDR_GEN_MODE.read(name).unwrap_or_default();
                let what = format!("it has no link-local address that can be used (addr_gen_mode is {mode})");
                let remedy = format!("sysctl -w net/ipv6/conf/{name}/addr_gen_mode=0, and set it down and up again");
                area.find(Kind::LinkLocalMissing, what, remedy);
            }
        }
    }
}

/// Looks for the address of this node that the configuration gives.
fn look_for(area: &mut Area<'_>, host: &Host, link: &Link, address: IpAddr) {
    let name = &link.name;
    let Some(held) = link.addresses.iter().find(|it| it.net.addr() == address) else {
        let elsewhere: Vec<_> = host.holders(address).map(|(other, _)| format!("`{}` has it", other.name)).collect();
        let elsewhere = if elsewhere.is_empty() { String::new() } else { format!(" ({})", elsewhere.join(", ")) };
        let what = format!("it does not have this node's address {address}{elsewhere}");
        let length = if address.is_ipv4() { 24 } else { 64 };
        let remedy =
            format!("ip addr add {address}/{length} dev {name}, and in the network's configuration; or mend [[node]]");
        area.find(Kind::NodeAddressMissing, what, remedy);
        return;
    };
    if held.is_unfit {
        let what = format!("{address} is tentative, or another host has it");
        area.find(Kind::AddressUnusable, what, "find that host: `ip neigh`, and the switch's table");
    }
}

fn look_at_vlan(area: &mut Area<'_>, link: &Link) {
    if let Some(vlan) = link.vlan.filter(|vlan| VSWITCH_VLANS.contains(vlan) && link.mtu > VSWITCH_MTU) {
        let what = format!("it is VLAN {vlan} and has an MTU of {}", link.mtu);
        area.find(Kind::VswitchMtu, what, format!("ip link set {} mtu {VSWITCH_MTU}", link.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "MTU 1400" and "VLAN ID 4000 to 4091": Hetzner's documentation of vSwitches.
    #[test]
    fn a_vswitch_carries_no_larger_packets_than_it_does() {
        for (vlan, mtu, expected) in [
            (Some(4000), 1500, Some("ip link set vsw0 mtu 1400")),
            (Some(4091), 1401, Some("ip link set vsw0 mtu 1400")),
            (Some(4000), 1400, None),
            (Some(3999), 1500, None),
            (Some(4092), 1500, None),
            (None, 1500, None),
        ] {
            let mut report = Report::default();
            let link = Link { name: "vsw0".to_owned(), vlan, mtu, ..Link::default() };
            look_at_vlan(&mut report.area("interface vsw0"), &link);
            let remedy = report.findings.first().map(|finding| (finding.kind, finding.remedy.as_str()));
            assert_eq!(remedy, expected.map(|remedy| (Kind::VswitchMtu, remedy)), "{vlan:?}, {mtu}");
        }
    }
}
