//! A client or a witness on the LAN, as seen from the program that measures.

use std::{
    env,
    io::{BufRead, BufReader},
    net::IpAddr,
    process::{Child, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use harness::{Host, until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{moment::now, probe::Part, sighting::Sighting};

/// A running probe, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Client {
    child: Child,
    seen: Arc<Mutex<Vec<Sighting>>>,
}

impl Client {
    /// Starts to ask for `targets` from `host`, whose addresses are `own`.
    pub(crate) fn start(host: &Host, part: Part, own: [IpAddr; 2], targets: &[IpAddr]) -> Result<Self> {
        let mut command = host.namespace().command(env::current_exe().context("failed to find this program")?);
        command.arg("probe").arg(if part == Part::Client { "client" } else { "witness" });
        command.arg(host.mac().to_string()).args(own.map(|own| own.to_string()));
        command.args(targets.iter().map(|target| format!("--target={target}")));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("failed to start a probe")?;
        let said = child.stdout.take().context("a probe without output")?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Ok(sighting) = serde_json::from_str(&line) {
                    lock(&shared).push(sighting);
                }
            }
        });
        Ok(Self { child, seen })
    }

    /// Asks no more until it is woken.
    pub(crate) fn rest(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Asks again.
    pub(crate) fn wake(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().try_into()?), signal).context("failed to signal a probe")
    }

    /// Everything since [`Client::forget`].
    pub(crate) fn sightings(&self) -> Vec<Sighting> {
        lock(&self.seen).clone()
    }

    /// Forgets what was seen before `moment`.
    pub(crate) fn forget(&self, moment: Duration) {
        lock(&self.seen).retain(|sighting| sighting.at >= moment);
    }

    /// Waits until each of `targets` has been answered for without a pause of 100 ms for as long as `span`, or fails after `limit`.
    pub(crate) fn wait_steady(&mut self, targets: &[IpAddr], span: Duration, limit: Duration) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("a probe has ended with {status}");
        }
        let begun = now();
        until("steady answers", limit, || {
            let (seen, now) = (lock(&self.seen), now());
            let since = begun.max(now.saturating_sub(span));
            let is_steady = |target: &IpAddr| {
                let answers = seen.iter().filter(|it| it.address == *target && it.asked.is_some()).map(|it| it.at);
                harness::longest_gap(answers.filter(|at| *at > since), since, now) < Duration::from_millis(100)
            };
            Ok((now >= begun + span && targets.iter().all(is_steady)).then_some(()))
        })
    }
}

fn lock(seen: &Mutex<Vec<Sighting>>) -> MutexGuard<'_, Vec<Sighting>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
