//! Passes what the XDP program logs on to the agent's log.

use std::{os::fd::AsFd, thread};

use anyhow::Context;
use aya::Ebpf;
use aya_log::EbpfLogger;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tracing::warn;

/// Follows the program's log for as long as the process lives.
pub(super) fn follow(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    let mut logger = EbpfLogger::init(ebpf).context("the XDP program has no log")?;
    let follow = move || {
        loop {
            let mut fds = [PollFd::new(logger.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => logger.flush(),
                Err(error) => return warn!(%error, "what XDP drops is no longer logged"),
            }
        }
    };
    thread::Builder::new().name("drop-log".to_owned()).spawn(follow).context("failed to start a thread")?;
    Ok(())
}
