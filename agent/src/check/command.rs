//! Whether a program ends with status 0: run without a shell, in a process group of its own, with the rights of its user and
//! nothing of the agent's environment; killed with all that it has started when it ends or takes too long.

use std::{
    fs,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
    process::Stdio,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::{Group, Pid as NixPid, Uid, User},
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    io::{AsyncReadExt, unix::AsyncFd},
    net::unix::pipe,
    process::Child,
    time::timeout,
};

use super::{Command, patience::Patience};
use crate::readiness::readable;

/// Bytes of its output that are kept.
const OUTPUT_MAX: usize = 256;
/// How long a program that was killed may take to be gone.
const DEATH_PATIENCE: Duration = Duration::from_secs(1);
/// Where programs find others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a program again and again.
#[derive(Debug)]
pub(super) struct Runner {
    name: String,
    command: Command,
    starting: Patience<Result<Running, String>>,
    running: Option<Running>,
}

/// A program that runs, or has been killed and is not gone yet.
#[derive(Debug)]
struct Running {
    child: Child,
    group: NixPid,
    end: AsyncFd<OwnedFd>,
    output: pipe::Receiver,
    said: Vec<u8>,
}

impl Runner {
    /// Runs it for the check called `name`.
    pub(super) fn new(name: String, command: Command) -> Self {
        Self { name, command, starting: Patience::default(), running: None }
    }

    pub(super) async fn look(&mut self) -> Result<String, String> {
        if self.running.is_some() {
            self.give_up().await;
            if let Some(running) = &self.running {
                return Err(format!("process {} of the last run cannot be killed", running.group));
            }
        }
        let (name, command) = (self.name.clone(), self.command.clone());
        // Users may have to be looked up somewhere else, and the program may lie there.
        let started = self.starting.wait_for(move || start(&name, &command)).await??;
        let running = self.running.insert(started);
        running.wait().await;
        let said = first_line(&running.said);
        let status = running.finish().await;
        self.running = None;
        let status = status.map_err(|error| format!("its status is not known: {error}"))?;
        match status.code() {
            Some(0) => Ok(format!("status 0{said}")),
            Some(code) => Err(format!("status {code}{said}")),
            None => Err(format!("{status}{said}")),
        }
    }

    /// Kills what runs, and waits for its end, though not for ever.
    pub(super) async fn give_up(&mut self) {
        if let Some(running) = &mut self.running
            && timeout(DEATH_PATIENCE, running.finish()).await.is_ok()
        {
            self.running = None;
        }
    }
}

impl Running {
    /// Waits until the program has ended, and takes what it prints meanwhile.
    async fn wait(&mut self) {
        let mut buffer = [0; 4096];
        let mut is_open = true;
        loop {
            tokio::select! {
                _ = self.end.readable() => {
                    // What it has printed last is still in the pipe.
                    if let Ok(count) = self.output.try_read(&mut buffer) {
                        self.keep(&buffer[..count]);
                    }
                    return;
                }
                read = self.output.read(&mut buffer), if is_open => match read {
                    Ok(0) | Err(_) => is_open = false,
                    Ok(count) => self.keep(&buffer[..count]),
                },
            }
        }
    }

    fn keep(&mut self, output: &[u8]) {
        let room = OUTPUT_MAX.saturating_sub(self.said.len()).min(output.len());
        self.said.extend_from_slice(&output[..room]);
    }

    /// Kills the group, whose number nobody else can have before its leader is waited for, and waits for that.
    async fn finish(&mut self) -> std::io::Result<std::process::ExitStatus> {
        if self.child.id().is_some()
            && let Err(error) = killpg(self.group, Signal::SIGKILL)
            && error != Errno::ESRCH
        {
            return Err(error.into());
        }
        self.child.wait().await
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

fn start(name: &str, command: &Command) -> Result<Running, String> {
    let (sender, output) = pipe::pipe().map_err(|error| format!("no pipe for it: {error}"))?;
    let sender = sender.into_blocking_fd().map_err(|error| format!("no pipe for it: {error}"))?;
    let copy = sender.try_clone().map_err(|error| format!("no pipe for it: {error}"))?;
    let mut prepared = tokio::process::Command::new(&command.program);
    prepared.args(&command.arguments).env_clear().env("PATH", PATH).env("VIPD_CHECK", name).current_dir("/");
    prepared.stdin(Stdio::null()).stdout(sender).stderr(copy).process_group(0).kill_on_drop(true);
    if let Some((uid, gid)) = ids(command)? {
        prepared.gid(gid).uid(uid);
    }
    let child =
        prepared.spawn().map_err(|error| format!("`{}` cannot be started: {error}", command.program.display()))?;
    // The write ends must be closed here, or the output never ends.
    drop(prepared);
    let number = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let number = number.ok_or_else(|| "it has no process".to_owned())?;
    let end = pidfd_open(number, PidfdFlags::NONBLOCK).map_err(|error| format!("no pidfd: {error}"))?;
    let end = readable(end).map_err(|error| format!("no pidfd: {error}"))?;
    let group = NixPid::from_raw(number.as_raw_nonzero().get());
    Ok(Running { child, group, end, output, said: Vec::new() })
}

/// The numbers of user and group that it runs with; `None` for those of the agent.
fn ids(command: &Command) -> Result<Option<(u32, u32)>, String> {
    let user = match &command.user {
        None if command.group.is_none() => return Ok(None),
        None => User::from_uid(Uid::effective()).map_err(|error| error.to_string())?,
        Some(name) => user(name)?,
    };
    let user = user.ok_or_else(|| format!("there is no user {:?}", command.user.as_deref().unwrap_or_default()))?;
    let gid = match &command.group {
        None => user.gid,
        Some(name) => {
            let group = Group::from_name(name).map_err(|error| error.to_string())?;
            group.ok_or_else(|| format!("there is no group {name:?}"))?.gid
        }
    };
    Ok(Some((user.uid.as_raw(), gid.as_raw())))
}

/// The user called `name`, if there is one.
pub fn user(name: &str) -> Result<Option<User>, String> {
    User::from_name(name).map_err(|error| format!("users cannot be looked up: {error}"))
}

fn first_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line: String = text.lines().next().unwrap_or_default().chars().filter(|char| !char.is_control()).collect();
    if line.is_empty() { String::new() } else { format!(", having said {line:?}") }
}

/// What keeps `command` from being run with the rights that it is to have: each a sentence, and what to do.
#[must_use]
pub fn problems(command: &Command) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut owners = vec![0, Uid::effective().as_raw()];
    match ids(command) {
        Ok(ids) => owners.extend(ids.map(|(uid, _)| uid)),
        Err(error) => problems.push((error, "name one that `getent` shows".to_owned())),
    }
    let program = &command.program;
    match fs::metadata(program) {
        Err(error) => {
            let what = format!("`{}` cannot be run: {error}", program.display());
            problems.push((what, "name a program that is on this host".to_owned()));
        }
        Ok(found) if !found.is_file() || found.mode() & 0o111 == 0 => {
            let what = format!("`{}` cannot be run: it is no executable file", program.display());
            problems.push((what, format!("chmod 755 {}", program.display())));
        }
        Ok(_) => problems.extend(writable_parts(program, &owners)),
    }
    problems
}

/// The parts of a path by which others than `owners` could put another program in its place.
fn writable_parts(program: &Path, owners: &[u32]) -> Vec<(String, String)> {
    let real = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let parts = real.ancestors().filter_map(|part| Some((part, fs::metadata(part).ok()?)));
    let mut problems = Vec::new();
    for (part, found) in parts {
        let (name, mode) = (part.display(), found.mode() & 0o7777);
        if mode & 0o022 != 0 {
            let what = format!(
                "`{name}` can be written by others than its owner (mode {mode:04o}), and is run or leads there"
            );
            problems.push((what, format!("chmod go-w {name}, or put the program elsewhere")));
        } else if !owners.contains(&found.uid()) {
            let what = format!("`{name}` belongs to user {}, who can change what is run", found.uid());
            problems.push((what, format!("chown root {name}, or let the command run as that user")));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
