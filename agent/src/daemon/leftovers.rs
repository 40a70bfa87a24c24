//! What an earlier run has left on the host, and what of it stays because the program before runs on in this one.

use rtnetlink::Handle;

use super::scope::{rules, virtual_addresses, watched};
use crate::{
    config::{self, Config},
    link::LinkState,
    perform::sweep::{self, Held},
    restart::Memory,
    router::memory::RouterMemory,
};

/// Removes what was left. An earlier run may have been killed while it was Active: first of all this host stops answering for it.
pub(super) async fn sweep(
    config: &Config,
    memory: &Memory,
    links: &[LinkState],
    handle: &Handle,
) -> anyhow::Result<()> {
    for link in links.iter().filter(|link| link.ifindex != 0) {
        let (configured, held) = (virtual_addresses(config, &link.interface), held(config, memory, &link.interface));
        sweep::interface(handle, link.ifindex, &configured, &held).await?;
    }
    if !memory.is_resumed() {
        return sweep::rules(watched(config).interfaces, rules(config)).await;
    }
    // The program before may not have come to remove them. Another virtual router may hold the same.
    let (held, idle): (Vec<_>, Vec<_>) = config.virtual_routers.iter().partition(|router| is_active(router, memory));
    let held: Vec<_> = held.iter().flat_map(|router| &router.rules).collect();
    let left = idle.iter().flat_map(|router| &router.rules).filter(|rule| !held.contains(rule));
    sweep::these_rules(left.copied().collect()).await
}

/// Whether the program before was Active for a virtual router.
fn is_active(router: &config::VirtualRouter, memory: &Memory) -> bool {
    memory.router(&router.identity()).is_some_and(RouterMemory::is_active)
}

/// What the program before has put on an interface, and this one leaves there.
fn held(config: &Config, memory: &Memory, interface: &str) -> Held {
    let holds = |router: &&config::VirtualRouter| router.interface == interface && is_active(router, memory);
    let routers: Vec<_> = config.virtual_routers.iter().filter(holds).collect();
    Held {
        items: routers.iter().flat_map(|router| router.holdings().items()).collect(),
        virtual_macs: routers.iter().filter_map(|router| router.virtual_mac()).collect(),
    }
}
