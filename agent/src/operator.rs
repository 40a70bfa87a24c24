//! What is asked of the running agent from outside besides questions: to end, and to go on with another configuration.

use std::{
    collections::BTreeMap,
    fs::File,
    mem,
    os::{fd::OwnedFd, unix::net::UnixListener},
    sync,
};

use anyhow::{Context, bail};
use rtnetlink::Handle;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
};
use tracing::{info, warn};

use crate::{
    check::Checks,
    claims,
    config::{self, Config, Difference},
    daemon::{Origin, outward, scope, start},
    hetzner::Routing,
    instance::Instance,
    keys,
    link::{self, LinkState, Watched},
    mailbox::{Mail, Mailbox},
    observe::{ConfigurationStatus, metrics::Metrics, notify::Notifications},
    perform::{
        refusal::Refusal,
        sweep::{self, Held},
    },
    reactor::reload::{Reload, Reloaded},
    restart::{LeftOpen, Memory, Successor, leave_open},
    service,
};

/// An order, and who waits for what becomes of it: sentences for people.
#[derive(Debug)]
pub struct Ordered {
    /// What is to be done.
    pub order: Order,
    /// Who waits.
    pub done: oneshot::Sender<anyhow::Result<Vec<String>>>,
}

/// What can be ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on with what the configuration file says now.
    Reload,
    /// Say what that would change.
    Plan,
    /// Give way to the program that lies now where this one was started from.
    Restart,
}

/// The signals that the agent heeds.
#[derive(Debug)]
pub struct Signals {
    end: EndSignals,
    hang_up: Signal,
    restart: Signal,
}

/// Those that end it.
#[derive(Debug)]
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Returns when the agent is to end.
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

impl Signals {
    /// Begins to catch them.
    pub fn watch() -> anyhow::Result<Self> {
        let watch = |kind| signal(kind).context("failed to watch for signals");
        Ok(Self {
            end: EndSignals { terminate: watch(SignalKind::terminate())?, interrupt: watch(SignalKind::interrupt())? },
            hang_up: watch(SignalKind::hangup())?,
            restart: watch(SignalKind::user_defined2())?,
        })
    }
}

/// Carries orders out, one after the other.
#[derive(Debug)]
pub struct Operator {
    /// The configuration that holds.
    pub config: Config,
    /// Where it came from.
    pub origin: Origin,
    /// Which agent this is.
    pub instance: Instance,
    /// For questions to the kernel.
    pub handle: Handle,
    /// The election thread's.
    pub mailbox: Mailbox,
    /// What keeps other agents off the interfaces, by name.
    pub claims: BTreeMap<String, UnixListener>,
    /// What is watched of the host.
    pub watched: watch::Sender<Watched>,
    /// What refuses packets to virtual addresses.
    pub refusal: Refusal,
    /// What gives no other agent the name of this one.
    pub lock: File,
    /// Where control clients connect.
    pub control: OwnedFd,
    /// The program that takes over at [`Order::Restart`].
    pub successor: Successor,
    /// The addresses that Hetzner routes.
    pub routing: Routing,
    /// Who is told of changes.
    pub notifications: Notifications,
    /// The checks that run.
    pub checks: Checks,
    /// Who serves metrics.
    pub metrics: Metrics,
    /// What people see of the configuration.
    pub loaded: watch::Sender<ConfigurationStatus>,
}

impl Operator {
    /// Carries out orders, and SIGHUP and SIGUSR2 as such, until SIGTERM or SIGINT.
    pub async fn work(&mut self, mut signals: Signals, mut ordered: mpsc::Receiver<Ordered>) {
        loop {
            let (order, done) = tokio::select! {
                () = signals.end.recv() => return,
                _ = signals.hang_up.recv() => (Order::Reload, None),
                _ = signals.restart.recv() => (Order::Restart, None),
                Some(Ordered { order, done }) = ordered.recv() => (order, Some(done)),
            };
            let outcome = tokio::select! {
                biased;
                // The next program would never hear of it.
                () = signals.end.recv(), if order == Order::Restart => {
                    self.notifications.resume().await;
                    return;
                }
                outcome = self.carry_out(&order) => outcome,
            };
            if let Some(done) = done {
                // Whoever has gone away needs no answer.
                let _ = done.send(outcome);
            }
        }
    }

    async fn carry_out(&mut self, order: &Order) -> anyhow::Result<Vec<String>> {
        if *order != Order::Plan {
            service::reloading();
        }
        let outcome = match order {
            Order::Reload => {
                let outcome = self.reload().await;
                if outcome.is_err() {
                    self.loaded.send_modify(|loaded| loaded.reload_successful = false);
                }
                outcome
            }
            Order::Restart => {
                let error = self.restart().await;
                warn!("restart: this program goes on: {error:#}");
                Err(error)
            }
            Order::Plan => self.read().await.map(|new| lines(&Difference::between(&self.config, &new))),
        };
        service::ready();
        outcome
    }

    /// What the file says now, to the node that this host is now: it may have been given other addresses.
    async fn read(&mut self) -> anyhow::Result<Config> {
        self.origin.identity.addresses = link::survey(&self.handle).await?.0;
        Ok(Config::read(&self.origin.path, &self.origin.identity)?)
    }

    /// Goes on with what the file says now. Whatever is found wrong beforehand, nothing has changed; what goes wrong after that
    /// is tried again by the next reload.
    async fn reload(&mut self) -> anyhow::Result<Vec<String>> {
        let plan = self.plan().await.inspect_err(|error| warn!("reload: nothing has changed: {error:#}"));
        let (new, reload, lines) = plan?;
        let (done, outcome) = oneshot::channel();
        self.mailbox.send(Mail::Reload { reload: Box::new(reload), done }).await;
        let old = mem::replace(&mut self.config, new);
        self.notifications.adopt(self.config.notify.clone()).await;
        let Reloaded { missing, unfinished, outcome } = outcome.await.context("the election thread has ended")?;
        self.checks.run(&self.config.checks).await;
        self.routing.run(&self.config.hetzner).await;
        self.metrics.run(&self.config.metrics).await;
        self.watched.send_replace(scope::watched(&self.config));
        for line in &lines {
            info!("reload: {line}");
        }
        self.config.virtual_routers.retain(|router| !missing.contains(&router.identity()));
        for router in old.virtual_routers.into_iter().filter(|router| unfinished.contains(&router.identity())) {
            let is_same = |known: &&mut config::VirtualRouter| known.identity() == router.identity();
            if let Some(known) = self.config.virtual_routers.iter_mut().find(is_same) {
                *known = router;
            }
        }
        // Without them an interface may have none, and is heard by nobody: the next reload claims it anew.
        self.claims.retain(|name, _| self.config.virtual_routers.iter().any(|router| router.interface == *name));
        let outcome = outcome.context("all else in the file holds from now on");
        outcome.inspect_err(|error| warn!("reload: {error:#}"))?;
        self.loaded.send_replace(outward::loaded(&self.config));
        Ok(lines)
    }

    /// What the file says now, what the election thread has to do for it, and what people are told of that.
    async fn plan(&mut self) -> anyhow::Result<(Config, Reload, Vec<String>)> {
        let new = self.read().await?;
        for warning in new.warnings.iter().filter(|warning| !self.config.warnings.contains(warning)) {
            warn!("{warning}");
        }
        if new.node != self.config.node {
            bail!("this node would be `{}` and no longer `{}`: start vipd again", new.node, self.config.node);
        }
        let difference = Difference::between(&self.config, &new);
        let lines = lines(&difference);
        let new = new.postponing(&self.config);
        let reload = self.prepare(&new, difference).await?;
        Ok((new, reload, lines))
    }

    /// Gives way to another program, once it has shown that it starts. Returns only where it does not.
    async fn restart(&mut self) -> anyhow::Error {
        if let Err(error) = self.successor.rehearse(&self.origin, &self.instance).await {
            return error;
        }
        // A program that a check runs would be nobody's child.
        self.checks.stop().await;
        // What was asked for is asked for again by the next program, where it is not done by then.
        self.routing.stop().await;
        self.notifications.settle().await;
        // Last: who connects from now on is answered by the next program.
        self.metrics.stop().await;
        let error = self.give_way().await;
        self.notifications.resume().await;
        self.checks.run(&self.config.checks).await;
        self.routing.run(&self.config.hetzner).await;
        self.metrics.run(&self.config.metrics).await;
        error
    }

    /// Gives way to another program, which is ready. Returns only where that fails.
    async fn give_way(&self) -> anyhow::Error {
        let (memory, remembered) = oneshot::channel();
        // Dropped where the other program cannot be started: the election thread goes on then.
        let (_thaw, thaw) = sync::mpsc::channel();
        let _left_open = LeftOpen;
        self.mailbox.send(Mail::Freeze { memory, thaw }).await;
        let remembered = remembered.await.context("the election thread has ended").flatten();
        let mut memory = match remembered.and_then(|memory| self.leave_open(memory)) {
            Ok(memory) => memory,
            Err(error) => return error,
        };
        match self.notifications.remember().await {
            Ok((journal, notify)) => {
                (memory.journal, memory.notify) = (Some(journal), notify);
                self.successor.take_over(&memory)
            }
            Err(error) => error,
        }
    }

    fn leave_open(&self, mut memory: Memory) -> anyhow::Result<Memory> {
        memory.checks = self.checks.board().to_memory();
        memory.descriptors.lock = Some(leave_open(&self.lock)?);
        memory.descriptors.metrics = self.metrics.leave_open()?;
        memory.descriptors.control = Some(leave_open(&self.control)?);
        for (name, claim) in &self.claims {
            memory.descriptors.claims.insert(name.clone(), leave_open(claim)?);
        }
        Ok(memory)
    }

    /// Checks what only the host can tell, and makes ready what the election thread has no time for.
    async fn prepare(&mut self, new: &Config, difference: Difference) -> anyhow::Result<Reload> {
        let keys = new.auth.as_ref().map(keys::load).transpose()?;
        let watched = scope::watched(new);
        let links = start::read_links(&self.handle, &watched).await?;
        for router in &new.virtual_routers {
            if let Some(link) = links.iter().find(|link| link.interface == router.interface && link.ifindex != 0) {
                scope::check_mtu(router, link, new.auth.is_some())?;
            }
        }
        let links: Vec<_> = links.into_iter().filter(|link| !self.claims.contains_key(&link.interface)).collect();
        let claims = links.iter().map(|link| claims::claim(&link.interface)).collect::<anyhow::Result<Vec<_>>>()?;
        for link in links.iter().filter(|link| link.ifindex != 0) {
            let configured = scope::virtual_addresses(new, &link.interface);
            sweep::interface(&self.handle, link.ifindex, &configured, &Held::default()).await?;
        }
        if scope::refused(new) != scope::refused(&self.config) {
            self.refusal.refuse(&scope::refused(new))?;
        }
        // Virtual addresses are nobody's primary address, those that come and those that go.
        self.watched.send_modify(|known| known.extend(watched));
        self.claims.extend(names(&links).zip(claims));
        Ok(Reload {
            mode: new.guard.mode,
            auth: new.auth.clone().zip(keys),
            links,
            removed: difference.removed,
            changed: difference.changed,
            added: difference.added,
            order: new.virtual_routers.iter().map(config::VirtualRouter::identity).collect(),
            about: start::about(new, &self.instance),
        })
    }
}

fn names(links: &[LinkState]) -> impl Iterator<Item = String> {
    links.iter().map(|link| link.interface.clone())
}

fn lines(difference: &Difference) -> Vec<String> {
    difference.to_string().lines().map(str::to_owned).collect()
}
