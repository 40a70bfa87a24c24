//! When a check changes its mind: after enough looks in a row that say the same.

use vrrp::track::Reading;

/// What a check has settled on, and what the looks since then say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hysteresis {
    settled: Option<Reading>,
    /// Looks in a row that say otherwise.
    against: u32,
    rise: u32,
    fall: u32,
}

impl Hysteresis {
    /// One that begins with `settled`; where that is nothing, the first look decides.
    pub(super) const fn new(settled: Option<Reading>, rise: u32, fall: u32) -> Self {
        Self { settled, against: 0, rise, fall }
    }

    /// What the check has settled on.
    pub(super) const fn settled(&self) -> Option<Reading> {
        self.settled
    }

    /// How many looks in a row say otherwise, and how many it takes.
    pub(super) const fn against(&self) -> (u32, u32) {
        let needed = match self.settled {
            None => 1,
            Some(Reading::Failing) => self.rise,
            Some(Reading::Passing | Reading::Value(_)) => self.fall,
        };
        (self.against, needed)
    }

    /// Goes on with other numbers.
    pub(super) const fn change(&mut self, rise: u32, fall: u32) {
        (self.rise, self.fall, self.against) = (rise, fall, 0);
    }

    /// Takes in what a look says; whether it has settled on something else.
    pub(super) fn take(&mut self, reading: Reading) -> bool {
        if self.settled == Some(reading) {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let (against, needed) = self.against();
        if against < needed {
            return false;
        }
        (self.settled, self.against) = (Some(reading), 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Reading = Reading::Passing;
    const DOWN: Reading = Reading::Failing;

    /// What it has settled on after each look, from `start` on, with rise 2 and fall 3.
    fn course(start: Option<Reading>, looks: &[Reading]) -> Vec<Option<Reading>> {
        let mut hysteresis = Hysteresis::new(start, 2, 3);
        let mut before = start;
        let settle = |&look: &Reading| {
            let has_changed = hysteresis.take(look);
            assert_eq!(has_changed, hysteresis.settled() != before);
            before = hysteresis.settled();
            before
        };
        looks.iter().map(settle).collect()
    }

    #[test]
    fn it_takes_several_looks_in_a_row() {
        let (up, down) = (Some(UP), Some(DOWN));
        assert_eq!(course(up, &[DOWN, DOWN, DOWN, UP, UP]), [up, up, down, down, up]);
        assert_eq!(course(up, &[DOWN, DOWN, UP, DOWN, DOWN, DOWN]), [up, up, up, up, up, down]);
        assert_eq!(course(down, &[UP, DOWN, UP, UP]), [down, down, down, up]);
    }

    #[test]
    fn the_first_look_counts_at_once() {
        assert_eq!(course(None, &[DOWN, UP, UP]), [Some(DOWN), Some(DOWN), Some(UP)]);
        assert_eq!(course(None, &[UP, DOWN]), [Some(UP), Some(UP)]);
    }

    /// A value that moves on while it is looked at counts as the last look had it.
    #[test]
    fn the_last_of_several_values_counts() {
        let value = |value| Reading::Value(value);
        assert_eq!(course(Some(value(0)), &[value(1), value(2), value(3)]).last(), Some(&Some(value(3))));
        assert_eq!(course(Some(DOWN), &[value(0), value(0)]), [Some(DOWN), Some(value(0))]);
    }
}
