//! Interfaces that change, go and come back, or are judged in another place.

use tracing::{info, warn};
use vrrp::Instant;

use super::{Interface, Reactor, places};
use crate::{link::LinkState, router::VirtualRouter};

impl Reactor {
    /// Takes in the state of an interface. One that was deleted and made anew is another: the guard and the sockets have
    /// to be put on it.
    pub(super) fn link_changed(&mut self, link: LinkState, now: Instant) {
        let Some(at) = self.interfaces.iter().position(|known| known.link.interface == link.interface) else { return };
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        interface.link = link;
        let (old, new) = (interface.ifindex, interface.link.ifindex);
        // First of all its virtual routers learn that they cannot serve.
        self.heed_link(at, now);
        if new != old {
            self.leave(at);
        }
        if new != 0 && new != old {
            match self.settle(at, new) {
                Ok(()) => self.heed_link(at, now),
                Err(error) => warn!("{error:#}; its virtual routers stay in Fault until the interface changes again"),
            }
        }
        self.bequeath();
    }

    /// Takes the guard off an interface that is gone, or has another name now.
    pub(super) fn leave(&mut self, at: usize) {
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        if interface.ifindex != 0 {
            warn!(interface = interface.link.interface, index = interface.ifindex, "the interface is gone");
            self.desk.datapath.detach(&interface.link.interface);
            self.sockets.forget(interface.ifindex);
            interface.ifindex = 0;
            let name = &interface.link.interface;
            self.routers.iter_mut().filter(|router| router.interface() == name).for_each(VirtualRouter::leave);
        }
    }

    /// Puts the guard, the sockets and the virtual routers on the interface that has the name now.
    pub(super) fn settle(&mut self, at: usize, ifindex: u32) -> anyhow::Result<()> {
        let Some(interface) = self.interfaces.get_mut(at) else { return Ok(()) };
        let name = interface.link.interface.clone();
        let attachment = self.desk.datapath.attach(&name, ifindex)?;
        *interface = Interface { ifindex, link: interface.link.clone(), attachment };
        self.resettle(&name)?;
        info!(interface = name, index = ifindex, "the interface is there");
        Ok(())
    }

    /// Moves the virtual routers of an interface to where it is judged now.
    pub(super) fn resettle(&mut self, name: &str) -> anyhow::Result<()> {
        let Some(interface) = self.interfaces.iter().find(|known| known.link.interface == name) else { return Ok(()) };
        let routers = self.routers.iter_mut().filter(|router| router.interface() == name);
        for router in routers {
            router.settle(interface, &mut self.sockets, &mut self.desk)?;
        }
        self.places = places(&self.routers);
        Ok(())
    }

    /// Takes in where the guard was taken off again and put elsewhere.
    pub(super) fn look_after_guard(&mut self, now: Instant) {
        for (name, attachment) in self.desk.datapath.look(now) {
            let Some(interface) = self.interfaces.iter_mut().find(|known| known.link.interface == name) else {
                continue;
            };
            let has_moved = interface.attachment.scope != attachment.scope;
            interface.attachment = attachment;
            if has_moved && let Err(error) = self.resettle(&name) {
                warn!("{error:#}");
            }
        }
    }

    pub(super) fn heed_link(&mut self, at: usize, now: Instant) {
        let Some(interface) = self.interfaces.get(at) else { return };
        self.desk.datapath.set_carrier(&interface.link.interface, interface.link.up);
        for router in &mut self.routers {
            router.link(&interface.link, &mut self.desk, now);
        }
    }
}
