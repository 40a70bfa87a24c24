//! Where adverts come from, and the guard in the kernel. Only this module knows that XDP and traffic control exist:
//! whatever the source, adverts leave it as [`AdvertRecord`]s that passed the same judgement.

pub mod attach;
pub(crate) mod bpffs;
mod canary;
mod drop_log;
pub mod guard;
mod hooks;
pub mod netlink;
pub mod nic;
pub mod object;
pub mod pins;
mod port;
mod preflight;
pub mod prospect;
mod rules;
pub mod socket;
pub mod tables;
mod witness;

use std::{
    collections::BTreeMap,
    fmt,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use anyhow::Context;
use tracing::{info, warn};
use vrrp::{Family, Instant};
use vrrp_wire::abi::{AdvertRecord, LAYOUT, RouterKey, Settings};

use self::{
    attach::{Hook, Scope, rungs},
    guard::Guard,
    netlink::Side,
    nic::Nic,
    port::Port,
    tables::UserTables,
};
use crate::config::{self, Attach, Mode, VlanGuard};

/// How the adverts of an interface are judged, and why not in a better way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What judges.
    pub mode: AttachMode,
    /// What could not be had: better modes, or a part of this one. `None` where all is as it was asked for.
    pub reason: Option<String>,
    /// The beginning of the keys of its virtual routers.
    pub scope: Scope,
}

/// What judges the adverts of an interface, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// XDP in the driver.
    Native,
    /// XDP in the network stack.
    Generic,
    /// A tcx program.
    Tcx,
    /// A classifier.
    Clsact,
    /// The agent, over a packet socket: nothing is dropped, and a flood reaches the agent.
    Socket,
}

impl AttachMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [Self::Native, Self::Generic, Self::Tcx, Self::Clsact, Self::Socket];
}

impl From<Hook> for AttachMode {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Native => Self::Native,
            Hook::Generic => Self::Generic,
            Hook::Tcx => Self::Tcx,
            Hook::Clsact => Self::Clsact,
        }
    }
}

impl fmt::Display for AttachMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Socket => "socket",
        })
    }
}

/// The source of adverts of all interfaces.
#[derive(Debug)]
pub struct Datapath {
    guard: Option<Guard>,
    tables: UserTables,
    ports: Vec<Port>,
    /// Whose arrivals are counted, and until when.
    watched: BTreeMap<RouterKey, Instant>,
    /// When it was last looked whether fences have opened.
    fences_looked_at: Instant,
    mode: Mode,
    log_drops: bool,
    attach: Attach,
    vlan: VlanGuard,
    /// Why there is no guard; `None` where there is one, or none was asked for.
    no_guard: Option<String>,
}

impl Datapath {
    /// Whether what came since another program used this agent's maps has been noted there, on an interface that is judged so.
    #[must_use]
    pub fn has_gone_on_hearing(&self, mode: AttachMode) -> bool {
        mode != AttachMode::Socket && self.guard.as_ref().is_some_and(Guard::has_earlier_maps)
    }

    /// Loads the guard if `attach` asks for one. Without it the agent works all the same, over packet sockets. With
    /// `is_resumed` the roles in an earlier program's maps stay until they are set.
    pub fn open(config: &config::Guard, pin_dir: &Path, is_resumed: bool) -> Self {
        let mut datapath = Self {
            guard: None,
            tables: UserTables::default(),
            ports: Vec::new(),
            watched: BTreeMap::new(),
            fences_looked_at: Instant::from_nanos(0),
            mode: config.mode,
            log_drops: config.log_drops,
            attach: config.attach,
            vlan: config.vlan,
            no_guard: None,
        };
        if config.attach != Attach::Off {
            match load(config, pin_dir, is_resumed) {
                Ok(guard) => datapath.guard = Some(guard),
                Err(error) => {
                    warn!("no guard in the kernel: {error:#}");
                    datapath.no_guard = Some(format!("{error:#}"));
                }
            }
        }
        if datapath.guard.is_none()
            && let Err(error) = pins::unpin(pin_dir)
        {
            warn!(%error, "what an earlier run has left in `{}` stays", pin_dir.display());
        }
        datapath
    }

    /// Begins to hear the interface, in the best mode that can be had. The keys of its virtual routers begin with the
    /// scope in the answer.
    pub fn attach(&mut self, name: &str, ifindex: u32) -> anyhow::Result<Attachment> {
        let nic = Nic::read(ifindex).with_context(|| format!("failed to read the properties of `{name}`"))?;
        let (rungs, mut reasons) = rungs(self.attach, &nic, parent(&nic, self.vlan).as_ref());
        reasons.extend(self.no_guard.clone());
        let mut port = Port::new(name, ifindex, rungs, reasons);
        if let Some(guard) = &mut self.guard {
            port.prefer_inherited(guard);
        }
        port.climb(self.guard.as_mut())?;
        let attachment = port.attachment();
        self.ports.push(port);
        report(name, &attachment);
        Ok(attachment)
    }

    /// Stops hearing the interface, which may be gone.
    pub fn detach(&mut self, name: &str) {
        let Some(at) = self.ports.iter().position(|port| port.name == name) else { return };
        let port = self.ports.remove(at);
        self.take_off(port.scope.ifindex);
    }

    /// Takes the programs off `ifindex`, unless an interface needs them.
    fn take_off(&mut self, ifindex: u32) {
        let is_needed = self.ports.iter().any(|port| port.is_guarded() && port.scope.ifindex == ifindex);
        let Some(guard) = self.guard.as_mut().filter(|_| !is_needed) else { return };
        for side in Side::BOTH {
            guard.programs().detach(ifindex, side);
        }
        for family in [Family::Ipv4, Family::Ipv6] {
            // Nobody looks at them any more.
            let _ = guard.remove_counters(&RouterKey::unconfigured(ifindex, family));
        }
    }

    /// Removes what an earlier run that was killed has configured, and attached, and this one has not. To be called once
    /// everything is configured, and no virtual address of that run is on an interface any more.
    pub fn drop_leftovers(&mut self) -> anyhow::Result<()> {
        match &mut self.guard {
            Some(guard) => guard.drop_leftovers().context("failed to remove what an earlier run has configured"),
            None => Ok(()),
        }
    }

    /// Takes in whether an interface is up and has carrier.
    pub fn set_carrier(&mut self, name: &str, has_carrier: bool) {
        if let Some(port) = self.ports.iter_mut().find(|port| port.name == name) {
            port.has_carrier = has_carrier;
        }
    }

    /// Looks after the programs; names the interfaces whose program does harm or sees nothing, and has to go.
    pub fn look(&mut self, now: Instant) -> Vec<String> {
        let Some(guard) = &self.guard else { return Vec::new() };
        let (tables, ports) = (&self.tables, self.ports.iter_mut());
        ports.filter_map(|port| port.look(guard, tables, now).then(|| port.name.clone())).collect()
    }

    /// Takes the program off an interface, and the next best way; says how it is judged then: the scope of its keys may be another
    /// one. An interface that cannot be heard any more is forgotten.
    pub fn fall_back(&mut self, name: &str) -> anyhow::Result<Attachment> {
        let at = self.ports.iter().position(|port| port.name == name).context("it is not heard")?;
        let mut port = self.ports.remove(at);
        self.take_off(port.scope.ifindex);
        port.climb(self.guard.as_mut())?;
        let attachment = port.attachment();
        report(name, &attachment);
        self.ports.insert(at, port);
        Ok(attachment)
    }

    /// When [`Datapath::look`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.ports.iter().filter_map(Port::look_at).min()
    }

    /// Changes what becomes of bad adverts.
    pub fn set_mode(&mut self, mode: Mode) -> anyhow::Result<()> {
        self.mode = mode;
        match &mut self.guard {
            Some(guard) => {
                guard.set_settings(settings(mode, self.log_drops)).context("failed to write the settings map")
            }
            None => Ok(()),
        }
    }

    /// Whether the guard stops what it finds bad, or only counts it.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.mode == Mode::Enforce
    }

    /// The guard, where there is one.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// The guard, where there is one, to be told what is configured.
    pub fn guard_mut(&mut self) -> Option<&mut Guard> {
        self.guard.as_mut()
    }

    /// The beginning of a turn, in which the guard hands over so many `records` at most, and each socket so many `frames`.
    #[must_use]
    pub const fn turn(records: usize, frames: usize) -> Turn {
        Turn { limit: frames, source: 0, left: records }
    }

    /// The next advert that waits, as far as the turn goes.
    pub fn next_advert(&mut self, turn: &mut Turn) -> Option<AdvertRecord> {
        if turn.source == 0 {
            if let Some(record) = self.guard.as_mut().filter(|_| turn.left > 0).and_then(Guard::next_advert) {
                turn.left -= 1;
                return Some(record);
            }
            turn.next_source();
        }
        while let Some(port) = self.ports.get_mut(turn.source - 1) {
            if let Some(socket) = &mut port.socket {
                match socket.next_advert(&mut self.tables, &mut turn.left) {
                    Ok(Some(record)) => return Some(record),
                    Ok(None) => {}
                    // A packet socket says once that its interface went down.
                    Err(error) => warn!(interface = port.name, %error, "failed to read adverts"),
                }
            }
            turn.next_source();
        }
        None
    }

    /// Whether the adverts of an interface are heard, in whatever way.
    #[must_use]
    pub fn hears(&self, name: &str) -> bool {
        self.ports.iter().any(|port| port.name == name && (port.is_guarded() || port.socket.is_some()))
    }

    fn is_guarded(&self, ifindex: u32) -> bool {
        self.ports.iter().any(|port| port.scope.ifindex == ifindex && port.is_guarded())
    }

    /// What becomes readable when an advert waits.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sockets = self.ports.iter().filter_map(|port| port.socket.as_ref().map(AsFd::as_fd));
        self.guard.iter().map(AsFd::as_fd).chain(sockets)
    }
}

/// How far the sources have been read in one go.
#[derive(Debug)]
pub struct Turn {
    /// Frames of a socket.
    limit: usize,
    /// The guard is 0, then come the interfaces.
    source: usize,
    /// Frames that this source may still hand over.
    left: usize,
}

impl Turn {
    const fn next_source(&mut self) {
        self.source += 1;
        self.left = self.limit;
    }
}

/// The interface that `nic` is a VLAN of, where the guard is to be there, or why it cannot be.
fn parent(nic: &Nic, wanted: VlanGuard) -> Option<Result<Nic, String>> {
    let vlan = nic.vlan.filter(|_| wanted == VlanGuard::Parent)?;
    let Some(ifindex) = vlan.parent else {
        return Some(Err("its parent is in another network namespace".to_owned()));
    };
    let parent = Nic::read(ifindex).map_err(|error| format!("its parent cannot be read: {error}"));
    Some(parent.and_then(|parent| preflight::vlan_obstacle(&parent).map_or(Ok(parent), Err)))
}

fn report(interface: &str, Attachment { mode, reason, .. }: &Attachment) {
    match reason {
        Some(reason) => warn!(interface, %mode, reason, "degraded"),
        None => info!(interface, %mode, "attached"),
    }
}

fn settings(mode: Mode, log_drops: bool) -> Settings {
    Settings { layout: LAYOUT, enforce: u32::from(mode == Mode::Enforce), log_drops: u32::from(log_drops), padding: 0 }
}

fn load(config: &config::Guard, pin_dir: &Path, is_resumed: bool) -> anyhow::Result<Guard> {
    let pin_dir = match bpffs::ensure_mounted() {
        Ok(()) => Some(pin_dir),
        Err(error) => {
            warn!("maps are not pinned, bpftool cannot name them: {error:#}");
            None
        }
    };
    let mut guard = if is_resumed { Guard::resume(pin_dir)? } else { Guard::load(pin_dir)? };
    guard.set_settings(settings(config.mode, config.log_drops)).context("failed to write the settings map")?;
    if config.log_drops
        && let Err(error) = drop_log::follow(guard.programs())
    {
        warn!("what the guard drops is not logged: {error:#}");
    }
    Ok(guard)
}
