//! What the machine has. Looks only, and takes well below a second: every command begins with it.

use std::{collections::BTreeSet, env, fs, path::Path, process::Command};

use anyhow::Result;

use super::plan::{PYTHON_FOLDER, PYTHON_PACKAGES};
use crate::process;

/// The file in the environment of Python that says which packages are installed there, a line each.
pub(super) const PYTHON_LIST: &str = "installed";
/// The oldest bpf-linker whose LLVM reads what the pinned compiler writes.
const LINKER_OLDEST: (u32, u32) = (0, 13);

/// Everything that the choice of steps depends on.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) distribution: Distribution,
    pub(crate) privilege: Privilege,
    pub(crate) core: BpfCore,
    pub(crate) linker: Linker,
    pub(crate) python: Python,
    /// Debian packages that are installed.
    pub(crate) packages: BTreeSet<String>,
    /// Programs that can be called by name.
    pub(crate) programs: BTreeSet<&'static str>,
}

/// Who packages software here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// Debian, or what calls itself like it and has apt-get.
    Debian,
    /// The `ID` of another one.
    Other(String),
}

/// How this process may install packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    Root,
    Sudo,
    None,
}

/// The core library for BPF of the compiler in use, as `agent/build.rs` looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BpfCore {
    /// rust-src: core is built along.
    Source,
    /// Compiled, as Debian packages it.
    Prebuilt,
    /// Neither.
    Absent,
}

/// The programs of Python that tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Python {
    /// They are there.
    Complete,
    /// They can be installed.
    Bare,
    /// Python is not there, or what it makes an environment of its own with.
    Absent,
}

/// The bpf-linker that a build would call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Linker {
    Usable(String),
    /// Found, but too old, or it does not run.
    Unusable(String),
    Absent,
}

impl Machine {
    /// Looks for `packages` and for what else the steps depend on.
    pub(crate) fn look(packages: &BTreeSet<&'static str>) -> Result<Self> {
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let distribution = distribution(&os_release, process::find("apt-get").is_some());
        let installed = match distribution {
            Distribution::Debian => installed(packages)?,
            Distribution::Other(_) => BTreeSet::new(),
        };
        let programs = super::plan::program_names().into_iter().filter(|name| process::find(name).is_some()).collect();
        Ok(Self {
            distribution,
            privilege: privilege(),
            core: active_core(),
            linker: linker(),
            python: python(),
            packages: installed,
            programs,
        })
    }
}

fn distribution(os_release: &str, has_apt_get: bool) -> Distribution {
    let field = |name: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let id = field("ID");
    let like_debian = id == "debian" || field("ID_LIKE").split_whitespace().any(|name| name == "debian");
    if like_debian && has_apt_get {
        Distribution::Debian
    } else if id.is_empty() {
        Distribution::Other("an unknown system".to_owned())
    } else {
        Distribution::Other(id)
    }
}

fn privilege() -> Privilege {
    if process::is_root() {
        Privilege::Root
    } else if process::find("sudo").is_some() {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

/// Environments know by a file, which is written last, what is in them.
fn python() -> Python {
    let listed = process::workspace().join(PYTHON_FOLDER).join(PYTHON_LIST);
    if fs::read_to_string(listed).is_ok_and(|text| text == PYTHON_PACKAGES.join("\n")) {
        return Python::Complete;
    }
    let can_make_one = process::capture(process::program("python3").args(["-c", "import venv, ensurepip"]));
    if can_make_one.is_ok() { Python::Bare } else { Python::Absent }
}

/// The compiler that cargo would call for the agent, or [`BpfCore::Absent`] where it cannot be asked.
pub(crate) fn active_core() -> BpfCore {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = process::capture(process::program(rustc).args(["--print", "sysroot"]));
    sysroot.map_or(BpfCore::Absent, |sysroot| core_in(Path::new(sysroot.trim())))
}

fn core_in(sysroot: &Path) -> BpfCore {
    let rustlib = sysroot.join("lib/rustlib");
    if rustlib.join("src/rust/library/core").is_dir() {
        BpfCore::Source
    } else if rustlib.join("bpfel-unknown-none/lib").is_dir() {
        BpfCore::Prebuilt
    } else {
        BpfCore::Absent
    }
}

fn linker() -> Linker {
    let Some(file) = process::find("bpf-linker") else { return Linker::Absent };
    match process::capture(process::program(file.clone()).arg("--version")) {
        Ok(printed) => judge_linker(&file, printed.trim()),
        Err(error) => Linker::Unusable(format!("{error:#}")),
    }
}

fn judge_linker(file: &Path, printed: &str) -> Linker {
    let version = printed.strip_prefix("bpf-linker ").unwrap_or(printed);
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= LINKER_OLDEST => Linker::Usable(version.to_owned()),
        _ => Linker::Unusable(format!("`{}` is version `{version}`", file.display())),
    }
}

/// Those of `packages` that dpkg has installed.
fn installed(packages: &BTreeSet<&'static str>) -> Result<BTreeSet<String>> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status} ${Package}\\n"]).args(packages);
    // Exit status 1 only says that some are unknown to dpkg, which is what is asked here.
    let output = query.output().map_err(|error| anyhow::anyhow!("failed to start `dpkg-query`: {error}"))?;
    Ok(parse_dpkg(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_dpkg(printed: &str) -> BTreeSet<String> {
    printed.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
    const UBUNTU: &str = "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n";
    const MINT: &str = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n";
    const FEDORA: &str = "NAME=\"Fedora Linux\"\nID=fedora\nPLATFORM_ID=\"platform:f42\"\n";
    const ROCKY: &str = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n";

    #[test]
    fn os_release_tells_debian_from_the_rest() {
        let other = |id: &str| Distribution::Other(id.to_owned());
        let cases = [
            ("bookworm", BOOKWORM, true, Distribution::Debian),
            ("ubuntu is like debian", UBUNTU, true, Distribution::Debian),
            ("second in ID_LIKE", MINT, true, Distribution::Debian),
            ("debian without apt-get", BOOKWORM, false, other("debian")),
            ("fedora with an apt-get", FEDORA, true, other("fedora")),
            ("quoted", ROCKY, false, other("rocky")),
            ("no file", "", true, other("an unknown system")),
        ];
        for (case, text, has_apt_get, expected) in cases {
            assert_eq!(distribution(text, has_apt_get), expected, "{case}");
        }
    }

    #[test]
    fn a_linker_is_judged_by_its_version() {
        let cases = [
            ("bpf-linker 0.13.0", true),
            ("bpf-linker 0.14.2", true),
            ("bpf-linker 1.0.0", true),
            ("bpf-linker 0.10.3", false),
            ("bpf-linker 0.9.15", false),
            ("something else", false),
            ("", false),
        ];
        for (printed, usable) in cases {
            let judged = judge_linker(Path::new("/x/bpf-linker"), printed);
            assert_eq!(matches!(judged, Linker::Usable(_)), usable, "{printed}: {judged:?}");
        }
    }

    #[test]
    fn a_removed_package_that_left_its_configuration_is_not_installed() {
        let printed = "installed gcc\nconfig-files keepalived\nhalf-installed bpftool\ninstalled tcpdump\n";
        assert_eq!(parse_dpkg(printed), ["gcc".to_owned(), "tcpdump".to_owned()].into());
    }
}
