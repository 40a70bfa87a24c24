//! Virtual addresses that are where they should not be: put there by somebody else, left by a killed agent, written into the
//! configuration of the network.

use std::{collections::BTreeSet, net::IpAddr};

use vrrp_wire::Priority;

use super::{
    agent::{Agent, command},
    host::{Address, Host, Link},
    kernel,
    kind::Kind,
    report::{Area, Report},
    written,
};
use crate::{
    config::{Config, VirtualRouter},
    instance::Instance,
    perform::sysctl::Setting,
};

/// The interface on which kube-proxy keeps the addresses of services in IPVS mode.
const KUBE_IPVS: &str = "kube-ipvs0";
/// The first kernel that remembers who has put an address there.
const MARKS: (u32, u32) = (5, 18);
/// keepalived's number among the origins of routes and addresses (`RTPROT_KEEPALIVED`).
const KEEPALIVED: u8 = 18;

/// Looks for each virtual address on this host.
pub(super) fn look(report: &mut Report, host: &Host, agent: &Agent, config: &Config, instance: &Instance) {
    let mut area = report.area("virtual addresses");
    let knows_marks = kernel::release().1 >= MARKS;
    // An owner has its addresses by the configuration of the network.
    let routers: Vec<_> = config.virtual_routers.iter().filter(|router| router.priority != Priority::OWNER).collect();
    for router in &routers {
        let is_active = agent.router(router).is_some_and(|status| status.state == "Active");
        for address in router.held_addresses().map(ipnet::IpNet::addr) {
            for (link, held) in host.holders(address) {
                if link.name == KUBE_IPVS {
                    look_at_kube_ipvs(&mut area, router, address);
                } else if held.is_ours && matches!(agent, Agent::Absent) {
                    let what = format!("`{}` has {address} of a run that has ended", link.name);
                    let release = command("release", instance);
                    area.find(Kind::VirtualAddressLeft, what, format!("{release}, or start the agent again"));
                } else if !held.is_ours && (knows_marks || !is_active) {
                    find_foreign(&mut area, link, held);
                }
            }
        }
    }
    let addresses: BTreeSet<IpAddr> =
        routers.iter().flat_map(|router| router.held_addresses().map(ipnet::IpNet::addr)).collect();
    let (found, unread) = written::find(&addresses);
    for file in unread {
        area.miss(format!("`{}`, which only root may read", file.display()));
    }
    for found in found {
        let what = format!("`{}:{}` gives this host {}", found.file.display(), found.line, found.address);
        area.find(Kind::VirtualAddressConfigured, what, "remove it there: vipd adds and removes it");
    }
    area.conclude(format!("none of {} is where it should not be", addresses.len()));
}

fn look_at_kube_ipvs(area: &mut Area<'_>, router: &VirtualRouter, address: IpAddr) {
    let setting = Setting::ARP_IGNORE;
    let [own, all] = [router.interface.as_str(), "all"].map(|name| setting.read(name).unwrap_or_default());
    if address.is_ipv4() && own.max(all) == 0 {
        let what = format!("`{KUBE_IPVS}` has {address}, and arp_ignore of `{}` is 0", router.interface);
        let remedy =
            "set strictARP: true in the configuration of kube-proxy (ipvs), or use its mode nftables or iptables";
        area.find(Kind::VirtualAddressOnKubeIpvs, what, remedy);
    }
}

fn find_foreign(area: &mut Area<'_>, link: &Link, held: &Address) {
    let what = format!("`{}` has {}: {}", link.name, held.net, origin(held.protocol));
    area.find(Kind::VirtualAddressForeign, what, format!("ip addr del {} dev {}", held.net, link.name));
}

/// Who has put an address there, by the number that the kernel has kept.
fn origin(protocol: Option<u8>) -> String {
    match protocol {
        Some(KEEPALIVED) => "keepalived has put it there".to_owned(),
        Some(number @ 1..) => format!("protocol {number} has put it there"),
        Some(0) | None => "it was put there by hand, or by a program that leaves no name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/etc/iproute2/rt_protos` has 18 for keepalived.
    #[test]
    fn who_leaves_its_number_is_named() {
        assert_eq!(origin(Some(18)), "keepalived has put it there");
        assert_eq!(origin(Some(16)), "protocol 16 has put it there");
        assert!(origin(None).contains("by hand") && origin(Some(0)).contains("by hand"));
    }
}
