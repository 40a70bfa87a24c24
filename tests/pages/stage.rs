//! A cluster on whose first node commands are typed as they stand in the pages.

use std::{
    env, fs,
    os::unix::fs::symlink,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, Process, Status, until, vipd};

use crate::{
    accounts::Manner,
    keys::{ENFORCE, write_keys},
};

const ROUTER: &str = Cluster::ROUTERS[0];
/// Where the program lies that is typed as `vipd`.
const PROGRAMS: &str = "/run/lab/bin";
/// Where commands are typed; `vipd.toml` lies there.
const FOLDER: &str = "/etc/vipd";

/// Three nodes with signed adverts and without supervisors. The agent of n1 is the host's own: it has no instance name.
pub(crate) struct Stage {
    /// The cluster; of n1 it knows no agent.
    pub(crate) cluster: Cluster,
    agent: Option<Process>,
}

impl Stage {
    /// The nodes, on which nothing runs. `keys` go into `[cluster]`.
    pub(crate) fn new(lab: &Lab, keys: &str) -> Result<Self> {
        write_keys(lab)?;
        let config = ClusterConfig {
            interval: "500ms",
            cluster: keys,
            auth: ENFORCE,
            supervisor: false,
            ..ClusterConfig::default()
        };
        let cluster = Cluster::new(lab, 3, &config)?;
        lab.private_etc()?;
        for folder in [FOLDER, PROGRAMS] {
            fs::create_dir_all(folder)?;
        }
        fs::write(format!("{FOLDER}/vipd.toml"), &cluster.config)?;
        symlink(vipd()?, format!("{PROGRAMS}/vipd"))?;
        Ok(Self { cluster, agent: None })
    }

    /// Starts all agents, that of n1 first, which is Active then.
    pub(crate) fn start_all(&mut self) -> Result<()> {
        self.start_first("vipd run --node n1")?;
        self.cluster.settle_on(0, 0)?;
        for node in [1, 2] {
            self.cluster.start(node)?;
            self.cluster.agent(node)?.wait_for("it to be Backup", |status| status.all_in(&["Backup"]))?;
        }
        Ok(())
    }

    /// Starts the agent of n1 by what is typed.
    pub(crate) fn start_first(&mut self, command: &str) -> Result<()> {
        self.agent = Some(Process::spawn("vipd", self.typed(&format!("exec {command}"))?)?);
        self.wait_for("the agent of n1 to serve", |status| status.all_in(&["Active", "Backup"]))
    }

    /// The agent of n1.
    pub(crate) fn agent(&self) -> Result<&Process> {
        self.agent.as_ref().context("no agent runs on n1")
    }

    /// What is typed on n1, to be run.
    fn typed(&self, command: &str) -> Result<Command> {
        let path = env::var("PATH").context("PATH is no text")?;
        let mut shell = self.cluster.nodes[0].namespace().command("sh");
        shell.args(["-ec", command]).current_dir(FOLDER).env("PATH", format!("{PROGRAMS}:{path}"));
        Ok(shell)
    }

    /// Types a command that ends by itself and succeeds, and returns what it prints.
    pub(crate) fn type_in(&self, command: &str) -> Result<String> {
        let output = self.outcome(command)?;
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "ended with {}: {said}{complaint}", output.status);
        Ok(said.into_owned())
    }

    /// Types a command that ends by itself.
    fn outcome(&self, command: &str) -> Result<Output> {
        // Whatever does not end would hang the test.
        let mut limited = self.cluster.nodes[0].namespace().command("timeout");
        let shell = self.typed(command)?;
        limited.args(["60", "sh"]).args(shell.get_args()).current_dir(FOLDER);
        limited.envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited.output().context("failed to start a shell")
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Result<()> {
        until(what, GENEROUS, || {
            let status = self.type_in("vipd status --json").ok().and_then(|text| serde_json::from_str(&text).ok());
            Ok(status.map(Status).filter(|status| condition(status)).map(drop))
        })
        .with_context(|| self.agent.as_ref().map_or_else(String::new, Process::transcript))
    }

    /// Types `command` in the way that it takes.
    pub(crate) fn run(&mut self, manner: Manner, command: &str) -> Result<()> {
        match manner {
            Manner::Answers => {
                // A new key is never put in the place of another.
                let _ = fs::remove_dir_all(format!("{FOLDER}/keys"));
                self.type_in(command).map(drop)
            }
            Manner::Judges => {
                let output = self.outcome(command)?;
                ensure!(matches!(output.status.code(), Some(0 | 1)), "ended with {}", output.status);
                ensure!(!output.stdout.is_empty(), "it says nothing");
                Ok(())
            }
            Manner::Follows => {
                let follower = Process::spawn(command, self.typed(&format!("exec {command}"))?)?;
                until("it to show something", GENEROUS, || {
                    self.hand_over()?;
                    ensure!(follower.is_running(), "it has ended, having said: {}", follower.transcript());
                    Ok((!follower.transcript().is_empty()).then_some(()))
                })
            }
            Manner::Serves => {
                self.agent.take().context("no agent runs on n1")?.terminate(GENEROUS)?;
                self.start_first(command)
            }
            Manner::CleansUp => {
                self.agent.take().context("no agent runs on n1")?.kill()?;
                ensure!(self.cluster.nodes[0].has_address(Cluster::addresses(0)[0])?, "nothing is left to clean up");
                self.type_in(command)?;
                let [ipv4, ipv6] = Cluster::addresses(0);
                let is_held = |address| self.cluster.nodes[0].has_address(address);
                ensure!(!is_held(ipv4)? && !is_held(ipv6)?, "the addresses are still there");
                self.start_first("vipd run --node n1")
            }
        }
    }

    /// Lets n2 serve, and n1 again.
    fn hand_over(&self) -> Result<()> {
        self.type_in(&format!("vipd transfer {ROUTER} --to n2"))?;
        self.cluster.settle_on(0, 1)?;
        self.restore()
    }

    /// Has n1 serve, wherever the addresses have gone.
    pub(crate) fn restore(&self) -> Result<()> {
        self.type_in("vipd undrain")?;
        let holder = self.cluster.settle(0)?;
        if holder != 0 {
            self.cluster.agent(holder)?.run(&["transfer", ROUTER, "--to", "n1"])?;
            self.cluster.agent(holder)?.run(&["undrain"])?;
        }
        self.cluster.settle_on(0, 0)
    }
}
