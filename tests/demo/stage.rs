//! The stage: a cluster of three nodes on a LAN, and a client that probes it.

use anyhow::Result;
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, Probe};
use vrrp_wire::Family;

/// The nodes; each is preferred for the virtual router of its place.
pub(crate) const NODES: [&str; 3] = ["n1", "n2", "n3"];

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    /// The client's probes of web-a, IPv4 and IPv6.
    pub(crate) probes: Vec<(Family, Probe)>,
}

impl Stage {
    /// The configuration pins MAC addresses, so that an attacker who uses a node's IP address is recognised.
    pub(crate) fn build(lab: &Lab) -> Result<Self> {
        let config = ClusterConfig { preferred: &[0, 1, 2], ..ClusterConfig::default() };
        Ok(Self { cluster: Cluster::new(lab, NODES.len(), &config)?, probes: Vec::new() })
    }

    /// Waits until a node is in `state` for a virtual router, in both families.
    pub(crate) fn wait_for(&self, node: usize, router: &str, state: &str) -> Result<()> {
        for family in [Family::Ipv4, Family::Ipv6] {
            self.cluster.agent(node)?.wait_for_state(router, family, state)?;
        }
        Ok(())
    }

    /// Lets the client ask web-a for an answer every millisecond.
    pub(crate) fn probe(&mut self) -> Result<()> {
        self.probes.extend([Family::Ipv4, Family::Ipv6].into_iter().zip(self.cluster.probe(0)?));
        Ok(())
    }

    /// Waits until both probes are answered.
    pub(crate) fn wait_answered(&self) -> Result<()> {
        self.probes.iter().try_for_each(|(_, probe)| probe.wait_answered(GENEROUS))
    }
}
