//! Whether a program ends with status 0; killed with all that it has started when it ends or takes too long.

use std::{process::Stdio, time::Duration};

use tokio::time::timeout;

use super::patience::Patience;
use crate::program::{Occasion, Program, Running, describe};

/// Characters of its output that are shown.
const SHOWN_MAX: usize = 256;
/// How long a program that was killed may take to be gone.
const DEATH_PATIENCE: Duration = Duration::from_secs(1);

/// Runs a program again and again.
#[derive(Debug)]
pub(super) struct Runner {
    name: String,
    program: Program,
    starting: Patience<Result<Running, String>>,
    /// One that runs, or has been killed and is not gone yet.
    running: Option<Running>,
}

impl Runner {
    /// Runs it for the check called `name`.
    pub(super) fn new(name: String, program: Program) -> Self {
        Self { name, program, starting: Patience::default(), running: None }
    }

    pub(super) async fn look(&mut self) -> Result<String, String> {
        let running = self.begin().await?;
        running.ended().await;
        let said = first_line(&running.said());
        let status = running.kill().await;
        self.running = None;
        let status = status.map_err(|error| format!("its status is not known: {error}"))?;
        let outcome = format!("{}{said}", describe(status));
        if status.success() { Ok(outcome) } else { Err(outcome) }
    }

    async fn begin(&mut self) -> Result<&mut Running, String> {
        if self.running.is_some() {
            self.give_up().await;
            if let Some(running) = &self.running {
                return Err(format!("process {} of the last run cannot be killed", running.group()));
            }
        }
        let (name, program) = (self.name.clone(), self.program.clone());
        let started = self.starting.wait_for(move || start(name, &program)).await??;
        Ok(self.running.insert(started))
    }

    /// Kills what runs, and waits for its end, though not for ever.
    pub(super) async fn give_up(&mut self) {
        if let Some(running) = &mut self.running
            && timeout(DEATH_PATIENCE, running.kill()).await.is_ok()
        {
            self.running = None;
        }
    }
}

fn start(name: String, program: &Program) -> Result<Running, String> {
    program.examine()?;
    let variables = vec![("VIPD_CHECK", name)];
    Running::start(program, Occasion { arguments: Vec::new(), variables, input: Stdio::null() })
}

fn first_line(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default().chars().filter(|char| !char.is_control());
    let line: String = line.take(SHOWN_MAX).collect();
    if line.is_empty() { String::new() } else { format!(", having said {line:?}") }
}

#[cfg(test)]
mod tests;
