//! What is shipped for monitoring fits together: metrics and their page, alert rules, their tests and the runbook.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use clap::CommandFactory;
use serde_json::{Value, json};
use vipd::{
    cli::Cli,
    observe::metrics::{Family, families},
};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> Result<String> {
    fs::read_to_string(path(name)).with_context(|| format!("failed to read `{name}`"))
}

/// Runs promtool; `None` where it is not installed and need not be.
fn promtool(arguments: &[&str]) -> Result<Option<String>> {
    let output = match Command::new("promtool").args(arguments).current_dir(path("deploy/prometheus")).output() {
        Ok(output) => output,
        Err(error) => {
            harness::report_unavailable("promtool", &anyhow::Error::new(error).context("failed to start `promtool`"));
            return Ok(None);
        }
    };
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "`promtool {}`: {said}", arguments.join(" "));
    Ok(Some(said))
}

/// The names of all alerts.
fn alerts() -> Result<BTreeSet<String>> {
    let rules = read("deploy/prometheus/alerts.yaml")?;
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    Ok(names.map(str::to_owned).collect())
}

fn row(family: &Family) -> String {
    let labels: Vec<_> = family.labels().iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {} | {} | {} |", family.name, family.kind.name(), labels.join(", "), family.help)
}

/// The page on metrics has a row for each, in their order.
#[test]
fn the_page_lists_every_metric() -> Result<()> {
    let page = read("docs/metrics.md")?;
    let listed: Vec<_> = page.lines().filter(|line| line.starts_with("| `vipd_")).collect();
    let listed: Vec<_> = listed.into_iter().filter(|line| line.matches(" | ").count() == 3).collect();
    let expected: Vec<_> = families().map(row).collect();
    ensure!(listed == expected, "docs/metrics.md should have these rows:\n{}", expected.join("\n"));
    Ok(())
}

/// Whatever rules, dashboard and pages name is a metric, or a recording rule.
#[test]
fn what_is_named_is_there() -> Result<()> {
    let rules = read("deploy/prometheus/alerts.yaml")?;
    let records: BTreeSet<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).collect();
    let known: BTreeSet<_> = families().map(|family| family.name).collect();
    let suffixes = ["", "_bucket", "_sum", "_count"];
    for file in ["deploy/prometheus/alerts.yaml", "deploy/grafana/vipd.json", "docs/runbook.md", "docs/metrics.md"] {
        let text = read(file)?;
        let is_of_name = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
        let words = text.split(|char| !is_of_name(char)).map(|word| word.trim_end_matches(':'));
        let mut count = 0;
        for word in words.filter(|word| word.starts_with("vipd_") || word.starts_with("vipd:")) {
            let is_metric =
                suffixes.iter().any(|suffix| word.strip_suffix(suffix).is_some_and(|word| known.contains(word)));
            ensure!(is_metric || records.contains(word), "{file}: there is no metric `{word}`");
            count += 1;
        }
        ensure!(count > 0, "{file} names no metric");
    }
    Ok(())
}

/// Every alert fires in a test, and there are tests in which nothing fires.
#[test]
fn alerts_fire_when_they_must_and_not_otherwise() -> Result<()> {
    let (mut files, mut text) = (Vec::new(), String::new());
    for entry in fs::read_dir(path("deploy/prometheus/tests"))? {
        let file = entry?.path();
        text += &fs::read_to_string(&file)?;
        files.push(file.to_str().context("not UTF-8")?.to_owned());
    }
    for alert in alerts()? {
        ensure!(text.contains(&format!("alertname=\"{alert}\"")), "no test has `{alert}` fire");
    }
    let quiet = text.matches("exp_samples: []").count();
    ensure!(quiet >= 5, "only {quiet} times nothing fires");
    promtool(&["check", "rules", "alerts.yaml"])?;
    let arguments: Vec<_> = ["test", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect();
    promtool(&arguments)?;
    Ok(())
}

/// What the dashboard asks for in the panel of this title.
fn query(title: &str) -> Result<String> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/vipd.json")?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let panel = panels.iter().find(|panel| panel["title"] == title).context("no such panel")?;
    let query = panel["targets"][0]["expr"].as_str().context("no query")?;
    Ok(query.replace("$cluster", "c"))
}

/// A check passes that says so, or whose value is 0.
#[test]
fn the_panel_of_checks_shows_which_pass() -> Result<()> {
    let of_node = r#"job="vipd", instance="n1""#;
    let series = |name: &str, labels: &str, value: u32| json!({ "series": format!("{name}{{{of_node}, {labels}}}"), "values": value.to_string() });
    let state = |check: &str, state: &str, is: bool| {
        series("vipd_check_state", &format!("check=\"{check}\", state=\"{state}\""), is.into())
    };
    let mut input = vec![series("vipd_node_info", r#"cluster="c", node="n1""#, 1)];
    // (check, its state, its value, whether it passes)
    let checks = [
        ("web", "passing", None, 1),
        ("dns", "failing", None, 0),
        ("quiet", "value", Some(0), 1),
        ("loaded", "value", Some(7), 0),
        ("torn", "failing", None, 0),
    ];
    let mut expected = Vec::new();
    for (check, now, value, passes) in checks {
        input.extend(["passing", "failing", "value", "unknown"].map(|of| state(check, of, of == now)));
        input.extend(value.map(|value| series("vipd_check_value", &format!("check=\"{check}\""), value)));
        expected.push(json!({ "labels": format!("{{check=\"{check}\", node=\"n1\"}}"), "value": passes }));
    }
    let asked = json!({ "expr": query("Checks that pass")?, "eval_time": "0s", "exp_samples": expected });
    let test = json!({ "interval": "1m", "input_series": input, "promql_expr_test": [asked] });
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("panel.yaml");
    fs::write(&file, json!({ "rule_files": [], "tests": [test] }).to_string())?;
    promtool(&["test", "rules", file.to_str().context("not UTF-8")?])?;
    Ok(())
}

/// Each alert has a section of the runbook, which its URL leads to, and each section an alert.
#[test]
fn the_runbook_has_a_section_for_each_alert() -> Result<()> {
    let (rules, runbook) = (read("deploy/prometheus/alerts.yaml")?, read("docs/runbook.md")?);
    let sections: BTreeSet<_> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let alerts = alerts()?;
    ensure!(sections == alerts, "sections {sections:?}, alerts {alerts:?}");
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default();
        for part in ["severity: ", "summary: ", "description: "] {
            ensure!(rule.contains(part), "{name} has no `{part}`");
        }
        let anchor = format!("docs/runbook.md#{}", name.to_lowercase());
        ensure!(
            rule.lines().any(|line| line.contains("runbook_url: ") && line.ends_with(&anchor)),
            "{name} has no URL {anchor}"
        );
    }
    for section in runbook.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap_or_default();
        for part in ["**Means.**", "**Users notice.**", "**Look.**", "**Mend.**"] {
            ensure!(section.contains(part), "{name} does not say {part}");
        }
    }
    Ok(())
}

/// Each `vipd …` in the runbook can be typed.
#[test]
fn the_commands_in_the_runbook_exist() -> Result<()> {
    let runbook = read("docs/runbook.md")?;
    let mut checked = BTreeSet::new();
    for command in runbook.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("vipd ")) {
        let parsed = Cli::command().try_get_matches_from(["vipd"].into_iter().chain(command.split_whitespace()));
        let complaint = parsed.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(complaint.is_empty(), "`vipd {command}`: {complaint}");
        checked.insert(command);
    }
    ensure!(checked.len() >= 5, "only {checked:?} were found");
    Ok(())
}
