//! `vipd release`: what a supervisor does, for an agent that was killed together with it.

use std::{fs, io, time::Duration};

use anyhow::Context;
use tracing::warn;
use vrrp::auth::{Key, KeyId};

use super::{
    handover::Handover,
    vitals::{self, Vitals},
    will::{Signing, Will},
};
use crate::{
    config::{Auth, AuthMode, KeyFile},
    instance::Instance,
    keys, link,
};

/// How long a supervisor that is at work is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hands over what the agent `instance`, which is gone, has left, and returns the virtual routers that it was Active for.
/// `None`: it has left nothing.
pub fn release(instance: &Instance) -> anyhow::Result<Option<Vec<String>>> {
    let (will_path, vitals_path) = (instance.will(), instance.vitals());
    if !vitals::wait_for_supervisor(&vitals_path, PATIENCE).context("failed to look for a supervisor")? {
        warn!("a supervisor of an earlier run is still at work; not waiting for it");
    }
    let mut will = match Will::read(&will_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("failed to read `{}`", will_path.display()))?,
    };
    let vitals = Vitals::open(&vitals_path).with_context(|| format!("failed to open `{}`", vitals_path.display()))?;
    let mut handover = Handover::new(instance)?;
    let interfaces = handover.runtime().block_on(link::indices(handover.handle()))?;
    will.bequests.retain(|bequest| interfaces.get(&bequest.interface) == Some(&bequest.ifindex));
    let active = will.bequests.iter().filter(|bequest| vitals.is_active(bequest.slot));
    let active = active.map(|bequest| bequest.name.clone()).collect();

    let key = will.signing.as_ref().and_then(read_key);
    if will.signing.is_some() && key.is_none() {
        warn!("adverts are to be signed, and there is no key: peers will refuse the goodbye");
    }
    handover.adopt(will, key);
    handover.settle(&vitals);
    for path in [will_path, vitals_path] {
        fs::remove_file(&path).with_context(|| format!("failed to remove `{}`", path.display()))?;
    }
    Ok(Some(active))
}

/// The key that signed; none, which is reported, where it cannot be read.
pub fn read_key(signing: &Signing) -> Option<Key> {
    let id = KeyId::new(signing.key)?;
    let auth = Auth {
        mode: AuthMode::Enforce,
        active_key: Some(id),
        keys: vec![KeyFile { id, file: signing.file.clone() }],
        window: signing.window,
        clock_grace: Duration::ZERO,
    };
    match keys::load(&auth) {
        Ok(mut keys) => keys.pop(),
        Err(error) => {
            warn!("{error}");
            None
        }
    }
}
