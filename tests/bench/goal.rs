//! What vipd is to reach, and whether it does.

use std::fmt;

use crate::result::{Results, Row, Spread};

/// A limit on a measure of vipd.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    scenario: &'static str,
    interval_ms: u64,
    measure: &'static str,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// Of the median.
    AtMost(f64),
    /// Of the median.
    AtLeast(f64),
    /// Of all figures.
    Never(f64),
    /// Of the median; and of the differences from keepalived's, each at the same phase, the median is no more than
    /// [`RESOLUTION`].
    Line(f64, f64),
}

/// A goal, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) what: String,
    pub(crate) limit: String,
    /// Of keepalived, then of vipd: the worst of all transports and families.
    pub(crate) figures: [String; 2],
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::NotMeasured => "not measured",
        })
    }
}

/// Milliseconds between two questions of the client, which cannot tell less apart; to a tenth, as figures are shown.
const RESOLUTION: f64 = 1.05;

/// All goals.
fn goals() -> Vec<Goal> {
    let goal = |scenario, interval_ms, measure, limit| Goal { scenario, interval_ms, measure, limit };
    let mut goals = Vec::new();
    for (interval_ms, interval) in [(1_000, 1_000.0), (100, 100.0), (10, 10.0)] {
        // Priority 150: Skew_Time is 106/256 of the interval. RFC 9568 §6.1.
        let skew = interval * 106.0 / 256.0;
        let line = Limit::Line(2.0 * interval + skew, 3.0 * interval + skew + 3.0);
        for fault in ["link down", "power loss"] {
            goals.push(goal(fault, interval_ms, "outage", line));
        }
        goals.push(goal("clean stop", interval_ms, "outage", Limit::AtMost(15.0)));
        goals.push(goal("start", interval_ms, "outage", Limit::AtMost(15.0)));
        goals.push(goal("restart", interval_ms, "outage", Limit::AtMost(5.0)));
        goals.push(goal("restart", interval_ms, "changes of who answers", Limit::Never(0.0)));
        goals.push(goal("SIGKILL", interval_ms, "two answer", Limit::AtMost(0.0)));
        goals.push(goal("SIGKILL", interval_ms, "outage", Limit::AtMost(50.0)));
        goals.push(goal("SIGSTOP", interval_ms, "two answer", Limit::AtMost(50.0)));
        goals.push(goal("heal", interval_ms, "outage", Limit::Never(200.0)));
    }
    for flood in [
        "flood, wrong checksum",
        "flood, wrong checksum, 2 cores",
        "flood, low priority",
        "flood, low priority, 2 cores",
    ] {
        goals.push(goal(flood, 100, "frames per second", Limit::AtLeast(400.0)));
        goals.push(goal(flood, 100, "CPU, Active", Limit::AtMost(1.0)));
        goals.push(goal(flood, 100, "CPU, Backup", Limit::AtMost(1.0)));
        goals.push(goal(flood, 100, "false takeovers", Limit::Never(0.0)));
    }
    goals.push(goal("200 virtual routers", 100, "CPU, Active", Limit::AtMost(5.0)));
    goals.push(goal("200 virtual routers", 100, "CPU, Backup", Limit::AtMost(2.0)));
    goals.push(goal("200 virtual routers", 100, "memory, Active", Limit::AtMost(12.0)));
    goals.push(goal("200 virtual routers", 100, "memory, Backup", Limit::AtMost(12.0)));
    goals.push(goal("200 virtual routers", 1_000, "first to last address held", Limit::AtMost(20.0)));
    goals.push(goal("500 addresses", 1_000, "first to last address held", Limit::AtMost(10.0)));
    goals.push(goal("500 addresses", 1_000, "first to last address announced", Limit::AtMost(10.0)));
    goals
}

/// What became of the goals.
pub(crate) fn outcomes(results: &Results) -> Vec<Outcome> {
    goals().iter().map(|goal| goal.outcome(results)).collect()
}

impl Goal {
    fn outcome(&self, results: &Results) -> Outcome {
        let rows = |subject: &str| -> Vec<&Row> {
            let is_meant = |row: &&Row| {
                (row.scenario.as_str(), row.interval_ms, row.measure.as_str(), row.subject.as_str())
                    == (self.scenario, self.interval_ms, self.measure, subject)
            };
            results.rows.iter().filter(is_meant).collect()
        };
        let (own, peers) = (rows("vipd"), rows("keepalived"));
        let holds = |row: &&Row| {
            let peer = peers.iter().find(|peer| peer.is_beside(row));
            row.spread().is_some_and(|spread| self.limit.holds(spread, peer.and_then(|peer| row.excess(peer))))
        };
        let verdict = match own.as_slice() {
            [] => Verdict::NotMeasured,
            rows if rows.iter().all(holds) => Verdict::Met,
            _ => Verdict::Missed,
        };
        let unit = own.first().map_or_else(String::new, |row| row.unit.clone());
        let figures = [peers, own].map(|rows| self.limit.worst(&rows));
        let what = format!("{}, {} ms: {}", self.scenario, self.interval_ms, self.measure);
        Outcome { what, limit: self.limit.shown(&unit), figures, verdict }
    }
}

impl Limit {
    fn holds(self, of: Spread, excess: Option<Spread>) -> bool {
        match self {
            Self::AtMost(most) => of.median <= most,
            Self::AtLeast(least) => of.median >= least,
            Self::Never(most) => of.max <= most,
            Self::Line(low, high) => {
                (low..=high).contains(&of.median) && excess.is_none_or(|excess| excess.median <= RESOLUTION)
            }
        }
    }

    fn shown(self, unit: &str) -> String {
        let shown = match self {
            Self::AtMost(most) => format!("median at most {most:.0} {unit}"),
            Self::AtLeast(least) => format!("median at least {least:.0} {unit}"),
            Self::Never(most) => format!("never more than {most:.0} {unit}"),
            Self::Line(low, high) => {
                format!("median from {low:.0} to {high:.0} {unit}, and keepalived's at most, phase by phase")
            }
        };
        shown.trim_end().to_owned()
    }

    /// The worst of what the limit is about.
    fn worst(self, rows: &[&Row]) -> String {
        let spreads = rows.iter().filter_map(|row| row.spread());
        let figures: Vec<_> =
            spreads.map(|it| if matches!(self, Self::Never(_)) { it.max } else { it.median }).collect();
        let worst = match self {
            Self::AtLeast(_) => figures.into_iter().reduce(f64::min),
            Self::AtMost(_) | Self::Never(_) | Self::Line(..) => figures.into_iter().reduce(f64::max),
        };
        worst.map_or_else(String::new, |worst| format!("{worst:.1}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(figures: &[(&str, &[f64])]) -> Results {
        let row = |&(subject, values): &(&str, &[f64])| Row {
            interval_ms: 100,
            values: values.to_vec(),
            ..Row::new("link down", subject, "outage", "ms")
        };
        Results { begun: 0, machine: Vec::new(), rows: figures.iter().map(row).collect() }
    }

    fn verdict(figures: &[(&str, &[f64])]) -> Verdict {
        let outcomes = outcomes(&results(figures));
        let measured = outcomes.iter().find(|it| it.what == "link down, 100 ms: outage");
        measured.expect("a goal").verdict
    }

    /// Trials of one phase are compared: that one of the peer's is out of the ordinary says nothing of the others.
    #[test]
    fn a_goal_is_met_inside_the_line_and_beside_the_peer() {
        for (own, peer, expected) in [
            (&[250.0, 290.0, 330.0][..], &[250.0, 289.0, 330.0][..], Verdict::Met),
            (&[250.0, 290.0, 330.0], &[250.0, 270.0, 330.0], Verdict::Met),
            (&[252.0, 292.0, 332.0], &[250.0, 290.0, 330.0], Verdict::Missed),
            (&[250.0, 346.0, 347.0], &[250.0, 346.0, 347.0], Verdict::Missed),
            (&[230.0, 240.0, 330.0], &[300.0, 300.0, 330.0], Verdict::Missed),
        ] {
            assert_eq!(verdict(&[("vipd", own), ("keepalived", peer)]), expected, "{own:?} {peer:?}");
        }
        assert_eq!(verdict(&[("keepalived", &[1.0])]), Verdict::NotMeasured);
    }
}
