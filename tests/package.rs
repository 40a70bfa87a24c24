//! The Debian package on hosts where systemd runs: installed, upgraded, removed and purged while a cluster serves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use harness::{Cluster, ClusterConfig, GENEROUS, Lab, Machine, lab, until};
use vrrp_wire::Family;

const ROUTER: &str = Cluster::ROUTERS[0];
const CONFIG: &str = "/etc/vipd/vipd.toml";
/// Where systemd puts the service's credential; the key is in `/etc/vipd/keys/1`.
const AUTH: &str = "mode = \"enforce\"\nactive_key = 1\nclock_grace = \"0s\"\n\
                    keys = [{ id = 1, file = \"/run/credentials/vipd.service/key-1\" }]";
const CREDENTIAL: &str = "[Service]\nLoadCredential=key-1:/etc/vipd/keys/1\nWatchdogSec=3s\n";
/// Fails where it is somebody else, or where the unit forbids to ask about the clock (adjtimex), as the agent does.
const HOOK: &str = "#!/bin/sh\n[ \"$(id --user --name)\" = nobody ] && \
                    perl -e '$clock = \"\\0\" x 208; exit(syscall(159, $clock) < 0)'\n";
const KEY: &str = "a key that every node of the cluster has\n";

/// Packages the program under test as version `version`, in `folder`.
fn package(folder: &Path, version: &str) -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let folder = folder.join(version);
    let output = Command::new("cargo")
        .args(["xtask", "dist", "deb", "--debug", "--no-build", "--deb-version", version, "--output"])
        .arg(&folder)
        .current_dir(workspace)
        .output()
        .context("failed to start cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = fs::read_dir(&folder)?.next().context("nothing was made")??;
    Ok(made.path())
}

/// Gives a machine what its operator writes: the configuration, the key, and how the service gets it.
fn configure(machine: &Machine, config: &str) -> Result<()> {
    machine.write(CONFIG, config)?;
    machine.write("/usr/local/bin/notify", HOOK)?;
    machine.run("chmod", &["755", "/usr/local/bin/notify"])?;
    machine.write("/etc/vipd/keys/1", KEY)?;
    machine.write("/etc/systemd/system/vipd.service.d/lab.conf", CREDENTIAL)?;
    machine.run("chmod", &["600", "/etc/vipd/keys/1"]).map(drop)
}

fn install(machine: &Machine, package: &Path) -> Result<String> {
    machine.write("/var/tmp/vipd.deb", "")?;
    fs::copy(package, machine.path("/var/tmp/vipd.deb"))?;
    machine.run("dpkg", &["--install", "/var/tmp/vipd.deb"])
}

fn wait_for(machine: &Machine, state: &str) -> Result<()> {
    let is_in = |family, status: &harness::Status| status.state(ROUTER, family) == Some(state);
    let what = format!("{ROUTER} to be {state}");
    machine.wait_for(&what, |status| is_in(Family::Ipv4, status) && is_in(Family::Ipv6, status)).map(drop)
}

/// Three machines on a LAN; on each the agent of the package, started by systemd. n1 is Active.
fn cluster(lab: &Lab, package: &Path) -> Result<(Cluster, Vec<Machine>)> {
    let config = ClusterConfig { auth: AUTH, ..ClusterConfig::DEFAULT }.text(3)?
        + "[process]\nrealtime_priority = 10\nlock_memory = true\n\
           [[notify]]\nname = \"hook\"\nexec = [\"/usr/local/bin/notify\"]\nuser = \"nobody\"\n";
    let cluster = Cluster::with_config(lab, 3, config)?;
    let machines = cluster.nodes.iter().map(harness::Host::boot).collect::<Result<Vec<_>>>()?;
    let (first, others) = machines.split_first().context("no machines")?;

    // Without a configuration there is nothing to run.
    install(first, package)?;
    ensure!(first.property("vipd", "ActiveState")? == "inactive", "it runs without a configuration");
    ensure!(first.run("systemctl", &["is-enabled", "vipd"])? == "enabled\n", "it is not enabled");
    configure(first, &cluster.config)?;
    first.run("systemctl", &["daemon-reload"])?;
    first.run("systemctl", &["start", "vipd"])?;
    for machine in others {
        configure(machine, &cluster.config)?;
        install(machine, package)?;
        ensure!(machine.property("vipd", "ActiveState")? == "active", "{}", machine.journal()?);
    }
    wait_for(first, "Active")?;
    others.iter().try_for_each(|machine| wait_for(machine, "Backup"))?;
    Ok((cluster, machines))
}

#[test]
fn a_cluster_is_installed_upgraded_and_removed_with_the_package() -> Result<()> {
    // In the lab dpkg knows of nothing that is installed.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (old, new) = (package(folder.path(), "0.1.0-1")?, package(folder.path(), "0.1.0-2")?);
    let lab = lab!();
    let (cluster, machines) = cluster(&lab, &old)?;
    let [first, second, _] = machines.as_slice() else { unreachable!("three machines") };
    cluster.settle_on(0, 0)?;
    ensure!(first.run("stat", &["--format=%a", "/etc/vipd/keys"])?.trim() == "700", "keys lie open");
    tells_systemd_how_it_is(first)?;
    has_pages_and_completions(first)?;

    // An upgrade changes the program and nothing else.
    let before = first.status()?;
    let pid = first.property("vipd", "MainPID")?;
    let said = install(first, &new)?;
    ensure!(said.contains(&format!("goes on as process {pid}")), "{said}");
    let running = first.run("readlink", &[&format!("/proc/{pid}/exe")])?;
    ensure!(running == "/usr/bin/vipd\n", "it still runs {running}");
    ensure!(first.property("vipd", "MainPID")? == pid, "another process");
    ensure!(first.status()?.transitions() == before.transitions(), "roles have changed: {}", first.journal()?);
    wait_for(first, "Active")?;

    // A wrong configuration is refused, and the agent goes on.
    first.write(CONFIG, &cluster.config.replace("vrid = 51", "vrid = 0"))?;
    let refused = first.try_run("systemctl", &["reload", "vipd"])?;
    ensure!(!refused.status.success(), "a wrong configuration was taken");
    wait_for(first, "Active")?;
    first.write(CONFIG, &cluster.config)?;
    first.run("systemctl", &["reload", "vipd"])?;

    // Whoever hangs is replaced at once by the next node, and started again by systemd.
    let pid = first.property("vipd", "MainPID")?;
    first.run("kill", &["-STOP", &pid])?;
    cluster.settle_on(0, 1)?;
    until("systemd to start the agent again", GENEROUS, || {
        let now = first.property("vipd", "MainPID")?;
        Ok((now != pid && now != "0" && first.property("vipd", "ActiveState")? == "active").then_some(()))
    })
    .with_context(|| first.journal().unwrap_or_default())?;
    wait_for(first, "Active")?;

    is_stopped_and_started(&cluster, first)?;

    // Removed, it hands over and leaves its configuration; purged, nothing of its own.
    first.run("dpkg", &["--remove", "vipd"])?;
    wait_for(second, "Active")?;
    cluster.settle_on(0, 1)?;
    ensure!(first.path(CONFIG).exists() && first.path("/var/lib/vipd").exists(), "too much was removed");
    // Installed again it runs again.
    install(first, &new)?;
    wait_for(first, "Active")?;
    leaves_nothing_where_it_was_killed(first)?;
    first.run("dpkg", &["--purge", "vipd"])?;
    ensure!(first.path(CONFIG).exists(), "purging has removed what the operator wrote");
    for gone in ["/usr/bin/vipd", "/lib/systemd/system/vipd.service", "/var/lib/vipd", "/run/vipd"] {
        ensure!(!first.path(gone).exists(), "`{gone}` is left");
    }
    let left = first.run("bpftool", &["net", "list", "dev", harness::Host::INTERFACE])?;
    ensure!(!left.contains("vipd"), "programs are left on the interface: {left}");
    Ok(())
}

/// An agent that was killed, with its supervisor and for good, leaves programs and maps; removing the package takes them off.
fn leaves_nothing_where_it_was_killed(machine: &Machine) -> Result<()> {
    let drop_in = "/etc/systemd/system/vipd.service.d/for-good.conf";
    machine.write(drop_in, "[Service]\nRestart=no\nExecStopPost=\n")?;
    machine.run("systemctl", &["daemon-reload"])?;
    let supervisor = machine.status()?.0["supervisor"].to_string();
    machine.run("kill", &["-KILL", &supervisor, &machine.property("vipd", "MainPID")?])?;
    until("the service to have failed", GENEROUS, || {
        Ok((machine.property("vipd", "ActiveState")? == "failed").then_some(()))
    })?;
    machine.run("test", &["-e", "/sys/fs/bpf/vipd/keys"]).context("nothing is left")?;
    machine.run("mkdir", &["/sys/fs/bpf/vipd@named"])?;
    machine.run("dpkg", &["--remove", "vipd"])?;
    for pinned in ["/sys/fs/bpf/vipd", "/sys/fs/bpf/vipd@named"] {
        machine.run("test", &["!", "-e", pinned]).with_context(|| format!("`{pinned}` is left"))?;
    }
    fs::remove_file(machine.path(drop_in)).context("failed to remove the drop-in")
}

/// A stop hands over, and a start takes back.
fn is_stopped_and_started(cluster: &Cluster, first: &Machine) -> Result<()> {
    first.run("systemctl", &["stop", "vipd"])?;
    cluster.settle_on(0, 1)?;
    first.run("systemctl", &["start", "vipd"])?;
    wait_for(first, "Active")?;
    ensure!(first.run("systemctl", &["status", "vipd"])?.contains("Active: active (running)"), "it does not run");
    Ok(())
}

/// What `systemctl status` shows, and what the unit lets the agent do.
fn tells_systemd_how_it_is(machine: &Machine) -> Result<()> {
    until("systemd to be told the roles", GENEROUS, || {
        Ok((machine.property("vipd", "StatusText")? == format!("Active: {ROUTER}")).then_some(()))
    })?;
    ensure!(machine.property("vipd", "WatchdogUSec")? == "3s", "no watchdog");
    ensure!(
        machine.property("vipd", "OOMPolicy")? == "continue",
        "a program that is ended for its memory ends the agent"
    );
    let journal = machine.journal()?;
    ensure!(journal.contains("the election thread competes as configured"), "{journal}");
    // The journal knows the level by itself.
    let warnings = machine.run("journalctl", &["--no-pager", "--unit=vipd", "--priority=warning", "--output=cat"])?;
    ensure!(!warnings.contains("INFO"), "{warnings}");
    let told = |status: &harness::Status| status.0["notifications"][0]["delivered"].as_u64() > Some(0);
    machine.wait_for("a program to have run as nobody", told).map(drop)
}

/// Manual pages and completions are where the programs look that show them.
fn has_pages_and_completions(machine: &Machine) -> Result<()> {
    for page in ["vipd.1", "vipd-status.1"] {
        let listed = machine.run("dpkg", &["--listfiles", "vipd"])?;
        ensure!(listed.contains(&format!("/usr/share/man/man1/{page}")), "no {page} in {listed}");
    }
    let complete = "source /usr/share/bash-completion/completions/vipd && complete -p vipd";
    machine.run("bash", &["-c", complete]).map(drop)
}
