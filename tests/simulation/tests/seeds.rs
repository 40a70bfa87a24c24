//! A part of the simulation in every test run, and the seeds that have once found something.

use vipd_simulation::{Summary, fingerprint, run, run_pairs};

/// Histories that vipd did not survive once, with the fingerprint of each, and what was wrong.
const FOUND: [(u64, u64, &str); 6] = [
    (
        704,
        0xfc02_6d29_1848_17b6,
        "adverts that waited for a daemon which hung were judged by the time at which it went on",
    ),
    (
        2723,
        0xa24a_865f_2b19_e7c2,
        "the sequence began again below what peers remembered after a clock had been wrong for a while",
    ),
    (33619, 0x13b1_e416_6545_0eea, "the same, after crashes"),
    (
        6626,
        0x2d84_63c5_4197_cb77,
        "a fence that had closed when the daemon hung once was closed at once when it hung again",
    ),
    (3808, 0x3e5c_52b0_41cd_b0f6, "the sequence began again, with a clock that was behind"),
    (
        1280,
        0xd97c_90a3_31e6_7503,
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

/// Two virtual routers on each node, which move together.
#[test]
fn two_that_move_together_are_never_apart() {
    let mut calms = 0;
    for seed in 1..=200 {
        calms += run_pairs(seed).unwrap_or_else(|violation| panic!("seed {seed}: {violation}")).settled;
    }
    assert!(calms > 100, "{calms} calms");
}

#[test]
fn a_seed_tells_the_same_story_again() {
    let (story, outcome) = vipd_simulation::tell(42);
    assert_eq!(vipd_simulation::tell(42), (story, outcome.clone()));
    assert_eq!(run(42), outcome);
}
