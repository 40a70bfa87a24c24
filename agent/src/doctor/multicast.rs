//! Whether multicast adverts can come and go: flags, groups, and the bridges in between.

use std::{fs, net::Ipv4Addr};

use rtnetlink::packet_route::link::LinkFlags;
use vrrp_wire::Family;

use super::{
    agent::Agent,
    host::{Host, Link},
    interface::by_interface,
    kind::Kind,
    report::{Area, Report},
};
use crate::{
    config::{Config, Transport, VirtualRouter},
    instance::Instance,
};

/// The groups of VRRP: 224.0.0.18 and ff02::12. RFC 9568 §5.1.1.2, §5.1.2.2.
const GROUP_IPV4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_IPV6: &str = "ff020000000000000000000000000012";

/// Looks at each interface that multicast adverts go over.
pub(super) fn look(report: &mut Report, host: &Host, agent: &Agent, config: &Config, instance: &Instance) {
    for (name, routers) in by_interface(config) {
        let Some(link) = host.link(name) else { continue };
        let mut area = report.area(format!("multicast on {name}"));
        look_at_bridge(&mut area, host, link, &routers);
        if routers.iter().all(|router| router.transport == Transport::Unicast) {
            area.conclude("adverts are unicast");
            continue;
        }
        if !link.flags.contains(LinkFlags::Multicast) {
            let what = format!("`{name}` has no flag MULTICAST");
            area.find(
                Kind::MulticastDisabled,
                what,
                format!("ip link set {name} multicast on, or transport = \"unicast\""),
            );
        }
        let is_heard = |router: &&&VirtualRouter| {
            let takes_part = |state: &str| ["Active", "Backup"].contains(&state);
            router.transport == Transport::Multicast && agent.router(router).is_some_and(|it| takes_part(&it.state))
        };
        let mut joined = Vec::new();
        for router in routers.iter().filter(is_heard) {
            let (group, is_member) = match router.family {
                Family::Ipv4 => ("224.0.0.18", is_member_ipv4(&read("/proc/net/igmp"), name)),
                Family::Ipv6 => ("ff02::12", is_member_ipv6(&read("/proc/net/igmp6"), name)),
            };
            if is_member {
                joined.push(group);
            } else {
                let what = format!(
                    "the agent takes part over {}, and nobody here has joined {group} on `{name}`",
                    router.family
                );
                area.find(Kind::GroupNotJoined, what, format!("restart the agent: `systemctl restart {instance}`"));
            }
        }
        joined.dedup();
        let joined = if joined.is_empty() {
            "the interface carries it".to_owned()
        } else {
            format!("joined {}", joined.join(", "))
        };
        area.conclude(joined);
    }
}

/// Looks at a bridge that the interface is, or is a port of.
fn look_at_bridge(area: &mut Area<'_>, host: &Host, link: &Link, routers: &[&VirtualRouter]) {
    let mut candidates = [Some(link), host.controller(link)].into_iter().flatten();
    let Some((name, bridge)) = candidates.find_map(|it| Some((&it.name, it.bridge?))) else { return };
    if bridge.snoops && !bridge.asks {
        let what = format!("the bridge `{name}` has multicast_snooping 1 and multicast_querier 0");
        let remedy = format!("ip link set {name} type bridge mcast_querier 1, or mcast_snooping 0");
        area.find(Kind::BridgeSnooping, what, remedy);
    }
    let ageing = std::time::Duration::from_millis(u64::from(bridge.ageing_cs) * 10);
    let is_late = |router: &&&VirtualRouter| router.announcement_refresh.is_none_or(|refresh| refresh > ageing);
    if let Some(router) = routers.iter().filter(|router| router.virtual_mac).find(is_late) {
        let refresh = router.announcement_refresh.map_or_else(|| "never".to_owned(), |span| format!("every {span:?}"));
        let what = format!(
            "the bridge `{name}` forgets stations after {ageing:?}, and {} is announced {refresh}",
            router.name
        );
        area.find(Kind::BridgeAgeing, what, "set announcement_refresh below that");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Whether `/proc/net/igmp`, which has a line for each interface and below it one for each group, says so.
fn is_member_ipv4(table: &str, interface: &str) -> bool {
    let group = format!("{:08X}", u32::from_ne_bytes(GROUP_IPV4.octets()));
    let mut is_there = false;
    for line in table.lines().skip(1) {
        let mut words = line.split_whitespace();
        if !line.starts_with(char::is_whitespace) {
            // The colon follows at once where the name is long.
            is_there = words.nth(1).map(|name| name.trim_end_matches(':')) == Some(interface);
        } else if is_there && words.next() == Some(&group) {
            return true;
        }
    }
    false
}

/// Whether `/proc/net/igmp6`, which has a line for each group, says so.
fn is_member_ipv6(table: &str, interface: &str) -> bool {
    let mut lines = table.lines().map(|line| line.split_whitespace().skip(1));
    lines.any(|mut words| words.next() == Some(interface) && words.next() == Some(GROUP_IPV6))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    /// What Linux 6.18 printed on a node.
    #[test]
    fn groups_are_read_from_the_tables_of_the_kernel() {
        let igmp = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
             2\tvsw0      :     2      V3\n\t\t\t\t120000E0     1 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n";
        assert!(is_member_ipv4(igmp, "vsw0"));
        let long = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             3\tenp0s31f6.4000:     1      V3\n\t\t\t\t120000E0     1 0:00000000\t\t0\n";
        assert!(is_member_ipv4(long, "enp0s31f6.4000"));
        assert!(!is_member_ipv4(igmp, "lo") && !is_member_ipv4(igmp, "eth0"));
        let igmp6 = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n\
             2    vsw0            ff020000000000000000000000000012     1 00000004 0\n";
        assert!(is_member_ipv6(igmp6, "vsw0") && !is_member_ipv6(igmp6, "lo"));
    }
}
