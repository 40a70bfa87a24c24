//! An API server of Kubernetes over TLS on a host of the lab: lists, watches, single objects and patches of them for whoever has
//! the token, as <https://kubernetes.io/docs/reference/using-api/api-concepts/> describes them; and what servers do that are ill.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use anyhow::Result;
use harness::{Certificate, Host, TlsServer};
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::world::{Collection, Selection, World, status};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Well,
    /// Not at all: requests are read, and watches say nothing any more and have no end.
    Silent,
    /// With a status, whatever is asked for.
    Refusing(u16),
    /// With a status, to watches alone.
    RefusingWatches(u16),
    /// With something else than JSON.
    Garbage,
    /// To watches with something else than events.
    GarbageInWatches,
    /// To watches with half a line, and the end.
    HalfLines,
}

impl Manner {
    /// The status that a request is refused with.
    fn refuses(self, is_watch: bool) -> Option<u16> {
        match self {
            Self::Refusing(code) => Some(code),
            Self::RefusingWatches(code) => is_watch.then_some(code),
            Self::Well | Self::Silent | Self::Garbage | Self::GarbageInWatches | Self::HalfLines => None,
        }
    }

    /// What a watch says in place of events.
    const fn nonsense(self) -> Option<&'static [u8]> {
        match self {
            Self::GarbageInWatches => Some(b"{\"type\":\"ADDED\",\"obj\n\0\n"),
            Self::HalfLines => Some(b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":"),
            Self::Well | Self::Silent | Self::Refusing(_) | Self::RefusingWatches(_) | Self::Garbage => None,
        }
    }
}

/// What the server's threads and the test share.
struct State {
    world: Mutex<World>,
    /// The number of the last change of the world or the manner.
    changed: watch::Sender<u64>,
    manner: Mutex<Manner>,
    token: Mutex<String>,
    lists: AtomicUsize,
    watches: AtomicUsize,
    refused: AtomicUsize,
}

/// A server, which may run or not.
pub(crate) struct Api {
    host: Host,
    address: String,
    state: Arc<State>,
    running: Option<TlsServer>,
}

impl Api {
    /// One that does not run yet, on `host` at `address`, for those who have `token`.
    pub(crate) fn new(host: &Host, address: &str, token: &str) -> Self {
        let state = State {
            world: Mutex::default(),
            changed: watch::Sender::new(0),
            manner: Mutex::new(Manner::Well),
            token: Mutex::new(format!("Bearer {token}")),
            lists: AtomicUsize::new(0),
            watches: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        };
        Self { host: host.clone(), address: address.to_owned(), state: Arc::new(state), running: None }
    }

    /// Lets it run, with `certificate`.
    pub(crate) fn start(&mut self, certificate: &Certificate) -> Result<()> {
        self.stop();
        let state = Arc::clone(&self.state);
        self.running = Some(TlsServer::start(&self.host, &self.address, certificate, move |stream, _| {
            let state = Arc::clone(&state);
            async move {
                let service = service_fn(|request| answer(request, Arc::clone(&state)));
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        })?);
        Ok(())
    }

    /// Kills it, with all connections. What it knows stays, as if etcd had it.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Answers in another manner from now on; watches end.
    pub(crate) fn answer(&self, manner: Manner) {
        *lock(&self.state.manner) = manner;
        self.state.changed.send_modify(|number| *number += 1);
    }

    /// Answers only who has this token.
    pub(crate) fn demand(&self, token: &str) {
        *lock(&self.state.token) = format!("Bearer {token}");
    }

    /// Changes the world.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut World) -> R) -> R {
        let changed = change(&mut lock(&self.state.world));
        self.state.changed.send_modify(|number| *number += 1);
        changed
    }

    /// How many lists and watches were asked for, and how many requests were refused.
    pub(crate) fn requests(&self) -> [usize; 3] {
        let State { lists, watches, refused, .. } = &*self.state;
        [lists, watches, refused].map(|count| count.load(Ordering::Relaxed))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body that comes in pieces.
struct Pieces(mpsc::UnboundedReceiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

fn whole(code: u16, body: String) -> Response<Pieces> {
    let (sender, pieces) = mpsc::unbounded_channel();
    // The other end is in this answer.
    let _ = sender.send(Bytes::from(body));
    let mut response = Response::new(Pieces(pieces));
    *response.status_mut() = code.try_into().unwrap_or_default();
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn refusal(code: u16, reason: &str, message: &str) -> Response<Pieces> {
    let mut response = whole(code, status(code, reason, message).to_string());
    if code == 429 {
        response.headers_mut().insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("1"));
    }
    response
}

/// What is asked for, from the path and the query.
struct Asked {
    collection: Collection,
    name: Option<String>,
    selection: Selection,
    watch: bool,
    since: Option<u64>,
    bookmarks: bool,
    seconds: u64,
}

impl Asked {
    fn read(uri: &hyper::Uri) -> Option<Self> {
        let parts: Vec<_> = uri.path().trim_matches('/').split('/').collect();
        let (collection, name) = match parts.as_slice() {
            ["api", "v1", "nodes", name @ ..] => (Collection::nodes(), name),
            ["api", "v1", "namespaces", namespace, "pods", name @ ..] => (Collection::pods(namespace), name),
            _ => return None,
        };
        let query = uri.query().unwrap_or_default();
        let value = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(own, _)| *own == key).map(|(_, value)| decoded(value)).unwrap_or_default()
        };
        Some(Self {
            collection,
            name: name.first().map(|name| (*name).to_owned()),
            selection: Selection { labels: value("labelSelector"), fields: value("fieldSelector") },
            watch: matches!(value("watch").as_str(), "true" | "1"),
            since: value("resourceVersion").parse().ok(),
            bookmarks: value("allowWatchBookmarks") == "true",
            seconds: value("timeoutSeconds").parse().unwrap_or(300),
        })
    }
}

/// Percent-encoding undone.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.extend(part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        bytes.extend(part.get(2..).unwrap_or_default().bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Pieces>, Infallible> {
    let manner = *lock(&state.manner);
    if manner == Manner::Silent {
        std::future::pending::<()>().await;
    }
    let knows_token = request.headers().get(AUTHORIZATION).is_some_and(|value| *value == *lock(&state.token));
    let is_watch = Asked::read(request.uri()).is_some_and(|asked| asked.watch);
    if let Some(code) = manner.refuses(is_watch).or_else(|| (!knows_token).then_some(401)) {
        state.refused.fetch_add(1, Ordering::Relaxed);
        return Ok(refusal(code, "Refused", &format!("said {code}")));
    }
    let Some(asked) = Asked::read(request.uri()) else { return Ok(discovery(request.uri().path())) };
    if manner == Manner::Garbage {
        return Ok(whole(200, "<html>not what you think</html>".to_owned()));
    }
    Ok(match (&asked.name, asked.watch) {
        (Some(name), _) => single(request, &asked, name, &state).await,
        (None, true) => watch_from(asked, state),
        (None, false) => {
            state.lists.fetch_add(1, Ordering::Relaxed);
            whole(200, lock(&state.world).list(&asked.collection, &asked.selection).to_string())
        }
    })
}

/// GET, or PATCH with a merge of what is under `spec`.
async fn single(request: Request<Incoming>, asked: &Asked, name: &str, state: &State) -> Response<Pieces> {
    if request.method() == Method::PATCH {
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let patch: Value = serde_json::from_slice(&body).unwrap_or_default();
        let merge = |object: &mut Value| {
            for (key, value) in patch["spec"].as_object().into_iter().flatten() {
                object["spec"][key] = value.clone();
            }
        };
        // One that is not there is not found below.
        let _ = lock(&state.world).edit(&asked.collection, name, merge);
        state.changed.send_modify(|number| *number += 1);
    }
    let world = lock(&state.world);
    match world.get(&asked.collection, name) {
        Some(object) => whole(200, object.to_string()),
        None => refusal(404, "NotFound", &format!("\"{name}\" not found")),
    }
}

fn watch_from(asked: Asked, state: Arc<State>) -> Response<Pieces> {
    state.watches.fetch_add(1, Ordering::Relaxed);
    let (sender, pieces) = mpsc::unbounded_channel();
    tokio::spawn(async move { tell(&asked, &state, &sender).await });
    Response::new(Pieces(pieces))
}

/// Tells a watch what happens until its time is over, or the manner changes.
async fn tell(asked: &Asked, state: &State, sender: &mpsc::UnboundedSender<Bytes>) {
    let say = |value: &Value| sender.send(Bytes::from(format!("{value}\n"))).is_ok();
    let mut changed = state.changed.subscribe();
    let manner = *lock(&state.manner);
    if let Some(nonsense) = manner.nonsense() {
        // Whoever has gone does not hear it.
        let _ = sender.send(Bytes::from_static(nonsense));
        return;
    }
    let mut since = asked.since.unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(asked.seconds);
    loop {
        changed.borrow_and_update();
        let now = *lock(&state.manner);
        if now == Manner::Silent {
            std::future::pending::<()>().await;
        }
        if now != manner {
            return;
        }
        if since < lock(&state.world).forgotten {
            let gone = status(410, "Expired", &format!("too old resource version: {since}"));
            let _ = say(&json!({ "type": "ERROR", "object": gone }));
            return;
        }
        let (events, version) = lock(&state.world).events(&asked.collection, &asked.selection, since);
        since = version;
        if !events.iter().all(say) {
            return;
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = sleep_until(end) => {
                let bookmark = lock(&state.world).bookmark(&asked.collection);
                if asked.bookmarks {
                    let _ = say(&bookmark);
                }
                return;
            }
        }
    }
}

/// What kubectl asks before anything else.
fn discovery(path: &str) -> Response<Pieces> {
    let resource = |name: &str, kind: &str, namespaced: bool| {
        let verbs = ["get", "list", "patch", "watch"];
        json!({ "name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs })
    };
    let body = match path {
        "/version" => json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.0" }),
        "/api" => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        "/apis" => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
        "/api/v1" => json!({
            "kind": "APIResourceList",
            "groupVersion": "v1",
            "resources": [resource("nodes", "Node", false), resource("pods", "Pod", true)],
        }),
        _ => return refusal(404, "NotFound", "the server could not find the requested resource"),
    };
    whole(200, body.to_string())
}
