//! A receiver of webhooks: HTTPS on a host of the lab, which answers as it is told and keeps what it has accepted.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
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
use serde_json::Value;

/// What requests must say.
const TOKEN: &str = "Bearer t0ken";

/// A receiver that runs.
pub(crate) struct Receiver {
    state: Arc<State>,
    _server: TlsServer,
}

#[derive(Default)]
struct State {
    /// The status of answers.
    answer: AtomicU16,
    refused: AtomicUsize,
    accepted: Mutex<Vec<Value>>,
}

impl Receiver {
    /// Listens on `host` at `address`, and answers with `status`.
    pub(crate) fn start(host: &Host, address: &str, certificate: &Certificate, status: u16) -> Result<Self> {
        let state = Arc::new(State { answer: AtomicU16::new(status), ..State::default() });
        let shared = Arc::clone(&state);
        let server = TlsServer::start(host, address, certificate, move |stream, _| {
            let state = Arc::clone(&shared);
            async move {
                let service = service_fn(|request| take(request, Arc::clone(&state)));
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        })?;
        Ok(Self { state, _server: server })
    }

    /// Answers with another status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.state.answer.store(status, Ordering::Relaxed);
    }

    /// How many requests were not accepted.
    pub(crate) fn refused(&self) -> usize {
        self.state.refused.load(Ordering::Relaxed)
    }

    /// What was accepted, request by request.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        self.state.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers of all events that were accepted, in the order in which they came.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let accepted = self.accepted();
        let events = accepted.iter().filter_map(|body| body["events"].as_array()).flatten();
        events.filter_map(|event| event["sequence"].as_u64()).collect()
    }
}

async fn take(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Full<Bytes>>, Infallible> {
    let knows_token = request.headers().get(AUTHORIZATION).is_some_and(|value| value == TOKEN);
    let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
    let status = if knows_token { state.answer.load(Ordering::Relaxed) } else { 401 };
    match serde_json::from_slice(&body) {
        Ok(body) if status == 200 => state.accepted.lock().unwrap_or_else(PoisonError::into_inner).push(body),
        Ok(_) | Err(_) => {
            state.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut response = Response::new(Full::from("said the receiver"));
    *response.status_mut() = status.try_into().unwrap_or_default();
    Ok(response)
}
