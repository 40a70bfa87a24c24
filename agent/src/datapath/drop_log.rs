//! Passes what the guard's programs log on to the agent's log.

use std::{os::fd::AsFd, thread};

use anyhow::Context;
use aya_log::EbpfLogger;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tracing::warn;

use super::hooks::Programs;

/// Follows the log of the programs for as long as the process lives. Programs that were verified beforehand have one of their own.
pub(super) fn follow(programs: &mut Programs) -> anyhow::Result<()> {
    let rehearsed = programs.rehearsed_id().map(EbpfLogger::init_from_id);
    let own = EbpfLogger::init(programs.ebpf_mut());
    for logger in rehearsed.into_iter().chain([own]) {
        let mut logger = logger.context("the programs have no log")?;
        let follow = move || {
            loop {
                let mut fds = [PollFd::new(logger.as_fd(), PollFlags::POLLIN)];
                match poll(&mut fds, PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => logger.flush(),
                    Err(error) => return warn!(%error, "what the guard drops is no longer logged"),
                }
            }
        };
        thread::Builder::new().name("drop-log".to_owned()).spawn(follow).context("failed to start a thread")?;
    }
    Ok(())
}
