//! A server at one address: who may connect, how many at a time, and for how long.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{Board, site::Site, tls};
use crate::config::metrics::Credentials;

/// Clients at a time. Where one more comes, the one that has been there longest has to go: who keeps places occupied keeps
/// nobody out.
const CLIENTS_MAX: usize = 16;
/// How long a client may take for everything.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long clients may still take when the server stops.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// How long until it is tried again to listen, or to accept.
const AGAIN: Duration = Duration::from_secs(1);
/// Clients that may wait to be accepted.
const QUEUE: i32 = 64;
/// Memory for the head of a request, in bytes; the least that hyper can do with.
const HEAD_MAX: usize = 8 * 1024;
/// Lines in the head of a request.
const HEADERS_MAX: usize = 64;

/// What serves at an address.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) site: Arc<Site>,
    pub(super) tls: Option<Credentials>,
    pub(super) board: Board,
}

impl Server {
    /// Serves until `stopped` ends, at `socket` where there is one already. Returns the socket, where there was one.
    pub(super) async fn run(self, socket: Option<OwnedFd>, mut stopped: oneshot::Receiver<()>) -> Option<OwnedFd> {
        let listener = tokio::select! {
            listener = self.listen(socket) => listener,
            _ = &mut stopped => {
                self.board.mend(self.address);
                return None;
            }
        };
        let kept = listener.try_clone().ok()?;
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return Some(kept.into()) };
        let mut clients = Clients::default();
        tokio::select! {
            () = self.accept(&listener, &mut clients) => {}
            // Nothing is ever sent: this waits for the other end to go.
            _ = stopped => {}
        }
        clients.end().await;
        Some(kept.into())
    }

    /// Listens, if need be after several attempts: a port may be in use, an address not there yet.
    async fn listen(&self, socket: Option<OwnedFd>) -> TcpListener {
        if let Some(socket) = socket {
            return socket.into();
        }
        loop {
            match bind(self.address) {
                Ok(listener) => {
                    if self.board.mend(self.address) {
                        info!("metrics are served at {} now", self.address);
                    }
                    return listener;
                }
                Err(error) => {
                    if self.board.fail(self.address, &error) {
                        warn!(address = %self.address, %error, "metrics are not served; trying again");
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    async fn accept(&self, listener: &tokio::net::TcpListener, clients: &mut Clients) {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    let (site, tls) = (Arc::clone(&self.site), self.tls.clone());
                    clients.admit(tokio::spawn(async move {
                        match timeout(PATIENCE, serve(stream, site, tls)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => debug!(%from, "client of metrics: {error:#}"),
                            Err(_) => debug!(%from, "client of metrics: it takes too long"),
                        }
                    }));
                }
                Err(error) => {
                    debug!(%error, "failed to accept a client of metrics");
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

/// The clients that are served, oldest first.
#[derive(Debug, Default)]
struct Clients(VecDeque<JoinHandle<()>>);

impl Clients {
    /// Serves one more.
    fn admit(&mut self, client: JoinHandle<()>) {
        self.0.retain(|client| !client.is_finished());
        if self.0.len() >= CLIENTS_MAX
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(client);
    }

    /// Lets all end, but not for long.
    async fn end(self) {
        let all = async {
            for client in self.0 {
                // One that takes too long ends later, or with the program.
                let _ = client.await;
            }
        };
        let _ = timeout(LAST_PATIENCE, all).await;
    }
}

/// Answers one request.
async fn serve(stream: TcpStream, site: Arc<Site>, tls: Option<Credentials>) -> anyhow::Result<()> {
    // It can only be slower without.
    let _ = stream.set_nodelay(true);
    match tls {
        None => answer(stream, site).await,
        Some(credentials) => {
            let acceptor = tls::acceptor(&credentials).inspect_err(|error| warn!("metrics are not served: {error}"))?;
            answer(acceptor.accept(stream).await?, site).await
        }
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, site: Arc<Site>) -> anyhow::Result<()> {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, std::convert::Infallible>(site.answer(&request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // [::] leaves 0.0.0.0 to whoever wants it.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(QUEUE)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
