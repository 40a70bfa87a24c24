//! A list of objects, and then what becomes of them, for ever.

use std::{convert::Infallible, time::Duration};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::WatchEvent;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Teller,
    api::{Api, Trouble},
    fact::{Facts, Object, judge},
};
use crate::{
    chance::jittered,
    check::{Kubernetes, Question},
};

/// The wait after a failure: each doubles the next, up to the most. What the API asks for counts up to a minute.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(8);
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);
/// A watch that the API has not ended by then is over all the same: it may be that nobody is at the other end.
const WATCH_MAX: Duration = Duration::from_secs(15);
/// How long a watch goes on well until it is believed, if it says nothing.
const PROOF: Duration = Duration::from_secs(3);
/// What the API says where it no longer knows what has happened since then.
const GONE: u16 = 410;

/// How a watch ends that nothing is wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It goes on from where it was.
    Over,
    /// The API no longer knows what happened since then.
    Gone,
}

/// Watches what is asked for, and never ends.
pub(super) async fn run(asked: &Kubernetes, teller: &Teller) {
    match asked.question {
        Question::Pods { .. } => watch::<Pod>(asked, teller).await,
        Question::Schedulable => watch::<Node>(asked, teller).await,
    }
}

async fn watch<K: Object>(asked: &Kubernetes, teller: &Teller) {
    let mut watch = Watch { asked, teller, facts: Facts::new(), version: String::new(), failures: 0 };
    loop {
        let Err(Trouble { reason, retry_after, .. }) = watch.go_on::<K>().await;
        teller.is_blind(reason);
        sleep(pause(watch.failures, retry_after)).await;
        watch.failures = watch.failures.saturating_add(1);
    }
}

/// What is known of the objects.
struct Watch<'a> {
    asked: &'a Kubernetes,
    teller: &'a Teller,
    facts: Facts,
    /// Up to where the facts go, as the API counts.
    version: String,
    /// How often in a row it went wrong.
    failures: u32,
}

impl Watch<'_> {
    /// Lists, and follows, until something is wrong.
    async fn go_on<K: Object>(&mut self) -> Result<Infallible, Trouble> {
        let api = Api::new::<K>(self.asked)?;
        loop {
            let list = api.list::<K>().await?;
            self.version = list.metadata.resource_version.unwrap_or_default();
            self.facts = list.items.iter().filter_map(fact).collect();
            self.teller.saw(judge(self.asked, &self.facts));
            loop {
                let begun = Instant::now();
                let end = self.follow::<K>(&api).await?;
                // One that ends at once each time is not begun without a pause.
                sleep_until(begun + PAUSE).await;
                if end == End::Gone {
                    break;
                }
            }
        }
    }

    /// Takes in what one watch says.
    async fn follow<K: Object>(&mut self, api: &Api) -> Result<End, Trouble> {
        let Some(mut lines) = api.watch(&self.version).await? else { return Ok(End::Gone) };
        self.teller.heard();
        let begun = Instant::now();
        let mut is_proven = false;
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                () = sleep_until(begun + PROOF), if !is_proven => {
                    (is_proven, self.failures) = (true, 0);
                    self.teller.sees();
                    continue;
                }
                () = sleep_until(begun + WATCH_MAX) => return Ok(End::Over),
            };
            let Some(line) = line else {
                self.teller.heard();
                return Ok(End::Over);
            };
            let event = serde_json::from_slice(&line);
            let event = event.map_err(|error| Trouble::new(format!("the API says what is no event: {error}")))?;
            if !self.take::<K>(event)? {
                return Ok(End::Gone);
            }
            (is_proven, self.failures) = (true, 0);
            self.teller.sees();
        }
    }

    /// Takes in an event; whether the watch goes on after it.
    fn take<K: Object>(&mut self, event: WatchEvent<K>) -> Result<bool, Trouble> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                self.version = object.meta().resource_version.clone().unwrap_or_default();
                self.facts.extend(fact(&object));
            }
            WatchEvent::Deleted(object) => {
                self.version = object.meta().resource_version.clone().unwrap_or_default();
                self.facts.remove(object.meta().name.as_deref().unwrap_or_default());
            }
            WatchEvent::Bookmark(bookmark) => self.version = bookmark.metadata.resource_version,
            WatchEvent::Error(status) if status.code == GONE => return Ok(false),
            WatchEvent::Error(status) => {
                let said = status.message.escape_debug();
                return Err(Trouble::new(format!("the API ends the watch with {}: {said}", status.code)));
            }
        }
        self.teller.saw(judge(self.asked, &self.facts));
        Ok(true)
    }
}

/// The name of an object, and whether it is as it should be.
fn fact<K: Object>(object: &K) -> Option<(String, bool)> {
    Some((object.meta().name.clone()?, object.is_well()))
}

/// How long to wait after so many `failures` before.
fn pause(failures: u32, retry_after: Option<Duration>) -> Duration {
    let span = (PAUSE * 2_u32.pow(failures.min(8))).min(PAUSE_MAX);
    jittered(span).max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        for (failures, most) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 8), (u32::MAX, 8)] {
            let (most, wait) = (Duration::from_secs(most), pause(failures, None));
            assert!(most / 2 <= wait && wait <= most, "{wait:?} after {failures} failures");
        }
        assert_eq!(pause(0, Some(Duration::from_secs(20))), Duration::from_secs(20));
        assert_eq!(pause(0, Some(Duration::from_hours(20))), Duration::from_mins(1));
    }
}
