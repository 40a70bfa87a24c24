//! Carries out a plan on Debian: one run of apt-get, then the linker and subcommands of cargo from crates.io.

use std::{
    fs,
    io::{self, IsTerminal, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{
    machine::{PYTHON_LIST, Privilege},
    plan::{LLVM_PREFIX, PYTHON_FOLDER, PYTHON_PACKAGES, Plan, linker_arguments},
};
use crate::process::{self, Interrupt};

/// Debian asks this script, where there is one, before a package starts its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// The packages whose services are not to run: the tests start their programs themselves.
const NOT_STARTED: [&str; 8] = [
    "keepalived",
    "frr",
    "exim4-daemon-light",
    "nginx",
    "podman",
    "prometheus",
    "prometheus-alertmanager",
    "puppet-agent",
];
/// 101 is "forbidden"; everything but those starts as without a policy.
const POLICY_TEXT: &str = "#!/bin/sh\n\
    # Temporary, by `cargo xtask setup` of vipd: installing these must not start them.\n\
    case \" $* \" in *' keepalived'*|*' frr'*|*' exim4'*|*' nginx'*|*' podman'*|*' prometheus'*|*' puppet'*) exit 101 ;; esac\n\
    exit 0\n";

const APT_HINT: &str = "where this release lacks a package: `rustup component add rust-src` replaces rustc-web and \
    libstd-rust-web-dev-bpf, and a bpf-linker 0.13 of your own on PATH replaces llvm-22-dev and libpolly-22-dev";

pub(super) fn carry_out(plan: &Plan, privilege: Privilege) -> Result<()> {
    // Whatever ends apt-get or cargo; this process lives on to take its policy away.
    let interrupt = Interrupt::catch()?;
    if !plan.packages.is_empty() {
        let names: Vec<_> = plan.packages.iter().map(|(name, _)| *name).collect();
        install_packages(&names, privilege)?;
    }
    if plan.linker.is_some() && !interrupt.seen() {
        cargo_install(&linker_arguments())?;
    }
    if plan.python && !interrupt.seen() {
        install_python()?;
    }
    for subcommand in &plan.subcommands {
        if !interrupt.seen() {
            cargo_install(&subcommand.arguments())?;
        }
    }
    if interrupt.seen() {
        bail!("interrupted");
    }
    Ok(())
}

fn install_packages(names: &[&str], privilege: Privilege) -> Result<()> {
    let starts_services = names.iter().any(|name| NOT_STARTED.contains(name));
    let policy = if starts_services { Policy::put(privilege)? } else { None };
    let installed = process::run(apt_get(privilege).arg("update"))
        .and_then(|()| {
            process::run(apt_get(privilege).args(["install", "--yes", "--no-install-recommends"]).args(names))
        })
        .context(APT_HINT);
    let removed = policy.map_or(Ok(()), Policy::remove);
    installed.and(removed)
}

fn apt_get(privilege: Privilege) -> Command {
    let mut command = as_root(privilege, "env");
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"])
        .stdin(Stdio::null())
        .stdout(io::stderr());
    command
}

/// `name`, as root. Without a terminal sudo cannot ask for a password, and says so instead of waiting.
fn as_root(privilege: Privilege, name: &str) -> Command {
    if privilege == Privilege::Root {
        return process::program(name);
    }
    let mut sudo = process::program("sudo");
    if !io::stdin().is_terminal() {
        sudo.arg("--non-interactive");
    }
    sudo.arg(name);
    sudo
}

fn cargo_install(arguments: &[&str]) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(arguments).env("LLVM_PREFIX", LLVM_PREFIX).stdin(Stdio::null()).stdout(io::stderr());
    // Nobody's build product here: keep it out of a target directory that is set for the project.
    process::run(cargo.env_remove("CARGO_TARGET_DIR"))
}

/// An environment of Python for this repository alone.
fn install_python() -> Result<()> {
    let folder = process::workspace().join(PYTHON_FOLDER);
    process::run(process::program("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = process::program(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES);
    process::run(pip.stdin(Stdio::null()).stdout(io::stderr()))?;
    fs::write(folder.join(PYTHON_LIST), PYTHON_PACKAGES.join("\n"))
        .with_context(|| format!("failed to write in `{}`", folder.display()))
}

/// Whether `policy` is what a setup has left behind that was killed, though of other packages perhaps.
fn is_ours(policy: &str) -> bool {
    policy.lines().nth(1) == POLICY_TEXT.lines().nth(1)
}

/// A start policy of ours in [`POLICY`], to be taken away again.
struct Policy(Privilege);

impl Policy {
    /// Puts the policy in place; none where the operator has one, which stays and decides.
    fn put(privilege: Privilege) -> Result<Option<Self>> {
        match fs::read_to_string(POLICY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(text) if is_ours(&text) => {}
            Ok(_) | Err(_) => {
                eprintln!("setup: `{POLICY}` exists and decides whether {} start", NOT_STARTED.join(", "));
                return Ok(None);
            }
        }
        let mut install = as_root(privilege, "install");
        install.args(["-m", "0755", "/dev/stdin", POLICY]).stdin(Stdio::piped());
        let mut child = install.spawn().with_context(|| format!("failed to start `{}`", process::shown(&install)))?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(POLICY_TEXT.as_bytes()).with_context(|| format!("failed to write `{POLICY}`"))?;
        }
        let status = child.wait()?;
        if !status.success() {
            bail!(
                "failed to write `{POLICY}`, without which installing {} would start them: {status}",
                NOT_STARTED.join(", ")
            );
        }
        Ok(Some(Self(privilege)))
    }

    fn remove(self) -> Result<()> {
        process::run(as_root(self.0, "rm").args(["-f", POLICY]))
            .with_context(|| format!("`{POLICY}` is left behind: remove it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_was_left_behind_is_taken_over_and_no_other() {
        let older =
            "#!/bin/sh\n# Temporary, by `cargo xtask setup` of vipd: installing these must not start them.\nexit 101\n";
        for (policy, expected) in
            [(POLICY_TEXT, true), (older, true), ("#!/bin/sh\nexit 101\n", false), ("#!/bin/sh\n", false), ("", false)]
        {
            assert_eq!(is_ours(policy), expected, "{policy}");
        }
    }
}
