//! Debian packages, fetched with an apt state of our own: the machine's stays as it is, and root is not needed.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process;

/// The keys that sign Debian's archive; older systems end in `.gpg`.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];
/// Read after the machine's own settings, such as its proxy. The machine's hooks would tidy up the machine's own state.
const SETTINGS: &str = "\
    #clear APT::Update::Pre-Invoke;\n\
    #clear APT::Update::Post-Invoke;\n\
    #clear APT::Update::Post-Invoke-Success;\n\
    APT::Architecture \"amd64\";\n\
    APT::Sandbox::User \"root\";\n\
    Acquire::Check-Valid-Until \"false\";\n\
    Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
    Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n\
    Acquire::Languages \"none\";\n\
    Debug::NoLocking \"true\";\n";

/// A view of one or several suites of the archive.
pub(super) struct Apt {
    settings: PathBuf,
    archives: PathBuf,
}

/// Where this machine fetches Debian from.
pub(super) struct Mirror {
    debian: String,
    security: String,
}

impl Mirror {
    /// The archive that publishes `suite`.
    fn archive_of(&self, suite: &str) -> &str {
        if suite.ends_with("-security") { &self.security } else { &self.debian }
    }
}

impl Apt {
    /// The suites that this machine is set up with, and what is installed on it.
    pub(super) fn of_machine(state: &Path) -> Result<Self> {
        Self::with_settings(state, "")
    }

    /// One suite of the archive, for a machine on which nothing is installed.
    pub(super) fn of_suite(state: &Path, mirror: &Mirror, suite: &str) -> Result<Self> {
        let keyring = KEYRINGS.into_iter().find(|file| Path::new(file).exists());
        let keyring = keyring.context("the package debian-archive-keyring is not installed")?;
        let source = format!("deb [signed-by={keyring}] {} {suite} main\n", mirror.archive_of(suite));
        fs::create_dir_all(state).with_context(|| format!("failed to create `{}`", state.display()))?;
        let [list, status] = ["sources.list", "status"].map(|name| state.join(name));
        fs::write(&list, source).and_then(|()| fs::write(&status, "")).context("failed to write apt's settings")?;
        let settings = format!(
            "Dir::State::status \"{}\";\nDir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n",
            status.display(),
            list.display()
        );
        Self::with_settings(state, &settings)
    }

    fn with_settings(state: &Path, more: &str) -> Result<Self> {
        let [lists, cache, settings] = ["lists", "cache", "apt.conf"].map(|name| state.join(name));
        for folder in [&lists.join("partial"), &cache.join("archives/partial")] {
            fs::create_dir_all(folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
        }
        let places = format!("Dir::State::lists \"{}\";\nDir::Cache \"{}\";\n", lists.display(), cache.display());
        fs::write(&settings, [SETTINGS, &places, more].concat()).context("failed to write apt's settings")?;
        let apt = Self { settings, archives: cache.join("archives") };
        process::run(apt.command("apt-get").args(["--quiet", "--quiet", "update"]))?;
        Ok(apt)
    }

    /// Finds out where this machine fetches Debian from.
    pub(super) fn mirror(&self) -> Result<Mirror> {
        let format = "$(LABEL)\t$(REPO_URI)";
        let mut query = self.command("apt-get");
        query.args(["indextargets", "--format", format, "Created-By: Packages", "Origin: Debian"]);
        parse_mirror(&process::capture(&mut query)?)
    }

    /// The packages that the empty `package` stands for: a kernel and its parts.
    pub(super) fn kernel_packages(&self, package: &str) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut wanted = vec![package.to_owned()];
        while let Some(name) = wanted.pop() {
            if !found.insert(name.clone()) {
                continue;
            }
            let mut query = self.command("apt-cache");
            let about = process::capture(query.args(["show", "--no-all-versions", &name]))?;
            wanted.extend(kernel_parts(&about).map(str::to_owned));
        }
        // Mirrors may lack it, and nobody needs its changelog.
        found.remove(package);
        Ok(found)
    }

    /// Fetches `packages` and unpacks them into `tree`.
    pub(super) fn unpack<'a>(&self, packages: impl IntoIterator<Item = &'a str>, tree: &Path) -> Result<()> {
        let mut fetch = self.command("apt-get");
        fetch.args(["--quiet", "--quiet", "download"]).args(packages).current_dir(&self.archives);
        process::run(&mut fetch)?;
        self.unpack_archives(tree)
    }

    /// Fetches `package` and what it needs and the machine lacks, and unpacks all of it into `tree`. Nothing is
    /// installed, nor would be removed.
    pub(super) fn unpack_with_dependencies(&self, package: &str, tree: &Path) -> Result<()> {
        let mut fetch = self.command("apt-get");
        fetch.args(["--quiet", "--quiet", "--yes", "--no-install-recommends", "--download-only", "install", package]);
        process::run(&mut fetch)?;
        self.unpack_archives(tree)
    }

    fn unpack_archives(&self, tree: &Path) -> Result<()> {
        fs::create_dir_all(tree).with_context(|| format!("failed to create `{}`", tree.display()))?;
        let archives = fs::read_dir(&self.archives).context("apt's folder of packages is gone")?;
        for entry in archives {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                process::run(process::program("dpkg-deb").arg("--extract").arg(&file).arg(tree))?;
                fs::remove_file(&file).with_context(|| format!("failed to remove `{}`", file.display()))?;
            }
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = process::program(program);
        command.arg("-c").arg(&self.settings).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

fn parse_mirror(printed: &str) -> Result<Mirror> {
    let address = |wanted: &str| {
        printed.lines().filter_map(|line| line.split_once('\t')).find(|(label, _)| *label == wanted).map(|(_, uri)| uri)
    };
    match (address("Debian"), address("Debian-Security")) {
        (Some(debian), Some(security)) => Ok(Mirror { debian: debian.to_owned(), security: security.to_owned() }),
        _ => bail!("apt is not set up for Debian and its security updates, which the kernels come from"),
    }
}

/// The parts of a kernel that the package described by `about` depends on.
fn kernel_parts(about: &str) -> impl Iterator<Item = &str> {
    let dependencies = about.lines().filter_map(|line| line.strip_prefix("Depends: "));
    let names = dependencies.flat_map(|line| line.split(',')).filter_map(|entry| entry.split_whitespace().next());
    names.filter(|name| name.starts_with("linux-") && name.ends_with("-cloud-amd64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_has_its_archive() {
        let printed = "Debian\thttp://m/debian/\nDebian\thttp://m/debian/\nDebian-Security\thttp://m/sec/\n";
        let mirror = parse_mirror(printed).unwrap();
        let cases = [("sid", "http://m/debian/"), ("bookworm", "http://m/debian/"), ("x-security", "http://m/sec/")];
        for (suite, archive) in cases {
            assert_eq!(mirror.archive_of(suite), archive, "{suite}");
        }
    }

    #[test]
    fn a_machine_without_debian_is_refused() {
        for printed in ["", "Debian\thttp://m/debian/\n", "Node\thttp://n/\n"] {
            assert!(parse_mirror(printed).is_err(), "{printed}");
        }
    }

    #[test]
    fn only_parts_of_the_kernel_are_followed() {
        let about = "Package: linux-image-7.2.13-cloud-amd64\n\
            Depends: kmod, grub-cloud-amd64, linux-base (>= 4.3~), linux-binary-7.2.13-cloud-amd64 (= 7.2.13-1), \
            linux-modules-7.2.13-cloud-amd64 (= 7.2.13-1)\nRecommends: linux-image-x-cloud-amd64\n";
        let parts: Vec<_> = kernel_parts(about).collect();
        assert_eq!(parts, ["linux-binary-7.2.13-cloud-amd64", "linux-modules-7.2.13-cloud-amd64"]);
    }
}
