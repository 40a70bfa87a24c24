//! Sends requests to an API, as who the configuration says we are.

use std::{path::PathBuf, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http_body_util::Full;
use hyper::{
    Request, Response, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    api::{Body, Call, Reply},
    plan::Trouble,
};
use crate::{
    client::{Trust, http},
    config::hetzner::{Hetzner, Login},
    secret::SecretError,
};

/// Of an answer, so many bytes are read: a page of fifty servers has about 200 KiB.
const ANSWER_MAX: usize = 4 * 1024 * 1024;
/// The longest pause that an API can ask for.
const PAUSE_MAX: Duration = Duration::from_hours(1);
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The way to an API.
#[derive(Clone, Debug)]
pub(super) struct Access {
    endpoint: Uri,
    login: Login,
    ca_file: Option<PathBuf>,
    timeout: Duration,
}

impl Access {
    pub(super) fn new(config: &Hetzner) -> Self {
        let Hetzner { endpoint, login, ca_file, timeout, .. } = config.clone();
        Self { endpoint, login, ca_file, timeout }
    }

    /// Sends `call` and returns the answer, whatever it says. Given up, it closes the connection.
    pub(super) async fn send(&self, call: &Call) -> Result<Reply, Trouble> {
        let request = self.request(call)?;
        let trust = self.ca_file.clone().map_or(Trust::Host, Trust::File);
        let patience = self.timeout.max(call.patience);
        let passing = |why| Trouble::Passing { why, after: None };
        match timeout(patience, http::send(request, trust, ANSWER_MAX)).await {
            Ok(answer) => Ok(read(answer.map_err(passing)?)),
            Err(_) => Err(passing(format!("no answer from the API within {patience:?}"))),
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Trouble> {
        let url = format!("{}{}", self.endpoint.to_string().trim_end_matches('/'), call.path);
        let (kind, body) = match &call.body {
            Body::Nothing => (None, Bytes::new()),
            Body::Form(form) => (Some("application/x-www-form-urlencoded"), Bytes::from(form.clone())),
            Body::Json(value) => (Some("application/json"), Bytes::from(value.to_string())),
        };
        let mut request = Request::builder().method(call.method.clone()).uri(url);
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        request = request.header(AUTHORIZATION, self.authorization()?);
        request.body(Full::from(body)).map_err(|error| Trouble::Operator {
            why: format!("no request can be made of the endpoint: {error}"),
            remedy: "compare endpoint with the URL of the API".to_owned(),
        })
    }

    /// Who we are, by the secret as it is now.
    fn authorization(&self) -> Result<HeaderValue, Trouble> {
        let unreadable = |error: SecretError| Trouble::Operator {
            why: error.to_string(),
            remedy: "put the secret there; it is read for each request".to_owned(),
        };
        let text = match &self.login {
            Login::Basic { username, password } => {
                let password = password.read().map_err(unreadable)?;
                let pair = Zeroizing::new(format!("{username}:{}", password.as_str()));
                Zeroizing::new(format!("Basic {}", Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes())).as_str()))
            }
            Login::Bearer(token) => {
                let token = token.read().map_err(unreadable)?;
                Zeroizing::new(format!("Bearer {}", token.as_str()))
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| Trouble::Operator {
            why: "the secret has characters that cannot be sent".to_owned(),
            remedy: "let it hold the secret as Hetzner has shown it".to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn read(answer: Response<Vec<u8>>) -> Reply {
    let number = |name: &HeaderName| answer.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let retry_after = number(&RETRY_AFTER).map(|seconds| Duration::from_secs(seconds).min(PAUSE_MAX));
    let reset_at = number(&RATE_LIMIT_RESET);
    Reply { status: answer.status(), retry_after, reset_at, body: answer.into_body() }
}
