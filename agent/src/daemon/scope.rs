//! What a configuration asks of the host: which interfaces are watched, which addresses and rules come and go, and whether
//! adverts fit.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use vrrp::{Family, Priority, Version, auth::TRAILER_LEN};
use vrrp_wire::judge::{AUTH_DATA_LEN, HEADER_LEN};

use crate::{
    config::{self, Config},
    link::{LinkState, Watched},
    perform::rule::Rule,
};

/// What the configuration makes worth watching.
pub(crate) fn watched(config: &Config) -> Watched {
    Watched {
        interfaces: config.virtual_routers.iter().map(|router| router.interface.clone()).collect(),
        virtual_addresses: moving(config).map(IpNet::addr).collect(),
        routes: config.virtual_routers.iter().any(|router| !router.routes.is_empty()),
        rules: config.virtual_routers.iter().any(|router| !router.rules.is_empty()),
    }
}

/// The virtual addresses that come and go on an interface.
pub(crate) fn virtual_addresses(config: &Config, interface: &str) -> BTreeSet<IpAddr> {
    let routers = config.virtual_routers.iter().filter(|router| router.interface == interface);
    routers.flat_map(moving_of).map(IpNet::addr).collect()
}

/// The rules that come and go.
pub(crate) fn rules(config: &Config) -> Vec<Rule> {
    config.virtual_routers.iter().flat_map(|router| router.rules.clone()).collect()
}

/// The virtual addresses that nothing is accepted for. RFC 9568 §6.1.
pub(crate) fn refused(config: &Config) -> Vec<IpAddr> {
    let refusing = config.virtual_routers.iter().filter(|router| !router.accept);
    refusing.flat_map(config::VirtualRouter::held_addresses).map(IpNet::addr).collect()
}

/// The addresses that come and go; those of an owner are the host's own.
fn moving(config: &Config) -> impl Iterator<Item = &IpNet> {
    config.virtual_routers.iter().flat_map(moving_of)
}

fn moving_of(router: &config::VirtualRouter) -> impl Iterator<Item = &IpNet> {
    let owned = if router.priority == Priority::OWNER { router.addresses.len() } else { 0 };
    router.held_addresses().skip(owned)
}

/// A fragmented advert would be dropped by every peer.
pub(crate) fn check_mtu(entry: &config::VirtualRouter, link: &LinkState, is_signed: bool) -> anyhow::Result<()> {
    advert_fits(entry, link.mtu, is_signed).map_err(anyhow::Error::msg)
}

/// Whether an advert of `entry` goes into one datagram of `mtu` bytes; else what is in the way.
pub(crate) fn advert_fits(entry: &config::VirtualRouter, mtu: u32, is_signed: bool) -> Result<(), String> {
    let header_len = match entry.family {
        Family::Ipv4 => 20,
        Family::Ipv6 => 40,
    };
    let trailer_len = match entry.version {
        Version::V2 => AUTH_DATA_LEN,
        Version::V3 if is_signed => TRAILER_LEN,
        Version::V3 => 0,
    };
    let datagram_len = header_len + HEADER_LEN + entry.addresses.len() * entry.family.address_len() + trailer_len;
    if u32::try_from(datagram_len).is_ok_and(|len| len <= mtu) {
        return Ok(());
    }
    Err(format!(
        "an advert of `{}` over {} has {datagram_len} bytes, and the MTU of `{}` is {mtu}: put some of its {} addresses \
         into another virtual router",
        entry.name,
        entry.family,
        entry.interface,
        entry.addresses.len()
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Identity;

    const FILE: &str = r#"
cluster = { name = "ingress", interface = "vsw0" }
node = [{ name = "n1", address = "10.77.0.1" }]
virtual_router = [{ name = "web", vrid = 51, addresses = ["10.77.0.100/24", "fd77::100/64"], nodes = ["n1"] }]
"#;

    /// The first virtual router of `family` in the file, with so many addresses.
    fn router(family: Family, count: u16) -> config::VirtualRouter {
        let identity = Identity { node: Some("n1".to_owned()), ..Identity::default() };
        let config = Config::parse(FILE, Path::new("vipd.toml"), &identity).unwrap();
        let router = config.virtual_routers.into_iter().find(|router| router.family == family).unwrap();
        let address = |number: u16| -> IpNet {
            match family {
                Family::Ipv4 => format!("10.78.{}.{}/16", number / 200, number % 200 + 1).parse().unwrap(),
                Family::Ipv6 => format!("fd78::{number:x}/64").parse().unwrap(),
            }
        };
        config::VirtualRouter { addresses: (1..=count).map(address).collect(), ..router }
    }

    /// Whether an advert with so many addresses fits. Of IPv4 it has 28 bytes and 4 for each address, of IPv6 48 and 16;
    /// signed 28 more.
    fn fits(family: Family, count: u16, is_signed: bool, mtu: u32) -> bool {
        let link = LinkState {
            interface: "vsw0".to_owned(),
            ifindex: 1,
            up: true,
            mac: vrrp::MacAddr([2, 0, 0, 0, 0, 1]),
            mtu,
            addresses: Vec::new(),
        };
        check_mtu(&router(family, count), &link, is_signed).is_ok()
    }

    /// None is ever fragmented: what is too long for the interface ends the start.
    /// Rows: +A18 -A18
    #[test]
    fn an_advert_fits_the_mtu_of_its_interface() {
        // (family, MTU, most addresses, most in a signed advert)
        let cases = [
            (Family::Ipv6, 1280, 77, 75),
            (Family::Ipv6, 1400, 84, 82),
            (Family::Ipv6, 1500, 90, 89),
            (Family::Ipv4, 576, 137, 130),
            (Family::Ipv4, 1000, 243, 236),
        ];
        for (family, mtu, unsigned, signed) in cases {
            for (is_signed, most) in [(false, unsigned), (true, signed)] {
                assert!(fits(family, most, is_signed, mtu), "{most} over {family} at {mtu}, signed: {is_signed}");
                assert!(
                    !fits(family, most + 1, is_signed, mtu),
                    "{} over {family} at {mtu}, signed: {is_signed}",
                    most + 1
                );
            }
        }
    }
}
