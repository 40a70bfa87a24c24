//! The control socket: one JSON request a line, one JSON answer a line. Only root may connect.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixStream as BlockingStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixListener,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tracing::debug;

use super::{
    Explanation, Snapshot,
    overview::Overview,
    stream::{Since, Stream, Streams},
};
use crate::{
    mailbox::{Mail, Mailbox},
    operator::{Order, Ordered},
    perform::station,
    router::handover::{Candidate, Handover, HandoverRequest, PendingHandover, Successor},
};

/// Longest request.
const REQUEST_MAX: u64 = 4096;
/// Clients that are served at a time.
const CLIENTS_MAX: usize = 16;
/// How long a client may take for a request, and for reading the answer; and another router for a takeover.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much longer a client waits than the agent, which then says why there is no answer.
const GRACE: Duration = Duration::from_secs(1);
/// How long an order may take.
const ORDER_PATIENCE: Duration = Duration::from_secs(30);

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The state of everything.
    // With braces: serde lets a variant without them have any fields.
    Status {},
    /// Why virtual routers are in their states.
    Explain {
        /// Those of this name; all where it is missing.
        router: Option<String>,
    },
    /// Let another router serve.
    Transfer {
        /// The virtual routers of this name.
        router: String,
        /// The node that is to serve; the best one where it is missing.
        to: Option<String>,
    },
    /// Let other routers serve wherever there are any.
    Drain {},
    /// Take part again.
    Undrain {},
    /// Go on with what the configuration file says now.
    Reload {},
    /// Say what that would change.
    Plan {},
    /// Say what happens as it happens, a [line](super::stream::Line) each, until the client goes.
    Events {
        /// From where on.
        #[serde(default)]
        since: Since,
    },
    /// Give way to the program that lies now where the running one was started from. Only a failure is answered.
    Restart {},
}

/// Who serves requests.
#[derive(Clone, Debug)]
pub struct Service {
    /// What is asked for the state of everything.
    pub overview: Overview,
    /// The operator's.
    pub orders: mpsc::Sender<Ordered>,
    /// There while the node is drained.
    pub drained: PathBuf,
    /// Who follows what happens.
    pub streams: Streams,
}

impl Request {
    /// How long the agent may take for an answer.
    const fn patience(&self) -> Duration {
        match self {
            Self::Status {} | Self::Explain { .. } | Self::Events { .. } => PATIENCE,
            Self::Transfer { .. }
            | Self::Drain {}
            | Self::Undrain {}
            | Self::Reload {}
            | Self::Plan {}
            | Self::Restart {} => ORDER_PATIENCE.saturating_add(PATIENCE),
        }
    }
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Snapshot>),
    /// To [`Request::Explain`].
    Explanations(Vec<Explanation>),
    /// What was done, a sentence each.
    Done(Vec<String>),
    /// The request could not be served, or what it asked for could not be done.
    Error(String),
}

/// Opens the socket at `path`, for root alone. The run's lock is held: what is there is a dead run's.
pub fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("failed to listen on `{}`", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("failed to restrict `{}`", path.display()))?;
    Ok(listener)
}

/// The socket that the program before has opened.
pub fn listen_on(socket: OwnedFd) -> anyhow::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}

/// Serves clients for ever.
pub async fn serve(listener: UnixListener, service: Service) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        // More clients wait in the kernel's queue. The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let service = service.clone();
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    let outcome = match converse(&mut reader, &mut writer, &service).await {
                        Ok(Some(stream)) => {
                            // Who follows events has a place among those who do.
                            drop(place);
                            stream.run(reader, writer).await
                        }
                        Ok(None) => Ok(()),
                        Err(error) => Err(error),
                    };
                    if let Err(error) = outcome {
                        debug!("control client: {error:#}");
                    }
                });
            }
            Err(error) => {
                debug!(%error, "failed to accept a control client");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one client: takes a request from `reader`, and gives the answer to `writer`; returns the stream that was asked for
/// instead, if that is it.
pub async fn converse(
    reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    service: &Service,
) -> anyhow::Result<Option<Stream>> {
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(REQUEST_MAX));
    timeout(PATIENCE, reader.read_line(&mut line)).await.context("no request came")??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Events { since }) => match service.streams.join(since, &service.overview.journal) {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) => Answer::Error(error.to_string()),
        },
        Ok(request) => service.answer(request).await.unwrap_or_else(|error| Answer::Error(format!("{error:#}"))),
        Err(error) => Answer::Error(format!("not a request: {error}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(PATIENCE, writer.write_all(&line)).await.context("the client does not read")??;
    Ok(None)
}

impl Service {
    async fn answer(&self, request: Request) -> anyhow::Result<Answer> {
        let mailbox = &self.overview.mailbox;
        Ok(match request {
            Request::Status {} => Answer::Status(Box::new(self.overview.snapshot().await?)),
            Request::Events { .. } => bail!("events are not answered, they are followed"),
            Request::Explain { router } => {
                let asked = router.clone();
                let explanations = mailbox.ask(|asker| Mail::Explain { router, asker }).await?;
                if explanations.is_empty() {
                    bail!("there is no virtual router `{}`; `vipd status` lists them", asked.unwrap_or_default());
                }
                Answer::Explanations(explanations)
            }
            Request::Transfer { router, to } => {
                let to = match to {
                    Some(node) => Some(find(mailbox, router.clone(), node).await?),
                    None => None,
                };
                hand_over(mailbox, HandoverRequest::Transfer { router, to }).await?
            }
            Request::Drain {} => {
                fs::write(&self.drained, "")
                    .with_context(|| format!("failed to write `{}`", self.drained.display()))?;
                hand_over(mailbox, HandoverRequest::Drain).await?
            }
            Request::Undrain {} => {
                let _ = fs::remove_file(&self.drained);
                hand_over(mailbox, HandoverRequest::Undrain).await?
            }
            Request::Reload {} => self.order(Order::Reload).await?,
            Request::Plan {} => self.order(Order::Plan).await?,
            Request::Restart {} => self.order(Order::Restart).await?,
        })
    }

    async fn order(&self, order: Order) -> anyhow::Result<Answer> {
        let (done, outcome) = oneshot::channel();
        let ended = "the agent is ending";
        self.orders.send(Ordered { order, done }).await.ok().context(ended)?;
        Ok(Answer::Done(
            timeout(ORDER_PATIENCE, outcome).await.context("it takes longer than expected")?.context(ended)??,
        ))
    }
}

/// The node that virtual routers named `router` may be handed over to, with its Ethernet address, which the kernel may have to ask
/// for.
async fn find(mailbox: &Mailbox, router: String, node: String) -> anyhow::Result<Successor> {
    let candidate = mailbox.ask(|asker| Mail::Candidate { router, node, asker }).await?;
    let Candidate { node, ifindex, mac, addresses } = candidate.map_err(anyhow::Error::msg)?;
    let mac = match (mac, addresses.first()) {
        (Some(mac), _) => mac,
        (None, Some(&address)) => station::find(ifindex, address).await?,
        (None, None) => bail!("the configuration gives no address of {node}: add `address`, `link_local` or `mac`"),
    };
    Ok(Successor { node, mac })
}

/// Asks other routers to serve, and waits until they do, or do not.
async fn hand_over(mailbox: &Mailbox, request: HandoverRequest) -> anyhow::Result<Answer> {
    let pending = mailbox.ask(|asker| Mail::HandOver { request, asker }).await?.map_err(anyhow::Error::msg)?;
    let (mut lines, mut all_taken) = (Vec::new(), true);
    for PendingHandover { router, outcome } in pending {
        let outcome = timeout(PATIENCE, outcome).await.ok().and_then(Result::ok);
        all_taken &= matches!(outcome, Some(Handover::TakenBy(_)));
        let what = outcome.map_or_else(|| "it is not known who serves".to_owned(), |outcome| outcome.to_string());
        lines.push(format!("{router}: {what}"));
    }
    if all_taken { Ok(Answer::Done(lines)) } else { bail!(lines.join("; ")) }
}

/// The state of the agent behind the socket at `path`.
pub fn ask_status(path: &Path) -> anyhow::Result<Snapshot> {
    let answer = ask(path, &Request::Status {})?;
    if let Answer::Status(snapshot) = answer { Ok(*snapshot) } else { Err(unexpected(answer)) }
}

/// Why the virtual routers of the agent behind the socket at `path` are in their states: those named `router`, or all.
pub fn ask_why(path: &Path, router: Option<String>) -> anyhow::Result<Vec<Explanation>> {
    let answer = ask(path, &Request::Explain { router })?;
    if let Answer::Explanations(explanations) = answer { Ok(explanations) } else { Err(unexpected(answer)) }
}

/// Has the agent behind the socket at `path` do something; says what it has done.
pub fn order(path: &Path, request: &Request) -> anyhow::Result<Vec<String>> {
    let answer = ask(path, request)?;
    if let Answer::Done(lines) = answer { Ok(lines) } else { Err(unexpected(answer)) }
}

/// Has the agent behind the socket at `path` give way to another program; returns what that one says.
pub fn restart(path: &Path) -> anyhow::Result<Snapshot> {
    let before = ask_status(path)?;
    match ask(path, &Request::Restart {}) {
        Ok(other) => return Err(unexpected(other)),
        // The connection ends with the program before.
        Err(error) if error.downcast_ref::<Ended>().is_some() => {}
        Err(error) => return Err(error),
    }
    let after = ask_status(path)?;
    ensure!(after.pid == before.pid, "another agent answers: process {} and no longer {}", after.pid, before.pid);
    Ok(after)
}

/// The agent has closed the connection instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the agent ended before it answered")]
struct Ended;

fn unexpected(answer: Answer) -> anyhow::Error {
    match answer {
        Answer::Error(error) => anyhow!(error),
        Answer::Status(_) | Answer::Explanations(_) | Answer::Done(_) => anyhow!("the agent answered something else"),
    }
}

/// A connection to an agent. Where nobody is let in, because the agent hangs, the error is [`io::ErrorKind::WouldBlock`] after a while.
pub fn connect(path: &Path) -> io::Result<BlockingStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Of sockets of this family the time to connect, too.
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

fn ask(path: &Path, request: &Request) -> anyhow::Result<Answer> {
    let mut stream = connect(path)
        .with_context(|| format!("no agent answers at `{}`; is vipd running, and are you root?", path.display()))?;
    stream.set_read_timeout(Some(request.patience() + GRACE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).context("failed to ask the agent")?;
    read_answer(stream)
}

/// The answer that the agent gives on `stream`.
pub fn read_answer(stream: impl Read) -> anyhow::Result<Answer> {
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("the agent did not answer")?;
    ensure!(!answer.is_empty(), Ended);
    serde_json::from_str(&answer).context("the agent's answer is of another version")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when the agent hangs and nobody is let in any more.
    #[test]
    fn who_is_not_let_in_does_not_wait_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let mut let_in = Vec::new();
        let refused = loop {
            match connect(&path) {
                Ok(stream) => let_in.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock, "{} were let in", let_in.len());
    }

    #[test]
    fn a_request_has_the_fields_that_it_should_and_no_others() {
        let read = |line| serde_json::from_str::<Request>(line).ok();
        assert_eq!(read(r#"{"command":"status"}"#), Some(Request::Status {}));
        assert_eq!(serde_json::to_string(&Request::Status {}).unwrap(), r#"{"command":"status"}"#);
        for line in [r#"{"command":"status","router":"web-a"}"#, r#"{"command":"stop"}"#, "{}", ""] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
