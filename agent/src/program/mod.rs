//! Programs of the operator: run without a shell, in a process group of their own, with the rights of their user and nothing of
//! the agent's environment. Their output is read, and all but its beginning thrown away.

pub mod permission;
mod privileges;

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid as Group,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    io::{AsyncReadExt, unix::AsyncFd},
    net::unix::pipe,
    process::{Child, Command},
    time::sleep,
};

use self::permission::RunAs;
use crate::readiness::readable;

/// Where programs find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of their output, so many bytes are kept.
const SAID_MAX: usize = 2048;
/// How much is read at a time: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How long a program that prints without end waits for each chunk beyond the first.
const SLOW_DOWN: Duration = Duration::from_millis(1);

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Whose rights it has; `None`: the agent's.
    pub user: Option<String>,
    /// Which group it is of; `None`: the user's own.
    pub group: Option<String>,
}

impl Program {
    /// As whom it runs, if that is not the agent; a failure is a sentence.
    fn run_as(&self) -> Result<Option<RunAs>, String> {
        if self.user.is_none() && self.group.is_none() {
            return Ok(None);
        }
        let found = RunAs::find(self.user.as_deref(), self.group.as_deref());
        found.map(Some).map_err(|error| error.to_string())
    }

    /// Whether nobody but root and who it runs as could have put another program in its place; a sentence says who could, and
    /// what to do. May hang, where users or files are looked up somewhere else.
    pub fn examine(&self) -> Result<(), String> {
        let refuse = |why: String| Err(format!("`{}` is not run: {why}", self.path.display()));
        match RunAs::find(self.user.as_deref(), self.group.as_deref()) {
            Err(error) => refuse(error.to_string()),
            Ok(run_as) => match permission::examine(&self.path, run_as).first() {
                Some(problem) => refuse(format!("{problem}; {}", problem.remedy())),
                None => Ok(()),
            },
        }
    }
}

/// What a program is given for one run.
#[derive(Debug)]
pub struct Occasion {
    /// Arguments after its own.
    pub arguments: Vec<String>,
    /// Its environment, but for `PATH`.
    pub variables: Vec<(&'static str, String)>,
    /// What it can read.
    pub input: Stdio,
}

/// A program that runs. Dropped, it is killed with everything that it has started, unless its status was taken.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: Group,
    end: AsyncFd<OwnedFd>,
    output: pipe::Receiver,
    said: Vec<u8>,
}

impl Running {
    /// Starts `program`; a failure is a sentence. May hang, as [`Program::examine`] may, and needs a runtime all the same.
    pub fn start(program: &Program, occasion: Occasion) -> Result<Self, String> {
        let no_pipe = |error: io::Error| format!("no pipe for it: {error}");
        let (reader, writer) = io::pipe().map_err(no_pipe)?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(no_pipe)?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).args(occasion.arguments).current_dir("/").process_group(0).kill_on_drop(true);
        command.env_clear().env("PATH", PATH).envs(occasion.variables);
        command.stdin(occasion.input).stdout(writer.try_clone().map_err(no_pipe)?).stderr(writer);
        privileges::confine(&mut command, program.run_as()?);
        let child =
            command.spawn().map_err(|error| format!("`{}` cannot be started: {error}", program.path.display()))?;
        // The write ends must be closed here, or the output never ends.
        drop(command);
        let number = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let number = number.ok_or_else(|| "it has no process".to_owned())?;
        let end = pidfd_open(number, PidfdFlags::NONBLOCK).map_err(|error| format!("no pidfd: {error}"))?;
        let end = readable(end).map_err(|error| format!("no pidfd: {error}"))?;
        let group = Group::from_raw(number.as_raw_nonzero().get());
        Ok(Self { child, group, end, output, said: Vec::new() })
    }

    /// Waits until it has ended, and takes what it prints meanwhile.
    pub async fn ended(&mut self) {
        let Self { end, output, said, .. } = self;
        tokio::select! {
            _ = end.readable() => {}
            never = drain(output, said) => match never {},
        }
        // What it has printed last is in the pipe still; who was left behind may hold the other end.
        let mut rest = vec![0; CHUNK];
        if let Ok(len) = output.try_read(&mut rest) {
            keep(&rest[..len], said);
        }
    }

    /// Waits until it has ended, and takes its status. What it has started runs on.
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills it, with everything that it has started, and waits for its end: for ever, if the kernel holds it.
    pub async fn kill(&mut self) -> io::Result<ExitStatus> {
        // Before its leader is waited for, nobody else can have the number of the group.
        if self.child.id().is_some()
            && let Err(error) = killpg(self.group, Signal::SIGKILL)
            && error != Errno::ESRCH
        {
            return Err(error.into());
        }
        self.child.wait().await
    }

    /// The beginning of what it has printed.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// Its number.
    #[must_use]
    pub const fn group(&self) -> Group {
        self.group
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.id().is_some() {
            // Whoever is not there need not be killed.
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

/// Reads what is printed, and keeps the beginning. Never ends: who has closed its output may still run.
async fn drain(output: &mut pipe::Receiver, said: &mut Vec<u8>) -> std::convert::Infallible {
    let mut chunk = vec![0; CHUNK];
    loop {
        match output.read(&mut chunk).await {
            Ok(0) | Err(_) => std::future::pending().await,
            Ok(len) => keep(&chunk[..len], said),
        }
        if said.len() == SAID_MAX {
            sleep(SLOW_DOWN).await;
        }
    }
}

fn keep(bytes: &[u8], said: &mut Vec<u8>) {
    let room = SAID_MAX - said.len();
    said.extend(bytes.iter().take(room));
}

/// How a program has ended, in words.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string())
        }
        (None, None) => status.to_string(),
    }
}
