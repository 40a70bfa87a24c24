//! What a change of configuration comes to, for the agent that carries it out and for people who ask before they let it.

use std::fmt::{self, Write as _};

use ipnet::IpNet;
use vrrp_wire::{Family, Priority, Vrid};

use super::{Auth, Config, Guard, VirtualRouter};

/// From one configuration of a node to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Virtual routers that are new, and those that start anew.
    pub added: Vec<VirtualRouter>,
    /// Virtual routers that go, and those that start anew.
    pub removed: Vec<WireIdentity>,
    /// Virtual routers that go on in another way, in their state.
    pub changed: Vec<VirtualRouter>,
    /// How many are not touched.
    pub untouched: usize,
    /// What only `vipd restart` takes over; the rest does not wait for it.
    pub postponed: Vec<String>,
    lines: Vec<String>,
}

/// What makes a virtual router the same one on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireIdentity {
    /// Name of its interface.
    pub interface: String,
    /// Its family.
    pub family: Family,
    /// Its VRID.
    pub vrid: Vrid,
}

impl VirtualRouter {
    /// What makes it the same one on the wire.
    #[must_use]
    pub fn identity(&self) -> WireIdentity {
        WireIdentity { interface: self.interface.clone(), family: self.family, vrid: self.vrid }
    }
}

impl Difference {
    /// What leads from `old` to `new`.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut difference = Self::default();
        difference.compare_guard(&old.guard, &new.guard);
        difference.compare_auth(old.auth.as_ref(), new.auth.as_ref());
        if old.cluster != new.cluster {
            difference.lines.push(format!("~ [cluster] name: {} -> {}", old.cluster, new.cluster));
        }
        for was in &old.virtual_routers {
            if !new.virtual_routers.iter().any(|is| is.identity() == was.identity()) {
                difference.lines.push(format!("- {}: goes", title(was)));
                difference.removed.push(was.identity());
            }
        }
        for is in &new.virtual_routers {
            match old.virtual_routers.iter().find(|was| was.identity() == is.identity()) {
                Some(was) => difference.compare_router(was, is),
                None => {
                    difference.lines.push(format!("+ {}: new", title(is)));
                    difference.added.push(is.clone());
                }
            }
        }
        difference
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.postponed.is_empty()
    }

    fn compare_router(&mut self, was: &VirtualRouter, is: &VirtualRouter) {
        if was == is {
            self.untouched += 1;
            return;
        }
        if let Some(why) = starts_anew(was, is) {
            self.lines.push(format!("! {}: starts anew, since its {why}", title(is)));
            self.removed.push(was.identity());
            self.added.push(is.clone());
            return;
        }
        self.lines.push(format!("~ {}: {}", title(is), changes(was, is)));
        self.changed.push(is.clone());
    }

    fn compare_guard(&mut self, was: &Guard, is: &Guard) {
        if was.mode != is.mode {
            self.lines.push(format!("~ [guard] mode: {} -> {}", was.mode, is.mode));
        }
        for (key, differs) in
            [("attach", was.attach != is.attach), ("vlan", was.vlan != is.vlan), ("log_drops", was.log_drops != is.log_drops)]
        {
            if differs {
                self.postponed.push(format!("[guard] {key}"));
            }
        }
    }

    fn compare_auth(&mut self, was: Option<&Auth>, is: Option<&Auth>) {
        match (was, is) {
            (Some(was), Some(is)) if was != is => self.lines.push("~ [auth]: changes; no moment is without keys".to_owned()),
            (None, Some(_)) => self.postponed.push("[auth], which is new".to_owned()),
            (Some(_), None) => self.postponed.push("[auth], which goes".to_owned()),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// What changes of `was` makes it another virtual router than `is`, though it has the same identity.
fn starts_anew(was: &VirtualRouter, is: &VirtualRouter) -> Option<&'static str> {
    let owns = |router: &VirtualRouter| router.priority == Priority::OWNER;
    if was.version != is.version {
        Some("version changes")
    } else if was.virtual_mac != is.virtual_mac {
        Some("MAC address changes (virtual_mac)")
    } else if owns(was) != owns(is) {
        Some("owner changes (priority 255)")
    } else {
        None
    }
}

/// What changes, key by key as the file has them.
fn changes(was: &VirtualRouter, is: &VirtualRouter) -> String {
    let mut parts = Vec::new();
    let mut compare = |key: &str, was: String, is: String| {
        if was != is {
            parts.push(format!("{key} {was} -> {is}"));
        }
    };
    compare("name", was.name.clone(), is.name.clone());
    compare("priority", was.priority.to_string(), is.priority.to_string());
    let interval = |router: &VirtualRouter| format!("{:?}", router.advertisement_interval.duration());
    compare("advertisement_interval", interval(was), interval(is));
    compare("transport", format!("{:?}", was.transport).to_lowercase(), format!("{:?}", is.transport).to_lowercase());
    let preempt = |router: &VirtualRouter| router.preempt_after.map_or_else(|| "never".to_owned(), |after| format!("{after:?}"));
    compare("preempt", preempt(was), preempt(is));
    let (gone, new) = (only_in(&was.addresses, &is.addresses), only_in(&is.addresses, &was.addresses));
    if !gone.is_empty() || !new.is_empty() {
        let list = |sign: char, nets: Vec<IpNet>| nets.iter().fold(String::new(), |mut list, net| {
            let _ = write!(list, " {sign}{net}");
            list
        });
        parts.push(format!("addresses{}{}", list('+', new), list('-', gone)));
    }
    if was.peers != is.peers {
        parts.push("the other nodes".to_owned());
    }
    if parts.is_empty() { "other settings".to_owned() } else { parts.join(", ") }
}

fn only_in(these: &[IpNet], others: &[IpNet]) -> Vec<IpNet> {
    these.iter().filter(|net| !others.contains(net)).copied().collect()
}

fn title(router: &VirtualRouter) -> String {
    format!("{}/{}", router.name, router.family)
}

impl fmt::Display for Difference {
    /// A line for each change.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        self.postponed.iter().try_for_each(|what| writeln!(f, "! {what}: only with `vipd restart`"))?;
        write!(f, "{} virtual routers are not touched", self.untouched)
    }
}
