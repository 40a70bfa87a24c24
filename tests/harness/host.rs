//! A host: a namespace with one interface on the LAN.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use serde_json::Value;
use vrrp_wire::MacAddr;

use crate::{GENEROUS, Namespace, until};

/// How a host is connected.
#[derive(Clone, Copy, Debug)]
pub struct HostOptions<'a> {
    /// The Ethernet address; the IPv6 link-local address is made from it.
    pub mac: MacAddr,
    /// Addresses with their prefix lengths.
    pub addresses: &'a [&'a str],
}

/// A host on a [`Lan`](crate::Lan).
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    mac: MacAddr,
    namespace: Namespace,
    /// With the switch, the interface would be gone.
    _switch: Namespace,
}

impl Host {
    /// The interface of every host, named as in the configuration of a Hetzner vSwitch.
    pub const INTERFACE: &str = "vsw0";

    /// A host whose interface is the other end of an interface `name` in `switch`.
    pub(crate) fn new(name: &str, switch: &Namespace, options: &HostOptions<'_>) -> Result<Self> {
        let namespace = Namespace::new()?;
        for (setting, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("accept_ra", "0")] {
            namespace.set(&format!("ipv6/conf/default/{setting}"), value)?;
        }
        let mac = options.mac.to_string();
        let peer = ["peer", "name", Self::INTERFACE, "netns", &namespace.path(), "address", &mac];
        switch.run("ip", &[&["link", "add", name, "type", "veth"], &peer[..]].concat())?;
        for address in options.addresses {
            let family = if address.contains(':') { "-6" } else { "-4" };
            let flags: &[&str] = if family == "-6" { &["nodad"] } else { &[] };
            namespace.run("ip", &[&[family, "addr", "add", address, "dev", Self::INTERFACE], flags].concat())?;
        }
        namespace.run("ip", &["link", "set", Self::INTERFACE, "up"])?;
        Ok(Self { name: name.to_owned(), mac: options.mac, namespace, _switch: switch.clone() })
    }

    /// Waits for the carrier and for the link-local address, which no router may send from while it is tentative.
    pub(crate) fn wait_until_ready(&self) -> Result<()> {
        let link_local = self.link_local().to_string();
        until(&format!("host `{}` to be ready", self.name), GENEROUS, || {
            let ready = self.addresses()?.iter().any(|entry| {
                entry["local"] == link_local.as_str() && entry["tentative"].is_null() && entry["dadfailed"].is_null()
            });
            Ok((ready && self.has_carrier()?).then_some(()))
        })
    }

    /// Its name, which is also the name of its port on the bridge.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ethernet address of its interface.
    #[must_use]
    pub const fn mac(&self) -> MacAddr {
        self.mac
    }

    /// The index of its interface.
    pub fn ifindex(&self) -> Result<u32> {
        Ok(self.namespace.enter(|| if_nametoindex(Self::INTERFACE))??)
    }

    /// Its IPv6 link-local address. RFC 4291, appendix A.
    #[must_use]
    pub fn link_local(&self) -> Ipv6Addr {
        let (vendor, device) = self.mac.0.split_at(3);
        let mut octets = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x00ff, 0xfe00, 0).octets();
        octets[8..11].copy_from_slice(vendor);
        octets[8] ^= 0x02;
        octets[13..].copy_from_slice(device);
        octets.into()
    }

    /// Its network namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs a command on the host and returns what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.namespace.run(program, arguments)
    }

    /// Deletes the interface and makes another of the same name, whose other end is `far` on the same host.
    pub fn make_interface_anew(&self, mtu: u32, addresses: &[&str]) -> Result<()> {
        self.run("ip", &["link", "del", Self::INTERFACE])?;
        let (mtu, mac) = (mtu.to_string(), self.mac.to_string());
        let new = ["link", "add", Self::INTERFACE, "mtu", &mtu, "address", &mac];
        self.run("ip", &[&new[..], &["type", "veth", "peer", "name", "far"]].concat())?;
        for up in [Self::INTERFACE, "far"] {
            self.run("ip", &["link", "set", up, "up"])?;
        }
        addresses
            .iter()
            .try_for_each(|address| self.run("ip", &["addr", "add", address, "dev", Self::INTERFACE]).map(drop))
    }

    /// Whether it has `address`, on whatever interface that is not in protodown.
    pub fn has_address(&self, address: IpAddr) -> Result<bool> {
        Ok(self.held_addresses()?.contains(&address))
    }

    /// The addresses of all interfaces, those in protodown excepted: that is how FRR gives addresses up.
    pub(crate) fn held_addresses(&self) -> Result<Vec<IpAddr>> {
        let interfaces = self.ip_json(&["addr", "show"])?;
        let interfaces = interfaces.as_array().into_iter().flatten().filter(|it| it["proto_down"] != true);
        let entries = interfaces.filter_map(|it| it["addr_info"].as_array()).flatten();
        Ok(entries.filter_map(|entry| entry["local"].as_str()?.parse().ok()).collect())
    }

    /// The Ethernet address under which the host would send to `address` now, if it knows one.
    pub fn neighbour(&self, address: IpAddr) -> Result<Option<MacAddr>> {
        let neighbours = self.ip_json(&["neigh", "show", "to", &address.to_string(), "dev", Self::INTERFACE])?;
        let Some(mac) = neighbours[0]["lladdr"].as_str() else { return Ok(None) };
        mac.parse().map(Some).with_context(|| format!("`ip neigh` printed `{mac}`"))
    }

    fn has_carrier(&self) -> Result<bool> {
        Ok(self.ip_json(&["link", "show", "dev", Self::INTERFACE])?[0]["operstate"] == "UP")
    }

    /// What `ip` knows of each address of the interface.
    fn addresses(&self) -> Result<Vec<Value>> {
        let interfaces = self.ip_json(&["addr", "show", "dev", Self::INTERFACE])?;
        Ok(interfaces[0]["addr_info"].as_array().cloned().unwrap_or_default())
    }

    fn ip_json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run("ip", &[&["-json"], arguments].concat())?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("`ip -json {}` printed `{text}`", arguments.join(" ")))
    }
}
