//! What a program is started with: whose rights, and how much it is spared where the host has no memory left.

use std::{fs, io};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::{Uid, setgid, setgroups, setuid, write},
};
use tokio::process::Command;

use super::permission::RunAs;

/// How much the calling process is spared when the kernel looks for whom to end: less than 0, more than others.
const ADJUSTMENT: &str = "/proc/self/oom_score_adj";

/// Lets what `command` starts run as `run_as`, and be ended before the agent where memory is short: what spares the agent, as its
/// unit says (`OOMScoreAdjust`), is not for programs.
pub(super) fn confine(command: &mut Command, run_as: Option<RunAs>) {
    let own = fs::read_to_string(ADJUSTMENT).ok().and_then(|text| text.trim().parse().ok());
    prepare(command, run_as, own.unwrap_or(0));
}

/// [`confine`] of an agent that is spared by `own`.
fn prepare(command: &mut Command, run_as: Option<RunAs>, own: i32) {
    if own >= 0 && run_as.is_none() {
        return;
    }
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
