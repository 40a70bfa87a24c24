//! The events as a stream of JSON lines on the control socket, from any number on.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream as BlockingStream,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{
    control::{Answer, Request},
    event::Event,
    journal::Journal,
};

/// Clients that follow the events at a time.
const STREAMS_MAX: usize = 16;
/// Events that are sent at a time.
const PAGE: usize = 64;
/// How long clients may take to read the last events.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// How long a client waits until it looks for the agent again.
const RECONNECT_EVERY: Duration = Duration::from_millis(200);

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The first line.
    Journal {
        /// Tells the journal from that of another run of the agent, in which events had other numbers.
        id: u64,
        /// The number of the event that is next.
        next: u64,
    },
    /// So many events are not there any more.
    Missed(u64),
    /// An event.
    Event(Box<Event>),
}

/// From where on a client wants to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Since {
    /// The number of the last event that it knows; `None`: what happens from now on.
    pub sequence: Option<u64>,
    /// In which journal that was.
    pub journal: Option<u64>,
}

impl Since {
    /// The number of the first event to send.
    fn next(self, journal: &Journal) -> u64 {
        match (self.sequence, self.journal) {
            (None, _) => journal.end(),
            // All that has happened in this run is news.
            (Some(_), Some(id)) if id != journal.id() => 1,
            (Some(sequence), _) => sequence.saturating_add(1).min(journal.end()),
        }
    }
}

/// Who follows the events.
#[derive(Clone, Debug)]
pub struct Streams {
    places: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(STREAMS_MAX)), closing: watch::Sender::new(false) }
    }
}

/// A client who is going to follow the events.
#[derive(Debug)]
pub struct Stream {
    since: Since,
    journal: Journal,
    closing: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Streams {
    /// A place for a client.
    pub fn join(&self, since: Since, journal: &Journal) -> anyhow::Result<Stream> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            bail!("{STREAMS_MAX} clients follow the events already");
        };
        Ok(Stream { since, journal: journal.clone(), closing: self.closing.subscribe(), _place: place })
    }

    /// Lets clients go that have read everything, and the others after a moment.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let all = u32::try_from(STREAMS_MAX).unwrap_or(u32::MAX);
        let _ = timeout(CLOSE_PATIENCE, self.places.acquire_many(all)).await;
    }
}

impl Stream {
    /// Sends events to `writer` until the client, who says no more, closes `reader`, or the agent ends.
    pub async fn run(
        mut self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) -> anyhow::Result<()> {
        let mut cursor = self.journal.read_from(self.since.next(&self.journal));
        send(&mut writer, &Line::Journal { id: self.journal.id(), next: cursor.next() }).await?;
        let mut byte = [0];
        loop {
            let page = cursor.read(PAGE);
            if page.missed > 0 {
                send(&mut writer, &Line::Missed(page.missed)).await?;
            }
            for event in &page.events {
                send(&mut writer, &Line::Event(Box::new(Event::clone(event)))).await?;
            }
            if !page.events.is_empty() {
                continue;
            }
            tokio::select! {
                biased;
                () = cursor.wait() => {}
                _ = self.closing.wait_for(|&closing| closing) => return Ok(()),
                read = reader.read(&mut byte) => if read? == 0 { return Ok(()) },
            }
        }
    }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), line: &Line) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(writer.write_all(&text).await?)
}

/// Follows the events of the agent behind the socket at `path`, after the one of number `since`, also when the agent is
/// replaced or started again. Ends with an error: that no agent answers in the beginning, or that of `show`.
pub fn follow(path: &Path, since: Option<u64>, mut show: impl FnMut(&Line) -> anyhow::Result<()>) -> anyhow::Error {
    let mut since = Since { sequence: since, journal: None };
    let mut has_answered = false;
    loop {
        match connect(path, since) {
            Ok(stream) => {
                has_answered = true;
                if let Err(error) = read(stream, &mut since, &mut show) {
                    return error;
                }
            }
            Err(error) if !has_answered => return error,
            Err(_) => {}
        }
        thread::sleep(RECONNECT_EVERY);
    }
}

fn connect(path: &Path, since: Since) -> anyhow::Result<BlockingStream> {
    let mut stream = super::control::connect(path)
        .with_context(|| format!("no agent answers at `{}`; is vipd running, and are you root?", path.display()))?;
    let mut line = serde_json::to_vec(&Request::Events { since })?;
    line.push(b'\n');
    stream.write_all(&line).context("failed to ask the agent")?;
    Ok(stream)
}

/// Shows what comes until the connection ends, and keeps in `since` how far that was.
fn read(
    stream: BlockingStream,
    since: &mut Since,
    show: &mut impl FnMut(&Line) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    loop {
        text.clear();
        // A line that is cut off comes again.
        if reader.read_line(&mut text).is_err() || !text.ends_with('\n') {
            return Ok(());
        }
        let line = match serde_json::from_str(&text) {
            Ok(line) => line,
            Err(error) => match serde_json::from_str(&text) {
                Ok(Answer::Error(refusal)) => bail!(refusal),
                _ => return Err(error).context("the agent's answer is of another version"),
            },
        };
        let is_known = match &line {
            Line::Journal { id, next } => {
                let is_known = since.journal == Some(*id);
                *since = Since { sequence: Some(next.saturating_sub(1)), journal: Some(*id) };
                is_known
            }
            Line::Event(event) => {
                since.sequence = Some(event.sequence);
                false
            }
            Line::Missed(_) => false,
        };
        if !is_known {
            show(&line)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader, duplex};
    use vrrp::election::Reason;

    use super::*;
    use crate::{
        clock,
        observe::{
            event::{Condition, Severity, Subject},
            journal::{News, Reporter, journal},
        },
    };

    fn report(reporter: &Reporter) {
        reporter.report(News {
            subject: Subject::Group { name: "a".to_owned() },
            from: Condition::Backup,
            to: Condition::Active,
            reason: String::new(),
            cause: Reason::Startup,
            priority: 0,
            severity: Severity::Info,
            at: clock::now(),
        });
    }

    #[tokio::test]
    async fn a_client_hears_from_where_it_stopped() {
        let (reporter, journal, mut intake) = journal("ingress", "n1", None);
        for _ in 0..3 {
            report(&reporter);
        }
        intake.drain();
        let id = Some(journal.id());
        for (sequence, journal_id, next) in [
            (None, None, 4),
            (Some(0), None, 1),
            (Some(1), id, 2),
            (Some(3), id, 4),
            (Some(99), None, 4),
            (Some(2), Some(1), 1),
        ] {
            assert_eq!(Since { sequence, journal: journal_id }.next(&journal), next, "{sequence:?} of {journal_id:?}");
        }
        let streams = Streams::default();
        let stream = streams.join(Since { sequence: Some(1), journal: None }, &journal).unwrap();
        let (client, agent) = duplex(1 << 16);
        let (reader, writer) = tokio::io::split(agent);
        let task = tokio::spawn(stream.run(reader, writer));
        let mut lines = BufReader::new(client).lines();
        let mut numbers = Vec::new();
        for _ in 0..3 {
            let line = lines.next_line().await.unwrap().unwrap();
            numbers.push(match serde_json::from_str(&line).unwrap() {
                Line::Journal { next, .. } => next,
                Line::Event(event) => event.sequence,
                Line::Missed(_) => panic!("nothing is missed"),
            });
        }
        assert_eq!(numbers, [2, 2, 3]);
        report(&reporter);
        intake.drain();
        streams.close().await;
        assert!(lines.next_line().await.unwrap().unwrap().contains(r#""sequence":4"#));
        assert_eq!(lines.next_line().await.unwrap(), None);
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn places_are_limited_and_come_back() {
        let (_reporter, journal, _intake) = journal("ingress", "n1", None);
        let streams = Streams::default();
        let joined: Vec<_> = (0..STREAMS_MAX).map(|_| streams.join(Since::default(), &journal).unwrap()).collect();
        assert!(streams.join(Since::default(), &journal).is_err());
        drop(joined);
        assert!(streams.join(Since::default(), &journal).is_ok());
    }
}
