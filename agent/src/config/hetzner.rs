//! Addresses that Hetzner routes to one of the nodes' servers, as checked.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use hyper::Uri;
use vrrp_wire::Family;

use crate::secret::Secret;

/// An address that Hetzner is to route to this node while it is Active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hetzner {
    /// Its name.
    pub name: String,
    /// The virtual router or group that it follows. One of this node's.
    pub router: String,
    /// What is routed, and where to.
    pub route: Route,
    /// How vipd shows who it is.
    pub login: Login,
    /// Where the API is, over https://.
    pub endpoint: Uri,
    /// The certificates that the API's may be signed by, in PEM; `None`: those that the host trusts.
    pub ca_file: Option<PathBuf>,
    /// How long the answer to a request may take, 100 ms to an hour. Default 10 s.
    pub timeout: Duration,
    /// How often it is read where the address is routed, while this node is Active and has it. Up to an hour.
    pub recheck: Duration,
}

/// An address, and this node's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A failover IP, or the first address of a failover subnet, of Robot.
    Failover {
        /// The address.
        address: IpAddr,
        /// The main address of the server; over IPv6 the first one of its main subnet.
        server: IpAddr,
        /// How many of the file's entries share what Robot allows in an hour, this one included.
        sharers: u32,
    },
    /// A floating IP of Cloud.
    Floating {
        /// The address; over IPv6 any one of the floating subnet.
        address: IpAddr,
        /// Name of the server.
        server: String,
    },
    /// An alias IP in a private network of Cloud.
    Alias {
        /// The address.
        address: Ipv4Addr,
        /// Name of the network.
        network: String,
        /// Name of the server.
        server: String,
    },
}

impl Route {
    /// The key of the configuration that chooses it.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Failover { .. } => "failover_ip",
            Self::Floating { .. } => "floating_ip",
            Self::Alias { .. } => "alias_ip",
        }
    }

    /// What is routed.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        match self {
            Self::Failover { address, .. } | Self::Floating { address, .. } => *address,
            Self::Alias { address, .. } => IpAddr::V4(*address),
        }
    }

    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.address() {
            IpAddr::V4(_) => Family::Ipv4,
            IpAddr::V6(_) => Family::Ipv6,
        }
    }

    /// This node's server, as the API knows it.
    #[must_use]
    pub fn server(&self) -> String {
        match self {
            Self::Failover { server, .. } => server.to_string(),
            Self::Floating { server, .. } | Self::Alias { server, .. } => server.clone(),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key(), self.address())
    }
}

/// How vipd shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// To Robot: a webservice user.
    Basic {
        /// Its name.
        username: String,
        /// Where its password is.
        password: Secret,
    },
    /// To Cloud: where a token of the project is that may read and write.
    Bearer(Secret),
}
