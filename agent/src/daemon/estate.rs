//! What a run that goes on has inherited and is not to keep: its configuration may be another one than that of the program
//! before, whose virtual routers are still on the host.

use std::thread;

use anyhow::{Context, anyhow};
use tracing::info;
use vrrp::{Priority, auth::Sequence};

use crate::{
    config::{self, Config},
    instance::Instance,
    link,
    perform::holdings::Item,
    restart::Memory,
    supervisor::{
        handover::{Handover, clear},
        release::read_key,
        vitals::Vitals,
        will::{Bequest, Will},
    },
};

/// Leaves the virtual routers in `memory` that `config` does not have any more, or has as others, and forgets them there; of those
/// that go on takes off the host what they are not to hold any more. Goes by the will of the program before.
pub(super) fn settle(config: &Config, instance: &Instance, memory: &mut Memory) -> anyhow::Result<()> {
    if memory.routers.is_empty() {
        return Ok(());
    }
    let path = instance.will();
    let will = Will::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let mut estate = Estate::default();
    for bequest in will.bequests.iter().filter(|bequest| is_known(bequest, memory)) {
        estate.take_in(bequest, config);
    }
    let left: Vec<_> = estate.left.iter().filter_map(Bequest::identity).collect();
    memory.routers.retain(|router| !left.iter().any(|identity| router.is_of(identity)));
    if estate.left.is_empty() && estate.freed.is_empty() {
        return Ok(());
    }
    // It has a runtime of its own, which cannot be in this one's.
    let settled = thread::scope(|scope| scope.spawn(|| estate.settle(will, instance)).join());
    let sequence = settled.map_err(|_| anyhow!("the thread that leaves virtual routers panicked"))??;
    memory.sequence = memory.sequence.max(sequence.map(Sequence::get));
    Ok(())
}

fn is_known(bequest: &Bequest, memory: &Memory) -> bool {
    bequest.identity().is_some_and(|identity| memory.router(&identity).is_some())
}

/// What is not to be kept.
#[derive(Debug, Default)]
struct Estate {
    /// Virtual routers that are no more.
    left: Vec<Bequest>,
    /// Those that go on, with what they are not to hold any more.
    freed: Vec<(Bequest, Vec<Item>)>,
}

impl Estate {
    fn take_in(&mut self, bequest: &Bequest, config: &Config) {
        let mut routers = config.virtual_routers.iter();
        let Some(router) =
            routers.find(|router| bequest.identity() == Some(router.identity()) && goes_on(bequest, router))
        else {
            self.left.push(bequest.clone());
            return;
        };
        let kept = router.holdings().items();
        let gone: Vec<_> = bequest.items.iter().filter(|item| !kept.contains(item)).copied().collect();
        if !gone.is_empty() {
            self.freed.push((bequest.clone(), gone));
        }
    }

    /// Returns the last sequence that was signed with.
    fn settle(&self, mut will: Will, instance: &Instance) -> anyhow::Result<Option<Sequence>> {
        let vitals = Vitals::open(&instance.vitals()).context("failed to open the vitals")?;
        let mut handover = Handover::new(instance)?;
        let interfaces = handover.runtime().block_on(link::indices(handover.handle()))?;
        let is_there = |bequest: &&Bequest| {
            vitals.is_active(bequest.slot) && interfaces.get(&bequest.interface) == Some(&bequest.ifindex)
        };
        let left: Vec<_> = self.left.iter().filter(is_there).cloned().collect();
        will.bequests.retain(|bequest| left.contains(bequest));
        let key = will.signing.as_ref().and_then(read_key);
        handover.adopt(will, key);
        // First of all the supervisor stops advertising for them.
        for bequest in &left {
            clear(bequest, &vitals);
        }
        let sequence = handover.say_goodbye(&left, &vitals);
        for bequest in &left {
            handover.remove_items(bequest);
            info!(router = bequest.name, "handed over: the configuration has it no more, or as another one");
        }
        for (bequest, items) in self.freed.iter().filter(|(bequest, _)| is_there(&bequest)) {
            handover.take_off(bequest, items.clone());
        }
        Ok(sequence)
    }
}

/// Whether the virtual router goes on as `router`, in its state.
fn goes_on(bequest: &Bequest, router: &config::VirtualRouter) -> bool {
    let is_owner = router.priority == Priority::OWNER;
    (bequest.version, bequest.virtual_mac, bequest.priority() == Some(Priority::OWNER))
        == (router.version.number(), router.virtual_mac, is_owner)
}
