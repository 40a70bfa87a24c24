//! What a run that has ended without a word has left in the supervisor's care, for this one to go on with.

use std::{thread, time::Duration};

use anyhow::Context;
use tracing::{info, warn};
use vrrp::auth::Sequence;

use super::RELEASE_PATIENCE;
use crate::{
    clock,
    instance::Instance,
    restart::Memory,
    router::memory::RouterMemory,
    supervisor::{
        vitals::{self, Vitals},
        will::Will,
    },
};

/// How often it is looked whether the supervisor has answered.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Takes over the virtual routers that the supervisor of an earlier run advertises for, if there is one. This run must hold the
/// lock of `instance`. Otherwise the memory is empty, and the supervisor has done its work, if there was one.
pub(super) fn take_over(instance: &Instance) -> anyhow::Result<Memory> {
    let path = instance.vitals();
    let hint = || format!("failed to look for a supervisor in `{}`", path.display());
    if vitals::wait_for_supervisor(&path, Duration::ZERO).with_context(hint)? {
        return Ok(Memory::default());
    }
    let vitals = Vitals::open(&path).with_context(hint)?;
    let pid = std::process::id();
    vitals.ask(pid).with_context(hint)?;
    let end = clock::now() + RELEASE_PATIENCE;
    while clock::now() < end {
        if vitals.is_granted(pid) {
            return Ok(inherit(instance, &vitals));
        }
        if vitals::wait_for_supervisor(&path, Duration::ZERO).with_context(hint)? {
            return Ok(Memory::default());
        }
        thread::sleep(LOOK_EVERY);
    }
    warn!("the supervisor of an earlier run does not answer; it may take addresses from this one");
    Ok(Memory::default())
}

fn inherit(instance: &Instance, vitals: &Vitals) -> Memory {
    let path = instance.will();
    let will = match Will::read(&path) {
        Ok(will) => will,
        Err(error) => {
            warn!(%error, "failed to read `{}`: starting anew", path.display());
            return Memory::default();
        }
    };
    let served = will.bequests.iter().filter(|bequest| vitals.is_active(bequest.slot));
    let routers: Vec<_> = served.map(|bequest| RouterMemory::served(bequest, clock::now())).collect();
    info!(virtual_routers = routers.len(), "going on where a run has ended without a word");
    let mut memory = Memory::new();
    (memory.routers, memory.sequence) = (routers, vitals.sequence().map(Sequence::get));
    memory
}
