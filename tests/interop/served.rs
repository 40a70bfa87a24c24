//! The virtual routers that vipd and a peer serve together: one for each way of speaking VRRP that both know.

use std::net::IpAddr;

use harness::{decode::Advertisement, ip};
use vrrp_wire::{Family, MacAddr};

/// A virtual router of the tests.
#[derive(Debug)]
pub(crate) struct Served {
    /// The way of speaking, as the table in docs/interop.md calls it.
    pub(crate) dialect: &'static str,
    pub(crate) vrid: u8,
    pub(crate) family: Family,
    pub(crate) version: u8,
    pub(crate) password: Option<&'static str>,
    pub(crate) is_unicast: bool,
    /// All that is advertised: keepalived 2.2.7 takes no advert with another list.
    pub(crate) addresses: &'static [&'static str],
    /// What vipd must be told beside that, to get on with the peer.
    pub(crate) keys: &'static str,
}

const IPV4: Served = Served {
    dialect: "VRRPv3, IPv4, multicast",
    vrid: 51,
    family: Family::Ipv4,
    version: 3,
    password: None,
    is_unicast: false,
    addresses: &["10.77.0.51/24"],
    keys: "",
};
/// Begins with the link-local address of its Virtual Router MAC, 00-00-5E-00-02-34.
const IPV6: Served = Served {
    dialect: "VRRPv3, IPv6, multicast",
    vrid: 52,
    family: Family::Ipv6,
    addresses: &["fe80::200:5eff:fe00:234/64", "fd77::52/64"],
    ..IPV4
};
/// Against RFC 9568 §5.2.9, as many have it.
const IPV6_WITHOUT_LINK_LOCAL: Served = Served {
    dialect: "VRRPv3, IPv6, multicast, no link-local address listed",
    vrid: 53,
    addresses: &["fd77::53/64"],
    keys: "virtual_link_local = false",
    ..IPV6
};
const VERSION_2: Served =
    Served { dialect: "VRRPv2, multicast", vrid: 71, version: 2, addresses: &["10.77.0.71/24"], ..IPV4 };

/// keepalived sends unicast adverts with the Hop Limit that Linux has for everything, 64.
pub(crate) const KEEPALIVED: [Served; 9] = [
    IPV4,
    // The VRID of the IPv4 one: another virtual router all the same.
    Served { vrid: 51, addresses: &["fe80::200:5eff:fe00:233/64", "fd77::51/64"], ..IPV6 },
    IPV6_WITHOUT_LINK_LOCAL,
    Served { dialect: "VRRPv3, IPv4, unicast", vrid: 61, is_unicast: true, addresses: &["10.77.0.61/24"], ..IPV4 },
    Served {
        dialect: "VRRPv3, IPv6, unicast",
        vrid: 61,
        is_unicast: true,
        addresses: &["fe80::200:5eff:fe00:23d/64", "fd77::61/64"],
        keys: "min_ttl = 64",
        ..IPV6
    },
    VERSION_2,
    Served {
        dialect: "VRRPv2, password, multicast",
        vrid: 72,
        password: Some("s3cret"),
        addresses: &["10.77.0.72/24"],
        ..VERSION_2
    },
    Served { dialect: "VRRPv2, unicast", vrid: 81, is_unicast: true, addresses: &["10.77.0.81/24"], ..VERSION_2 },
    Served {
        dialect: "VRRPv2, password, unicast",
        vrid: 82,
        password: Some("s3cret"),
        is_unicast: true,
        addresses: &["10.77.0.82/24"],
        ..VERSION_2
    },
];

/// FRR has neither unicast nor passwords, and always the Virtual Router MAC Address. Its VRIDs are one for each family.
pub(crate) const FRR: [Served; 6] = [
    IPV4,
    IPV6,
    IPV6_WITHOUT_LINK_LOCAL,
    Served {
        dialect: "VRRPv3, IPv4, multicast, virtual MAC address",
        vrid: 54,
        addresses: &["10.77.0.54/24"],
        keys: "virtual_mac = true",
        ..IPV4
    },
    Served {
        dialect: "VRRPv3, IPv6, multicast, virtual MAC address",
        vrid: 55,
        addresses: &["fe80::200:5eff:fe00:237/64", "fd77::55/64"],
        keys: "virtual_mac = true",
        ..IPV6
    },
    VERSION_2,
];

impl Served {
    /// Its name in vipd's configuration.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.family, self.vrid)
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter_map(|address| address.split_once('/')).map(|(address, _)| ip(address))
    }

    /// Adverts after which something is said to last: more than a Backup would wait for.
    pub(crate) const fn lasting(&self) -> usize {
        if self.version == 2 { 4 } else { 10 }
    }

    /// The Virtual Router MAC Address. RFC 9568 §7.3.
    pub(crate) const fn virtual_mac(&self) -> MacAddr {
        let family = if matches!(self.family, Family::Ipv4) { 1 } else { 2 };
        MacAddr([0, 0, 0x5e, 0, family, self.vrid])
    }

    /// Whether vipd has the addresses there too.
    pub(crate) fn has_virtual_mac(&self) -> bool {
        self.keys.contains("virtual_mac = true")
    }

    pub(crate) fn is_in(&self, advert: &Advertisement) -> bool {
        let family = if advert.source.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        (advert.version, advert.vrid, family) == (self.version, self.vrid, self.family)
    }
}
