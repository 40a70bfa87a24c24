//! Virtual addresses in the files that configure this host's network: ifupdown, netplan, systemd-networkd, NetworkManager.
//!
//! Only lines that give the host an address count; routes, gateways and servers that have it in them do not.

use std::{
    collections::BTreeSet,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Where such files are, and how their names end.
const PLACES: [(&str, &str); 8] = [
    ("/etc/network/interfaces.d", ""),
    ("/etc/netplan", ".yaml"),
    ("/run/netplan", ".yaml"),
    ("/etc/systemd/network", ".network"),
    ("/run/systemd/network", ".network"),
    ("/etc/NetworkManager/system-connections", ".nmconnection"),
    ("/run/NetworkManager/system-connections", ".nmconnection"),
    ("/etc/sysconfig/network-scripts", ""),
];
/// Where systemd-networkd has `NAME.network.d/*.conf`, which add to its files.
const NETWORKD: [&str; 2] = ["/etc/systemd/network", "/run/systemd/network"];
const INTERFACES: &str = "/etc/network/interfaces";

/// A line that gives this host a virtual address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) file: PathBuf,
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) address: IpAddr,
}

/// The lines that give this host one of `addresses`, and the files and folders that this process may not read.
pub(super) fn find(addresses: &BTreeSet<IpAddr>) -> (Vec<Found>, Vec<PathBuf>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let places = PLACES.into_iter().map(|(folder, _)| Path::new(folder));
    let is_forbidden =
        |folder: &&Path| fs::read_dir(folder).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    unread.extend(places.filter(is_forbidden).map(Path::to_owned));
    let wholes = PLACES.into_iter().flat_map(|(folder, end)| files(Path::new(folder), end));
    let folders = NETWORKD.into_iter().flat_map(|folder| files(Path::new(folder), ".network.d"));
    let drop_ins = folders.flat_map(|folder| files(&folder, ".conf"));
    for file in wholes.chain(drop_ins).chain([INTERFACES.into()]) {
        match fs::read_to_string(&file) {
            Ok(text) => {
                for (line, text) in (1..).zip(text.lines()) {
                    let given = given(text).into_iter().filter(|address| addresses.contains(address));
                    found.extend(given.map(|address| Found { file: file.clone(), line, address }));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => unread.push(file),
            Err(_) => {}
        }
    }
    (found, unread)
}

/// The files in `folder` whose names end with `end`, in the order of their names.
pub(super) fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    files
}

/// The addresses that a line gives the host.
///
/// Such a line begins with a key for addresses (`address`, `Address=`, `address1=`, `IPADDR=`, `up ip addr add`), or it is an
/// entry of a list in YAML, with a prefix length, as netplan has only addresses of the host.
fn given(line: &str) -> Vec<IpAddr> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (lower, words) = (line.to_ascii_lowercase(), || line.split(|char: char| " \t,=[]\"'".contains(char)));
    let is_entry = line.starts_with("- ") && !line.contains(": ");
    let is_list = lower.starts_with("addresses:");
    let is_key =
        lower.starts_with("address") && !is_list || lower.starts_with("ipaddr") || lower.starts_with("ipv6addr");
    let is_command = lower.contains("ip addr add") || lower.contains("ip address add");
    let parse = |word: &str| -> Option<IpAddr> {
        match word.split_once('/') {
            Some((address, length)) => length.parse::<u8>().ok().and(address.parse().ok()),
            None => word.parse().ok().filter(|_| is_key || is_command),
        }
    };
    let mut given = words().filter_map(parse);
    match (is_key, is_entry || is_list || is_command) {
        // After the address of a connection its gateway follows.
        (true, _) => given.next().into_iter().collect(),
        (false, true) => given.collect(),
        (false, false) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As interfaces(5), systemd.network(5), netplan-yaml(5) and nm-settings-keyfile(5) show them.
    #[test]
    fn only_lines_that_give_an_address_count() {
        for (line, expected) in [
            ("    address 10.77.0.101/24", &["10.77.0.101"][..]),
            ("\taddress 10.77.0.101", &["10.77.0.101"]),
            ("    up ip addr add 10.77.0.101/24 dev vsw0", &["10.77.0.101"]),
            ("Address=fd77::101/64", &["fd77::101"]),
            ("      - 10.77.0.101/24", &["10.77.0.101"]),
            ("      - \"fd77::101/64\"", &["fd77::101"]),
            ("      addresses: [10.77.0.1/24, 10.77.0.101/24]", &["10.77.0.1", "10.77.0.101"]),
            ("address1=10.77.0.101/24,10.77.0.254", &["10.77.0.101"]),
            ("IPADDR=10.77.0.101", &["10.77.0.101"]),
            ("    # address 10.77.0.101/24", &[]),
            ("      - 10.77.0.1/24 # 10.77.0.101/24 moves", &["10.77.0.1"]),
            ("    gateway 10.77.0.101", &[]),
            ("      - to: 10.77.0.101/32", &[]),
            ("          via: 10.77.0.101", &[]),
            ("        addresses: [10.77.0.101]", &[]),
            ("        - 10.77.0.101", &[]),
            ("Destination=10.77.0.101/32", &[]),
            ("Gateway=10.77.0.101", &[]),
            ("route1=10.77.0.101/32,10.77.0.254", &[]),
            ("dns=10.77.0.101;", &[]),
            ("", &[]),
        ] {
            let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(given(line), expected, "{line}");
        }
    }
}
