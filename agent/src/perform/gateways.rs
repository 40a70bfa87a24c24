//! Who is asked for an answer after a takeover: the next hops of the routes through an interface, which the virtual routers
//! that take over together find out once.

use std::{collections::HashMap, net::IpAddr};

use anyhow::Context;
use tokio::{sync::Mutex, task::spawn_blocking, time::Instant};

use super::route;

/// What was found last, by interface.
#[derive(Debug, Default)]
pub struct Gateways(Mutex<HashMap<u32, (Instant, Vec<IpAddr>)>>);

impl Gateways {
    /// The next hops of all routes through the interface, each once, as they were at `since` or later: those who ask together
    /// share an answer.
    pub async fn of(&self, ifindex: u32, since: Instant) -> anyhow::Result<Vec<IpAddr>> {
        let mut known = self.0.lock().await;
        if let Some((asked_at, gateways)) = known.get(&ifindex)
            && *asked_at >= since
        {
            return Ok(gateways.clone());
        }
        let asked_at = Instant::now();
        let found = spawn_blocking(move || route::gateways(ifindex)).await;
        let found = found.context("a thread that asks the kernel panicked")?.context("failed to list routes")?;
        known.insert(ifindex, (asked_at, found.clone()));
        Ok(found)
    }
}
