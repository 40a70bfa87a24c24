//! Which interfaces of this network namespace have an agent: each agent claims its own by abstract Unix sockets.
//!
//! The names belong to the network namespace, and the kernel forgets them when the process ends.

use std::{collections::BTreeSet, fs, io};

/// What the name of such a socket begins with; the name of the interface follows.
pub const PREFIX: &str = "vipd/interface/";

/// The interfaces that agents serve now.
pub fn claimed() -> io::Result<BTreeSet<String>> {
    Ok(names(&fs::read_to_string("/proc/net/unix")?))
}

/// The claims in the kernel's list of Unix sockets, which writes abstract names with an @.
fn names(sockets: &str) -> BTreeSet<String> {
    let name = |line: &str| Some(line.split_once(" @")?.1.strip_prefix(PREFIX)?.to_owned());
    sockets.lines().filter_map(name).collect()
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
             0000000000000000: 00000002 00000000 00010000 0001 01 21738 @vipd/interface/eth0.7\n";
        assert_eq!(names(sockets), BTreeSet::from(["eth0.7".to_owned(), "vsw0".to_owned()]));
    }
}
