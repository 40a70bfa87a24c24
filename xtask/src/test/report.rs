//! What the stages of a test run came to.

use std::{fmt, time::Duration};

use super::Requirement;

/// The stages of one run, in order. Displays as a table, and the sums on a last line of their own.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<(&'static str, Outcome)>);

impl Report {
    pub(super) fn add(&mut self, stage: &'static str, outcome: Outcome) {
        self.0.push((stage, outcome));
    }

    /// Whether nothing failed.
    pub(super) fn passed(&self) -> bool {
        self.0.iter().all(|(_, outcome)| outcome.failures() == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<20}{:>8}{:>8}{:>9}{:>10}", "stage", "passed", "failed", "ignored", "time")?;
        for (stage, outcome) in &self.0 {
            writeln!(f, "{stage:<20}{outcome}")?;
        }
        let passed: u32 = self.0.iter().map(|(_, outcome)| outcome.successes()).sum();
        let failed: u32 = self.0.iter().map(|(_, outcome)| outcome.failures()).sum();
        write!(f, "\n{passed} passed, {failed} failed")
    }
}

/// How one stage went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ran { counts: Counts, success: bool, time: Duration },
    NotRun { why: &'static str, requirement: Requirement },
}

impl Outcome {
    pub(super) fn ran(counts: Counts, success: bool, time: Duration) -> Self {
        Self::Ran { counts, success, time }
    }

    pub(super) fn not_run(why: &'static str, requirement: Requirement) -> Self {
        Self::NotRun { why, requirement }
    }

    fn successes(&self) -> u32 {
        match self {
            Self::Ran { counts, .. } => counts.passed,
            Self::NotRun { .. } => 0,
        }
    }

    /// Failed tests; one where the stage failed without any, as when it does not compile.
    fn failures(&self) -> u32 {
        match self {
            Self::Ran { counts, success: true, .. } => counts.failed,
            Self::Ran { counts, success: false, .. } => counts.failed.max(1),
            Self::NotRun { requirement: Requirement::All, .. } => 1,
            Self::NotRun { requirement: Requirement::Possible, .. } => 0,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran { counts: Counts { passed, failed, ignored }, success, time } => {
                write!(f, "{passed:>8}{failed:>8}{ignored:>9}{:>8.1} s", time.as_secs_f64())?;
                if !success && *failed == 0 {
                    write!(f, "  did not build, or ended before its result")?;
                }
                Ok(())
            }
            Self::NotRun { why, requirement: Requirement::All } => write!(f, "{:>8}{:>8}  not run: {why}", "-", 1),
            Self::NotRun { why, requirement: Requirement::Possible } => {
                write!(f, "{:>8}{:>8}  not run: {why}", "-", "-")
            }
        }
    }
}

/// Results of tests, as the test harness prints them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) ignored: u32,
}

impl Counts {
    /// Adds what `line` says if it is one of the harness's closing lines.
    pub(super) fn add_line(&mut self, line: &str) {
        let Some(results) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for result in results.1.split("; ") {
            match result.split_once(' ').map(|(number, what)| (number.parse::<u32>(), what)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn counts(passed: u32, failed: u32, ignored: u32) -> Counts {
        Counts { passed, failed, ignored }
    }

    #[test]
    fn result_lines_are_read_and_others_are_not() {
        let cases = [
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
                (12, 0, 1),
            ),
            ("test result: FAILED. 3 passed; 2 failed; 0 ignored; 7 measured; 5 filtered out", (3, 2, 0)),
            ("test result_of_election ... ok", (0, 0, 0)),
            ("test results, all told. 3 passed; 1 failed", (0, 0, 0)),
            ("  test result: ok. 1 passed; 0 failed", (0, 0, 0)),
            ("test result: ok. many passed; 0 failed", (0, 0, 0)),
            ("", (0, 0, 0)),
        ];
        for (line, (passed, failed, ignored)) in cases {
            let mut read = Counts::default();
            read.add_line(line);
            assert_eq!(read, counts(passed, failed, ignored), "{line}");
        }
    }

    #[test]
    fn the_last_line_sums_up() {
        let mut report = Report::default();
        report.add("unit and property", Outcome::ran(counts(120, 0, 1), true, MINUTE));
        report.add("namespaces", Outcome::ran(counts(9, 2, 0), false, MINUTE));
        assert_eq!(
            report.to_string(),
            "stage                 passed  failed  ignored      time\n\
             unit and property        120       0        1    60.0 s\n\
             namespaces                 9       2        0    60.0 s\n\
             \n\
             129 passed, 2 failed"
        );
        assert!(!report.passed());
    }

    #[test]
    fn a_stage_that_does_not_build_is_one_failure() {
        let mut report = Report::default();
        report.add("unit and property", Outcome::ran(Counts::default(), false, MINUTE));
        assert!(report.to_string().ends_with("\n0 passed, 1 failed"), "{report}");
        assert!(!report.passed());
    }

    #[test]
    fn a_stage_left_out_fails_only_where_all_are_required() {
        for (requirement, last, passed) in
            [(Requirement::Possible, "\n3 passed, 0 failed", true), (Requirement::All, "\n3 passed, 1 failed", false)]
        {
            let mut report = Report::default();
            report.add("unit and property", Outcome::ran(counts(3, 0, 0), true, MINUTE));
            report.add("namespaces", Outcome::not_run("needs root", requirement));
            assert!(report.to_string().contains("not run: needs root\n"), "{report}");
            assert!(report.to_string().ends_with(last), "{report}");
            assert_eq!(report.passed(), passed, "{requirement:?}");
        }
    }
}
