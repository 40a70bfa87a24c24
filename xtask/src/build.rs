//! `cargo xtask build`: the agent with its BPF program.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    process,
    setup::{self, Needs},
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Build with optimisation.
    #[arg(long)]
    pub(crate) release: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(Needs::Toolchain)?;
    let binary = vipd(options)?;
    eprintln!("built {}", binary.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds `vipd`; answers where it is.
pub(crate) fn vipd(options: &Options) -> Result<PathBuf> {
    process::run(&mut command(options))?;
    let binary = path(options)?;
    if !binary.is_file() {
        bail!("cargo built vipd, but not as `{}`, where this xtask stands: unset CARGO_BUILD_TARGET", binary.display());
    }
    Ok(binary)
}

/// Builds `vipd` as one file that needs no other, a C library least of all, and copies it to `file`.
///
/// Only the linking differs, so that everything else is compiled once for both. Cargo puts both into one place, where the next
/// [`vipd`] puts its own again.
pub(crate) fn static_vipd(options: &Options, file: &Path) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["rustc", "--package", "vipd", "--bin", "vipd"]);
    if options.release {
        cargo.arg("--release");
    }
    process::run(cargo.args(["--", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]))?;
    let built = path(options)?;
    fs::copy(&built, file).with_context(|| format!("failed to copy `{}` to `{}`", built.display(), file.display()))?;
    Ok(())
}

fn command(options: &Options) -> Command {
    let mut cargo = process::cargo();
    cargo.args(["build", "--package", "vipd"]);
    if options.release {
        cargo.arg("--release");
    }
    cargo
}

/// Where `vipd` is when it is built.
pub(crate) fn path(options: &Options) -> Result<PathBuf> {
    Ok(target_folder()?.join(if options.release { "release" } else { "debug" }).join("vipd"))
}

/// Cargo puts every binary of the workspace into one target directory, this one among them.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let own = env::current_exe().context("failed to find this program's own file")?;
    let target = own.parent().and_then(Path::parent).context("xtask is not in a target directory")?;
    Ok(target.to_owned())
}
