//! Connections to servers: over TCP or a Unix socket, with or without TLS.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::{Endpoint, Tls, tls};

/// Whatever bytes go to and come from a server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub(super) type Connection = Box<dyn Stream>;

/// Connects; a failure is a sentence.
pub(super) async fn reach(endpoint: &Endpoint) -> Result<Connection, String> {
    match endpoint {
        Endpoint::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await;
            let stream = stream.map_err(|error| format!("no connection to {host} port {port}: {error}"))?;
            // It can only be slower without.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Endpoint::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|error| format!("no connection to `{}`: {error}", path.display()))?;
            Ok(Box::new(stream))
        }
    }
}

/// Connects, and agrees on TLS where that is wanted, with the application `protocol`.
pub(super) async fn open(endpoint: &Endpoint, tls: Option<&Tls>, protocol: &[u8]) -> Result<Connection, String> {
    let plain = reach(endpoint).await?;
    match tls {
        None => Ok(plain),
        Some(tls) => Ok(Box::new(tls::wrap(plain, tls, protocol).await?)),
    }
}
