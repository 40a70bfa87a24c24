//! Test programs that wait more than they compute, several of them at a time.

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::report::Counts;
use crate::process::{self, Interrupt};

/// A line of what cargo reports, as far as it is of interest.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    profile: Option<Profile>,
}

/// How a program was built.
#[derive(Deserialize)]
struct Profile {
    /// Whether it runs tests; others are what they are, and built along.
    test: bool,
}

/// A program that runs tests.
#[derive(Clone, Debug)]
pub(super) struct Program {
    file: PathBuf,
    /// Where its package is, which tests take for the current folder.
    folder: PathBuf,
}

/// Builds the test programs of `package`.
pub(super) fn build(package: &str) -> Result<Vec<Program>> {
    let mut cargo = process::cargo();
    cargo.args(["test", "--no-run", "--package", package, "--message-format=json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("failed to start `{}`", process::shown(&cargo)))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", process::shown(&cargo), output.status);
    }
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        programs.extend(test_program(line).with_context(|| format!("cargo reported `{line}`"))?);
    }
    Ok(programs)
}

/// The program that runs tests of which `line` tells, if it tells of one.
fn test_program(line: &str) -> Result<Option<Program>> {
    let Built { executable, manifest_path, profile } = serde_json::from_str(line)?;
    let (Some(file), Some(manifest), Some(Profile { test: true })) = (executable, manifest_path, profile) else {
        return Ok(None);
    };
    Ok(Some(Program { file, folder: manifest.parent().unwrap_or(Path::new(".")).to_owned() }))
}

/// Runs all `programs`, so many at a time, each as `prepare` has it; writes what one printed to `to` when it has ended. Says what
/// the tests came to, and whether all ended well, without an interrupt.
pub(super) fn run(
    programs: Vec<Program>,
    at_a_time: usize,
    prepare: impl Fn(&mut Command) + Sync,
    interrupt: &Interrupt,
    to: impl Write + Send,
) -> (Counts, bool) {
    let waiting = Mutex::new(VecDeque::from(programs));
    let ended = Mutex::new((Counts::default(), true, to));
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(program) = next(&waiting).filter(|_| !interrupt.seen()) {
                    let outcome = program.run(&prepare);
                    let (counts, success, to) = &mut *ended.lock().unwrap_or_else(PoisonError::into_inner);
                    // Nobody is left to be told that nothing can be shown.
                    *success &= conclude(&program, outcome, counts, to).unwrap_or(false);
                }
            });
        }
    });
    let (counts, success, _) = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Whatever was still to run is missing.
    (counts, success && !interrupt.seen())
}

fn next(waiting: &Mutex<VecDeque<Program>>) -> Option<Program> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Shows what a program printed and counts its tests; says whether it ended well.
fn conclude(program: &Program, outcome: Result<Output>, counts: &mut Counts, to: &mut impl Write) -> io::Result<bool> {
    let name = program.file.file_name().unwrap_or_default().to_string_lossy();
    writeln!(to, "     Running {name}")?;
    match outcome {
        Ok(output) => {
            to.write_all(&output.stdout)?;
            String::from_utf8_lossy(&output.stdout).lines().for_each(|line| counts.add_line(line));
            if !output.status.success() {
                writeln!(to, "error: {name} ended with {}", output.status)?;
            }
            Ok(output.status.success())
        }
        Err(error) => {
            writeln!(to, "error: {error:#}")?;
            Ok(false)
        }
    }
}

impl Program {
    fn run(&self, prepare: &impl Fn(&mut Command)) -> Result<Output> {
        let mut command = Command::new(&self.file);
        command.current_dir(&self.folder).env("PATH", process::search_path()).stderr(Stdio::inherit());
        prepare(&mut command);
        command.output().with_context(|| format!("failed to start `{}`", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(file: &str) -> Program {
        Program { file: file.into(), folder: "/".into() }
    }

    #[test]
    fn only_programs_of_tests_are_run() {
        let line = |test: bool, executable: &str| {
            let profile = format!(r#""profile":{{"opt_level":"0","test":{test}}}"#);
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml",{profile},"executable":{executable}}}"#
            )
        };
        let program = test_program(&line(true, r#""/w/target/wire-1""#)).unwrap().unwrap();
        assert_eq!((program.file, program.folder), ("/w/target/wire-1".into(), "/w/tests".into()));
        for other in
            [line(false, r#""/w/target/vipd-demo""#), line(true, "null"), r#"{"reason":"build-finished"}"#.to_owned()]
        {
            assert!(test_program(&other).unwrap().is_none(), "{other}");
        }
        assert!(test_program("cargo").is_err());
    }

    #[test]
    fn all_programs_run_and_one_that_fails_is_seen() {
        let (interrupt, mut shown) = (Interrupt::fixed(false), Vec::new());
        let shell = || program("/bin/sh");
        let says = |command: &mut Command| {
            command.args(["-c", "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'"]);
        };
        let (counts, success) = run(vec![shell(); 5], 2, says, &interrupt, &mut shown);
        assert_eq!((counts, success), (Counts { passed: 10, failed: 0, ignored: 5 }, true));
        let (counts, success) = run(vec![shell(), program("/nonexistent")], 2, says, &interrupt, &mut shown);
        assert_eq!((counts, success), (Counts { passed: 2, failed: 0, ignored: 1 }, false));
        let dies = |command: &mut Command| {
            command.args(["-c", "exit 3"]);
        };
        assert_eq!(run(vec![shell()], 1, dies, &interrupt, &mut shown), (Counts::default(), false));
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(shown.matches("test result: ok. 2 passed").count(), 6, "{shown}");
        assert!(shown.ends_with("     Running sh\nerror: sh ended with exit status: 3\n"), "{shown}");
    }

    #[test]
    fn an_interrupted_run_is_no_success() {
        let ends_well = |_: &mut Command| {};
        let (counts, success) = run(vec![program("/bin/true")], 1, ends_well, &Interrupt::fixed(true), io::sink());
        assert_eq!((counts, success), (Counts::default(), false));
    }
}
