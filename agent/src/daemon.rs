//! Starts the agent's parts, waits for a signal, and stops them in good order.

mod estate;
mod inheritance;
mod leftovers;
pub(crate) mod outward;
pub(crate) mod scope;
pub(crate) mod start;

use std::{collections::BTreeSet, fs, path::PathBuf, sync, sync::Arc, thread, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tracing::{info, warn};

pub use self::start::lock;
use crate::{
    claims,
    config::{Config, Identity, Process},
    datapath::pins,
    instance::Instance,
    link::{self, LinkState, Removals, Watched},
    mailbox::{Mail, Mailbox},
    memory,
    observe::{
        control::{self, Service},
        overview::Overview,
        stream::Streams,
    },
    operator::{Operator, Signals},
    perform::{
        crew::Hands,
        refusal::Refusal,
        settings::Settings,
        sweep::{self, Held},
    },
    reactor::Reactor,
    realtime::prefer_this_thread,
    restart::Memory,
    service,
    supervisor::keeper::Custody,
};

/// How long the removal of virtual addresses may take when the agent stops.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);

/// Where the configuration came from, and comes from again.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// What this machine knows of itself.
    pub identity: Identity,
}

/// Runs the agent until SIGTERM or SIGINT, then hands over and returns. With a `memory` it goes on where another program in
/// this process has stopped.
///
/// Whatever ends it, virtual addresses are off the interfaces afterwards, or the error says that they are not.
pub async fn run(config: Config, origin: Origin, instance: &Instance, memory: Option<Memory>) -> anyhow::Result<()> {
    let lock = start::take_lock(instance, memory.as_ref())?;
    let mut memory = match memory {
        Some(memory) => memory,
        None => inheritance::take_over(instance)?,
    };
    if let Err(error) = estate::settle(&config, instance, &mut memory) {
        warn!("what is not to be kept of what the program before held may stay: {error:#}");
    }
    let how = if memory.is_resumed() { "going on" } else { "running" };
    let (agent, reactor) = start::prepare(config, origin, instance, lock, &memory).await?;
    let config = &agent.operator.config;
    let (elections, guarding) = spawn_elections(reactor, config.process.clone())?;
    info!(node = config.node, virtual_routers = config.virtual_routers.len(), "{how} as {instance}");
    agent.serve(elections, guarding, instance).await
}

/// Everything of the agent but its elections.
struct Agent {
    operator: Operator,
    signals: Signals,
    mailbox: Mailbox,
    overview: Overview,
    listener: UnixListener,
    /// The interfaces as they were at the start.
    links: Vec<LinkState>,
    watched: watch::Receiver<Watched>,
    disturb: watch::Sender<Removals>,
    hands: Hands,
    settings: Arc<Settings>,
    /// Who keeps the last sequence that was signed with.
    kept: Option<JoinHandle<()>>,
    custody: Custody,
}

impl Agent {
    /// Serves clients and follows the host until the elections are to end, and leaves nothing behind.
    async fn serve(
        self,
        elections: oneshot::Receiver<anyhow::Result<()>>,
        guarding: Guarding,
        instance: &Instance,
    ) -> anyhow::Result<()> {
        let Self { mut operator, mailbox, mut hands, .. } = self;
        let (orders, ordered) = mpsc::channel(1);
        let notifications = operator.notifications.clone();
        let streams = Streams::default();
        tokio::spawn(operator.checks.board().clone().deliver(mailbox.clone()));
        operator.checks.run(&operator.config.checks).await;
        let resyncs = self.overview.resyncs.clone();
        let service =
            Service { overview: self.overview, orders, drained: instance.drained(), streams: streams.clone() };
        tokio::spawn(control::serve(self.listener, service));
        let link_watch = tokio::spawn(link::watch(self.watched, self.links, mailbox.clone(), self.disturb, resyncs));
        operator.routing.run(&operator.config.hetzner).await;
        operator.metrics.run(&operator.config.metrics).await;
        service::ready();
        memory::give_back();
        let service_manager = tokio::spawn(service::keep(mailbox.clone()));
        let stop = async {
            operator.work(self.signals, ordered).await;
            service::stopping();
            service_manager.abort();
            // Nothing may take an address back that is about to be handed over.
            operator.routing.stop().await;
            // Nobody is told before the virtual routers are handed over.
            notifications.hold().await;
        };
        let outcome = supervise(stop, elections, link_watch, &mailbox, &mut hands).await;
        operator.routing.stop().await;
        let released = release(hands).await;
        operator.checks.stop().await;
        self.settings.restore();
        operator.refusal.remove();
        let _ = fs::remove_file(instance.socket());
        let outcome = outcome.and(released);
        if outcome.is_ok() {
            // Otherwise the supervisor looks after what may be left, as soon as this process is gone.
            self.custody.end().await;
        }
        // Late: the kernel lets nobody add an address meanwhile, not even a successor in another namespace of this host.
        guarding.end().await;
        if let Some(kept) = self.kept {
            // It ends with the election thread, having kept the last sequence.
            let _ = timeout(RELEASE_PATIENCE, kept).await;
        }
        notifications.end().await;
        streams.close().await;
        operator.metrics.stop().await;
        info!("stopped");
        outcome
    }
}

/// Waits until the agent is to end, for good or ill, and ends the elections.
async fn supervise(
    stop: impl Future<Output = ()>,
    mut elections: oneshot::Receiver<anyhow::Result<()>>,
    link_watch: JoinHandle<anyhow::Result<()>>,
    mailbox: &Mailbox,
    hands: &mut Hands,
) -> anyhow::Result<()> {
    let panicked = |_| Err(anyhow!("the election thread panicked"));
    let outcome = tokio::select! {
        ended = &mut elections => return ended.unwrap_or_else(panicked),
        stopped = link_watch => Err(anyhow!("interfaces are no longer watched: {}", describe(stopped))),
        Err(failed) = hands.failure() => Err(failed),
        () = stop => Ok(()),
    };
    let end = async {
        mailbox.send(Mail::Shutdown).await;
        elections.await.unwrap_or_else(panicked)
    };
    outcome.and(timeout(RELEASE_PATIENCE, end).await.context("the election thread does not end").flatten())
}

/// Waits until every task has taken its addresses off. The election thread has ended, and with it their wishes.
async fn release(hands: Hands) -> anyhow::Result<()> {
    let expired = || format!("virtual addresses could not be removed within {RELEASE_PATIENCE:?}");
    timeout(RELEASE_PATIENCE, hands.end()).await.with_context(expired).flatten()
}

/// The election thread once it has ended its elections, while the guard is still in the kernel.
struct Guarding {
    thread: thread::JoinHandle<()>,
    /// The thread waits for the end of this.
    stay: sync::mpsc::Sender<()>,
}

impl Guarding {
    /// Takes the guard off.
    async fn end(self) {
        drop(self.stay);
        // Whoever waits for the elections has been told of a panic, or that they do not end.
        let _ = timeout(RELEASE_PATIENCE, tokio::task::spawn_blocking(|| self.thread.join())).await;
    }
}

/// Starts the election thread, which competes as `process` says; what its elections return comes through the channel.
fn spawn_elections(
    reactor: Reactor,
    process: Process,
) -> anyhow::Result<(oneshot::Receiver<anyhow::Result<()>>, Guarding)> {
    let (sender, receiver) = oneshot::channel();
    let (stay, stays) = sync::mpsc::channel::<()>();
    let thread = thread::Builder::new()
        .name("elections".to_owned())
        .spawn(move || {
            prefer_this_thread(&process);
            let (outcome, desk) = reactor.run();
            // Nobody listens only when the agent is ending anyway.
            let _ = sender.send(outcome);
            // Nothing is ever sent: this waits for the other end to go.
            let _ = stays.recv();
            drop(desk);
        })
        .context("failed to start the election thread")?;
    Ok((receiver, Guarding { thread, stay }))
}

fn describe(stopped: Result<anyhow::Result<()>, tokio::task::JoinError>) -> String {
    match stopped {
        Ok(Ok(())) => "the watch ended".to_owned(),
        Ok(Err(error)) => format!("{error:#}"),
        Err(error) => error.to_string(),
    }
}

/// Takes back what a run that was killed has left on the host: what it held, on interfaces that no other agent serves, settings,
/// the table of nftables, and pinned maps. Says whether there were maps; refused while the agent runs.
pub async fn detach(instance: &Instance) -> anyhow::Result<bool> {
    let _lock = lock(instance)?;
    let settings = Settings::new(instance.settings());
    let (connection, handle, _) = rtnetlink::new_connection().context("failed to open a netlink socket")?;
    tokio::spawn(connection);
    let claimed = claims::claimed().context("failed to list claims")?;
    let (_, present) = link::survey(&handle).await?;
    for name in settings.interfaces().into_iter().filter(|name| present.contains(name) && !claimed.contains(name)) {
        let watched = Watched { interfaces: [name].into(), ..Watched::default() };
        for link in link::read(&handle, &watched).await? {
            sweep::interface(&handle, link.ifindex, &BTreeSet::new(), &Held::default()).await?;
        }
    }
    sweep::rules(BTreeSet::new(), Vec::new()).await?;
    settings.restore();
    Refusal::install(instance.table(), &[])?;
    let dir = instance.pin_dir();
    pins::unpin(&dir).with_context(|| format!("failed to remove `{}`", dir.display()))
}
