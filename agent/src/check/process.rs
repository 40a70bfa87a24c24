//! Whether processes run. Those that do are held by pidfd, so that the end of one is noticed at once; new ones are looked for
//! in `/proc`, where it matters.

use std::{
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use nix::libc;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::{Processes, patience::Patience};
use crate::readiness::readable;

/// Longest name of a process that the kernel keeps, in bytes.
const NAME_MAX: usize = 15;
/// Processes that are held at most: that one of more ends says little.
const HELD_MAX: usize = 64;
/// What the kernel adds to the path of a program whose file was removed or replaced since.
const DELETED: &[u8] = b" (deleted)";

/// Looks after the processes of one program.
#[derive(Debug)]
pub(super) struct Watcher {
    processes: Processes,
    held: Vec<Held>,
    /// How many there were at the last count.
    count: usize,
    /// Why there may have been more.
    unclear: Option<String>,
    patience: Patience<io::Result<Found>>,
}

/// What a look into `/proc` has found.
#[derive(Debug, Default)]
struct Found {
    /// The processes of the program that are not dead.
    pids: Vec<i32>,
    /// Why it is not known of one, at least, whether it is one of them.
    unclear: Option<String>,
}

/// A process that runs.
#[derive(Debug)]
struct Held {
    pid: i32,
    end: AsyncFd<OwnedFd>,
}

impl Watcher {
    pub(super) fn new(processes: Processes) -> Self {
        Self { processes, held: Vec::new(), count: 0, unclear: None, patience: Patience::default() }
    }

    pub(super) async fn look(&mut self) -> Result<String, String> {
        let before = self.held.len();
        self.held.retain(|held| held.end.readable().now_or_never().is_none());
        let Processes { min, max, .. } = self.processes;
        let is_known = self.held.len() == before && before >= min && max.is_none();
        if !is_known {
            self.count().await?;
        }
        let count = self.count;
        if let Some(why) = &self.unclear
            && (count < min || max.is_some_and(|max| count <= max))
        {
            return Err(format!("it is not known how many processes run: {why}"));
        }
        let running = if count == 1 { "1 process runs".to_owned() } else { format!("{count} processes run") };
        if count < min {
            Err(format!("{running}, and there must be at least {min}"))
        } else if max.is_some_and(|max| count > max) {
            Err(format!("{running}, and there may be {} at most", max.unwrap_or(0)))
        } else {
            Ok(running)
        }
    }

    /// Returns when one that is held has ended.
    pub(super) async fn disturbed(&mut self) {
        let mut ends: FuturesUnordered<_> = self.held.iter().map(|held| held.end.readable()).collect();
        if ends.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Counts them anew, and holds them.
    async fn count(&mut self) -> Result<(), String> {
        let program = self.processes.program.clone();
        let found = self.patience.wait_for(move || find(&program)).await?;
        let found = found.map_err(|error| format!("`/proc` cannot be read: {error}"))?;
        let Found { pids, unclear } = found;
        (self.count, self.unclear) = (pids.len(), unclear);
        self.held.retain(|held| pids.contains(&held.pid));
        for pid in pids {
            if self.held.len() >= HELD_MAX {
                break;
            }
            if !self.held.iter().any(|held| held.pid == pid) {
                match hold(pid, &self.processes.program) {
                    Some(held) => self.held.push(held),
                    // It has ended since.
                    None => self.count -= 1,
                }
            }
        }
        Ok(())
    }
}

/// Holds a process that still is one of `program`.
fn hold(pid: i32, program: &str) -> Option<Held> {
    let end = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()?;
    let end = readable(end).ok()?;
    is_of(pid, program).is_ok_and(|is_one| is_one).then_some(Held { pid, end })
}

/// Looks for the processes of `program`.
fn find(program: &str) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match is_of(pid, program) {
            Ok(true) => found.pids.push(pid),
            Ok(false) => {}
            Err(error) => found.unclear = Some(format!("process {pid} cannot be looked at: {error}")),
        }
    }
    Ok(found)
}

/// Whether a process is one of `program`, and not dead.
fn is_of(pid: i32, program: &str) -> io::Result<bool> {
    if !program.starts_with('/') {
        return is_named(pid, program.as_bytes());
    }
    match fs::read_link(format!("/proc/{pid}/exe")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => seems_to_be(pid, Path::new(program)),
        link => Ok(unless_gone(link)?.is_some_and(|link| {
            let link = link.as_os_str().as_bytes();
            link == program.as_bytes() || link.strip_suffix(DELETED) == Some(program.as_bytes())
        })),
    }
}

/// Whether the kernel calls a process by the beginning of `name`.
fn is_named(pid: i32, name: &[u8]) -> io::Result<bool> {
    let Some(stat) = unless_gone(fs::read(format!("/proc/{pid}/stat")))? else { return Ok(false) };
    let name = &name[..name.len().min(NAME_MAX)];
    Ok(named(&stat).is_some_and(|(own, is_dead)| own == name && !is_dead))
}

/// Whether a process is one of `program` by what everybody may know of it: what it was started as, or has called itself since,
/// and its name. The link to the program is for those who may trace the process, which takes CAP_SYS_PTRACE where it is of
/// another user or has a capability that the agent has not.
fn seems_to_be(pid: i32, program: &Path) -> io::Result<bool> {
    let line = unless_gone(fs::read(format!("/proc/{pid}/cmdline")))?.unwrap_or_default();
    let title = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = program.file_name().unwrap_or_default().as_bytes();
    // A dead process has none, nor has a thread of the kernel.
    if title.is_empty() {
        return Ok(false);
    }
    // "nginx: worker process", or a name that was looked for in PATH.
    if !title.starts_with(b"/") {
        return is_named(pid, name);
    }
    let path = Path::new(OsStr::from_bytes(title));
    if path == program {
        return Ok(true);
    }
    match path.canonicalize() {
        Ok(path) => Ok(path == program),
        Err(error) if error.kind() == ErrorKind::PermissionDenied && is_named(pid, name)? => Err(error),
        Err(_) => Ok(false),
    }
}

/// `None`: it is about a process that has ended, or a thread of the kernel.
fn unless_gone<T>(seen: io::Result<T>) -> io::Result<Option<T>> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name in `/proc/PID/stat`, which may have anything in it, and whether the process is dead.
fn named(stat: &[u8]) -> Option<(&[u8], bool)> {
    let begin = stat.iter().position(|&byte| byte == b'(')? + 1;
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let is_dead = matches!(stat.get(end + 2)?, b'Z' | b'X');
    Some((stat.get(begin..end)?, is_dead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_be_anything() {
        assert_eq!(named(b"7 (nginx) S 1 7"), Some((&b"nginx"[..], false)));
        assert_eq!(named(b"7 (a) Z (b) Z 1 7"), Some((&b"a) Z (b"[..], true)));
        assert_eq!(named(b"7 ()"), None);
        assert_eq!(named(b""), None);
    }

    #[tokio::test]
    async fn a_process_whose_program_was_replaced_runs_on() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("daemon");
        fs::copy("/bin/sleep", &program).unwrap();
        let processes = Processes { program: program.to_str().unwrap().to_owned(), min: 1, max: None };
        let mut child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        fs::copy("/bin/sleep", dir.path().join("daemon.new")).unwrap();
        fs::rename(dir.path().join("daemon.new"), &program).unwrap();
        assert_eq!(Watcher::new(processes).look().await, Ok("1 process runs".to_owned()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_process_is_found_and_missed() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("a-program-with-a-long-name");
        fs::copy("/bin/sleep", &program).unwrap();
        let path = program.to_str().unwrap().to_owned();
        let watcher = |program: &str, max| Watcher::new(Processes { program: program.to_owned(), min: 1, max });
        let (mut by_path, mut by_name) = (watcher(&path, None), watcher("a-program-with-a-long-name", Some(1)));
        assert_eq!(by_path.look().await, Err("0 processes run, and there must be at least 1".to_owned()));

        let start = || std::process::Command::new(&program).arg("60").spawn().unwrap();
        let mut child = start();
        assert_eq!(by_path.look().await, Ok("1 process runs".to_owned()));
        assert_eq!(by_name.look().await, Ok("1 process runs".to_owned()));
        let mut second = start();
        assert_eq!(by_name.look().await, Err("2 processes run, and there may be 1 at most".to_owned()));
        second.kill().unwrap();
        second.wait().unwrap();

        assert!(by_path.disturbed().now_or_never().is_none());
        child.kill().unwrap();
        by_path.disturbed().await;
        // Nobody has waited for it yet: it is dead all the same.
        assert_eq!(by_path.look().await, Err("0 processes run, and there must be at least 1".to_owned()));
        child.wait().unwrap();
    }
}
