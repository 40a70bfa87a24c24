//! Programs that configure the network and remove what they have not configured: systemd-networkd and NetworkManager.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    host::{Host, Link},
    interface::by_interface,
    kind::Kind,
    report::{Area, Report},
    written::files,
};
use crate::config::Config;

/// Where systemd-networkd looks for its files; one of the same name in an earlier folder hides those in later ones.
const NETWORKD: [&str; 4] =
    ["/etc/systemd/network", "/run/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network"];

/// Looks whether they run, and what they would do with the interfaces of the configuration.
pub(super) fn look(report: &mut Report, host: &Host, config: &Config) {
    let mut area = report.area("network configuration");
    let (networkd, manager) = (host.program("systemd-networkd"), host.program("NetworkManager"));
    for (name, routers) in by_interface(config) {
        let Some(link) = host.link(name) else { continue };
        if networkd.is_some() {
            look_at_networkd(&mut area, link);
        }
        if networkd.is_some() && routers.iter().any(|it| !it.routes.is_empty() || !it.rules.is_empty()) {
            look_at_foreign_routes(&mut area);
        }
        if manager.is_some() {
            look_at_network_manager(&mut area, link);
        }
    }
    for stranger in host.strangers.iter().filter(|it| it.is("systemd-networkd") || it.is("NetworkManager")) {
        area.miss(format!(
            "whether {} (process {}) shares this network: only root may see",
            stranger.name, stranger.pid
        ));
    }
    if host.is_contained {
        area.miss("programs outside of this container: run this command in the PID namespace of the host");
    }
    area.conclude(match (networkd, manager) {
        (None, None) => "neither systemd-networkd nor NetworkManager is seen",
        (Some(_), None) => "systemd-networkd leaves the interfaces as they are",
        (None, Some(_)) => "NetworkManager leaves the interfaces as they are",
        (Some(_), Some(_)) => "systemd-networkd and NetworkManager leave the interfaces as they are",
    });
}

fn look_at_networkd(area: &mut Area<'_>, link: &Link) {
    let file = match fs::read_to_string(format!("/run/systemd/netif/links/{}", link.ifindex)) {
        Ok(state) => value(&state, "NETWORK_FILE").map(PathBuf::from),
        // It has not seen the interface yet.
        Err(_) => network_file(&link.name),
    };
    let Some(file) = file else { return };
    let text = fs::read_to_string(&file).unwrap_or_default() + "\n" + &drop_ins(&file);
    let keeps = |value: String| ["yes", "true", "static"].contains(&value.as_str());
    if value(&text, "KeepConfiguration").is_some_and(keeps) || value(&text, "Unmanaged").as_deref() == Some("yes") {
        return;
    }
    let what =
        format!("systemd-networkd configures `{}` by `{}`, without KeepConfiguration", link.name, file.display());
    // The file itself may be made by another program, netplan say, or be part of a package.
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let remedy = format!(
        "write [Network] and KeepConfiguration=static into `/etc/systemd/network/{name}.d/vipd.conf`, then: networkctl reload"
    );
    area.find(Kind::NetworkdDropsAddresses, what, remedy);
}

/// The file that systemd-networkd takes for an interface: the first by name that matches.
fn network_file(interface: &str) -> Option<PathBuf> {
    let mut candidates: Vec<_> = NETWORKD.iter().flat_map(|folder| files(Path::new(folder), ".network")).collect();
    candidates.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    candidates.dedup_by(|later, earlier| later.file_name() == earlier.file_name());
    candidates.into_iter().find(|file| fs::read_to_string(file).is_ok_and(|text| matches(&text, interface)))
}

/// The text of the files that add to `file`.
fn drop_ins(file: &Path) -> String {
    let Some(name) = file.file_name() else { return String::new() };
    let folder = |base: &str| Path::new(base).join(format!("{}.d", name.to_string_lossy()));
    joined(NETWORKD.iter().flat_map(|base| files(&folder(base), ".conf")))
}

/// The text of all files, each from the beginning of a line.
fn joined(files: impl Iterator<Item = PathBuf>) -> String {
    files.filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join(
        "
",
    )
}

/// Whether `[Match]` of a file has the name of an interface among its names. Other conditions are not gone by.
fn matches(text: &str, interface: &str) -> bool {
    let section = text.split("[Match]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap_or_default();
    let Some(names) = value(section, "Name") else { return false };
    let (refused, taken): (Vec<_>, Vec<_>) = names.split_whitespace().partition(|name| name.starts_with('!'));
    let is_refused = refused.iter().any(|name| fits(&name[1..], interface));
    !is_refused && taken.iter().any(|name| fits(name, interface))
}

/// Whether a pattern of the shell fits, as far as `*` and `?` go.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => name.is_empty(),
        Some('*') => (0..=name.len()).any(|at| name.get(at..).is_some_and(|rest| fits(pattern_chars.as_str(), rest))),
        Some(char) => {
            let mut name_chars = name.chars();
            name_chars.next().is_some_and(|first| char == '?' || char == first)
                && fits(pattern_chars.as_str(), name_chars.as_str())
        }
    }
}

fn look_at_foreign_routes(area: &mut Area<'_>) {
    let folders = ["/etc/systemd/networkd.conf.d", "/run/systemd/networkd.conf.d", "/usr/lib/systemd/networkd.conf.d"];
    let files = folders.iter().flat_map(|folder| files(Path::new(folder), ".conf"));
    let text = joined([PathBuf::from("/etc/systemd/networkd.conf")].into_iter().chain(files));
    for key in ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules"] {
        if !value(&text, key).is_some_and(|value| ["no", "false", "0"].contains(&value.as_str())) {
            let what = format!("systemd-networkd runs, and {key} is not \"no\"");
            let remedy =
                format!("write {key}=no into [Network] of /etc/systemd/networkd.conf, and restart systemd-networkd");
            area.find(Kind::NetworkdDropsRoutes, what, remedy);
        }
    }
}

fn look_at_network_manager(area: &mut Area<'_>, link: &Link) {
    let state = fs::read_to_string(format!("/run/NetworkManager/devices/{}", link.ifindex)).unwrap_or_default();
    let is_managed = value(&state, "managed").map(|value| ["true", "1"].contains(&value.as_str()));
    let is_managed = is_managed.unwrap_or_else(|| !is_listed_unmanaged(&link.name));
    if is_managed {
        let name = &link.name;
        let what = format!("NetworkManager runs and manages `{name}`");
        let remedy = format!(
            "have something else configure `{name}` and its own addresses, also at boot; only then, and with another way to this host, \
             write [keyfile] unmanaged-devices=interface-name:{name} into /etc/NetworkManager/conf.d/vipd.conf and restart \
             NetworkManager, which takes off what it has configured there"
        );
        area.find(Kind::NetworkManagerManages, what, remedy);
    }
}

/// Whether a configuration of NetworkManager's leaves the interface to others.
fn is_listed_unmanaged(interface: &str) -> bool {
    let folders = ["/usr/lib/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/etc/NetworkManager/conf.d"];
    let files = folders.iter().flat_map(|folder| files(Path::new(folder), ".conf"));
    let texts =
        files.chain(["/etc/NetworkManager/NetworkManager.conf".into()]).filter_map(|it| fs::read_to_string(it).ok());
    let listed: Vec<_> = texts.filter_map(|text| value(&text, "unmanaged-devices")).collect();
    let mut names = listed.iter().flat_map(|list| list.split([',', ';']));
    names.any(|name| name.trim().strip_prefix("interface-name:").is_some_and(|pattern| fits(pattern, interface)))
}

/// The last value of `key` in lines `key=value`.
fn value(text: &str, key: &str) -> Option<String> {
    let of = |line: &str| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    };
    text.lines().filter_map(of).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd.network(5) has it.
    #[test]
    fn a_file_is_taken_for_the_interfaces_that_it_names() {
        let file = "[Match]\nName=en* vsw?\n\n[Network]\nName=eth0\nKeepConfiguration=static\n";
        for (interface, expected) in [("vsw0", true), ("eno1", true), ("vsw10", false), ("eth0", false), ("vsw", false)]
        {
            assert_eq!(matches(file, interface), expected, "{interface}");
        }
        assert!(!matches("[Match]\nName=!vsw0 *\n", "vsw0"));
        assert!(matches("[Match]\nName=!vsw0 *\n", "vsw1"));
        assert!(!matches("[Match]\nMACAddress=02:00:00:00:00:01\n", "vsw0"));
        assert_eq!(value(file, "KeepConfiguration").as_deref(), Some("static"));
        assert_eq!(value("#KeepConfiguration=yes\n", "KeepConfiguration"), None);
    }
}
