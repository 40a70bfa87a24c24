//! Interfaces that change, go and come back, or are judged in another place.

use std::time::Duration;

use tracing::{info, warn};
use vrrp::{Instant, election::Cause};

use super::{Interface, Reactor, places};
use crate::{
    clock,
    datapath::{Attachment, Datapath},
    link::LinkState,
    router::VirtualRouter,
};

/// Between two attempts to be on an interface: each keeps the elections on others waiting for a moment.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

impl Reactor {
    /// Takes in the state of an interface. One that was deleted and made anew is another: the guard and the sockets have
    /// to be put on it.
    pub(super) fn link_changed(&mut self, link: LinkState, now: Instant) {
        let Some(at) = self.interfaces.iter().position(|known| known.link.interface == link.interface) else { return };
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        interface.link = link;
        let (old, new) = (interface.ifindex, interface.link.ifindex);
        let is_left = old != 0 && new != old;
        let is_sought = new != 0 && (new != old || interface.again_at.is_some());
        // First of all its virtual routers learn that they cannot serve.
        self.heed_link(at, now);
        if is_left {
            self.leave(at);
        }
        if is_sought {
            self.settle(at, now);
        }
        self.bequeath();
    }

    /// Tries again to be on interfaces where that has failed, when its time has come.
    pub(super) fn settle_again(&mut self, now: Instant) {
        let is_due = |known: &Interface| known.link.ifindex != 0 && known.again_at.is_some_and(|at| now >= at);
        for at in 0..self.interfaces.len() {
            if self.interfaces.get(at).is_some_and(is_due) {
                self.settle(at, now);
                self.bequeath();
            }
        }
    }

    /// Takes the guard off an interface that is gone, or has another name now.
    fn leave(&mut self, at: usize) {
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        warn!(interface = interface.link.interface, index = interface.ifindex, "the interface is gone");
        self.desk.datapath.detach(&interface.link.interface);
        self.sockets.forget(interface.ifindex);
        (interface.ifindex, interface.again_at) = (0, None);
        let name = &interface.link.interface;
        self.routers.iter_mut().filter(|router| router.interface() == name).for_each(VirtualRouter::leave);
    }

    /// Puts the guard on the interface that has the name now, if it is not there yet, and the virtual routers.
    fn settle(&mut self, at: usize, now: Instant) {
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        let (name, old, ifindex) = (interface.link.interface.clone(), interface.ifindex, interface.link.ifindex);
        interface.again_at = None;
        if old != ifindex {
            let attached = self.under_cover(|datapath| datapath.attach(&name, ifindex));
            let Some(interface) = self.interfaces.get_mut(at) else { return };
            match attached {
                Ok(attachment) => {
                    (interface.ifindex, interface.attachment) = (ifindex, attachment);
                    info!(interface = name, index = ifindex, "the interface is there");
                }
                Err(error) => {
                    warn!("{error:#}; its virtual routers stay in Fault, and this is tried again in {AGAIN_AFTER:?}");
                    interface.again_at = Some(now + AGAIN_AFTER);
                    return;
                }
            }
        }
        self.settle_routers(at, now);
    }

    /// Changes what is attached. The kernel may verify a program for that, for half a second: the supervisor advertises meanwhile.
    fn under_cover<T>(&mut self, change: impl FnOnce(&mut Datapath) -> T) -> T {
        self.tell_supervisor(clock::now());
        if let Err(error) = self.supervised.cover() {
            self.watchman.once(&format!("the supervisor does not advertise while this thread is held up: {error:#}"));
        }
        let outcome = change(&mut self.desk.datapath);
        if let Some(authentication) = &mut self.desk.authentication {
            authentication.go_on_after_another();
        }
        self.tell_supervisor(clock::now());
        outcome
    }

    /// Moves the virtual routers of an interface to where it is judged now. Those that cannot be moved are in Fault until they can.
    fn settle_routers(&mut self, at: usize, now: Instant) {
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        let mut failure = None;
        let is_elsewhere = |router: &&mut VirtualRouter, interface: &Interface| {
            router.interface() == interface.link.interface && !router.is_on(interface)
        };
        for router in self.routers.iter_mut().filter(|router| is_elsewhere(router, interface)) {
            if let Err(error) = router.settle(interface, &mut self.sockets, &mut self.desk) {
                router.leave();
                failure.get_or_insert((router.name(), error));
            }
        }
        if let Some((router, error)) = failure {
            warn!(router, "{error:#}; what cannot be served is in Fault, and this is tried again in {AGAIN_AFTER:?}");
            interface.again_at = Some(now + AGAIN_AFTER);
        }
        self.places = places(&self.routers);
        self.heed_link(at, now);
    }

    /// Takes in where the guard was taken off again and put elsewhere.
    pub(super) fn look_after_guard(&mut self, now: Instant) {
        for name in self.desk.datapath.look(now) {
            let Some(at) = self.interfaces.iter().position(|known| known.link.interface == name) else { continue };
            match self.under_cover(|datapath| datapath.fall_back(&name)) {
                Ok(attachment) => self.judge_elsewhere(at, attachment, now),
                Err(error) => self.give_up(at, &error, now),
            }
            self.bequeath();
        }
    }

    fn judge_elsewhere(&mut self, at: usize, attachment: Attachment, now: Instant) {
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        let has_moved = interface.attachment.scope != attachment.scope;
        interface.attachment = attachment;
        if has_moved {
            self.settle_routers(at, now);
        }
    }

    /// Nobody is heard on an interface any more. Who would take over there, or go on, might serve beside another one.
    fn give_up(&mut self, at: usize, error: &anyhow::Error, now: Instant) {
        let Some(interface) = self.interfaces.get_mut(at) else { return };
        let name = &interface.link.interface;
        warn!(interface = name, "{error:#}; nobody is heard there, and this is tried again in {AGAIN_AFTER:?}");
        let concerned = |router: &&mut VirtualRouter| router.interface() == name;
        for router in self.routers.iter_mut().filter(concerned) {
            router.set_cause(Cause::Link, true, &mut self.desk, now);
        }
        // The goodbye goes by the sockets of the interface.
        self.desk.outbox.flush();
        self.routers.iter_mut().filter(concerned).for_each(VirtualRouter::leave);
        self.sockets.forget(interface.ifindex);
        (interface.ifindex, interface.again_at) = (0, Some(now + AGAIN_AFTER));
    }

    pub(super) fn heed_link(&mut self, at: usize, now: Instant) {
        let Some(interface) = self.interfaces.get(at) else { return };
        self.desk.datapath.set_carrier(&interface.link.interface, interface.link.up);
        for router in &mut self.routers {
            router.link(&interface.link, &mut self.desk, now);
        }
    }
}
