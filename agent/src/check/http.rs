//! Whether a server answers a request as it should, over a connection that stays open where the server leaves it so.

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::HttpRequest;

/// Bytes of a body that are read. A connection with a longer one is not used again.
const BODY_MAX: usize = 64 * 1024;
const USER_AGENT: &str = concat!("vipd/", env!("CARGO_PKG_VERSION"));

/// What asks a server.
#[derive(Debug)]
pub(super) struct Asker {
    request: HttpRequest,
    line: Option<Line>,
}

/// An open connection, which ends with this.
#[derive(Debug)]
struct Line {
    sender: SendRequest<Empty<Bytes>>,
    _driver: JoinSet<()>,
}

impl Asker {
    pub(super) const fn new(request: HttpRequest) -> Self {
        Self { request, line: None }
    }

    /// Closes the connection.
    pub(super) fn hang_up(&mut self) {
        self.line = None;
    }

    /// Asks. A connection that the server has closed since the last time says nothing of the server.
    pub(super) async fn look(&mut self) -> Result<String, String> {
        if let Some(line) = self.line.take()
            && let Ok((line, response)) = self.ask(line).await
        {
            return self.judge(line, response).await;
        }
        let line = self.connect().await?;
        let (line, response) = self.ask(line).await.map_err(|error| format!("no answer: {error}"))?;
        self.judge(line, response).await
    }

    async fn connect(&self) -> Result<Line, String> {
        let stream = super::connection::open(&self.request.endpoint, self.request.tls.as_ref(), b"http/1.1").await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whoever asks is told of the same error.
            let _ = connection.await;
        });
        Ok(Line { sender, _driver: driver })
    }

    async fn ask(&self, mut line: Line) -> Result<(Line, Response<Incoming>), hyper::Error> {
        line.sender.ready().await?;
        let mut request = Request::new(Empty::new());
        // Both were checked with the configuration.
        *request.uri_mut() = self.request.path.parse().unwrap_or_default();
        let host = header::HeaderValue::from_str(&self.request.host);
        request.headers_mut().insert(header::HOST, host.unwrap_or(header::HeaderValue::from_static("")));
        request.headers_mut().insert(header::USER_AGENT, header::HeaderValue::from_static(USER_AGENT));
        let response = line.sender.send_request(request).await?;
        Ok((line, response))
    }

    async fn judge(&mut self, line: Line, response: Response<Incoming>) -> Result<String, String> {
        let status = response.status().as_u16();
        let (body, is_whole) = read(response.into_body()).await.map_err(|error| format!("no whole answer: {error}"))?;
        if is_whole {
            self.line = Some(line);
        }
        if !self.request.status.iter().any(|good| good.contains(&status)) {
            return Err(format!("status {status}"));
        }
        match &self.request.body {
            Some(wanted) if !contains(&body, wanted.as_bytes()) => {
                Err(format!("status {status}, and {wanted:?} is not in the first {} bytes of its body", body.len()))
            }
            Some(_) | None => Ok(format!("status {status}")),
        }
    }
}

/// The beginning of a body, and whether it is all of it.
async fn read(mut body: Incoming) -> Result<(Vec<u8>, bool), hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > BODY_MAX {
            bytes.truncate(BODY_MAX);
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted)
}
