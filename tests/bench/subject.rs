//! The daemons that are measured, each run the same way.

use std::{
    fmt::{self, Write},
    fs,
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use harness::{Agent, Frr, FrrRouter, GENEROUS, Host, Process, write_file};
use nix::sys::signal::Signal;
use vrrp_wire::Family;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Subject {
    Vipd,
    Keepalived,
    Frr,
}

impl Subject {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Vipd => "vipd",
            Self::Keepalived => "keepalived",
            Self::Frr => "FRR",
        }
    }
}

/// How vipd differs from its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Plain,
    /// Signs, by the key in `/run/lab/key`.
    Signed,
    /// Its guard is attached by tcx where it would be XDP.
    Tcx,
}

impl Variant {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Signed => "signed",
            Self::Tcx => "tcx",
        }
    }
}

/// What both nodes are to serve. The first is preferred.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) interval: Duration,
    pub(crate) is_unicast: bool,
    pub(crate) variant: Variant,
    pub(crate) families: Vec<Family>,
    /// Virtual routers of each family.
    pub(crate) routers: u8,
    /// Addresses of each virtual router.
    pub(crate) addresses: u16,
}

/// Addresses that adverts list; keepalived lists no more over IPv4.
const LISTED_MAX: u16 = 20;

impl Task {
    /// One virtual router of both families.
    pub(crate) fn pair(interval: Duration, is_unicast: bool) -> Self {
        Self {
            interval,
            is_unicast,
            variant: Variant::Plain,
            families: vec![Family::Ipv4, Family::Ipv6],
            routers: 1,
            addresses: 1,
        }
    }

    /// All virtual addresses, by family, virtual router and number.
    pub(crate) fn targets(&self) -> Vec<IpAddr> {
        let of_family = |&family: &Family| (1..=self.routers).flat_map(move |vrid| self.of_router(family, vrid));
        self.families.iter().flat_map(of_family).collect()
    }

    fn of_router(&self, family: Family, vrid: u8) -> Vec<IpAddr> {
        let address = |number: u16| {
            let [high, low] = number.to_be_bytes();
            match family {
                Family::Ipv4 if self.addresses == 1 => IpAddr::from([10, 77, 1, vrid]),
                Family::Ipv4 => IpAddr::from([10, 78, high, low]),
                Family::Ipv6 => IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0x100 + u16::from(vrid), number]),
            }
        };
        (1..=self.addresses).map(address).collect()
    }

    fn vipd(&self) -> Result<String> {
        let mut text = format!(
            "[cluster]\nname = \"bench\"\ninterface = \"{}\"\nadvertisement_interval = \"{}ms\"\n",
            Host::INTERFACE,
            self.interval.as_millis()
        );
        if self.is_unicast {
            writeln!(text, "transport = \"unicast\"")?;
        }
        match self.variant {
            Variant::Plain => {}
            Variant::Signed => {
                writeln!(text, "[auth]\nmode = \"enforce\"\nactive_key = 1\nclock_grace = \"0s\"")?;
                writeln!(text, "keys = [{{ id = 1, file = \"/run/lab/key\" }}]")?;
            }
            Variant::Tcx => writeln!(text, "[guard]\nattach = \"tcx\"")?,
        }
        for node in 1..=2 {
            writeln!(text, "[[node]]\nname = \"n{node}\"\naddress = \"10.77.0.{node}\"\naddress6 = \"fd77::{node}\"")?;
            writeln!(text, "link_local = \"fe80::ff:fe00:{node}\"\nmac = \"02:00:00:00:00:0{node}\"")?;
        }
        for vrid in 1..=self.routers {
            writeln!(text, "[[virtual_router]]\nname = \"v{vrid}\"\nvrid = {vrid}\nnodes = [\"n1\", \"n2\"]")?;
            let all: Vec<_> = self.families.iter().map(|&family| self.of_router(family, vrid)).collect();
            let list = |addresses: Vec<&IpAddr>| {
                addresses.iter().map(|it| format!("\"{it}/{}\"", length(**it))).collect::<Vec<_>>().join(", ")
            };
            let listed = all.iter().flat_map(|of| of.iter().take(LISTED_MAX.into())).collect();
            let extra: Vec<_> = all.iter().flat_map(|of| of.iter().skip(LISTED_MAX.into())).collect();
            writeln!(text, "addresses = [{}]", list(listed))?;
            if !extra.is_empty() {
                writeln!(text, "extra_addresses = [{}]", list(extra))?;
            }
        }
        Ok(text)
    }

    fn keepalived(&self, node: usize) -> Result<String> {
        let mut text = format!("global_defs {{\n    router_id n{}\n    vrrp_version 3\n}}\n", node + 1);
        for &family in &self.families {
            for vrid in 1..=self.routers {
                writeln!(
                    text,
                    "vrrp_instance {family}_{vrid} {{\n    state BACKUP\n    interface {}",
                    Host::INTERFACE
                )?;
                writeln!(text, "    virtual_router_id {vrid}\n    priority {}", [200, 150][node])?;
                writeln!(text, "    advert_int {:.2}", self.interval.as_secs_f64())?;
                if self.is_unicast {
                    let [own, peer] = [node, 1 - node].map(|node| station(family, node));
                    writeln!(text, "    unicast_src_ip {own}\n    unicast_peer {{\n        {peer}\n    }}")?;
                }
                let addresses = self.of_router(family, vrid);
                let (listed, excluded) = addresses.split_at(addresses.len().min(LISTED_MAX.into()));
                let link_local = (family == Family::Ipv6).then(|| format!("fe80::1:{vrid:x}/64"));
                let listed = link_local.into_iter().chain(listed.iter().map(with_length));
                block(&mut text, "virtual_ipaddress", listed)?;
                if !excluded.is_empty() {
                    block(&mut text, "virtual_ipaddress_excluded", excluded.iter().map(with_length))?;
                }
                writeln!(text, "}}")?;
            }
        }
        Ok(text)
    }
}

fn block(text: &mut String, name: &str, lines: impl Iterator<Item = String>) -> fmt::Result {
    writeln!(text, "    {name} {{")?;
    for line in lines {
        writeln!(text, "        {line}")?;
    }
    writeln!(text, "    }}")
}

fn length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn with_length(address: &IpAddr) -> String {
    format!("{address}/{}", length(*address))
}

/// Where the unicast adverts of a node come from.
fn station(family: Family, node: usize) -> String {
    match family {
        Family::Ipv4 => format!("10.77.0.{}", node + 1),
        Family::Ipv6 => format!("fd77::{}", node + 1),
    }
}

/// A daemon that runs on a node.
#[derive(Debug)]
pub(crate) enum Daemon {
    Vipd(Agent),
    Keepalived(Process),
    Frr(Box<Frr>),
}

impl Daemon {
    /// Starts it on node 0 or 1, and returns when it takes part or will soon.
    pub(crate) fn start(subject: Subject, host: &Host, node: usize, task: &Task) -> Result<Self> {
        match subject {
            Subject::Vipd => {
                // Both may run in one lab.
                let instance = format!("{}-{}", host.name(), task.variant.name());
                Ok(Self::Vipd(host.agent_again(&instance, &task.vipd()?, &[])?))
            }
            Subject::Keepalived => start_keepalived(host, &task.keepalived(node)?).map(Self::Keepalived),
            Subject::Frr => start_frr(host, node, task).map(Box::new).map(Self::Frr),
        }
    }

    /// Ends it in good order.
    pub(crate) fn stop(self) -> Result<()> {
        match self {
            Self::Vipd(mut agent) => agent.process.terminate(GENEROUS).map(drop),
            Self::Keepalived(mut process) => process.terminate(GENEROUS).map(drop),
            Self::Frr(mut frr) => frr.terminate(GENEROUS),
        }
    }

    /// Kills the daemon: of keepalived and FRR all processes, of vipd the agent.
    pub(crate) fn kill(self) -> Result<()> {
        match self {
            Self::Vipd(mut agent) => agent.process.kill(),
            Self::Keepalived(mut process) => process.kill(),
            Self::Frr(mut frr) => frr.process.kill(),
        }
    }

    /// Kills everything of it at once.
    pub(crate) fn lose_power(self) -> Result<()> {
        match self {
            Self::Vipd(mut agent) => agent.process.lose_power(),
            Self::Keepalived(mut process) => process.lose_power(),
            Self::Frr(mut frr) => frr.process.lose_power(),
        }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Vipd(agent) => &agent.process,
            Self::Keepalived(process) => process,
            Self::Frr(frr) => &frr.process,
        }
    }

    /// Stops the daemon where it is.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.process().stop()
    }

    /// Lets it go on after [`Daemon::freeze`].
    pub(crate) fn thaw(&self) -> Result<()> {
        self.process().cont()
    }

    /// Has it read its configuration again.
    pub(crate) fn reload(&self) -> Result<()> {
        match self {
            Self::Vipd(agent) => agent.run(&["reload"]).map(drop),
            Self::Keepalived(process) => process.signal(Signal::SIGHUP),
            Self::Frr(_) => bail!("FRR has no reload of its own"),
        }
    }

    /// Has another program of the same kind take its place, where it knows how.
    pub(crate) fn replace(&self) -> Result<()> {
        match self {
            Self::Vipd(agent) => agent.run(&["restart"]).map(drop),
            Self::Keepalived(_) | Self::Frr(_) => bail!("only vipd gives way to its successor"),
        }
    }

    /// The processes from which all others of the daemon come.
    pub(crate) fn pids(&self) -> Vec<i32> {
        match self {
            Self::Vipd(_) | Self::Keepalived(_) => vec![self.process().pid().as_raw()],
            Self::Frr(frr) => frr.pids(),
        }
    }
}

fn start_keepalived(host: &Host, config: &str) -> Result<Process> {
    let name = format!("keepalived-{}", host.name());
    let file = write_file(&format!("{name}.conf"), config)?;
    for pid in ["pid", "vrrp.pid"] {
        // One that was killed has left it.
        let _ = fs::remove_file(file.with_extension(pid));
    }
    let mut command = host.namespace().command("keepalived");
    command.args(["--dont-fork", "--log-console", "--no-syslog", "--vrrp", "--use-file"]).arg(&file);
    command.arg("--pid").arg(file.with_extension("pid"));
    command.arg("--vrrp_pid").arg(file.with_extension("vrrp.pid"));
    Process::spawn(&name, command)
}

fn start_frr(host: &Host, node: usize, task: &Task) -> Result<Frr> {
    if task.is_unicast || task.addresses != 1 {
        bail!("FRR has neither unicast nor as many addresses");
    }
    let mut routers = Vec::new();
    for &family in &task.families {
        for vrid in 1..=task.routers {
            let addresses: Vec<_> = task.of_router(family, vrid).iter().map(with_length).collect();
            let link_local = format!("fe80::{}:{vrid:x}", node + 1).parse().context("no address")?;
            routers.push((family, vrid, addresses, link_local));
        }
    }
    let addresses: Vec<Vec<&str>> =
        routers.iter().map(|(_, _, addresses, _)| addresses.iter().map(String::as_str).collect()).collect();
    let routers: Vec<_> = routers
        .iter()
        .zip(&addresses)
        .map(|(&(family, vrid, _, link_local), addresses)| FrrRouter {
            vrid,
            family,
            version: 3,
            priority: [200, 150][node],
            interval: task.interval,
            addresses,
            preempt: true,
            link_local,
        })
        .collect();
    host.frr(&routers)
}
