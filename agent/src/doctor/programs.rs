//! Other programs that move addresses: keepalived for the same virtual router most of all.

use std::{fs, path::PathBuf};

use vrrp_wire::Family;

use super::{
    host::{Host, Program},
    kind::Kind,
    report::Report,
};
use crate::config::Config;

/// Programs that move addresses, by the names of their processes. MetalLB's is `speaker`.
const MANAGERS: [(&str, &str); 6] = [
    ("keepalived", "keepalived"),
    ("kube-vip", "kube-vip"),
    ("speaker", "MetalLB's speaker"),
    ("vrrpd", "FRR's vrrpd"),
    ("ucarp", "ucarp"),
    ("corosync", "corosync, and with it perhaps Pacemaker"),
];
const KEEPALIVED_FILE: &str = "/etc/keepalived/keepalived.conf";

/// Looks for them among the programs that share this network.
pub(super) fn look(report: &mut Report, host: &Host, config: Option<&Config>) {
    let mut area = report.area("programs");
    if host.is_contained {
        area.miss("programs outside of this container: run this command in the PID namespace of the host");
    }
    for stranger in host.strangers.iter().filter(|it| MANAGERS.iter().any(|(name, _)| it.is(name))) {
        area.miss(format!(
            "whether {} (process {}) shares this network: only root may see",
            stranger.name, stranger.pid
        ));
    }
    let mut told = Vec::new();
    for program in &host.programs {
        let Some((name, called)) = MANAGERS.iter().find(|(name, _)| program.is(name)) else { continue };
        let served = if *name == "keepalived" { instances(program) } else { Vec::new() };
        let is_ours = |served: &&Served| config.is_some_and(|config| served.is_in(config));
        if let Some(served) = served.iter().find(is_ours) {
            let what = format!(
                "keepalived (process {}) serves VRID {} on `{}` too, by `{}`",
                program.pid,
                served.vrid,
                served.interface,
                file(program).display()
            );
            area.find(
                Kind::KeepalivedSameRouter,
                what,
                "systemctl disable --now keepalived, or give one of them another VRID and other addresses",
            );
            told.push(*name);
        } else if !told.contains(name) {
            // keepalived runs as several processes.
            let what = format!("{called} runs (process {})", program.pid);
            area.find(Kind::OtherAddressManager, what, "compare its addresses with those of the configuration");
            told.push(*name);
        }
    }
    area.conclude("none that serves a virtual router of ours");
}

/// A virtual router of keepalived's.
#[derive(Debug, Default, PartialEq, Eq)]
struct Served {
    interface: String,
    vrid: u8,
    /// `None` where it has no addresses yet.
    family: Option<Family>,
}

impl Served {
    fn is_in(&self, config: &Config) -> bool {
        let mut routers = config.virtual_routers.iter();
        routers.any(|router| {
            (router.vrid.get(), &router.interface) == (self.vrid, &self.interface)
                && self.family.is_none_or(|family| family == router.family)
        })
    }
}

/// The configuration that a keepalived was started with.
fn file(program: &Program) -> PathBuf {
    let mut arguments = program.arguments.iter();
    while let Some(argument) = arguments.next() {
        if let Some(file) = argument.strip_prefix("--use-file=") {
            return file.into();
        }
        if argument == "--use-file" || argument == "-f" {
            return arguments.next().map_or_else(|| KEEPALIVED_FILE.into(), Into::into);
        }
    }
    KEEPALIVED_FILE.into()
}

fn instances(program: &Program) -> Vec<Served> {
    served(&fs::read_to_string(file(program)).unwrap_or_default())
}

/// The virtual routers of each `vrrp_instance`: of its keywords only those that tell whether it is one of ours.
fn served(text: &str) -> Vec<Served> {
    let mut served: Vec<Served> = Vec::new();
    let mut is_addresses = false;
    for line in text.lines() {
        let line = line.split(['#', '!']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("vrrp_instance"), Some(_)) => served.push(Served::default()),
            (Some("virtual_ipaddress"), _) => is_addresses = true,
            // The first address decides over the family.
            (Some(address), _) if is_addresses && address != "{" => {
                is_addresses = false;
                if let Some(last) = served.last_mut().filter(|_| address != "}") {
                    last.family = Some(if address.contains(':') { Family::Ipv6 } else { Family::Ipv4 });
                }
            }
            (Some("interface"), Some(name)) => {
                if let Some(last) = served.last_mut() {
                    name.clone_into(&mut last.interface);
                }
            }
            (Some("virtual_router_id"), Some(vrid)) => {
                if let Some(last) = served.last_mut() {
                    last.vrid = vrid.parse().unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    served
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As keepalived.conf(5) shows it.
    #[test]
    fn the_instances_of_keepalived_are_known_by_interface_and_vrid() {
        let text = "global_defs {\n  router_id n1\n}\nvrrp_instance web { # first\n    state MASTER\n    interface vsw0\n    \
             virtual_router_id 51 ! an old comment\n    virtual_ipaddress {\n        10.77.0.101/24\n    }\n}\n\
             vrrp_instance other {\n    interface eth0\n    virtual_router_id 7\n}\n\
             vrrp_instance six {\n    virtual_ipaddress\n    {\n        fe80::1/64\n        fd77::1/64\n    }\n}\n";
        let expected = [("vsw0", 51, Some(Family::Ipv4)), ("eth0", 7, None), ("", 0, Some(Family::Ipv6))]
            .map(|(name, vrid, family)| Served { interface: name.to_owned(), vrid, family });
        assert_eq!(served(text), expected);
    }

    #[test]
    fn its_file_is_the_one_that_it_was_started_with() {
        let of = |arguments: &[&str]| {
            let arguments = arguments.iter().map(ToString::to_string).collect();
            file(&Program { pid: 1, name: "keepalived".to_owned(), arguments })
        };
        assert_eq!(of(&["keepalived", "-n", "-f", "/a"]), PathBuf::from("/a"));
        assert_eq!(of(&["keepalived", "--use-file=/b"]), PathBuf::from("/b"));
        assert_eq!(of(&["keepalived", "--use-file", "/c"]), PathBuf::from("/c"));
        assert_eq!(of(&["keepalived", "-D"]), PathBuf::from("/etc/keepalived/keepalived.conf"));
    }
}
