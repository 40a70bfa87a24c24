//! A LAN: a bridge in a namespace of its own, and a port for each host.

use std::{net::IpAddr, path::Path};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, new_connection};
use tokio::runtime::Builder;

use crate::{Host, HostOptions, Namespace};

const BRIDGE: &str = "br0";

/// What is asked of a port.
type Port = LinkMessageBuilder<LinkUnspec>;

/// A switch and the hosts on it.
pub struct Lan {
    namespace: Namespace,
    hosts: Vec<Host>,
}

impl Lan {
    /// A bridge without ports, which floods multicast and forwards at once.
    pub(crate) fn new() -> Result<Self> {
        let namespace = Namespace::new()?;
        namespace.set("ipv6/conf/default/disable_ipv6", "1")?;
        let bridge = ["stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"];
        namespace.run("ip", &[&["link", "add", BRIDGE, "type", "bridge"], &bridge[..]].concat())?;
        namespace.run("ip", &["link", "set", BRIDGE, "up"])?;
        // A switch has no packet filter. Where this module is loaded, frames go through the host's, which costs the LAN
        // about a quarter of its speed.
        for setting in ["bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"] {
            if namespace.enter(|| Path::new("/proc/sys/net").join(setting).exists())? {
                namespace.set(setting, "0")?;
            }
        }
        Ok(Self { namespace, hosts: Vec::new() })
    }

    /// Says whether this kernel has pairs of virtual Ethernet interfaces.
    pub(crate) fn probe_for_veth(&self) -> Result<()> {
        self.namespace.run("ip", &["link", "add", "left", "type", "veth", "peer", "name", "right"])?;
        Ok(())
    }

    /// Connects a new host. Its port on the bridge has the host's name.
    pub fn host(&mut self, name: &str, options: &HostOptions<'_>) -> Result<Host> {
        let host =
            Host::new(name, &self.namespace, options).with_context(|| format!("failed to set up host `{name}`"))?;
        self.namespace.run("ip", &["link", "set", name, "master", BRIDGE, "up"])?;
        host.wait_until_ready()?;
        self.hosts.push(host.clone());
        Ok(host)
    }

    /// Pulls the host's cable: it loses its carrier.
    pub fn cut(&self, host: &str) -> Result<()> {
        self.change(host, LinkMessageBuilder::down)
    }

    /// Puts the cable back.
    pub fn mend(&self, host: &str) -> Result<()> {
        self.change(host, LinkMessageBuilder::up)
    }

    /// Takes the host's port off the bridge: no frame comes or goes any more, and the host keeps its carrier.
    pub fn silence(&self, host: &str) -> Result<()> {
        self.change(host, LinkMessageBuilder::nocontroller)
    }

    /// Ends what [`Lan::silence`] began.
    pub fn unsilence(&self, host: &str) -> Result<()> {
        let bridge = self.namespace.enter(|| if_nametoindex(BRIDGE))??;
        self.change(host, |port| port.controller(bridge))
    }

    /// Changes the host's port by a request to the kernel. A program takes milliseconds to begin, and never as many as before.
    fn change(&self, host: &str, change: impl FnOnce(Port) -> Port + Send) -> Result<()> {
        let request = || -> Result<()> {
            let port = change(LinkUnspec::new_with_index(if_nametoindex(host)?)).build();
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (connection, handle, _) = new_connection()?;
                tokio::spawn(connection);
                Ok(handle.link().set(port).execute().await?)
            })
        };
        self.namespace.enter(request)?.with_context(|| format!("failed to change the port of `{host}`"))
    }

    /// The names of the hosts that have `address`, in the order in which they were connected.
    pub fn holders(&self, address: IpAddr) -> Result<Vec<String>> {
        Ok(self.holders_of(&[address])?.pop().unwrap_or_default())
    }

    /// The same of each of `addresses`, with one look at each host.
    pub fn holders_of(&self, addresses: &[IpAddr]) -> Result<Vec<Vec<String>>> {
        let mut holders = vec![Vec::new(); addresses.len()];
        for host in &self.hosts {
            let held = host.held_addresses()?;
            for (address, holders) in addresses.iter().zip(&mut holders) {
                if held.contains(address) {
                    holders.push(host.name().to_owned());
                }
            }
        }
        Ok(holders)
    }

    /// The namespace of the bridge, whose interfaces are the bridge `br0` and one port for each host.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
