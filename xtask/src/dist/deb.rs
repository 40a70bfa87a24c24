//! The Debian package, by cargo-deb from what `agent/Cargo.toml` says of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{build, process};

/// Shells, and the files in which they look for completions.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "vipd.bash"), ("zsh", "_vipd"), ("fish", "vipd.fish")];

/// How well a package is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speed {
    /// As well as it goes.
    Careful,
    /// Quickly: it is only tried.
    Fast,
}

/// Packages the program `vipd` into `folder`, with a version of its own if one is given; answers what was made.
pub(super) fn make(vipd: &Path, version: Option<&str>, speed: Speed, folder: &Path) -> Result<PathBuf> {
    stage(vipd)?;
    let mut cargo = process::cargo();
    cargo.args(["deb", "--quiet", "--no-build", "--package", "vipd", "--output"]).arg(folder);
    if speed == Speed::Fast {
        cargo.arg("--fast");
    }
    if let Some(version) = version {
        cargo.args(["--deb-version", version]);
    }
    let made = process::capture(&mut cargo)?;
    Ok(made.trim().into())
}

/// Puts the program, and the man pages and completions that it makes, where `agent/Cargo.toml` says that they are.
fn stage(vipd: &Path) -> Result<()> {
    let stage = build::target_folder()?.join("release/deb");
    let (man, completions) = (stage.join("man"), stage.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    }
    fs::copy(vipd, stage.join("vipd")).with_context(|| format!("failed to copy `{}`", vipd.display()))?;
    process::run(process::program(vipd).args(["generate", "man"]).arg(&man))?;
    for (shell, file) in COMPLETIONS {
        let text = process::capture(process::program(vipd).args(["completions", shell]))?;
        fs::write(completions.join(file), text)?;
    }
    Ok(())
}
