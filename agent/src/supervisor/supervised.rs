//! What the election thread has to do with the supervisor: it gives signs of life, says how virtual routers are left, and
//! reads that it was relieved. None of it waits for anybody.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, RawFd},
    sync::Arc,
    time::Duration,
};

use nix::unistd::Pid;
use tokio::sync::watch;
use tracing::debug;
use vrrp::{
    Instant,
    auth::{Key, Sequence},
};

use super::{
    line::{Heard, Line, Notice, Relief},
    vitals::Vitals,
    will::Will,
};
use crate::restart::{adopt, leave_open};

/// The will, and what is not written down.
#[derive(Clone, Debug, Default)]
pub struct Testament {
    /// The will; `None` before the elections have begun.
    pub will: Option<Will>,
    /// The key that signs, if any does.
    pub key: Option<Key>,
}

/// A supervisor that runs: all that is needed to go on with it.
#[derive(Clone, Debug)]
pub struct Supervisor {
    /// Its process, a child of this one.
    pub pid: Pid,
    /// The agent's end of the line to it.
    pub line: Arc<Line>,
}

impl Supervisor {
    /// Goes on with that of the program before: its process, and the line to it.
    pub fn resume((pid, line): (i32, RawFd)) -> anyhow::Result<Self> {
        Ok(Self { pid: Pid::from_raw(pid), line: Arc::new(Line::from(adopt(line)?)) })
    }
}

/// The election thread's side.
#[derive(Debug)]
pub struct Supervised {
    vitals: Arc<Vitals>,
    /// How long another run is waited for when this one has ended without a word.
    pub restart_grace: Duration,
    testament: watch::Sender<Testament>,
    supervisor: Option<Supervisor>,
}

impl Supervised {
    /// One that writes its signs of life into `vitals`, and has no supervisor yet.
    #[must_use]
    pub fn new(vitals: Arc<Vitals>, restart_grace: Duration) -> Self {
        Self { vitals, restart_grace, testament: watch::Sender::default(), supervisor: None }
    }

    /// Follows what the supervisor is to know.
    #[must_use]
    pub fn testaments(&self) -> watch::Receiver<Testament> {
        self.testament.subscribe()
    }

    /// Says that the election thread lives, and which sequence it has signed with last.
    pub fn beat(&self, now: Instant, sequence: Option<Sequence>) -> io::Result<()> {
        self.vitals.beat(now, sequence)
    }

    /// Says how virtual routers are left, and what signs that, if it has changed.
    pub fn bequeath(&self, will: Will, key: Option<&Key>) {
        self.testament.send_if_modified(|known| {
            let is_known =
                known.will.as_ref() == Some(&will) && known.key.as_ref().map(Key::secret) == key.map(Key::secret);
            if !is_known {
                *known = Testament { will: Some(will), key: key.cloned() };
            }
            !is_known
        });
    }

    /// Hears another supervisor from now on.
    pub fn turn_to(&mut self, supervisor: Supervisor) {
        self.supervisor = Some(supervisor);
    }

    /// Has the supervisor send the adverts until the next sign of life.
    pub fn cover(&self) -> anyhow::Result<()> {
        let Some(supervisor) = &self.supervisor else { return Ok(()) };
        supervisor.line.notify(&Notice::Cover)?;
        Ok(())
    }

    /// Has the supervisor send the adverts until the next sign of life, and leaves the line to it open for the next program;
    /// `None` where there is no supervisor.
    pub fn give_way(&self) -> anyhow::Result<Option<(i32, RawFd)>> {
        let Some(supervisor) = &self.supervisor else { return Ok(None) };
        let descriptor = leave_open(supervisor.line.as_fd())?;
        self.cover()?;
        Ok(Some((supervisor.pid.as_raw(), descriptor)))
    }

    /// The process id of the supervisor.
    #[must_use]
    pub fn supervisor(&self) -> Option<u32> {
        self.supervisor.as_ref().map(|supervisor| supervisor.pid.as_raw().unsigned_abs())
    }

    /// Readable when there is a relief.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.supervisor.as_ref().map(|supervisor| supervisor.line.as_fd())
    }

    /// The next relief, if any; never waits. A supervisor that is gone is forgotten.
    pub fn relief(&mut self) -> Option<Relief> {
        match self.supervisor.as_ref()?.line.relief() {
            Ok(Heard::Message(relief)) => return Some(relief),
            Ok(Heard::Nothing) => return None,
            Ok(Heard::End) => {}
            Err(error) => debug!(%error, "the supervisor is not heard any more"),
        }
        self.supervisor = None;
        None
    }
}
