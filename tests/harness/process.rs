//! A child process of a test, with all that it said.

use std::{
    fs::{self, File},
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use nix::{
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use crate::until;

static PRINT_TRANSCRIPTS: AtomicBool = AtomicBool::new(true);

/// Whether processes print at their end what they said. A test runner shows that of failed tests only, so it is the
/// default; a program with output of its own turns it off.
pub fn print_transcripts(print: bool) {
    PRINT_TRANSCRIPTS.store(print, Ordering::Relaxed);
}

/// How long a process that outlives its parent by design may take to end.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);

/// A child process and its children. Killed and reaped when dropped; children with a session of their own end by themselves
/// then, or are killed as well.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    transcript: File,
    status: Option<ExitStatus>,
    orphans: Vec<Orphan>,
}

/// A process by its number and when it was started, by which it is told from a later one of that number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Orphan {
    pid: i32,
    started: String,
}

impl Orphan {
    fn new(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may have spaces; the 22nd field is the 20th after it.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        // Who is to wait for one that has ended may take a second.
        fields.next().filter(|state| !["Z", "X"].contains(state))?;
        let started = fields.nth(18)?.to_owned();
        Some(Self { pid, started })
    }

    fn is_running(&self) -> bool {
        Self::new(self.pid).as_ref() == Some(self)
    }
}

/// The children of a process, whatever their group.
fn children(of: Pid) -> Vec<Orphan> {
    let threads = fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids = lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>());
    pids.filter_map(Orphan::new).collect()
}

impl Process {
    /// Starts `command` in a process group of its own, with both outputs going to the transcript.
    ///
    /// The calling thread must outlive the process, if `command` is [`Namespace::command`](crate::Namespace::command)'s.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let transcript = File::from(memfd_create(c"transcript", MFdFlags::MFD_CLOEXEC)?);
        command.process_group(0).stdin(Stdio::null()).stdout(transcript.try_clone()?).stderr(transcript.try_clone()?);
        let child = command.spawn().with_context(|| format!("failed to start {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, transcript, status: None, orphans: Vec::new() })
    }

    /// All that it has said so far.
    #[must_use]
    pub fn transcript(&self) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        // At its own offset: the process writes at the file's.
        while let Ok(len @ 1..) = self.transcript.read_at(&mut chunk, bytes.len() as u64) {
            bytes.extend_from_slice(&chunk[..len]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether it still runs, or is stopped.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        // Only a clear answer counts: an interrupted question is none.
        let ended = waitid(Id::Pid(self.pid()), flags);
        self.status.is_none() && !matches!(ended, Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)))
    }

    /// Waits until it has said `text`; fails when it ends before.
    pub fn wait_for_output(&self, text: &str, limit: Duration) -> Result<()> {
        until(&format!("{} to say `{text}`", self.name), limit, || {
            let running = self.is_running();
            if self.transcript().contains(text) {
                return Ok(Some(()));
            }
            if running { Ok(None) } else { Err(self.ended_early()) }
        })
    }

    /// Kills it and its children without giving them a chance: the death of a daemon.
    pub fn kill(&mut self) -> Result<()> {
        self.finish().map(drop)
    }

    /// Kills it, and those that it has started and that have left its group: what a host loses with its power.
    pub fn lose_power(&mut self) -> Result<()> {
        for child in children(self.pid()) {
            // One that has ended by itself is gone as well.
            let _ = kill(Pid::from_raw(child.pid), Signal::SIGKILL);
        }
        self.kill()
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        until(&format!("{} to end after SIGTERM", self.name), limit, || Ok((!self.is_running()).then_some(())))?;
        self.finish()
    }

    /// Stops it and its children where they are.
    pub fn stop(&self) -> Result<()> {
        killpg(self.pid(), Signal::SIGSTOP).with_context(|| format!("failed to stop {}", self.name))
    }

    /// Lets it go on after [`Process::stop`].
    pub fn cont(&self) -> Result<()> {
        killpg(self.pid(), Signal::SIGCONT).with_context(|| format!("failed to continue {}", self.name))
    }

    /// Sends it a signal, but not to its children.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if self.status.is_some() {
            bail!("{} has ended", self.name);
        }
        kill(self.pid(), signal).with_context(|| format!("failed to send {signal} to {}", self.name))
    }

    /// The error of whoever needs it and finds that it has ended.
    pub(crate) fn ended_early(&self) -> anyhow::Error {
        anyhow!("{} has ended, having said:\n{}", self.name, self.transcript())
    }

    /// Kills what is left of the group, and reaps it. The group goes first: while its leader is not reaped, nobody
    /// else can have its number.
    fn finish(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.orphans = children(self.pid());
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let status = self.child.wait().with_context(|| format!("failed to wait for {}", self.name))?;
        self.status = Some(status);
        Ok(status)
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.finish();
        for orphan in &self.orphans {
            let gone = || Ok((!orphan.is_running()).then_some(()));
            if until("an orphan to end", ORPHAN_PATIENCE, gone).is_err() {
                eprintln!("{} has left process {}: killed", self.name, orphan.pid);
                let _ = kill(Pid::from_raw(orphan.pid), Signal::SIGKILL);
            }
        }
        if PRINT_TRANSCRIPTS.load(Ordering::Relaxed) {
            eprintln!("--- {} ({ended:?}) said:\n{}---", self.name, self.transcript());
        }
    }
}
