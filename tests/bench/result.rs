//! What was measured, for files and for people.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// All figures of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// When it began, in seconds since 1970.
    pub(crate) begun: u64,
    pub(crate) machine: Vec<(String, String)>,
    pub(crate) rows: Vec<Row>,
}

/// The figures of one measure under one set of conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What happens: a fault, a flood, a number of virtual routers.
    pub(crate) scenario: String,
    /// To whom.
    pub(crate) subject: String,
    /// Advertisement interval in milliseconds; 0 where there is none.
    pub(crate) interval_ms: u64,
    /// `multicast` or `unicast`.
    pub(crate) transport: String,
    /// `IPv4`, `IPv6`, or both.
    pub(crate) family: String,
    /// What is measured.
    pub(crate) measure: String,
    pub(crate) unit: String,
    pub(crate) values: Vec<f64>,
}

impl Row {
    /// Without figures yet, over IPv4 and multicast.
    pub(crate) fn new(scenario: &str, subject: &str, measure: &str, unit: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            subject: subject.to_owned(),
            interval_ms: 0,
            transport: "multicast".to_owned(),
            family: "IPv4".to_owned(),
            measure: measure.to_owned(),
            unit: unit.to_owned(),
            values: Vec::new(),
        }
    }

    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(&self.values)
    }

    /// How much more than those of `other` its figures are, trial by trial.
    pub(crate) fn excess(&self, other: &Self) -> Option<Spread> {
        let differences: Vec<_> = self.values.iter().zip(&other.values).map(|(own, other)| own - other).collect();
        Spread::of(&differences)
    }

    /// Whether both are of the same conditions and the same measure, whoever the subject.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let conditions = |it: &Self| {
            (it.scenario.clone(), it.interval_ms, it.transport.clone(), it.family.clone(), it.measure.clone())
        };
        conditions(self) == conditions(other)
    }
}

/// What `rows` are about, each once, in their order.
pub(crate) fn scenarios<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Vec<&'r str> {
    let mut scenarios: Vec<&str> = Vec::new();
    for row in rows {
        if !scenarios.contains(&row.scenario.as_str()) {
            scenarios.push(&row.scenario);
        }
    }
    scenarios
}

/// How figures are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` where there are no figures.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let count = sorted.len();
        let median = f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]);
        Some(Self { count, min, median, max })
    }
}

impl Results {
    pub(crate) fn load(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("failed to read `{}`", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("`{}` has no results", file.display()))
    }

    /// What runs have left in `folder`, in the order in which they began.
    pub(crate) fn load_all(folder: &Path) -> Result<Vec<Self>> {
        let entries = fs::read_dir(folder).with_context(|| format!("failed to read `{}`", folder.display()))?;
        let mut runs = Vec::new();
        for entry in entries {
            let file = entry?.path();
            if file.extension().is_some_and(|it| it == "json") {
                runs.push(Self::load(&file)?);
            }
        }
        ensure!(!runs.is_empty(), "`{}` has no results", folder.display());
        runs.sort_by_key(|run| run.begun);
        Ok(runs)
    }

    /// The figures of all `runs`.
    pub(crate) fn together(runs: &[Self]) -> Self {
        let mut all = Self { begun: 0, machine: Vec::new(), rows: Vec::new() };
        for row in runs.iter().flat_map(|run| &run.rows) {
            let like = Row { values: Vec::new(), ..row.clone() };
            all.row(&like).values.extend(&row.values);
        }
        all
    }

    pub(crate) fn save(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
        }
        fs::write(file, serde_json::to_vec(self)?).with_context(|| format!("failed to write `{}`", file.display()))
    }

    /// The row of the same conditions and measure, made if there is none yet.
    pub(crate) fn row(&mut self, like: &Row) -> &mut Row {
        let at = self.rows.iter().position(|row| row.is_beside(like) && row.subject == like.subject);
        let at = at.unwrap_or_else(|| {
            self.rows.push(like.clone());
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_runs_have_measured_counts_together() {
        let run = |measure: &str, value| {
            let row = Row { values: vec![value], ..Row::new("link down", "vipd", measure, "ms") };
            Results { begun: 1, machine: Vec::new(), rows: vec![row] }
        };
        let all = Results::together(&[run("outage", 1.0), run("announcements", 2.0), run("outage", 3.0)]);
        let values: Vec<_> = all.rows.iter().map(|row| (row.measure.as_str(), row.values.clone())).collect();
        assert_eq!(values, [("outage", vec![1.0, 3.0]), ("announcements", vec![2.0])]);
    }

    #[test]
    fn figures_are_told_by_their_median_and_their_ends() {
        let even = Spread { count: 4, min: 1.0, median: 2.5, max: 9.0 };
        assert_eq!(Spread::of(&[3.0, 9.0, 1.0, 2.0]), Some(even));
        let odd = Spread { count: 3, min: 1.0, median: 3.0, max: 9.0 };
        assert_eq!(Spread::of(&[3.0, 9.0, 1.0]), Some(odd));
        assert_eq!(Spread::of(&[]), None);
    }
}
