//! What one target is still to be told, and what became of the rest.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tracing::warn;

use crate::{
    config::notify::{Notify, Way, WebhookFormat},
    observe::{
        TargetStatus,
        event::Event,
        journal::{Cursor, Journal},
    },
};

/// Events that may wait for a target. The oldest are given up for newer ones.
const WAITING_MAX: usize = 4096;
/// Events that are taken from the journal at a time.
const PAGE: usize = 256;

/// What a target shows people.
#[derive(Debug)]
pub(super) struct Board(Mutex<TargetStatus>);

impl Board {
    pub(super) const fn new(status: TargetStatus) -> Self {
        Self(Mutex::new(status))
    }

    pub(super) fn status(&self) -> TargetStatus {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, TargetStatus> {
        // Nothing that is done under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event, and since when it waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) event: Arc<Event>,
    pub(super) since: Instant,
}

/// What a target still has to do when it stops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Backlog {
    /// The number of the next event that it has not seen.
    next: u64,
    /// The numbers of the events that it has seen and not told.
    waiting: Vec<u64>,
}

impl Backlog {
    /// That of a target which begins at `next`.
    #[must_use]
    pub(super) const fn from(next: u64) -> Self {
        Self { next, waiting: Vec::new() }
    }

    /// Whether the event is still to be told.
    #[must_use]
    pub(super) fn needs(&self, sequence: u64) -> bool {
        sequence >= self.next || self.waiting.binary_search(&sequence).is_ok()
    }
}

/// The events that wait for a target, oldest first.
#[derive(Debug)]
pub(super) struct Queue {
    target: Arc<Notify>,
    cursor: Cursor,
    waiting: VecDeque<Waiting>,
    board: Arc<Board>,
    /// Events were given up since that was asked.
    has_skipped: bool,
}

impl Queue {
    /// The queue of `target` that goes on where `backlog` ends.
    pub(super) fn new(target: Arc<Notify>, journal: &Journal, backlog: &Backlog, board: Arc<Board>) -> Self {
        let since = Instant::now();
        let found = journal.find(&backlog.waiting);
        let gone = backlog.waiting.len().saturating_sub(found.len());
        let waiting = found.into_iter().map(|event| Waiting { event, since }).collect();
        let mut queue = Self { target, cursor: journal.read_from(backlog.next), waiting, board, has_skipped: false };
        queue.give_up(gone, "newer ones have taken their place in the journal");
        queue.take_in();
        queue
    }

    /// Waits until there is something to [take in](Queue::take_in).
    pub(super) async fn news(&mut self) {
        self.cursor.wait().await;
    }

    /// Takes in what has happened.
    pub(super) fn take_in(&mut self) {
        loop {
            let page = self.cursor.read(PAGE);
            let missed = usize::try_from(page.missed).unwrap_or(usize::MAX);
            self.give_up(missed, "there were too many events at a time");
            if page.events.is_empty() {
                break;
            }
            let since = Instant::now();
            let wanted = page.events.into_iter().filter(|event| wants(&self.target, event));
            self.waiting.extend(wanted.map(|event| Waiting { event, since }));
        }
        let too_many = self.waiting.len().saturating_sub(WAITING_MAX);
        self.waiting.drain(..too_many);
        self.give_up(too_many, "too many events wait");
        self.show();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The oldest events, `max` at most.
    pub(super) fn first(&self, max: usize) -> Vec<Arc<Event>> {
        self.waiting.iter().take(max).map(|waiting| Arc::clone(&waiting.event)).collect()
    }

    /// Takes the oldest event out whose virtual router or group is not `busy`.
    pub(super) fn take_idle(&mut self, busy: &[String]) -> Option<Waiting> {
        let is_idle = |waiting: &Waiting| !busy.iter().any(|name| name == waiting.event.subject.name());
        self.waiting.remove(self.waiting.iter().position(is_idle)?)
    }

    /// Puts an event back that was taken out.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        let at = self.waiting.partition_point(|other| other.event.sequence < waiting.event.sequence);
        self.waiting.insert(at, waiting);
    }

    /// Forgets the `count` oldest events, which were told.
    pub(super) fn told(&mut self, count: usize) {
        self.waiting.drain(..count.min(self.waiting.len()));
        self.count_told(count);
        self.show();
    }

    /// Counts events that were told.
    pub(super) fn count_told(&self, count: usize) {
        let mut status = self.board.lock();
        status.delivered += u64::try_from(count).unwrap_or(0);
    }

    /// Forgets the `count` oldest events, which cannot be told.
    pub(super) fn refused(&mut self, count: usize, why: &str) {
        self.waiting.drain(..count.min(self.waiting.len()));
        self.give_up(count, why);
        self.show();
    }

    /// Forgets events that have waited for longer than `patience`.
    pub(super) fn expire(&mut self, patience: Duration) {
        let expired = self.waiting.iter().take_while(|waiting| waiting.since.elapsed() > patience).count();
        if expired > 0 {
            self.refused(expired, &format!("they could not be delivered within {patience:?}"));
        }
    }

    /// Whether events were given up since that was asked last.
    pub(super) const fn has_skipped(&mut self) -> bool {
        std::mem::replace(&mut self.has_skipped, false)
    }

    /// Counts events that will never be told.
    pub(super) fn give_up(&mut self, count: usize, why: &str) {
        if count == 0 {
            return;
        }
        warn!(notify = self.target.name, count, "events are not told: {why}");
        self.has_skipped = true;
        let mut status = self.board.lock();
        status.failed += u64::try_from(count).unwrap_or(0);
    }

    /// Shows people what went wrong, and logs it unless that was the last word already.
    pub(super) fn show_error(&self, error: &str) {
        let mut status = self.board.lock();
        if status.last_error.as_deref() != Some(error) {
            warn!(notify = self.target.name, "{error}");
            status.last_error = Some(error.to_owned());
        }
    }

    /// Shows people how many wait, besides `running`.
    pub(super) fn show_waiting(&self, running: usize) {
        self.board.lock().waiting = u64::try_from(self.waiting.len() + running).unwrap_or(0);
    }

    fn show(&self) {
        self.show_waiting(0);
    }

    /// What is still to be done.
    pub(super) fn into_backlog(self) -> Backlog {
        let waiting = self.waiting.iter().map(|waiting| waiting.event.sequence).collect();
        Backlog { next: self.cursor.next(), waiting }
    }
}

/// Whether an event concerns a target: to end an alert, one must also hear of the states that make none.
fn wants(target: &Notify, event: &Event) -> bool {
    match &target.way {
        Way::Webhook(webhook) if webhook.format == WebhookFormat::Alertmanager => target.is_about(&event.subject),
        Way::Exec(_) | Way::Fifo(_) | Way::Webhook(_) | Way::Mail(_) => target.wants(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::notify::{Fifo, LineFormat},
        observe::{
            event::{Condition, Severity},
            journal::{journal, tests::news},
        },
    };

    /// Somebody was down for so long that the journal has gone on; then the agent is replaced.
    #[test]
    fn what_the_journal_has_no_more_is_counted() {
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        for _ in 0..1025 {
            reporter.report(news("a", Condition::Active));
            intake.drain();
        }
        let fifo = Fifo { path: "/nonexistent".into(), format: LineFormat::Json, retry: Duration::from_mins(1) };
        let target = Notify {
            name: "pipe".to_owned(),
            about: None,
            on: Condition::ALL.into(),
            severity: Severity::Info,
            way: Way::Fifo(fifo),
        };
        let board = Arc::new(Board::new(TargetStatus { failed: 3, ..TargetStatus::default() }));
        let backlog = Backlog { next: 1026, waiting: vec![1, 2] };
        let queue = Queue::new(Arc::new(target), &journal, &backlog, Arc::clone(&board));
        assert_eq!(queue.first(9).iter().map(|event| event.sequence).collect::<Vec<_>>(), [2]);
        assert_eq!((board.status().failed, board.status().waiting), (4, 1));
    }
}
