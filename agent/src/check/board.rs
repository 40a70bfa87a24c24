//! What all checks have come to: for people to see as it is, and for the election thread when it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};
use vrrp::{Instant, track::Reading};

use super::{Check, hysteresis::Hysteresis, task::Look};
use crate::{
    clock,
    mailbox::{Mail, Mailbox},
    observe::{CheckStatus, milliseconds},
};

/// What a check has settled on, as the election thread knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it has come to.
    pub reading: Reading,
    /// What it saw, as a clause.
    pub detail: String,
    /// Why it sees nothing newer, if it does not.
    pub blind: Option<Blind>,
}

/// Why a check goes by what it saw before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blind {
    /// The reason, as a clause.
    pub reason: String,
    /// When what it goes by was seen, or found to hold still; `None`: it has seen nothing yet.
    pub seen_at: Option<Instant>,
}

/// What is known of checks, by name; a check that has no result yet is missing.
pub type Standings = BTreeMap<String, Standing>;

/// What has changed. The next news wait until this is dropped.
#[derive(Debug)]
pub struct News {
    /// By name; `None`: there is no such check any more, or it has no result.
    pub changes: BTreeMap<String, Option<Standing>>,
    _taken: oneshot::Sender<()>,
}

/// A check, from one program of the process to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckMemory {
    name: String,
    reading: ReadingMemory,
    detail: Option<String>,
    seen_ns: Option<u64>,
    since_ns: u64,
    looks: u64,
    failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReadingMemory {
    Passing,
    Failing,
    Value(i32),
}

/// The board, shared by the threads of the asynchronous runtimes. The election thread never touches it.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lists: Mutex<Lists>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Lists {
    entries: BTreeMap<String, Entry>,
    changed: BTreeSet<String>,
}

#[derive(Debug)]
struct Entry {
    subject: String,
    hysteresis: Hysteresis,
    /// What was seen last.
    detail: Option<String>,
    /// When, or until when it was found to hold still.
    seen_at: Option<Instant>,
    /// Why the last look saw nothing newer.
    blind: Option<String>,
    latency: Duration,
    looked_at: Option<Instant>,
    since: Instant,
    looks: u64,
    failures: u64,
}

impl Board {
    /// Lists `check` from now on, or goes on with what is known of it under another definition. With a `memory` of it it begins
    /// as that says.
    pub fn list(&self, check: &Check, memory: Option<&CheckMemory>) {
        let mut lists = self.lists();
        if let Some(entry) = lists.entries.get_mut(&check.name) {
            entry.hysteresis.change(check.rise, check.fall);
            entry.subject = check.subject.to_string();
            return;
        }
        lists.entries.insert(check.name.clone(), Entry::new(check, memory));
    }

    /// Forgets a check; the election thread hears of it.
    pub fn strike(&self, name: &str) {
        let mut lists = self.lists();
        if lists.entries.remove(name).is_some() {
            lists.changed.insert(name.to_owned());
            self.0.news.notify_one();
        }
    }

    /// The checks that are listed.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lists().entries.keys().cloned().collect()
    }

    /// What checks have come to.
    #[must_use]
    pub fn standings(&self) -> Standings {
        let lists = self.lists();
        lists.entries.iter().filter_map(|(name, entry)| Some((name.clone(), entry.standing()?))).collect()
    }

    /// What the next program is to know.
    #[must_use]
    pub fn to_memory(&self) -> Vec<CheckMemory> {
        self.lists().entries.iter().filter_map(|(name, entry)| entry.to_memory(name)).collect()
    }

    /// What people see of the checks.
    #[must_use]
    pub fn status(&self) -> Vec<CheckStatus> {
        let now = clock::now();
        self.lists().entries.iter().map(|(name, entry)| entry.status(name, now)).collect()
    }

    /// Hands what has changed to the election thread, one piece of mail at a time: what changes while that waits is one piece
    /// again, so that no number of checks fills the mailbox.
    pub async fn deliver(self, mailbox: Mailbox) {
        loop {
            self.0.news.notified().await;
            let changes = self.changes();
            if !changes.is_empty() {
                let (taken, was_taken) = oneshot::channel();
                mailbox.send(Mail::Checks(News { changes, _taken: taken })).await;
                // Nothing is ever sent: this waits until the other end is dropped.
                let _ = was_taken.await;
            }
        }
    }

    /// Takes in what a look of a check says, and how long it took.
    pub(super) fn note(&self, name: &str, look: Look, latency: Duration) {
        let mut lists = self.lists();
        let Some(entry) = lists.entries.get_mut(name) else { return };
        let blind = entry.blind.clone();
        let has_changed = entry.note(look, latency);
        if has_changed {
            entry.tell(name);
        }
        if entry.blind.is_some() != blind.is_some() {
            entry.tell_sight(name);
        }
        if has_changed || entry.blind != blind {
            lists.changed.insert(name.to_owned());
            self.0.news.notify_one();
        }
    }

    /// Whether the last look of a check agreed with those before.
    pub(super) fn is_quiet(&self, name: &str) -> bool {
        self.lists().entries.get(name).is_none_or(|entry| entry.hysteresis.against().0 == 0)
    }

    fn changes(&self) -> BTreeMap<String, Option<Standing>> {
        let mut lists = self.lists();
        let changed = std::mem::take(&mut lists.changed);
        let standing = |name: &String| lists.entries.get(name).and_then(Entry::standing);
        changed.into_iter().map(|name| (name.clone(), standing(&name))).collect()
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        // What a task that panicked has left is a whole entry still.
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(check: &Check, memory: Option<&CheckMemory>) -> Self {
        let settled = memory.map(|memory| memory.reading.into()).or(check.start);
        Self {
            subject: check.subject.to_string(),
            hysteresis: Hysteresis::new(settled, check.rise, check.fall),
            detail: memory.and_then(|memory| memory.detail.clone()),
            seen_at: memory.and_then(|memory| memory.seen_ns).map(Instant::from_nanos),
            blind: None,
            latency: Duration::ZERO,
            looked_at: None,
            since: memory.map_or_else(clock::now, |memory| Instant::from_nanos(memory.since_ns)),
            looks: memory.map_or(0, |memory| memory.looks),
            failures: memory.map_or(0, |memory| memory.failures),
        }
    }

    /// Takes in a look; whether the check has settled on something else.
    fn note(&mut self, look: Look, latency: Duration) -> bool {
        let now = clock::now();
        (self.latency, self.looked_at, self.blind) = (latency, Some(now), look.blind);
        self.looks += 1;
        let Some((outcome, seen_at)) = look.seen else { return false };
        self.seen_at = Some(seen_at);
        self.failures += u64::from(outcome.reading == Reading::Failing);
        let has_changed = self.hysteresis.take(outcome.reading);
        self.detail = Some(outcome.detail);
        if has_changed {
            self.since = now;
        }
        has_changed
    }

    /// Says in the log what it has settled on.
    fn tell(&self, check: &str) {
        let detail = self.detail.as_deref().unwrap_or_default();
        match self.hysteresis.settled() {
            Some(Reading::Passing) => info!(check, detail, "the check passes"),
            Some(Reading::Value(value)) => info!(check, value, "the check has another value"),
            Some(Reading::Failing) => warn!(check, detail, "the check fails"),
            None => {}
        }
    }

    /// Says in the log that it sees nothing any more, or does again.
    fn tell_sight(&self, check: &str) {
        match &self.blind {
            Some(reason) => warn!(check, reason, "the check goes by what was known last"),
            None => info!(check, "the check sees again"),
        }
    }

    fn standing(&self) -> Option<Standing> {
        let detail = self.detail.clone().unwrap_or_else(|| "as configured for the start".to_owned());
        let blind = self.blind.clone().map(|reason| Blind { reason, seen_at: self.seen_at });
        Some(Standing { reading: self.hysteresis.settled()?, detail, blind })
    }

    fn to_memory(&self, name: &str) -> Option<CheckMemory> {
        Some(CheckMemory {
            name: name.to_owned(),
            reading: self.hysteresis.settled()?.into(),
            detail: self.detail.clone(),
            seen_ns: self.seen_at.map(Instant::as_nanos),
            since_ns: self.since.as_nanos(),
            looks: self.looks,
            failures: self.failures,
        })
    }

    fn status(&self, name: &str, now: Instant) -> CheckStatus {
        let settled = self.hysteresis.settled();
        let (against, needed) = self.hysteresis.against();
        CheckStatus {
            name: name.to_owned(),
            subject: self.subject.clone(),
            state: state(settled).to_owned(),
            value: if let Some(Reading::Value(value)) = settled { Some(value) } else { None },
            since_ms: milliseconds(now.since(self.since)),
            detail: self.detail.clone(),
            seen_ms: self.seen_at.map(|at| milliseconds(now.since(at))),
            blind: self.blind.clone(),
            looked_ms: self.looked_at.map(|at| milliseconds(now.since(at))),
            latency_us: u64::try_from(self.latency.as_micros()).unwrap_or(u64::MAX),
            against,
            needed,
            looks: self.looks,
            failures: self.failures,
        }
    }
}

/// What a check has come to, in a word.
#[must_use]
pub const fn state(reading: Option<Reading>) -> &'static str {
    match reading {
        None => "unknown",
        Some(Reading::Passing) => "passing",
        Some(Reading::Failing) => "failing",
        Some(Reading::Value(_)) => "value",
    }
}

impl CheckMemory {
    /// Whether it is of the check called `name`.
    #[must_use]
    pub fn is_of(&self, name: &str) -> bool {
        self.name == name
    }
}

impl From<Reading> for ReadingMemory {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::Passing => Self::Passing,
            Reading::Failing => Self::Failing,
            Reading::Value(value) => Self::Value(value),
        }
    }
}

impl From<ReadingMemory> for Reading {
    fn from(reading: ReadingMemory) -> Self {
        match reading {
            ReadingMemory::Passing => Self::Passing,
            ReadingMemory::Failing => Self::Failing,
            ReadingMemory::Value(value) => Self::Value(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        check::{Subject, task::Outcome},
        mailbox::mailbox,
    };

    fn check(name: &str) -> Check {
        let subject = Subject::File("/run/value".into());
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        Check { name: name.to_owned(), subject, interval, timeout, rise: 1, fall: 1, start: None }
    }

    fn say(board: &Board, name: &str, value: i32) {
        let outcome = Outcome { reading: Reading::Value(value), detail: format!("holds {value}") };
        board.note(name, outcome.into(), Duration::from_micros(50));
    }

    /// However much changes, there is one piece of mail, and the next one has all that has changed meanwhile.
    #[tokio::test]
    async fn a_storm_of_changes_is_one_piece_of_mail() {
        let board = Board::default();
        let names: Vec<_> = (0..1000).map(|number| format!("check {number}")).collect();
        for name in &names {
            board.list(&check(name), None);
        }
        let (mailbox, mut inbox) = mailbox().unwrap();
        let mut delivery = std::pin::pin!(board.clone().deliver(mailbox));
        for value in 1..=3 {
            for name in &names {
                say(&board, name, value);
            }
            assert!((&mut delivery).now_or_never().is_none());
        }
        let Some(Mail::Checks(first)) = inbox.take() else { panic!("no mail") };
        assert_eq!(first.changes.len(), 1000);
        assert!(inbox.take().is_none(), "more than one piece waits");
        let value = |news: &News| news.changes["check 7"].as_ref().map(|standing| standing.reading);
        assert_eq!(value(&first), Some(Reading::Value(1)));
        board.strike("check 8");
        assert!((&mut delivery).now_or_never().is_none());
        assert!(inbox.take().is_none(), "the first piece is not done with");
        drop(first);
        assert!((&mut delivery).now_or_never().is_none());
        let Some(Mail::Checks(second)) = inbox.take() else { panic!("no mail") };
        assert_eq!(value(&second), Some(Reading::Value(3)));
        assert_eq!(second.changes["check 8"], None);
    }

    #[test]
    fn what_is_known_outlives_the_program_and_another_definition() {
        let board = Board::default();
        board.list(&check("a"), None);
        board.list(&Check { start: Some(Reading::Failing), ..check("b") }, None);
        board.list(&check("c"), None);
        say(&board, "a", 12);
        let memory = board.to_memory();
        assert_eq!(memory.iter().map(|memory| memory.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let text = serde_json::to_string(&memory).unwrap();
        let memory: Vec<CheckMemory> = serde_json::from_str(&text).unwrap();

        let next = Board::default();
        for name in ["a", "b", "c"] {
            next.list(&check(name), memory.iter().find(|memory| memory.is_of(name)));
        }
        assert_eq!(next.standings(), board.standings());
        assert_eq!(
            next.standings()["a"],
            Standing { reading: Reading::Value(12), detail: "holds 12".to_owned(), blind: None }
        );
        assert!(!next.standings().contains_key("c"));

        next.list(&Check { subject: Subject::Interface("vsw0".to_owned()), fall: 2, ..check("a") }, None);
        assert_eq!(next.standings()["a"].reading, Reading::Value(12));
        say(&next, "a", 13);
        assert_eq!(next.standings()["a"].reading, Reading::Value(12), "it takes two looks now");
    }

    /// What was known last stays, through another program too, and the election thread hears how old it is.
    #[test]
    fn a_check_that_sees_nothing_goes_by_what_was_known_last() {
        let board = Board::default();
        board.list(&Check { start: Some(Reading::Passing), ..check("a") }, None);
        let blind = |board: &Board, reason: &str| {
            board.note("a", Look { seen: None, blind: Some(reason.to_owned()) }, Duration::ZERO);
            let standing = board.changes().remove("a").flatten();
            standing.map(|Standing { reading, detail, blind }| (reading, detail, blind.unwrap()))
        };
        let because = |reason: &str, seen_at| Blind { reason: reason.to_owned(), seen_at };
        let start = (Reading::Passing, "as configured for the start".to_owned(), because("refused", None));
        assert_eq!(blind(&board, "refused"), Some(start));
        assert_eq!(blind(&board, "refused"), None, "it is no news");

        let (seen_at, detail) = (Instant::from_nanos(7_000), "0 pods".to_owned());
        let seen = Some((Outcome::failing(detail.clone()), seen_at));
        board.note("a", Look { seen, blind: None }, Duration::ZERO);
        assert_eq!(board.changes()["a"].as_ref().unwrap().blind, None);
        let known = (Reading::Failing, detail, because("silent", Some(seen_at)));
        assert_eq!(blind(&board, "silent"), Some(known.clone()));

        let next = Board::default();
        next.list(&check("a"), board.to_memory().first());
        assert_eq!(next.standings()["a"].blind, None);
        assert_eq!(blind(&next, "silent"), Some(known));
        let status = next.status().remove(0);
        assert_eq!((status.looks, status.failures), (5, 1));
        assert_eq!((status.detail.as_deref(), status.blind.as_deref()), (Some("0 pods"), Some("silent")));
    }
}
