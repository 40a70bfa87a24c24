//! A part of the simulation in every test run, and the seeds that have once found something.

use vipd_simulation::{Summary, run};

/// Histories that vipd did not survive once, and what was wrong.
const FOUND: [(u64, &str); 5] = [
    (1449, "adverts that waited for a daemon which hung were judged by the time at which it went on"),
    (2578, "the sequence began again below what peers remembered after a clock had been wrong for a while"),
    (5011, "the same, after crashes"),
    (9972, "the same, with a clock that was behind"),
    (16_167, "a fence that had closed when the daemon hung once was closed at once when it hung again"),
];

#[test]
fn what_was_found_once_stays_mended() {
    for (seed, what) in FOUND {
        assert_eq!(run(seed).err(), None, "seed {seed}: {what}");
    }
}

#[test]
fn a_thousand_histories_keep_every_rule() {
    let mut total = Summary::default();
    let mut failed = Vec::new();
    for seed in 1..=1_000 {
        match run(seed) {
            Ok(summary) => total += summary,
            Err(violation) => failed.push((seed, violation)),
        }
    }
    assert_eq!(failed, []);
    let never: Vec<_> = total.counts().filter(|&(_, count)| count == 0).map(|(what, _)| what).collect();
    assert!(never.is_empty(), "rules that had nothing to judge: {never:?}");
}

#[test]
fn a_seed_tells_the_same_story_again() {
    let (story, outcome) = vipd_simulation::tell(42);
    assert_eq!(vipd_simulation::tell(42), (story, outcome.clone()));
    assert_eq!(run(42), outcome);
}
