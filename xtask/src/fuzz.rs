//! `cargo xtask fuzz`: searches by libFuzzer for inputs that break a target of `tests/fuzz`.
//!
//! A search begins with the committed corpus and with what earlier ones have found, which stays in `target`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    process,
    setup::{self, Needs},
};

/// The package of the targets.
const PACKAGE: &str = "tests/fuzz";
/// Seconds after which one input counts as one that hangs.
const HANGS_AFTER: u32 = 10;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The targets; without any, all of them.
    targets: Vec<String>,
    /// How long to search with each.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Put the inputs that reach what no other does into the committed corpus.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let targets = chosen(&options.targets, known(&process::workspace().join(PACKAGE))?)?;
    setup::ensure(Needs::Fuzzing)?;
    let mut broken = vec![];
    for target in targets {
        let (found, corpus) = (format!("target/fuzz/{target}"), format!("{PACKAGE}/corpus/{target}"));
        let folder = process::workspace().join(&found);
        fs::create_dir_all(&folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
        let limits = [format!("-max_total_time={}", options.seconds), format!("-timeout={HANGS_AFTER}")];
        let search = cargo_fuzz(&target, [&found, &corpus]).args(limits).args(dictionary(&target)).status();
        if !search.context("failed to start cargo-fuzz")?.success() {
            broken.push(target);
        } else if options.keep {
            process::run(cargo_fuzz(&target, [&corpus, &found]).args([
                "-merge=1",
                "-set_cover_merge=1",
                "-use_counters=0",
            ]))?;
        }
    }
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("fuzz: found something: {}; the inputs are in {PACKAGE}/artifacts", broken.join(", "));
    Ok(ExitCode::FAILURE)
}

/// The targets, by their files.
fn known(package: &Path) -> Result<Vec<String>> {
    let folder = package.join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("failed to read `{}`", folder.display()))?;
    let mut names = vec![];
    for entry in entries {
        names.extend(entry?.path().file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn chosen(wanted: &[String], known: Vec<String>) -> Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", known.join(", "));
    }
    Ok(if wanted.is_empty() { known } else { wanted.to_vec() })
}

/// `target` with `corpora`, of which new inputs go into the first. Arguments that follow are libFuzzer's.
///
/// No sanitizer: it needs a nightly compiler, and hardly any code here is unsafe.
fn cargo_fuzz(target: &str, corpora: [&str; 2]) -> Command {
    let mut cargo = process::cargo();
    cargo
        .args(["fuzz", "run", "--fuzz-dir", PACKAGE, "--sanitizer", "none", "--features", "search", target])
        .args(corpora)
        .args(["--", "-print_final_stats=1"])
        // Five programs are linked for a short life, and a finding's backtrace needs names.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    cargo
}

/// The words that inputs of `target` are made of, if there are any.
fn dictionary(target: &str) -> Option<String> {
    let file = PathBuf::from(PACKAGE).join(target).with_extension("dict");
    process::workspace().join(&file).exists().then(|| format!("-dict={}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_known_and_no_other() {
        let known = known(&process::workspace().join(PACKAGE)).unwrap();
        assert_eq!(known, ["advert", "configuration", "control", "election", "import", "trailer"]);
        assert_eq!(chosen(&[], known.clone()).unwrap(), known);
        assert_eq!(chosen(&["trailer".to_owned()], known.clone()).unwrap(), ["trailer"]);
        let error = chosen(&["trailers".to_owned()], known).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no fuzz target `trailers`; there are advert, configuration, control, election, import, trailer"
        );
    }
}
