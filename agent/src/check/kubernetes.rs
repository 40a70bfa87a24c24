//! What Kubernetes says of this node: whether pods on it are ready, and whether it is cordoned.
//!
//! A watch of the API, on a thread of its own: nothing that hangs there holds up another check. What was known last stays while
//! the API is away.

mod api;
mod fact;
mod watch;

use std::{io, path::Path, thread};

use tokio::{
    runtime::Builder,
    sync::{oneshot, watch as channel},
};

use super::{
    Kubernetes,
    task::{Look, Outcome},
};
use crate::clock;

/// Why the API cannot be asked from this host as `kubeconfig`, or else the service account of a pod, has it; a clause.
#[must_use]
pub fn api_problem(kubeconfig: Option<&Path>) -> Option<String> {
    api::config(kubeconfig).err()
}

/// Looks at what a watch knows.
#[derive(Debug)]
pub(super) struct Watcher {
    question: Kubernetes,
    line: Option<Line>,
}

/// A watch that goes on, and ends with this.
#[derive(Debug)]
struct Line {
    known: channel::Receiver<Look>,
    _end: oneshot::Sender<()>,
}

impl Watcher {
    pub(super) const fn new(question: Kubernetes) -> Self {
        Self { question, line: None }
    }

    pub(super) fn look(&mut self) -> Look {
        let line = match &mut self.line {
            Some(line) => line,
            none => match open(self.question.clone()) {
                Ok(line) => none.insert(line),
                Err(error) => return Look { seen: None, blind: Some(format!("there is no thread for it: {error}")) },
            },
        };
        let known = line.known.borrow_and_update().clone();
        if line.known.has_changed().is_err() {
            self.line = None;
            return Look { blind: Some("the watch has ended, and begins anew".to_owned()), ..known };
        }
        known
    }

    /// Returns when something else is known.
    pub(super) async fn disturbed(&mut self) {
        let has_changed = match &mut self.line {
            Some(line) => line.known.changed().await.is_ok(),
            None => false,
        };
        if !has_changed {
            std::future::pending::<()>().await;
        }
    }
}

fn open(question: Kubernetes) -> io::Result<Line> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (teller, known) = Teller::new();
    let (end, ended) = oneshot::channel();
    thread::Builder::new().name("kubernetes".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                // Nothing is ever sent: this waits for the other end to go.
                _ = ended => {}
                () = watch::run(&question, &teller) => {}
            }
        });
        runtime.shutdown_background();
    })?;
    Ok(Line { known, _end: end })
}

/// What tells the check. Only what is news hastens a look.
#[derive(Debug)]
struct Teller(channel::Sender<Look>);

impl Teller {
    fn new() -> (Self, channel::Receiver<Look>) {
        let (sender, receiver) = channel::channel(Look { seen: None, blind: None });
        (Self(sender), receiver)
    }

    /// The API has said what comes to `outcome`.
    fn saw(&self, outcome: Outcome) {
        self.0.send_if_modified(|look| {
            let is_news = look.seen.as_ref().is_none_or(|(before, _)| *before != outcome);
            look.seen = Some((outcome, clock::now()));
            is_news
        });
    }

    /// The API has shown that what it said last still holds.
    fn heard(&self) {
        self.0.send_if_modified(|look| {
            if let Some((_, at)) = &mut look.seen {
                *at = clock::now();
            }
            false
        });
    }

    /// The API can be relied upon to tell what changes.
    fn sees(&self) {
        self.0.send_if_modified(|look| look.blind.take().is_some());
    }

    /// The API tells nothing, for this `reason`.
    fn is_blind(&self, reason: String) {
        self.0.send_if_modified(|look| look.blind.replace(reason).is_none());
    }
}

#[cfg(test)]
mod tests;
