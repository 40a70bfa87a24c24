//! The program gives way to another one in the same process: process id, sockets, pinned maps, addresses, roles and timers
//! stay. What cannot be kept by itself goes through a [`Memory`], which the next program reads.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::File,
    io::{Read as _, Seek as _, Write as _},
    net::SocketAddr,
    os::{
        fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{SigSet, Signal},
    },
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::warn;

use crate::{
    check::board::CheckMemory,
    config::WireIdentity,
    daemon::Origin,
    instance::Instance,
    observe::{Distribution, journal::JournalMemory, notify::TargetMemory},
    router::memory::RouterMemory,
};

/// Which memory this program writes, and the only one that it understands.
const FORM: u32 = 1;
/// How long the next program may take to show that it starts.
const REHEARSAL_PATIENCE: Duration = Duration::from_secs(20);

/// What one program leaves to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    form: u32,
    /// The file descriptors that stay open.
    pub descriptors: Descriptors,
    /// What is known of each virtual router that takes part.
    pub routers: Vec<RouterMemory>,
    /// The last sequence that was sent, where adverts are signed.
    pub sequence: Option<u64>,
    /// How late adverts were sent.
    #[serde(default)]
    pub lateness: Option<Distribution>,
    /// What has happened.
    #[serde(default)]
    pub journal: Option<JournalMemory>,
    /// Who is still to be told of it.
    #[serde(default)]
    pub notify: Vec<TargetMemory>,
    /// What checks had come to.
    #[serde(default)]
    pub checks: Vec<CheckMemory>,
}

/// File descriptors that stay open, by number.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Descriptors {
    /// The lock of the instance.
    pub lock: Option<RawFd>,
    /// Where control clients connect.
    pub control: Option<RawFd>,
    /// The claims on interfaces, by name.
    pub claims: BTreeMap<String, RawFd>,
    /// Where metrics are served: address of the socket, and itself.
    #[serde(default)]
    pub metrics: Vec<(SocketAddr, RawFd)>,
    /// The supervisor's process and the line to it.
    pub supervisor: Option<(i32, RawFd)>,
    /// The sockets that adverts are sent through: index of the interface, whether of IPv6.
    pub advertisers: Vec<(u32, bool, RawFd)>,
}

impl Memory {
    /// An empty one, to be filled in.
    #[must_use]
    pub fn new() -> Self {
        Self { form: FORM, ..Self::default() }
    }

    /// Whether it is of another program, and not empty.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.form != 0
    }

    /// Whether that program has run in this very process, a moment ago.
    #[must_use]
    pub const fn is_of_this_process(&self) -> bool {
        self.descriptors.lock.is_some()
    }

    /// What is known of a virtual router.
    #[must_use]
    pub fn router(&self, identity: &WireIdentity) -> Option<&RouterMemory> {
        self.routers.iter().find(|router| router.is_of(identity))
    }

    /// Reads what the program before has left in the file `descriptor`. Where that cannot be understood, everything that
    /// the program before has left open is closed, as if it had been killed.
    pub fn read(descriptor: RawFd) -> anyhow::Result<Self> {
        let memory = Self::read_unchecked(descriptor);
        if memory.is_err() {
            close_inherited();
        }
        memory
    }

    fn read_unchecked(descriptor: RawFd) -> anyhow::Result<Self> {
        let mut text = String::new();
        let mut file = File::from(adopt(descriptor)?);
        file.rewind()?;
        file.read_to_string(&mut text).context("failed to read what the program before has left")?;
        parse(&text)
    }

    fn write(&self) -> anyhow::Result<OwnedFd> {
        let mut file = File::from(memfd_create(c"vipd-memory", MFdFlags::empty())?);
        file.write_all(&serde_json::to_vec(self)?)?;
        Ok(file.into())
    }
}

fn parse(text: &str) -> anyhow::Result<Memory> {
    #[derive(Deserialize)]
    struct Form {
        form: u32,
    }
    // The number first: of another form nothing else need be as expected.
    let Form { form } = serde_json::from_str(text).context("it has no form")?;
    ensure!(form == FORM, "it has form {form}, and this version understands {FORM}");
    serde_json::from_str(text).context("it is not of its form")
}

/// Takes over a file descriptor that the program before has left open.
pub fn adopt(descriptor: RawFd) -> anyhow::Result<OwnedFd> {
    ensure!(
        descriptor > 2 && Path::new(&format!("/proc/self/fd/{descriptor}")).exists(),
        "no file descriptor {descriptor}"
    );
    // SAFETY: it is open, and nobody in this program has it: it came through the execution of this program, and each number
    // is in one place of the memory.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    fcntl(&owned, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(owned)
}

/// Closes what this program has not opened itself: those have the flag that closes them on execution.
fn close_inherited() {
    for number in inheritable() {
        drop(adopt(number));
    }
}

/// The file descriptors that stay open when another program is executed, standard input and the like excepted.
fn inheritable() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|&number| number > 2 && is_inheritable(number)).collect()
}

/// Whether a file descriptor of this number is open that stays open when another program is executed. The kernel is asked by its
/// number: perhaps nobody here knows of such a file.
fn is_inheritable(number: RawFd) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| !OFlag::from_bits_retain(flags).contains(OFlag::O_CLOEXEC))
}

/// From when on something is [left open](leave_open). Dropped where there will be no next program: then no child may inherit it.
#[derive(Debug)]
pub struct LeftOpen;

impl Drop for LeftOpen {
    fn drop(&mut self) {
        for number in inheritable() {
            // SAFETY: nothing but the flag is touched, and everything that this program opens has it: whatever is of that number.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            if let Err(error) = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
                warn!(number, %error, "a file descriptor stays open for programs that are started");
            }
        }
    }
}

/// Leaves `descriptor` open for the next program; returns its number.
pub fn leave_open(descriptor: impl AsFd) -> anyhow::Result<RawFd> {
    use std::os::fd::AsRawFd as _;
    fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::empty())).context("failed to keep a file descriptor open")?;
    Ok(descriptor.as_fd().as_raw_fd())
}

/// The program that takes over: what lies now where this one was started from.
#[derive(Clone, Debug)]
pub struct Successor {
    program: PathBuf,
}

impl Successor {
    /// To be asked for at the start: later another file may lie there.
    pub fn of_this_program() -> anyhow::Result<Self> {
        Ok(Self { program: env::current_exe().context("failed to find the running program")? })
    }

    /// Lets it show that it starts: it reads the configuration, and has the kernel verify its programs, for which there is no
    /// time later.
    pub async fn rehearse(&self, origin: &Origin, instance: &Instance) -> anyhow::Result<()> {
        let mut command = tokio::process::Command::new(&self.program);
        command.arg("rehearse").arg("--config").arg(&origin.path);
        if let Some(node) = &origin.identity.node {
            command.arg("--node").arg(node);
        }
        command.args(instance.arguments());
        let program = self.program.display();
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(REHEARSAL_PATIENCE, output)
            .await
            .with_context(|| format!("`{program} rehearse` does not end"))?
            .with_context(|| format!("failed to start `{program}`"))?;
        if !output.status.success() {
            bail!("`{program} rehearse` failed, {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Puts it in the place of this program, with what is left to it. Returns only where that fails.
    #[must_use]
    pub fn take_over(&self, memory: &Memory) -> anyhow::Error {
        match self.prepare(memory) {
            Ok((mut command, _memory)) => {
                // A signal that comes to this thread in between waits for the next program.
                let _ = signals().thread_block();
                let error = command.exec();
                let _ = signals().thread_unblock();
                anyhow!("failed to execute `{}`: {error}", self.program.display())
            }
            Err(error) => error,
        }
    }

    /// The command, and the file that it reads.
    fn prepare(&self, memory: &Memory) -> anyhow::Result<(Command, OwnedFd)> {
        let memory = memory.write().context("failed to write down what the next program is to know")?;
        let mut command = Command::new(&self.program);
        command.args(arguments(env::args_os().skip(1))).arg(RESUME).arg(leave_open(&memory)?.to_string());
        Ok((command, memory))
    }
}

/// The option by which a program learns where its memory is.
const RESUME: &str = "--resume";

/// The arguments of this program without those that an earlier one has given it.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut kept, mut skip) = (Vec::new(), false);
    for argument in given {
        let is_value = std::mem::replace(&mut skip, argument == RESUME);
        if !is_value && argument != RESUME {
            kept.push(argument);
        }
    }
    kept
}

/// The signals that the agent heeds.
fn signals() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR2])
}

/// Takes the signals that have waited since the program before gave way. To be called when they are caught.
pub fn take_signals() -> anyhow::Result<()> {
    signals().thread_unblock().context("failed to unblock signals")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_form_is_not_understood() {
        let text = serde_json::to_string(&Memory::new()).unwrap();
        assert!(text.starts_with(r#"{"form":1,"#), "{text}");
        assert!(parse(&text).is_ok());
        for (text, what) in [
            (r#"{"form":2,"routers":"in another way"}"#, "it has form 2, and this version understands 1"),
            (r#"{"routers":[]}"#, "it has no form"),
            (r#"{"form":1}"#, "it is not of its form"),
            ("", "it has no form"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), what);
        }
    }

    #[test]
    fn the_next_program_has_the_same_arguments() {
        let given = ["run", "--config", "a b", "--resume", "7", "--node", "n1"].map(OsString::from);
        assert_eq!(arguments(given.into_iter()), ["run", "--config", "a b", "--node", "n1"]);
    }

    #[test]
    fn only_open_descriptors_that_stay_open_count_as_inheritable() {
        use std::os::fd::AsRawFd as _;
        let made = |flags| memfd_create(c"vipd-test", flags).unwrap();
        let (stays, goes) = (made(MFdFlags::empty()), made(MFdFlags::MFD_CLOEXEC));
        assert!(is_inheritable(stays.as_raw_fd()));
        assert!(!is_inheritable(goes.as_raw_fd()));
        assert!(!is_inheritable(RawFd::MAX));
    }
}
