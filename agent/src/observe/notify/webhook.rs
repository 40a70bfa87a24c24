//! Sends events to a URL.

mod alerts;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::json;
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::alerts::Alerts;
use super::courier::Failure;
use crate::{
    client::{self, Trust},
    config::notify::{Notify, Webhook, WebhookFormat, WebhookTarget},
    observe::{event::Event, journal::Journal},
};

/// Of an answer, so many bytes are looked at.
const ANSWER_MAX: usize = 4096;
/// The longest pause that a receiver can ask for.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// Where Alertmanager takes alerts, if the URL does not say it.
const ALERTS_PATH: &str = "/api/v2/alerts";

/// A receiver behind a URL.
pub(super) struct Hook {
    config: Webhook,
    /// What holds now, for a receiver that goes by that.
    alerts: Option<Alerts>,
    journal: Journal,
}

impl Hook {
    /// One for `target`, which is told what happens in `journal`.
    pub(super) fn new(config: Webhook, target: &Arc<Notify>, journal: Journal) -> Self {
        let alerts = (config.format == WebhookFormat::Alertmanager)
            .then(|| Alerts::new(Arc::clone(target), config.repeat, journal.latest()));
        Self { config, alerts, journal }
    }

    /// Looks what holds now, since events were skipped.
    pub(super) fn look(&mut self) {
        if let Some(alerts) = &mut self.alerts {
            alerts.look(self.journal.latest());
        }
    }

    /// When alerts are to be said again.
    pub(super) fn repeat_at(&self) -> Option<Instant> {
        self.alerts.as_ref().and_then(Alerts::repeat_at)
    }

    /// Sends `batch`, or alerts again where it is empty.
    pub(super) async fn post(&mut self, batch: &[Arc<Event>]) -> Result<(), Failure> {
        let (body, next) = match self.config.format {
            WebhookFormat::Json => {
                (json!({ "events": batch.iter().map(AsRef::as_ref).collect::<Vec<&Event>>() }), None)
            }
            WebhookFormat::Slack => (json!({ "text": slack(batch) }), None),
            WebhookFormat::Alertmanager => {
                let (body, next) = self.alerts.as_ref().map(|alerts| alerts.tell(batch)).unwrap_or_default();
                (body, Some(next))
            }
        };
        // Alertmanager wants something to hold, or nothing to be said.
        if body.as_array().is_none_or(|alerts| !alerts.is_empty())
            && let Err(failure) = self.send(body.to_string()).await
        {
            if let (Failure::Refused(_), Some(alerts)) = (&failure, &mut self.alerts) {
                alerts.refused();
            }
            return Err(failure);
        }
        if let (Some(alerts), Some(next)) = (&mut self.alerts, next) {
            alerts.told(next);
        }
        Ok(())
    }

    async fn send(&self, body: String) -> Result<(), Failure> {
        let request = self.request(body).map_err(|error| Failure::later(&error))?;
        let trust = self.config.ca_file.clone().map_or(Trust::Host, Trust::File);
        // The URL may be a secret, and the error names no more than host and port.
        let answer = client::http::send(request, trust, ANSWER_MAX).await;
        judge(&answer.map_err(|why| Failure::later(&anyhow!("the receiver cannot be reached: {why}")))?)
    }

    fn request(&self, body: String) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(Method::POST).uri(self.url()?);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.config.token {
            let bearer = Zeroizing::new(format!("Bearer {}", token.read()?.as_str()));
            let mut bearer = HeaderValue::from_str(&bearer).context("the token cannot be sent")?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        request.body(Full::from(body)).context("failed to put a request together")
    }

    fn url(&self) -> anyhow::Result<Uri> {
        let url = match &self.config.target {
            WebhookTarget::Url(url) => url.clone(),
            WebhookTarget::Secret(secret) => {
                let url = client::parse_url(&secret.read()?).map_err(anyhow::Error::msg);
                url.with_context(|| format!("{secret} holds no URL"))?
            }
        };
        if self.alerts.is_none() || !matches!(url.path(), "" | "/") {
            return Ok(url);
        }
        let mut parts = url.into_parts();
        parts.path_and_query = Some(ALERTS_PATH.parse().context("no path")?);
        Uri::from_parts(parts).context("no URL")
    }
}

/// What an answer means.
fn judge(answer: &Response<Vec<u8>>) -> Result<(), Failure> {
    let status = answer.status();
    let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    if status.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(answer.body());
    let said = client::excerpt(&said);
    let why = format!("the receiver answers {status}{}{said}", if said.is_empty() { "" } else { ": " });
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(Failure::Refused(why))
        }
        _ => Err(Failure::Later { why, after: after.map(|seconds| Duration::from_secs(seconds).min(PAUSE_MAX)) }),
    }
}

/// A line for each event, as Slack shows text.
fn slack(batch: &[Arc<Event>]) -> String {
    let line = |event: &Arc<Event>| {
        let text = event.to_string();
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    };
    batch.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::event::{Condition, tests::event};

    #[test]
    fn slack_takes_some_characters_for_its_own() {
        let mut event = event(1, "a&b", Condition::Backup, Condition::Active);
        event.reason = "<!channel>".to_owned();
        assert_eq!(
            slack(&[Arc::new(event)]),
            "1970-01-01T00:00:01Z #1 n1: a&amp;b/IPv4 Backup -&gt; Active: &lt;!channel&gt;"
        );
    }
}
