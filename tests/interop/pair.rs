//! vipd and a peer on a LAN with a client, and what can be seen of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use harness::{
    Agent, Capture, Captured, FrrRouter, GENEROUS, Host, HostOptions, KeepalivedRouter, Lab, Lan, Probe, Unicast,
    decode::{self, Advertisement},
    until,
};
use vrrp_wire::MacAddr;

use super::{
    record::of,
    running::Running,
    served::Served,
    terms::{Peer, Side, Terms},
};

pub(crate) struct Node {
    running: Option<Running>,
    /// What arrives at the bridge from it.
    sent: Capture,
    pub(crate) host: Host,
}

impl Node {
    fn new(lan: &Lan, host: Host) -> Result<Self> {
        Ok(Self { running: None, sent: Capture::start(lan.namespace(), host.name())?, host })
    }

    pub(crate) fn running(&self) -> Result<&Running> {
        self.running.as_ref().with_context(|| format!("`{}` is not running", self.host.name()))
    }

    /// Its adverts for `served` that arrived at the bridge after `since`.
    pub(crate) fn adverts(&self, served: &Served, since: Instant) -> Vec<(Captured, Advertisement)> {
        let frames = self.sent.frames_after(since).into_iter().filter(|frame| !frame.outgoing);
        let adverts = frames.filter_map(|frame| decode::advertisement(&frame.bytes).map(|advert| (frame, advert)));
        adverts.filter(|(_, advert)| served.is_in(advert)).collect()
    }
}

/// vipd and a peer on a LAN with a client.
pub(crate) struct Pair {
    vipd: Node,
    peer: Node,
    client: Host,
    pub(crate) lan: Lan,
    pub(crate) terms: Terms,
    begun: Instant,
}

impl Pair {
    pub(crate) fn new(lab: &Lab, terms: Terms) -> Result<Self> {
        let mut lan = lab.lan()?;
        let begun = Instant::now();
        let vipd = terms.with_host(Side::Vipd, |options| lan.host(Side::Vipd.name(), options))?;
        let peer = terms.with_host(Side::Peer, |options| lan.host(Side::Peer.name(), options))?;
        let addresses = &["10.77.0.9/24", "fd77::9/64"];
        let client = lan.host("client", &HostOptions { mac: MacAddr([2, 0, 0, 0, 0, 9]), addresses })?;
        let (vipd, peer) = (Node::new(&lan, vipd)?, Node::new(&lan, peer)?);
        Ok(Self { vipd, peer, client, lan, terms, begun })
    }

    pub(crate) const fn served(&self) -> &'static [Served] {
        self.terms.peer.served()
    }

    pub(crate) const fn node(&self, side: Side) -> &Node {
        match side {
            Side::Vipd => &self.vipd,
            Side::Peer => &self.peer,
        }
    }

    const fn node_mut(&mut self, side: Side) -> &mut Node {
        match side {
            Side::Vipd => &mut self.vipd,
            Side::Peer => &mut self.peer,
        }
    }

    /// vipd, while it runs.
    pub(crate) fn agent(&self) -> Result<&Agent> {
        match self.vipd.running()? {
            Running::Vipd(agent) => Ok(agent),
            Running::Keepalived(_) | Running::Frr(_) => bail!("the peer runs in the place of vipd"),
        }
    }

    /// Starts `side` and waits until it takes part.
    pub(crate) fn start(&mut self, side: Side) -> Result<()> {
        let running = match (side, self.terms.peer) {
            (Side::Vipd, _) => {
                let agent = self.vipd.host.agent_again("interop", &self.terms.config()?, &[])?;
                agent.wait_for("vipd to take part", |status| status.all_in(&["Backup", "Active"]))?;
                Running::Vipd(agent)
            }
            (Side::Peer, Peer::Keepalived) => {
                let routers: Vec<_> = self.served().iter().map(|served| self.for_keepalived(served)).collect();
                Running::Keepalived(self.peer.host.keepalived(&routers)?)
            }
            (Side::Peer, Peer::Frr) => {
                let routers: Vec<_> = self.served().iter().map(|served| self.for_frr(served)).collect();
                Running::Frr(self.peer.host.frr(&routers)?)
            }
        };
        self.node_mut(side).running = Some(running);
        Ok(())
    }

    fn for_keepalived(&self, served: &Served) -> KeepalivedRouter<'static> {
        let [source, peer] = [Side::Peer, Side::Vipd].map(|side| self.terms.address(side, served.family));
        KeepalivedRouter {
            vrid: served.vrid,
            family: served.family,
            version: served.version,
            password: served.password,
            priority: self.terms.priority(Side::Peer),
            interval: self.terms.interval_of(served),
            addresses: served.addresses,
            preempt: self.terms.preempt,
            unicast: served.is_unicast.then_some(Unicast { source, peer }),
        }
    }

    fn for_frr(&self, served: &Served) -> FrrRouter<'static> {
        FrrRouter {
            vrid: served.vrid,
            family: served.family,
            version: served.version,
            priority: self.terms.priority(Side::Peer),
            interval: self.terms.interval_of(served),
            addresses: served.addresses,
            preempt: self.terms.preempt,
            link_local: self.terms.frr_link_local(),
        }
    }

    /// Takes `side` out of the network and out of the world at once.
    pub(crate) fn lose_power(&mut self, side: Side) -> Result<()> {
        let mut running = self.take(side)?;
        self.lan.cut(side.name())?;
        running.kill()
    }

    /// Stops `side` as an operator does.
    pub(crate) fn stop(&mut self, side: Side) -> Result<()> {
        self.take(side)?.stop()
    }

    fn take(&mut self, side: Side) -> Result<Running> {
        let served = self.served();
        let running = self.node_mut(side).running.take();
        let running = running.with_context(|| format!("`{}` is not running", side.name()))?;
        running.check(served)?;
        Ok(running)
    }

    /// Waits until `side` is in `state` for everything.
    pub(crate) fn wait_for_state(&self, side: Side, state: &str) -> Result<()> {
        let running = self.node(side).running()?;
        let is_there = |it: &Option<String>| it.as_deref() == Some(state);
        let mut late = None;
        let waited = until(&format!("{} to be {state}", side.name()), GENEROUS, || {
            let states = running.states(self.served())?;
            late = self.served().iter().zip(states).find(|(_, it)| !is_there(it)).map(|(served, _)| served);
            Ok(late.is_none().then_some(()))
        });
        match late {
            Some(served) => waited.context(of(served)),
            None => waited,
        }
    }

    /// Waits until `side` is Active for everything, and the client gets its answers from there.
    pub(crate) fn wait_until_served_by(&self, side: Side) -> Result<()> {
        self.wait_for_state(side, "Active")?;
        for served in self.served() {
            let mac = self.mac(side, served);
            for address in served.addresses() {
                let probe = Probe::start(&self.client, address)?;
                until(&format!("{address} to lead to {}", side.name()), GENEROUS, || {
                    probe.wait_answered(GENEROUS)?;
                    Ok((self.client.neighbour(address)? == Some(mac)).then_some(()))
                })
                .context(of(served))?;
            }
        }
        Ok(())
    }

    /// Where clients find the addresses while `side` is Active.
    fn mac(&self, side: Side, served: &Served) -> MacAddr {
        match (side, self.terms.peer) {
            (Side::Peer, Peer::Frr) => served.virtual_mac(),
            (Side::Vipd, _) if served.has_virtual_mac() => served.virtual_mac(),
            (Side::Vipd, _) | (Side::Peer, Peer::Keepalived) => self.node(side).host.mac(),
        }
    }

    /// Waits until `side` serves, and the other one is Backup and has no virtual address any more.
    ///
    /// The client asks only then: FRR would not correct what it learned while both were Active.
    pub(crate) fn settle(&self, side: Side) -> Result<()> {
        self.wait_for_state(side, "Active")?;
        self.wait_for_state(side.other(), "Backup")?;
        self.wait_until_served_by(side)?;
        self.wait_until_held_by(side)
    }

    /// Waits until `side` alone has the virtual addresses.
    pub(crate) fn wait_until_held_by(&self, side: Side) -> Result<()> {
        for served in self.served() {
            let addresses: Vec<_> = served.addresses().collect();
            until(&format!("{addresses:?} to be on {} alone", side.name()), GENEROUS, || {
                let holders = self.lan.holders_of(&addresses)?;
                Ok(holders.iter().all(|holders| *holders == [side.name()]).then_some(()))
            })
            .context(of(served))?;
        }
        Ok(())
    }

    /// Waits until `side` has told the LAN, after `since`, where all its addresses are.
    pub(crate) fn wait_until_announced(&self, side: Side, since: Instant) -> Result<()> {
        for served in self.served() {
            let announced = || Ok(self.announced(side, served, since).then_some(()));
            until(&format!("{} to announce it", side.name()), GENEROUS, announced).context(of(served))?;
        }
        Ok(())
    }

    /// Whether `side` has done so for all addresses of `served`.
    pub(crate) fn announced(&self, side: Side, served: &Served, since: Instant) -> bool {
        let frames = self.node(side).sent.frames_after(since).into_iter().filter(|frame| !frame.outgoing);
        let said: Vec<_> = frames.filter_map(|frame| decode::announcement(&frame.bytes)).collect();
        let mac = self.mac(side, served);
        served.addresses().all(|address| said.iter().any(|it| (it.address, it.mac) == (address, mac)))
    }

    /// Waits for more adverts of `side`, and fails if the other one says anything meanwhile.
    pub(crate) fn check_lasting(&self, side: Side) -> Result<()> {
        let since = Instant::now();
        for served in self.served() {
            let what = format!("adverts of {}", side.name());
            let lasts = || self.node(side).adverts(served, since).len() >= served.lasting();
            until(&what, GENEROUS, || Ok(lasts().then_some(()))).context(of(served))?;
        }
        for served in self.served() {
            let strays = self.node(side.other()).adverts(served, since);
            let strays: Vec<_> = strays.into_iter().map(|(_, advert)| advert).collect();
            let what = || format!("{} goes on as Active: {strays:?}", side.other().name());
            strays.is_empty().then_some(()).with_context(what).context(of(served))?;
        }
        self.settle(side)
    }

    /// The last advert of the one that has left, and how long after it the other one said the first of its own.
    pub(crate) fn handover(&self, left: Side, served: &Served) -> Result<(Advertisement, Duration)> {
        let (last_frame, last) = self.node(left).adverts(served, self.begun).pop().context("it never said anything")?;
        let first = until("the first advert after it", GENEROUS, || {
            Ok(self.node(left.other()).adverts(served, last_frame.at).into_iter().next())
        });
        Ok((last, first?.0.at - last_frame.at))
    }

    /// Fails if vipd did not take in every advert that the peer sent after `since`.
    pub(crate) fn check_taken_in(&self, since: Instant) -> Result<()> {
        for served in self.served() {
            let sent = u64::try_from(self.peer.adverts(served, since).len())?;
            let waited = self.agent()?.wait_for("vipd to have taken in what the peer sent", |status| {
                let router = status.router(&served.name(), served.family);
                let counted = |by: &str, name: &str| router.and_then(|router| router[by][name].as_u64());
                let both = [counted("counters", "admitted"), counted("tally", "adverts_received")];
                both.iter().all(|counted| *counted >= Some(sent))
            });
            waited.context(of(served))?;
        }
        Ok(())
    }

    /// Fails if one of them, as far as it runs, did not accept what the other one sent.
    pub(crate) fn check(&self) -> Result<()> {
        let mut running = [&self.vipd, &self.peer].into_iter().filter_map(|node| node.running.as_ref());
        running.try_for_each(|running| running.check(self.served()))
    }
}
