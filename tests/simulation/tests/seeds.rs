//! A part of the simulation in every test run, and the seeds that have once found something.

use vipd_simulation::{Summary, fingerprint, run};

/// Histories that vipd did not survive once, with the fingerprint of each, and what was wrong.
const FOUND: [(u64, u64, &str); 5] = [
    (
        3533,
        0x5888_e91f_3cc7_3242,
        "adverts that waited for a daemon which hung were judged by the time at which it went on",
    ),
    (
        2723,
        0x7089_b4be_b6c7_c7f5,
        "the sequence began again below what peers remembered after a clock had been wrong for a while",
    ),
    (9320, 0x6a62_3a10_7cd9_1656, "the same, after crashes"),
    (
        6626,
        0xf055_db15_5bc6_9385,
        "a fence that had closed when the daemon hung once was closed at once when it hung again",
    ),
    (3808, 0x86e5_193e_4b22_67b1, "the same, with a clock that was behind"),
];

#[test]
fn what_was_found_once_stays_mended() {
    for (seed, expected, what) in FOUND {
        let found = fingerprint(seed);
        assert_eq!(found, expected, "seed {seed} stands for another history: {what}");
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
