//! The election thread: waits for adverts, mail and deadlines, and serves them in that order.
//!
//! Nothing here blocks except the one wait. Adverts come before deadlines, so that a thread that was held up learns
//! what it missed before it takes over from anybody.

use std::{collections::HashMap, os::fd::AsFd};

use anyhow::Context;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl, time::TimeSpec},
};
use tracing::{info, warn};
use vrrp::{Family, Instant};
use vrrp_wire::abi::RouterKey;

use crate::{
    clock,
    datapath::{Attachment, Datapath},
    link::LinkState,
    mailbox::{Letterbox, Mail},
    observe::{InterfaceStatus, RouterStatus, Snapshot},
    router::VirtualRouter,
};

/// Adverts that are handled before deadlines get their turn again.
const ADVERTS_PER_TURN: usize = 1024;
/// Mail that is handled before deadlines get their turn again.
const MAIL_PER_TURN: usize = 64;

/// An interface and how its adverts are judged.
#[derive(Debug)]
pub struct Interface {
    /// Its state.
    pub link: LinkState,
    /// What judges its adverts.
    pub attachment: Attachment,
}

/// All elections of this agent.
#[derive(Debug)]
pub struct Reactor {
    /// Where adverts come from.
    pub datapath: Datapath,
    /// The virtual routers, in the order of the configuration.
    pub routers: Vec<VirtualRouter>,
    /// The interfaces that they are on.
    pub interfaces: Vec<Interface>,
    /// News from the rest of the agent.
    pub letterbox: Letterbox,
    /// What a [`Snapshot`] says of the agent itself; its lists are filled in when it is asked for.
    pub about: Snapshot,
}

impl Reactor {
    /// Runs the elections until [`Mail::Shutdown`].
    pub fn run(mut self) -> anyhow::Result<()> {
        // The kernel may put off a wake-up by 50 µs unless told otherwise.
        if let Err(error) = prctl::set_timerslack(1) {
            warn!(%error, "timers stay imprecise");
        }
        let places: HashMap<_, _> = self.routers.iter().enumerate().map(|(at, router)| (router.key(), at)).collect();
        let now = clock::now();
        for at in 0..self.interfaces.len() {
            self.heed_link(at, now);
        }
        self.routers.iter_mut().for_each(|router| router.start(now));
        loop {
            self.wait().context("the election thread cannot wait for events")?;
            let woken_at = clock::now();
            let due: Vec<_> = (0..self.routers.len()).filter(|&at| self.is_takeover_due(at, woken_at)).collect();
            self.receive(&places);
            self.confirm_silence(&due);
            if self.take_mail() {
                return Ok(());
            }
            let now = clock::now();
            self.routers.iter_mut().filter(|router| router.is_due(now)).for_each(|router| router.expire(now));
        }
    }

    /// Waits for something to read or the next deadline.
    fn wait(&self) -> nix::Result<()> {
        let deadline = self.routers.iter().filter_map(VirtualRouter::deadline).min();
        let timeout = deadline.map(|deadline| deadline.since(clock::now())).map(TimeSpec::from_duration);
        let mut fds: Vec<_> = std::iter::once(self.letterbox.as_fd())
            .chain(self.datapath.fds())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Hands every advert that waits to its virtual router.
    fn receive(&mut self, places: &HashMap<RouterKey, usize>) {
        for _ in 0..ADVERTS_PER_TURN {
            let record = match self.datapath.next_advert() {
                Ok(Some(record)) => record,
                Ok(None) => return,
                Err(error) => {
                    // A packet socket says once that its interface went down.
                    warn!(%error, "failed to read adverts");
                    return;
                }
            };
            let key = Family::from_number(record.family)
                .zip(record.message.get(1).copied().and_then(vrrp::Vrid::new))
                .map(|(family, vrid)| RouterKey::new(record.ifindex, family, vrid));
            let router = key.and_then(|key| places.get(&key)).and_then(|&at| self.routers.get_mut(at));
            if let Some(router) = router {
                router.advert(&record, clock::now());
            }
        }
    }

    fn is_takeover_due(&self, at: usize, now: Instant) -> bool {
        self.routers.get(at).is_some_and(|router| router.is_backup() && router.is_due(now))
    }

    /// Asks the kernel's stamps about virtual routers whose Active Router seemed silent when this thread woke.
    fn confirm_silence(&mut self, due: &[usize]) {
        let now = clock::now();
        for &at in due {
            let Some(router) = self.routers.get_mut(at) else { continue };
            router.heed_stamps(&self.datapath, now);
            if router.is_backup() && !router.is_due(now) {
                router.count_false_takeover();
            }
        }
    }

    /// Serves the mail; says whether it was the last.
    fn take_mail(&mut self) -> bool {
        self.letterbox.hush();
        for _ in 0..MAIL_PER_TURN {
            let Some(mail) = self.letterbox.take() else { return false };
            let now = clock::now();
            match mail {
                Mail::Link(link) => {
                    let at = self.interfaces.iter().position(|known| known.link.interface == link.interface);
                    if let Some((at, interface)) = at.and_then(|at| Some((at, self.interfaces.get_mut(at)?))) {
                        interface.link = link;
                        self.heed_link(at, now);
                    }
                }
                Mail::Addresses { router, term, outcome } => {
                    if let Some(router) = self.routers.get_mut(router) {
                        router.addresses(term, outcome, now);
                    }
                }
                Mail::Status(asker) => {
                    // An asker that has gone away needs no answer.
                    let _ = asker.send(self.snapshot(now));
                }
                Mail::Shutdown => {
                    info!("leaving");
                    self.routers.iter_mut().for_each(|router| router.stop(now));
                    return true;
                }
            }
        }
        // More may wait, and the bell is silent: ring it for ourselves by not waiting at all.
        self.letterbox.ring();
        false
    }

    fn heed_link(&mut self, at: usize, now: Instant) {
        let Some(interface) = self.interfaces.get(at) else { return };
        for router in &mut self.routers {
            router.link(&interface.link, &mut self.datapath, now);
        }
    }

    fn snapshot(&self, now: Instant) -> Snapshot {
        let interfaces = self.interfaces.iter().map(|interface| self.interface_status(interface)).collect();
        let routers: Vec<RouterStatus> = self.routers.iter().map(|router| router.status(&self.datapath, now)).collect();
        Snapshot { interfaces, virtual_routers: routers, ..self.about.clone() }
    }

    fn interface_status(&self, Interface { link, attachment }: &Interface) -> InterfaceStatus {
        let not_configured = [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .map(|family| self.datapath.counters(&RouterKey::unconfigured(link.ifindex, family)).not_configured)
            .sum();
        InterfaceStatus {
            name: link.interface.clone(),
            up: link.up,
            attach: attachment.mode.to_string(),
            attach_reason: attachment.reason.clone(),
            not_configured,
        }
    }
}
