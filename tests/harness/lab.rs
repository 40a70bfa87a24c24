//! One test's world: its own mounts, and nothing left afterwards.

use std::{
    cell::Cell,
    env, fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, bail};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use crate::{Namespace, lan::Lan};

/// Makes the failure to set up a lab fail the test.
const REQUIRE: &str = "VIPD_TESTS_REQUIRE";
const RUN: &str = "/run";
/// Where agents keep what outlives them.
const STATE: &str = "/var/lib";
const BPFFS: &str = "/sys/fs/bpf";
const ETC: &str = "/etc";
/// Where files of the lab go, on the private [`RUN`].
const FILES: &str = "/run/lab";

/// Labs measure time, and there may be two cores only: one lab at a time in a process.
static TURN: Mutex<()> = Mutex::new(());

/// A private `/run`, a private `/var/lib` and a private `/sys/fs/bpf` for the calling thread, the threads it starts and their processes.
pub struct Lab {
    /// Also keeps the lab on its thread, to which the mounts belong.
    _turn: MutexGuard<'static, ()>,
    has_private_etc: Cell<bool>,
}

impl Lab {
    /// Makes the lab, or says why this host cannot have one.
    pub fn new() -> Result<Self> {
        if !geteuid().is_root() {
            bail!("namespaces, raw sockets and BPF need root");
        }
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        unshare(CloneFlags::CLONE_NEWNS).context("failed to create a mount namespace")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("failed to make the mounts of this thread private")?;
        for path in [RUN, STATE] {
            mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))
                .with_context(|| format!("failed to mount a private `{path}`"))?;
        }
        let lab = Self { _turn: turn, has_private_etc: Cell::new(false) };
        mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), none)
            .with_context(|| format!("failed to mount a BPF file system at `{BPFFS}`"))?;
        fs::create_dir(FILES).with_context(|| format!("failed to create `{FILES}`"))?;
        lab.lan().context("this kernel lacks bridges or network namespaces")?.probe_for_veth()?;
        Ok(lab)
    }

    /// A new, empty LAN.
    pub fn lan(&self) -> Result<Lan> {
        Lan::new()
    }

    /// Gives the lab a copy-on-write view of `/etc`, without a configuration of vipd.
    pub fn private_etc(&self) -> Result<()> {
        let [changes, work] = ["etc", "etc-work"].map(directory);
        let options = format!("lowerdir={ETC},upperdir={},workdir={}", changes?.display(), work?.display());
        mount(Some("overlay"), ETC, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("failed to mount an overlay of `{ETC}`"))?;
        self.has_private_etc.set(true);
        match fs::remove_dir_all("/etc/vipd") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("failed to hide `/etc/vipd`"),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Writes a file that vanishes with the lab.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        write(name, text)
    }

    /// Writes a file that only root can read, such as a key.
    pub fn secret(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = write(name, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Writes a program for the shell.
    pub fn script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = write(name, &format!("#!/bin/sh\n{text}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Runs bpftool, which sees the maps that the lab's agents have pinned.
    pub fn bpftool(&self, arguments: &[&str]) -> Result<String> {
        Namespace::new()?.run("bpftool", arguments)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The mounts end with the thread; a thread that runs several tests shall not pile them up.
        let etc = self.has_private_etc.get().then_some(ETC);
        for path in etc.into_iter().chain([BPFFS, STATE, RUN]) {
            let _ = umount2(path, MntFlags::MNT_DETACH);
        }
    }
}

/// Writes a file of the calling thread's lab.
pub fn write(name: &str, text: &str) -> Result<PathBuf> {
    let path = Path::new(FILES).join(name);
    fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(path)
}

/// Makes a directory of the calling thread's lab.
pub(crate) fn directory(name: &str) -> Result<PathBuf> {
    let path = Path::new(FILES).join(name);
    fs::create_dir(&path).with_context(|| format!("failed to create `{}`", path.display()))?;
    Ok(path)
}

/// Says why a test did not run, past the capture of the test runner.
///
/// # Panics
/// Where `VIPD_TESTS_REQUIRE` is 1.
pub fn report_unavailable(test: &str, reason: &anyhow::Error) {
    assert!(env::var_os(REQUIRE).is_none_or(|value| value != "1"), "{REQUIRE}=1, and {test} cannot run: {reason:#}");
    let _ = writeln!(io::stderr(), "{test} not run: {reason:#}");
}

/// The lab of a test that returns `anyhow::Result<()>`; where this host cannot have one, says why and returns.
#[macro_export]
macro_rules! lab {
    () => {
        match $crate::Lab::new() {
            Ok(lab) => lab,
            Err(reason) => {
                let test = ::std::thread::current().name().unwrap_or(module_path!()).to_owned();
                $crate::report_unavailable(&test, &reason);
                return Ok(());
            }
        }
    };
}
