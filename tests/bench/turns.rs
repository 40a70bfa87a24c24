//! Trials by turns: every daemon faces the same, one after the other, while the clients of the others rest.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{
    progress::Progress,
    result::{Results, Row},
    stage::Stage,
};

/// One figure of a trial, over IPv4 unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) family: &'static str,
    pub(crate) measure: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
}

impl Figure {
    pub(crate) const fn new(measure: &'static str, unit: &'static str, value: f64) -> Self {
        Self { family: "IPv4", measure, unit, value }
    }
}

/// What is tried.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) scenario: String,
    pub(crate) interval_ms: u64,
    pub(crate) transport: &'static str,
    /// Trials of each daemon.
    pub(crate) count: u32,
    /// About how long a trial takes.
    pub(crate) span: Duration,
}

/// Where figures go.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) results: Results,
    pub(crate) progress: Progress,
    /// What is kept of a run that ends early.
    pub(crate) file: PathBuf,
}

impl Output {
    /// Shows the rows from the one at `first` on, and keeps all.
    pub(crate) fn conclude(&self, first: usize) -> Result<()> {
        self.progress.show(&self.results.rows[first..])?;
        self.results.save(&self.file)
    }

    /// Has `attempt` try `scene` with each of `stages` that it `suits`, trial by trial, and shows what came of it.
    pub(crate) fn take_turns(
        &mut self,
        scene: &Scene,
        stages: &mut [(&'static str, Stage)],
        suits: impl Fn(&str) -> bool,
        mut attempt: impl FnMut(&mut Stage, u32) -> Result<Vec<Figure>>,
    ) -> Result<()> {
        let Scene { scenario, interval_ms, transport, count, span } = scene;
        let before = self.results.rows.len();
        for trial in 0..*count {
            // Who comes first is another one each time.
            let (last, first) = stages.split_at_mut(usize::try_from(trial)? % stages.len().max(1));
            for (name, stage) in first.iter_mut().chain(last).filter(|(name, _)| suits(name)) {
                self.progress.step(&format!("{scenario}, {interval_ms} ms, {name}"), *span);
                stage.wake()?;
                let figures = attempt(stage, trial)
                    .with_context(|| format!("{scenario} at {interval_ms} ms, trial {trial} of {name}"))?;
                stage.rest()?;
                for Figure { family, measure, unit, value } in figures {
                    let row = Row {
                        interval_ms: *interval_ms,
                        transport: (*transport).to_owned(),
                        family: family.to_owned(),
                        ..Row::new(scenario, name, measure, unit)
                    };
                    self.results.row(&row).values.push(value);
                }
            }
        }
        self.conclude(before)
    }
}
