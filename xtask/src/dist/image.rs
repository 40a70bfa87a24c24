//! The container image: the program, the certificates that it trusts, and nothing else; by buildah, as an archive of the OCI format.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{build, process};

/// The workspace's version, which is also xtask's.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where Debian's ca-certificates has what Mozilla trusts: without what has been added on this machine.
const AUTHORITIES: &str = "/usr/share/ca-certificates/mozilla";
/// Where programs look for certificates.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// No image of a release is larger, in bytes: a node that is to take part fetches it first.
const SIZE_MAX: u64 = 30_000_000;
/// `VIPD_NODE` comes from whoever starts it.
const ENTRYPOINT: &str = r#"["/vipd"]"#;

/// Makes the image of a program built as `build` says, in `folder`; answers what was made.
pub(crate) fn make(build: &build::Options, folder: &Path) -> Result<PathBuf> {
    let workshop = Workshop::open(&folder.join("image"))?;
    let (program, bundle) = (workshop.0.join("vipd"), workshop.0.join("ca-certificates.crt"));
    build::static_vipd(build, &program)?;
    fs::write(&bundle, authorities(Path::new(AUTHORITIES))?)?;

    let container = workshop.buildah(&["from", "scratch"])?;
    let container = container.trim();
    for (from, to, mode) in [(&program, "/vipd", "0755"), (&bundle, BUNDLE, "0644")] {
        workshop.buildah(&["copy", "--quiet", "--chmod", mode, container, &from.to_string_lossy(), to])?;
    }
    let labels = labels();
    let labels = labels.iter().flat_map(|label| ["--label", label.as_str()]);
    let config: Vec<&str> = ["config", "--entrypoint", ENTRYPOINT, "--cmd", "run"].into_iter().chain(labels).collect();
    workshop.buildah(&[&config[..], &[container]].concat())?;

    let file = folder.join(format!("vipd-{VERSION}.oci.tar"));
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("failed to remove `{}`", file.display()))?;
    }
    let to = format!("oci-archive:{}:localhost/vipd:{VERSION}", file.display());
    workshop.buildah(&["commit", "--quiet", "--timestamp", &timestamp(), container, &to])?;
    judge_size(fs::metadata(&file)?.len(), build.release)?;
    Ok(file)
}

/// A folder for buildah, which vanishes with everything in it.
struct Workshop(PathBuf);

impl Workshop {
    fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
        Ok(Self(folder.to_owned()))
    }

    /// Runs buildah, with its storage in the folder; answers what it printed.
    fn buildah(&self, arguments: &[&str]) -> Result<String> {
        let mut buildah = process::program("buildah");
        for (option, folder) in [("--root", "storage"), ("--runroot", "run")] {
            buildah.arg(option).arg(self.0.join(folder));
        }
        // Plain folders, nothing mounted: this works wherever root does.
        buildah.args(["--storage-driver", "vfs"]).args(arguments).env("BUILDAH_ISOLATION", "chroot");
        process::capture(&mut buildah)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("`{}` is left behind: {error}", self.0.display());
        }
    }
}

/// All certificates of `folder` in one text, in the order of their names.
fn authorities(folder: &Path) -> Result<String> {
    let hint = || format!("no certificates in `{}`: is ca-certificates installed?", folder.display());
    let entries = fs::read_dir(folder).with_context(hint)?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "crt"));
    files.sort();
    if files.is_empty() {
        bail!(hint());
    }
    let mut bundle = String::new();
    for file in files {
        bundle += &fs::read_to_string(&file).with_context(|| format!("failed to read `{}`", file.display()))?;
    }
    Ok(bundle)
}

/// What the image says of itself. <https://github.com/opencontainers/image-spec/blob/main/annotations.md>
fn labels() -> Vec<String> {
    let revision = git(&["rev-parse", "HEAD"]).map(|commit| format!("revision={commit}"));
    let said = [
        "title=vipd".to_owned(),
        "description=VRRP failover agent whose adverts are judged in the kernel by XDP".to_owned(),
        format!("version={VERSION}"),
        format!("licenses={}", env!("CARGO_PKG_LICENSE")),
        format!("source={}", env!("CARGO_PKG_REPOSITORY")),
    ];
    said.into_iter().chain(revision).map(|label| format!("org.opencontainers.image.{label}")).collect()
}

/// The time that all of the image bears, in seconds: `SOURCE_DATE_EPOCH`, else that of the last commit. So what is the same
/// has the same digest.
fn timestamp() -> String {
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    given.or_else(|| git(&["log", "-1", "--format=%ct"])).unwrap_or_else(|| "0".to_owned())
}

/// What git says, where there is a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let mut git: Command = process::program("git");
    process::capture(git.args(arguments)).ok().map(|said| said.trim().to_owned())
}

fn judge_size(bytes: u64, is_release: bool) -> Result<()> {
    let megabytes = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
    if is_release && bytes > SIZE_MAX {
        bail!("the image has {}, and must not have more than {}", megabytes(bytes), megabytes(SIZE_MAX));
    }
    eprintln!("the image has {}", megabytes(bytes));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_a_release_has_a_limit() {
        assert!(judge_size(30_000_000, true).is_ok());
        assert!(judge_size(52_400_000, false).is_ok());
        let error = judge_size(30_100_000, true).unwrap_err();
        assert_eq!(error.to_string(), "the image has 30.1 MB, and must not have more than 30.0 MB");
    }

    #[test]
    fn certificates_come_in_the_order_of_their_names() {
        let folder = env::temp_dir().join(format!("vipd-authorities-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        assert!(authorities(&folder).is_err(), "no certificate is no error");
        for (name, text) in [("b.crt", "B\n"), ("a.crt", "A\n"), ("README", "no certificate\n")] {
            fs::write(folder.join(name), text).unwrap();
        }
        assert_eq!(authorities(&folder).unwrap(), "A\nB\n");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_image_says_what_it_is() {
        let labels = labels();
        for label in ["title=vipd", "licenses=MIT OR Apache-2.0", "source=https://github.com/vipd/vipd"] {
            assert!(labels.contains(&format!("org.opencontainers.image.{label}")), "{label}: {labels:?}");
        }
    }
}
