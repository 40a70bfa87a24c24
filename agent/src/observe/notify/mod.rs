//! Tells people and programs of changes, each in its own way and at its own pace: one that is down or slow delays nobody.
//!
//! All of it runs on a thread of its own, so that neither a program that is started nor an encrypted connection takes time
//! from those who put addresses on interfaces.

mod courier;
mod fifo;
mod hook;
mod keepalived;
mod lanes;
mod mail;
mod queue;
mod webhook;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::{Builder, Handle},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tracing::{error, warn};

use self::{
    courier::{Courier, Patience, Receiver},
    queue::{Backlog, Board, Queue},
};
use super::{
    TargetStatus,
    journal::{Intake, Journal, JournalMemory},
};
use crate::config::notify::{Notify, Way};

/// How long those that run may go on when another program takes over in this process, or a target changes.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the last events may take to be told when the agent ends.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// How long a target may take to stop when it is told to.
const ABORT_PATIENCE: Duration = Duration::from_secs(2);

/// What targets may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Tell of what happens.
    Run,
    /// Begin nothing new.
    Hold,
    /// End what was begun, then stop.
    Settle,
    /// Tell of everything that there is, then stop.
    End,
    /// Stop now.
    Abort,
}

impl Phase {
    const fn may_start(self) -> bool {
        matches!(self, Self::Run | Self::End)
    }

    const fn may_take_in(self) -> bool {
        matches!(self, Self::Run | Self::Hold | Self::End)
    }

    /// Whether a target that has begun nothing is to stop.
    const fn is_over(self, has_told_all: bool) -> bool {
        match self {
            Self::Run | Self::Hold => false,
            Self::Settle | Self::Abort => true,
            Self::End => has_told_all,
        }
    }
}

/// Waits until it is to be stopped at once.
async fn aborted(mut phase: watch::Receiver<Phase>) {
    // Whoever could say it is gone: then it is over, too.
    let _ = phase.wait_for(|phase| *phase == Phase::Abort).await;
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// How each target does.
#[derive(Clone, Debug, Default)]
pub struct Boards(Arc<Mutex<Vec<Arc<Board>>>>);

impl Boards {
    /// In the order of the configuration.
    #[must_use]
    pub fn status(&self) -> Vec<TargetStatus> {
        self.lock().iter().map(|board| board.status()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Board>>> {
        // The list is exchanged as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the next program in this process is to know of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetMemory {
    status: TargetStatus,
    backlog: Backlog,
}

/// The rest of the agent's side.
#[derive(Clone, Debug)]
pub struct Notifications {
    commands: mpsc::Sender<Command>,
    boards: Boards,
    journal: Journal,
    runtime: Handle,
}

#[derive(Debug)]
enum Command {
    Adopt(Vec<Notify>),
    Hold,
    Settle(oneshot::Sender<()>),
    Remember(oneshot::Sender<(JournalMemory, Vec<TargetMemory>)>),
    Resume,
    End(oneshot::Sender<()>),
}

impl Notifications {
    /// Begins to tell `targets` of what `intake` brings, going on where `memory` ends.
    pub fn start(
        targets: Vec<Notify>,
        journal: Journal,
        intake: Intake,
        memory: &[TargetMemory],
    ) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("failed to start a runtime")?;
        let handle = runtime.handle().clone();
        let (commands, ordered) = mpsc::channel(1);
        let boards = Boards::default();
        let mut notifier = Notifier { journal: journal.clone(), intake, boards: boards.clone(), running: Vec::new() };
        let memory = memory.to_vec();
        let work = move || {
            runtime.block_on(async {
                let stopped = targets.into_iter().map(|target| notifier.resumed(target, &memory)).collect();
                notifier.go_on(stopped);
                notifier.work(ordered).await;
            });
        };
        thread::Builder::new().name("notify".to_owned()).spawn(work).context("failed to start a thread")?;
        Ok(Self { commands, boards, journal, runtime: handle })
    }

    /// Tells `targets` from now on; those that stay as they are do not notice.
    pub async fn adopt(&self, targets: Vec<Notify>) {
        self.command(Command::Adopt(targets)).await;
    }

    /// Begins nothing new until [`Notifications::end`].
    pub async fn hold(&self) {
        self.command(Command::Hold).await;
    }

    /// Ends what has begun, or gives it up after a while, and begins nothing new until [`Notifications::resume`].
    pub async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        self.command(Command::Settle(done)).await;
        let _ = settled.await;
    }

    /// What the next program is to know; nothing happens any more, and [`Notifications::settle`] came before.
    pub async fn remember(&self) -> anyhow::Result<(JournalMemory, Vec<TargetMemory>)> {
        let (asker, memory) = oneshot::channel();
        self.command(Command::Remember(asker)).await;
        memory.await.context("the thread that notifies has ended")
    }

    /// Goes on after [`Notifications::settle`].
    pub async fn resume(&self) {
        self.command(Command::Resume).await;
    }

    /// Tells of everything that there is, for a few seconds, and ends.
    pub async fn end(&self) {
        let (done, ended) = oneshot::channel();
        self.command(Command::End(done)).await;
        let _ = timeout(END_PATIENCE + ABORT_PATIENCE, ended).await;
    }

    /// What happens.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How each target does.
    #[must_use]
    pub const fn boards(&self) -> &Boards {
        &self.boards
    }

    /// Where all of it runs, until the end; for others who talk to the world outside.
    #[must_use]
    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    async fn command(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            error!("nobody is notified any more: the thread for that has ended");
        }
    }
}

/// A target that is being told.
struct Running {
    target: Arc<Notify>,
    board: Arc<Board>,
    phase: watch::Sender<Phase>,
    task: JoinHandle<Backlog>,
}

/// A target that is not.
struct Stopped {
    target: Arc<Notify>,
    board: Arc<Board>,
    backlog: Backlog,
}

struct Notifier {
    journal: Journal,
    intake: Intake,
    boards: Boards,
    running: Vec<Running>,
}

impl Notifier {
    async fn work(mut self, mut ordered: mpsc::Receiver<Command>) {
        let mut stopped = Vec::new();
        let mut is_fed = true;
        loop {
            let command = tokio::select! {
                more = self.intake.work(), if is_fed => {
                    // The election thread has ended; what it has said is still to be told.
                    is_fed = more;
                    continue;
                }
                command = ordered.recv() => command,
            };
            match command {
                Some(Command::Adopt(targets)) => self.adopt(targets).await,
                Some(Command::Hold) => self.enter(Phase::Hold),
                Some(Command::Settle(done)) => {
                    stopped = self.stop(Phase::Settle, SETTLE_PATIENCE).await;
                    let _ = done.send(());
                }
                Some(Command::Remember(asker)) => {
                    self.intake.drain();
                    let _ = asker.send(self.to_memory(&stopped));
                }
                Some(Command::Resume) => self.go_on(std::mem::take(&mut stopped)),
                Some(Command::End(done)) => {
                    self.intake.drain();
                    for Stopped { target, board, .. } in self.stop(Phase::End, END_PATIENCE).await {
                        let TargetStatus { waiting, .. } = board.status();
                        if waiting > 0 {
                            warn!(notify = target.name, waiting, "events are not told, since the agent ends");
                        }
                    }
                    let _ = done.send(());
                    return;
                }
                None => return,
            }
        }
    }

    /// A target, where it stopped in the program before.
    fn resumed(&self, target: Notify, memory: &[TargetMemory]) -> Stopped {
        let known = memory.iter().find(|known| known.status.name == target.name);
        match known {
            Some(known) => {
                let board = Arc::new(Board::new(TargetStatus { kind: kind(&target), ..known.status.clone() }));
                Stopped { target: Arc::new(target), board, backlog: known.backlog.clone() }
            }
            None => self.new_target(target),
        }
    }

    /// A target that hears of what happens from now on.
    fn new_target(&self, target: Notify) -> Stopped {
        let status = TargetStatus { name: target.name.clone(), kind: kind(&target), ..TargetStatus::default() };
        let (board, backlog) = (Arc::new(Board::new(status)), Backlog::from(self.journal.end()));
        Stopped { target: Arc::new(target), board, backlog }
    }

    fn go_on(&mut self, stopped: Vec<Stopped>) {
        for Stopped { target, board, backlog } in stopped {
            let (phase, phases) = watch::channel(Phase::Run);
            let queue = Queue::new(Arc::clone(&target), &self.journal, &backlog, Arc::clone(&board));
            let task = tokio::spawn(tell(Arc::clone(&target), queue, self.journal.clone(), phases));
            self.running.push(Running { target, board, phase, task });
        }
        self.show();
    }

    fn enter(&self, phase: Phase) {
        for running in &self.running {
            running.phase.send_replace(phase);
        }
    }

    /// Has every target stop by `phase`, and after `patience` at once.
    async fn stop(&mut self, phase: Phase, patience: Duration) -> Vec<Stopped> {
        self.enter(phase);
        let deadline = Instant::now() + patience;
        let mut stopped = Vec::new();
        for Running { target, board, phase, mut task } in std::mem::take(&mut self.running) {
            let on_time = tokio::time::timeout_at(deadline, &mut task).await;
            let outcome = match on_time {
                Ok(outcome) => Ok(outcome),
                Err(_) => {
                    phase.send_replace(Phase::Abort);
                    timeout(ABORT_PATIENCE, &mut task).await
                }
            };
            let backlog = match outcome {
                Ok(Ok(backlog)) => backlog,
                Ok(Err(error)) => {
                    error!(notify = target.name, %error, "what was to be told is lost");
                    Backlog::from(self.journal.end())
                }
                Err(_) => {
                    task.abort();
                    error!(notify = target.name, "does not stop; what was to be told is lost");
                    Backlog::from(self.journal.end())
                }
            };
            stopped.push(Stopped { target, board, backlog });
        }
        stopped
    }

    /// Tells other targets: what waits for one that changes is told in the new way.
    async fn adopt(&mut self, targets: Vec<Notify>) {
        let is_kept = |running: &Running| targets.iter().any(|target| *target == *running.target);
        let (kept, changed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running).into_iter().partition(is_kept);
        self.running = changed;
        // What is being told ends, or it would be told twice.
        let memory: Vec<_> = self.stop(Phase::Settle, SETTLE_PATIENCE).await.iter().map(remembered).collect();
        self.running = kept;
        let is_new = |target: &Notify| !self.running.iter().any(|running| *running.target == *target);
        let order: Vec<_> = targets.iter().map(|target| target.name.clone()).collect();
        let new = targets.into_iter().filter(is_new).map(|target| self.resumed(target, &memory)).collect();
        self.go_on(new);
        self.running.sort_by_key(|running| order.iter().position(|name| *name == running.target.name));
        self.show();
    }

    /// Shows people how those do who are told.
    fn show(&self) {
        *self.boards.lock() = self.running.iter().map(|running| Arc::clone(&running.board)).collect();
    }

    fn to_memory(&self, stopped: &[Stopped]) -> (JournalMemory, Vec<TargetMemory>) {
        let is_needed = |sequence| stopped.iter().any(|stopped| stopped.backlog.needs(sequence));
        (self.journal.to_memory(is_needed), stopped.iter().map(remembered).collect())
    }
}

fn remembered(stopped: &Stopped) -> TargetMemory {
    TargetMemory { status: stopped.board.status(), backlog: stopped.backlog.clone() }
}

fn kind(target: &Notify) -> String {
    target.way.name().to_owned()
}

/// Tells one target.
async fn tell(target: Arc<Notify>, queue: Queue, journal: Journal, phase: watch::Receiver<Phase>) -> Backlog {
    let patience = |timeout, retry, digest| Patience { timeout, retry, digest };
    let (receiver, patience) = match &target.way {
        Way::Exec(exec) => return lanes::run(queue, exec.clone(), phase).await,
        Way::Fifo(fifo) => (
            Receiver::Fifo(fifo::Pipe::new(fifo.clone())),
            patience(Duration::from_secs(5), fifo.retry, Duration::ZERO),
        ),
        Way::Webhook(webhook) => {
            let hook = webhook::Hook::new(webhook.clone(), &target, journal);
            (Receiver::Webhook(Box::new(hook)), patience(webhook.timeout, webhook.retry, webhook.digest))
        }
        Way::Mail(mail) => {
            (Receiver::Mail(mail::Postman::new(mail.clone())), patience(mail.timeout, mail.retry, mail.digest))
        }
    };
    Courier::new(queue, receiver, patience).run(phase).await
}
