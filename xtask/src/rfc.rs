//! `cargo xtask rfc`: the rules of the RFCs beside the tests that show them, and what has neither test nor reason.

mod ledger;
mod marks;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::{
    ledger::{Ledger, Level, Row, Side},
    marks::marks,
};
use crate::{process, tidy};

/// Where the rows are.
const LEDGER: &str = "docs/conformance.toml";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Show the tests of these rows instead.
    rows: Vec<String>,
}

/// The tests of each row and side.
type Tests = BTreeMap<(String, Side), Vec<String>>;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (ledger, tests) = read()?;
    let mut out = io::stdout().lock();
    if !options.rows.is_empty() {
        for id in &options.rows {
            let row = ledger.row(id).with_context(|| format!("no row `{id}` in `{LEDGER}`"))?;
            list(&mut out, row, &tests)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for row in &ledger.rows {
        writeln!(out, "{}", line(row, &tests))?;
    }
    writeln!(out, "\n{}", summary(&ledger, &tests))?;
    Ok(if broken(&ledger, &tests).is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows the MUSTs that have neither a test nor a reason, and nothing else; for [`lint`](crate::lint).
pub(crate) fn check() -> Result<ExitCode> {
    let (ledger, tests) = read()?;
    let broken = broken(&ledger, &tests);
    for row in &broken {
        eprintln!("{}", line(row, &tests));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read() -> Result<(Ledger, Tests)> {
    let text =
        fs::read_to_string(process::workspace().join(LEDGER)).with_context(|| format!("failed to read `{LEDGER}`"))?;
    let ledger = Ledger::parse(&text).with_context(|| format!("`{LEDGER}` is wrong"))?;
    let tests = tests(&ledger)?;
    Ok((ledger, tests))
}

/// Every test of the workspace that names rows.
fn tests(ledger: &Ledger) -> Result<Tests> {
    let top = process::workspace();
    let mut tests = Tests::new();
    for file in tidy::files(top)? {
        let name = file.strip_prefix(top).unwrap_or(&file).to_string_lossy().into_owned();
        if file.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read `{name}`"))?;
        for found in marks(&text).with_context(|| format!("in `{name}`"))? {
            let shown = format!("{name}::{}", found.test);
            ensure!(ledger.row(&found.row).is_some(), "`{shown}` names row `{}`, which `{LEDGER}` has not", found.row);
            tests.entry((found.row, found.side)).or_default().push(shown);
        }
    }
    Ok(tests)
}

/// The sides of a row that have neither test nor reason.
fn lacks(row: &Row, tests: &Tests) -> Vec<Side> {
    let is_open = |side: &Side| row.reason(*side).is_none() && !tests.contains_key(&(row.id.clone(), *side));
    Side::BOTH.into_iter().filter(is_open).collect()
}

/// The rows that must not lack anything and do.
fn broken<'l>(ledger: &'l Ledger, tests: &Tests) -> Vec<&'l Row> {
    ledger.rows.iter().filter(|row| row.level == Level::Must && !lacks(row, tests).is_empty()).collect()
}

/// What of the row is shown: `+` and `-` with the number of tests, `r` for a reason, `?` for nothing.
fn line(row: &Row, tests: &Tests) -> String {
    let side = |side: Side| match (tests.get(&(row.id.clone(), side)), row.reason(side)) {
        (Some(tests), _) => format!("{side}{}", tests.len()),
        (None, Some(_)) => format!("{side}r"),
        (None, None) => format!("{side}?"),
    };
    let [positive, negative] = Side::BOTH.map(side);
    format!("{:<4} {:<9} {positive:<4} {negative:<4} {}", row.id, row.level, row.rule)
}

fn summary(ledger: &Ledger, tests: &Tests) -> String {
    let lines = Level::ALL.map(|level| {
        let rows: Vec<_> = ledger.rows.iter().filter(|row| row.level == level).collect();
        let lacking: Vec<_> = rows.iter().filter(|row| !lacks(row, tests).is_empty()).map(|row| &*row.id).collect();
        let excused = rows.iter().filter(|row| row.excuse.is_some()).count();
        let end = if lacking.is_empty() { String::new() } else { format!(": {}", lacking.join(" ")) };
        format!("{level:<9} {} rows, {excused} with a reason, {} lacking{end}", rows.len(), lacking.len())
    });
    lines.join("\n")
}

fn list(out: &mut impl Write, row: &Row, tests: &Tests) -> Result<()> {
    writeln!(out, "{} {}, {}: {}", row.id, row.level, row.section, row.rule)?;
    for side in Side::BOTH {
        for test in tests.get(&(row.id.clone(), side)).into_iter().flatten() {
            writeln!(out, "  {side} {test}")?;
        }
        if let Some(reason) = row.reason(side) {
            writeln!(out, "  {side} none: {reason}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = r#"
        [[row]]
        id = "A1"
        level = "must"
        section = "5.1"
        rule = "adverts are sent"
        no_negative = "nothing to forbid"
        [[row]]
        id = "B1"
        level = "must"
        section = "7.1"
        rule = "bad ones are discarded"
        [[row]]
        id = "C1"
        level = "may"
        section = "6.4"
        rule = "something else"
        excuse = "not done"
        [[row]]
        id = "D1"
        level = "should"
        section = "8.1"
        rule = "nice to have"
    "#;

    fn tests_of(marks: &[(&str, Side)]) -> Tests {
        marks.iter().map(|&(row, side)| ((row.to_owned(), side), vec!["a.rs::works".to_owned()])).collect()
    }

    #[test]
    fn a_side_needs_a_test_or_a_reason() {
        let ledger = Ledger::parse(LEDGER).unwrap();
        let tests = tests_of(&[("B1", Side::Negative)]);
        let lacking: Vec<_> = ledger.rows.iter().map(|row| lacks(row, &tests)).collect();
        assert_eq!(lacking, [vec![Side::Positive], vec![Side::Positive], vec![], Side::BOTH.to_vec()]);
        let shown: Vec<_> = ledger.rows.iter().map(|row| line(row, &tests)).collect();
        assert_eq!(
            shown,
            [
                "A1   must      +?   -r   adverts are sent",
                "B1   must      +?   -1   bad ones are discarded",
                "C1   may       +r   -r   something else",
                "D1   should    +?   -?   nice to have",
            ]
        );
        let broken: Vec<_> = broken(&ledger, &tests).iter().map(|row| &*row.id).collect();
        assert_eq!(broken, ["A1", "B1"]);
        assert_eq!(
            summary(&ledger, &tests),
            "must      2 rows, 0 with a reason, 2 lacking: A1 B1\nshould    1 rows, 0 with a reason, 1 lacking: D1\n\
             may       1 rows, 1 with a reason, 0 lacking\npractice  0 rows, 0 with a reason, 0 lacking"
        );
    }
}
