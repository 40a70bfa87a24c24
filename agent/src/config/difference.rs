//! What a change of configuration comes to, for the agent that carries it out and for people who ask before they let it.

use std::fmt::{self, Write as _};

use vrrp::message::ChecksumForm;
use vrrp_wire::{Family, Priority, Vrid};

use super::{Auth, Config, Guard, VirtualRouter, hetzner::Hetzner, metrics::Metrics, notify::Notify};
use crate::check::Check;

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

impl Config {
    /// What a reload from `old` to this one comes to: what [`Difference::postponed`] names stays as it is.
    #[must_use]
    pub fn postponing(self, old: &Self) -> Self {
        let was = &old.guard;
        let guard = Guard { attach: was.attach, vlan: was.vlan, log_drops: was.log_drops, ..self.guard };
        let auth = if old.auth.is_some() == self.auth.is_some() { self.auth } else { old.auth.clone() };
        let (supervisor, restart_grace) = (old.supervisor, old.restart_grace);
        Self { guard, auth, process: old.process.clone(), supervisor, restart_grace, ..self }
    }
}

impl Difference {
    /// What leads from `old` to `new`.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut difference = Self::default();
        difference.compare_guard(&old.guard, &new.guard);
        if old.process != new.process {
            difference.postponed.push("[process]".to_owned());
        }
        if (old.supervisor, old.restart_grace) != (new.supervisor, new.restart_grace) {
            difference.postponed.push("supervisor, restart_grace".to_owned());
        }
        difference.compare_auth(old.auth.as_ref(), new.auth.as_ref());
        if old.cluster != new.cluster {
            difference.lines.push(format!("~ [cluster] name: {} -> {}", old.cluster, new.cluster));
        }
        difference.compare_notify(&old.notify, &new.notify);
        difference.compare_checks(&old.checks, &new.checks);
        difference.compare_hetzner(&old.hetzner, &new.hetzner);
        if old.metrics != new.metrics {
            difference.lines.push(format!("~ [metrics]: {}", served(&new.metrics)));
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

    fn compare_checks(&mut self, was: &[Check], is: &[Check]) {
        for gone in was.iter().filter(|check| !is.iter().any(|other| other.name == check.name)) {
            self.lines.push(format!("- check {}: goes", gone.name));
        }
        for check in is {
            match was.iter().find(|other| other.name == check.name) {
                Some(other) if other == check => {}
                Some(_) => self.lines.push(format!("~ check {}: goes on from its state", check.name)),
                None => self.lines.push(format!("+ check {}: new", check.name)),
            }
        }
    }

    fn compare_guard(&mut self, was: &Guard, is: &Guard) {
        if was.mode != is.mode {
            self.lines.push(format!("~ [guard] mode: {} -> {}", was.mode, is.mode));
        }
        for (key, differs) in [
            ("attach", was.attach != is.attach),
            ("vlan", was.vlan != is.vlan),
            ("log_drops", was.log_drops != is.log_drops),
        ] {
            if differs {
                self.postponed.push(format!("[guard] {key}"));
            }
        }
    }

    fn compare_notify(&mut self, was: &[Notify], is: &[Notify]) {
        for gone in was.iter().filter(|was| !is.iter().any(|is| is.name == was.name)) {
            self.lines.push(format!("- notify {}: goes", gone.name));
        }
        for new in is {
            match was.iter().find(|was| was.name == new.name) {
                None => self.lines.push(format!("+ notify {}: new", new.name)),
                Some(was) if was != new => {
                    self.lines.push(format!("~ notify {}: changes; what waits is told in the new way", new.name));
                }
                Some(_) => {}
            }
        }
    }

    fn compare_hetzner(&mut self, was: &[Hetzner], is: &[Hetzner]) {
        for gone in was.iter().filter(|was| !is.iter().any(|is| is.name == was.name)) {
            self.lines.push(format!("- hetzner {}: goes; the address stays where it is routed", gone.name));
        }
        for new in is {
            match was.iter().find(|was| was.name == new.name) {
                None => self.lines.push(format!("+ hetzner {}: new", new.name)),
                Some(was) if was != new => {
                    self.lines.push(format!("~ hetzner {}: changes; where it is routed is looked at anew", new.name));
                }
                Some(_) => {}
            }
        }
    }

    fn compare_auth(&mut self, was: Option<&Auth>, is: Option<&Auth>) {
        match (was, is) {
            (Some(was), Some(is)) if was != is => {
                self.lines.push("~ [auth]: changes; no moment is without keys".to_owned());
            }
            (None, Some(_)) => self.postponed.push("[auth], which is new".to_owned()),
            (Some(_), None) => self.postponed.push("[auth], which goes".to_owned()),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Where metrics are served.
fn served(metrics: &Metrics) -> String {
    if metrics.listen.is_empty() {
        return "served no more".to_owned();
    }
    let addresses: Vec<_> = metrics.listen.iter().map(ToString::to_string).collect();
    format!("served at {}", addresses.join(", "))
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
    let preempt = |router: &VirtualRouter| {
        router.preempt_after.map_or_else(|| "never".to_owned(), |after| format!("after {after:?}"))
    };
    compare("preempt", preempt(was), preempt(is));
    let group = |router: &VirtualRouter| router.group.as_ref().map_or_else(|| "none".to_owned(), |it| it.group.clone());
    compare("group", group(was), group(is));
    compare("startup_delay", format!("{:?}", was.startup_delay), format!("{:?}", is.startup_delay));
    compare("down_timer_adverts", was.down_timer_adverts.to_string(), is.down_timer_adverts.to_string());
    compare("min_ttl", was.min_ttl.to_string(), is.min_ttl.to_string());
    compare("checksum", checksum(was).to_owned(), checksum(is).to_owned());
    compare("accept", was.accept.to_string(), is.accept.to_string());
    compare("fence", format!("{:?}", was.fence).to_lowercase(), format!("{:?}", is.fence).to_lowercase());
    let refresh = |router: &VirtualRouter| {
        router.announcement_refresh.map_or_else(|| "off".to_owned(), |refresh| format!("{refresh:?}"))
    };
    compare("announcement_refresh", refresh(was), refresh(is));
    let rate = |router: &VirtualRouter| router.announcement_rate.map_or_else(|| "off".to_owned(), |it| it.to_string());
    compare("announcement_rate", rate(was), rate(is));
    parts.extend(differing(was, is).map(str::to_owned));
    parts.extend(listed("addresses", &was.addresses, &is.addresses));
    parts.extend(listed("extra_addresses", &was.extra_addresses, &is.extra_addresses));
    parts.extend(listed("routes", &was.routes, &is.routes));
    parts.extend(listed("rules", &was.rules, &is.rules));
    parts.extend(listed("checks", &was.checks, &is.checks));
    let others = |router: &VirtualRouter| (router.nodes, router.link_local_senders);
    if was.peers != is.peers || others(was) != others(is) {
        parts.push("the other nodes".to_owned());
    }
    parts.join(", ")
}

/// The word of the file for what a checksum covers.
const fn checksum(router: &VirtualRouter) -> &'static str {
    match router.checksum {
        ChecksumForm::PseudoHeader => "pseudo-header",
        ChecksumForm::MessageOnly => "rfc9568",
    }
}

/// The keys that differ and whose values are not shown, be it that they are secret or long, or stand in no field of their own.
fn differing(was: &VirtualRouter, is: &VirtualRouter) -> impl Iterator<Item = &'static str> {
    // What is learned at most follows the interval as well.
    let is_pure = |router: &VirtualRouter| (router.learned_interval_max.is_none(), router.stagger);
    [
        ("password", was.authentication != is.authentication),
        ("rfc_pure", is_pure(was) != is_pure(is)),
        ("gateways", was.gateways != is.gateways),
        ("virtual_link_local", was.link_local_first != is.link_local_first),
        ("this node's address", was.own_address != is.own_address),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
}

/// What of a list comes and what goes, if anything.
fn listed<T: PartialEq + fmt::Display>(key: &str, was: &[T], is: &[T]) -> Option<String> {
    let mut list = key.to_owned();
    for new in is.iter().filter(|item| !was.contains(item)) {
        let _ = write!(list, " +{new}");
    }
    for gone in was.iter().filter(|item| !is.contains(item)) {
        let _ = write!(list, " -{gone}");
    }
    (list != key).then_some(list)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Identity;

    const FILE: &str = r#"
[cluster]
name = "ingress"
interface = "vsw0"

[[node]]
name = "n1"
address = "10.77.0.1"

[[node]]
name = "n2"
address = "10.77.0.2"

[[virtual_router]]
name = "web-a"
vrid = 51
addresses = ["10.77.0.100/24"]
nodes = ["n1", "n2"]

[[virtual_router]]
name = "web-b"
vrid = 52
addresses = ["10.77.0.101/24"]
nodes = ["n2", "n1"]
"#;

    fn config(edits: &[(&str, &str)]) -> Config {
        let text = edits.iter().fold(FILE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let identity = Identity { node: Some("n1".to_owned()), ..Identity::default() };
        Config::parse(&text, Path::new("vipd.toml"), &identity).unwrap()
    }

    #[test]
    fn changes_are_told_key_by_key() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], "2 virtual routers are not touched"),
            (
                &[("[\"10.77.0.100/24\"]", "[\"10.77.0.103/24\", \"10.77.0.104/24\"]")],
                "~ web-a/IPv4: addresses +10.77.0.103/24 +10.77.0.104/24 -10.77.0.100/24\n1 virtual routers are not touched",
            ),
            (&[("vrid = 52", "vrid = 62")], "- web-b/IPv4: goes\n+ web-b/IPv4: new\n1 virtual routers are not touched"),
            (
                &[("vrid = 52", "vrid = 52\nversion = 2")],
                "! web-b/IPv4: starts anew, since its version changes\n1 virtual routers are not touched",
            ),
            (
                &[("vrid = 52", "vrid = 52\nvirtual_mac = true")],
                "! web-b/IPv4: starts anew, since its MAC address changes (virtual_mac)\n1 virtual routers are not touched",
            ),
            (
                &[(
                    "name = \"web-a\"",
                    "name = \"www\"\npreempt = false\nadvertisement_interval = \"100ms\"\ntransport = \"unicast\"",
                )],
                "~ www/IPv4: name web-a -> www, advertisement_interval 1s -> 100ms, transport multicast -> unicast, preempt after 0ns -> \
                 never\n1 virtual routers are not touched",
            ),
            (
                &[(
                    "[[node]]",
                    "[guard]\nmode = \"observe\"\nattach = \"tcx\"\n[process]\nlock_memory = true\n[[node]]",
                )],
                "~ [guard] mode: enforce -> observe\n! [guard] attach: only with `vipd restart`\n\
                 ! [process]: only with `vipd restart`\n2 virtual routers are not touched",
            ),
            (
                &[("[[node]]", "[[notify]]\nname = \"pipe\"\nfifo = \"/run/pipe\"\n[[node]]")],
                "+ notify pipe: new\n2 virtual routers are not touched",
            ),
            (
                &[("[[node]]", "[metrics]\nlisten = [\"[::1]:9650\", \"127.0.0.1:9651\"]\n[[node]]")],
                "~ [metrics]: served at [::1]:9650, 127.0.0.1:9651\n2 virtual routers are not touched",
            ),
            (
                &[("[[node]]", "[metrics]\nlisten = \"off\"\n[[node]]")],
                "~ [metrics]: served no more\n2 virtual routers are not touched",
            ),
            (
                &[("\"ingress\"", "\"egress\"")],
                "~ [cluster] name: ingress -> egress\n2 virtual routers are not touched",
            ),
        ];
        for (edits, expected) in cases {
            let difference = Difference::between(&config(&[]), &config(edits));
            assert_eq!(difference.to_string(), *expected);
            assert_eq!(difference.is_empty(), edits.is_empty());
        }
    }

    #[test]
    fn no_setting_is_left_out_beside_others() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (
                &[("vrid = 52", "vrid = 52\nfence = \"off\"\nmin_ttl = 254\ntransport = \"unicast\"")],
                "~ web-b/IPv4: transport multicast -> unicast, min_ttl 255 -> 254, fence auto -> off\n1 virtual routers are not touched",
            ),
            (
                &[(
                    "vrid = 52",
                    "vrid = 52\nchecksum = \"rfc9568\"\ndown_timer_adverts = 5\naccept = false\ngateways = [\"10.77.0.254\"]\n\
                     announcement_refresh = \"off\"\nannouncement_rate = 50",
                )],
                "~ web-b/IPv4: down_timer_adverts 3 -> 5, checksum pseudo-header -> rfc9568, accept true -> false, announcement_refresh \
                 60s -> off, announcement_rate off -> 50, gateways\n1 virtual routers are not touched",
            ),
            (
                &[("interface =", "rfc_pure = true\nstartup_delay = \"5s\"\ninterface =")],
                "~ web-a/IPv4: startup_delay 0ns -> 5s, rfc_pure\n~ web-b/IPv4: startup_delay 0ns -> 5s, rfc_pure\n0 virtual routers are \
                 not touched",
            ),
            (
                &[("address = \"10.77.0.1\"", "address = \"10.77.0.3\"")],
                "~ web-a/IPv4: this node's address\n~ web-b/IPv4: this node's address\n0 virtual routers are not touched",
            ),
        ];
        for (edits, expected) in cases {
            assert_eq!(Difference::between(&config(&[]), &config(edits)).to_string(), *expected);
        }
    }

    #[test]
    fn a_password_is_not_told() {
        let with =
            |password: &str| config(&[("vrid = 52", &format!("vrid = 52\nversion = 2\npassword = \"{password}\""))]);
        let said = Difference::between(&with("one"), &with("two")).to_string();
        assert_eq!(said, "~ web-b/IPv4: password\n1 virtual routers are not touched");
    }

    #[test]
    fn who_is_told_may_change() {
        let with = |lines: &str| config(&[("[[node]]", &format!("{lines}[[node]]"))]);
        let pipe = with("[[notify]]\nname = \"pipe\"\nfifo = \"/run/pipe\"\n");
        let other = with("[[notify]]\nname = \"pipe\"\nfifo = \"/run/other\"\n");
        for (was, is, expected) in [
            (&pipe, &config(&[]), "- notify pipe: goes"),
            (&pipe, &other, "~ notify pipe: changes; what waits is told in the new way"),
        ] {
            let said = Difference::between(was, is).to_string();
            assert_eq!(said, format!("{expected}\n2 virtual routers are not touched"));
        }
        assert!(Difference::between(&pipe, &pipe).is_empty());
    }

    /// The second reload says it again.
    #[test]
    fn what_is_postponed_stays_so() {
        let lines = "[guard]\nattach = \"tcx\"\nlog_drops = true\n[process]\nlock_memory = true\n[[node]]";
        let new = config(&[("interface =", "restart_grace = \"2s\"\ninterface ="), ("[[node]]", lines)]);
        let off = config(&[("interface =", "supervisor = false\ninterface =")]);
        for new in [new, off] {
            let old = config(&[]);
            let first = Difference::between(&old, &new);
            let held = new.clone().postponing(&old);
            assert!(first.postponed.contains(&"supervisor, restart_grace".to_owned()), "{first}");
            assert_eq!(Difference::between(&held, &new).postponed, first.postponed);
            assert!(Difference::between(&old, &held).is_empty());
        }
    }

    #[test]
    fn what_starts_anew_goes_and_comes() {
        let new = config(&[
            ("vrid = 52", "vrid = 52\nversion = 2"),
            ("nodes = [\"n1\", \"n2\"]", "nodes = [\"n2\", \"n1\"]"),
        ]);
        let difference = Difference::between(&config(&[]), &new);
        let name = |router: &VirtualRouter| router.name.clone();
        assert_eq!(difference.added.iter().map(name).collect::<Vec<_>>(), ["web-b"]);
        assert_eq!(difference.removed, [new.virtual_routers[1].identity()]);
        assert_eq!(difference.changed.iter().map(name).collect::<Vec<_>>(), ["web-a"]);
    }
}
