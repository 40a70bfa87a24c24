//! A virtual router that goes on with another configuration, in the state that it is in.

use std::{collections::BTreeSet, mem};

use ipnet::IpNet;
use vrrp::Instant;

use super::{VirtualRouter, find_own_address};
use crate::{
    config::{self, LinkLocalSenders},
    desk::Desk,
    reactor::Interface,
};

impl VirtualRouter {
    /// Goes on as `config` says, which has the same [identity](config::WireIdentity), version and owner. Goes on after an
    /// error and returns the first.
    pub fn reconfigure(
        &mut self,
        config: config::VirtualRouter,
        interface: &Interface,
        desk: &mut Desk,
        now: Instant,
    ) -> anyhow::Result<()> {
        let peers: Vec<_> = self.config.peers.iter().map(|peer| self.peer_key(peer)).collect();
        let old = mem::replace(&mut self.config, config);
        self.own_address = find_own_address(&self.config, &interface.link);
        let mut outcome = self.introduce_peers(&mut desk.datapath).and_then(|()| self.configure(desk));
        if self.config.link_local_senders == LinkLocalSenders::Listed {
            for key in self.learned.keys().copied().collect::<Vec<_>>() {
                self.forget(key, desk);
            }
        }
        for key in peers {
            if !self.config.peers.iter().any(|peer| self.peer_key(peer) == key) {
                outcome = outcome.and(desk.datapath.remove_peer(&key));
                self.heard.remove(&key);
                self.refusals.forget(key);
                self.oddities.forget(key);
            }
        }
        let kept: BTreeSet<_> = self.config.held_addresses().map(IpNet::addr).collect();
        let gone = old.held_addresses().map(IpNet::addr).filter(|address| !kept.contains(address));
        let gone: Vec<_> = gone.map(|address| self.vip_key(address)).collect();
        outcome = outcome.and(desk.datapath.remove_vips(&gone, &self.key));
        self.hold(self.config.holdings());
        // Where adverts come from may have changed, and the virtual router with it be able to serve or not.
        self.link(&interface.link, desk, now);
        self.heed_checks(desk, now);
        outcome
    }
}
