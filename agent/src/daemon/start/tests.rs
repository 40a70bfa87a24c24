//! What a virtual router asks of its interface.

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
