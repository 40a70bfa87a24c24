//! What is answered to a request.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
};
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;
use zeroize::Zeroizing;

use super::{Format, encode};
use crate::{
    config::metrics::Login,
    observe::{Snapshot, overview::Overview},
};

/// How long an answer of the election thread is told to all who ask.
const HOLDS: Duration = Duration::from_millis(500);

/// What is served.
#[derive(Debug)]
pub(super) struct Site {
    overview: Overview,
    login: Option<Login>,
    page: Mutex<Option<Arc<Page>>>,
}

/// What was known at a moment.
#[derive(Debug)]
struct Page {
    until: Instant,
    snapshot: Result<Snapshot, String>,
    open_metrics: OnceLock<Bytes>,
    plain: OnceLock<Bytes>,
}

type Answer = Response<Full<Bytes>>;

impl Site {
    pub(super) fn new(overview: Overview, login: Option<Login>) -> Self {
        Self { overview, login, page: Mutex::default() }
    }

    /// The answer to a request. Whether the agent lives and is ready is no secret.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n".into());
            return with(answer, ALLOW, "GET, HEAD");
        }
        match request.uri().path() {
            "/metrics" => {
                if !self.may_read(request) {
                    let answer = text(StatusCode::UNAUTHORIZED, "metrics are for those who know the password\n".into());
                    return with(answer, WWW_AUTHENTICATE, "Basic realm=\"vipd\", charset=\"UTF-8\"");
                }
                let accepted = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
                self.page().await.metrics(Format::of(accepted))
            }
            "/healthz" => self.page().await.health(),
            "/readyz" => self.page().await.readiness(),
            _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n".into()),
        }
    }

    fn may_read<B>(&self, request: &Request<B>) -> bool {
        let Some(Login { username, password }) = &self.login else { return true };
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, given)) = given.and_then(|given| given.split_once(' ')) else { return false };
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        match password.read() {
            Ok(password) => {
                let expected = Zeroizing::new(format!("{username}:{}", password.as_str()));
                let expected = Zeroizing::new(BASE64_STANDARD.encode(expected.as_bytes()));
                is_same(expected.as_bytes(), given.trim().as_bytes())
            }
            Err(error) => {
                warn!("nobody may read metrics: {error}");
                false
            }
        }
    }

    /// What is known now, or was half a second ago. Of those who ask meanwhile one asks the election thread, and the others wait
    /// for him.
    async fn page(&self) -> Arc<Page> {
        let mut page = self.page.lock().await;
        match &*page {
            Some(page) if Instant::now() < page.until => Arc::clone(page),
            Some(_) | None => {
                let snapshot = self.overview.snapshot().await.map_err(|error| format!("{error:#}\n"));
                let until = Instant::now() + HOLDS;
                let new = Arc::new(Page { until, snapshot, open_metrics: OnceLock::new(), plain: OnceLock::new() });
                *page = Some(Arc::clone(&new));
                new
            }
        }
    }
}

impl Page {
    fn metrics(&self, format: Format) -> Answer {
        let snapshot = match &self.snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => return text(StatusCode::SERVICE_UNAVAILABLE, error.clone()),
        };
        let known = match format {
            Format::OpenMetrics => &self.open_metrics,
            Format::Plain => &self.plain,
        };
        let encoded = known.get_or_init(|| encode(snapshot, format).into());
        let answer = Response::new(Full::new(encoded.clone()));
        with(answer, CONTENT_TYPE, format.content_type())
    }

    /// The election thread has answered.
    fn health(&self) -> Answer {
        match &self.snapshot {
            Ok(_) => text(StatusCode::OK, "the elections answer\n".into()),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, error.clone()),
        }
    }

    /// Every virtual router takes part, and hears the others.
    fn readiness(&self) -> Answer {
        let snapshot = match &self.snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => return text(StatusCode::SERVICE_UNAVAILABLE, error.clone()),
        };
        let missing = missing(snapshot);
        if missing.is_empty() {
            return text(StatusCode::OK, "every virtual router takes part\n".into());
        }
        text(StatusCode::SERVICE_UNAVAILABLE, missing.concat())
    }
}

/// What is missing for this node to take part everywhere, a line each.
fn missing(snapshot: &Snapshot) -> Vec<String> {
    let deaf = snapshot.interfaces.iter().filter(|interface| !interface.heard);
    let deaf = deaf.map(|interface| format!("interface {}: adverts are not heard\n", interface.name));
    let waiting = snapshot.virtual_routers.iter().filter(|router| router.state == "Initialize");
    let waiting = waiting.map(|router| {
        let reason = router.reason.as_deref().unwrap_or("it has not begun");
        format!("{}/{}: {reason}\n", router.name, router.family)
    });
    deaf.chain(waiting).collect()
}

/// Compares without telling by its time where two differ.
fn is_same(expected: &[u8], given: &[u8]) -> bool {
    let differences =
        expected.iter().zip(given).fold(0, |differences, (a, b)| std::hint::black_box(differences | (a ^ b)));
    expected.len() == given.len() && differences == 0
}

fn text(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    with(answer, CONTENT_TYPE, "text/plain; charset=utf-8")
}

fn with(mut answer: Answer, name: hyper::header::HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
