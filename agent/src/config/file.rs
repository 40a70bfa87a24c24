//! The configuration as written: every table and key with its line, defaults not filled in.
//!
//! Reports unknown keys, missing keys and values that are wrong by themselves; what depends on more than one key is
//! left to `check`.

mod hetzner;
mod metrics;
mod notify;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use toml::de::DeTable;
use vrrp::{
    auth::KeyId,
    message::{ChecksumForm, version_2::Password},
};
use vrrp_wire::{Centiseconds, MacAddr, Priority, Version, Vrid};

pub(super) use self::{
    hetzner::Hetzner,
    metrics::{Listen, Metrics},
    notify::Notify,
};
use super::{
    Attach, AuthMode, Fence, Mode, Transport, VlanGuard,
    diagnostic::{Fault, Place, Report},
    health::Check,
    table::{Field, Located, Table},
    value,
};

/// A configuration file.
pub(super) struct File {
    pub(super) cluster: Cluster,
    pub(super) guard: Guard,
    pub(super) process: Process,
    pub(super) auth: Field<Auth>,
    pub(super) nodes: Vec<Node>,
    pub(super) virtual_routers: Vec<VirtualRouter>,
    pub(super) groups: Vec<Group>,
    pub(super) notify: Vec<Notify>,
    pub(super) hetzner: Vec<Hetzner>,
    pub(super) metrics: Metrics,
    pub(super) checks: Vec<Check>,
    pub(super) kubernetes: Kubernetes,
}

/// `[kubernetes]`.
pub(super) struct Kubernetes {
    pub(super) kubeconfig: Field<PathBuf>,
}

/// `[process]`.
pub(super) struct Process {
    pub(super) realtime_priority: Field<u8>,
    pub(super) lock_memory: Field<bool>,
    pub(super) cpus: Field<Vec<Located<u16>>>,
}

/// `[cluster]`.
pub(super) struct Cluster {
    pub(super) heading: Place,
    pub(super) name: Field<String>,
    pub(super) interface: Field<String>,
    pub(super) rfc_pure: Field<bool>,
    pub(super) supervisor: Field<bool>,
    pub(super) restart_grace: Field<Duration>,
    pub(super) startup_delay: Field<Duration>,
    pub(super) manner: Manner,
}

/// How a virtual router works: `[cluster]` says it for all, and a `[[virtual_router]]` for itself.
pub(super) struct Manner {
    pub(super) advertisement_interval: Field<Centiseconds>,
    pub(super) preempt: Field<Preempt>,
    pub(super) transport: Field<Transport>,
    pub(super) fence: Field<Fence>,
    pub(super) version: Field<Version>,
    pub(super) password: Field<Password>,
    pub(super) down_timer_adverts: Field<u8>,
    pub(super) checksum: Field<ChecksumForm>,
    pub(super) accept: Field<bool>,
    pub(super) virtual_mac: Field<bool>,
    pub(super) min_ttl: Field<u8>,
    pub(super) virtual_link_local: Field<bool>,
    pub(super) announcement_refresh: Field<Refresh>,
    pub(super) announcement_rate: Field<Rate>,
    pub(super) sync_families: Field<bool>,
    pub(super) gateways: Field<Vec<Located<IpAddr>>>,
}

/// `preempt`: when a Backup takes over from an Active Router of lower priority.
#[derive(Clone, Copy)]
pub(super) enum Preempt {
    Never,
    After(Duration),
}

impl Preempt {
    pub(super) const fn after(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(delay) => Some(delay),
        }
    }
}

/// `announcement_refresh`: how often an Active announces its addresses while nothing happens.
#[derive(Clone, Copy)]
pub(super) enum Refresh {
    Never,
    Every(Duration),
}

impl Refresh {
    pub(super) const fn every(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Every(span) => Some(span),
        }
    }
}

/// `announcement_rate`: frames of announcements in a second.
#[derive(Clone, Copy)]
pub(super) enum Rate {
    Unlimited,
    PerSecond(NonZeroU32),
}

impl Rate {
    pub(super) const fn limit(self) -> Option<NonZeroU32> {
        match self {
            Self::Unlimited => None,
            Self::PerSecond(frames) => Some(frames),
        }
    }
}

/// `[guard]`.
pub(super) struct Guard {
    pub(super) mode: Field<Mode>,
    pub(super) attach: Field<Attach>,
    pub(super) vlan: Field<VlanGuard>,
    pub(super) log_drops: Field<bool>,
}

/// `[auth]`.
pub(super) struct Auth {
    pub(super) heading: Place,
    pub(super) mode: Field<AuthMode>,
    pub(super) active_key: Field<KeyId>,
    pub(super) keys: Field<Vec<KeyFile>>,
    pub(super) window: Field<Duration>,
    pub(super) clock_grace: Field<Duration>,
}

/// An element of `keys` in `[auth]`.
pub(super) struct KeyFile {
    pub(super) id: Field<KeyId>,
    pub(super) file: Field<PathBuf>,
}

/// `[[node]]`.
pub(super) struct Node {
    pub(super) heading: Place,
    pub(super) name: Field<String>,
    pub(super) address: Field<Ipv4Addr>,
    pub(super) address6: Field<Ipv6Addr>,
    pub(super) link_local: Field<Ipv6Addr>,
    pub(super) mac: Field<MacAddr>,
    pub(super) kubernetes_name: Field<String>,
}

/// `[[virtual_router]]`.
pub(super) struct VirtualRouter {
    pub(super) heading: Place,
    pub(super) name: Field<String>,
    pub(super) vrid: Field<Vrid>,
    pub(super) addresses: Field<Vec<Located<IpNet>>>,
    pub(super) nodes: Field<Vec<Located<String>>>,
    /// By node, in the order of the file.
    pub(super) priorities: Field<Vec<(String, Located<Priority>)>>,
    pub(super) interface: Field<String>,
    pub(super) extra_addresses: Field<Vec<Located<IpNet>>>,
    pub(super) routes: Field<Vec<Route>>,
    pub(super) rules: Field<Vec<Rule>>,
    pub(super) checks: Field<Vec<Located<String>>>,
    pub(super) manner: Manner,
}

/// `[[group]]`.
pub(super) struct Group {
    pub(super) name: Field<String>,
    pub(super) virtual_routers: Field<Vec<Located<String>>>,
    pub(super) checks: Field<Vec<Located<String>>>,
}

/// An element of `routes` in a `[[virtual_router]]`.
pub(super) struct Route {
    pub(super) heading: Place,
    /// `None` for everywhere.
    pub(super) to: Field<Option<IpNet>>,
    pub(super) via: Field<IpAddr>,
    pub(super) source: Field<IpAddr>,
    pub(super) metric: Field<u32>,
    pub(super) table: Field<u32>,
    pub(super) on_link: Field<bool>,
}

/// An element of `rules` in a `[[virtual_router]]`.
pub(super) struct Rule {
    pub(super) heading: Place,
    pub(super) from: Field<IpNet>,
    pub(super) to: Field<IpNet>,
    pub(super) table: Field<u32>,
    pub(super) priority: Field<u32>,
}

impl File {
    /// Reads the text of `report`; `None` where it is not TOML.
    pub(super) fn read(report: &mut Report<'_>) -> Option<Self> {
        let document = match DeTable::parse(report.text()) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map(|span| report.line(span.start));
                let fault =
                    Fault::new(format!("not TOML: {}", error.message()), "mend the syntax at or before this line");
                report.error(&Place { line, ..Place::default() }, fault);
                return None;
            }
        };
        let root = Table::new(report, document.get_ref(), Place::default());
        Some(root.read_whole(|root| Self {
            cluster: root.table("cluster", Cluster::read),
            guard: root.table("guard", Guard::read),
            process: root.table("process", Process::read),
            auth: root.optional_table("auth", Auth::read),
            nodes: root.tables("node", Node::read),
            virtual_routers: root.tables("virtual_router", VirtualRouter::read),
            groups: root.tables("group", Group::read),
            notify: root.tables("notify", Notify::read),
            hetzner: root.tables("hetzner", Hetzner::read),
            metrics: root.table("metrics", Metrics::read),
            checks: root.tables("check", Check::read),
            kubernetes: root.table("kubernetes", Kubernetes::read),
        }))
    }

    /// Every name of a check that something goes by.
    pub(super) fn references(&self) -> impl Iterator<Item = &Located<String>> {
        let lists = self.virtual_routers.iter().map(|entry| &entry.checks);
        lists.chain(self.groups.iter().map(|group| &group.checks)).filter_map(Field::value).flatten()
    }
}

impl Cluster {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["name"]);
        Self {
            heading: table.heading().clone(),
            name: table.scalar("name", value::name),
            interface: table.scalar("interface", value::interface),
            rfc_pure: table.scalar("rfc_pure", value::boolean),
            supervisor: table.scalar("supervisor", value::boolean),
            restart_grace: table.scalar("restart_grace", value::restart_grace),
            startup_delay: table.scalar("startup_delay", value::startup_delay),
            manner: Manner::read(table),
        }
    }
}

impl Manner {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            advertisement_interval: table.scalar("advertisement_interval", value::interval),
            preempt: table.scalar("preempt", value::preempt),
            transport: table.scalar("transport", value::transport),
            fence: table.scalar("fence", value::fence),
            version: table.scalar("version", value::version),
            password: table.scalar("password", value::password),
            down_timer_adverts: table.scalar("down_timer_adverts", value::down_timer_adverts),
            checksum: table.scalar("checksum", value::checksum),
            accept: table.scalar("accept", value::boolean),
            virtual_mac: table.scalar("virtual_mac", value::boolean),
            min_ttl: table.scalar("min_ttl", value::min_ttl),
            virtual_link_local: table.scalar("virtual_link_local", value::boolean),
            announcement_refresh: table.scalar("announcement_refresh", value::announcement_refresh),
            announcement_rate: table.scalar("announcement_rate", value::announcement_rate),
            sync_families: table.scalar("sync_families", value::boolean),
            gateways: table.list("gateways", value::host),
        }
    }
}

impl Process {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            realtime_priority: table.scalar("realtime_priority", value::realtime_priority),
            lock_memory: table.scalar("lock_memory", value::boolean),
            cpus: table.list("cpus", value::cpu),
        }
    }
}

impl Kubernetes {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self { kubeconfig: table.scalar("kubeconfig", value::absolute_path) }
    }
}

impl Guard {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            mode: table.scalar("mode", value::mode),
            attach: table.scalar("attach", value::attach),
            vlan: table.scalar("vlan", value::vlan),
            log_drops: table.scalar("log_drops", value::boolean),
        }
    }
}

impl Auth {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["mode", "keys"]);
        Self {
            heading: table.heading().clone(),
            mode: table.scalar("mode", value::auth_mode),
            active_key: table.scalar("active_key", value::key_id),
            keys: table.array("keys", KeyFile::read),
            window: table.scalar("window", value::window),
            clock_grace: table.scalar("clock_grace", value::clock_grace),
        }
    }
}

impl KeyFile {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["id", "file"]);
        Self { id: table.scalar("id", value::key_id), file: table.scalar("file", value::absolute_path) }
    }
}

impl Node {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["name"]);
        Self {
            heading: table.heading().clone(),
            name: table.scalar("name", value::name),
            address: table.scalar("address", value::address),
            address6: table.scalar("address6", value::address6),
            link_local: table.scalar("link_local", value::link_local),
            mac: table.scalar("mac", value::mac),
            kubernetes_name: table.scalar("kubernetes_name", value::kubernetes::node),
        }
    }
}

impl VirtualRouter {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["name", "vrid", "addresses"]);
        Self {
            heading: table.heading().clone(),
            name: table.scalar("name", value::name),
            vrid: table.scalar("vrid", value::vrid),
            addresses: table.list("addresses", value::virtual_address),
            nodes: table.list("nodes", value::name),
            priorities: table.map("priorities", value::priority),
            interface: table.scalar("interface", value::interface),
            extra_addresses: table.list("extra_addresses", value::virtual_address),
            routes: table.array("routes", Route::read),
            rules: table.array("rules", Rule::read),
            checks: table.list("checks", value::name),
            manner: Manner::read(table),
        }
    }
}

impl Group {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["name", "virtual_routers"]);
        Self {
            name: table.scalar("name", value::name),
            virtual_routers: table.list("virtual_routers", value::name),
            checks: table.list("checks", value::name),
        }
    }
}

impl Route {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["to"]);
        Self {
            heading: table.heading().clone(),
            to: table.scalar("to", value::destination),
            via: table.scalar("via", value::host),
            source: table.scalar("source", value::host),
            metric: table.scalar("metric", value::metric),
            table: table.scalar("table", value::table),
            on_link: table.scalar("on_link", value::boolean),
        }
    }
}

impl Rule {
    fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["table"]);
        Self {
            heading: table.heading().clone(),
            from: table.scalar("from", value::network),
            to: table.scalar("to", value::network),
            table: table.scalar("table", value::table),
            priority: table.scalar("priority", value::rule_priority),
        }
    }
}
