//! The memory of this process, and which of its programs is ended first where the host has none left.

use std::{fs, io};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::{Uid, setgid, setgroups, setuid, write},
};
use tokio::process::Command;

use crate::program::permission::RunAs;

/// How much the calling process is spared when the kernel looks for whom to end: less than 0, more than others.
const ADJUSTMENT: &str = "/proc/self/oom_score_adj";

/// Has the threads share two heaps. Each would otherwise keep pages of its own, for a speed that nobody here needs. To be called before there are any.
pub fn share_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number that threads read when they first allocate.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 2);
    }
}

/// Gives the kernel back what the start has needed and nobody does any more: the guard's object, most of all, leaves holes behind.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: any thread may call it at any time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Lets what `command` starts run as `run_as`, and be ended before the agent where memory is short: what spares the agent, as its
/// unit says (`OOMScoreAdjust`), is not for programs.
pub fn spare_less(command: &mut Command, run_as: Option<RunAs>) {
    let own = fs::read_to_string(ADJUSTMENT).ok().and_then(|text| text.trim().parse().ok());
    prepare(command, run_as, own.unwrap_or(0));
}

/// [`spare_less`] of an agent that is spared by `own`.
fn prepare(command: &mut Command, run_as: Option<RunAs>, own: i32) {
    let before_exec = move || -> io::Result<()> {
        // Once it is another user it could not write there. Where nobody can, the program runs all the same.
        if own < 0
            && let Ok(file) = open(ADJUSTMENT, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
        {
            let _ = write(file, b"0");
        }
        if let Some(RunAs { uid, gid }) = run_as {
            if Uid::current().is_root() {
                setgroups(&[])?;
            }
            setgid(gid)?;
            setuid(uid)?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only: it neither allocates nor takes a lock.
    unsafe { command.pre_exec(before_exec) };
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    /// What a program is spared that is started as `run_as` by an agent that is spared by `own`.
    fn spared(run_as: Option<RunAs>, own: i32) -> String {
        let mut command = Command::new("/bin/cat");
        prepare(command.arg(ADJUSTMENT), run_as, own);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let output = runtime.block_on(async { command.output().await.unwrap() });
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The test is spared less than others, since it may not be spared more.
    #[test]
    fn programs_go_before_the_agent_where_memory_is_short() {
        let before = fs::read_to_string(ADJUSTMENT).unwrap();
        fs::write(ADJUSTMENT, "300").unwrap();
        assert_eq!(spared(None, -900), "0\n");
        assert_eq!(spared(None, 300), "300\n");
        if Uid::effective().is_root() {
            let nobody = RunAs::find(Some("nobody"), None).unwrap();
            assert_eq!(spared(Some(nobody), -900), "0\n");
        }
        fs::write(ADJUSTMENT, before).unwrap();
    }
}
