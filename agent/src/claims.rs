//! Which interfaces of this network namespace have an agent: each agent claims its own by abstract Unix sockets.
//!
//! The names belong to the network namespace, and the kernel forgets them when the process ends. Everybody on the host may take
//! such a name, so only those of root count.

mod diag;

use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use anyhow::{Context, anyhow, bail};
use tracing::warn;

/// What the name of such a socket begins with; the name of the interface follows, and a number if it is not the first name.
const PREFIX: &str = "vipd/interface/";
/// How many names are tried.
const NAMES_MAX: u32 = 1_000;

/// Claims the interface for this agent, for as long as the listener lives: two agents would take each other's addresses
/// for leftovers.
pub fn claim(interface: &str) -> anyhow::Result<UnixListener> {
    for number in 0..NAMES_MAX {
        if claimed().context("failed to list claims")?.contains(interface) {
            bail!("another agent serves `{interface}`; one interface has one agent");
        }
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(name(interface, number))?) {
            Ok(claim) => return Ok(claim),
            // By another agent at this very moment, or by somebody who has nothing to say.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                warn!(interface, "the name `@{}` is taken; trying the next one", name(interface, number));
            }
            Err(error) => return Err(anyhow!("failed to claim `{interface}`: {error}")),
        }
    }
    bail!("somebody has taken {NAMES_MAX} names for `{interface}`: `ss -xlp` shows who")
}

/// The interfaces that agents serve now.
pub fn claimed() -> io::Result<BTreeSet<String>> {
    match diag::names_of_root() {
        Ok(names) => Ok(names.iter().filter_map(|name| interface(name)).collect()),
        // A kernel without sock_diag does not tell whose they are.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(listed(&fs::read_to_string("/proc/net/unix")?)),
        Err(error) => Err(error),
    }
}

fn name(interface: &str, number: u32) -> String {
    // No interface has a slash in its name.
    if number == 0 { format!("{PREFIX}{interface}") } else { format!("{PREFIX}{interface}/{number}") }
}

fn interface(name: &str) -> Option<String> {
    name.strip_prefix(PREFIX)?.split('/').next().map(str::to_owned)
}

/// The claims in the kernel's list of Unix sockets, which writes abstract names with an @.
fn listed(sockets: &str) -> BTreeSet<String> {
    sockets.lines().filter_map(|line| interface(line.split_once(" @")?.1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_found_among_other_sockets() {
        let sockets = "Num       RefCount Protocol Flags    Type St Inode Path\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 21734 @vipd/interface/vsw0\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 21735 @vipd/other\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 21736 /run/vipd/vipd.sock\n\
             0000000000000000: 00000003 00000000 00000000 0001 03 21737\n\
             0000000000000000: 00000002 00000000 00010000 0001 01 21738 @vipd/interface/eth0.7/2\n";
        assert_eq!(listed(sockets), BTreeSet::from(["eth0.7".to_owned(), "vsw0".to_owned()]));
    }

    #[test]
    fn a_name_leads_back_to_its_interface() {
        assert_eq!(
            (name("eth0.7", 0), name("eth0.7", 3)),
            ("vipd/interface/eth0.7".into(), "vipd/interface/eth0.7/3".into())
        );
        for number in [0, 3] {
            assert_eq!(interface(&name("eth0.7", number)).as_deref(), Some("eth0.7"));
        }
    }
}
