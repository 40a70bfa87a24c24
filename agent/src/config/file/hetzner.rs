//! `[[hetzner]]` as written.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use hyper::Uri;

use crate::{
    config::{
        diagnostic::Place,
        table::{Field, Located, Table},
        value,
    },
    secret::Secret,
};

/// `[[hetzner]]`.
pub(in crate::config) struct Hetzner {
    pub(in crate::config) heading: Place,
    pub(in crate::config) name: Field<String>,
    pub(in crate::config) router: Field<String>,
    pub(in crate::config) failover_ip: Field<IpAddr>,
    pub(in crate::config) floating_ip: Field<IpAddr>,
    pub(in crate::config) alias_ip: Field<IpAddr>,
    pub(in crate::config) network: Field<String>,
    /// By node, in the order of the file.
    pub(in crate::config) servers: Field<Vec<(String, Located<String>)>>,
    pub(in crate::config) username: Field<String>,
    pub(in crate::config) password: Field<Secret>,
    pub(in crate::config) token: Field<Secret>,
    pub(in crate::config) endpoint: Field<Uri>,
    pub(in crate::config) ca_file: Field<PathBuf>,
    pub(in crate::config) timeout: Field<Duration>,
    pub(in crate::config) recheck: Field<Duration>,
}

impl Hetzner {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["name", "router"]);
        Self {
            heading: table.heading().clone(),
            name: table.scalar("name", value::name),
            router: table.scalar("router", value::name),
            failover_ip: table.scalar("failover_ip", value::host),
            floating_ip: table.scalar("floating_ip", value::host),
            alias_ip: table.scalar("alias_ip", value::host),
            network: table.scalar("network", value::name),
            servers: table.map("servers", value::name),
            username: table.scalar("username", value::name),
            password: table.scalar("password", value::notify::secret),
            token: table.scalar("token", value::notify::secret),
            endpoint: table.scalar("endpoint", value::hetzner::endpoint),
            ca_file: table.scalar("ca_file", value::absolute_path),
            timeout: table.scalar("timeout", value::notify::timeout),
            recheck: table.scalar("recheck", value::hetzner::recheck),
        }
    }
}
