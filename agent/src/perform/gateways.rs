//! Who is asked for an answer after a takeover: the next hops of the routes through an interface, which the virtual routers
//! that take over together find out once.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use anyhow::Context;
use tokio::{sync::Mutex, task::spawn_blocking, time::Instant};

use super::route;

/// For how long it is not asked again.
const AGE_MAX: Duration = Duration::from_millis(200);

/// What was found last, by interface.
#[derive(Debug, Default)]
pub struct Gateways(Mutex<HashMap<u32, (Instant, Vec<IpAddr>)>>);

impl Gateways {
    /// The next hops of all routes through the interface, each once, not much older than this call. One who asks while another's
    /// question is being answered has the answer too.
    pub async fn of(&self, ifindex: u32) -> anyhow::Result<Vec<IpAddr>> {
        let mut known = self.0.lock().await;
        if let Some((at, gateways)) = known.get(&ifindex)
            && at.elapsed() < AGE_MAX
        {
            return Ok(gateways.clone());
        }
        let asked_at = Instant::now();
        let found = spawn_blocking(move || route::gateways(ifindex)).await;
        let found = found.context("a thread that asks the kernel panicked")?.context("failed to list routes")?;
        known.retain(|_, (at, _)| at.elapsed() < AGE_MAX);
        known.insert(ifindex, (asked_at, found.clone()));
        Ok(found)
    }
}
