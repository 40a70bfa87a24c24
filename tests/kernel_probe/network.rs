//! Two interfaces that face each other, and a VLAN on each.

use anyhow::{Context, Result};
use harness::{Injector, Namespace};
use nix::net::if_::if_nametoindex;
use vipd::datapath::nic::Nic;

/// Where the guard is.
pub(crate) const NEAR: &str = "near";
/// Where adverts are sent from.
pub(crate) const FAR: &str = "far";
/// The sub-interface of [`NEAR`].
pub(crate) const NEAR_VLAN: &str = "near.5";
/// The sub-interface of [`FAR`].
pub(crate) const FAR_VLAN: &str = "far.5";
/// The VLAN identifier of both.
pub(crate) const VLAN: u16 = 5;

/// The interfaces of a namespace.
pub(crate) struct Network {
    namespace: Namespace,
}

impl Network {
    /// Makes the interfaces in `namespace`.
    ///
    /// In the words that busybox knows: its `ip` cannot name the other end of a pair.
    pub(crate) fn new(namespace: &Namespace) -> Result<Self> {
        // What the kernel itself would send only disturbs.
        namespace.set("ipv6/conf/default/disable_ipv6", "1")?;
        let commands = [
            "link add near type veth",
            "link set veth0 name far",
            "addr add 10.77.0.100/24 dev near",
            "link set near up",
            "link set far up",
            "link add link near name near.5 type vlan id 5",
            "link add link far name far.5 type vlan id 5",
            "link set near.5 up",
            "link set far.5 up",
        ];
        for command in commands {
            namespace.run("ip", &command.split(' ').collect::<Vec<_>>())?;
        }
        Ok(Self { namespace: namespace.clone() })
    }

    pub(crate) const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Sends `frame` out of an interface.
    pub(crate) fn send(&self, interface: &str, frame: &[u8]) -> Result<()> {
        Injector::on(&self.namespace, interface)?.send(frame)
    }
}

/// What the kernel says of an interface in the namespace of this thread.
pub(crate) fn nic(name: &str) -> Result<Nic> {
    let ifindex = if_nametoindex(name).with_context(|| format!("no interface `{name}`"))?;
    Nic::read(ifindex).with_context(|| format!("failed to read the properties of `{name}`"))
}
