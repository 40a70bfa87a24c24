//! Whether a server answers a request as it should. Each look is a new client, as those are that the server is there for: one that
//! takes no more of them does not work, whatever it says on a connection that it has.

use http_body_util::Full;
use hyper::{
    Request,
    body::Bytes,
    header::{CONNECTION, HOST, HeaderValue},
};

use super::HttpRequest;
use crate::client::{
    Names,
    http::{Line, read},
};

/// Bytes of a body that are read.
const BODY_MAX: usize = 64 * 1024;

/// What asks a server.
#[derive(Debug)]
pub(super) struct Asker {
    request: HttpRequest,
    names: Names,
}

impl Asker {
    pub(super) fn new(request: HttpRequest) -> Self {
        Self { request, names: Names::default() }
    }

    pub(super) async fn look(&mut self) -> Result<String, String> {
        let mut line = Line::open(&self.request.server, &mut self.names).await?;
        let response = line.send(self.question()).await.map_err(|error| format!("no answer: {error}"))?;
        let status = response.status().as_u16();
        let body = read(response.into_body(), BODY_MAX).await;
        let body = body.map_err(|error| format!("no whole answer: {error}"))?;
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

    fn question(&self) -> Request<Full<Bytes>> {
        let mut question = Request::new(Full::default());
        // Both were checked with the configuration.
        *question.uri_mut() = self.request.path.parse().unwrap_or_default();
        let host = HeaderValue::from_str(&self.request.host).unwrap_or(HeaderValue::from_static(""));
        question.headers_mut().insert(HOST, host);
        question.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        question
    }
}

fn contains(body: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted)
}
