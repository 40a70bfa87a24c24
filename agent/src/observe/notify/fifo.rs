//! Writes a line for each event into a named pipe. Whoever reads it may come and go: lines wait for a reader, and nobody waits
//! for one. A line of up to 4096 bytes is written whole or not at all.

use std::{io, sync::Arc, time::Duration};

use nix::{errno::Errno, sys::stat::Mode, unistd::mkfifo};
use tokio::{io::AsyncWriteExt, net::unix::pipe};

use super::{courier::Failure, keepalived};
use crate::{
    config::notify::{Fifo, LineFormat},
    observe::event::Event,
};

/// How long after nobody read it is looked for a reader again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A pipe, open while somebody reads it.
pub(super) struct Pipe {
    config: Fifo,
    open: Option<pipe::Sender>,
}

impl Pipe {
    pub(super) const fn new(config: Fifo) -> Self {
        Self { config, open: None }
    }

    /// Writes `batch`; `told` counts what was written.
    pub(super) async fn write(&mut self, batch: &[Arc<Event>], told: &mut usize) -> Result<(), Failure> {
        for event in batch {
            let line = match self.config.format {
                LineFormat::Keepalived => keepalived::line(event),
                LineFormat::Json => {
                    let json = serde_json::to_string(event.as_ref());
                    json.map_err(|error| Failure::Refused(error.to_string()))? + "\n"
                }
            };
            if let Err(error) = self.write_line(line.as_bytes()).await {
                self.open = None;
                return Err(self.failure(&error));
            }
            *told += 1;
        }
        Ok(())
    }

    async fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let pipe = match &mut self.open {
            Some(pipe) => pipe,
            closed @ None => closed.insert(open(&self.config)?),
        };
        pipe.write_all(line).await
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let path = self.config.path.display();
        let is_alone = matches!(Errno::from_raw(error.raw_os_error().unwrap_or(0)), Errno::ENXIO | Errno::EPIPE);
        let why =
            if is_alone { format!("nobody reads `{path}`") } else { format!("failed to write into `{path}`: {error}") };
        Failure::Later { why, after: Some(LOOK_AGAIN) }
    }
}

/// Opens the pipe for whoever reads it, and makes it where it is not there.
fn open(config: &Fifo) -> io::Result<pipe::Sender> {
    let open = || pipe::OpenOptions::new().open_sender(&config.path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            mkfifo(&config.path, Mode::S_IRUSR | Mode::S_IWUSR)?;
            open()
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt};

    use nix::libc;

    use super::*;
    use crate::observe::event::{Condition, tests::event};

    #[tokio::test]
    async fn lines_wait_for_a_reader() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let config = |format| Fifo { path: path.clone(), format, retry: Duration::from_mins(1) };
        let mut pipe = Pipe::new(config(LineFormat::Keepalived));
        let batch: Vec<_> = (1..=2).map(|at| Arc::new(event(at, "a", Condition::Backup, Condition::Active))).collect();
        let mut told = 0;
        let alone = pipe.write(&batch, &mut told).await.unwrap_err();
        let nobody = format!("nobody reads `{}`", path.display());
        assert!(matches!(&alone, Failure::Later { why, .. } if *why == nobody), "{alone:?}");
        assert_eq!(told, 0);

        let reader = || OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let mut first = reader();
        pipe.write(&batch, &mut told).await.unwrap();
        let mut said = String::new();
        // Its writer is still there, so this ends with "would block".
        let _ = first.read_to_string(&mut said);
        assert_eq!((told, said.as_str()), (2, "INSTANCE \"a\" MASTER 200\nINSTANCE \"a\" MASTER 200\n"));

        drop(first);
        assert!(pipe.write(&batch, &mut told).await.is_err());
        assert_eq!(told, 2);
        let mut second = reader();
        let mut pipe = Pipe::new(config(LineFormat::Json));
        pipe.write(&batch[..1], &mut told).await.unwrap();
        let mut said = String::new();
        let _ = second.read_to_string(&mut said);
        assert_eq!(serde_json::from_str::<Event>(&said).unwrap(), *batch[0]);
    }

    #[tokio::test]
    async fn what_is_no_pipe_is_not_written_into() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "mine").unwrap();
        let config = Fifo { path: path.clone(), format: LineFormat::Json, retry: Duration::from_mins(1) };
        let batch = [Arc::new(event(1, "a", Condition::Backup, Condition::Active))];
        assert!(Pipe::new(config).write(&batch, &mut 0).await.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
