//! A cluster that is attacked, and what must not come of it.

use anyhow::{Result, ensure};
use vrrp_wire::Family;

use crate::{Cluster, ClusterConfig, Host, Injector, Lab, frame::Advert};

/// A cluster of which n1 is the Active, and how it stood at first.
pub struct Siege {
    /// The cluster.
    pub cluster: Cluster,
    transitions: u64,
}

impl Siege {
    /// The virtual router that is attacked.
    pub const ROUTER: &str = Cluster::ROUTERS[0];
    /// Its VRID.
    pub const VRID: u8 = Cluster::VRIDS[0];
    /// Both of its families.
    pub const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
    /// The interval of a siege: a busy machine does not look like a dead Active, and a takeover still shows soon.
    pub const INTERVAL: &str = "500ms";
    /// The same in centiseconds.
    pub const INTERVAL_CS: u16 = 50;

    /// A cluster of `nodes` nodes, with the interval of a siege.
    pub fn lay(lab: &Lab, nodes: usize, config: &ClusterConfig<'_>) -> Result<Self> {
        let mut cluster = Cluster::new(lab, nodes, &ClusterConfig { interval: Self::INTERVAL, ..*config })?;
        cluster.start_all()?;
        cluster.settle_on(0, 0)?;
        Self::of(cluster)
    }

    /// A cluster that has settled, with the interval of a siege.
    pub fn of(cluster: Cluster) -> Result<Self> {
        let transitions = cluster.transitions()?;
        Ok(Self { cluster, transitions })
    }

    /// Fails if a state has changed, or changes while the Active sends as many adverts as outlast Skew_Time.
    pub fn was_in_vain(&self) -> Result<()> {
        let Self { cluster, transitions } = self;
        for agent in cluster.agents.iter().flatten() {
            let now = agent.status()?;
            agent.wait_for("four more adverts of the Active", |status| {
                Self::FAMILIES.iter().all(|&family| {
                    let heard = status.tally(Self::ROUTER, family, "adverts_received");
                    let before = now.tally(Self::ROUTER, family, "adverts_received");
                    now.state(Self::ROUTER, family) == Some("Active") || heard >= before.map(|before| before + 4)
                })
            })?;
        }
        ensure!(cluster.transitions()? == *transitions, "a state has changed");
        cluster.settle_on(0, 0)?;
        for agent in cluster.agents.iter().flatten() {
            let said = agent.process.transcript();
            ensure!(agent.process.is_running() && !said.contains("panicked"), "{} said:\n{said}", agent.instance());
        }
        Ok(())
    }

    /// Waits until a node has counted `count` frames under `name`, and fails if it has counted more.
    pub fn counted(&self, node: usize, family: Family, name: &str, count: u64) -> Result<()> {
        let what = format!("{count} {family} frames to be counted as {name} on {}", self.cluster.nodes[node].name());
        let agent = self.cluster.agent(node)?;
        let status = agent.wait_for(&what, |status| status.counter(Self::ROUTER, family, name) >= count)?;
        ensure!(status.counter(Self::ROUTER, family, name) == count, "more than {what}: {status:?}");
        Ok(())
    }

    /// A good advert in the name of a node, from its Ethernet address, with all addresses of the virtual router.
    #[must_use]
    pub fn advert(&self, of: usize, family: Family, priority: u8) -> Advert {
        let host = &self.cluster.nodes[of];
        let [ipv4, ipv6] = Cluster::addresses(0);
        let (source, vips) = match family {
            Family::Ipv4 => ([10, 77, 0, u8::try_from(of + 1).unwrap_or(u8::MAX)].into(), vec![ipv4]),
            Family::Ipv6 => (host.link_local().into(), vec![crate::ip("fe80::200:5eff:fe00:233"), ipv6]),
        };
        let advert = Advert::new(host.mac(), source, Self::VRID, priority, &vips);
        Advert { interval_cs: Self::INTERVAL_CS, ..advert }
    }

    /// An advert that a node would act upon at once if it believed it: to the Active one of the highest priority, to a
    /// Backup that the Active leaves.
    #[must_use]
    pub fn tempting(&self, node: usize, family: Family) -> Advert {
        if node == 0 { self.advert(1, family, 255) } else { self.advert(0, family, 0) }
    }

    /// Whoever can put frames on the cable of one node, past the bridge, which learns nothing from them.
    pub fn wire(&self, node: usize) -> Result<Injector> {
        Injector::on(self.cluster.lan.namespace(), self.cluster.nodes[node].name())
    }

    /// The node's own end of that cable.
    #[must_use]
    pub fn node(&self, node: usize) -> &Host {
        &self.cluster.nodes[node]
    }
}
