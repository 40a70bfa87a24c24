//! `[[check]]` as it is written.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use hyper::Uri;
use vrrp::track::Reading;

use super::{
    diagnostic::Place,
    table::{Field, Located, Table},
    value::{
        self, health,
        kubernetes::{self, NodeQuestion},
    },
};
use crate::{check::Who, client::Endpoint};

/// `[[check]]`.
pub(super) struct Check {
    pub(super) heading: Place,
    pub(super) name: Field<String>,
    pub(super) http: Field<Uri>,
    pub(super) tcp: Field<Endpoint>,
    pub(super) grpc: Field<Uri>,
    pub(super) command: Field<Vec<Located<String>>>,
    pub(super) process: Field<String>,
    pub(super) file: Field<PathBuf>,
    pub(super) interface: Field<String>,
    pub(super) address: Field<Who>,
    pub(super) pods: Field<String>,
    pub(super) node: Field<NodeQuestion>,
    pub(super) interval: Field<Duration>,
    pub(super) timeout: Field<Duration>,
    pub(super) rise: Field<u32>,
    pub(super) fall: Field<u32>,
    pub(super) start: Field<Reading>,
    pub(super) weight: Field<i16>,
    pub(super) reverse: Field<bool>,
    pub(super) status: Field<Vec<Located<RangeInclusive<u16>>>>,
    pub(super) body: Field<String>,
    pub(super) host: Field<String>,
    pub(super) socket: Field<PathBuf>,
    pub(super) ca_file: Field<PathBuf>,
    pub(super) verify: Field<bool>,
    pub(super) service: Field<String>,
    pub(super) user: Field<String>,
    pub(super) group: Field<String>,
    pub(super) min: Field<usize>,
    pub(super) max: Field<usize>,
    pub(super) through: Field<String>,
    pub(super) namespace: Field<String>,
}

impl Check {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["name"]);
        Self {
            heading: table.heading().clone(),
            name: table.scalar("name", value::name),
            http: table.scalar("http", health::url),
            tcp: table.scalar("tcp", health::endpoint),
            grpc: table.scalar("grpc", health::url),
            command: table.list("command", health::words),
            process: table.scalar("process", health::program),
            file: table.scalar("file", value::absolute_path),
            interface: table.scalar("interface", value::interface),
            address: table.scalar("address", health::who),
            pods: table.scalar("pods", kubernetes::selector),
            node: table.scalar("node", kubernetes::node_question),
            interval: table.scalar("interval", health::time),
            timeout: table.scalar("timeout", health::time),
            rise: table.scalar("rise", health::looks),
            fall: table.scalar("fall", health::looks),
            start: table.scalar("start", health::start),
            weight: table.scalar("weight", health::weight),
            reverse: table.scalar("reverse", value::boolean),
            status: table.list("status", health::status),
            body: table.scalar("body", health::words),
            host: table.scalar("host", health::host_header),
            socket: table.scalar("socket", health::socket),
            ca_file: table.scalar("ca_file", value::absolute_path),
            verify: table.scalar("verify", value::boolean),
            service: table.scalar("service", health::words),
            user: table.scalar("user", value::name),
            group: table.scalar("group", value::name),
            min: table.scalar("min", health::quantity),
            max: table.scalar("max", health::quantity),
            through: table.scalar("through", value::interface),
            namespace: table.scalar("namespace", kubernetes::namespace),
        }
    }
}
