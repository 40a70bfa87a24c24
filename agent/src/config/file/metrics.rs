//! `[metrics]` as written.

use std::path::PathBuf;

use crate::{
    config::{
        table::{Field, Table},
        value,
    },
    secret::Secret,
};

/// `[metrics]`.
pub(in crate::config) struct Metrics {
    pub(in crate::config) listen: Field<Vec<Listen>>,
    pub(in crate::config) certificate_file: Field<PathBuf>,
    pub(in crate::config) key_file: Field<PathBuf>,
    pub(in crate::config) username: Field<String>,
    pub(in crate::config) password: Field<Secret>,
}

/// Where it is listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Listen {
    /// At this address.
    At(std::net::SocketAddr),
    /// At every address that the file gives the node, at this port.
    Node(u16),
}

impl Metrics {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            listen: table.scalar("listen", value::metrics::listen),
            certificate_file: table.scalar("certificate_file", value::absolute_path),
            key_file: table.scalar("key_file", value::absolute_path),
            username: table.scalar("username", value::metrics::username),
            password: table.scalar("password", value::notify::secret),
        }
    }
}
