//! Puts back what somebody else has removed or spoilt while it should be held: another program, or the kernel, which takes
//! routes along with the addresses that they name.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context;
use tokio::{sync::watch, time::Instant};
use tracing::warn;

use super::{Done, Performer, Wish, holdings::Item, names, survey::Amiss};
use crate::mailbox::Mail;

/// How long until the host is looked at again after something was amiss: whoever removes things, they are put back once a second
/// at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Performer {
    /// Looks whether everything that should be held is there, and mends what is not.
    pub(super) async fn look(&self, wishes: &watch::Receiver<Wish>, done: &mut Done) {
        done.look_at = None;
        let Some(term) = done.held_term().filter(|&term| self.is_wanted(term, wishes)) else { return };
        let amiss = match self.survey().await {
            Ok(amiss) => amiss,
            Err(error) => {
                warn!("{error:#}; looking again");
                done.look_at = Some(Instant::now() + LOOK_AGAIN);
                return;
            }
        };
        let mut items = amiss.missing.clone();
        items.extend(amiss.unfit.iter().map(|(item, _)| *item));
        if items.is_empty() || !self.is_wanted(term, wishes) {
            return;
        }
        self.blame(&amiss.missing, done.held_since);
        self.complain(&amiss).await;
        if !self.put(term, |ground| amiss.room(ground), &items, wishes, done).await {
            return;
        }
        let addresses: Vec<_> = items.iter().filter_map(Item::address).collect();
        if !addresses.is_empty() {
            self.announce(&addresses, done).await;
        }
        self.protect();
        done.look_at = Some(Instant::now() + LOOK_AGAIN);
    }

    async fn survey(&self) -> anyhow::Result<Amiss> {
        let items = self.holdings.borrow().items();
        let ground = self.ground().await?;
        self.surveyor.survey(ground, items).await.context("failed to read what is on the host")
    }

    /// Says who has removed what, as far as the kernel has told since everything was there.
    fn blame(&self, missing: &[Item], since: Instant) {
        let mut by_whom: BTreeMap<String, (Option<Instant>, Vec<Item>)> = BTreeMap::new();
        let removals = self.disturbances.borrow();
        for item in missing {
            let removal = removals.of(&item.subject(), since);
            let by = removal.map_or_else(|| "unknown".to_owned(), |removal| removal.by.clone());
            let (first, items) = by_whom.entry(by).or_default();
            *first = first.or(removal.map(|removal| removal.at));
            items.push(*item);
        }
        for (by, (at, items)) in by_whom {
            let ago_ms = at.map(|at| at.elapsed().as_millis());
            warn!(missing = ?names(&items), by, ago_ms, "removed by somebody else: putting it back");
        }
    }

    /// Says which addresses somebody else has added so that they were probed for.
    async fn complain(&self, amiss: &Amiss) {
        for address in amiss.unfit.iter().filter_map(|(item, _)| item.address()) {
            warn!(%address, "somebody else has added this virtual address anew, and it is not answered for: adding it again");
            self.mailbox.send(Mail::Unfit { router: self.router, address: address.addr() }).await;
        }
    }
}
