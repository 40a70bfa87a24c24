//! How far a run is, on the terminal.

use std::{
    io::{self, IsTerminal, Write},
    iter::Sum,
    time::{Duration, Instant},
};

use crate::result::{Row, Spread};

/// Steps, and how long they take on an ordinary machine, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Workload {
    steps: u32,
    span: Duration,
}

impl Workload {
    pub(crate) fn of(steps: u32, each: Duration) -> Self {
        Self { steps, span: each * steps }
    }
}

impl Sum for Workload {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, it| Self { steps: sum.steps + it.steps, span: sum.span + it.span })
    }
}

#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    /// What is done, the step that runs included.
    begun_steps: Workload,
    whole: Workload,
}

impl Progress {
    pub(crate) fn new(whole: Workload) -> Self {
        Self { begun: Instant::now(), begun_steps: Workload::default(), whole }
    }

    /// Shows a step that comes next, which takes about `span`, and how long the rest takes if this machine keeps its pace.
    pub(crate) fn step(&mut self, what: &str, span: Duration) {
        let rest = minutes(self.left(self.begun.elapsed()));
        self.begun_steps = [self.begun_steps, Workload::of(1, span)].into_iter().sum();
        if io::stderr().is_terminal() {
            let (done, steps) = (self.begun_steps.steps, self.whole.steps);
            let _ = write!(io::stderr(), "\r\x1b[K{done} of {steps}, {rest} left: {what}");
        }
    }

    /// What the rest takes, when what is done took `elapsed`.
    fn left(&self, elapsed: Duration) -> Duration {
        let (done, whole) = (self.begun_steps.span, self.whole.span);
        let pace = if done.is_zero() { 1.0 } else { elapsed.div_duration_f64(done) };
        whole.saturating_sub(done).mul_f64(pace)
    }

    /// Prints rows that are done.
    pub(crate) fn show(&self, rows: &[Row]) -> io::Result<()> {
        if io::stderr().is_terminal() {
            write!(io::stderr(), "\r\x1b[K")?;
        } else {
            let (elapsed, [done, steps]) = (self.begun.elapsed(), [self.begun_steps, self.whole].map(|it| it.steps));
            writeln!(
                io::stderr(),
                "{done} of {steps} after {}, {} left",
                minutes(elapsed),
                minutes(self.left(elapsed))
            )?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten long steps are not what ten short ones were.
    #[test]
    fn what_is_left_follows_what_steps_take_and_the_pace_of_the_machine() {
        let seconds = Duration::from_secs;
        let whole = [Workload::of(10, seconds(2)), Workload::of(10, seconds(20))];
        let mut progress = Progress::new(whole.into_iter().sum());
        assert_eq!(progress.left(Duration::ZERO), seconds(220));
        (0..10).for_each(|_| progress.step("short", seconds(2)));
        for (elapsed, expected) in [(20, 200), (40, 400), (10, 100)] {
            assert_eq!(progress.left(seconds(elapsed)), seconds(expected), "after {elapsed} s");
        }
        (0..10).for_each(|_| progress.step("long", seconds(20)));
        assert_eq!(progress.left(seconds(300)), Duration::ZERO);
    }
}
