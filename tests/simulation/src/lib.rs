//! A LAN of up to eight virtual routers in virtual time: the real election, messages, authentication, judge and fence,
//! and everything around them that can fail.
//!
//! A seed draws the routers and their history, so that every run can be repeated from its number. What must hold is in
//! the oracle's modules.
//!
//! `cargo xtask simulate` runs many seeds and names those that fail; `cargo xtask simulate --seed N` tells the story of
//! one. To keep it: mend what was wrong, and put the seed, the fingerprint of its history (the last line of the story) and
//! a sentence about the mistake into `FOUND` in `tests/seeds.rs`. The test there fails when the seed does, and when its
//! number has come to stand for another history because what is drawn has changed; then undo the mending, search a seed
//! that fails of the same mistake, and keep that one instead.

mod attacker;
mod clock;
mod dice;
mod host;
mod kernel;
pub mod model;
mod network;
mod oracle;
mod pairs;
mod scenario;
mod summary;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use self::{oracle::Violation, summary::Summary};

/// Runs the history of `seed` to its end, or to the first rule that does not hold; a panic breaks one.
pub fn run(seed: u64) -> Result<Summary, Violation> {
    guarded(|| world::World::new(seed, None).run())
}

/// The same for nodes that run two virtual routers each, which move together.
pub fn run_pairs(seed: u64) -> Result<Summary, Violation> {
    guarded(|| pairs::Pairs::new(seed, None).run())
}

/// Runs the history of `seed` for nodes that run two virtual routers each, and tells it.
pub fn tell_pairs(seed: u64) -> (String, Result<Summary, Violation>) {
    let mut story = String::new();
    let outcome = guarded(|| pairs::Pairs::new(seed, Some(&mut story)).run());
    (story, outcome)
}

/// Runs the history of `seed` and tells it.
pub fn tell(seed: u64) -> (String, Result<Summary, Violation>) {
    let mut story = String::new();
    let outcome = guarded(|| world::World::new(seed, Some(&mut story)).run());
    (story, outcome)
}

/// A number for the routers and the faults that `seed` stands for.
#[must_use]
pub fn fingerprint(seed: u64) -> u64 {
    scenario::Scenario::new(seed).fingerprint()
}

/// Makes a violation of a panic, whose place the panic's own message tells.
fn guarded<T>(run: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Violation::new(0, format!("panic: {text}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure() {
        let outcome: Result<(), _> = guarded(|| panic!("host {} fell over", 3));
        assert_eq!(outcome, Err(Violation::new(0, "panic: host 3 fell over".into())));
    }
}
