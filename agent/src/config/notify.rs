//! Who is told of changes, as checked.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use hyper::Uri;
use lettre::message::Mailbox;

use crate::{
    observe::event::{Condition, Event, Severity, Subject},
    program::Program,
    secret::Secret,
};

/// Somebody who is told of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Its name.
    pub name: String,
    /// The virtual routers and groups that it is about, by name; `None`: all.
    pub about: Option<BTreeSet<String>>,
    /// The states that it hears of. Default: all.
    pub on: BTreeSet<Condition>,
    /// Nothing less than that is told. Default: everything.
    pub severity: Severity,
    /// How it is told.
    pub way: Way,
}

impl Notify {
    /// Whether it is about the virtual router or group.
    #[must_use]
    pub fn is_about(&self, subject: &Subject) -> bool {
        self.about.as_ref().is_none_or(|names| names.contains(subject.name()))
    }

    /// Whether it hears of a change.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        self.is_about(&event.subject) && self.on.contains(&event.to) && event.severity >= self.severity
    }
}

/// How somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A program is run for each change.
    Exec(Exec),
    /// A line is written into a named pipe.
    Fifo(Fifo),
    /// It is sent to a URL.
    Webhook(Webhook),
    /// By e-mail.
    Mail(Mail),
}

impl Way {
    /// The key of the configuration that chooses it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Fifo(_) => "fifo",
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }
}

/// A program that is run for each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Which; arguments that tell of the change follow its own.
    pub program: Program,
    /// How long it may run, 100 ms to an hour. Default 30 s.
    pub timeout: Duration,
}

/// A named pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// The pipe, an absolute path; it is made where it is not there.
    pub path: PathBuf,
    /// What is written.
    pub format: LineFormat,
    /// How long a line waits for a reader, up to a day. Default an hour.
    pub retry: Duration,
}

/// What a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// `INSTANCE "name" STATE priority`.
    #[default]
    Keepalived,
    /// The event as JSON.
    Json,
}

/// A URL that changes are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where to.
    pub target: WebhookTarget,
    /// What is sent.
    pub format: WebhookFormat,
    /// A bearer token, if the receiver wants one.
    pub token: Option<Secret>,
    /// The certificates that the receiver's may be signed by, in PEM; `None`: those that the host trusts.
    pub ca_file: Option<PathBuf>,
    /// How long one attempt may take, 1 s to 5 min. Default 10 s.
    pub timeout: Duration,
    /// How long an event is tried to be delivered, up to a day. Default an hour.
    pub retry: Duration,
    /// How long events are gathered to be sent together, up to 5 min. Default 1 s for Slack, else not at all.
    pub digest: Duration,
    /// How often alerts are said again, 1 s to an hour. Default 60 s.
    pub repeat: Duration,
}

/// Where a URL comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookTarget {
    /// The configuration.
    Url(Uri),
    /// Somewhere else, since whoever knows it can send to it.
    Secret(Secret),
}

/// What is sent to a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookFormat {
    /// `{"events": [...]}`.
    #[default]
    Json,
    /// `{"text": "..."}`.
    Slack,
    /// Alerts, for version 2 of Alertmanager's API.
    Alertmanager,
}

/// E-mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Who gets it.
    pub to: Vec<Mailbox>,
    /// Who sends it.
    pub from: Mailbox,
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: MailTls,
    /// Who we are to the server, if it asks.
    pub login: Option<(String, Secret)>,
    /// The certificates that the server's may be signed by, in PEM; `None`: those that the host trusts.
    pub ca_file: Option<PathBuf>,
    /// How long one attempt may take, 1 s to 5 min. Default 30 s.
    pub timeout: Duration,
    /// How long an event is tried to be delivered, up to a day. Default an hour.
    pub retry: Duration,
    /// How long events are gathered into one mail, up to 5 min. Default 2 s.
    pub digest: Duration,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// By STARTTLS, or there is none. Port 587 unless given.
    #[default]
    StartTls,
    /// From the beginning. Port 465 unless given.
    Tls,
    /// Not at all. Port 25 unless given.
    Off,
}

impl MailTls {
    /// The port unless another one is given.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::Off => 25,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::event::tests::event;

    #[test]
    fn who_is_told_of_what() {
        let exec = Exec {
            program: Program { path: "/hook".into(), arguments: Vec::new(), user: None, group: None },
            timeout: Duration::from_secs(30),
        };
        let all = Notify {
            name: "hook".to_owned(),
            about: None,
            on: Condition::ALL.into(),
            severity: Severity::Info,
            way: Way::Exec(exec),
        };
        let event = event(1, "web-a", Condition::Backup, Condition::Active);
        assert!(all.wants(&event));
        for (what, is_wanted) in [
            (Notify { about: Some(["web-a".to_owned()].into()), ..all.clone() }, true),
            (Notify { about: Some(["web-b".to_owned()].into()), ..all.clone() }, false),
            (Notify { on: [Condition::Active].into(), ..all.clone() }, true),
            (Notify { on: [Condition::Backup].into(), ..all.clone() }, false),
            (Notify { severity: Severity::Warning, ..all.clone() }, true),
            (Notify { severity: Severity::Critical, ..all.clone() }, false),
        ] {
            assert_eq!(what.wants(&event), is_wanted, "{what:?}");
        }
    }
}
