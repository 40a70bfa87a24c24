//! How far a run is, on the terminal.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::result::{Row, Spread};

#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    done: u32,
    steps: u32,
}

impl Progress {
    pub(crate) fn new(steps: u32) -> Self {
        Self { begun: Instant::now(), done: 0, steps }
    }

    /// Shows what comes next, and how long all will take if the rest is like what was.
    pub(crate) fn step(&mut self, what: &str) {
        let rest = if self.done == 0 {
            String::new()
        } else {
            let rest = self.begun.elapsed() / self.done * self.steps.saturating_sub(self.done);
            format!(", {} left", minutes(rest))
        };
        self.done += 1;
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K{} of {}{rest}: {what}", self.done, self.steps);
        }
    }

    /// Prints rows that are done.
    pub(crate) fn show(&self, rows: &[Row]) -> io::Result<()> {
        if io::stderr().is_terminal() {
            write!(io::stderr(), "\r\x1b[K")?;
        } else {
            writeln!(io::stderr(), "{} of {} after {}", self.done, self.steps, minutes(self.begun.elapsed()))?;
        }
        let mut out = io::stdout().lock();
        for row in rows {
            let Some(Spread { count, min, median, max }) = row.spread() else { continue };
            let Row { scenario, subject, interval_ms, transport, family, measure, unit, .. } = row;
            writeln!(
                out,
                "{scenario:<28} {interval_ms:>5} ms {transport:<9} {family:<4} {subject:<12} {measure:<32} \
                 {min:>9.1} {median:>9.1} {max:>9.1} {unit:<6} ({count})"
            )?;
        }
        Ok(())
    }
}

fn minutes(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}
