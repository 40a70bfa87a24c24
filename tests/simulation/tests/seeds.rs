//! A part of the simulation in every test run, and the seeds that have once found something.

use vipd_simulation::{Summary, fingerprint, run};

/// Histories that vipd did not survive once, with the fingerprint of each, and what was wrong.
const FOUND: [(u64, u64, &str); 6] = [
    (
        704,
        0x4079_898c_b994_596e,
        "adverts that waited for a daemon which hung were judged by the time at which it went on",
    ),
    (
        2723,
        0x3d79_96c1_a273_f4da,
        "the sequence began again below what peers remembered after a clock had been wrong for a while",
    ),
    (33619, 0xfc38_2d02_99c6_c278, "the same, after crashes"),
    (
        6626,
        0xa304_a9da_3c7e_d4b9,
        "a fence that had closed when the daemon hung once was closed at once when it hung again",
    ),
    (3808, 0x5f0e_74de_da69_b2c0, "the sequence began again, with a clock that was behind"),
    (
        1280,
        0x7de3_f8a2_bb12_d6c3,
        "a router that was suspended did not count how long it had been silent before and after",
    ),
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
