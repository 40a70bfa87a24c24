//! The election thread: waits for adverts, mail and deadlines, and serves them in that order.
//!
//! Nothing here blocks except the one wait. Adverts come before deadlines, so that a thread that was held up learns
//! what it missed before it takes over from anybody.

use std::{
    collections::{BTreeSet, HashMap},
    os::fd::AsFd,
};

use anyhow::{Context, bail};
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
    mailbox::{Inbox, Mail},
    observe::{InterfaceStatus, RouterStatus, Snapshot},
    router::VirtualRouter,
};

/// Frames of each source that are handled before deadlines get their turn again.
const FRAMES_PER_TURN: usize = 1024;
/// Mail that is handled before deadlines get their turn again.
const MAIL_PER_TURN: usize = 64;

/// An interface and how its adverts are judged.
#[derive(Debug)]
pub struct Interface {
    /// Its index at the start, when the program and the sockets were put on it.
    pub ifindex: u32,
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
    pub inbox: Inbox,
    /// What a [`Snapshot`] says of the agent itself; its lists are filled in when it is asked for.
    pub about: Snapshot,
}

impl Reactor {
    /// Runs the elections until [`Mail::Shutdown`] or an error, and leaves every virtual router.
    pub fn run(mut self) -> anyhow::Result<()> {
        // The kernel may put off a wake-up by 50 µs unless told otherwise.
        if let Err(error) = prctl::set_timerslack(1) {
            warn!(%error, "timers stay imprecise");
        }
        let now = clock::now();
        for at in 0..self.interfaces.len() {
            self.heed_link(at, now);
        }
        self.routers.iter_mut().for_each(|router| router.start(now));
        let outcome = self.elect();
        info!("leaving");
        let now = clock::now();
        self.routers.iter_mut().for_each(|router| router.stop(now));
        outcome
    }

    fn elect(&mut self) -> anyhow::Result<()> {
        let places: HashMap<_, _> = self.routers.iter().enumerate().map(|(at, router)| (router.key(), at)).collect();
        loop {
            self.wait().context("the election thread cannot wait for events")?;
            // The moment that counts for this turn: everything that is known by the end of it arrived after.
            let now = clock::now();
            let late = self.takeovers_due(now);
            self.receive(&places);
            if self.take_mail()? {
                return Ok(());
            }
            self.confirm_silence(&places, late, now);
            self.routers.iter_mut().filter(|router| router.is_due(now)).for_each(|router| router.expire(now));
        }
    }

    /// Waits for something to read or the next deadline.
    fn wait(&self) -> nix::Result<()> {
        let deadline = self.routers.iter().filter_map(VirtualRouter::deadline).min();
        let timeout = deadline.map(|deadline| deadline.since(clock::now())).map(TimeSpec::from_duration);
        let mut fds: Vec<_> = std::iter::once(self.inbox.as_fd())
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
        let routers = &mut self.routers;
        self.datapath.receive(FRAMES_PER_TURN, |record| {
            let key = Family::from_number(record.family)
                .zip(record.message.get(1).copied().and_then(vrrp::Vrid::new))
                .map(|(family, vrid)| RouterKey::new(record.ifindex, family, vrid));
            if let Some(router) = key.and_then(|key| places.get(&key)).and_then(|&at| routers.get_mut(at)) {
                router.advert(record, clock::now());
            }
        });
    }

    /// The virtual routers that would take over now because nothing was heard.
    fn takeovers_due(&self, now: Instant) -> BTreeSet<usize> {
        let due = |(at, router): (usize, &VirtualRouter)| (router.is_backup() && router.is_due(now)).then_some(at);
        self.routers.iter().enumerate().filter_map(due).collect()
    }

    /// Asks the kernel's stamps before a takeover: where an advert got lost on its way here, its stamp did not.
    ///
    /// `late` are those whose deadline had passed when this thread woke; a takeover that does not happen after all is
    /// counted.
    fn confirm_silence(&mut self, places: &HashMap<RouterKey, usize>, mut late: BTreeSet<usize>, now: Instant) {
        let due = self.takeovers_due(now);
        let stamps: Vec<_> =
            due.iter().filter_map(|&at| Some((at, self.routers.get(at)?.stamps(&self.datapath)))).collect();
        if !stamps.is_empty() {
            // A stamp whose advert waits in the ring buffer is no news; the advert itself is.
            self.receive(places);
        }
        for (at, stamps) in stamps {
            if let Some(router) = self.routers.get_mut(at) {
                router.heed_stamps(stamps, now);
            }
        }
        late.extend(due);
        for at in late {
            if let Some(router) = self.routers.get_mut(at).filter(|router| router.is_backup() && !router.is_due(now)) {
                router.count_false_takeover();
            }
        }
    }

    /// Serves the mail; says whether it was the last.
    fn take_mail(&mut self) -> anyhow::Result<bool> {
        self.inbox.clear();
        for _ in 0..MAIL_PER_TURN {
            let Some(mail) = self.inbox.take() else { return Ok(false) };
            let now = clock::now();
            match mail {
                Mail::Link(link) => self.link_changed(link, now)?,
                Mail::Addresses { router, term, outcome } => {
                    if let Some(router) = self.routers.get_mut(router) {
                        router.addresses(term, outcome, now);
                    }
                }
                Mail::Status(asker) => {
                    // An asker that has gone away needs no answer.
                    let _ = asker.send(self.snapshot(now));
                }
                Mail::Shutdown => return Ok(true),
            }
        }
        self.inbox.wake();
        Ok(false)
    }

    /// Takes in the state of an interface. One that was deleted and made anew is another: neither the program nor the
    /// sockets are on it.
    fn link_changed(&mut self, link: LinkState, now: Instant) -> anyhow::Result<()> {
        let Some(at) = self.interfaces.iter().position(|known| known.link.interface == link.interface) else {
            return Ok(());
        };
        let Some(interface) = self.interfaces.get_mut(at) else { return Ok(()) };
        let (old, new) = (interface.ifindex, link.ifindex);
        if new != 0 && new != old {
            bail!("interface `{}` was made anew (index {old}, now {new}): start vipd again", link.interface);
        }
        interface.link = link;
        self.heed_link(at, now);
        Ok(())
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

    fn interface_status(&self, Interface { ifindex, link, attachment }: &Interface) -> InterfaceStatus {
        let not_configured = [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .map(|family| self.datapath.counters(&RouterKey::unconfigured(*ifindex, family)).not_configured)
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
