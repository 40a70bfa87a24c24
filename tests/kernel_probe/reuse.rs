//! A process that is killed leaves its programs attached.

use std::{
    io::{self, Read, Write},
    path::Path,
    process::{ExitCode, Stdio},
    thread,
};

use anyhow::{Context, Result, ensure};
use vipd::datapath::{attach::Hook, guard::Guard, netlink::Side};

use crate::network::{NEAR, Network, nic};

/// First argument of the process that is killed.
pub(crate) const HOLD: &str = "hold";
/// Where its maps and links are pinned.
pub(crate) const PINS: &str = "/sys/fs/bpf/probe";

/// Attaches what the kernel lets it, says so, and waits to be killed.
pub(crate) fn hold() -> Result<ExitCode> {
    let mut guard = Guard::load(Some(Path::new(PINS)))?;
    let nic = nic(NEAR)?;
    for (side, hook) in [(Side::Ingress, Hook::Native), (Side::Egress, Hook::Tcx)] {
        if let Err(error) = guard.programs().attach(&nic, side, hook) {
            writeln!(io::stderr(), "{hook}: {error:#}")?;
        }
    }
    writeln!(io::stdout(), "held")?;
    loop {
        thread::park();
    }
}

/// Kills a process that has attached programs to [`NEAR`].
pub(crate) fn leave(network: &Network) -> Result<()> {
    let mut holder = network.namespace().command("/proc/self/exe");
    let mut holder = holder.arg(HOLD).stdout(Stdio::piped()).spawn().context("failed to start a second process")?;
    let mut said = [0; 4];
    let heard = holder.stdout.take().context("no output")?.read_exact(&mut said);
    holder.kill()?;
    holder.wait()?;
    heard.context("the second process failed, and the console says why")?;
    ensure!(&said == b"held", "it said {said:?}");
    Ok(())
}
