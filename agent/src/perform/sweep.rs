//! Removes what an earlier run has left on the host when it was killed: what has vipd's mark, and nothing else.

use std::{
    collections::{BTreeSet, HashSet},
    io,
    net::IpAddr,
};

use anyhow::{Context, anyhow};
use rtnetlink::Handle;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{
    address,
    holdings::{Item, Subject},
    netlink::{self, Order},
    route,
    rule::{self, Rule},
    virtual_mac::{self, VirtualMac},
};
use crate::claims;

/// What stays where it was left, because another program in the same process goes on with it.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Addresses and routes.
    pub items: Vec<Item>,
    /// Interfaces of Virtual Router MAC Addresses.
    pub virtual_macs: Vec<VirtualMac>,
}

/// Removes what was left on the interface, which belongs to this agent alone: interfaces above it, addresses, routes; but for
/// what is `held`.
///
/// One of the addresses `configured` that somebody else has put there stays, and is reported: this host answers for it,
/// whatever its state.
pub async fn interface(
    handle: &Handle,
    ifindex: u32,
    configured: &BTreeSet<IpAddr>,
    held: &Held,
) -> anyhow::Result<()> {
    virtual_mac::sweep(handle, ifindex, &held.virtual_macs).await?;
    let (configured, held) = (configured.clone(), held.items.iter().map(Item::subject).collect());
    blocking(move || on_interface(ifindex, &configured, &held)).await
}

fn on_interface(ifindex: u32, configured: &BTreeSet<IpAddr>, held: &HashSet<Subject>) -> anyhow::Result<()> {
    let mut leftovers = Vec::new();
    for message in route::list(ifindex).context("failed to read the routes")? {
        if route::is_marked(&message)
            && let Some((to, table)) = route::destination(&message)
            && !held.contains(&Subject::Route(to, table))
        {
            leftovers.push((format!("route to {to} in table {table}"), route::take_off_message(message)));
        }
    }
    // The last one first: none of them has to take the place of the first of its subnet then.
    for (address, message) in address::list(ifindex).context("failed to read the addresses")?.into_iter().rev() {
        if held.contains(&Subject::Address(address)) {
            continue;
        }
        if address::is_marked(&message) {
            leftovers.push((address.to_string(), address::take_off_message(message)));
        } else if configured.contains(&address) {
            warn!(%address, "a virtual address is on the interface, and vipd did not put it there: remove it");
        }
    }
    remove(leftovers)
}

/// Removes the rules that were left. Rules belong to no interface: while another agent than that of the interfaces `ours` runs
/// in this network namespace, a rule with vipd's mark may be its, and only those of `configured` are removed. One that
/// is removed by mistake, in the moment in which two agents start, is put back by who misses it.
pub async fn rules(ours: BTreeSet<String>, configured: Vec<Rule>) -> anyhow::Result<()> {
    let is_alone = claims::claimed().context("failed to list claims")?.is_subset(&ours);
    rules_that(move |rule| is_alone || rule.is_some_and(|rule| configured.contains(&rule))).await
}

/// Removes those of `rules` that were left.
pub async fn these_rules(rules: Vec<Rule>) -> anyhow::Result<()> {
    rules_that(move |rule| rule.is_some_and(|rule| rules.contains(&rule))).await
}

/// Removes the rules with vipd's mark that `is_left` tells; those that vipd does not make are none.
async fn rules_that(is_left: impl Fn(Option<Rule>) -> bool + Send + 'static) -> anyhow::Result<()> {
    blocking(move || {
        let marked = rule::list().context("failed to read the rules")?.into_iter().filter(rule::is_marked);
        let left = marked.filter(|message| is_left(Rule::of(message)));
        let named = left.map(|message| {
            let name = Rule::of(&message).map_or_else(|| "rule".to_owned(), |rule| rule.to_string());
            (name, rule::take_off_message(message))
        });
        remove(named.collect())
    })
    .await
}

/// Removes what was left, each with the name that it is called by.
fn remove(leftovers: Vec<(String, Order)>) -> anyhow::Result<()> {
    let (names, orders): (Vec<_>, Vec<_>) = leftovers.into_iter().unzip();
    for name in &names {
        warn!("removing what an earlier run has left: {name}");
    }
    let refused = netlink::carry_out(&orders).context("failed to remove what an earlier run has left")?;
    match refused.iter().find(|refused| !Item::is_gone(refused.error)) {
        Some(refused) => {
            let name = names.get(refused.at).map_or("?", String::as_str);
            let error = io::Error::from(refused.error);
            Err(anyhow!(error).context(format!("failed to remove {name}, which an earlier run has left")))
        }
        None => Ok(()),
    }
}

/// Waits for `work`, which asks the kernel, on a thread for such things.
async fn blocking(work: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<()> {
    spawn_blocking(work).await.context("a thread that asks the kernel panicked")?
}
