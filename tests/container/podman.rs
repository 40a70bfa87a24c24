//! Containers of the image, run by podman in namespaces of a lab.

use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use harness::{GENEROUS, Host, Lab, Status, until};
use serde_json::{Value, json};

/// The workspace's version, which the image bears.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
const BPFFS: &str = "/sys/fs/bpf";
/// Storage on the lab's private `/run`, where it vanishes with the lab whatever becomes of the test.
const STORAGE: &str = "/run/lab/podman";
/// Podman's own limits are higher than a machine may allow that is a container itself.
const CONTAINERS_CONF: &str = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=1000:1000\"]\n";
/// Where Debian keeps what podman lets a container call.
const SECCOMP: &str = "/usr/share/containers/seccomp.json";

/// Waits until nobody can write to its input any more, then removes all containers, and what podman leaves: for each controller the
/// cgroup of this name, with that of its monitors in it.
const CLEANER: &str = "cat > /dev/null
cgroup=$1
shift
podman \"$@\" rm --all --force --time=0 > /dev/null
for parent in /sys/fs/cgroup/$cgroup /sys/fs/cgroup/*/$cgroup; do
    rmdir $parent/conmon $parent 2> /dev/null
done";

/// What a container may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// Everything.
    Privileged,
    /// Only what the guard in the kernel takes.
    Least,
    /// That without one capability.
    Without(&'static str),
}

/// The capabilities that the guard takes, as deploy/kubernetes and docs/kubernetes.md have them.
pub(crate) const CAPABILITIES: [&str; 4] = ["NET_ADMIN", "NET_RAW", "BPF", "PERFMON"];

impl Rights {
    fn options(self) -> Vec<String> {
        let without = match self {
            Self::Privileged => return vec!["--privileged".to_owned()],
            Self::Least => "",
            Self::Without(capability) => capability,
        };
        let added: Vec<_> = CAPABILITIES.into_iter().filter(|name| *name != without).collect();
        let added = format!("--cap-add={}", added.join(","));
        let seccomp = format!("--security-opt=seccomp={STORAGE}/seccomp.json");
        let fixed = ["--cap-drop=all", "--security-opt=no-new-privileges", "--read-only", "--read-only-tmpfs=false"];
        fixed.into_iter().map(str::to_owned).chain([added, seccomp]).collect()
    }
}

/// Podman with the image loaded. All containers vanish when it is dropped, or its process killed.
pub(crate) struct Podman<'l> {
    /// Whose `/run` has the storage.
    _lab: &'l Lab,
    options: Vec<String>,
    /// Runs [`CLEANER`]; the containers are no children of this process, and would outlive it.
    cleaner: Child,
}

impl<'l> Podman<'l> {
    pub(crate) fn new(lab: &'l Lab) -> Result<Self> {
        fs::create_dir(STORAGE)?;
        fs::write(format!("{STORAGE}/containers.conf"), CONTAINERS_CONF)?;
        fs::write(format!("{STORAGE}/seccomp.json"), allowing_bpf(&fs::read_to_string(SECCOMP)?)?)?;
        let options = options();
        let mut cleaner = Command::new("sh");
        cleaner.args(["-c", CLEANER, "cleaner", &cgroup()]).stdin(Stdio::piped()).stdout(Stdio::null());
        // Ctrl-C is for the test.
        let cleaner = ours(cleaner, &options).process_group(0).spawn().context("failed to start a shell")?;
        let podman = Self { _lab: lab, options, cleaner };
        podman.run(&["load", "--quiet", "--input", &image()?.to_string_lossy()])?;
        Ok(podman)
    }

    /// Starts an agent for `host` in its network, with directories of its own on the host.
    pub(crate) fn agent(&self, host: &Host, config: &str, rights: Rights) -> Result<Container<'_>> {
        let name = host.name();
        let folder = PathBuf::from(format!("/run/lab/{name}"));
        for of_agent in ["run", "state"] {
            fs::create_dir_all(folder.join(of_agent))?;
        }
        fs::write(folder.join("vipd.toml"), config)?;
        let mut podman = self.command(host.namespace().command("podman"));
        podman.args(["run", "--detach", "--name", name, "--network=host"]);
        podman.arg(format!("--cgroup-parent=/{}", cgroup()));
        // The agent must not be the first process of its namespace: in a pod that is the pause container.
        podman.args(["--pid=host", "--env", &format!("VIPD_NODE={name}")]).args(rights.options());
        for (from, to) in [
            (format!("/run/lab/{name}/vipd.toml"), "/etc/vipd/vipd.toml:ro".to_owned()),
            (format!("/run/lab/{name}/run"), format!("/run/vipd@{name}")),
            (format!("/run/lab/{name}/state"), format!("/var/lib/vipd@{name}")),
            (BPFFS.to_owned(), BPFFS.to_owned()),
        ] {
            podman.arg("--volume").arg(format!("{from}:{to}"));
        }
        finish(podman.arg(image_name()).args(["run", "--instance", name]))?;
        Ok(Container { podman: self, name: name.to_owned() })
    }

    /// `podman`, to be called by this name, with our options.
    fn command(&self, podman: Command) -> Command {
        ours(podman, &self.options)
    }

    /// Runs the image's program to its end, without a network; answers what it printed.
    pub(crate) fn program(&self, options: &[&str], arguments: &[&str]) -> Result<String> {
        let (cgroup, image) = (format!("--cgroup-parent=/{}", cgroup()), image_name());
        self.run(&[&["run", "--rm", "--network=none", &cgroup], options, &[&image], arguments].concat())
    }

    /// Runs podman to its end; answers what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        finish(self.command(Command::new("podman")).args(arguments))
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        // Ends its input first.
        if let Err(error) = self.cleaner.wait() {
            eprintln!("containers may be left: {error}");
        }
    }
}

/// The container of a node.
pub(crate) struct Container<'p> {
    podman: &'p Podman<'p>,
    name: String,
}

impl Container<'_> {
    /// Runs podman's `verb` on it.
    pub(crate) fn order(&self, verb: &str) -> Result<String> {
        self.podman.run(&[verb, &self.name])
    }

    /// Runs another command of the agent inside of it, as the probes of Kubernetes do.
    pub(crate) fn vipd(&self, arguments: &[&str]) -> Result<String> {
        self.podman.run(&[&["exec", &self.name, "/vipd"], arguments, &["--instance", &self.name]].concat())
    }

    /// Waits until the agent's status satisfies `condition`; the error shows the last one, and what the agent logged.
    pub(crate) fn wait_for(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Result<Status> {
        let status = || Some(Status(serde_json::from_str(&self.vipd(&["status", "--json"]).ok()?).ok()?));
        let waited = until(&format!("{what} on {}", self.name), GENEROUS, || Ok(status().filter(&condition)));
        waited.with_context(|| format!("{:?}\n{}", status(), self.log()))
    }

    /// What the agent has logged.
    pub(crate) fn log(&self) -> String {
        let output = self.podman.command(Command::new("podman")).args(["logs", &self.name]).output();
        output
            .map(|said| String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned())
            .unwrap_or_default()
    }

    /// Where its agent pins its maps.
    pub(crate) fn pins(&self) -> PathBuf {
        Path::new(BPFFS).join(format!("vipd@{}", self.name))
    }
}

/// The cgroup of this process's containers.
fn cgroup() -> String {
    format!("vipd-tests-{}", process::id())
}

/// What the archive calls the image.
pub(crate) fn image_name() -> String {
    format!("localhost/vipd:{VERSION}")
}

/// The archive: `VIPD_IMAGE`, else the one beside the daemon.
fn image() -> Result<PathBuf> {
    let file = match env::var_os("VIPD_IMAGE") {
        Some(file) => file.into(),
        None => harness::vipd()?.with_file_name(format!("vipd-{VERSION}.oci.tar")),
    };
    if !file.is_file() {
        bail!("no image `{}`: run `cargo xtask dist image --debug --output target/debug`", file.display());
    }
    Ok(file)
}

/// Options that work without systemd, and leave alone what podman keeps on this machine.
fn options() -> Vec<String> {
    let fixed = ["--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=none", "--storage-driver=vfs"];
    let folders = ["root", "runroot", "tmpdir"].map(|folder| format!("--{folder}={STORAGE}/{folder}"));
    fixed.into_iter().map(str::to_owned).chain(folders).collect()
}

/// `podman`, or what calls it, with `options`.
fn ours(mut podman: Command, options: &[String]) -> Command {
    podman.env("CONTAINERS_CONF", format!("{STORAGE}/containers.conf")).args(options);
    podman
}

fn finish(podman: &mut Command) -> Result<String> {
    let output = podman.output().context("failed to start podman; is it installed? `cargo xtask setup` does that")?;
    if !output.status.success() {
        bail!("{podman:?} failed with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `profile`, what podman lets a container call, with bpf() for a container that has `CAP_BPF`: as containerd has it since 1.7, and Debian
/// 12's podman not yet.
fn allowing_bpf(profile: &str) -> Result<String> {
    let mut profile: Value = serde_json::from_str(profile)?;
    let rules = profile["syscalls"].as_array_mut().context("a seccomp profile without rules")?;
    for names in rules.iter_mut().filter_map(|rule| rule["names"].as_array_mut()) {
        names.retain(|name| name != "bpf");
    }
    rules.push(json!({ "names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_BPF"] } }));
    Ok(profile.to_string())
}
