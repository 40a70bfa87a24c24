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
    /// Whether there is to be one.
    supervises: bool,
    supervisor: Option<Supervisor>,
    /// When to start one; `None`: not at all, or there is one.
    start_at: Option<Instant>,
    started_at: Instant,
    /// Supervisors in a row that could not be started or did not live.
    failures: u32,
}

impl Keeper {
    /// Begins to follow `testaments`. Wills are written in any case, for `vipd release`; supervisors are started where
    /// `supervises`, unless one goes on from the program before. Otherwise that one is let go once the elections go on.
    pub fn begin(
        instance: Instance,
        mailbox: Mailbox,
        testaments: watch::Receiver<Testament>,
        supervises: bool,
        resumed: Option<Supervisor>,
    ) -> io::Result<Custody> {
        let keeper = Self::new(instance, mailbox, testaments, supervises, resumed)?;
        let (end, ends) = oneshot::channel();
        Ok(Custody { task: tokio::spawn(keeper.keep(ends)), end })
    }

    fn new(
        instance: Instance,
        mailbox: Mailbox,
        testaments: watch::Receiver<Testament>,
        supervises: bool,
        resumed: Option<Supervisor>,
    ) -> io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            instance,
            mailbox,
            testaments,
            deaths: signal(SignalKind::child())?,
            supervises,
            start_at: (supervises && resumed.is_none()).then_some(now),
            supervisor: resumed,
            started_at: now,
            failures: 0,
        })
    }

    async fn keep(mut self, mut end: oneshot::Receiver<()>) {
        // While the program was replaced nobody heard of deaths.
        self.reap();
        loop {
            let start_at = self.start_at;
            tokio::select! {
                ended = &mut end => {
                    if ended.is_ok() {
                        self.end().await;
                    }
                    return;
                }
                Ok(()) = self.testaments.changed() => {
                    self.publish();
                    if !self.supervises {
                        self.dismiss().await;
                    }
                }
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
            Ok(supervisor) => self.turn_to(supervisor).await,
            Err(error) => {
                if self.failures == 0 {
                    warn!(%error, "no supervisor: when the agent is killed, its peers wait for Active_Down_Interval");
                }
                self.start_again_later();
            }
        }
    }

    async fn turn_to(&mut self, supervisor: Supervisor) {
        self.supervisor = Some(supervisor.clone());
        // What it is to know has perhaps been said already. Before the mail, which waits for an election thread that hangs.
        self.publish();
        self.mailbox.send(Mail::Supervisor(supervisor)).await;
    }

    /// Takes in that a child has ended.
    fn reap(&mut self) {
        let Some(pid) = self.supervisor.as_ref().map(|supervisor| supervisor.pid) else { return };
        let Some(how) = ended(pid) else { return };
        self.supervisor = None;
        if !self.supervises {
            info!(%pid, how, "the supervisor has ended, and none is wanted");
            return;
        }
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

    /// Lets the supervisor go, if there is one, and waits for its end.
    async fn dismiss(&mut self) {
        self.tell(&Notice::Done);
        let Some(pid) = self.supervisor.take().map(|supervisor| supervisor.pid) else { return };
        let gone = async {
            while ended(pid).is_none() {
                self.deaths.recv().await;
            }
        };
        if timeout(END_PATIENCE, gone).await.is_err() {
            warn!(%pid, "the supervisor does not end");
        }
    }

    /// Lets the supervisor go, and leaves nothing to hand over.
    async fn end(mut self) {
        self.dismiss().await;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nix::sys::{
        signal::{Signal, kill},
        wait::{Id, waitid},
    };
    use tokio::time::sleep;

    use super::*;
    use crate::{
        mailbox::{Inbox, mailbox},
        supervisor::{line::Heard, will::Will},
    };

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A child in the place of a supervisor, whose end of the line is here.
    #[expect(clippy::zombie_processes, reason = "the keeper waits for it")]
    fn child(program: &str) -> (Supervisor, Line) {
        let (ours, theirs) = Line::pair().unwrap();
        let child = Command::new(program).arg("60").stdout(Stdio::null()).spawn().unwrap();
        (Supervisor { pid: Pid::from_raw(child.id().cast_signed()), line: Arc::new(ours) }, theirs)
    }

    /// One whose elections have not begun, with the sender of testaments.
    fn keeper(supervises: bool, resumed: Option<Supervisor>) -> (Keeper, watch::Sender<Testament>, Inbox) {
        let (mailbox, inbox) = mailbox().unwrap();
        let testaments = watch::Sender::default();
        let instance = "no-such-keeper".parse().unwrap();
        let keeper = Keeper::new(instance, mailbox, testaments.subscribe(), supervises, resumed).unwrap();
        (keeper, testaments, inbox)
    }

    fn testament() -> Testament {
        Testament { will: Some(Will::new(None, Duration::ZERO, Vec::new())), key: None }
    }

    fn exists(pid: Pid) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    async fn until(what: &str, condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}");
    }

    /// Leaves it for the keeper to reap.
    fn wait_for_end(pid: Pid) {
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    }

    #[tokio::test]
    async fn a_supervisor_that_died_when_nobody_listened_is_noticed() {
        let (supervisor, _line) = child("true");
        let pid = supervisor.pid;
        wait_for_end(pid);
        let (keeper, _testaments, _inbox) = keeper(false, Some(supervisor));
        let (end, ends) = oneshot::channel();
        let task = tokio::spawn(keeper.keep(ends));
        until("it is reaped", || !exists(pid)).await;
        end.send(()).unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn another_one_is_started_only_where_one_is_wanted() {
        for supervises in [true, false] {
            let (supervisor, _line) = child("true");
            wait_for_end(supervisor.pid);
            let (mut keeper, _testaments, _inbox) = keeper(supervises, Some(supervisor));
            keeper.reap();
            assert_eq!((keeper.supervisor.is_some(), keeper.start_at.is_some()), (false, supervises));
        }
    }

    #[tokio::test]
    async fn one_that_is_not_wanted_goes_when_the_elections_go_on() {
        let (supervisor, line) = child("sleep");
        let pid = supervisor.pid;
        let (keeper, testaments, _inbox) = keeper(false, Some(supervisor));
        let (end, ends) = oneshot::channel();
        let task = tokio::spawn(keeper.keep(ends));
        testaments.send(testament()).unwrap();
        let mut heard = Vec::new();
        let listen = async {
            while !matches!(heard.last(), Some(Notice::Done)) {
                match line.notice().unwrap() {
                    Heard::Message(notice) => heard.push(notice),
                    Heard::Nothing => sleep(Duration::from_millis(5)).await,
                    Heard::End => panic!("no word before the end"),
                }
            }
        };
        let outcome = timeout(PATIENCE, listen).await;
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(outcome.is_ok(), "{heard:?}");
        assert!(matches!(heard[..], [Notice::Will(None), Notice::Done]), "{heard:?}");
        until("it is waited for", || !exists(pid)).await;
        end.send(()).unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn the_will_does_not_wait_for_an_election_thread_that_hangs() {
        let (mut keeper, testaments, _inbox) = keeper(true, None);
        testaments.send(testament()).unwrap();
        for _ in 0..256 {
            keeper.mailbox.send(Mail::Shutdown).await;
        }
        let (ours, theirs) = Line::pair().unwrap();
        let supervisor = Supervisor { pid: Pid::this(), line: Arc::new(ours) };
        assert!(timeout(Duration::ZERO, keeper.turn_to(supervisor)).await.is_err(), "the mailbox is not full");
        assert!(matches!(theirs.notice().unwrap(), Heard::Message(Notice::Will(None))));
    }
}
