//! The control socket: one JSON request a line, one JSON answer a line. Only root may connect.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream as BlockingStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixListener,
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tracing::debug;

use super::Snapshot;
use crate::mailbox::{Mail, Mailbox};

/// Longest request.
const REQUEST_MAX: u64 = 4096;
/// Clients that are served at a time.
const CLIENTS_MAX: usize = 16;
/// How long a client may take for a request, and the agent for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The state of everything.
    // With braces: serde lets a variant without them have any fields.
    Status {},
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<Snapshot>),
    /// The request could not be served.
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

/// Serves clients for ever.
pub async fn serve(listener: UnixListener, mailbox: Mailbox) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        // More clients wait in the kernel's queue. The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let mailbox = mailbox.clone();
                tokio::spawn(async move {
                    let _place = place;
                    let (reader, writer) = stream.split();
                    if let Err(error) = converse(reader, writer, &mailbox).await {
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

/// Serves one client: takes a request from `reader`, and gives the answer to `writer`.
pub async fn converse(
    reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    mailbox: &Mailbox,
) -> anyhow::Result<()> {
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(REQUEST_MAX));
    timeout(PATIENCE, reader.read_line(&mut line)).await.context("no request came")??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::Status {}) => status(mailbox).await,
        Err(error) => Answer::Error(format!("not a request: {error}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(PATIENCE, writer.write_all(&line)).await.context("the client does not read")??;
    Ok(())
}

async fn status(mailbox: &Mailbox) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let ask = async {
        mailbox.send(Mail::Status(sender)).await;
        receiver.await
    };
    match timeout(PATIENCE, ask).await {
        Ok(Ok(snapshot)) => Answer::Status(Box::new(snapshot)),
        Ok(Err(_)) | Err(_) => Answer::Error("the election thread does not answer".to_owned()),
    }
}

/// The state of the agent behind the socket at `path`.
pub fn ask_status(path: &Path) -> anyhow::Result<Snapshot> {
    match ask(path, Request::Status {})? {
        Answer::Status(snapshot) => Ok(*snapshot),
        Answer::Error(error) => bail!(error),
    }
}

fn ask(path: &Path, request: Request) -> anyhow::Result<Answer> {
    let mut stream = BlockingStream::connect(path)
        .with_context(|| format!("no agent answers at `{}`; is vipd running, and are you root?", path.display()))?;
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line).context("failed to ask the agent")?;
    read_answer(stream)
}

/// The answer that the agent gives on `stream`.
pub fn read_answer(stream: impl Read) -> anyhow::Result<Answer> {
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context("the agent did not answer")?;
    ensure!(!answer.is_empty(), "the agent ended before it answered");
    serde_json::from_str(&answer).context("the agent's answer is of another version")
}

#[cfg(test)]
mod tests {
    use super::*;

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
