//! `cargo xtask test`: every test of the project in stages, and one summary of them all.

mod lanes;
mod report;

use std::{
    env,
    io::{self, Read, Write},
    num::NonZero,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result};

use self::report::{Counts, Outcome, Report};
use crate::{
    build,
    dist::image,
    process::{self, Interrupt},
    setup::{self, Needs},
};

/// Packages whose tests need no privilege.
const UNPRIVILEGED: [&str; 6] = ["vrrp", "vipd-ebpf", "vipd", "vipd-fuzz", "vipd-simulation", "xtask"];
/// The variable by which a test that cannot run fails.
const REQUIRE: &str = "VIPD_TESTS_REQUIRE";
/// The variable by which Rust's test harness is told how many tests to run at once.
const THREADS: &str = "RUST_TEST_THREADS";
/// How many tests of one program of namespaces run at once.
const TESTS_AT_A_TIME: &str = "2";

/// What becomes of tests that this machine or user cannot run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// They are left out, with the reason.
    Possible,
    /// They count as failed.
    All,
}

impl Requirement {
    pub(crate) fn from_environment() -> Self {
        if env::var_os(REQUIRE).is_some_and(|value| value == "1") { Self::All } else { Self::Possible }
    }
}

pub(crate) fn run(requirement: Requirement) -> Result<ExitCode> {
    let root = process::is_root();
    setup::ensure(if root { Needs::Everything } else { Needs::Toolchain })?;
    let interrupt = Interrupt::catch()?;

    let mut report = Report::default();
    report.add("unit and property", cargo_test(&UNPRIVILEGED)?);
    if interrupt.seen() {
        report.add("namespaces", Outcome::not_run("interrupted", Requirement::All));
    } else if root {
        report.add("namespaces", namespaces(requirement, &interrupt));
    } else {
        let why = "needs root, for network namespaces and BPF";
        report.add("namespaces", Outcome::not_run(why, requirement));
    }
    writeln!(io::stdout(), "\n{report}")?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tests that run the daemon itself, in network namespaces. They wait more than they compute: a program of them for each CPU
/// runs at a time, with a few tests.
fn namespaces(requirement: Requirement, interrupt: &Interrupt) -> Outcome {
    let started = Instant::now();
    let (vipd, image, programs) = match build_for_namespaces() {
        Ok(built) => built,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Outcome::ran(Counts::default(), false, started.elapsed());
        }
    };
    let prepare = |command: &mut Command| {
        command.env("VIPD_BIN", &vipd).env("VIPD_IMAGE", &image);
        if env::var_os(THREADS).is_none() {
            command.env(THREADS, TESTS_AT_A_TIME);
        }
        if requirement == Requirement::All {
            command.env(REQUIRE, "1");
        }
    };
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let (counts, success) = lanes::run(programs, cpus, prepare, interrupt, io::stdout());
    Outcome::ran(counts, success, started.elapsed())
}

/// Builds the daemon, its container image, and the programs that test them.
fn build_for_namespaces() -> Result<(PathBuf, PathBuf, Vec<lanes::Program>)> {
    let options = build::Options { release: false };
    let folder = build::target_folder()?.join("debug");
    // First of all: the daemon is built where the image's program was.
    let image = image::make(&options, &folder)?;
    Ok((build::vipd(&options)?, image, lanes::build("vipd-tests")?))
}

/// Runs all tests of `packages`, shows what they print as they print it, and counts.
fn cargo_test(packages: &[&str]) -> Result<Outcome> {
    let mut cargo = process::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(packages.iter().flat_map(|package| ["--package", package]));
    let started = Instant::now();
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start `{}`", process::shown(&cargo)))?;
    let output = child.stdout.take().context("a piped output is missing")?;
    let counts = relay(output, io::stdout())?;
    let success = child.wait()?.success();
    Ok(Outcome::ran(counts, success, started.elapsed()))
}

/// Copies `from` to `to` piece by piece, so that a test's name is seen before its result, and counts the results.
fn relay(mut from: impl Read, mut to: impl Write) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut line = vec![];
    let mut piece = [0; 4096];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&piece[..read])?;
        to.flush()?;
        line.extend_from_slice(&piece[..read]);
        while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            counts.add_line(&String::from_utf8_lossy(&line[..end]));
            line.drain(..=end);
        }
    }
    counts.add_line(&String::from_utf8_lossy(&line));
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Dribble<'a>(&'a [u8]);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            into[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn output_passes_unchanged_and_is_counted_however_it_is_cut() {
        let text = "test a ... ok\n\u{fc}\ntest result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; \
                    finished in 0.00s\n\ntest result: FAILED. 4 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        let sources: [(&str, Box<dyn Read>); 2] =
            [("bytes", Box::new(Dribble(text.as_bytes()))), ("at once", Box::new(text.as_bytes()))];
        for (case, source) in sources {
            let mut copy = vec![];
            let counts = relay(source, &mut copy).unwrap();
            assert_eq!(copy, text.as_bytes(), "{case}");
            assert_eq!(counts, Counts { passed: 5, failed: 3, ignored: 2 }, "{case}");
        }
    }
}
