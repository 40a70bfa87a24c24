//! Requests over HTTP/1.1.

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
    header::{HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::{Names, Server, Trust};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("vipd/", env!("CARGO_PKG_VERSION")));

/// An open connection, which ends with this.
#[derive(Debug)]
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Line {
    /// Connects to `server`; a failure is a sentence.
    pub async fn open(server: &Server, names: &mut Names) -> Result<Self, String> {
        let stream = server.connect_by(names, b"http/1.1").await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whoever asks is told of the same error.
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: driver })
    }

    /// Sends `request`, whose URI is path and query and which has a header field Host.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        request.headers_mut().insert(USER_AGENT, AGENT);
        self.sender.send_request(request).await
    }
}

/// Sends `request`, whose URI is a whole URL, over a connection of its own, to a server whose certificate `trust` believes.
/// Of the answer's body no more than `body_max` bytes are read. A failure is a sentence, which names no more of the URL than
/// its host and port.
pub async fn send(
    mut request: Request<Full<Bytes>>,
    trust: Trust,
    body_max: usize,
) -> Result<Response<Vec<u8>>, String> {
    let url = request.uri();
    let server = Server::of(url, trust).ok_or_else(|| "it is no URL of http or https with a host".to_owned())?;
    let host = url.authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(host).map_err(|error| error.to_string())?;
    let path = url.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = path;
    let mut line = Line::open(&server, &mut Names::default()).await?;
    let answer = line.send(request).await.map_err(|error| format!("{} does not answer: {error}", server.endpoint))?;
    let (parts, body) = answer.into_parts();
    let read = read(body, body_max).await;
    let body = read.map_err(|error| format!("{} does not answer in full: {error}", server.endpoint))?;
    Ok(Response::from_parts(parts, body))
}

/// The first `max` bytes of a body.
pub async fn read(mut body: Incoming, max: usize) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while bytes.len() <= max
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes.truncate(max);
    Ok(bytes)
}
