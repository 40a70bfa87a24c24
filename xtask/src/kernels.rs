//! `cargo xtask kernels`: what the guard can do on which kernel, found out by booting each of them.
//!
//! Debian's cloud kernels run in qemu, emulated, so that any machine can do it; each with an initial RAM file system
//! that holds one static program of ours, busybox and a few modules. Everything is fetched once and kept below the
//! target directory.

mod apt;
mod cpio;
mod fetch;
mod image;
mod machine;
mod modules;
mod table;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    fetch::{Kernel, Store},
    image::Programs,
    table::{Column, side_by_side},
};
use crate::{
    build::target_folder,
    process,
    setup::{self, Needs},
};

/// The triple that the program in the guest is built for: that of the kernels.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROBE: &str = "vipd-kernel-probe";
/// Where the table is kept, from the top of the repository.
const DOCUMENT: &str = "docs/kernels.md";

/// The kernels of the matrix, oldest first.
const KERNELS: [Kernel; 4] = [
    Kernel { name: "5.10", suite: "bullseye-security", package: "linux-image-cloud-amd64" },
    Kernel { name: "6.1", suite: "bookworm-security", package: "linux-image-cloud-amd64" },
    Kernel { name: "6.12", suite: "bookworm-security", package: "linux-image-6.12-cloud-amd64" },
    Kernel { name: "newest", suite: "sid", package: "linux-image-cloud-amd64" },
];

#[derive(Debug, Default, Args)]
// Named like the group of the options that it contains.
#[group(skip)]
pub(crate) struct Options {
    /// Put the table into docs/kernels.md.
    #[arg(long, conflicts_with = "only")]
    write: bool,
    /// Fetch the kernels again, for newer ones.
    #[arg(long)]
    refresh: bool,
    /// Boot these alone: 5.10, 6.1, 6.12, newest.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let kernels = chosen(&options.only)?;
    setup::ensure(Needs::Toolchain)?;
    let folder = target_folder()?.join("kernels");
    let store = Store::open(&folder, options.refresh)?;
    let probe = build_probe(&folder.join("build"))?;
    let (qemu, busybox) = (store.qemu()?, store.busybox()?);
    let programs = Programs { busybox: &busybox, probe: &probe };

    let mut columns = vec![];
    for kernel in kernels {
        let started = Instant::now();
        eprintln!("kernels: {}", kernel.name);
        let column = examine(kernel, &store, &programs, &qemu).unwrap_or_else(|error| {
            eprintln!("error: {}: {error:#}", kernel.name);
            Column::lost(kernel.name, &format!("{error:#}"))
        });
        eprintln!("kernels: {} took {:.0} s", kernel.name, started.elapsed().as_secs_f64());
        columns.push(column);
    }
    let table = side_by_side(&columns);
    write!(io::stdout(), "{table}")?;
    if options.write {
        table.write_into(DOCUMENT)?;
    }
    Ok(if table.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(only: &[String]) -> Result<Vec<&'static Kernel>> {
    if let Some(unknown) = only.iter().find(|name| !KERNELS.iter().any(|kernel| kernel.name == name.as_str())) {
        let known: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
        bail!("there is no kernel `{unknown}`, but {}", known.join(", "));
    }
    Ok(KERNELS.iter().filter(|kernel| only.is_empty() || only.iter().any(|name| name == kernel.name)).collect())
}

/// Builds the program for the guest, which has no shared libraries.
fn build_probe(target: &Path) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo
        .args(["build", "--release", "--package", "vipd-tests", "--bin", PROBE, "--target", TARGET, "--target-dir"])
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    process::run(&mut cargo)?;
    Ok(target.join(TARGET).join("release").join(PROBE))
}

/// Boots one kernel and lets the program in it try everything.
fn examine(kernel: &Kernel, store: &Store, programs: &Programs<'_>, qemu: &machine::Qemu) -> Result<Column> {
    let tree = store.kernel(kernel)?;
    let folder = store.scratch(kernel)?;
    let initrd = folder.join("initrd");
    fs::write(&initrd, image::build(programs, &tree)?)
        .with_context(|| format!("failed to write `{}`", initrd.display()))?;
    let said = qemu.boot(&image::vmlinuz(&tree)?, &initrd, &folder)?;
    Column::read(kernel.name, &said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kernel_is_no_empty_run() {
        let named = |only: &[&str]| -> Result<Vec<&str>> {
            let only: Vec<_> = only.iter().map(|name| (*name).to_owned()).collect();
            Ok(chosen(&only)?.iter().map(|kernel| kernel.name).collect())
        };
        assert_eq!(named(&[]).unwrap(), ["5.10", "6.1", "6.12", "newest"]);
        assert_eq!(named(&["newest", "6.1"]).unwrap(), ["6.1", "newest"]);
        assert_eq!(named(&["6.2"]).unwrap_err().to_string(), "there is no kernel `6.2`, but 5.10, 6.1, 6.12, newest");
    }
}
