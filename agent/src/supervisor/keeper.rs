//! Keeps a supervisor for the agent: starts it, tells it the will, and starts another one when it dies. No election waits
//! for any of this.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::Pid,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    line::{Line, Notice},
    supervised::{Supervisor, Testament},
};
use crate::{
    instance::Instance,
    mailbox::{Mail, Mailbox},
};

/// How long a supervisor takes at most to end after it was told that it may.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How long until another supervisor is started after one that did not live for [`LIVES`]; doubled each time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Doublings of [`AGAIN_AFTER`]: 64 s at most.
const AGAIN_DOUBLINGS_MAX: u32 = 6;
/// A supervisor that has lived for so long did not die of what it is.
const LIVES: Duration = Duration::from_mins(1);

/// Who keeps the supervisor.
pub struct Keeper {
    instance: Instance,
    mailbox: Mailbox,
    testaments: watch::Receiver<Testament>,
    deaths: Signal,
    supervisor: Option<Supervisor>,
    /// When to start one; `None`: not at all, or there is one.
    start_at: Option<Instant>,
    started_at: Instant,
    /// Supervisors in a row that could not be started or did not live.
    failures: u32,
}

impl Keeper {
    /// Begins to follow `testaments`. Wills are written in any case, for `vipd release`; supervisors are started where
    /// `supervises`, unless one goes on from the program before.
    pub fn begin(
        instance: Instance,
        mailbox: Mailbox,
        testaments: watch::Receiver<Testament>,
        supervises: bool,
        resumed: Option<Supervisor>,
    ) -> io::Result<Custody> {
        let now = Instant::now();
        let keeper = Self {
            instance,
            mailbox,
            testaments,
            deaths: signal(SignalKind::child())?,
            start_at: (supervises && resumed.is_none()).then_some(now),
            supervisor: resumed,
            started_at: now,
            failures: 0,
        };
        let (end, ends) = oneshot::channel();
        Ok(Custody { task: tokio::spawn(keeper.keep(ends)), end })
    }

    async fn keep(mut self, mut end: oneshot::Receiver<()>) {
        loop {
            let start_at = self.start_at;
            tokio::select! {
                ended = &mut end => {
                    if ended.is_ok() {
                        self.end().await;
                    }
                    return;
                }
                Ok(()) = self.testaments.changed() => self.publish(),
                _ = self.deaths.recv() => self.reap(),
                () = sleep_until(start_at.unwrap_or_else(Instant::now)), if start_at.is_some() => self.start().await,
            }
        }
    }

    /// Writes the will, and tells the supervisor.
    fn publish(&mut self) {
        let testament = self.testaments.borrow_and_update().clone();
        let (Some(will), path) = (&testament.will, self.instance.will()) else { return };
        if let Err(error) = will.write(&path) {
            warn!(%error, "failed to write `{}`: when the agent is killed, an earlier one counts", path.display());
        }
        self.tell(&Notice::Will(testament.key));
    }

    fn tell(&self, notice: &Notice) {
        if let Some(supervisor) = &self.supervisor
            && let Err(error) = supervisor.line.notify(notice)
        {
            // Its death is reported when it is reaped.
            info!(%error, "the supervisor is not told");
        }
    }

    async fn start(&mut self) {
        self.start_at = None;
        self.started_at = Instant::now();
        match spawn(&self.instance) {
            Ok(supervisor) => {
                self.mailbox.send(Mail::Supervisor(supervisor.clone())).await;
                self.supervisor = Some(supervisor);
                // What it is to know has perhaps been said already.
                self.publish();
            }
            Err(error) => {
                if self.failures == 0 {
                    warn!(%error, "no supervisor: when the agent is killed, its peers wait for Active_Down_Interval");
                }
                self.start_again_later();
            }
        }
    }

    /// Takes in that a child has ended.
    fn reap(&mut self) {
        let Some(pid) = self.supervisor.as_ref().map(|supervisor| supervisor.pid) else { return };
        let Some(how) = ended(pid) else { return };
        self.supervisor = None;
        warn!(%pid, how, "the supervisor has ended; another one is started");
        if self.started_at.elapsed() >= LIVES {
            self.failures = 0;
        }
        self.start_again_later();
    }

    fn start_again_later(&mut self) {
        let after = AGAIN_AFTER * 2_u32.pow(self.failures.min(AGAIN_DOUBLINGS_MAX));
        self.failures = self.failures.saturating_add(1);
        self.start_at = Some(Instant::now() + after);
    }

    /// Lets the supervisor go, and leaves nothing to hand over.
    async fn end(mut self) {
        self.tell(&Notice::Done);
        if let Some(pid) = self.supervisor.take().map(|supervisor| supervisor.pid) {
            let gone = async {
                while ended(pid).is_none() {
                    self.deaths.recv().await;
                }
            };
            if timeout(END_PATIENCE, gone).await.is_err() {
                warn!(%pid, "the supervisor does not end");
            }
        }
        for path in [self.instance.will(), self.instance.vitals()] {
            // What is left is replaced by the next run.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A supervisor that is kept. When this is dropped, it hands over what is still Active.
#[derive(Debug)]
pub struct Custody {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Custody {
    /// Lets the supervisor go, since there is nothing to hand over, and waits for its end.
    pub async fn end(self) {
        let _ = self.end.send(());
        // A task that has panicked was no help to anybody.
        let _ = self.task.await;
    }
}

/// Starts a supervisor of this very program, also when its file has been replaced meanwhile.
fn spawn(instance: &Instance) -> io::Result<Supervisor> {
    let (ours, theirs) = Line::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("vipd").arg("supervise").args(instance.arguments());
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
    let child = command.spawn()?;
    Ok(Supervisor { pid: Pid::from_raw(child.id().cast_signed()), line: Arc::new(ours.raised()) })
}

/// How the child `pid` has ended; `None` while it runs.
fn ended(pid: Pid) -> Option<String> {
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, status)) => Some(format!("exit status {status}")),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(signal.to_string()),
        Ok(_) | Err(Errno::EINTR) => None,
        // Somebody else has reaped it.
        Err(error) => Some(error.to_string()),
    }
}
