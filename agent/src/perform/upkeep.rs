//! Puts back what somebody else has removed or spoilt while it should be held: another program, or the kernel, which takes
//! routes along with the addresses that they name.

use std::{collections::BTreeMap, io, net::IpAddr, time::Duration};

use anyhow::Context;
use rtnetlink::packet_route::address::AddressMessage;
use tokio::{sync::watch, task::spawn_blocking, time::Instant};
use tracing::warn;

use super::{
    Done, Performer, Wish, address,
    holdings::{Ground, Item},
    names,
    netlink::Order,
    route, rule,
};
use crate::mailbox::Mail;

/// How long until the host is looked at again after something was amiss: whoever removes things, they are put back once a second
/// at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is amiss on the host.
#[derive(Debug, Default)]
struct Amiss {
    /// What should be there and is not.
    missing: Vec<Item>,
    /// IPv6 addresses that are there, for which nobody is answered, each as it is there.
    unfit: Vec<(Item, AddressMessage)>,
}

impl Amiss {
    /// What must go before it can be mended: addresses as they are, and what is left of routes.
    fn room(&self, ground: Ground) -> Vec<Order> {
        let unfit = self.unfit.iter().map(|(_, message)| address::take_off_message(message.clone()));
        let routes = self.missing.iter().filter(|item| matches!(item, Item::Route(_)));
        unfit.chain(routes.map(|item| item.take_off(ground))).collect()
    }
}

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
        self.complain(&amiss.unfit).await;
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
        let survey = spawn_blocking(move || survey(ground, &items)).await;
        survey.context("a thread that asks the kernel panicked")?.context("failed to read what is on the host")
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
    async fn complain(&self, unfit: &[(Item, AddressMessage)]) {
        for address in unfit.iter().filter_map(|(item, _)| item.address()) {
            warn!(%address, "somebody else has added this virtual address anew, and it is not answered for: adding it again");
            self.mailbox.send(Mail::Unfit { router: self.router, address: address.addr() }).await;
        }
    }
}

/// What of `items` is amiss on `ground`, or everywhere where there is none. Blocks.
fn survey(ground: Option<Ground>, items: &[Item]) -> io::Result<Amiss> {
    let has = |kind: fn(&Item) -> bool| items.iter().any(kind);
    let (mut addresses, mut routes, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(Ground { ifindex, .. }) = ground {
        if has(|item| matches!(item, Item::Address(_))) {
            addresses = address::list(ifindex)?;
        }
        if has(|item| matches!(item, Item::Route(_))) {
            routes = route::list(ifindex)?;
        }
    }
    if has(|item| matches!(item, Item::Rule(_))) {
        rules = rule::list()?;
    }
    let addresses: BTreeMap<IpAddr, AddressMessage> = addresses.into_iter().collect();
    let mut amiss = Amiss::default();
    for item in items {
        let is_there = match item {
            Item::Address(net) => match addresses.get(&net.addr()) {
                Some(message) if address::is_unfit(message) => {
                    amiss.unfit.push((*item, message.clone()));
                    true
                }
                found => found.is_some(),
            },
            Item::Route(route) => routes.iter().any(|message| route.is(message)),
            Item::Rule(rule) => rules.iter().any(|message| rule.is(message)),
        };
        if !is_there {
            amiss.missing.push(*item);
        }
    }
    Ok(amiss)
}
