//! An agent that runs on a host.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use aya::maps::{HashMap, Map, MapData};
use nix::{net::if_::if_nametoindex, sys::signal::Signal};
use vrrp_wire::{
    Family, Vrid,
    abi::{Counters, RouterKey},
};

use crate::{GENEROUS, Host, Namespace, Process, Status, lab, until};

/// The daemon's executable: `VIPD_BIN`, else the one that cargo put near the running program.
pub fn vipd() -> Result<PathBuf> {
    if let Some(path) = env::var_os("VIPD_BIN") {
        return Ok(path.into());
    }
    let this_program = env::current_exe().context("failed to find the running program")?;
    // A program is beside the daemon, a test one directory below.
    let found =
        this_program.ancestors().skip(1).take(2).map(|directory| directory.join("vipd")).find(|path| path.is_file());
    found.with_context(|| {
        format!("no `vipd` near `{}`: run `cargo build -p vipd`, or set VIPD_BIN", this_program.display())
    })
}

/// A `vipd run` on a host.
#[derive(Debug)]
pub struct Agent {
    /// The daemon, to be stopped and killed.
    pub process: Process,
    namespace: Namespace,
    instance: String,
    file: PathBuf,
    command: Vec<OsString>,
}

impl Host {
    /// Starts an agent for the node of the host's name, under an instance name of its own.
    pub fn agent(&self, config: &str, extra_arguments: &[&str]) -> Result<Agent> {
        static STARTED: AtomicU32 = AtomicU32::new(1);
        let instance = format!("{}-{}", self.name(), STARTED.fetch_add(1, Ordering::Relaxed));
        self.agent_again(&instance, config, extra_arguments)
    }

    /// Starts an agent under the instance name of one that has ended, as a service manager does.
    pub fn agent_again(&self, instance: &str, config: &str, extra_arguments: &[&str]) -> Result<Agent> {
        self.agent_of(&vipd()?, instance, config, extra_arguments)
    }

    /// [`Host::agent_again`] of one that is killed at a moment of `vipd::killpoint`.
    pub fn agent_killed_at(&self, moment: &str, instance: &str, config: &str) -> Result<Agent> {
        let variable = format!("{}={moment}", vipd::killpoint::VARIABLE);
        self.start_agent(vec!["env".into(), variable.into(), vipd()?.into()], instance, config, &[])
    }

    /// [`Host::agent_again`] with the daemon's executable somewhere else.
    pub fn agent_of(&self, program: &Path, instance: &str, config: &str, extra_arguments: &[&str]) -> Result<Agent> {
        self.start_agent(vec![program.into()], instance, config, extra_arguments)
    }

    fn start_agent(
        &self,
        mut command: Vec<OsString>,
        instance: &str,
        config: &str,
        extra_arguments: &[&str],
    ) -> Result<Agent> {
        let file = lab::write(&format!("{instance}.toml"), config)?;
        command.extend(["run".into(), "--config".into(), file.clone().into()]);
        command.extend(["--node", self.name(), "--instance", instance].map(Into::into));
        command.extend(extra_arguments.iter().map(Into::into));
        let process = spawn(self.namespace(), instance, &command)?;
        Ok(Agent { process, namespace: self.namespace().clone(), instance: instance.to_owned(), file, command })
    }
}

fn spawn(namespace: &Namespace, instance: &str, command: &[OsString]) -> Result<Process> {
    let (program, arguments) = command.split_first().context("no program")?;
    let mut command = namespace.command(program);
    command.args(arguments);
    Process::spawn(&format!("vipd@{instance}"), command)
}

impl Agent {
    /// Starts the daemon again after it has ended, as it was started first.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.namespace, &self.instance, &self.command)?;
        Ok(())
    }

    /// Gives the daemon another configuration, which it reads at SIGHUP or at its next start.
    pub fn rewrite(&self, config: &str) -> Result<()> {
        fs::write(&self.file, config).with_context(|| format!("failed to write `{}`", self.file.display()))
    }

    /// Gives the daemon another configuration, and lets it read that.
    pub fn reload(&self, config: &str) -> Result<()> {
        self.rewrite(config)?;
        self.process.signal(Signal::SIGHUP)
    }

    /// What the guard has counted for a virtual router: known also while the daemon hangs, and after it was killed.
    pub fn counters(&self, family: Family, vrid: u8) -> Result<Counters> {
        let map = MapData::from_pin(format!("{}/counters", self.pin_dir()))?;
        let counters: HashMap<_, RouterKey, Counters> = Map::HashMap(map).try_into()?;
        let ifindex = self.namespace.enter(|| if_nametoindex(Host::INTERFACE))??;
        let key = RouterKey::new(ifindex, family, Vrid::new(vrid).context("VRID 0")?);
        counters.get(&key, 0).with_context(|| format!("no counters of VRID {vrid} over {family}"))
    }

    /// The configuration file.
    pub fn file(&self) -> Result<&str> {
        self.file.to_str().with_context(|| format!("`{}` is not UTF-8", self.file.display()))
    }

    /// The instance name.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Where the agent keeps what others on the host read of it.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        format!("/run/vipd@{}", self.instance).into()
    }

    /// Where the agent pins its maps, for bpftool.
    #[must_use]
    pub fn pin_dir(&self) -> String {
        format!("/sys/fs/bpf/vipd@{}", self.instance)
    }

    /// Runs another command of the daemon's executable, such as `status` or `detach`, for this agent.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let program = vipd()?;
        let program = program.to_str().with_context(|| format!("`{}` is not UTF-8", program.display()))?;
        self.namespace.run(program, &[arguments, &["--instance", &self.instance]].concat())
    }

    /// What the agent says about itself now.
    pub fn status(&self) -> Result<Status> {
        let text = self.run(&["status", "--json"])?;
        let value = serde_json::from_str(&text).with_context(|| format!("`vipd status --json` printed `{text}`"))?;
        Ok(Status(value))
    }

    /// Waits until the status satisfies `condition`; the error shows the last one. `what` completes "in vain for".
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Result<Status> {
        self.wait_within(GENEROUS, what, condition)
    }

    /// [`Agent::wait_for`] with a limit of its own.
    pub fn wait_within(&self, limit: Duration, what: &str, condition: impl Fn(&Status) -> bool) -> Result<Status> {
        let mut last = None;
        let waited = until(what, limit, || {
            let status = self.status();
            if let Ok(status) = &status
                && condition(status)
            {
                return Ok(Some(status.clone()));
            }
            last = Some(status);
            if self.process.is_running() { Ok(None) } else { Err(self.process.ended_early()) }
        });
        waited.with_context(|| match last {
            Some(Ok(status)) => format!("last status of `{}`: {:#}", self.instance, status.0),
            Some(Err(error)) => format!("no status of `{}`: {error:#}", self.instance),
            None => format!("status of `{}` never asked", self.instance),
        })
    }

    /// What the agent says after it has looked for alarms once more, which it does every second by its own clock. Its first
    /// virtual router must keep its state meanwhile.
    pub fn look_again(&self) -> Result<Status> {
        let since = |status: &Status| status.0["virtual_routers"][0]["since_ms"].as_u64();
        let before = since(&self.status()?).context("it has not begun")?;
        self.wait_for("more than a second to pass", |status| since(status) > Some(before + 1_100))?;
        self.status()
    }

    /// Waits until a virtual router is in `state`.
    pub fn wait_for_state(&self, router: &str, family: Family, state: &str) -> Result<Status> {
        if !["Initialize", "Backup", "Active", "Fault"].contains(&state) {
            bail!("`{state}` is no state of a virtual router");
        }
        self.wait_for(&format!("{router} ({family}) on {} to be {state}", self.instance), |status| {
            status.state(router, family) == Some(state)
        })
    }
}
