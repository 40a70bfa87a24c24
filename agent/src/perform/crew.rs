//! The tasks that look after virtual addresses: one for each virtual router, hired when it is configured.

use std::sync::Arc;

use anyhow::Context;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rtnetlink::Handle;
use tokio::{
    runtime,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    Performer, Place, Wish, dispatch::Dispatch, gateways::Gateways, holdings::Holdings, order_queue::OrderQueue,
    settings::Settings, survey::Surveyor,
};
use crate::{
    config,
    link::Removals,
    mailbox::Mailbox,
    supervisor::vitals::{Standing, Vitals},
};

/// A task, which ends when its virtual router is gone and the addresses are off.
pub type Hand = JoinHandle<anyhow::Result<()>>;

/// What every task needs of the agent.
#[derive(Debug)]
pub struct Crew {
    /// Where tasks run.
    pub runtime: runtime::Handle,
    /// For interfaces of their own.
    pub netlink: Handle,
    /// For everything else that is to be on the host.
    pub orders: OrderQueue,
    /// For looks at the host.
    pub surveyor: Surveyor,
    /// For announcements.
    pub dispatch: Dispatch,
    /// Who is asked for an answer where the configuration does not say.
    pub gateways: Arc<Gateways>,
    /// Where outcomes are reported.
    pub mailbox: Mailbox,
    /// Changes when something that is held may have been removed.
    pub disturbances: watch::Receiver<Removals>,
    /// What interfaces must do while addresses are held on them.
    pub settings: Arc<Settings>,
    /// What the supervisor watches.
    pub vitals: Arc<Vitals>,
    /// Who waits for the end of every task.
    pub hired: mpsc::UnboundedSender<Hand>,
    /// The number of the next one.
    pub count: u32,
}

/// How a virtual router reaches its task.
#[derive(Debug)]
pub struct Reins {
    /// Which task, in its reports and in the vitals.
    pub id: u32,
    /// What is wanted of the addresses.
    pub wishes: watch::Sender<Wish>,
    /// Asks for a rehearsal of a takeover.
    pub rehearsals: watch::Sender<()>,
    /// Where they go.
    pub places: watch::Sender<Place>,
    /// What is held.
    pub holdings: watch::Sender<Holdings>,
    /// Where the supervisor reads whether it is Active.
    pub standing: Standing,
}

impl Crew {
    /// Starts the task of a virtual router, under the number that it had in the program before, if there was one.
    pub fn hire(&mut self, config: &config::VirtualRouter, place: Place, known_as: Option<u32>) -> Reins {
        let id = known_as.unwrap_or(self.count);
        self.count = self.count.max(id) + 1;
        let standing = Standing::new(Arc::clone(&self.vitals), id);
        let (wishes, followed) = watch::channel(Wish::default());
        let (rehearsals, rehearsed) = watch::channel(());
        let (places, place) = watch::channel(place);
        let (holdings, held) = watch::channel(config.holdings());
        let performer = Performer {
            router: id,
            holdings: held,
            virtual_mac: config.virtual_mac(),
            interface: config.interface.clone(),
            settings: Arc::clone(&self.settings),
            rehearsals: rehearsed,
            place,
            disturbances: self.disturbances.clone(),
            handle: self.netlink.clone(),
            orders: self.orders.clone(),
            surveyor: self.surveyor.clone(),
            dispatch: self.dispatch.clone(),
            gateways: Arc::clone(&self.gateways),
            mailbox: self.mailbox.clone(),
            standing: standing.clone(),
        };
        // Nobody waits any more only when the agent is ending.
        let _ = self.hired.send(self.runtime.spawn(performer.run(followed)));
        Reins { id, wishes, rehearsals, places, holdings, standing }
    }
}

/// The tasks that were hired, as whoever waits for them knows them.
#[derive(Debug)]
pub struct Hands {
    hired: mpsc::UnboundedReceiver<Hand>,
    working: FuturesUnordered<Hand>,
}

impl Hands {
    /// Those that come through the channel.
    #[must_use]
    pub fn new(hired: mpsc::UnboundedReceiver<Hand>) -> Self {
        Self { hired, working: FuturesUnordered::new() }
    }

    /// Returns when a task fails or panics; one whose virtual router is gone ends without a word.
    pub async fn failure(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                Some(hand) = self.hired.recv() => self.working.push(hand),
                Some(ended) = self.working.next() => ended.context(PANICKED).flatten()?,
                else => return std::future::pending().await,
            }
        }
    }

    /// Waits until all have ended, which they do when their virtual routers are gone; returns the first failure.
    pub async fn end(mut self) -> anyhow::Result<()> {
        while let Ok(hand) = self.hired.try_recv() {
            self.working.push(hand);
        }
        let mut outcome = Ok(());
        while let Some(ended) = self.working.next().await {
            outcome = outcome.and(ended.context(PANICKED).flatten());
        }
        outcome
    }
}

const PANICKED: &str = "a task that looks after virtual addresses panicked";
