//! Has Hetzner route addresses to this node while it is Active.
//!
//! Nothing is notified here: what counts is the role now, not what has happened. A [`plan`] for each address decides what to send
//! next; whoever is no longer Active gives up what is under way and sends nothing more.

mod access;
mod alias;
mod allowance;
mod api;
mod board;
mod cloud;
mod floating;
mod plan;
mod robot;
mod roles;
mod task;

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    task::JoinHandle,
};

pub use self::board::Boards;
use self::{board::Board, roles::Roles};
use crate::{
    config::hetzner::Hetzner,
    mailbox::Mailbox,
    observe::{journal::Journal, notify::Notifications},
};

/// The rest of the agent's side.
#[derive(Debug)]
pub struct Routing {
    runtime: Handle,
    mailbox: Mailbox,
    journal: Journal,
    boards: Boards,
    /// Who keeps the roles, while there is something that follows them.
    keeper: Option<Keeper>,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Keeper {
    roles: watch::Receiver<Roles>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Running {
    config: Hetzner,
    board: Arc<Board>,
    task: JoinHandle<()>,
    nudge: watch::Sender<()>,
    /// Dropped, it ends the task.
    end: oneshot::Sender<()>,
}

impl Routing {
    /// Nothing is routed yet. What is to be done is done on the thread that notifies.
    #[must_use]
    pub fn new(mailbox: Mailbox, notifications: &Notifications) -> Self {
        let (runtime, journal) = (notifications.runtime().clone(), notifications.journal().clone());
        Self { runtime, mailbox, journal, boards: Boards::default(), keeper: None, running: Vec::new() }
    }

    /// How each address does.
    #[must_use]
    pub const fn boards(&self) -> &Boards {
        &self.boards
    }

    /// Routes `entries` and nothing else. One that has not changed is not touched, but tries again at once where it has failed: an
    /// operator may have mended that.
    pub async fn run(&mut self, entries: &[Hetzner]) {
        let is_kept = |running: &Running| entries.contains(&running.config);
        let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running).into_iter().partition(is_kept);
        join_all(gone.into_iter().map(Running::stop)).await;
        self.running = kept;
        if entries.is_empty() {
            self.end_keeper();
        }
        for running in &self.running {
            running.nudge.send_replace(());
        }
        for config in entries {
            if !self.running.iter().any(|running| running.config == *config) {
                let roles = self.roles();
                self.running.push(Running::start(config.clone(), roles, &self.runtime));
            }
        }
        self.running.sort_by_key(|running| entries.iter().position(|entry| *entry == running.config));
        self.boards.set(self.running.iter().map(|running| Arc::clone(&running.board)).collect());
    }

    /// Gives up what is under way, and sends nothing more.
    pub async fn stop(&mut self) {
        join_all(std::mem::take(&mut self.running).into_iter().map(Running::stop)).await;
        self.end_keeper();
    }

    /// The roles, which somebody keeps from now on.
    fn roles(&mut self) -> watch::Receiver<Roles> {
        let keeper = self.keeper.get_or_insert_with(|| {
            let (sender, roles) = watch::channel(Roles::default());
            let task = self.runtime.spawn(roles::keep(self.mailbox.clone(), self.journal.clone(), sender));
            Keeper { roles, task }
        });
        keeper.roles.clone()
    }

    fn end_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.task.abort();
        }
    }
}

impl Running {
    fn start(config: Hetzner, roles: watch::Receiver<Roles>, runtime: &Handle) -> Self {
        let (end, ended) = oneshot::channel();
        let (nudge, nudges) = watch::channel(());
        let board = Arc::new(Board::new(&config));
        let task = runtime.spawn(task::run(config.clone(), roles, nudges, Arc::clone(&board), ended));
        Self { config, board, task, nudge, end }
    }

    async fn stop(self) {
        drop(self.end);
        // One that has panicked has ended too.
        let _ = self.task.await;
    }
}
