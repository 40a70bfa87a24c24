//! Tells of events in the order in which they happened, several at a time, and again until it is heard.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Phase, fifo, mail,
    queue::{Backlog, Queue},
    webhook,
};
use crate::{chance::jittered, observe::event::Event};

/// Events that are told at a time.
const BATCH: usize = 100;
/// How long after the first failure it is tried again; after each next one twice as long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long at most, but for what a receiver asks for.
const AGAIN_AFTER_MAX: Duration = Duration::from_mins(1);
/// How long at most when the agent is ending.
const LAST_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Why events were not told.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may go better later.
    Later {
        /// What went wrong.
        why: String,
        /// Not before, if that is known.
        after: Option<Duration>,
    },
    /// These events will never be taken.
    Refused(String),
}

impl Failure {
    /// A failure that may go better later.
    pub(super) fn later(error: &anyhow::Error) -> Self {
        Self::Later { why: format!("{error:#}"), after: None }
    }
}

/// Whom events are brought to.
pub(super) enum Receiver {
    Fifo(fifo::Pipe),
    Webhook(Box<webhook::Hook>),
    Mail(mail::Postman),
}

/// How patient one is with a receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long one attempt may take.
    pub(super) timeout: Duration,
    /// How long an event is tried to be told.
    pub(super) retry: Duration,
    /// How long events are gathered.
    pub(super) digest: Duration,
}

impl Receiver {
    /// Tells of `batch`, or says again what still holds where it is empty; `told` counts how far it came, also where it is
    /// given up.
    async fn tell(&mut self, batch: &[Arc<Event>], told: &mut usize) -> Result<(), Failure> {
        match self {
            Self::Fifo(pipe) => pipe.write(batch, told).await,
            Self::Webhook(hook) => hook.post(batch).await.inspect(|()| *told = batch.len()),
            Self::Mail(postman) => postman.send(batch).await.inspect(|()| *told = batch.len()),
        }
    }

    /// Takes in that events will never be told: who goes by what holds must learn that from somewhere else.
    fn skip(&mut self) {
        match self {
            Self::Webhook(hook) => hook.look(),
            Self::Fifo(_) | Self::Mail(_) => {}
        }
    }

    /// When to say again what still holds, without news.
    fn repeat_at(&self) -> Option<Instant> {
        match self {
            Self::Webhook(hook) => hook.repeat_at(),
            Self::Fifo(_) | Self::Mail(_) => None,
        }
    }
}

/// Brings events to a receiver.
pub(super) struct Courier {
    queue: Queue,
    receiver: Receiver,
    patience: Patience,
    /// Failures in a row.
    failures: u32,
    /// Not before this moment.
    not_before: Instant,
}

impl Courier {
    pub(super) fn new(queue: Queue, receiver: Receiver, patience: Patience) -> Self {
        Self { queue, receiver, patience, failures: 0, not_before: Instant::now() + patience.digest }
    }

    /// Tells of the events as long as `phase` lets it.
    pub(super) async fn run(mut self, mut phase: watch::Receiver<Phase>) -> Backlog {
        loop {
            let now = *phase.borrow_and_update();
            self.queue.expire(self.patience.retry);
            if self.queue.has_skipped() {
                self.receiver.skip();
            }
            if now.is_over(self.queue.is_empty()) {
                return self.queue.into_backlog();
            }
            let tell_at = if now.may_start() { self.tell_at(now) } else { None };
            tokio::select! {
                biased;
                Ok(()) = phase.changed() => {}
                () = super::until(tell_at), if tell_at.is_some() => self.tell(&phase, now).await,
                () = self.queue.news(), if now.may_take_in() => self.take_in(),
            }
        }
    }

    fn take_in(&mut self) {
        let was_empty = self.queue.is_empty();
        self.queue.take_in();
        if was_empty && self.failures == 0 {
            self.not_before = Instant::now() + self.patience.digest;
        }
    }

    /// When to tell of what waits, or to say again what holds.
    fn tell_at(&self, phase: Phase) -> Option<Instant> {
        if self.queue.is_empty() {
            let at = self.receiver.repeat_at()?;
            return Some(if self.failures > 0 { at.max(self.not_before) } else { at });
        }
        // Who is ending gathers nothing more.
        let last = Instant::now() + LAST_AGAIN_AFTER;
        Some(match phase {
            Phase::End if self.failures == 0 => Instant::now(),
            Phase::End => self.not_before.min(last),
            Phase::Run | Phase::Hold | Phase::Settle | Phase::Abort => self.not_before,
        })
    }

    async fn tell(&mut self, phase: &watch::Receiver<Phase>, now: Phase) {
        let batch = self.queue.first(BATCH);
        let mut told = 0;
        let outcome = tokio::select! {
            outcome = timeout(self.patience.timeout, self.receiver.tell(&batch, &mut told)) => outcome,
            () = super::aborted(phase.clone()) => Ok(Err(Failure::Later { why: "given up".to_owned(), after: None })),
        };
        self.queue.told(told);
        let timeout = self.patience.timeout;
        match outcome {
            Ok(Ok(())) => self.failures = 0,
            Ok(Err(Failure::Refused(why))) => {
                self.failures = 0;
                self.queue.refused(batch.len() - told, &why);
                self.queue.show_error(&why);
            }
            Ok(Err(Failure::Later { why, after })) => self.fail(&why, after, now),
            Err(_) => self.fail(&format!("no answer within {timeout:?}"), None, now),
        }
    }

    fn fail(&mut self, why: &str, after: Option<Duration>, phase: Phase) {
        self.queue.show_error(why);
        let after = jittered(again_after(self.failures)).max(after.unwrap_or_default());
        self.failures = self.failures.saturating_add(1);
        let after = if phase == Phase::End { after.min(LAST_AGAIN_AFTER) } else { after };
        self.not_before = Instant::now() + after;
    }
}

/// How long after so many failures it is tried again.
fn again_after(failures: u32) -> Duration {
    (AGAIN_AFTER * 2_u32.pow(failures.min(10))).min(AGAIN_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::PathBuf};

    use nix::{libc, sys::stat::Mode, unistd::mkfifo};
    use tokio::time::sleep;

    use super::*;
    use crate::{
        config::notify::{Fifo, LineFormat, Notify, Way},
        observe::{
            TargetStatus,
            event::{Condition, Severity},
            journal::{Journal, journal, tests::news},
            notify::queue::Board,
        },
    };

    /// One that tells a pipe at `path` of what `journal` holds.
    fn courier(path: PathBuf, journal: &Journal, board: &Arc<Board>, digest: Duration) -> Courier {
        let fifo = Fifo { path, format: LineFormat::Json, retry: Duration::from_mins(1) };
        let target = Notify {
            name: "pipe".to_owned(),
            about: None,
            on: Condition::ALL.into(),
            severity: Severity::Info,
            way: Way::Fifo(fifo.clone()),
        };
        let queue = Queue::new(Arc::new(target), journal, &Backlog::from(1), Arc::clone(board));
        let patience = Patience { timeout: Duration::from_secs(5), retry: Duration::from_mins(1), digest };
        Courier::new(queue, Receiver::Fifo(fifo::Pipe::new(fifo)), patience)
    }

    /// What comes later than the first event by less than the span is told with it, and not before.
    #[tokio::test]
    async fn events_are_gathered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let digest = Duration::from_millis(500);
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        let board = Arc::new(Board::new(TargetStatus::default()));
        let courier = courier(path, &journal, &board, digest);
        let (phase, phases) = watch::channel(Phase::Run);
        let task = tokio::spawn(courier.run(phases));
        // What a target that has just begun waits for is over.
        sleep(digest * 2).await;
        let start = Instant::now();
        for _ in 0..2 {
            reporter.report(news("a", Condition::Active));
            intake.drain();
        }
        let told = async {
            while board.status().delivered < 2 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), told).await.unwrap();
        assert!(start.elapsed() >= digest, "told after {:?}", start.elapsed());
        phase.send_replace(Phase::End);
        assert_eq!(task.await.unwrap(), Backlog::from(3));
    }

    #[test]
    fn what_a_receiver_asks_for_is_a_minimum() {
        let (_, journal, _) = journal("ingress", "n1", None);
        let board = Arc::new(Board::new(TargetStatus::default()));
        let mut courier = courier("/nonexistent".into(), &journal, &board, Duration::ZERO);
        // (after, at least, at most), in milliseconds
        for (after, least, most) in
            [(Some(0), 500, 1000), (Some(0), 1000, 2000), (Some(9000), 9000, 9000), (None, 4000, 8000)]
        {
            let before = Instant::now();
            courier.fail("429", after.map(Duration::from_millis), Phase::Run);
            let pause = courier.not_before - before;
            let is_right = pause >= Duration::from_millis(least) && pause < Duration::from_millis(most + 500);
            assert!(is_right, "{pause:?} with {after:?}");
        }
    }

    #[test]
    fn it_is_tried_less_and_less_often() {
        for (failures, seconds) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (60, 60)] {
            assert_eq!(again_after(failures), Duration::from_secs(seconds));
        }
    }
}
