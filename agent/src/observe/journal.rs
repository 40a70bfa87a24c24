//! The last events, for any number of readers that each go at their own pace.
//!
//! The election thread hands events to a bounded queue and waits for nobody: what finds it full is lost, and a gap in the
//! numbers says so. Whoever [keeps](Intake) the journal moves them into a bounded ring; a reader that is slower than the ring
//! is long is told how many it has missed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use vrrp::{Instant, election::Reason};

use super::event::{CauseData, Condition, Event, Severity, Subject};
use crate::clock;

/// Events that may wait for the ring: several for each of many virtual routers.
const QUEUE: usize = 4096;
/// Events in the ring.
const KEPT: usize = 1024;
/// Of those, how many the next program in this process gets beside those that somebody still waits for.
const HANDED_ON: usize = 256;

/// What the election thread tells of a change.
#[derive(Clone, Debug)]
pub struct News {
    /// What changed.
    pub subject: Subject,
    /// The state before.
    pub from: Condition,
    /// The state after.
    pub to: Condition,
    /// Why, for people.
    pub reason: String,
    /// Why, for programs.
    pub cause: Reason,
    /// Effective priority; 0 for a group.
    pub priority: u8,
    /// How bad it is.
    pub severity: Severity,
    /// When.
    pub at: Instant,
}

/// The election thread's side.
#[derive(Debug)]
pub struct Reporter {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Event>,
    cluster: Arc<str>,
    node: Arc<str>,
}

impl Reporter {
    /// Writes down what has happened; never waits.
    pub fn report(&self, news: News) {
        let sequence = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let News { subject, from, to, reason, cause, priority, severity, at } = news;
        let event = Event {
            sequence,
            time: clock::date(clock::wall_at(at)),
            cluster: Arc::clone(&self.cluster),
            node: Arc::clone(&self.node),
            subject: Arc::new(subject),
            from,
            to,
            reason,
            cause: CauseData::from(cause),
            priority,
            severity,
        };
        if self.queue.try_send(event).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Names the cluster and the node in another way from now on.
    pub fn rename(&mut self, cluster: &str, node: &str) {
        (self.cluster, self.node) = (cluster.into(), node.into());
    }
}

#[derive(Debug)]
struct Shared {
    /// Tells this journal from that of another run: when it was begun, in milliseconds since 1970.
    id: u64,
    /// The number of the next event.
    next: AtomicU64,
    /// Events that found the queue full.
    lost: AtomicU64,
    ring: Mutex<Ring>,
    /// The number after that of the last event in the ring.
    end: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The last event of each subject that still is.
    latest: BTreeMap<Arc<Subject>, Arc<Event>>,
}

impl Ring {
    fn push(&mut self, mut event: Event) {
        // All events of a subject share its names.
        if let Some(last) = self.latest.get(&event.subject) {
            event.subject = Arc::clone(&last.subject);
        }
        let event = Arc::new(event);
        if event.to == Condition::Deleted {
            self.latest.remove(&event.subject);
        } else {
            self.latest.insert(Arc::clone(&event.subject), Arc::clone(&event));
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// The readers' side.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

/// Moves events from the election thread's queue into the ring.
#[derive(Debug)]
pub struct Intake {
    journal: Journal,
    queue: mpsc::Receiver<Event>,
}

/// What the next program in this process is to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalMemory {
    id: u64,
    next: u64,
    lost: u64,
    events: Vec<Event>,
}

/// A journal for the node `node` of `cluster`, which goes on where `memory` ends.
#[must_use]
pub fn journal(cluster: &str, node: &str, memory: Option<JournalMemory>) -> (Reporter, Journal, Intake) {
    let begun = || u64::try_from(clock::wall().as_millis()).unwrap_or(0);
    let memory = memory.unwrap_or_else(|| JournalMemory { id: begun(), next: 1, ..JournalMemory::default() });
    let mut ring = Ring::default();
    let mut end = memory.next;
    for event in memory.events {
        end = end.max(event.sequence + 1);
        ring.push(event);
    }
    let shared = Arc::new(Shared {
        id: memory.id,
        next: AtomicU64::new(memory.next.max(end)),
        lost: AtomicU64::new(memory.lost),
        ring: Mutex::new(ring),
        end: watch::Sender::new(end),
    });
    let (sender, queue) = mpsc::channel(QUEUE);
    let journal = Journal(Arc::clone(&shared));
    let reporter = Reporter { shared, queue: sender, cluster: cluster.into(), node: node.into() };
    (reporter, journal.clone(), Intake { journal, queue })
}

impl Intake {
    /// Waits for events, and moves all that there are; says whether there will be more.
    pub async fn work(&mut self) -> bool {
        let Some(first) = self.queue.recv().await else { return false };
        self.store(first);
        self.drain();
        true
    }

    /// Moves all events that wait.
    pub fn drain(&mut self) {
        while let Ok(event) = self.queue.try_recv() {
            self.store(event);
        }
    }

    fn store(&self, event: Event) {
        let end = event.sequence + 1;
        self.journal.ring().push(event);
        self.journal.0.end.send_replace(end);
    }
}

impl Journal {
    /// Tells this journal from that of another run.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The number that the next event has.
    #[must_use]
    pub fn end(&self) -> u64 {
        *self.0.end.borrow()
    }

    /// How many events were lost, because there were too many at a time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// The last event of each virtual router and group that still is.
    #[must_use]
    pub fn latest(&self) -> Vec<Arc<Event>> {
        self.ring().latest.values().cloned().collect()
    }

    /// The events of these numbers that are still there; both in order.
    #[must_use]
    pub fn find(&self, sequences: &[u64]) -> Vec<Arc<Event>> {
        let ring = self.ring();
        ring.events.iter().filter(|event| sequences.binary_search(&event.sequence).is_ok()).cloned().collect()
    }

    /// A reader whose next event is that of number `next`.
    #[must_use]
    pub fn read_from(&self, next: u64) -> Cursor {
        Cursor { journal: self.clone(), next, end: self.0.end.subscribe() }
    }

    /// What the next program in this process is to know: the last events, those of `wanted` among them.
    #[must_use]
    pub fn to_memory(&self, wanted: impl Fn(u64) -> bool) -> JournalMemory {
        let ring = self.ring();
        let first_handed_on = ring.events.len().saturating_sub(HANDED_ON);
        let latest = ring.latest.values();
        let of_use = ring.events.iter().enumerate();
        let of_use = of_use.filter(|(at, event)| *at >= first_handed_on || wanted(event.sequence));
        let mut events: BTreeMap<u64, Event> = latest.map(|event| (event.sequence, Event::clone(event))).collect();
        events.extend(of_use.map(|(_, event)| (event.sequence, Event::clone(event))));
        JournalMemory {
            id: self.0.id,
            next: self.0.next.load(Ordering::Relaxed),
            lost: self.lost(),
            events: events.into_values().collect(),
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing that is done under the lock leaves it half done.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader.
#[derive(Debug)]
pub struct Cursor {
    journal: Journal,
    next: u64,
    end: watch::Receiver<u64>,
}

/// What a reader has got.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many events before these it will never see.
    pub missed: u64,
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
}

impl Cursor {
    /// The number of the next event.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Whether it has read all that there is.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.next >= *self.end.borrow()
    }

    /// Waits until there is something to read. Nothing is lost where that is given up.
    pub async fn wait(&mut self) {
        let next = self.next;
        if self.end.wait_for(|&end| end > next).await.is_err() {
            // Its journal is never without a sender, since a cursor keeps it.
            std::future::pending::<()>().await;
        }
    }

    /// The next events, `max` at most; never waits.
    pub fn read(&mut self, max: usize) -> Page {
        let ring = self.journal.ring();
        let from = ring.events.partition_point(|event| event.sequence < self.next);
        let events: Vec<_> = ring.events.iter().skip(from).take(max).cloned().collect();
        drop(ring);
        let expected = self.next;
        let Some(last) = events.last() else { return Page::default() };
        self.next = last.sequence + 1;
        let read = u64::try_from(events.len()).unwrap_or(0);
        let missed = self.next.saturating_sub(expected).saturating_sub(read);
        Page { missed, events }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// That the group `name` is `to`.
    pub(crate) fn news(name: &str, to: Condition) -> News {
        News {
            subject: Subject::Group { name: name.to_owned() },
            from: Condition::Backup,
            to,
            reason: String::new(),
            cause: Reason::Startup,
            priority: 0,
            severity: Severity::Info,
            at: clock::now(),
        }
    }

    fn numbers(page: &Page) -> Vec<u64> {
        page.events.iter().map(|event| event.sequence).collect()
    }

    #[tokio::test]
    async fn each_reader_goes_at_its_own_pace() {
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        let (mut quick, mut slow) = (journal.read_from(1), journal.read_from(1));
        for _ in 0..3 {
            reporter.report(news("a", Condition::Active));
        }
        assert!(intake.work().await && !quick.is_at_end());
        quick.wait().await;
        assert_eq!(numbers(&quick.read(2)), [1, 2]);
        assert_eq!(numbers(&quick.read(2)), [3]);
        assert!(quick.is_at_end());
        assert_eq!(quick.read(2), Page::default());
        assert_eq!(numbers(&slow.read(9)), [1, 2, 3]);
        drop(reporter);
        assert!(!intake.work().await);
    }

    #[test]
    fn a_reader_that_is_too_slow_is_told_what_it_has_missed() {
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        let mut slow = journal.read_from(1);
        for _ in 0..KEPT + 10 {
            reporter.report(news("a", Condition::Active));
            intake.drain();
        }
        let page = slow.read(1);
        assert_eq!((page.missed, numbers(&page)), (10, vec![11]));
        assert_eq!(slow.read(1).missed, 0);
    }

    #[test]
    fn events_share_what_they_have_in_common() {
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        for name in ["a", "b", "a"] {
            reporter.report(news(name, Condition::Active));
        }
        intake.drain();
        let Page { events, .. } = journal.read_from(1).read(9);
        let [first, other, second] = events.as_slice() else { panic!("{events:?}") };
        assert!(Arc::ptr_eq(&first.subject, &second.subject) && Arc::ptr_eq(&first.cluster, &other.cluster));
        assert_ne!(first.subject, other.subject);
    }

    #[test]
    fn the_election_thread_does_not_wait_for_a_journal_that_nobody_keeps() {
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        for _ in 0..QUEUE + 5 {
            reporter.report(news("a", Condition::Active));
        }
        assert_eq!(journal.lost(), 5);
        intake.drain();
        let mut cursor = journal.read_from(1);
        let page = cursor.read(QUEUE);
        assert_eq!((page.missed, numbers(&page).last()), (3072, Some(&4096)));
        reporter.report(news("a", Condition::Active));
        intake.drain();
        let page = cursor.read(9);
        assert_eq!((page.missed, numbers(&page)), (5, vec![4102]));
    }

    #[test]
    fn the_latest_of_each_is_known_until_it_is_deleted() {
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        for (name, to) in [("a", Condition::Active), ("b", Condition::Fault), ("a", Condition::Backup)] {
            reporter.report(news(name, to));
        }
        intake.drain();
        let latest = |journal: &Journal| journal.latest().iter().map(|event| event.sequence).collect::<Vec<_>>();
        assert_eq!(latest(&journal), [3, 2]);
        reporter.report(news("b", Condition::Deleted));
        intake.drain();
        assert_eq!(latest(&journal), [3]);
    }

    #[test]
    fn the_next_program_goes_on_counting() {
        let (reporter, first, mut intake) = journal("ingress", "n1", None);
        reporter.report(news("quiet", Condition::Active));
        for _ in 0..HANDED_ON + 10 {
            reporter.report(news("a", Condition::Active));
        }
        intake.drain();
        let memory = serde_json::to_string(&first.to_memory(|sequence| sequence == 5)).unwrap();
        let (reporter, second, mut intake) = journal("ingress", "n1", serde_json::from_str(&memory).unwrap());
        assert_eq!(second.id(), first.id());
        reporter.report(news("a", Condition::Backup));
        intake.drain();
        let page = second.read_from(1).read(2);
        assert_eq!((page.missed, numbers(&page)), (3, vec![1, 5]));
        let mut last = second.read_from(267);
        assert_eq!(numbers(&last.read(9)), [267, 268]);
        assert_eq!(second.latest().len(), 2);
    }
}
