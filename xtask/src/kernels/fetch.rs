//! What a run needs, fetched once and kept: kernels, an emulator, busybox.

use std::{
    cell::OnceCell,
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{apt::Apt, machine::Qemu};
use crate::process;

/// A kernel of the matrix.
pub(super) struct Kernel {
    pub(super) name: &'static str,
    /// The suite of Debian that it comes from.
    pub(super) suite: &'static str,
    /// The package that stands for the newest version there.
    pub(super) package: &'static str,
}

/// A folder with the unpacked packages.
pub(super) struct Store {
    folder: PathBuf,
    /// Kernels are fetched even if they are there.
    refresh: bool,
    machine: OnceCell<Apt>,
}

impl Store {
    pub(super) fn open(folder: &Path, refresh: bool) -> Result<Self> {
        if env::consts::ARCH != "x86_64" {
            bail!("the kernels and the program that they run are built for x86-64, and this is {}", env::consts::ARCH);
        }
        for program in ["apt-get", "dpkg-deb"] {
            if process::find(program).is_none() {
                bail!("the kernels are Debian's, and `{program}`, which fetches them, is not installed");
            }
        }
        Ok(Self { folder: folder.to_owned(), refresh, machine: OnceCell::new() })
    }

    /// The unpacked packages of a kernel.
    pub(super) fn kernel(&self, kernel: &Kernel) -> Result<PathBuf> {
        self.tree(kernel.name, self.refresh, |tree| {
            let mirror = self.machine()?.mirror()?;
            let apt = Apt::of_suite(&self.state(kernel.suite), &mirror, kernel.suite)?;
            let packages = apt.kernel_packages(kernel.package)?;
            apt.unpack(packages.iter().map(String::as_str), tree)
        })
    }

    /// The emulator: the machine's, or one that is unpacked here and disturbs nothing that is installed.
    pub(super) fn qemu(&self) -> Result<Qemu> {
        if let Some(program) = process::find(Qemu::PROGRAM) {
            return Ok(Qemu::installed(program));
        }
        let tree =
            self.tree("qemu", false, |tree| self.machine()?.unpack_with_dependencies("qemu-system-x86", tree))?;
        Qemu::unpacked(&tree)
    }

    /// The programs of the guest's shell, in one static file.
    pub(super) fn busybox(&self) -> Result<PathBuf> {
        let tree = self.tree("busybox", false, |tree| self.machine()?.unpack(["busybox-static"], tree))?;
        let places = ["usr/bin/busybox", "bin/busybox"].map(|place| tree.join(place));
        places.into_iter().find(|file| file.is_file()).context("the package busybox-static has no busybox")
    }

    /// A folder for what one run with `kernel` leaves: its log above all.
    pub(super) fn scratch(&self, kernel: &Kernel) -> Result<PathBuf> {
        let folder = self.folder.join("runs").join(kernel.name);
        fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
        Ok(folder)
    }

    fn machine(&self) -> Result<&Apt> {
        if let Some(apt) = self.machine.get() {
            return Ok(apt);
        }
        let apt = Apt::of_machine(&self.state("machine"))?;
        Ok(self.machine.get_or_init(|| apt))
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.join("apt").join(name)
    }

    /// The folder `name`, filled by `fill` unless it is there. What an interrupted run began is not taken for it.
    fn tree(&self, name: &str, anew: bool, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let tree = self.folder.join(name);
        if tree.is_dir() && !anew {
            return Ok(tree);
        }
        eprintln!("kernels: fetch {name}");
        let partial = self.folder.join("partial").join(name);
        remove(&partial)?;
        fill(&partial).with_context(|| format!("failed to fetch {name}"))?;
        remove(&tree)?;
        fs::rename(&partial, &tree).with_context(|| format!("failed to move `{}` into place", partial.display()))?;
        Ok(tree)
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove `{}`", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;

    #[test]
    fn a_tree_is_filled_once_and_an_unfinished_one_is_none() {
        let folder = env::temp_dir().join(format!("vipd-xtask-store-{}", process::id()));
        let store = Store { folder: folder.clone(), refresh: false, machine: OnceCell::new() };
        let fill = |content: &'static str| {
            move |tree: &Path| {
                fs::create_dir_all(tree)?;
                Ok(fs::write(tree.join("file"), content)?)
            }
        };
        let broken = store.tree("t", false, |tree| fill("half")(tree).and_then(|()| bail!("cut off")));
        assert_eq!(broken.unwrap_err().to_string(), "failed to fetch t");
        let mut seen = vec![];
        for (anew, content) in [(false, "first"), (false, "second"), (true, "third")] {
            let tree = store.tree("t", anew, fill(content)).unwrap();
            seen.push(fs::read_to_string(tree.join("file")).unwrap());
        }
        remove(&folder).unwrap();
        assert_eq!(seen, ["first", "first", "third"]);
    }
}
