//! `[[notify]]`: who is told of changes, one way each, and only with the keys of that way.

use std::{collections::BTreeSet, time::Duration};

use super::{check_unique, warn_of_private_directory};
use crate::{
    config::{
        diagnostic::{Fault, Report},
        file::{self, File},
        notify::{Exec, Fifo, LineFormat, Mail, MailTls, Notify, Way, Webhook, WebhookFormat, WebhookTarget},
        table::{Field, Located},
    },
    observe::event::{Condition, Severity},
    program::Program,
};

/// How long a program may run, where the file does not say it.
const EXEC_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an attempt to reach a URL may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an attempt to send a mail may take.
const MAIL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long delivery is tried.
const RETRY: Duration = Duration::from_hours(1);
/// How long events are gathered into one mail.
const MAIL_DIGEST: Duration = Duration::from_secs(2);
/// How long they are gathered for Slack, which takes one message a second.
const SLACK_DIGEST: Duration = Duration::from_secs(1);
/// How often alerts are said again.
const REPEAT: Duration = Duration::from_mins(1);

/// The checked form of every `[[notify]]` that is not wrong; what is wrong is reported.
pub(super) fn check(file: &File, report: &mut Report<'_>) -> Vec<Notify> {
    check_unique(file.notify.iter().map(|notify| &notify.name), report);
    let routers = file.virtual_routers.iter().map(|router| &router.name);
    let known: BTreeSet<_> =
        routers.chain(file.groups.iter().map(|group| &group.name)).filter_map(Field::value).collect();
    file.notify
        .iter()
        .filter_map(|notify| {
            check_names(notify, &known, report);
            check_on(notify, report);
            let way = way(notify, report);
            Some(Notify {
                name: notify.name.value()?.clone(),
                about: listed(&notify.routers),
                on: listed(&notify.on).unwrap_or_else(|| default_states(way.as_ref())),
                severity: notify.severity.or_default(Severity::default())?,
                way: way?,
            })
        })
        .collect()
}

/// What is told unless the file says it: everything, but what fires as an alert is what calls for somebody.
fn default_states(way: Option<&Way>) -> BTreeSet<Condition> {
    match way {
        Some(Way::Webhook(webhook)) if webhook.format == WebhookFormat::Alertmanager => [Condition::Fault].into(),
        Some(_) | None => Condition::ALL.into(),
    }
}

fn listed<T: Clone + Ord>(field: &Field<Vec<Located<T>>>) -> Option<BTreeSet<T>> {
    field.value().map(|items| items.iter().map(|item| item.value.clone()).collect())
}

fn check_names(notify: &file::Notify, known: &BTreeSet<&String>, report: &mut Report<'_>) {
    let Some(Located { value: routers, place }) = notify.routers.given() else { return };
    if routers.is_empty() {
        report.error(place, Fault::new("there is no virtual router", "list at least one, or remove it for all"));
    }
    for router in routers.iter().filter(|router| !known.contains(&router.value)) {
        let names = known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let what = format!("there is no virtual router {:?}", router.value);
        report.error(&router.place, Fault::new(what, format!("choose one of {names}")));
    }
}

fn check_on(notify: &file::Notify, report: &mut Report<'_>) {
    if let Some(Located { value: states, place }) = notify.on.given()
        && states.is_empty()
    {
        report.error(place, Fault::new("there is no state", "list at least one, or remove it for all"));
    }
    let bad_only = notify.severity.value() == Some(&Severity::Critical);
    if let Some(Located { value: states, place }) = notify.on.given()
        && bad_only
        && !states.is_empty()
        && states.iter().all(|state| state.value != Condition::Fault)
    {
        let what = "no change to these states is ever critical, so nothing is told";
        report.error(place, Fault::new(what, "add \"Fault\", or lower severity"));
    }
}

/// The ways, the key that chooses each, and the keys that go with it.
const WAYS: [(&str, &[&str]); 4] = [
    ("exec", &["user", "group", "timeout"]),
    ("fifo", &["format", "retry"]),
    ("webhook", &["webhook_secret", "format", "token", "ca_file", "timeout", "retry", "digest", "repeat"]),
    ("mail", &["from", "server", "tls", "username", "password", "ca_file", "timeout", "retry", "digest"]),
];

/// How it is told; `None` where that is wrong, which has been reported.
fn way(notify: &file::Notify, report: &mut Report<'_>) -> Option<Way> {
    let is_webhook = !notify.webhook.is_absent() || !notify.webhook_secret.is_absent();
    let given = [!notify.exec.is_absent(), !notify.fifo.is_absent(), is_webhook, !notify.mail.is_absent()];
    let mut chosen = WAYS.iter().zip(given).filter(|(_, given)| *given).map(|(way, _)| way);
    let (Some((name, keys)), None) = (chosen.next(), chosen.next()) else {
        let how_many = given.iter().filter(|given| **given).count();
        let what = if how_many == 0 { "it says not how to tell" } else { "it says more than one way to tell" };
        let remedy =
            "give exactly one of exec, fifo, webhook (or webhook_secret) and mail; write a [[notify]] for each";
        report.error(&notify.heading, Fault::new(what, remedy));
        return None;
    };
    for (key, place) in notify.optional() {
        if !keys.contains(&key) {
            let what = format!("it is no key of a [[notify]] with {name}");
            report.error(place, Fault::new(what, format!("remove it; with {name} go {}", keys.join(", "))));
        }
    }
    match *name {
        "exec" => exec(notify, report).map(Way::Exec),
        "fifo" => fifo(notify, report).map(Way::Fifo),
        "webhook" => webhook(notify, report).map(Way::Webhook),
        _ => mail(notify, report).map(Way::Mail),
    }
}

impl file::Notify {
    /// The keys that are given and do not go with every way.
    fn optional(&self) -> impl Iterator<Item = (&'static str, &crate::config::diagnostic::Place)> {
        fn place<T>(field: &Field<T>) -> Option<&crate::config::diagnostic::Place> {
            field.given().map(|given| &given.place)
        }
        [
            ("user", place(&self.user)),
            ("group", place(&self.group)),
            ("webhook_secret", place(&self.webhook_secret)),
            ("format", place(&self.format)),
            ("token", place(&self.token)),
            ("repeat", place(&self.repeat)),
            ("from", place(&self.from)),
            ("server", place(&self.server)),
            ("tls", place(&self.tls)),
            ("username", place(&self.username)),
            ("password", place(&self.password)),
            ("ca_file", place(&self.ca_file)),
            ("timeout", place(&self.timeout)),
            ("retry", place(&self.retry)),
            ("digest", place(&self.digest)),
        ]
        .into_iter()
        .filter_map(|(key, place)| Some((key, place?)))
    }
}

fn exec(notify: &file::Notify, report: &mut Report<'_>) -> Option<Exec> {
    let Located { value: words, place } = notify.exec.given()?;
    let Some((program, arguments)) = words.split_first() else {
        report.error(place, Fault::new("there is no program", r#"write exec = ["/etc/vipd/notify"]"#));
        return None;
    };
    if !program.value.starts_with('/') {
        let what = format!("{:?} is not an absolute path", program.value);
        report.error(&program.place, Fault::new(what, "write the whole path, from / on; no shell looks for it"));
    }
    Some(Exec {
        program: Program {
            path: program.value.clone().into(),
            arguments: arguments.iter().map(|argument| argument.value.clone()).collect(),
            user: notify.user.unless_wrong()?.value().cloned(),
            group: notify.group.unless_wrong()?.value().cloned(),
        },
        timeout: notify.timeout.or_default(EXEC_TIMEOUT)?,
    })
}

fn fifo(notify: &file::Notify, report: &mut Report<'_>) -> Option<Fifo> {
    let formats = [("keepalived", LineFormat::Keepalived), ("json", LineFormat::Json)];
    warn_of_private_directory(&notify.fifo, report);
    Some(Fifo {
        path: notify.fifo.value()?.clone(),
        format: format(&notify.format, &formats, report)?,
        retry: notify.retry.or_default(RETRY)?,
    })
}

fn webhook(notify: &file::Notify, report: &mut Report<'_>) -> Option<Webhook> {
    let formats =
        [("json", WebhookFormat::Json), ("slack", WebhookFormat::Slack), ("alertmanager", WebhookFormat::Alertmanager)];
    let format = format(&notify.format, &formats, report)?;
    if let Some(repeat) = notify.repeat.given().filter(|_| format != WebhookFormat::Alertmanager) {
        let what = "nothing is repeated in this format";
        report.error(&repeat.place, Fault::new(what, r#"remove it, or write format = "alertmanager""#));
    }
    let target = match (&notify.webhook, &notify.webhook_secret) {
        (Field::Given(url), Field::Absent) => {
            check_url(notify, url, format, report);
            WebhookTarget::Url(url.value.clone())
        }
        (Field::Absent, Field::Given(secret)) => WebhookTarget::Secret(secret.value.clone()),
        (Field::Given(_), Field::Given(secret)) => {
            let what = "webhook and webhook_secret are both given";
            report.error(&secret.place, Fault::new(what, "give the URL in one of them"));
            return None;
        }
        (Field::Absent | Field::Wrong, _) | (_, Field::Wrong) => return None,
    };
    let digest = if format == WebhookFormat::Slack { SLACK_DIGEST } else { Duration::ZERO };
    Some(Webhook {
        target,
        format,
        token: notify.token.unless_wrong()?.value().cloned(),
        ca_file: notify.ca_file.unless_wrong()?.value().cloned(),
        timeout: notify.timeout.or_default(WEBHOOK_TIMEOUT)?,
        retry: notify.retry.or_default(RETRY)?,
        digest: notify.digest.or_default(digest)?,
        repeat: notify.repeat.or_default(REPEAT)?,
    })
}

/// What a URL gives away.
fn check_url(notify: &file::Notify, url: &Located<hyper::Uri>, format: WebhookFormat, report: &mut Report<'_>) {
    let is_encrypted = url.value.scheme_str() == Some("https");
    if let Some(token) = notify.token.given().filter(|_| !is_encrypted) {
        let what = "the token would be sent over http:// for everybody to read";
        report.error(&token.place, Fault::new(what, "give a URL of https://, or no token"));
    }
    if format == WebhookFormat::Slack && is_encrypted {
        let what = "whoever knows the URL of a Slack webhook can write to the channel, and everybody who reads this file knows it";
        let remedy = "write it into a file of mode 0600, and webhook_secret = \"FILE\"";
        report.warning(&url.place, Fault::new(what, remedy));
    }
}

fn mail(notify: &file::Notify, report: &mut Report<'_>) -> Option<Mail> {
    for (key, is_absent, example) in [
        ("from", notify.from.is_absent(), "\"vipd@example.org\""),
        ("server", notify.server.is_absent(), "\"smtp.example.org\""),
    ] {
        if is_absent {
            let place = notify.heading.key(key, notify.heading.line);
            report.error(&place, Fault::new("missing", format!("add {key} = {example}")));
        }
    }
    let Located { value: to, place } = notify.mail.given()?;
    if to.is_empty() {
        report.error(place, Fault::new("nobody gets the mail", r#"write mail = ["ops@example.org"]"#));
    }
    let tls = notify.tls.or_default(MailTls::default())?;
    let login = match (&notify.username, &notify.password) {
        (Field::Absent, Field::Absent) => None,
        (Field::Given(username), Field::Given(password)) => {
            if tls == MailTls::Off {
                let what = "the password would be sent for everybody to read, since tls = \"off\"";
                report.error(&password.place, Fault::new(what, "encrypt the connection, or give no password"));
            }
            Some((username.value.clone(), password.value.clone()))
        }
        (Field::Wrong, _) | (_, Field::Wrong) => return None,
        (Field::Given(one), Field::Absent) => {
            let what = "it goes with a password, which is missing";
            report.error(&one.place, Fault::new(what, "add password = \"FILE\""));
            return None;
        }
        (Field::Absent, Field::Given(one)) => {
            report.error(&one.place, Fault::new("it goes with a username, which is missing", "add username = ..."));
            return None;
        }
    };
    let (host, port) = notify.server.value()?.clone();
    Some(Mail {
        to: to.iter().map(|to| to.value.clone()).collect(),
        from: notify.from.value()?.clone(),
        host,
        port: port.unwrap_or(tls.default_port()),
        tls,
        login,
        ca_file: notify.ca_file.unless_wrong()?.value().cloned(),
        timeout: notify.timeout.or_default(MAIL_TIMEOUT)?,
        retry: notify.retry.or_default(RETRY)?,
        digest: notify.digest.or_default(MAIL_DIGEST)?,
    })
}

fn format<T: Copy + Default>(field: &Field<String>, formats: &[(&str, T)], report: &mut Report<'_>) -> Option<T> {
    if field.is_absent() {
        return Some(T::default());
    }
    let given = field.given()?;
    let chosen = formats.iter().find(|(name, _)| *name == given.value);
    if chosen.is_none() {
        let names: Vec<_> = formats.iter().map(|(name, _)| format!("{name:?}")).collect();
        let what = format!("{:?} is not one of the choices", given.value);
        report.error(&given.place, Fault::new(what, format!("write {}", names.join(" or "))));
    }
    chosen.map(|(_, format)| *format)
}
