//! Whether the rules of nftables let adverts pass, as far as rules can be judged from outside.

mod expression;
mod ruleset;

use std::{fs, net::IpAddr, process::Command};

use vrrp_wire::Family;

use self::{
    expression::Packet,
    ruleset::{Fate, Ruleset},
};
use super::{
    interface::by_interface,
    kind::Kind,
    report::{Area, Report},
};
use crate::config::{Config, OwnAddress, PeerSource, Transport, VirtualRouter};

/// The chains that an advert goes through, by the hooks that they hang on.
const WAY_OUT: &[&str] = &["output", "postrouting", "egress"];
const WAY_IN: &[&str] = &["ingress", "prerouting", "input"];

/// Looks at the rules for each virtual router.
pub(super) fn look(report: &mut Report, config: &Config) {
    let mut area = report.area("firewall");
    let rules = match read() {
        Ok(rules) => rules,
        Err(why) => {
            area.miss(format!("the rules of nftables: {why}"));
            return;
        }
    };
    if fs::read_to_string("/proc/net/ip_tables_names").is_ok_and(|tables| tables.lines().any(|it| it == "filter")) {
        let what = "iptables-legacy has a table `filter`";
        area.find(Kind::FirewallLegacy, what, "`iptables-legacy -S` shows it: protocol 112 must pass both ways");
    }
    for (interface, routers) in by_interface(config) {
        for router in routers {
            look_at(&mut area, &rules, interface, router);
        }
    }
    area.conclude("nothing in nftables is in the way of adverts");
}

fn look_at(area: &mut Area<'_>, rules: &Ruleset, interface: &str, router: &VirtualRouter) {
    for (way, kind, hooks) in
        [("leaves", Kind::FirewallDropsOutput, WAY_OUT), ("comes", Kind::FirewallDropsInput, WAY_IN)]
    {
        let packet = advert(interface, router, kind == Kind::FirewallDropsOutput);
        let (family, version) = match router.family {
            Family::Ipv4 => ("IPv4", "ip protocol 112"),
            Family::Ipv6 => ("IPv6", "meta l4proto 112"),
        };
        match rules.fate(hooks, &packet) {
            Fate::Passes => {}
            Fate::Drops(by) => {
                let side = if kind == Kind::FirewallDropsOutput { "oifname" } else { "iifname" };
                let what = format!("an advert over {family} that {way} by `{interface}` is dropped by {}", by.place);
                let remedy = format!("nft insert rule {} {side} {interface} {version} accept", by.chain);
                area.find(kind, what, remedy);
            }
            Fate::Unclear(by) => {
                let what = format!(
                    "whether an advert over {family} that {way} by `{interface}` passes {} is not clear",
                    by.place
                );
                area.find(Kind::FirewallUnclear, what, format!("`nft list chain {}` shows it", by.chain));
            }
        }
    }
}

/// An advert as the rules see it.
fn advert(interface: &str, router: &VirtualRouter, is_sent: bool) -> Packet {
    let own = match router.own_address {
        OwnAddress::Configured(address) => Some(address),
        OwnAddress::LinkLocal => None,
    };
    let peer = router.peers.iter().find_map(|peer| match peer.source {
        PeerSource::Address(address) => Some(address),
        PeerSource::Mac(_) => None,
    });
    let group = match router.family {
        Family::Ipv4 => IpAddr::from([224, 0, 0, 18]),
        Family::Ipv6 => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
    };
    let (source, receiver) = if is_sent { (own, peer) } else { (peer, own) };
    let is_multicast = router.transport == Transport::Multicast;
    Packet {
        family: router.family,
        interface: interface.to_owned(),
        is_sent,
        source,
        destination: if is_multicast { Some(group) } else { receiver },
        is_multicast,
        is_tracked: true,
    }
}

fn read() -> Result<Ruleset, String> {
    let output = Command::new("nft").args(["--json", "--numeric-protocol", "list", "ruleset"]).output();
    let output = output.map_err(|error| format!("`nft` cannot be started: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`nft` failed, {}: {}", output.status, complaint.lines().next().unwrap_or_default()));
    }
    Ruleset::parse(&output.stdout).map_err(|error| format!("`nft` printed what is no ruleset: {error}"))
}
