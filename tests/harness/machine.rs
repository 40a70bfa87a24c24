//! A host on which systemd runs: booted by systemd-nspawn from a copy-on-write view of this host's files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};
use nix::{
    mount::{MsFlags, mount},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{GENEROUS, Host, Process, Status, lab, until};

/// What is reached in place of what the host's own services are enabled for.
const TARGET: &str = "lab.target";
const TARGET_TEXT: &str =
    "[Unit]\nDescription=Nothing but the system\nRequires=basic.target\nAfter=basic.target\nAllowIsolate=yes\n";
/// What this host may have, and the machine is not to have: a policy against starting services, another agent's files.
const WITHOUT: [&str; 3] = ["usr/sbin/policy-rc.d", "etc/machine-id", "etc/vipd"];

/// A machine, with the network of a [`Host`]. It is switched off when dropped.
#[derive(Debug)]
pub struct Machine {
    name: String,
    root: PathBuf,
    init: Pid,
    _container: Process,
}

impl Host {
    /// Boots a machine in this host's network namespace.
    pub fn boot(&self) -> Result<Machine> {
        let root = files(self.name())?;
        let mut command = self.namespace().command("systemd-nspawn");
        command
            // Like a machine of its own: the network's settings can be written.
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1")
            .args(["--boot", "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--capability=all"])
            .args(["--system-call-filter=bpf", "--system-call-filter=perf_event_open"])
            .arg(format!("--machine={}", self.name()))
            .arg(format!("--directory={}", root.display()))
            .arg(format!("systemd.unit={TARGET}"));
        let container = Process::spawn(&format!("machine {}", self.name()), command)?;
        let init = until("systemd to be started", GENEROUS, || {
            if container.is_running() { Ok(init_of(container.pid())) } else { Err(container.ended_early()) }
        })?;
        let machine = Machine { name: self.name().to_owned(), root, init, _container: container };
        until(&format!("machine {} to boot", self.name()), GENEROUS, || {
            let state = machine.command("systemctl", &["is-system-running"]).output()?;
            Ok((state.stdout == b"running\n" || state.stdout == b"degraded\n").then_some(()))
        })?;
        // The machine's own: systemd may not mount it in a container.
        machine.run("mount", &["-t", "bpf", "bpf", "/sys/fs/bpf"])?;
        Ok(machine)
    }
}

/// A copy-on-write view of this host's files, on the lab's file system.
fn files(name: &str) -> Result<PathBuf> {
    let folder = lab::directory(&format!("machine-{name}"))?;
    let [changes, work, root] = ["changes", "work", "root"].map(|part| folder.join(part));
    for part in [&changes, &work, &root] {
        fs::create_dir(part)?;
    }
    let options = format!("lowerdir=/,upperdir={},workdir={}", changes.display(), work.display());
    mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .context("failed to mount an overlay of this host's files")?;
    for path in WITHOUT.map(|path| root.join(path)) {
        let _ = fs::remove_file(&path);
        let _ = fs::remove_dir_all(&path);
    }
    fs::write(root.join("etc/systemd/system").join(TARGET), TARGET_TEXT)?;
    fs::write(root.join("etc/hostname"), format!("{name}\n"))?;
    Ok(root)
}

/// The first process of the PID namespace below `container`.
fn init_of(container: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{container}/task/{container}/children")).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        ids.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("1"))
    })
}

impl Machine {
    /// A command that will run on the machine.
    #[must_use]
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init));
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--", program]).args(arguments);
        command
    }

    /// Runs a command on the machine, whatever comes of it.
    pub fn try_run(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        self.command(program, arguments).output().with_context(|| format!("failed to start `{program}`"))
    }

    /// Runs a command on the machine and returns what it printed; fails with all that it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.try_run(program, arguments)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let (name, status, words) = (&self.name, output.status, arguments.join(" "));
            bail!("`{program} {words}` failed on {name} with {status}: {said}{complaint}");
        }
        Ok(said)
    }

    /// Writes a file of the machine; `path` begins at its root.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))
    }

    /// Where a file of the machine is here; `path` begins at its root.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }

    /// A property of a service.
    pub fn property(&self, unit: &str, property: &str) -> Result<String> {
        Ok(self.run("systemctl", &["show", "--value", "--property", property, unit])?.trim().to_owned())
    }

    /// The status of the agent that runs there.
    pub fn status(&self) -> Result<Status> {
        let text = self.run("vipd", &["status", "--json"])?;
        Ok(Status(serde_json::from_str(&text).with_context(|| format!("`vipd status --json` printed `{text}`"))?))
    }

    /// Waits until the agent says of itself what `condition` wants; the error shows its journal.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Result<Status> {
        let asked = || Ok(self.status().ok().filter(|status| condition(status)));
        until(&format!("{what} on {}", self.name), GENEROUS, asked)
            .with_context(|| self.journal().unwrap_or_else(|error| format!("{error:#}")))
    }

    /// What the agent has logged.
    pub fn journal(&self) -> Result<String> {
        self.run("journalctl", &["--no-pager", "--output=short-precise", "--unit=vipd"])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With its first process everything in it ends.
        let _ = kill(self.init, Signal::SIGKILL);
    }
}
