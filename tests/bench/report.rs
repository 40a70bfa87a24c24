//! The report of a run: Markdown and drawings.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use vipd::clock;

use crate::{
    goal::{self, Outcome},
    plot,
    result::{Results, Row, Spread, scenarios},
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What runs have left, each of other parts, or of more trials, and `missed.md`, which stands beneath the goals.
    #[arg(default_value = "tests/bench/release")]
    figures: PathBuf,
    /// Where `benchmarks.md` and `images` go.
    #[arg(long, default_value = "docs")]
    output: PathBuf,
}

/// Medians that differ by no more are level: a twentieth, or what their unit is good for.
const LEVEL: f64 = 0.05;

/// What is measured and has no better or worse.
const NEUTRAL: [&str; 2] = ["announcements", "first address held after"];

const METHOD: &str = include_str!("method.md");

/// Writes the report of all that the folder has.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runs = Results::load_all(&options.figures)?;
    let remarks = options.figures.join("missed.md");
    let remarks = fs::read_to_string(&remarks).with_context(|| format!("failed to read `{}`", remarks.display()))?;
    write(&runs, &remarks, &options.output)?;
    Ok(())
}

/// Writes the report of `runs` into `folder`; answers which file it is.
pub(crate) fn write(runs: &[Results], remarks: &str, folder: &Path) -> Result<PathBuf> {
    let images = folder.join("images");
    fs::create_dir_all(&images).with_context(|| format!("failed to make `{}`", images.display()))?;
    let results = Results::together(runs);
    let drawings = plot::draw(&results, &images)?;
    let file = folder.join("benchmarks.md");
    let text = text(runs, &results, remarks, &drawings)?;
    fs::write(&file, text).with_context(|| format!("failed to write `{}`", file.display()))?;
    Ok(file)
}

fn text(runs: &[Results], results: &Results, remarks: &str, drawings: &[(String, String)]) -> Result<String> {
    let mut text = METHOD.to_owned();
    writeln!(text, "\n## Machine\n")?;
    for (at, run) in runs.iter().enumerate() {
        let date = clock::date(Duration::from_secs(run.begun)).date();
        writeln!(text, "On {date}{}: {}.\n", conditions(&run.rows), scenarios(&run.rows).join("; "))?;
        if runs.get(at + 1).is_none_or(|next| next.machine != run.machine) {
            writeln!(text, "| | |\n| --- | --- |")?;
            for (name, value) in &run.machine {
                writeln!(text, "| {name} | {value} |")?;
            }
            writeln!(text)?;
        }
    }
    writeln!(
        text,
        "## Goals\n\nThe worst of both families and of all transports that were tried. *Phase by phase* means: trials of both \
         daemons at the same phase are compared, and the median of their differences is a millisecond at most, the time between two questions of the client.\n"
    )?;
    writeln!(text, "| what | goal | keepalived | vipd | |\n| --- | --- | ---: | ---: | --- |")?;
    for Outcome { what, limit, figures: [peer, own], verdict } in goal::outcomes(results) {
        writeln!(text, "| {what} | {limit} | {peer} | {own} | {verdict} |")?;
    }
    write!(text, "\n{remarks}")?;
    for (title, file) in drawings {
        writeln!(text, "\n![{title}](images/{file})")?;
    }
    writeln!(
        text,
        "\n## All figures\n\nMinimum / median / maximum (count). The ratio is that of vipd's median to keepalived's."
    )?;
    for scenario in scenarios(&results.rows) {
        writeln!(text, "\n### {}{}\n", scenario[..1].to_uppercase(), &scenario[1..])?;
        scenario_table(results, scenario, &mut text)?;
    }
    Ok(text)
}

/// At which intervals and by which transports adverts were sent; nothing where none were.
fn conditions(rows: &[Row]) -> String {
    let intervals: BTreeSet<_> =
        rows.iter().map(|row| row.interval_ms).filter(|&interval_ms| interval_ms > 0).collect();
    let transports: BTreeSet<_> =
        rows.iter().map(|row| row.transport.as_str()).filter(|name| !name.is_empty()).collect();
    if intervals.is_empty() {
        return String::new();
    }
    let intervals: Vec<_> = intervals.iter().map(u64::to_string).collect();
    let transports: Vec<_> = transports.into_iter().collect();
    format!(", an advert every {} ms by {}", intervals.join(" or "), transports.join(" and "))
}

fn scenario_table(results: &Results, scenario: &str, text: &mut String) -> Result<()> {
    let rows: Vec<_> = results.rows.iter().filter(|row| row.scenario == scenario).collect();
    let mut subjects: Vec<_> = Vec::new();
    for row in &rows {
        if !subjects.contains(&row.subject.as_str()) {
            subjects.push(&row.subject);
        }
    }
    let rule = " ---: |".repeat(subjects.len());
    writeln!(text, "| interval | | | measure | {} | ratio | vipd is |", subjects.join(" | "))?;
    writeln!(text, "| ---: | --- | --- | --- |{rule} ---: | --- |")?;
    let mut shown: Vec<&Row> = Vec::new();
    for row in rows.iter().copied() {
        if shown.iter().any(|other| other.is_beside(row)) {
            continue;
        }
        shown.push(row);
        let of = |subject: &str| rows.iter().find(|it| it.is_beside(row) && it.subject == subject);
        let cells: Vec<_> =
            subjects.iter().map(|subject| of(subject).map_or_else(String::new, |row| cell(row))).collect();
        let (ratio, verdict) = compare(of("vipd").copied(), of("keepalived").copied());
        let interval = if row.interval_ms == 0 { String::new() } else { format!("{} ms", row.interval_ms) };
        writeln!(
            text,
            "| {interval} | {} | {} | {} | {} | {ratio} | {verdict} |",
            row.transport,
            row.family,
            row.measure,
            cells.join(" | ")
        )?;
    }
    Ok(())
}

fn cell(row: &Row) -> String {
    row.spread().map_or_else(String::new, |Spread { count, min, median, max }| {
        format!("{min:.1} / {median:.1} / {max:.1} {} ({count})", row.unit).replace("  ", " ")
    })
}

/// The ratio of medians, and who is ahead.
fn compare(own: Option<&Row>, peer: Option<&Row>) -> (String, &'static str) {
    let Some((own, peer)) = own.zip(peer) else { return (String::new(), "") };
    let Some((ours, theirs)) = own.spread().zip(peer.spread()) else { return (String::new(), "") };
    let (ours, theirs) = (ours.median, theirs.median);
    let ratio = if theirs == 0.0 { String::new() } else { format!("{:.2}", ours / theirs) };
    if NEUTRAL.contains(&own.measure.as_str()) {
        return (ratio, "");
    }
    let least = match own.unit.as_str() {
        "ms" => 1.0,
        "%" => 0.1,
        "MiB" => 0.5,
        _ => 0.0,
    };
    let is_level = (ours - theirs).abs() <= (LEVEL * ours.max(theirs)).max(least);
    let is_more_better = ["throughput", "frames per second"].contains(&own.measure.as_str());
    let verdict = match (is_level, (ours > theirs) == is_more_better) {
        (true, _) => "level",
        (false, true) => "ahead",
        (false, false) => "behind",
    };
    (ratio, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page of the release and its drawings are what the figures that stand in the repository say, and nothing else.
    #[test]
    fn the_page_of_the_release_is_what_its_figures_say() -> Result<()> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let docs = tests.join("../docs");
        let folder = tempfile::tempdir()?;
        run(&Options { figures: tests.join("bench/release"), output: folder.path().to_owned() })?;
        let expect_same = |file: &str| -> Result<()> {
            let [there, here] = [docs.join(file), folder.path().join(file)].map(fs::read_to_string);
            assert_eq!(there?, here?, "`cargo xtask bench report` writes another docs/{file}");
            Ok(())
        };
        expect_same("benchmarks.md")?;
        let drawings: Vec<_> = fs::read_dir(folder.path().join("images"))?.collect::<Result<_, _>>()?;
        assert!(!drawings.is_empty());
        for drawing in drawings {
            expect_same(&format!("images/{}", drawing.file_name().display()))?;
        }
        Ok(())
    }

    #[test]
    fn a_run_is_told_apart_by_its_conditions() {
        let row = |interval_ms, transport: &str| Row {
            interval_ms,
            transport: transport.to_owned(),
            ..Row::new("x", "y", "z", "ms")
        };
        for (rows, expected) in [
            (
                vec![row(100, "unicast"), row(10, "unicast"), row(100, "unicast")],
                ", an advert every 10 or 100 ms by unicast",
            ),
            (vec![row(1000, "unicast"), row(1000, "multicast")], ", an advert every 1000 ms by multicast and unicast"),
            (vec![row(0, "")], ""),
        ] {
            assert_eq!(conditions(&rows), expected);
        }
    }

    #[test]
    fn who_is_ahead_is_said_by_medians() {
        let row = |measure, unit, value| Row { values: vec![value], ..Row::new("x", "y", measure, unit) };
        for (measure, unit, own, peer, expected) in [
            ("outage", "ms", 3.0, 43.0, ("0.07", "ahead")),
            ("outage", "ms", 290.0, 280.0, ("1.04", "level")),
            ("outage", "ms", 0.5, 1.4, ("0.36", "level")),
            ("outage", "ms", 60.0, 30.0, ("2.00", "behind")),
            ("CPU, Active", "%", 0.4, 0.1, ("4.00", "behind")),
            ("false takeovers", "", 0.0, 1.0, ("0.00", "ahead")),
            ("announcements", "", 10.0, 5.0, ("2.00", "")),
            ("throughput", "Gbit/s", 60.0, 30.0, ("2.00", "ahead")),
            ("two answer", "ms", 0.0, 0.0, ("", "level")),
        ] {
            let compared = compare(Some(&row(measure, unit, own)), Some(&row(measure, unit, peer)));
            assert_eq!((compared.0.as_str(), compared.1), expected, "{measure} {own} {peer}");
        }
    }
}
