//! A server at one address: who may connect, how many at a time, and for how long.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::{Board, site::Site, tls};
use crate::config::metrics::Credentials;

/// Clients at a time. Where one more comes, one has to go: that which has been there longest of those that have not asked
/// anything yet, else of all. Who keeps places occupied keeps nobody out.
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
        let (kept, listener) = tokio::select! {
            opened = self.listen(socket.as_ref()) => opened,
            _ = &mut stopped => {
                self.board.mend(self.address);
                return socket;
            }
        };
        let mut clients = Clients::default();
        tokio::select! {
            () = self.accept(&listener, &mut clients) => {}
            // Nothing is ever sent: this waits for the other end to go.
            _ = stopped => {}
        }
        clients.end().await;
        self.board.mend(self.address);
        Some(kept.into())
    }

    /// Listens, at `socket` where there is one, if need be after several attempts: a port may be in use, an address not there
    /// yet. Of the two descriptors the first outlives this server.
    async fn listen(&self, socket: Option<&OwnedFd>) -> (TcpListener, tokio::net::TcpListener) {
        loop {
            let listener = match socket {
                Some(socket) => socket.try_clone().map(TcpListener::from),
                None => bind(self.address),
            };
            match listener.and_then(|kept| Ok((tokio::net::TcpListener::from_std(kept.try_clone()?)?, kept))) {
                Ok((listener, kept)) => {
                    self.succeed();
                    return (kept, listener);
                }
                Err(error) => {
                    self.fail(&error, remedy(&error));
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Tells of a failure, once until it changes.
    fn fail(&self, error: &dyn fmt::Display, remedy: &str) {
        if self.board.fail(self.address, error, remedy) {
            warn!(address = %self.address, %error, "metrics are not served; trying again");
        }
    }

    /// Tells that a failure is over, if there was one.
    fn succeed(&self) {
        if self.board.mend(self.address) {
            info!("metrics are served at {} now", self.address);
        }
    }

    async fn accept(&self, listener: &tokio::net::TcpListener, clients: &mut Clients) {
        loop {
            match listener.accept().await {
                // The files are read for each client, so that they may be replaced.
                Ok((stream, from)) => match self.tls.as_ref().map(tls::acceptor).transpose() {
                    Ok(acceptor) => {
                        self.succeed();
                        let (site, has_asked) = (Arc::clone(&self.site), Arc::new(AtomicBool::new(false)));
                        let answered = serve(stream, site, acceptor, Arc::clone(&has_asked));
                        let task = tokio::spawn(async move {
                            match timeout(PATIENCE, answered).await {
                                Ok(Ok(())) => {}
                                Ok(Err(error)) => debug!(%from, "client of metrics: {error:#}"),
                                Err(_) => debug!(%from, "client of metrics: it takes too long"),
                            }
                        });
                        clients.admit(Client { task, has_asked });
                    }
                    Err(error) => self.fail(&error, "mend `certificate_file` and `key_file` in [metrics]"),
                },
                // It went before it was let in.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.fail(&error, "nobody is let in: look at the limits of the agent, open files most of all");
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

/// A client that is served.
#[derive(Debug)]
struct Client {
    task: JoinHandle<()>,
    /// Whether its request has come.
    has_asked: Arc<AtomicBool>,
}

/// The clients that are served, oldest first.
#[derive(Debug, Default)]
struct Clients(VecDeque<Client>);

impl Clients {
    /// Serves one more.
    fn admit(&mut self, client: Client) {
        self.0.retain(|client| !client.task.is_finished());
        if self.0.len() >= CLIENTS_MAX {
            let idle = self.0.iter().position(|client| !client.has_asked.load(Ordering::Relaxed));
            if let Some(client) = self.0.remove(idle.unwrap_or(0)) {
                client.task.abort();
            }
        }
        self.0.push_back(client);
    }

    /// Lets all end, but not for long.
    async fn end(self) {
        let all = async {
            for client in self.0 {
                // One that takes too long ends later, or with the program.
                let _ = client.task.await;
            }
        };
        let _ = timeout(LAST_PATIENCE, all).await;
    }
}

/// Answers one request.
async fn serve(
    stream: TcpStream,
    site: Arc<Site>,
    acceptor: Option<TlsAcceptor>,
    has_asked: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    // It can only be slower without.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => answer(stream, site, has_asked).await,
        Some(acceptor) => answer(acceptor.accept(stream).await?, site, has_asked).await,
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    site: Arc<Site>,
    has_asked: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
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

/// What is to be done where it cannot be listened.
fn remedy(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::AddrInUse {
        "another program has that port, perhaps another agent: give each its own `listen` in [metrics], or \"off\""
    } else {
        "mend `listen` in [metrics], unless the address is still to come"
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever has asked stays until nobody else is left who has not.
    #[tokio::test]
    async fn who_has_asked_nothing_goes_first() {
        let client = |has_asked| {
            let task = tokio::spawn(std::future::pending());
            Client { task, has_asked: Arc::new(AtomicBool::new(has_asked)) }
        };
        let mut clients = Clients::default();
        clients.admit(client(true));
        for _ in 0..40 {
            clients.admit(client(false));
        }
        assert_eq!(clients.0.len(), 16);
        assert!(clients.0[0].has_asked.load(Ordering::Relaxed), "who had asked was turned away");
        for _ in 0..15 {
            clients.admit(client(true));
        }
        let first = Arc::clone(&clients.0[0].has_asked);
        clients.admit(client(false));
        assert!(!clients.0.iter().any(|client| Arc::ptr_eq(&client.has_asked, &first)), "the oldest stays for ever");
    }
}
