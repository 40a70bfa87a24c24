//! `cargo xtask dist`: what is given to hosts and clusters, a Debian package and a container image.

mod deb;
pub(crate) mod image;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{
    build,
    setup::{self, Needs},
};

#[derive(Debug, Args)]
// Named like the group of the options that it contains.
#[group(skip)]
pub(crate) struct Options {
    /// What to make; everything without it.
    #[arg(value_enum)]
    products: Vec<Product>,
    /// The folder that gets it; `target/dist` without it.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Package an unoptimised program: to try the packaging.
    #[arg(long)]
    debug: bool,
    /// Package the program that was built before.
    #[arg(long)]
    no_build: bool,
    /// The version of the Debian package; that of the workspace without it.
    #[arg(long, value_name = "VERSION")]
    deb_version: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Product {
    /// A package for Debian.
    Deb,
    /// An image for podman and Kubernetes.
    Image,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(Needs::Packaging)?;
    let folder = match &options.output {
        Some(folder) => std::path::absolute(folder)?,
        None => build::target_folder()?.join("dist"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    let build = build::Options { release: !options.debug };
    let products = if options.products.is_empty() { Product::value_variants() } else { &options.products };
    for product in products {
        let file = match product {
            Product::Deb => {
                let vipd = if options.no_build { build::path(&build)? } else { build::vipd(&build)? };
                let speed = if options.debug { deb::Speed::Fast } else { deb::Speed::Careful };
                deb::make(&vipd, options.deb_version.as_deref(), speed, &folder)?
            }
            Product::Image => image::make(&build, &folder)?,
        };
        eprintln!("made {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
