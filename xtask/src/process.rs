//! How child processes are found, named and run.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The top of the repository.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The cargo that runs this program, to be run at the top of the repository.
pub(crate) fn cargo() -> Command {
    program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `name`, to be run at the top of the repository with [`search_path`].
pub(crate) fn program(name: impl Into<OsString>) -> Command {
    let mut command = Command::new(name.into());
    command.current_dir(workspace()).env("PATH", search_path());
    command
}

/// Runs `command` to its end; fails where it does, and names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// What `command` prints on standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("failed to start `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}: {}", shown(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed no UTF-8", shown(command)))
}

/// The first executable file of that name in [`search_path`].
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|folder| folder.join(name)).find(|file| {
        fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// `PATH`, with the folders added that a bare shell leaves out: cargo's programs and the administrator's.
///
/// Unchanged where they are in it, because build scripts run again when `PATH` changes.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    extended(&path, cargo_bin().as_deref())
}

fn extended(path: &OsString, cargo_bin: Option<&Path>) -> OsString {
    let mut folders: Vec<PathBuf> = env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty()).collect();
    if let Some(bin) = cargo_bin
        && !folders.iter().any(|folder| folder == bin)
    {
        folders.insert(0, bin.to_owned());
    }
    for administrator in ["/usr/sbin", "/sbin"] {
        if !folders.iter().any(|folder| folder == Path::new(administrator)) {
            folders.push(administrator.into());
        }
    }
    env::join_paths(folders).unwrap_or_else(|_| path.clone())
}

fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    Some(home.join("bin"))
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Notes that it is to end, by Ctrl-C, a terminal that goes, or SIGTERM, instead of dying of it, so that children can clean up and
/// this process can after them.
///
/// Children get the signal from the terminal and the default handling of it.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(crate) fn catch() -> Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGHUP, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&seen))
                .with_context(|| format!("failed to catch signal {signal}"))?;
        }
        Ok(Self(seen))
    }

    /// One that no signal changes.
    #[cfg(test)]
    pub(crate) fn fixed(seen: bool) -> Self {
        Self(Arc::new(AtomicBool::new(seen)))
    }

    pub(crate) fn seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `command` as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    [name].into_iter().chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_path_gets_the_folders_it_lacks() {
        let cargo = Some(Path::new("/home/u/.cargo/bin"));
        let cases = [
            ("/usr/bin:/bin", cargo, "/home/u/.cargo/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
            ("/usr/bin:/home/u/.cargo/bin:/usr/sbin:/sbin", cargo, "/usr/bin:/home/u/.cargo/bin:/usr/sbin:/sbin"),
            ("", None, "/usr/sbin:/sbin"),
        ];
        for (path, bin, expected) in cases {
            assert_eq!(extended(&path.into(), bin), expected, "{path}");
        }
    }

    #[test]
    fn whatever_is_to_end_this_process_is_noted() {
        for signal in [SIGINT, SIGHUP, SIGTERM] {
            let interrupt = Interrupt::catch().unwrap();
            assert!(!interrupt.seen());
            signal_hook::low_level::raise(signal).unwrap();
            assert!(interrupt.seen(), "{signal}");
        }
    }

    #[test]
    fn a_failing_command_is_named() {
        let error = run(program("/bin/sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c exit 3` failed: exit status: 3");
    }
}
