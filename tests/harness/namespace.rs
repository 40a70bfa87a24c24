//! A network namespace without a name.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    panic,
    process::{self, Command},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, bail};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, signal::Signal},
    unistd::{Pid, getppid},
};

/// A network namespace. It lives as long as a clone of this value or a process in it.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<OwnedFd>);

impl Namespace {
    /// A new namespace, with a loopback interface that is up.
    pub fn new() -> Result<Self> {
        let create = || -> Result<OwnedFd> {
            unshare(CloneFlags::CLONE_NEWNET).context("failed to create a network namespace")?;
            let path = "/proc/thread-self/ns/net";
            Ok(File::open(path).with_context(|| format!("failed to open `{path}`"))?.into())
        };
        let namespace = Self(Arc::new(on_a_thread(create)?));
        namespace.run("ip", &["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Runs `f` on a thread of its own inside the namespace.
    ///
    /// A process that `f` starts dies with that thread; start it by [`Namespace::command`] from outside instead.
    pub fn enter<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R> {
        on_a_thread(|| {
            self.adopt()?;
            Ok(f())
        })
    }

    /// Moves the calling thread into the namespace, for the rest of its life.
    pub(crate) fn adopt(&self) -> Result<()> {
        setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).context("failed to enter a network namespace")
    }

    /// A command that will run inside the namespace and be killed when the thread that spawns it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let namespace = Arc::clone(&self.0);
        let parent = Pid::this();
        let mut command = Command::new(program);
        let before_exec = move || -> io::Result<()> {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before it could be watched.
            if getppid() == parent { Ok(()) } else { Err(nix::Error::ESRCH.into()) }
        };
        // SAFETY: the closure makes system calls only: it neither allocates nor takes a lock.
        unsafe { command.pre_exec(before_exec) };
        command
    }

    /// Runs a command inside the namespace and returns what it printed; fails with what it said on standard error.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let invocation = || format!("`{program} {}`", arguments.join(" "));
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .with_context(|| format!("failed to start {}; is the program installed?", invocation()))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed with {}: {}", invocation(), output.status, complaint.trim_end());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Writes a setting below `/proc/sys/net`.
    pub fn set(&self, setting: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{setting}");
        self.enter(|| fs::write(&path, value))?.with_context(|| format!("failed to write `{value}` to `{path}`"))
    }

    /// The path by which another process of this host can name the namespace.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.0.as_raw_fd())
    }
}

/// Runs `f` on a thread that ends with it, so that whatever it changes about its thread is gone.
fn on_a_thread<R: Send>(f: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    thread::scope(|scope| scope.spawn(f).join()).unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}
