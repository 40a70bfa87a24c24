//! Requests to the API of Kubernetes. Whoever answers them has so much time, and so much to say.

use std::{error::Error, io, path::Path, time::Duration};

use futures_util::FutureExt;
use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, StatusCode, header::RETRY_AFTER};
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
    core::{
        self, ObjectList, Status,
        params::{ListParams, WatchParams},
    },
};
use tokio::time::timeout;

use super::fact::Object;
use crate::check::{Kubernetes, Question};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the API is to let a watch go on, in seconds: the end of one shows that the API is there.
const WATCH_SECONDS: u32 = 10;
/// Longest list, longest line of a watch, and longest complaint that are read, in bytes. etcd keeps no object above 1.5 MiB.
const LIST_MAX: usize = 64 * 1024 * 1024;
const LINE_MAX: usize = 4 * 1024 * 1024;
const COMPLAINT_MAX: usize = 64 * 1024;

/// Why nothing can be learnt at the moment.
#[derive(Debug)]
pub(super) struct Trouble {
    /// The reason, as a clause.
    pub(super) reason: String,
    /// The status of an answer that is none.
    status: Option<StatusCode>,
    /// How long the API does not want to be asked.
    pub(super) retry_after: Option<Duration>,
}

impl Trouble {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), status: None, retry_after: None }
    }
}

/// The API, and what is asked of it.
pub(super) struct Api {
    client: Client,
    /// Where the objects are, from the root of the API on.
    path: String,
    labels: Option<String>,
    fields: String,
}

/// A watch that has begun, line by line.
pub(super) struct Lines {
    body: Body,
    /// What has come after the last whole line.
    rest: Vec<u8>,
}

/// How to reach the API as `kubeconfig` says, or else the service account of the pod that this runs in.
pub(super) fn config(kubeconfig: Option<&Path>) -> Result<Config, String> {
    let mut config = match kubeconfig {
        Some(path) => {
            let written = Kubeconfig::read_from(path).map_err(|error| chain(&error))?;
            // Nothing that is asked for here has to be waited for.
            let read = Config::from_custom_kubeconfig(written, &KubeConfigOptions::default()).now_or_never();
            read.ok_or("it cannot be read at once")?.map_err(|error| chain(&error))?
        }
        None => Config::incluster().map_err(|error| chain(&error))?,
    };
    if config.auth_info.exec.is_some() || config.auth_info.auth_provider.is_some() {
        return Err("it has a program run for every login, and vipd has a token or a certificate alone".to_owned());
    }
    if let Some(proxy) = config.proxy_url {
        return Err(format!("it wants the proxy {proxy}, from proxy-url or $HTTPS_PROXY, and vipd uses none"));
    }
    (config.connect_timeout, config.default_retry) = (Some(PATIENCE), false);
    Ok(config)
}

impl Api {
    /// Reads how to reach the API. Tokens and certificates may have been replaced since the last time.
    pub(super) fn new<K: Object>(asked: &Kubernetes) -> Result<Self, Trouble> {
        let config = config(asked.kubeconfig.as_deref());
        let config = config.map_err(|error| Trouble::new(format!("it is not known how to reach the API: {error}")))?;
        let client = Client::try_from(config).map_err(|error| Trouble::new(innermost(&error)))?;
        let node = &asked.node;
        let (path, labels, fields) = match &asked.question {
            Question::Pods { namespace, selector, .. } => {
                (K::url_path(&(), Some(namespace)), Some(selector.clone()), format!("spec.nodeName={node}"))
            }
            Question::Schedulable => (K::url_path(&(), None), None, format!("metadata.name={node}")),
        };
        Ok(Self { client, path, labels, fields })
    }

    /// All objects, as they are now.
    pub(super) async fn list<K: Object>(&self) -> Result<ObjectList<K>, Trouble> {
        let params = ListParams {
            label_selector: self.labels.clone(),
            field_selector: Some(self.fields.clone()),
            ..ListParams::default()
        };
        let request = core::Request::new(&self.path).list(&params);
        let body = self.ask(request).await?;
        let whole = timeout(PATIENCE, Limited::new(body, LIST_MAX).collect()).await;
        let whole = whole.map_err(|_| silent())?.map_err(|error| Trouble::new(innermost(&*error)))?;
        let list = serde_json::from_slice(&whole.to_bytes());
        list.map_err(|error| Trouble::new(format!("the API answers with what is no list: {error}")))
    }

    /// Whatever changes after `version`; `None` where the API no longer knows.
    pub(super) async fn watch(&self, version: &str) -> Result<Option<Lines>, Trouble> {
        let params = WatchParams {
            label_selector: self.labels.clone(),
            field_selector: Some(self.fields.clone()),
            ..WatchParams::default()
        };
        let request = core::Request::new(&self.path).watch(&params.timeout(WATCH_SECONDS), version);
        match self.ask(request).await {
            Ok(body) => Ok(Some(Lines { body, rest: Vec::new() })),
            Err(Trouble { status: Some(StatusCode::GONE), .. }) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// The body of a good answer.
    async fn ask(&self, request: Result<Request<Vec<u8>>, core::request::Error>) -> Result<Body, Trouble> {
        let request = request.map_err(|error| Trouble::new(innermost(&error)))?;
        let answered = timeout(PATIENCE, self.client.send(request.map(Body::from))).await;
        let response = answered.map_err(|_| silent())?;
        let response =
            response.map_err(|error| Trouble::new(format!("the API cannot be reached: {}", innermost(&error))))?;
        if response.status().is_success() { Ok(response.into_body()) } else { Err(complaint(response).await) }
    }
}

impl Lines {
    /// The next line, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                return Ok(Some(self.rest.drain(..=end).collect()));
            }
            if self.rest.len() > LINE_MAX {
                return Err(Trouble::new(format!("the API sends a line of more than {LINE_MAX} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.rest.extend(frame.into_data().unwrap_or_default()),
                Some(Err(error)) => return Err(Trouble::new(format!("the watch broke off: {}", innermost(&error)))),
                None if self.rest.is_empty() => return Ok(None),
                None => return Err(Trouble::new("the watch broke off within a line")),
            }
        }
    }
}

/// What a refusal comes to.
async fn complaint(response: Response<Body>) -> Trouble {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = timeout(PATIENCE, Limited::new(response.into_body(), COMPLAINT_MAX).collect()).await;
    let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let said: Option<Status> = serde_json::from_slice(&body).ok();
    let why = said.map(|said| said.message).filter(|message| !message.is_empty());
    let why = why.map_or_else(String::new, |message| format!(": {}", message.escape_debug()));
    let retry_after = seconds.map(Duration::from_secs);
    Trouble { reason: format!("the API answers {status}{why}"), status: Some(status), retry_after }
}

fn silent() -> Trouble {
    Trouble::new(format!("the API does not answer within {PATIENCE:?}"))
}

/// The cause of all: what is around it names layers of the client.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        Some(_) | None => cause.to_string(),
    }
}

/// An error with its causes, each of which may repeat those within.
fn chain(error: &(dyn Error + 'static)) -> String {
    let (outer, inner) = (error.to_string(), innermost(error));
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}
