//! Whether processes run. Those that do are held by pidfd, so that the end of one is noticed at once; new ones are looked for
//! in `/proc`, where it matters.

use std::{fs, os::fd::OwnedFd, path::Path};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::{Processes, patience::Patience};
use crate::readiness::readable;

/// Longest name of a process that the kernel keeps, in bytes.
const NAME_MAX: usize = 15;
/// Processes that are held at most: that one of more ends says little.
const HELD_MAX: usize = 64;

/// Looks after the processes of one program.
#[derive(Debug)]
pub(super) struct Watcher {
    processes: Processes,
    held: Vec<Held>,
    /// How many there were at the last count.
    count: usize,
    patience: Patience<std::io::Result<Vec<i32>>>,
}

/// A process that runs.
#[derive(Debug)]
struct Held {
    pid: i32,
    end: AsyncFd<OwnedFd>,
}

impl Watcher {
    pub(super) fn new(processes: Processes) -> Self {
        Self { processes, held: Vec::new(), count: 0, patience: Patience::default() }
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
        self.count = found.len();
        self.held.retain(|held| found.contains(&held.pid));
        for &pid in &found {
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
    is_of(pid, program).then_some(Held { pid, end })
}

/// The processes of `program` that are not dead.
fn find(program: &str) -> std::io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|&pid| is_of(pid, program)).collect())
}

fn is_of(pid: i32, program: &str) -> bool {
    if program.starts_with('/') {
        return fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == Path::new(program));
    }
    let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { return false };
    let name = &program.as_bytes()[..program.len().min(NAME_MAX)];
    named(&stat).is_some_and(|(own, is_dead)| own == name && !is_dead)
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
