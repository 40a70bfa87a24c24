//! The emulated machine that a kernel is booted on.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::process;

/// Many times what a boot takes on an idle machine.
const LIMIT: Duration = Duration::from_mins(15);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Lines of the console that are shown when a boot fails.
const TAIL: usize = 30;

/// An emulator, and where its parts are.
pub(super) struct Qemu {
    program: PathBuf,
    /// Folders of its firmware, where it cannot know them.
    firmware: Vec<PathBuf>,
    libraries: OsString,
}

impl Qemu {
    pub(super) const PROGRAM: &str = "qemu-system-x86_64";

    pub(super) fn installed(program: PathBuf) -> Self {
        Self { program, firmware: vec![], libraries: OsString::new() }
    }

    /// The one whose packages are unpacked in `tree`.
    pub(super) fn unpacked(tree: &Path) -> Result<Self> {
        let mut libraries = BTreeSet::new();
        library_folders(tree, &mut libraries)?;
        Ok(Self {
            program: tree.join("usr/bin").join(Self::PROGRAM),
            firmware: ["usr/share/qemu", "usr/share/seabios"].map(|folder| tree.join(folder)).to_vec(),
            libraries: env::join_paths(libraries).context("a folder of libraries has a colon in its name")?,
        })
    }

    /// Boots `kernel` and waits until it powers off; answers what it wrote to its second serial port.
    ///
    /// What it wrote to its console is left in `folder`.
    pub(super) fn boot(&self, kernel: &Path, initrd: &Path, folder: &Path) -> Result<String> {
        let [console, results] = ["console.log", "results.log"].map(|name| folder.join(name));
        let mut command = self.command(kernel, initrd, [&console, &results]);
        let log = folder.join("qemu.log");
        let said = File::create(&log).with_context(|| format!("failed to create `{}`", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn();
        let mut child = Running(child.with_context(|| format!("failed to start `{}`", self.program.display()))?);
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.0.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                bail!("it did not power off within {LIMIT:?}; its last words:\n{}", tail(&console));
            }
            thread::sleep(POLL_INTERVAL);
        };
        if !status.success() {
            bail!("the emulator failed: {status}: {}", tail(&log));
        }
        let said = fs::read(&results).with_context(|| format!("failed to read `{}`", results.display()))?;
        if said.is_empty() {
            bail!("the kernel did not come as far as our program; its last words:\n{}", tail(&console));
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    fn command(&self, kernel: &Path, initrd: &Path, serial: [&Path; 2]) -> Command {
        // The kernel ends the emulator when this process dies.
        let mut command = process::program("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program);
        for folder in &self.firmware {
            command.arg("-L").arg(folder);
        }
        let devices = "-nodefaults -no-reboot -display none -net none -m 768 -smp 2 -accel tcg,thread=multi -cpu max";
        command.args(devices.split(' '));
        for port in serial {
            let mut file = OsString::from("file:");
            file.push(port);
            command.arg("-serial").arg(file);
        }
        command.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
        command.args(["-append", "console=ttyS0 quiet panic=-1"]);
        if !self.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", &self.libraries);
        }
        command
    }
}

/// A child that is ended when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn library_folders(folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            library_folders(&entry.path(), found)?;
        } else if entry.file_name().to_string_lossy().contains(".so.") {
            found.insert(folder.to_owned());
        }
    }
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
