//! Where adverts come from. Only this module knows that XDP exists: whatever the source, adverts leave it as
//! [`AdvertRecord`]s that passed the same judgement.

mod bpffs;
mod drop_log;
pub mod socket;
pub mod tables;
pub mod xdp;

use std::{
    fmt,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use anyhow::Context;
use tracing::{info, warn};
use vrrp::Family;
use vrrp_wire::abi::{AdvertRecord, Counters, Peer, PeerKey, Router, RouterKey, Settings};

use self::{
    socket::SocketSource,
    tables::UserTables,
    xdp::{Guard, Hook},
};
use crate::config::{self, Attach, Mode};

/// How the adverts of an interface are judged, and why not in a better way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What judges.
    pub mode: AttachMode,
    /// Why a better mode could not be had; `None` where the mode is the one asked for.
    pub reason: Option<String>,
}

/// What judges the adverts of an interface, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// XDP in the driver.
    Native,
    /// XDP in the network stack.
    Generic,
    /// The agent, over a packet socket: nothing is dropped, and a flood reaches the agent.
    Socket,
}

impl fmt::Display for AttachMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Socket => "socket",
        })
    }
}

/// One interface.
#[derive(Debug)]
struct Port {
    name: String,
    ifindex: u32,
    socket: Option<SocketSource>,
}

/// The source of adverts of all interfaces.
#[derive(Debug)]
pub struct Datapath {
    guard: Option<Guard>,
    tables: UserTables,
    ports: Vec<Port>,
    attach: Attach,
    /// Why there is no XDP program; `None` where there is one, or none was asked for.
    no_guard: Option<String>,
}

impl Datapath {
    /// Loads the XDP program if `attach` asks for one. Without it the agent works all the same, over packet sockets.
    pub fn open(config: &config::Guard, pin_dir: &Path) -> Self {
        let mut datapath = Self {
            guard: None,
            tables: UserTables::default(),
            ports: Vec::new(),
            attach: config.attach,
            no_guard: None,
        };
        if config.attach != Attach::Off {
            match load(config, pin_dir) {
                Ok(guard) => datapath.guard = Some(guard),
                Err(error) => {
                    warn!("no XDP program: {error:#}");
                    datapath.no_guard = Some(format!("{error:#}"));
                }
            }
        }
        datapath
    }

    /// Begins to hear the interface, in the best mode that can be had.
    pub fn attach(&mut self, name: &str, ifindex: u32) -> anyhow::Result<Attachment> {
        let attachment = self.attach_guard(ifindex);
        let socket = match attachment.mode {
            AttachMode::Native | AttachMode::Generic => None,
            AttachMode::Socket => Some(
                SocketSource::open(ifindex)
                    .with_context(|| format!("failed to listen on `{name}` (a packet socket needs CAP_NET_RAW)"))?,
            ),
        };
        self.ports.push(Port { name: name.to_owned(), ifindex, socket });
        match &attachment.reason {
            Some(reason) => warn!(interface = name, mode = %attachment.mode, reason, "degraded"),
            None => info!(interface = name, mode = %attachment.mode, "attached"),
        }
        Ok(attachment)
    }

    fn attach_guard(&mut self, ifindex: u32) -> Attachment {
        let hook = match self.attach {
            Attach::Off => return Attachment { mode: AttachMode::Socket, reason: None },
            Attach::Auto | Attach::Native => Hook::Native,
            Attach::Generic => Hook::Generic,
        };
        let Some(guard) = &mut self.guard else {
            return Attachment { mode: AttachMode::Socket, reason: self.no_guard.clone() };
        };
        let counted = [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .try_for_each(|family| guard.add_counters(RouterKey::unconfigured(ifindex, family)));
        match counted.map_err(Into::into).and_then(|()| guard.attach(ifindex, hook)) {
            Ok(()) => {
                let mode = match hook {
                    Hook::Native => AttachMode::Native,
                    Hook::Generic => AttachMode::Generic,
                };
                Attachment { mode, reason: None }
            }
            Err(error) => Attachment { mode: AttachMode::Socket, reason: Some(format!("XDP: {error:#}")) },
        }
    }

    /// Configures a virtual router, or changes it.
    pub fn set_router(&mut self, key: RouterKey, router: Router) -> anyhow::Result<()> {
        self.tables.set_router(key, router);
        match &mut self.guard {
            Some(guard) => guard.set_router(key, router).context("failed to write the map of virtual routers"),
            None => Ok(()),
        }
    }

    /// Adds a sender to the allow-list.
    pub fn set_peer(&mut self, key: PeerKey, peer: Peer) -> anyhow::Result<()> {
        self.tables.set_peer(key, peer);
        match &mut self.guard {
            Some(guard) => guard.set_peer(key, peer).context("failed to write the map of peers"),
            None => Ok(()),
        }
    }

    /// Hands the adverts that wait to `sink`, of no more than `limit` frames for each source.
    pub fn receive(&mut self, limit: usize, mut sink: impl FnMut(&AdvertRecord)) {
        if let Some(guard) = &mut self.guard {
            for _ in 0..limit {
                let Some(record) = guard.next_advert() else { break };
                sink(&record);
            }
        }
        for port in &self.ports {
            let Some(socket) = &port.socket else { continue };
            // A packet socket says once that its interface went down.
            if let Err(error) = socket.receive(&mut self.tables, limit, &mut sink) {
                warn!(interface = port.name, %error, "failed to read adverts");
            }
        }
    }

    /// What the last good advert of a sender said, and when it came.
    #[must_use]
    pub fn peer(&self, key: &PeerKey) -> Option<Peer> {
        if self.is_guarded(key.router.ifindex) { self.guard.as_ref()?.peer(key) } else { self.tables.peer_entry(key) }
    }

    /// The counters under `key`.
    #[must_use]
    pub fn counters(&self, key: &RouterKey) -> Counters {
        match &self.guard {
            Some(guard) if self.is_guarded(key.ifindex) => guard.counters(key),
            Some(_) | None => self.tables.counters(key),
        }
    }

    fn is_guarded(&self, ifindex: u32) -> bool {
        self.ports.iter().any(|port| port.ifindex == ifindex && port.socket.is_none())
    }

    /// What becomes readable when an advert waits.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let sockets = self.ports.iter().filter_map(|port| port.socket.as_ref().map(AsFd::as_fd));
        self.guard.iter().map(AsFd::as_fd).chain(sockets)
    }
}

fn load(config: &config::Guard, pin_dir: &Path) -> anyhow::Result<Guard> {
    let pin_dir = match bpffs::ensure_mounted() {
        Ok(()) => Some(pin_dir),
        Err(error) => {
            warn!("maps are not pinned, bpftool cannot name them: {error:#}");
            None
        }
    };
    let mut guard = Guard::load(pin_dir)?;
    let settings =
        Settings { enforce: u32::from(config.mode == Mode::Enforce), log_drops: u32::from(config.log_drops) };
    guard.set_settings(settings).context("failed to write the settings map")?;
    if config.log_drops
        && let Err(error) = drop_log::follow(guard.ebpf_mut())
    {
        warn!("what XDP drops is not logged: {error:#}");
    }
    Ok(guard)
}
