//! Whether a server answers a request as it should, over a connection that stays open where the server leaves it so.

use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, header};

use super::HttpRequest;
use crate::client::http::{Line, read};

/// Bytes of a body that are read. A connection with a longer one is not used again.
const BODY_MAX: usize = 64 * 1024;

/// What asks a server.
#[derive(Debug)]
pub(super) struct Asker {
    request: HttpRequest,
    line: Option<Line>,
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
        let line = Line::open(&self.request.server).await?;
        let (line, response) = self.ask(line).await.map_err(|error| format!("no answer: {error}"))?;
        self.judge(line, response).await
    }

    async fn ask(&self, mut line: Line) -> Result<(Line, Response<Incoming>), hyper::Error> {
        let mut request = Request::new(Full::default());
        // Both were checked with the configuration.
        *request.uri_mut() = self.request.path.parse().unwrap_or_default();
        let host = header::HeaderValue::from_str(&self.request.host);
        request.headers_mut().insert(header::HOST, host.unwrap_or(header::HeaderValue::from_static("")));
        let response = line.send(request).await?;
        Ok((line, response))
    }

    async fn judge(&mut self, line: Line, response: Response<Incoming>) -> Result<String, String> {
        let status = response.status().as_u16();
        let (body, is_whole) =
            read(response.into_body(), BODY_MAX).await.map_err(|error| format!("no whole answer: {error}"))?;
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

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted)
}
