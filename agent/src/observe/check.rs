//! What people see of health checks.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::span;

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub subject: String,
    /// `passing`, `failing`, `value`, or `unknown` before its first result.
    #[schemars(extend("enum" = ["passing", "failing", "value", "unknown"]))]
    pub state: String,
    /// The value, where it has one.
    pub value: Option<i32>,
    /// How long it has been in this state, in milliseconds.
    pub since_ms: u64,
    /// What was seen last; nothing before the first look.
    pub detail: Option<String>,
    /// How long ago that was seen, or found to hold still, in milliseconds.
    pub seen_ms: Option<u64>,
    /// Why the last look saw nothing newer: only of checks that go by what was known last.
    pub blind: Option<String>,
    /// How long ago the last look was, in milliseconds.
    pub looked_ms: Option<u64>,
    /// How long it took, in microseconds.
    pub latency_us: u64,
    /// Looks in a row that say otherwise than its state.
    pub against: u32,
    /// How many of them change it.
    pub needed: u32,
    /// Looks so far.
    pub looks: u64,
    /// Those that failed.
    pub failures: u64,
}

/// What a check does to a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContributionStatus {
    /// Its name.
    pub check: String,
    /// Its state: `passing`, `failing`, `value`, or `unknown` before its first result.
    pub state: String,
    /// What that does.
    pub effect: EffectStatus,
}

/// What the state of a check does to a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum EffectStatus {
    /// It adds so much to the priority.
    Points {
        /// Points, perhaps negative or none.
        points: i32,
        /// Points that it would add if all were well.
        #[serde(default)]
        best: i32,
    },
    /// It keeps the router from serving.
    Fault,
    /// It may, which is not known yet.
    Awaited,
}

impl EffectStatus {
    /// How many points it costs; 0 where it costs none, or something else than points.
    #[must_use]
    pub const fn lost(self) -> i32 {
        match self {
            Self::Points { points, best } if points < best => best.saturating_sub(points),
            Self::Points { .. } | Self::Fault | Self::Awaited => 0,
        }
    }
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check {} ({}): {}", self.name, self.subject, self.state)?;
        if let Some(value) = self.value {
            write!(f, " {value}")?;
        }
        write!(f, " for {}", span(self.since_ms))?;
        match (&self.detail, &self.blind, self.looked_ms) {
            (detail, Some(blind), _) => {
                let detail = detail.as_deref().unwrap_or("as configured for the start");
                write!(f, "; {}", last_known(detail, self.seen_ms, blind))?;
            }
            (Some(detail), None, Some(looked_ms)) => {
                write!(f, "; {} ago in {} µs: {detail}", span(looked_ms), self.latency_us)?;
            }
            (_, None, _) => return Ok(()),
        }
        if self.against > 0 {
            write!(f, " ({} of {} looks that change it)", self.against, self.needed)?;
        }
        Ok(())
    }
}

/// What a check goes by that sees nothing newer, in words.
pub(crate) fn last_known(detail: &str, seen_ms: Option<u64>, reason: &str) -> String {
    match seen_ms {
        Some(seen_ms) => format!("{detail}, last known {} ago: {reason}", span(seen_ms)),
        None => format!("{detail}, and nothing is known yet: {reason}"),
    }
}

impl fmt::Display for ContributionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.effect {
            EffectStatus::Points { points: 0, .. } => write!(f, "{} {}", self.check, self.state),
            EffectStatus::Points { points, .. } => write!(f, "{} {} ({points:+})", self.check, self.state),
            EffectStatus::Fault => write!(f, "{} {} (Fault)", self.check, self.state),
            EffectStatus::Awaited => write!(f, "{} awaited", self.check),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_told_in_a_line() {
        let status = CheckStatus {
            name: "ingress".to_owned(),
            subject: "http://127.0.0.1:80/".to_owned(),
            state: "passing".to_owned(),
            value: None,
            since_ms: 3_200,
            detail: None,
            seen_ms: None,
            blind: None,
            looked_ms: None,
            latency_us: 0,
            against: 0,
            needed: 3,
            looks: 0,
            failures: 0,
        };
        assert_eq!(status.to_string(), "check ingress (http://127.0.0.1:80/): passing for 3.2 s");
        let detail = Some("status 503".to_owned());
        let seen_ms = Some(40);
        let status = CheckStatus { detail, seen_ms, looked_ms: seen_ms, latency_us: 412, against: 2, ..status };
        let expected = "check ingress (http://127.0.0.1:80/): passing for 3.2 s; 40 ms ago in 412 µs: status 503 \
                        (2 of 3 looks that change it)";
        assert_eq!(status.to_string(), expected);

        let blind = Some("no answer".to_owned());
        let status = CheckStatus { blind, seen_ms: Some(35_000), against: 0, ..status };
        let expected =
            "check ingress (http://127.0.0.1:80/): passing for 3.2 s; status 503, last known 35.0 s ago: no answer";
        assert_eq!(status.to_string(), expected);
        let status = CheckStatus { detail: None, seen_ms: None, ..status };
        let expected = "check ingress (http://127.0.0.1:80/): passing for 3.2 s; as configured for the start, and nothing is \
                        known yet: no answer";
        assert_eq!(status.to_string(), expected);
    }

    #[test]
    fn a_contribution_is_told_in_words() {
        let cases = [
            (EffectStatus::Points { points: 0, best: 20 }, "gw failing"),
            (EffectStatus::Points { points: -60, best: 0 }, "gw failing (-60)"),
            (EffectStatus::Points { points: 20, best: 20 }, "gw failing (+20)"),
            (EffectStatus::Fault, "gw failing (Fault)"),
            (EffectStatus::Awaited, "gw awaited"),
        ];
        for (effect, expected) in cases {
            let status = ContributionStatus { check: "gw".to_owned(), state: "failing".to_owned(), effect };
            assert_eq!(status.to_string(), expected);
        }
    }
}
