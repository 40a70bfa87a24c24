//! vipd and keepalived on a LAN with a client, and what can be seen of them.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use Daemon::{Keepalived, Vipd};
use anyhow::{Context, Result, bail, ensure};
use harness::{
    Agent, Capture, GENEROUS, Host, HostOptions, KeepalivedRouter, Lab, Lan, Probe, Process,
    decode::{self, Advertisement},
    ip, until,
};
use vrrp_wire::{Family, MacAddr};

/// How keepalived calls what it does not accept.
const COMPLAINTS: [&str; 9] = [
    "checksum",
    "discarding",
    "expect",
    "ignoring",
    "invalid",
    "mismatch",
    "not a unicast peer",
    "not present",
    "packet too",
];
/// How it calls what it discards because the protocol says so.
const NO_COMPLAINT: &str = "received lower priority";
/// Verdicts on good adverts. The second is on unicast ones that come before vipd, which is starting, has told the guard
/// its own address. And questions for virtual addresses, which a Backup leaves to the Active.
const GOOD: [&str; 3] = ["admitted", "other_destination", "fenced_neighbor"];

/// Adverts after which something is said to last.
const LASTING: usize = 10;

/// A virtual router of the tests.
pub(crate) struct Served {
    pub(crate) name: &'static str,
    pub(crate) vrid: u8,
    pub(crate) family: Family,
    unicast: bool,
    /// All that vipd advertises: keepalived 2.2.7 takes no advert with another list.
    addresses: &'static [&'static str],
}

/// The IPv6 virtual router begins with the link-local address of its Virtual Router MAC, 00-00-5E-00-02-33.
pub(crate) const SERVED: [Served; 3] = [
    Served { name: "multicast", vrid: 51, family: Family::Ipv4, unicast: false, addresses: &["10.77.0.51/24"] },
    Served {
        name: "multicast",
        vrid: 51,
        family: Family::Ipv6,
        unicast: false,
        addresses: &["fe80::200:5eff:fe00:233/64", "fd77::51/64"],
    },
    Served { name: "unicast", vrid: 61, family: Family::Ipv4, unicast: true, addresses: &["10.77.0.61/24"] },
];

impl Served {
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter_map(|address| address.split_once('/')).map(|(address, _)| ip(address))
    }

    fn is_in(&self, advert: &Advertisement) -> bool {
        advert.vrid == self.vrid && advert.source.is_ipv4() == (self.family == Family::Ipv4)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    Vipd,
    Keepalived,
}

impl Daemon {
    pub(crate) const fn other(self) -> Self {
        match self {
            Vipd => Keepalived,
            Keepalived => Vipd,
        }
    }

    /// Of its node, and of the node's port on the bridge.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Vipd => "vipd",
            Keepalived => "keepalived",
        }
    }
}

/// What the two have been told.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Who has priority 200.
    pub(crate) preferred: Daemon,
    /// Priority of the other one.
    pub(crate) other_priority: u8,
    pub(crate) interval: Duration,
    pub(crate) preempt: bool,
}

impl Terms {
    pub(crate) const fn preferring(preferred: Daemon) -> Self {
        Self { preferred, other_priority: 100, interval: Duration::from_millis(100), preempt: true }
    }

    /// The last part of its addresses. The preferred one has the greater only where it is to be preferred for that.
    fn number(&self, daemon: Daemon) -> u8 {
        if (daemon == self.preferred) == (self.other_priority == 200) { 2 } else { 1 }
    }

    fn priority(&self, daemon: Daemon) -> u8 {
        if daemon == self.preferred { 200 } else { self.other_priority }
    }

    pub(crate) fn address(&self, daemon: Daemon) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, self.number(daemon))
    }

    /// vipd's configuration.
    fn config(&self) -> String {
        let (ours, theirs) = (self.number(Vipd), self.number(Keepalived));
        let priorities = format!("{{ vipd = {}, keepalived = {} }}", self.priority(Vipd), self.priority(Keepalived));
        format!(
            r#"
            cluster.name = "interop"
            cluster.interface = "vsw0"
            cluster.advertisement_interval = "{interval}ms"
            cluster.preempt = {preempt}
            node = [
                {{ name = "vipd", address = "10.77.0.{ours}", mac = "02:00:00:00:00:0{ours}" }},
                {{ name = "keepalived", address = "10.77.0.{theirs}", mac = "02:00:00:00:00:0{theirs}" }},
            ]

            [[virtual_router]]
            name = "multicast"
            vrid = 51
            addresses = ["10.77.0.51/24", "fd77::51/64"]
            priorities = {priorities}

            [[virtual_router]]
            name = "unicast"
            vrid = 61
            transport = "unicast"
            addresses = ["10.77.0.61/24"]
            priorities = {priorities}
            "#,
            interval = self.interval.as_millis(),
            preempt = self.preempt,
        )
    }
}

pub(crate) enum Running {
    Vipd(Agent),
    Keepalived(harness::Keepalived),
}

impl Running {
    fn process(&mut self) -> &mut Process {
        match self {
            Self::Vipd(agent) => &mut agent.process,
            Self::Keepalived(keepalived) => &mut keepalived.process,
        }
    }

    /// Waits until every virtual router is in `state`.
    pub(crate) fn wait_for_state(&self, state: &str) -> Result<()> {
        SERVED.iter().try_for_each(|served| match self {
            Self::Vipd(agent) => agent.wait_for_state(served.name, served.family, state).map(drop),
            Self::Keepalived(keepalived) => keepalived.wait_for_state(served.vrid, served.family, state),
        })
    }

    /// Fails if it did not accept all that it heard.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Vipd(agent) => {
                let status = agent.status()?;
                for served in &SERVED {
                    let router = status.router(served.name, served.family).context("a virtual router is missing")?;
                    let counters = router["counters"].as_object().context("there are no counters")?;
                    let (tally, text) = (&router["tally"], || format!("vipd does not accept everything: {router:#}"));
                    ensure!(counters.keys().all(|name| GOOD.contains(&name.as_str())), text());
                    ensure!(tally["adverts_refused"] == 0 && tally["address_list_differs"] == 0, text());
                }
            }
            Self::Keepalived(keepalived) => {
                let transcript = keepalived.process.transcript();
                let complaint = transcript.lines().find(|line| {
                    let text = line.to_lowercase();
                    !text.contains(NO_COMPLAINT) && COMPLAINTS.iter().any(|complaint| text.contains(complaint))
                });
                ensure!(complaint.is_none(), "keepalived complains: {complaint:?}");
            }
        }
        Ok(())
    }
}

pub(crate) struct Node {
    running: Option<Running>,
    /// What arrives at the bridge from it.
    sent: Capture,
    pub(crate) host: Host,
}

impl Node {
    pub(crate) fn running(&self) -> Result<&Running> {
        self.running.as_ref().with_context(|| format!("`{}` is not running", self.host.name()))
    }

    /// Its adverts for `served` that arrived at the bridge after `since`.
    pub(crate) fn adverts(&self, served: &Served, since: Instant) -> Vec<(Instant, Advertisement)> {
        let frames = self.sent.frames().into_iter().filter(|frame| !frame.outgoing && frame.at > since);
        let adverts = frames.filter_map(|frame| Some((frame.at, decode::advertisement(&frame.bytes)?)));
        adverts.filter(|(_, advert)| served.is_in(advert)).collect()
    }
}

/// vipd and keepalived on a LAN with a client.
pub(crate) struct Pair {
    vipd: Node,
    keepalived: Node,
    client: Host,
    pub(crate) lan: Lan,
    pub(crate) terms: Terms,
    begun: Instant,
}

impl Pair {
    pub(crate) fn new(lab: &Lab, terms: Terms) -> Result<Self> {
        let mut lan = lab.lan()?;
        let begun = Instant::now();
        let mut host = |name, number| {
            let (ipv4, ipv6) = (format!("10.77.0.{number}/24"), format!("fd77::{number}/64"));
            lan.host(name, &HostOptions { mac: MacAddr([2, 0, 0, 0, 0, number]), addresses: &[&ipv4, &ipv6] })
        };
        let vipd = host("vipd", terms.number(Vipd))?;
        let keepalived = host("keepalived", terms.number(Keepalived))?;
        let client = host("client", 9)?;
        let node = |host: Host| {
            Ok::<_, anyhow::Error>(Node { running: None, sent: Capture::start(lan.namespace(), host.name())?, host })
        };
        Ok(Self { vipd: node(vipd)?, keepalived: node(keepalived)?, client, lan, terms, begun })
    }

    pub(crate) const fn node(&self, daemon: Daemon) -> &Node {
        match daemon {
            Vipd => &self.vipd,
            Keepalived => &self.keepalived,
        }
    }

    /// vipd, while it runs.
    pub(crate) fn agent(&self) -> Result<&Agent> {
        match self.vipd.running()? {
            Running::Vipd(agent) => Ok(agent),
            Running::Keepalived(_) => bail!("keepalived runs in the place of vipd"),
        }
    }

    /// Starts `daemon` and waits until it takes part.
    pub(crate) fn start(&mut self, daemon: Daemon) -> Result<()> {
        match daemon {
            Vipd => {
                let agent = self.vipd.host.agent(&self.terms.config(), &[])?;
                agent.wait_for("vipd to take part", |status| status.all_in(&["Backup", "Active"]))?;
                self.vipd.running = Some(Running::Vipd(agent));
            }
            Keepalived => {
                let peer = self.terms.address(Vipd).to_string();
                let peers = [peer.as_str()];
                let routers = SERVED.map(|served| KeepalivedRouter {
                    vrid: served.vrid,
                    family: served.family,
                    priority: self.terms.priority(Keepalived),
                    interval: self.terms.interval,
                    addresses: served.addresses,
                    preempt: self.terms.preempt,
                    unicast_peers: if served.unicast { &peers } else { &[] },
                });
                self.keepalived.running = Some(Running::Keepalived(self.keepalived.host.keepalived(&routers)?));
            }
        }
        Ok(())
    }

    /// Takes `daemon` out of the network and out of the world at once.
    pub(crate) fn lose_power(&mut self, daemon: Daemon) -> Result<()> {
        let mut running = self.take(daemon)?;
        self.lan.cut(daemon.name())?;
        running.process().kill()
    }

    /// Stops `daemon` as an operator does.
    pub(crate) fn stop(&mut self, daemon: Daemon) -> Result<()> {
        let mut running = self.take(daemon)?;
        let status = running.process().terminate(GENEROUS)?;
        ensure!(status.success(), "`{}` ended with {status}", daemon.name());
        Ok(())
    }

    fn take(&mut self, daemon: Daemon) -> Result<Running> {
        let node = match daemon {
            Vipd => &mut self.vipd,
            Keepalived => &mut self.keepalived,
        };
        let running = node.running.take().with_context(|| format!("`{}` is not running", daemon.name()))?;
        running.check()?;
        Ok(running)
    }

    /// Waits until `daemon` is Active for everything, and the client gets its answers from there.
    pub(crate) fn wait_until_served_by(&self, daemon: Daemon) -> Result<()> {
        let node = self.node(daemon);
        node.running()?.wait_for_state("Active")?;
        for address in SERVED.iter().flat_map(Served::addresses) {
            let probe = Probe::start(&self.client, address)?;
            until(&format!("{address} to lead to {}", daemon.name()), GENEROUS, || {
                probe.wait_answered(GENEROUS)?;
                Ok((self.client.neighbour(address)? == Some(node.host.mac())).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Waits until `daemon` serves, and the other one is Backup and has no virtual address any more.
    pub(crate) fn settle(&self, daemon: Daemon) -> Result<()> {
        self.wait_until_served_by(daemon)?;
        self.node(daemon.other()).running()?.wait_for_state("Backup")?;
        for address in SERVED.iter().flat_map(Served::addresses) {
            until(&format!("{address} to be on {} alone", daemon.name()), GENEROUS, || {
                Ok((self.lan.holders(address)? == [daemon.name()]).then_some(()))
            })?;
        }
        Ok(())
    }

    /// Waits for more adverts of `daemon`, and fails if the other one says anything meanwhile.
    pub(crate) fn check_lasting(&self, daemon: Daemon) -> Result<()> {
        let since = Instant::now();
        for served in &SERVED {
            let what = format!("adverts of {} for {} ({})", daemon.name(), served.name, served.family);
            until(&what, GENEROUS, || Ok((self.node(daemon).adverts(served, since).len() >= LASTING).then_some(())))?;
        }
        for served in &SERVED {
            let strays = self.node(daemon.other()).adverts(served, since);
            ensure!(strays.is_empty(), "{} goes on as Active: {strays:?}", daemon.other().name());
        }
        self.settle(daemon)
    }

    /// The last advert of the one that has left, and how long after it the other one said the first of its own.
    pub(crate) fn handover(&self, left: Daemon, served: &Served) -> Result<(Advertisement, Duration)> {
        let (last_at, last) = self.node(left).adverts(served, self.begun).pop().context("it never said anything")?;
        let (first_at, _) = until("the first advert after it", GENEROUS, || {
            Ok(self.node(left.other()).adverts(served, last_at).into_iter().next())
        })?;
        Ok((last, first_at - last_at))
    }

    /// Fails if one of them, as far as it runs, did not accept what the other one sent.
    pub(crate) fn check(&self) -> Result<()> {
        [&self.vipd, &self.keepalived].into_iter().filter_map(|node| node.running.as_ref()).try_for_each(Running::check)
    }
}
