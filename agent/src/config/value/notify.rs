//! Values of `[[notify]]`.

use std::time::Duration;

use hyper::{Uri, http::uri::Authority};
use lettre::message::Mailbox;
use toml::de::DeValue;

use super::{choice, duration, printable, span, text, unquoted};
use crate::{
    client,
    config::{diagnostic::Fault, notify::MailTls},
    observe::event::{Condition, Severity},
    secret::Secret,
};

/// A state.
pub(in crate::config) fn condition(value: &DeValue<'_>) -> Result<Condition, Fault> {
    choice(value, &Condition::ALL.map(|condition| (condition.name(), condition)))
}

pub(in crate::config) fn severity(value: &DeValue<'_>) -> Result<Severity, Fault> {
    choice(value, &[Severity::Info, Severity::Warning, Severity::Critical].map(|severity| (severity.name(), severity)))
}

/// A word of a command line, which may be empty.
pub(in crate::config) fn argument(value: &DeValue<'_>) -> Result<String, Fault> {
    Ok(printable(text(value, "/etc/vipd/notify")?)?.to_owned())
}

/// Where something is sent to. It is not quoted: it may be a secret.
pub(in crate::config) fn url(value: &DeValue<'_>) -> Result<Uri, Fault> {
    client::parse_url(unquoted(value, "https://hooks.example.org/vipd")?)
        .map_err(|what| Fault::new(what, r#"write it as in "https://hooks.example.org/vipd""#))
}

/// Where a secret is kept.
pub(in crate::config) fn secret(value: &DeValue<'_>) -> Result<Secret, Fault> {
    let text = unquoted(value, "/etc/vipd/secrets/token")?;
    // What is wrong may be the secret itself: it is not quoted.
    let found = Some(text).filter(|text| !text.contains(char::is_control)).and_then(|text| text.parse().ok());
    found.ok_or_else(|| {
        let what = "it says not where the secret is";
        let remedy =
            "write the absolute path of a file, \"credential:NAME\" for a credential of systemd, or \"env:NAME\"";
        Fault::new(what, remedy)
    })
}

pub(in crate::config) fn mailbox(value: &DeValue<'_>) -> Result<Mailbox, Fault> {
    let text = printable(text(value, "ops@example.org")?)?;
    let fault = |error| Fault::new(format!("{text:?} is not an e-mail address: {error}"), "write it as name@domain");
    text.parse().map_err(fault)
}

/// A mail server, and its port where it is given.
pub(in crate::config) fn server(value: &DeValue<'_>) -> Result<(String, Option<u16>), Fault> {
    let text = text(value, "smtp.example.org:587")?;
    let remedy = r#"write it as in "smtp.example.org", "smtp.example.org:587" or "[fd77::25]:25""#;
    let fault = || Fault::new(format!("{text:?} is not the name of a server"), remedy);
    let authority: Authority = text.parse().map_err(|_| fault())?;
    let has_port = authority.as_str().len() > authority.host().len();
    if authority.as_str().contains('@') || authority.host().is_empty() || (has_port && authority.port_u16().is_none()) {
        return Err(fault());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), authority.port_u16()))
}

pub(in crate::config) fn tls(value: &DeValue<'_>) -> Result<MailTls, Fault> {
    choice(value, &[("starttls", MailTls::StartTls), ("tls", MailTls::Tls), ("off", MailTls::Off)])
}

/// How long one attempt may take.
pub(in crate::config) fn timeout(value: &DeValue<'_>) -> Result<Duration, Fault> {
    let (text, duration) = duration(value, "10s")?;
    if (Duration::from_millis(100)..=Duration::from_hours(1)).contains(&duration) {
        return Ok(duration);
    }
    Err(Fault::new(format!("{text:?} is outside 100ms to 3600s"), "give a time span from 100ms to 3600s"))
}

/// How long delivery is tried.
pub(in crate::config) fn retry(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "3600s", &(Duration::from_secs(1)..=Duration::from_hours(24)))
}

/// How long events are gathered.
pub(in crate::config) fn digest(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "2s", &(Duration::ZERO..=Duration::from_mins(5)))
}

/// How often alerts are said again.
pub(in crate::config) fn repeat(value: &DeValue<'_>) -> Result<Duration, Fault> {
    span(value, "60s", &(Duration::from_secs(1)..=Duration::from_hours(1)))
}
