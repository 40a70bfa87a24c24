//! Connections to servers, as their client: over TCP or a Unix socket, with or without TLS.

pub mod http;
mod names;
mod tls;

use std::{fmt, path::PathBuf};

use hyper::Uri;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

pub use self::{names::Names, tls::roots};

/// Of what a server says of its own accord, so many characters are shown.
const SHOWN_MAX: usize = 200;

/// What a server says, as far as it is shown: without control characters, and cut.
#[must_use]
pub fn excerpt(said: &str) -> String {
    said.trim().chars().filter(|char| !char.is_control()).take(SHOWN_MAX).collect()
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub endpoint: Endpoint,
    /// `None`: nothing is encrypted.
    pub tls: Option<Tls>,
}

/// Where something is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A host, by name or address without brackets, and a port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// How a server is known that is reached over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The name or address that its certificate must be for.
    pub server: String,
    /// Who must have signed it.
    pub trust: Trust,
}

/// Who may have signed a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those whom the host trusts.
    Host,
    /// The certificates in this file, in PEM.
    File(PathBuf),
    /// Anybody.
    Anybody,
}

/// Whatever bytes go to and come from a server.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub type Connection = Box<dyn Stream>;

impl Server {
    /// The one that `url` names, if it is one of http or https.
    #[must_use]
    pub fn of(url: &Uri, trust: Trust) -> Option<Self> {
        let authority = url.authority()?;
        let host = without_brackets(authority.host()).to_owned();
        let (port, tls) = match url.scheme_str()? {
            "http" => (80, None),
            "https" => (443, Some(Tls { server: host.clone(), trust })),
            _ => return None,
        };
        let has_port = authority.as_str().len() > authority.host().len();
        let port = if has_port { authority.port_u16().filter(|&port| port != 0)? } else { port };
        if host.is_empty() {
            return None;
        }
        Some(Self { endpoint: Endpoint::Tcp(host, port), tls })
    }

    /// Connects, and agrees on TLS where that is wanted, with the application `protocol`; a failure is a sentence.
    pub async fn connect(&self, protocol: &[u8]) -> Result<Connection, String> {
        self.connect_by(&mut Names::default(), protocol).await
    }

    /// [`Server::connect`] for whoever does so again and again.
    pub async fn connect_by(&self, names: &mut Names, protocol: &[u8]) -> Result<Connection, String> {
        let plain = self.endpoint.connect(names).await?;
        match &self.tls {
            None => Ok(plain),
            Some(tls) => Ok(Box::new(tls::wrap(plain, tls, protocol).await?)),
        }
    }
}

impl Endpoint {
    /// Connects; a failure is a sentence.
    pub async fn connect(&self, names: &mut Names) -> Result<Connection, String> {
        match self {
            Self::Tcp(host, port) => {
                let failed = |error| format!("no connection to {host} port {port}: {error}");
                let addresses = names.find(host, *port).await.map_err(failed)?;
                let stream = TcpStream::connect(addresses.as_slice()).await.map_err(failed)?;
                // It can only be slower without.
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                let stream = stream.map_err(|error| format!("no connection to `{}`: {error}", path.display()))?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// The URL of http or https that `text` is, or what is wrong with it; it may be a secret, and is not quoted.
pub fn parse_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("it has a user in it, who would not be sent".to_owned());
    }
    match Server::of(&url, Trust::Host) {
        Some(_) => Ok(url),
        None => Err("it is no URL of http or https with a host".to_owned()),
    }
}

/// An address of IPv6 as it is written everywhere but in a URL.
fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server() {
        let server = |url: &str| {
            let server = Server::of(&url.parse().unwrap(), Trust::Host)?;
            Some((server.endpoint.to_string(), server.tls.map(|tls| tls.server)))
        };
        let plain = |endpoint: &str| Some((endpoint.to_owned(), None));
        let secure = |endpoint: &str, name: &str| Some((endpoint.to_owned(), Some(name.to_owned())));
        for (url, expected) in [
            ("http://a.example/x?y", plain("a.example:80")),
            ("http://127.0.0.1:10254/healthz", plain("127.0.0.1:10254")),
            ("https://a.example", secure("a.example:443", "a.example")),
            ("https://[fd77::1]:8443/", secure("[fd77::1]:8443", "fd77::1")),
            ("http://a.example:0/", None),
            ("http://a.example:65536/", None),
            ("ftp://a.example/", None),
            ("/x", None),
        ] {
            assert_eq!(server(url), expected, "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused() {
        let no_host = Err("it is no URL of http or https with a host".to_owned());
        assert_eq!(parse_url("https://a.example/x").map(|url| url.to_string()), Ok("https://a.example/x".to_owned()));
        assert_eq!(parse_url("/x"), no_host);
        assert_eq!(parse_url("https://u:p@a.example/"), Err("it has a user in it, who would not be sent".to_owned()));
        assert_eq!(parse_url("a b"), Err("it is no URL: invalid uri character".to_owned()));
    }
}
