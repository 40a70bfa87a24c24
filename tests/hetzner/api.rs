//! A server that behaves like Hetzner's APIs are documented, Robot and Cloud alike, over HTTPS on a host of the lab. It keeps what
//! it was asked, and misbehaves when it is told to.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::Result;
use harness::{Certificate, Host, TlsServer};
use http_body_util::{BodyExt, Collected, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::AUTHORIZATION,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep_until,
};

use tokio_rustls::server::TlsStream;

use crate::{cloud::Cloud, robot::Robot};

/// An answer: status, header fields and body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// When it is given; at once where that is past.
    pub(crate) at: Option<Instant>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: &impl ToString) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string(), at: None }
    }
}

/// How the server behaves.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mood {
    /// As it is documented.
    #[default]
    Kind,
    /// It gives this answer to every request, and does nothing.
    Says(Answer),
    /// It takes requests and never answers.
    Hangs,
    /// It announces an answer that is longer than it is.
    Half,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// By whom.
    pub(crate) from: IpAddr,
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) authorization: String,
}

impl Asked {
    /// Whether it changes something.
    pub(crate) fn changes(&self) -> bool {
        self.method == "POST"
    }
}

/// What the server knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) mood: Mood,
    pub(crate) robot: Robot,
    pub(crate) cloud: Cloud,
    pub(crate) asked: Vec<Asked>,
    /// Requests whose client has gone before it was answered.
    pub(crate) given_up: usize,
    /// Requests that were answered in part.
    pub(crate) halved: usize,
}

/// A server that runs.
pub(crate) struct Api {
    state: Arc<Mutex<State>>,
    _server: TlsServer,
}

impl Api {
    /// Listens on `host` at `address`.
    pub(crate) fn start(host: &Host, address: &str, certificate: &Certificate) -> Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = TlsServer::start(host, address, certificate, move |stream, from| {
            talk(stream, from.ip(), Arc::clone(&shared))
        })?;
        Ok(Self { state, _server: server })
    }

    /// What the server knows.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Behaves like that from now on.
    pub(crate) fn behave(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// What it was asked, beginning with request `from`.
    pub(crate) fn asked(&self, from: usize) -> Vec<Asked> {
        self.state().asked[from..].to_vec()
    }

    /// How many requests there were.
    pub(crate) fn count(&self) -> usize {
        self.state().asked.len()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn talk(mut stream: TlsStream<TcpStream>, from: IpAddr, state: Arc<Mutex<State>>) {
    if matches!(lock(&state).mood, Mood::Half) {
        // What is asked is of no interest, but that something is.
        let _ = stream.read(&mut [0; 1024]).await;
        lock(&state).halved += 1;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"failover\":").await;
        let _ = stream.shutdown().await;
        return;
    }
    let service = service_fn(|request| take(request, from, Arc::clone(&state)));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Counts a request that nobody waits for any more.
struct Waits<'s>(&'s Mutex<State>, bool);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.1 {
            lock(self.0).given_up += 1;
        }
    }
}

async fn take(
    request: Request<Incoming>,
    from: IpAddr,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asked = Asked {
        from,
        at: Instant::now(),
        method: head.method.to_string(),
        path: head.uri.to_string(),
        body: String::from_utf8_lossy(&body).into_owned(),
        authorization: authorization.to_owned(),
    };
    let mut waits = Waits(&state, true);
    let Some(answer) = answer(&state, &asked) else { return std::future::pending().await };
    if let Some(at) = answer.at {
        sleep_until(at.into()).await;
    }
    waits.1 = false;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    Ok(response.body(Full::from(answer.body)).unwrap_or_default())
}

/// The answer to a request; `None`: there is none.
fn answer(state: &Mutex<State>, asked: &Asked) -> Option<Answer> {
    let mut state = lock(state);
    state.asked.push(asked.clone());
    match state.mood.clone() {
        Mood::Kind => Some(match asked.path.strip_prefix("/v1") {
            Some(path) => state.cloud.answer(asked, path),
            None => state.robot.answer(asked),
        }),
        Mood::Says(answer) => Some(answer),
        Mood::Hangs | Mood::Half => None,
    }
}
