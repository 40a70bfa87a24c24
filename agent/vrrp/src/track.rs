//! What checks do to a virtual router: its effective priority, and whether it can serve at all.
//!
//! The rules are those of keepalived's trackers, so that a configuration of it means the same here.

use crate::Priority;

/// Points below which a value makes a router unable to serve, however small its weight.
const VALUE_MIN: i64 = -253;
/// The most that one value adds.
const VALUE_MAX: i64 = 253;

/// What a check has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// What is checked works.
    Passing,
    /// It does not.
    Failing,
    /// The check yields a number; 0 is as it should be.
    Value(i32),
}

/// How a check counts for a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Points, −254 to 254: a positive weight is added while the check passes, a negative one while it fails, a value is
    /// multiplied by it. `None`: a router whose check fails, or whose value is not 0, cannot serve.
    pub weight: Option<i16>,
    /// The other way round: a weight counts with the other sign, and without one a router whose check passes cannot serve.
    pub reverse: bool,
}

/// What a check does to a virtual router at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contribution {
    /// It adds to the priority.
    Points(i32),
    /// It keeps the router from serving.
    Fault,
    /// It has no result yet, and would keep the router from serving if it were bad.
    Waiting,
}

/// What all checks of a virtual router come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The priority that the router takes part with.
    pub priority: Priority,
    /// Whether a check keeps it from serving.
    pub is_faulty: bool,
    /// Whether it is not known yet if one does.
    pub is_waiting: bool,
}

impl Effect {
    /// What a check with this `reading`, `None` before its first result, does.
    #[must_use]
    pub fn contribution(self, reading: Option<Reading>) -> Contribution {
        match (self.weight, reading) {
            (None, None) => Contribution::Waiting,
            (Some(_), None) => Contribution::Points(0),
            (None, Some(reading)) => {
                let is_bad = !matches!(reading, Reading::Passing | Reading::Value(0));
                if is_bad == self.reverse { Contribution::Points(0) } else { Contribution::Fault }
            }
            (Some(weight), Some(reading)) => self.weigh(weight, reading),
        }
    }

    /// The points that it adds where all is well: of a check whose `reading` is a value, those of 0; of any other, the most that
    /// it can add.
    #[must_use]
    pub fn best_points(self, reading: Option<Reading>) -> i32 {
        let points = |reading| match self.contribution(Some(reading)) {
            Contribution::Points(points) => points,
            Contribution::Fault | Contribution::Waiting => 0,
        };
        match reading {
            Some(Reading::Value(_)) => 0,
            Some(Reading::Passing | Reading::Failing) | None => points(Reading::Passing).max(points(Reading::Failing)),
        }
    }

    fn weigh(self, weight: i16, reading: Reading) -> Contribution {
        let points = if self.reverse { -i32::from(weight) } else { i32::from(weight) };
        match reading {
            Reading::Passing => Contribution::Points(if weight > 0 { points } else { 0 }),
            Reading::Failing => Contribution::Points(if weight < 0 { points } else { 0 }),
            Reading::Value(value) => {
                let product = i64::from(value) * i64::from(points);
                if product < VALUE_MIN {
                    return Contribution::Fault;
                }
                Contribution::Points(i32::try_from(product.min(VALUE_MAX)).unwrap_or(0))
            }
        }
    }
}

impl Total {
    /// What `contributions` make of a router that is configured with the priority `configured`: their sum, from 1 to 254.
    /// The owner of the addresses keeps its priority.
    #[must_use]
    pub fn of(configured: Priority, contributions: impl IntoIterator<Item = Contribution>) -> Self {
        let (mut sum, mut is_faulty, mut is_waiting) = (i64::from(configured.get()), false, false);
        for contribution in contributions {
            match contribution {
                Contribution::Points(points) => sum = sum.saturating_add(points.into()),
                Contribution::Fault => is_faulty = true,
                Contribution::Waiting => is_waiting = true,
            }
        }
        let clamped = u8::try_from(sum.clamp(1, 254)).ok().and_then(Priority::new);
        let priority = if configured == Priority::OWNER { configured } else { clamped.unwrap_or(configured) };
        Self { priority, is_faulty, is_waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: Contribution = Contribution::Fault;

    const fn points(points: i32) -> Contribution {
        Contribution::Points(points)
    }

    fn effect(weight: i16, reverse: bool) -> Effect {
        Effect { weight: (weight != 0).then_some(weight), reverse }
    }

    /// `docs/protocol.md` says the same of keepalived's trackers; 0 stands for no weight.
    #[test]
    fn a_weight_counts_while_the_check_passes_or_fails() {
        // (weight, reverse, passing, failing)
        let cases = [
            (0, false, points(0), FAULT),
            (0, true, FAULT, points(0)),
            (20, false, points(20), points(0)),
            (-20, false, points(0), points(-20)),
            (20, true, points(-20), points(0)),
            (-20, true, points(0), points(20)),
        ];
        for (weight, reverse, passing, failing) in cases {
            let effect = effect(weight, reverse);
            assert_eq!(effect.contribution(Some(Reading::Passing)), passing, "{effect:?}");
            assert_eq!(effect.contribution(Some(Reading::Failing)), failing, "{effect:?}");
        }
    }

    #[test]
    fn the_best_points_are_those_where_all_is_well() {
        // (weight, reverse, best)
        let cases = [(0, false, 0), (0, true, 0), (20, false, 20), (-20, false, 0), (20, true, 0), (-20, true, 20)];
        for (weight, reverse, best) in cases {
            let effect = effect(weight, reverse);
            for reading in [None, Some(Reading::Passing), Some(Reading::Failing)] {
                assert_eq!(effect.best_points(reading), best, "{effect:?} {reading:?}");
            }
            assert_eq!(effect.best_points(Some(Reading::Value(7))), 0, "{effect:?}");
        }
    }

    #[test]
    fn a_value_is_multiplied_by_the_weight() {
        // (weight, reverse, value, contribution)
        let cases = [
            (0, false, 0, points(0)),
            (0, false, 1, FAULT),
            (0, false, -1, FAULT),
            (0, true, 0, FAULT),
            (0, true, 7, points(0)),
            (1, false, 12, points(12)),
            (1, false, -12, points(-12)),
            (-3, false, 12, points(-36)),
            (3, true, 12, points(-36)),
            (1, false, -253, points(-253)),
            (1, false, -254, FAULT),
            (-254, false, 1, FAULT),
            (254, false, 1, points(253)),
            (254, false, i32::MAX, points(253)),
            (254, false, i32::MIN, FAULT),
        ];
        for (weight, reverse, value, expected) in cases {
            let effect = effect(weight, reverse);
            assert_eq!(effect.contribution(Some(Reading::Value(value))), expected, "{effect:?} {value}");
        }
    }

    /// Only what could keep a router from serving is waited for.
    #[test]
    fn before_the_first_result_a_weight_is_nothing() {
        assert_eq!(effect(0, false).contribution(None), Contribution::Waiting);
        assert_eq!(effect(0, true).contribution(None), Contribution::Waiting);
        assert_eq!(effect(-20, false).contribution(None), points(0));
        assert_eq!(effect(20, true).contribution(None), points(0));
    }

    #[test]
    fn the_sum_stays_within_what_a_router_may_have() {
        // (configured, contributions, effective)
        let cases: [(u8, &[i32], u8); 8] = [
            (100, &[], 100),
            (100, &[20, -50, 3], 73),
            (100, &[-60, -60], 1),
            (100, &[-99], 1),
            (200, &[54], 254),
            (200, &[55], 254),
            (254, &[253, 253, -253], 254),
            (255, &[-60, 20], 255),
        ];
        for (configured, contributions, effective) in cases {
            let total = Total::of(Priority::new(configured).unwrap(), contributions.iter().copied().map(points));
            let expected = Total { priority: Priority::new(effective).unwrap(), is_faulty: false, is_waiting: false };
            assert_eq!(total, expected, "{configured} {contributions:?}");
        }
    }

    #[test]
    fn one_fault_is_enough_and_points_count_beside_it() {
        let all = [points(-30), Contribution::Waiting, FAULT, points(10)];
        let total = Total::of(Priority::new(100).unwrap(), all);
        assert_eq!(total, Total { priority: Priority::new(80).unwrap(), is_faulty: true, is_waiting: true });
    }
}
