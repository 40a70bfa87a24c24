//! `cargo xtask interop`: plays every scene with keepalived and FRR, and shows how each went.

mod results;

use std::{
    fs,
    io::{self, Write},
    process::{self as this, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    build::{self, target_folder},
    process,
    setup::{self, Needs},
};

/// The tests that play the scenes.
const TESTS: [&str; 2] = ["interop", "interop_frr"];
/// Their test of the table, which is about to change.
const TABLE_TEST: &str = "the_table_in_the_docs";
/// The variable that names the directory where they put their results.
const RESULTS: &str = "VIPD_INTEROP_RESULTS";
/// Where the table is kept, from the top of the repository.
const DOCUMENT: &str = "docs/interop.md";

#[derive(Debug, Args)]
// Named like the group of the options that it contains.
#[group(skip)]
pub(crate) struct Options {
    /// Put the table into docs/interop.md.
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !process::is_root() {
        bail!("the tests make network namespaces and load BPF programs: run it as root");
    }
    setup::ensure(Needs::Everything)?;
    let vipd = build::vipd(&build::Options { release: false })?;
    let folder = target_folder()?.join("interop").join(this::id().to_string());
    fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;

    let mut cargo = process::cargo();
    cargo.args(["test", "--no-fail-fast", "--package", "vipd-tests"]);
    cargo.args(TESTS.iter().flat_map(|test| ["--test", test])).args(["--", "--skip", TABLE_TEST]);
    cargo.env("VIPD_BIN", vipd).env("VIPD_TESTS_REQUIRE", "1").env(RESULTS, &folder).stdout(io::stderr());
    let tested = process::run(&mut cargo);
    let results = results::read(&folder);
    // They are of no use to anybody else.
    let _ = fs::remove_dir_all(&folder);

    let table = results::table(&results?)?;
    write!(io::stdout(), "{table}")?;
    if options.write {
        table.write_into(DOCUMENT)?;
    }
    tested?;
    Ok(if table.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
