//! The configuration: one TOML file for all nodes of a cluster, in which this node finds itself.
//!
//! [`Config`] is the checked form: behind it every value is legal. The way there is `file`, the tables as written,
//! then `check`, the rules; both report every mistake they find before the configuration is refused. `key_files`
//! adds what is wrong with the files that `[auth]` names, and `host` what checks, notifications and `[[hetzner]]` lack on this
//! host.

mod check;
mod diagnostic;
mod difference;
mod file;
mod group;
mod health;
pub mod hetzner;
mod host;
mod key_files;
pub mod metrics;
pub mod notify;
pub mod reference;
mod table;
mod value;

#[cfg(test)]
mod tests;

use std::{
    fmt, fs, io,
    net::IpAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use vrrp::{
    auth::KeyId,
    message::{ChecksumForm, version_2},
};
use vrrp_wire::{Centiseconds, Family, MacAddr, Priority, Version, Vrid};

use self::{diagnostic::Report, file::File};
pub use self::{
    diagnostic::{Diagnostic, Severity},
    difference::{Difference, WireIdentity},
    group::Membership,
};
use crate::{
    check::{Check, Tracked},
    perform::{holdings::Holdings, route::Route, rule::Rule, virtual_mac::VirtualMac},
};

/// The configuration as it concerns one node, every value legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name of the cluster.
    pub cluster: String,
    /// Which node of the file this one is.
    pub node: String,
    /// Tells the file from others: the first 64 bits of its SHA-256, in hexadecimal digits.
    pub fingerprint: String,
    /// Whether another process hands over when the agent is killed or hangs. Default `true`.
    pub supervisor: bool,
    /// How long the supervisor advertises for an agent that is gone before it hands over: another run goes on until then. At most a
    /// minute; default 0.
    pub restart_grace: Duration,
    /// How adverts are judged in the kernel.
    pub guard: Guard,
    /// How the agent's process competes for the host.
    pub process: Process,
    /// How adverts are signed and verified; `None` where they are neither.
    pub auth: Option<Auth>,
    /// The virtual routers that this node takes part in, in the order of the file, IPv4 before IPv6.
    pub virtual_routers: Vec<VirtualRouter>,
    /// Who is told of changes, in the order of the file.
    pub notify: Vec<notify::Notify>,
    /// The addresses that Hetzner is to route to this node while it is Active, in the order of the file.
    pub hetzner: Vec<hetzner::Hetzner>,
    /// Where metrics are served.
    pub metrics: metrics::Metrics,
    /// The checks that these go by, in the order of the file.
    pub checks: Vec<Check>,
    /// What works, though perhaps not as meant.
    pub warnings: Vec<Diagnostic>,
}

/// How adverts are judged in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// What happens to a bad advert.
    pub mode: Mode,
    /// How the program in the kernel is attached.
    pub attach: Attach,
    /// Where it sits for a VLAN sub-interface.
    pub vlan: VlanGuard,
    /// Whether dropped adverts are logged, at a limited rate. Default `false`.
    pub log_drops: bool,
}

/// How the agent's process competes for the host. By default like any other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Priority of the election thread under SCHED_FIFO, 1 to 99; `None`: it has none.
    pub realtime_priority: Option<u8>,
    /// Whether its memory stays in RAM.
    pub lock_memory: bool,
    /// The CPUs that the election thread may run on; empty: all.
    pub cpus: Vec<u16>,
}

/// What happens to a bad advert for a virtual router configured here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is counted and dropped.
    #[default]
    Enforce,
    /// It is counted and passes.
    Observe,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        })
    }
}

/// How the program in the kernel is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attach {
    /// The best that the interface allows: `Native`, else `Tcx`, else `Clsact`, else a raw socket.
    #[default]
    Auto,
    /// As XDP in the driver, else a raw socket.
    Native,
    /// At the tcx hook of the interface, else a raw socket.
    Tcx,
    /// As a filter of the interface's clsact queueing discipline, else a raw socket.
    Clsact,
    /// As XDP in the network stack, for any driver, else a raw socket.
    Generic,
    /// Not at all: a raw socket hears the adverts.
    Off,
}

/// Where the program in the kernel sits for an interface that is a VLAN sub-interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanGuard {
    /// On the sub-interface itself.
    #[default]
    SubInterface,
    /// As XDP on its parent, for the frames of the VLAN; only where the NIC leaves the tags in the frames.
    Parent,
}

/// How adverts are signed and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// What is signed and what must be.
    pub mode: AuthMode,
    /// The key that signs our adverts; there wherever `mode` signs, and one of `keys`.
    pub active_key: Option<KeyId>,
    /// The keys that verify, in the order of the file: 1 to 4, of different ids.
    pub keys: Vec<KeyFile>,
    /// How far the time in a signed advert may be from ours, 1 s to 300 s. Default: three times the longest
    /// `Advertisement_Interval` of the file, at least 5 s.
    pub window: Duration,
    /// How long a node whose clock is not synchronised at the start stays Backup, up to an hour. Default 60 s.
    pub clock_grace: Duration,
}

/// What is signed and what must be, under keepalived's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Sends unsigned; accepts unsigned and correctly signed.
    ReceiveOnly,
    /// Sends signed; accepts unsigned and correctly signed.
    Permissive,
    /// Sends signed; accepts correctly signed only.
    Enforce,
}

impl AuthMode {
    /// Whether our adverts are signed.
    #[must_use]
    pub const fn signs(self) -> bool {
        matches!(self, Self::Permissive | Self::Enforce)
    }
}

impl fmt::Display for AuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReceiveOnly => "receive-only",
            Self::Permissive => "permissive",
            Self::Enforce => "enforce",
        })
    }
}

/// A key, and where it is kept; [`keys::load`](crate::keys::load) reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// What signed adverts call it.
    pub id: KeyId,
    /// The file, an absolute path.
    pub file: PathBuf,
}

/// One virtual router as it is on the wire: a dual-stack entry of the file is two of these, of one name and VRID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualRouter {
    /// Name of the entry in the file.
    pub name: String,
    /// Virtual Router Identifier, unique for the interface and family.
    pub vrid: Vrid,
    /// IP version of adverts and addresses.
    pub family: Family,
    /// Name of the interface.
    pub interface: String,
    /// This node's Priority: as `priorities` gives it, else by the place in `nodes`. The first of `nodes` has 200,
    /// each next one 50 less; of more than four nodes each next one has 150/(n-1) less, rounded down, but at least 1.
    pub priority: Priority,
    /// Which version of VRRP it speaks.
    pub version: Version,
    /// What its adverts of version 2 carry, and must carry.
    pub authentication: version_2::Authentication,
    /// `Preempt_Mode`: how long after it has heard an Active Router of lower Priority this node begins to take over
    /// from it; `None`: never.
    pub preempt_after: Option<Duration>,
    /// How long it waits at the start of the agent before it takes part.
    pub startup_delay: Duration,
    /// Intervals without an advert, 1 to 100, after which a Backup takes over. Default 3.
    pub down_timer_adverts: u8,
    /// `Advertisement_Interval` of this node.
    pub advertisement_interval: Centiseconds,
    /// The longest interval that is learned from an Active Router: twice the own one, or `None` for no limit,
    /// as the RFC has it (`rfc_pure = true`).
    pub learned_interval_max: Option<Duration>,
    /// How much longer than Skew_Time a Backup waits for each node that may be first; not at all with `rfc_pure = true`.
    pub stagger: Duration,
    /// Where adverts are sent to.
    pub transport: Transport,
    /// The least TTL or Hop Limit that an advert may have: 255, except from unicast peers beyond a router.
    pub min_ttl: u8,
    /// What the checksum of adverts of version 3 over IPv4 covers; both forms are accepted.
    pub checksum: ChecksumForm,
    /// `Accept_Mode`: whether this node, as Active, takes what is sent to the addresses. Their owner always does.
    pub accept: bool,
    /// Whether adverts and addresses have the Virtual Router MAC Address, not that of the interface.
    pub virtual_mac: bool,
    /// The addresses in the order of the advert, with their prefix lengths and all bits of the host. An IPv6 virtual
    /// router begins with a link-local one, as RFC 9568 §5.2.9 demands: the first that the file lists, else the
    /// EUI-64 address of the Virtual Router MAC, unless `virtual_link_local = false`.
    pub addresses: Vec<IpNet>,
    /// Addresses of its family that are held like those and not advertised.
    pub extra_addresses: Vec<IpNet>,
    /// Routes of its family that are there while it is Active.
    pub routes: Vec<Route>,
    /// Rules of policy routing of its family that are there while it is Active.
    pub rules: Vec<Rule>,
    /// The checks that it goes by on this node; none where it owns the addresses, which stay whatever happens.
    pub checks: Vec<Tracked>,
    /// How often the addresses of an Active are announced while nothing happens, 1 s to an hour; `None` for never. Default 60 s.
    pub announcement_refresh: Option<Duration>,
    /// Frames of announcements that leave the interface in a second at most, 1 to 30,000, those of all its virtual routers with the
    /// same limit counted together; `None`, the default, for as many as the interface takes.
    pub announcement_rate: Option<NonZeroU32>,
    /// Hosts of its family that are asked for an answer after a takeover; `None`: the next hops of routes through the interface.
    pub gateways: Option<Vec<IpAddr>>,
    /// Whether adverts must begin with a link-local address; never over IPv4.
    pub link_local_first: bool,
    /// The address that this node's adverts come from.
    pub own_address: OwnAddress,
    /// How many nodes take part, this one included.
    pub nodes: usize,
    /// The other nodes that take part, in the order of `nodes` or `priorities`; without those of which the file gives
    /// neither address nor MAC address, for whom `link_local_senders` stands.
    pub peers: Vec<Peer>,
    /// Which link-local addresses adverts may come from besides those of `peers`.
    pub link_local_senders: LinkLocalSenders,
    /// Whether the kernel stops answering for the addresses when a peer has taken them. `Off` for their owner.
    pub fence: Fence,
    /// The virtual routers that it moves together with; `None` where it moves alone.
    pub group: Option<Membership>,
}

impl VirtualRouter {
    /// All addresses that it holds while it is Active.
    pub fn held_addresses(&self) -> impl Iterator<Item = &IpNet> {
        self.addresses.iter().chain(&self.extra_addresses)
    }

    /// What it holds while it is Active.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        Holdings {
            addresses: self.addresses.clone(),
            extra_addresses: self.extra_addresses.clone(),
            routes: self.routes.clone(),
            rules: self.rules.clone(),
            owned: self.priority == Priority::OWNER,
            announcement_refresh: self.announcement_refresh,
            announcement_rate: self.announcement_rate,
            gateways: self.gateways.clone(),
        }
    }

    /// The Virtual Router MAC Address, if its addresses are to have it.
    #[must_use]
    pub const fn virtual_mac(&self) -> Option<VirtualMac> {
        if self.virtual_mac { Some(VirtualMac { family: self.family, vrid: self.vrid }) } else { None }
    }
}

/// Which link-local addresses the adverts of an IPv6 virtual router may come from besides those of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLocalSenders {
    /// None: every peer is known.
    Listed,
    /// Any: those that sign where signatures are enforced at the time, and else whoever is on the link.
    Unlisted,
}

/// Whether the kernel stops answering for virtual addresses that a peer has taken from a node that hangs or is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fence {
    /// It does.
    #[default]
    Auto,
    /// It does not.
    Off,
}

/// Where adverts are sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The VRRP group of the family, on the interface.
    #[default]
    Multicast,
    /// Each of the other nodes.
    Unicast,
}

/// The address that a node's adverts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnAddress {
    /// The one that the file gives.
    Configured(IpAddr),
    /// Whatever IPv6 link-local address the interface has.
    LinkLocal,
}

/// Another node of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name of the node.
    pub node: String,
    /// Its Priority.
    pub priority: Priority,
    /// How its adverts are known.
    pub source: PeerSource,
    /// The only MAC address that its adverts may come from, if the file pins one.
    pub mac: Option<MacAddr>,
}

/// How the adverts of a peer are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerSource {
    /// They come from this address.
    Address(IpAddr),
    /// They come from any link-local address, but from this MAC address.
    Mac(MacAddr),
}

/// What this machine knows of itself, to find itself in the file. The first of these that is given decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `--node` or `$VIPD_NODE`.
    pub node: Option<String>,
    /// The host name, with or without a domain.
    pub host_name: Option<String>,
    /// The addresses of all interfaces.
    pub addresses: Vec<IpAddr>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read configuration `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is wrong: every error and warning, by line.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Diagnostic>),
}

impl Config {
    /// Reads and checks the file at `path`, the key files that it names, and what checks of this node need of this host, for
    /// the node that `identity` is.
    pub fn read(path: &Path, identity: &Identity) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut report = Report::new(path, &text);
        let file = File::read(&mut report);
        let config = file.as_ref().and_then(|file| check::check(file, identity, &mut report));
        if let Some(file) = &file {
            key_files::check(file, &mut report);
            host::check_notifications(file, &mut report);
            host::check_hetzner(file, &mut report);
            host::check_metrics(file, &mut report);
            host::check_checks(file, config.as_ref().map_or(&[], |config| &config.checks), &mut report);
        }
        Self::conclude(config, report)
    }

    /// Checks `text`, which came from `path`, for the node that `identity` is; no other file is looked at.
    pub fn parse(text: &str, path: &Path, identity: &Identity) -> Result<Self, ConfigError> {
        let mut report = Report::new(path, text);
        let file = File::read(&mut report);
        let config = file.and_then(|file| check::check(&file, identity, &mut report));
        Self::conclude(config, report)
    }

    fn conclude(config: Option<Self>, report: Report<'_>) -> Result<Self, ConfigError> {
        let diagnostics = report.into_diagnostics();
        match config {
            Some(config) if diagnostics.iter().all(|diagnostic| diagnostic.severity == Severity::Warning) => {
                Ok(Self { warnings: diagnostics, ..config })
            }
            Some(_) | None => Err(ConfigError::Invalid(diagnostics)),
        }
    }
}
