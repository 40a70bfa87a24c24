//! `[[notify]]` as written.

use std::{path::PathBuf, time::Duration};

use hyper::Uri;
use lettre::message::Mailbox;

use crate::{
    config::{
        diagnostic::Place,
        notify::MailTls,
        table::{Field, Located, Table},
        value,
    },
    observe::event::{Condition, Severity},
    secret::Secret,
};

/// `[[notify]]`.
pub(in crate::config) struct Notify {
    pub(in crate::config) heading: Place,
    pub(in crate::config) name: Field<String>,
    pub(in crate::config) routers: Field<Vec<Located<String>>>,
    pub(in crate::config) on: Field<Vec<Located<Condition>>>,
    pub(in crate::config) severity: Field<Severity>,
    pub(in crate::config) exec: Field<Vec<Located<String>>>,
    pub(in crate::config) user: Field<String>,
    pub(in crate::config) group: Field<String>,
    pub(in crate::config) fifo: Field<PathBuf>,
    pub(in crate::config) webhook: Field<Uri>,
    pub(in crate::config) webhook_secret: Field<Secret>,
    pub(in crate::config) format: Field<String>,
    pub(in crate::config) token: Field<Secret>,
    pub(in crate::config) repeat: Field<Duration>,
    pub(in crate::config) mail: Field<Vec<Located<Mailbox>>>,
    pub(in crate::config) from: Field<Mailbox>,
    pub(in crate::config) server: Field<(String, Option<u16>)>,
    pub(in crate::config) tls: Field<MailTls>,
    pub(in crate::config) username: Field<String>,
    pub(in crate::config) password: Field<Secret>,
    pub(in crate::config) ca_file: Field<PathBuf>,
    pub(in crate::config) timeout: Field<Duration>,
    pub(in crate::config) retry: Field<Duration>,
    pub(in crate::config) digest: Field<Duration>,
}

impl Notify {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        table.require(&["name"]);
        Self {
            heading: table.heading().clone(),
            name: table.scalar("name", value::name),
            routers: table.list("routers", value::name),
            on: table.list("on", value::notify::condition),
            severity: table.scalar("severity", value::notify::severity),
            exec: table.list("exec", value::notify::argument),
            user: table.scalar("user", value::name),
            group: table.scalar("group", value::name),
            fifo: table.scalar("fifo", value::absolute_path),
            webhook: table.scalar("webhook", value::notify::url),
            webhook_secret: table.scalar("webhook_secret", value::notify::secret),
            format: table.scalar("format", value::name),
            token: table.scalar("token", value::notify::secret),
            repeat: table.scalar("repeat", value::notify::repeat),
            mail: table.list("mail", value::notify::mailbox),
            from: table.scalar("from", value::notify::mailbox),
            server: table.scalar("server", value::notify::server),
            tls: table.scalar("tls", value::notify::tls),
            username: table.scalar("username", value::name),
            password: table.scalar("password", value::notify::secret),
            ca_file: table.scalar("ca_file", value::absolute_path),
            timeout: table.scalar("timeout", value::notify::timeout),
            retry: table.scalar("retry", value::notify::retry),
            digest: table.scalar("digest", value::notify::digest),
        }
    }
}
