//! A cluster of nodes on a LAN, with a client and an attacker beside it.

use std::{fmt::Write, net::IpAddr};

use anyhow::{Context, Result};
use serde_json::Value;
use vrrp_wire::{Family, MacAddr};

use crate::{Agent, GENEROUS, Host, HostOptions, Lab, Lan, Probe, Status, frame::Advert, inject, ip, until};

/// The configuration of a [`Cluster`], which all nodes share.
#[derive(Clone, Copy, Debug)]
pub struct ClusterConfig<'a> {
    /// Advertisement_Interval, as the configuration file has it.
    pub interval: &'a str,
    /// More keys of `[cluster]`, a line each.
    pub cluster: &'a str,
    /// Keys of `[guard]`, a line each.
    pub guard: &'a str,
    /// Keys of `[auth]`, a line each; adverts are not signed where there is none.
    pub auth: &'a str,
    /// Whether the nodes' MAC addresses are pinned.
    pub pinned: bool,
    /// Whether agents have a supervisor. Without, what a killed agent has left stays.
    pub supervisor: bool,
    /// The first of `nodes` of each virtual router; the others follow in turn. web-a prefers the first, and so on.
    pub preferred: &'a [usize],
}

impl Default for ClusterConfig<'_> {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl ClusterConfig<'_> {
    /// One virtual router, 100 ms, pinned MAC addresses, adverts that are not signed.
    pub const DEFAULT: Self =
        Self { interval: "100ms", cluster: "", guard: "", auth: "", pinned: true, supervisor: true, preferred: &[0] };

    /// The file for a cluster of `nodes` nodes.
    pub fn text(&self, nodes: usize) -> Result<String> {
        let mut text = String::new();
        writeln!(text, "[cluster]\nname = \"test\"\ninterface = \"{}\"", Host::INTERFACE)?;
        if !self.supervisor {
            writeln!(text, "supervisor = false")?;
        }
        writeln!(text, "advertisement_interval = \"{}\"\n{}\n[guard]\n{}", self.interval, self.cluster, self.guard)?;
        if !self.auth.is_empty() {
            writeln!(text, "[auth]\n{}", self.auth)?;
        }
        for node in 1..=nodes {
            writeln!(text, "[[node]]\nname = \"n{node}\"\naddress = \"10.77.0.{node}\"\naddress6 = \"fd77::{node}\"")?;
            if self.pinned {
                writeln!(text, "mac = \"{}\"", node_mac(node))?;
            }
        }
        for (at, first) in self.preferred.iter().enumerate() {
            let order: Vec<_> = (0..nodes).map(|turn| format!("\"n{}\"", (first + turn) % nodes + 1)).collect();
            let [ipv4, ipv6] = Cluster::addresses(at);
            writeln!(text, "[[virtual_router]]\nname = \"{}\"\nvrid = {}", Cluster::ROUTERS[at], Cluster::VRIDS[at])?;
            writeln!(text, "addresses = [\"{ipv4}/24\", \"{ipv6}/64\"]\nnodes = [{}]", order.join(", "))?;
        }
        Ok(text)
    }
}

fn node_mac(number: usize) -> MacAddr {
    MacAddr([0x02, 0, 0, 0, 0, u8::try_from(number).unwrap_or(u8::MAX)])
}

/// Nodes `n1`, `n2`, … with the addresses 10.77.0.1, fd77::1 and so on.
pub struct Cluster {
    /// The LAN.
    pub lan: Lan,
    /// The nodes.
    pub nodes: Vec<Host>,
    /// 10.77.0.50, fd77::50.
    pub client: Host,
    /// 10.77.0.66, fd77::66.
    pub attacker: Host,
    /// The agent of each node, where one runs.
    pub agents: Vec<Option<Agent>>,
    instances: Vec<Option<String>>,
    /// The configuration that agents are started with.
    pub config: String,
}

impl Cluster {
    /// Names of the virtual routers.
    pub const ROUTERS: [&str; 3] = ["web-a", "web-b", "web-c"];
    /// Their VRIDs.
    pub const VRIDS: [u8; 3] = [51, 52, 53];

    /// The virtual addresses of a virtual router, IPv4 and IPv6.
    #[must_use]
    pub fn addresses(router: usize) -> [IpAddr; 2] {
        let ipv4 = [[10, 77, 0, 101], [10, 77, 0, 102], [10, 77, 0, 103]];
        let ipv6 = [0x101, 0x102, 0x103];
        [ipv4[router].into(), [0xfd77, 0, 0, 0, 0, 0, 0, ipv6[router]].into()]
    }

    /// Connects the hosts; no agent runs yet.
    pub fn new(lab: &Lab, nodes: usize, config: &ClusterConfig<'_>) -> Result<Self> {
        Self::with_config(lab, nodes, config.text(nodes)?)
    }

    /// Connects the hosts of a cluster with a configuration of its own.
    pub fn with_config(lab: &Lab, nodes: usize, config: String) -> Result<Self> {
        let mut lan = lab.lan()?;
        let mut host = |name: &str, number: usize| {
            let (ipv4, ipv6) = (format!("10.77.0.{number}/24"), format!("fd77::{number}/64"));
            lan.host(name, &HostOptions { mac: node_mac(number), addresses: &[&ipv4, &ipv6] })
        };
        let hosts = (1..=nodes).map(|number| host(&format!("n{number}"), number)).collect::<Result<Vec<_>>>()?;
        let (client, attacker) = (host("client", 50)?, host("attacker", 66)?);
        let (agents, instances) = (hosts.iter().map(|_| None).collect(), vec![None; hosts.len()]);
        Ok(Self { lan, nodes: hosts, client, attacker, agents, instances, config })
    }

    /// Starts the agent of a node, under the name that it has had before.
    pub fn start(&mut self, node: usize) -> Result<()> {
        let host = &self.nodes[node];
        let agent = match &self.instances[node] {
            Some(instance) => host.agent_again(instance, &self.config, &[])?,
            None => host.agent(&self.config, &[])?,
        };
        self.instances[node] = Some(agent.instance().to_owned());
        self.agents[node] = Some(agent);
        Ok(())
    }

    /// Starts the agents of all nodes, and waits until each is in a state of the protocol for every virtual router and
    /// one of them holds the addresses of the first.
    pub fn start_all(&mut self) -> Result<()> {
        (0..self.nodes.len()).try_for_each(|node| self.start(node))?;
        for agent in self.agents.iter().flatten() {
            agent.wait_for("every virtual router to stand", |status| status.all_in(&["Active", "Backup"]))?;
        }
        self.settle(0).map(drop)
    }

    /// The agent of a node.
    pub fn agent(&self, node: usize) -> Result<&Agent> {
        self.agents[node].as_ref().with_context(|| format!("no agent runs on {}", self.nodes[node].name()))
    }

    /// Ends the custody of a node's agent, to be stopped or killed.
    pub fn take(&mut self, node: usize) -> Result<Agent> {
        self.agents[node].take().with_context(|| format!("no agent runs on {}", self.nodes[node].name()))
    }

    /// Waits until all addresses of a virtual router are on one node, and says which.
    pub fn settle(&self, router: usize) -> Result<usize> {
        until("one node to hold all addresses", GENEROUS, || {
            let [ipv4, ipv6] = Self::addresses(router);
            let (ipv4, ipv6) = (self.lan.holders(ipv4)?, self.lan.holders(ipv6)?);
            Ok(match (ipv4.as_slice(), ipv6.as_slice()) {
                ([one], [other]) if one == other => self.nodes.iter().position(|node| node.name() == one),
                _ => None,
            })
        })
    }

    /// Waits until all addresses of a virtual router are on `node`, and nowhere else.
    pub fn settle_on(&self, router: usize, node: usize) -> Result<()> {
        until(&format!("{} to hold all addresses", self.nodes[node].name()), GENEROUS, || {
            let holders = Self::addresses(router).into_iter().map(|address| self.lan.holders(address));
            let holders = holders.collect::<Result<Vec<_>>>()?;
            Ok(holders.iter().all(|names| names.as_slice() == [self.nodes[node].name()]).then_some(()))
        })
    }

    /// Probes of a virtual router from the client, over IPv4 and IPv6, which are answered.
    pub fn probe(&self, router: usize) -> Result<[Probe; 2]> {
        let [ipv4, ipv6] = Self::addresses(router);
        let probes = [Probe::start(&self.client, ipv4)?, Probe::start(&self.client, ipv6)?];
        probes.iter().try_for_each(|probe| probe.wait_answered(GENEROUS))?;
        Ok(probes)
    }

    /// Sends ten forged adverts, until the first node has counted so many more under `counter`.
    pub fn forge(&self, counter: &str) -> Result<()> {
        let [vip, _] = Self::addresses(0);
        let forged = Advert::new(self.attacker.mac(), ip("10.77.0.66"), Self::VRIDS[0], 255, &[vip]).frame();
        let count = |status: &Status| status.counter("web-a", Family::Ipv4, counter);
        let before = count(&self.agent(0)?.status()?);
        inject(&self.attacker, &forged, 10)?;
        let are_counted = |status: &Status| count(status) == before + 10;
        self.agent(0)?.wait_for("ten forged adverts to be counted", are_counted).map(drop)
    }

    /// Waits until the ring buffer of a node's agent, which is stopped, has overflowed by more than a hundred adverts.
    pub fn wait_for_overflow(&self, lab: &Lab, node: usize) -> Result<()> {
        let counters = format!("{}/counters", self.agent(node)?.pin_dir());
        until("the ring buffer to overflow", GENEROUS, || {
            let dump: Value = serde_json::from_str(&lab.bpftool(&["-j", "map", "dump", "pinned", &counters])?)?;
            let entries = dump.as_array().context("bpftool printed no list")?;
            let lost = |entry: &Value| entry["formatted"]["value"]["record_lost"].as_u64().unwrap_or(0);
            Ok((entries.iter().map(lost).sum::<u64>() > 100).then_some(()))
        })
    }

    /// State changes that all running agents have counted.
    pub fn transitions(&self) -> Result<u64> {
        let mut sum = 0;
        for agent in self.agents.iter().flatten() {
            sum += agent.status()?.transitions().context("the status has no count of transitions")?;
        }
        Ok(sum)
    }
}
