//! `cargo xtask ci`: every check that a change must pass, with nothing skipped.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    lint,
    setup::{self, Needs},
    test::{self, Requirement},
};

pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure(Needs::Everything)?;
    let lint = lint::run()?;
    let test = test::run(Requirement::All)?;
    Ok(if lint == ExitCode::SUCCESS { test } else { lint })
}
