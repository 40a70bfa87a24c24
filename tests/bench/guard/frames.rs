//! The kinds of frame that are measured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use harness::{
    bare::{TC_ACT_OK, TC_ACT_SHOT, TC_ACT_UNSPEC, XDP_DROP, XDP_PASS},
    frame::Advert,
};
use vrrp_wire::{Family, MacAddr};

use super::{Hook, Kind};

/// A Backup's virtual router whose adverts are not signed, the same of an Active, one whose are, and one that has just had the one that comes
/// again.
pub(super) const PLAIN: u8 = 51;
pub(super) const ACTIVE: u8 = 52;
pub(super) const SIGNED: u8 = 53;
pub(super) const REPLAYED: u8 = 54;
/// The number of the virtual address.
pub(super) const TO_ANSWER: u8 = 100;

pub(super) const PEER_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);
const CLIENT_MAC: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x09]);

pub(super) const KEY: [u8; 32] = [7; 32];
/// 2026-11-22, 07:25:14 UTC, as nanoseconds since 1970 and as a sequence.
pub(super) const NOW_NS: u64 = 1_795_332_314_000_000_000;
pub(super) const NOW: u64 = 0x6b02_98da_0000_0000;

/// The host `number`: 1 is this one, 2 the peer, 9 a client, 10 a server.
pub(super) fn host(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 77, 0, number).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into()).into(),
    }
}

fn good(family: Family, vrid: u8) -> Advert {
    Advert::new(PEER_MAC, host(family, 2), vrid, 200, &[host(family, TO_ANSWER)])
}

/// A good advert of the peer.
pub(super) fn advert(family: Family, vrid: u8) -> Vec<u8> {
    good(family, vrid).frame()
}

/// Every line of the table; bare programs before those that are compared with them.
pub(super) fn kinds() -> Vec<Kind> {
    let kind = |hook, name, frame: &[u8], returns| Kind { hook, name, frame: frame.to_vec(), returns, records: false };
    let record = |hook, name, frame: &[u8], returns| Kind { records: true, ..kind(hook, name, frame, returns) };
    let (ipv4, ipv6) = (Family::Ipv4, Family::Ipv6);
    let tcp = [ipv4, ipv6].map(tcp);
    let [asked_ipv4, asked_ipv6] = [ipv4, ipv6].map(|family| question(family, 10));
    let plain = advert(ipv4, PLAIN);
    let signed = [ipv4, ipv6].map(|family| good(family, SIGNED).signed(1, &KEY, NOW));
    let stranger = Advert { source: host(ipv4, 66), ..good(ipv4, PLAIN) }.frame();
    let wrong_mac = Advert { source_mac: CLIENT_MAC, ..good(ipv4, PLAIN) }.frame();
    let forged = Advert { priority: 255, ..signed[0].clone() }.frame();
    let forged_ipv6 = Advert { priority: 255, ..signed[1].clone() }.frame();
    let signed = signed.map(|advert| advert.frame());
    let replayed = good(ipv4, REPLAYED).signed(1, &KEY, NOW).frame();
    vec![
        kind(Hook::BareXdp(XDP_PASS), "a bare XDP_PASS", &tcp[0], XDP_PASS),
        kind(Hook::BareXdp(XDP_DROP), "a bare XDP_DROP", &tcp[0], XDP_DROP),
        kind(Hook::Xdp, "IPv4 TCP", &tcp[0], XDP_PASS),
        kind(Hook::Xdp, "IPv6 TCP", &tcp[1], XDP_PASS),
        kind(Hook::Fenced, "IPv4 TCP, a fence closed", &tcp[0], XDP_PASS),
        kind(Hook::Fenced, "IPv6 TCP, a fence closed", &tcp[1], XDP_PASS),
        kind(Hook::Xdp, "ARP of others", &asked_ipv4, XDP_PASS),
        kind(Hook::Xdp, "NS of others", &asked_ipv6, XDP_PASS),
        kind(Hook::Xdp, "advert, foreign VRID", &advert(ipv4, 99), XDP_PASS),
        record(Hook::Xdp, "advert", &plain, XDP_PASS),
        record(Hook::Xdp, "advert that wakes the agent", &advert(ipv4, ACTIVE), XDP_PASS),
        record(Hook::Xdp, "signed advert, IPv4", &signed[0], XDP_PASS),
        record(Hook::Xdp, "signed advert, IPv6", &signed[1], XDP_PASS),
        kind(Hook::Xdp, "forged: unknown source", &stranger, XDP_DROP),
        kind(Hook::Xdp, "forged: wrong MAC address", &wrong_mac, XDP_DROP),
        kind(Hook::Xdp, "forged: not signed", &advert(ipv4, SIGNED), XDP_DROP),
        kind(Hook::Xdp, "forged: replayed", &replayed, XDP_DROP),
        kind(Hook::Xdp, "forged: wrong code, IPv4", &forged, XDP_DROP),
        kind(Hook::Xdp, "forged: wrong code, IPv6", &forged_ipv6, XDP_DROP),
        kind(Hook::BareTc(TC_ACT_OK), "a bare TC_ACT_OK", &tcp[0], TC_ACT_OK),
        kind(Hook::Ingress, "IPv4 TCP", &tcp[0], TC_ACT_UNSPEC),
        kind(Hook::Ingress, "IPv6 TCP", &tcp[1], TC_ACT_UNSPEC),
        record(Hook::Ingress, "signed advert, IPv4", &signed[0], TC_ACT_UNSPEC),
        kind(Hook::Ingress, "forged: wrong code, IPv4", &forged, TC_ACT_SHOT),
        kind(Hook::Egress, "IPv4 TCP", &tcp[0], TC_ACT_UNSPEC),
        kind(Hook::Egress, "IPv6 TCP", &tcp[1], TC_ACT_UNSPEC),
        kind(Hook::Egress, "ARP of others", &asked_ipv4, TC_ACT_UNSPEC),
    ]
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ethernet(ethertype: [u8; 2]) -> Vec<u8> {
    [&PEER_MAC.0[..], &CLIENT_MAC.0, &ethertype].concat()
}

/// From a client to a server, neither of which vipd knows.
fn tcp(family: Family) -> Vec<u8> {
    let (client, server) = (octets(host(family, 9)), octets(host(family, 10)));
    let segment = [0xc0, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0];
    match family {
        Family::Ipv4 => {
            let start = [0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
            [&ethernet([0x08, 0x00])[..], &start, &client, &server, &segment].concat()
        }
        Family::Ipv6 => {
            let start = [0x60, 0, 0, 0, 0, 20, 6, 64];
            [&ethernet([0x86, 0xdd])[..], &start, &client, &server, &segment].concat()
        }
    }
}

/// A client's ARP request or Neighbor Solicitation.
fn question(family: Family, target: u8) -> Vec<u8> {
    let (client, target) = (octets(host(family, 9)), octets(host(family, target)));
    match family {
        Family::Ipv4 => {
            let start = [0, 1, 0x08, 0x00, 6, 4, 0, 1];
            [&ethernet([0x08, 0x06])[..], &start, &CLIENT_MAC.0, &client, &[0; 6], &target].concat()
        }
        Family::Ipv6 => {
            let start = [0x60, 0, 0, 0, 0, 32, 58, 255];
            let message = [&[135, 0, 0, 0, 0, 0, 0, 0], &target[..], &[1, 1], &CLIENT_MAC.0].concat();
            [&ethernet([0x86, 0xdd])[..], &start, &client, &target, &message].concat()
        }
    }
}
