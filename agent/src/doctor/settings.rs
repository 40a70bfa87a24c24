//! Settings of the kernel that make a host answer where it should not, or not where it should.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use nix::sys::statvfs::{FsFlags, statvfs};
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
    config::{Config, VirtualRouter},
    perform::sysctl::Setting,
};

/// Looks at the settings of each interface.
pub(super) fn look(report: &mut Report, host: &Host, agent: &Agent, config: &Config) {
    for (name, routers) in by_interface(config) {
        let Some(link) = host.link(name) else { continue };
        let mut area = report.area(format!("settings of {name}"));
        let of = |setting: Setting| setting.effective(name).unwrap_or_default();
        if of(Setting::RP_FILTER) == 1 {
            let remedy = format!("sysctl -w net/ipv4/conf/{name}/rp_filter=2");
            area.find(Kind::RpFilterStrict, format!("rp_filter of `{name}` is 1"), remedy);
        }
        let arp_ignore = of(Setting::ARP_IGNORE);
        if arp_ignore == 8 {
            let what = format!("arp_ignore of `{name}` is 8");
            area.find(Kind::ArpIgnoreAll, what, format!("sysctl -w net/ipv4/conf/{name}/arp_ignore=1, and of `all`"));
        }
        let is_active = |router: &&&VirtualRouter| agent.router(router).is_some_and(|status| status.state == "Active");
        if let Some(router) = routers.iter().filter(|router| router.virtual_mac).find(is_active) {
            look_below_virtual_mac(&mut area, name, &router.name, [arp_ignore, of(Setting::ARP_ANNOUNCE)]);
        }
        look_whether_writable(&mut area, name, routers.iter().any(|router| router.virtual_mac));
        for router in routers.iter().filter(|router| router.family == Family::Ipv4) {
            look_for_flux(&mut area, host, link, router);
        }
        area.conclude("they answer ARP as they should");
    }
    look_for_services(report, config);
}

/// What vipd has set when it took over, and somebody may have set back.
fn look_below_virtual_mac(area: &mut Area<'_>, name: &str, router: &str, [ignore, announce]: [i32; 2]) {
    for (key, value, least) in [("arp_ignore", ignore, 1), ("arp_announce", announce, 2)] {
        if value < least {
            let what =
                format!("{router} is Active with a Virtual Router MAC Address, and {key} of `{name}` is {value}");
            let remedy = format!("sysctl -w net/ipv4/conf/{name}/{key}={least}, and find out what has set it back");
            area.find(Kind::VirtualMacSettings, what, remedy);
        }
    }
}

fn look_whether_writable(area: &mut Area<'_>, name: &str, has_virtual_mac: bool) {
    let is_set = |setting: Setting, least| setting.effective(name).is_ok_and(|value| value >= least);
    let is_fit = is_set(Setting::PROMOTE_SECONDARIES, 1)
        && (!has_virtual_mac || is_set(Setting::ARP_IGNORE, 1) && is_set(Setting::ARP_ANNOUNCE, 2));
    let settings = Path::new("/proc/sys/net/ipv4/conf").join(name);
    let is_read_only = statvfs(&settings).is_ok_and(|of| of.flags().contains(FsFlags::ST_RDONLY));
    if is_read_only && !is_fit {
        let what =
            format!("`{}` is read-only, and promote_secondaries is 0 or ARP settings are missing", settings.display());
        let remedy = format!(
            "set net.ipv4.conf.{name}.promote_secondaries=1 on the host; with virtual_mac arp_ignore=1, arp_announce=2 too"
        );
        area.find(Kind::SettingsReadOnly, what, remedy);
    }
}

/// Looks for another interface that would answer for the virtual addresses as well.
fn look_for_flux(area: &mut Area<'_>, host: &Host, link: &Link, router: &VirtualRouter) {
    let answers = |other: &&Link| {
        let is_other = other.ifindex != link.ifindex
            && other.controller != Some(link.ifindex)
            && !other.flags.contains(LinkFlags::Loopback);
        let ignore = Setting::ARP_IGNORE.effective(&other.name).unwrap_or_default();
        is_other && other.has_carrier() && ignore == 0
    };
    for other in host.links.iter().filter(answers) {
        // On a macvlan of vipd's they are its own.
        let mut nets = other.addresses.iter().filter(|held| !held.is_ours && held.net.prefix_len() < 32);
        let Some(net) = nets.find(|held| router.held_addresses().any(|it| held.net.contains(&it.addr()))) else {
            continue;
        };
        let what = format!("`{}` has {}, in the network of virtual addresses of `{}`", other.name, net.net, link.name);
        let remedy = format!(
            "sysctl -w net/ipv4/conf/{}/arp_ignore=1, or put the interfaces into networks of their own",
            other.name
        );
        area.find(Kind::ArpFlux, what, remedy);
    }
}

/// Looks for services that listen on a virtual address alone.
fn look_for_services(report: &mut Report, config: &Config) {
    let mut area = report.area("services");
    let is_virtual = |address: &IpAddr| {
        config.virtual_routers.iter().any(|router| router.held_addresses().any(|held| held.addr() == *address))
    };
    for (version, tables) in [("ipv4", ["tcp", "udp"]), ("ipv6", ["tcp6", "udp6"])] {
        let is_allowed = fs::read_to_string(format!("/proc/sys/net/{version}/ip_nonlocal_bind"));
        if !is_allowed.is_ok_and(|text| text.trim() == "0") {
            continue;
        }
        for table in tables {
            let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            for (address, port) in bound(&text).into_iter().filter(|(address, _)| is_virtual(address)) {
                let what = format!("a service listens on {table} port {port} of {address}, and ip_nonlocal_bind is 0");
                area.find(Kind::ServiceBound, what, format!("sysctl -w net.{version}.ip_nonlocal_bind=1"));
            }
        }
    }
}

/// The addresses and ports that are listened on, in a table of `/proc/net`.
fn bound(table: &str) -> Vec<(IpAddr, u16)> {
    let entry = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        // TCP_LISTEN, and a UDP socket without a peer.
        if !["0A", "07"].contains(&state) {
            return None;
        }
        let (address, port) = local.split_once(':')?;
        Some((from_hex(address)?, u16::from_str_radix(port, 16).ok()?))
    };
    table.lines().skip(1).filter_map(entry).collect()
}

/// An address as the kernel prints it: words of 32 bits, each in the order of the host.
fn from_hex(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut octets = [0; 16];
            for (place, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(place * 8)?);
            }
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    /// Lines that Linux 6.18 printed for `nc -l 10.77.0.101 80`, for one that is connected, and for `nc -l fd77::101 443`.
    #[test]
    fn services_are_read_from_the_tables_of_the_kernel() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 65004D0A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n   \
             1: 01004D0A:C350 02004D0A:0016 01 00000000:00000000 00:00000000 00000000     0        0 2 1\n";
        assert_eq!(bound(tcp), [("10.77.0.101".parse().unwrap(), 80)]);
        let tcp6 = "head\n   0: 000077FD000000000000000001010000:01BB 00000000000000000000000000000000:0000 0A 0\n";
        assert_eq!(bound(tcp6), [("fd77::101".parse().unwrap(), 443)]);
    }
}
