//! Another configuration, taken over while elections go on: what does not change is not touched.

use std::{collections::BTreeSet, mem, time::Duration};

use anyhow::anyhow;
use tracing::info;
use vrrp::{Instant, auth::Key, election::Cause};

use super::{Interface, Reactor, groups::joins, places};
use crate::{
    config::{self, Mode, WireIdentity},
    link::LinkState,
    observe::{Snapshot, event::Condition},
    router::VirtualRouter,
};

/// What the election thread has to do for another configuration, which has been checked.
#[derive(Debug)]
pub struct Reload {
    /// What becomes of bad adverts from now on.
    pub mode: Mode,
    /// Another authentication, with its keys.
    pub auth: Option<(config::Auth, Vec<Key>)>,
    /// Interfaces that are new.
    pub links: Vec<LinkState>,
    /// Virtual routers that go.
    pub removed: Vec<WireIdentity>,
    /// Virtual routers that go on in another way.
    pub changed: Vec<config::VirtualRouter>,
    /// Virtual routers that are new.
    pub added: Vec<config::VirtualRouter>,
    /// All that are there then, in the order of the file.
    pub order: Vec<WireIdentity>,
    /// What is said of the agent from now on.
    pub about: Snapshot,
}

/// What has become of a [`Reload`].
#[derive(Debug)]
pub struct Reloaded {
    /// Virtual routers that could not be made.
    pub missing: Vec<WireIdentity>,
    /// Virtual routers of which not everything could be changed.
    pub unfinished: Vec<WireIdentity>,
    /// The first thing that went wrong; the rest has been done all the same.
    pub outcome: anyhow::Result<()>,
}

impl Reactor {
    /// Takes over another configuration, and goes on after an error.
    pub(super) fn reload(&mut self, reload: Reload, now: Instant) -> Reloaded {
        let mut outcome = self.desk.datapath.set_mode(reload.mode);
        self.desk.reporter.rename(&reload.about.cluster, &reload.about.node);
        if let Some((config, keys)) = reload.auth {
            outcome = outcome.and(self.change_authentication(&config, keys));
        }
        // First, since another virtual router may have the addresses from now on.
        for identity in &reload.removed {
            self.remove(identity, now);
        }
        let mut unfinished = Vec::new();
        for config in reload.changed {
            let identity = config.identity();
            let changed = self.change(config, now);
            unfinished.extend(changed.is_err().then_some(identity));
            outcome = outcome.and(changed);
        }
        for link in reload.links {
            self.hear(link, now);
        }
        for config in reload.added {
            outcome = outcome.and(self.add(config, now));
        }
        self.forget_idle_interfaces();
        self.routers.sort_by_key(|router| reload.order.iter().position(|identity| *identity == router.identity()));
        self.places = places(&self.routers);
        self.regroup(now);
        self.settle_groups(now);
        self.about = reload.about;
        self.bequeath();
        let is_there = |identity: &WireIdentity| self.routers.iter().any(|router| router.identity() == *identity);
        let missing = reload.order.into_iter().filter(|identity| !is_there(identity)).collect();
        Reloaded { missing, unfinished, outcome }
    }

    fn change(&mut self, config: config::VirtualRouter, now: Instant) -> anyhow::Result<()> {
        let identity = config.identity();
        let interface = self.interfaces.iter().find(|known| known.link.interface == config.interface);
        let router = self.routers.iter_mut().find(|router| router.identity() == identity);
        let (Some(interface), Some(router)) = (interface, router) else {
            return Err(anyhow!("there is no virtual router `{}` to be changed", config.name));
        };
        router.reconfigure(config, interface, &mut self.desk, now)
    }

    /// Lets a virtual router leave. The guard goes on knowing it until its addresses are off: this host must not answer for them.
    fn remove(&mut self, identity: &WireIdentity, now: Instant) {
        let Some(at) = self.routers.iter().position(|router| router.identity() == *identity) else { return };
        let mut router = self.routers.remove(at);
        router.stop(Condition::Deleted, &mut self.desk, now);
        self.desk.outbox.flush();
        self.departing.push(router.depart());
    }

    /// Has the guard forget the virtual routers that have left, and whose addresses are off.
    pub(super) fn see_off(&mut self) {
        let gone: Vec<_> = self.departing.extract_if(.., |router| router.is_gone()).collect();
        if gone.is_empty() {
            return;
        }
        for router in &gone {
            router.leave_guard(&mut self.desk);
        }
        self.forget_idle_interfaces();
    }

    /// Begins to hear an interface, unless somebody who leaves has kept it heard.
    fn hear(&mut self, link: LinkState, now: Instant) {
        if !self.interfaces.iter().any(|known| known.link.interface == link.interface) {
            self.interfaces.push(Interface::absent(&link.interface));
            self.interfaces.sort_by(|one, other| one.link.interface.cmp(&other.link.interface));
        }
        self.link_changed(link, now);
    }

    fn add(&mut self, config: config::VirtualRouter, now: Instant) -> anyhow::Result<()> {
        // The agent has started long ago.
        let config = config::VirtualRouter { startup_delay: Duration::ZERO, ..config };
        let name = config.interface.clone();
        let interface = self.interfaces.iter().find(|known| known.link.interface == name);
        let interface = interface.ok_or_else(|| anyhow!("interface `{name}` is not heard"))?;
        // What was said of one that leaves would be taken back later from the one that has its place now.
        let key = interface.attachment.scope.key(config.family, config.vrid);
        for router in self.departing.extract_if(.., |router| router.key == key) {
            router.leave_guard(&mut self.desk);
        }
        let mut router =
            VirtualRouter::build(config, interface, &mut self.sockets, &mut self.crew, &mut self.desk, None)?;
        router.link(&interface.link, &mut self.desk, now);
        if self.about.drained {
            router.set_drained(true, &mut self.desk, now);
        }
        router.set_cause(Cause::Clock, self.watchman.is_shut(), &mut self.desk, now);
        router.heed_first_checks(joins(&router, &self.routers), &mut self.desk, now);
        router.start(&mut self.desk, now);
        self.routers.push(router);
        Ok(())
    }

    /// Takes the guard and the sockets off interfaces that no virtual router is on any more.
    fn forget_idle_interfaces(&mut self) {
        let names = self.routers.iter().map(VirtualRouter::interface);
        let names: BTreeSet<_> = names.chain(self.departing.iter().map(|router| router.interface.as_str())).collect();
        let (used, idle): (Vec<_>, Vec<_>) = mem::take(&mut self.interfaces)
            .into_iter()
            .partition(|known| names.contains(known.link.interface.as_str()));
        self.interfaces = used;
        for interface in idle {
            info!(interface = interface.link.interface, "no virtual router is on the interface any more");
            self.desk.datapath.detach(&interface.link.interface);
            self.sockets.forget(interface.ifindex);
        }
    }
}
