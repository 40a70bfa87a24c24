//! Kernel settings of one interface, below `/proc/sys/net` of this process's network namespace.

use std::{fs, io, path::PathBuf};

/// A setting that exists for each interface and for `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    family: &'static str,
    key: &'static str,
}

impl Setting {
    /// Answer ARP requests only for addresses of the interface that they came to.
    pub const ARP_IGNORE: Self = Self { family: "ipv4", key: "arp_ignore" };
    /// Which address ARP requests are sent from.
    pub const ARP_ANNOUNCE: Self = Self { family: "ipv4", key: "arp_announce" };
    /// Whether an address whose subnet loses its first one takes that one's place; else all others of it go too.
    pub const PROMOTE_SECONDARIES: Self = Self { family: "ipv4", key: "promote_secondaries" };
    /// Whether the way back to a sender must lead through the interface that its packet came to.
    pub const RP_FILTER: Self = Self { family: "ipv4", key: "rp_filter" };
    /// No IPv6 at all.
    pub const DISABLE_IPV6: Self = Self { family: "ipv6", key: "disable_ipv6" };
    /// How interface identifiers are made: 1 for not at all.
    pub const ADDR_GEN_MODE: Self = Self { family: "ipv6", key: "addr_gen_mode" };
    /// Whether Router Advertisements are heeded.
    pub const ACCEPT_RA: Self = Self { family: "ipv6", key: "accept_ra" };
    /// Whether the interface is a router's: its Neighbor Advertisements say so.
    pub const FORWARDING_IPV6: Self = Self { family: "ipv6", key: "forwarding" };

    /// Its name, as it stands in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.key
    }

    fn path(self, interface: &str) -> PathBuf {
        ["/proc/sys/net", self.family, "conf", interface, self.key].iter().collect()
    }

    /// Its value for `interface`.
    pub fn read(self, interface: &str) -> io::Result<i32> {
        let text = fs::read_to_string(self.path(interface)).map_err(|error| self.explain(interface, &error))?;
        text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no number")))
    }

    /// What holds on `interface`: of its own value and that for all the greater one, which the kernel goes by in settings of IPv4
    /// such as of ARP, promote_secondaries and rp_filter.
    pub fn effective(self, interface: &str) -> io::Result<i32> {
        Ok(self.read(interface)?.max(self.read("all")?))
    }

    /// Sets it for `interface`.
    pub fn write(self, interface: &str, value: i32) -> io::Result<()> {
        fs::write(self.path(interface), value.to_string()).map_err(|error| self.explain(interface, &error))
    }

    fn explain(self, interface: &str, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("`{}`: {error}", self.path(interface).display()))
    }
}
