//! Runs a program for each event: one at a time for each virtual router or group, several at a time for all together.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};

use super::{
    Phase,
    hook::{self, Ended},
    queue::{Backlog, Queue, Waiting},
};
use crate::config::notify::Exec;

/// Programs that a target runs at a time.
const RUNNING_MAX: usize = 16;

/// Tells of the events in `queue` as long as `phase` lets it.
pub(super) async fn run(mut queue: Queue, exec: Exec, mut phase: watch::Receiver<Phase>) -> Backlog {
    let exec = Arc::new(exec);
    let mut running: JoinSet<(Waiting, Ended)> = JoinSet::new();
    let mut busy: Vec<String> = Vec::new();
    loop {
        let now = *phase.borrow_and_update();
        while now.may_start()
            && running.len() < RUNNING_MAX
            && let Some(waiting) = queue.take_idle(&busy)
        {
            busy.push(waiting.event.subject.name().to_owned());
            let (exec, phase) = (Arc::clone(&exec), phase.clone());
            running.spawn(async move {
                let ended = hook::run(&exec, &waiting.event, super::aborted(phase)).await;
                (waiting, ended)
            });
        }
        queue.show_waiting(running.len());
        if running.is_empty() && now.is_over(queue.is_empty()) {
            return queue.into_backlog();
        }
        tokio::select! {
            Ok(()) = phase.changed() => {}
            () = queue.news(), if now.may_take_in() => queue.take_in(),
            Some(ended) = running.join_next() => match ended {
                Ok((waiting, ended)) => settle(&mut queue, waiting, ended, &mut busy),
                Err(error) => queue.show_error(&format!("failed to run a program: {error}")),
            },
        }
    }
}

/// Takes in how a run has ended.
fn settle(queue: &mut Queue, waiting: Waiting, ended: Ended, busy: &mut Vec<String>) {
    busy.retain(|name| name != waiting.event.subject.name());
    match ended {
        Ended::Well => queue.count_told(1),
        Ended::Badly(why) => {
            queue.give_up(1, &why);
            queue.show_error(&why);
        }
        Ended::Aborted => queue.put_back(waiting),
    }
}
