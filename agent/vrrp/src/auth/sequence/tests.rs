use super::*;

const WINDOW: Duration = Duration::from_secs(5);
/// 2026-11-22, 12:45:11 UTC.
const NOW: Duration = Duration::from_secs(0x6b02_98d7);
const NOW_BITS: u64 = 0x6b02_98d7_0000_0000;
const SECOND: u64 = 1 << 32;

fn at(now: Duration) -> Clock {
    Clock { now, window: WINDOW }
}

fn before(time: Duration, distance: Duration) -> Duration {
    time.checked_sub(distance).unwrap()
}

fn after(last: Sequence) -> Signer {
    Signer { last: Some(last), ..Signer::new() }
}

fn issued(bits: u64) -> Issued {
    Issued { sequence: Sequence::new(bits), restarted: None }
}

#[test]
fn a_sequence_is_the_time_in_seconds_and_their_fraction() {
    let cases = [
        (Duration::ZERO, 0),
        (Duration::from_millis(0x6800_0000 * 1000 + 500), 0x6800_0000_8000_0000),
        (Duration::from_nanos(1_999_999_999), 0x0000_0001_ffff_0000),
        (Duration::from_secs(1 << 32), 0),
        (Duration::MAX, 0xffff_ffff_ffff_0000),
    ];
    for (wall, bits) in cases {
        assert_eq!(Sequence::from_wall(wall).get(), bits, "{wall:?}");
    }
    assert_eq!(Sequence::new(u64::MAX).next(), Sequence::new(0));
    assert!(Sequence::new(0).is_after(Sequence::new(u64::MAX)));
    assert!(!Sequence::new(7).is_after(Sequence::new(7)));
    assert_eq!(Sequence::new(0x6b02_98d7_c9ed_0003).to_string(), "6b0298d7.c9ed.0003");
}

#[test]
fn skew_has_a_side() {
    let cases = [
        (NOW_BITS, Skew::Ahead(Duration::ZERO)),
        (NOW_BITS + 0xffff, Skew::Ahead(Duration::ZERO)),
        (NOW_BITS + SECOND / 2, Skew::Ahead(Duration::from_millis(500))),
        (NOW_BITS - SECOND / 4, Skew::Behind(Duration::from_millis(250))),
        (NOW_BITS - 3600 * SECOND, Skew::Behind(Duration::from_hours(1))),
    ];
    for (bits, skew) in cases {
        assert_eq!(Sequence::new(bits).skew(NOW), skew, "{bits:#x}");
    }
    assert_eq!(Skew::Behind(WINDOW).distance(), WINDOW);
    assert_eq!(Skew::Ahead(Duration::from_millis(1500)).to_string(), "1.500 s ahead of");
}

#[test]
fn the_counter_tells_adverts_of_one_instant_apart() {
    let mut signer = Signer::new();
    assert_eq!(signer.last(), None);
    for counter in 0..3 {
        assert_eq!(signer.next(&at(NOW)), issued(NOW_BITS + counter));
    }
    assert_eq!(signer.last(), Some(Sequence::new(NOW_BITS + 2)));
    assert_eq!(signer.next(&at(NOW + Duration::from_secs(1))), issued(NOW_BITS + SECOND));
}

/// A counter that overflows runs into the time, where the order stays right.
#[test]
fn a_full_counter_carries() {
    let mut signer = after(Sequence::new(NOW_BITS + 0xffff));
    assert_eq!(signer.next(&at(NOW)), issued(NOW_BITS + 0x1_0000));
}

#[test]
fn a_clock_that_goes_back_within_the_window_is_waited_for() {
    let mut signer = Signer::new();
    signer.next(&at(NOW));
    assert_eq!(signer.next(&at(before(NOW, Duration::from_secs(2)))), issued(NOW_BITS + 1));
    assert_eq!(signer.next(&at(before(NOW, WINDOW))), issued(NOW_BITS + 2));
    assert_eq!(signer.next(&at(NOW + Duration::from_secs(1))), issued(NOW_BITS + SECOND));
}

#[test]
fn a_clock_that_goes_back_further_starts_the_sequence_again() {
    let hour = Duration::from_hours(1);
    let mut signer = Signer::new();
    signer.next(&at(NOW + hour));
    assert_eq!(signer.next(&at(NOW)), Issued { sequence: Sequence::new(NOW_BITS), restarted: Some(hour) });
    assert_eq!(signer.next(&at(NOW)), issued(NOW_BITS + 1));
    assert_eq!(signer.next(&at(NOW + hour)), issued(NOW_BITS + 3600 * SECOND + 1), "it was used before");
}

#[test]
fn an_earlier_sequence_counts_unless_it_lies_beyond_the_window() {
    let kept = |ahead: u64| Sequence::new(NOW_BITS + ahead);
    let cases = [
        ("long ago", Sequence::new(NOW_BITS - 3600 * SECOND), issued(NOW_BITS)),
        ("now", kept(0), issued(NOW_BITS + 1)),
        ("ahead", kept(3 * SECOND), issued(NOW_BITS + 3 * SECOND + 1)),
        ("the edge", kept(5 * SECOND), issued(NOW_BITS + 5 * SECOND + 1)),
        (
            "past the edge",
            kept(6 * SECOND),
            Issued { sequence: Sequence::new(NOW_BITS), restarted: Some(Duration::from_secs(6)) },
        ),
    ];
    for (case, last, expected) in cases {
        assert_eq!(after(last).next(&at(NOW)), expected, "{case}");
    }
}

/// What was signed before the clock went wrong is not signed again when it is right again: receivers remember it.
#[test]
fn a_clock_that_was_wrong_for_a_while_costs_no_repetition() {
    let hour = Duration::from_hours(1);
    for wrong in [NOW + hour, before(NOW, hour)] {
        let mut signer = after(Sequence::new(NOW_BITS + 2 * SECOND));
        signer.next(&at(wrong));
        signer.next(&at(wrong));
        assert_eq!(signer.next(&at(NOW)).sequence, Sequence::new(NOW_BITS + 2 * SECOND + 1), "{wrong:?}");
        assert_eq!(signer.next(&at(NOW)), issued(NOW_BITS + 2 * SECOND + 2), "{wrong:?}");
    }
}

/// What an earlier run has kept may be a second old.
#[test]
fn a_run_begins_above_all_that_the_one_before_may_have_signed() {
    let cases = [
        ("long ago", Sequence::new(NOW_BITS - 3600 * SECOND), NOW_BITS),
        ("a second ago", Sequence::new(NOW_BITS - SECOND), NOW_BITS + 1),
        ("now", Sequence::new(NOW_BITS), NOW_BITS + SECOND + 1),
        ("half a second ahead", Sequence::new(NOW_BITS + SECOND / 2), NOW_BITS + SECOND * 3 / 2 + 1),
        ("a second ahead", Sequence::new(NOW_BITS + SECOND), NOW_BITS + SECOND + 0x20_0001),
    ];
    for (case, kept, expected) in cases {
        assert_eq!(Signer::resume(kept, NOW).next(&at(NOW)), issued(expected), "{case}");
    }
}

/// The supervisor signs while one program gives way to the next, also after a clock that was put back.
#[test]
fn what_was_signed_in_its_name_meanwhile_is_not_signed_again() {
    let kept = Sequence::new(NOW_BITS + 2 * SECOND);
    let mut deputy = Signer::after(kept);
    let meanwhile: Vec<_> = (0..1_000).map(|_| deputy.next(&at(NOW)).sequence).collect();
    let next_program = Signer::resume(kept, NOW).next(&at(NOW)).sequence;
    let mut same = after(kept);
    same.go_on_after_another();
    for next in [next_program, same.next(&at(NOW)).sequence] {
        assert!(meanwhile.iter().all(|&used| used.is_after(kept) && next.is_after(used)), "{next}");
    }
}

#[test]
fn a_daemon_that_keeps_crashing_stays_within_the_window() {
    let mut signer = Signer::new();
    let mut last = signer.next(&at(NOW)).sequence;
    for crash in 0..1_000 {
        signer = Signer::resume(last, NOW);
        let issued = signer.next(&at(NOW));
        assert_eq!(issued.restarted, None, "crash {crash}");
        assert!(issued.sequence.is_after(last));
        last = issued.sequence;
    }
}

/// A host whose clock starts in 1970 signs by it, and says so; the next step forward needs no word.
#[test]
fn a_clock_that_is_not_set_is_reported() {
    let mut signer = after(Sequence::new(NOW_BITS));
    let first = signer.next(&at(Duration::from_secs(30)));
    assert_eq!(first.sequence, Sequence::new(30 * SECOND));
    assert_eq!(first.restarted, Some(before(NOW, Duration::from_secs(30))));
    assert_eq!(signer.next(&at(NOW)), issued(NOW_BITS + 1));
}

#[test]
fn sequences_grow_across_the_wrap() {
    let wrap = Duration::from_secs(1 << 32);
    let mut signer = Signer::new();
    let mut last = signer.next(&at(before(wrap, Duration::from_millis(300)))).sequence;
    for millis in [200, 100, 0] {
        let next = signer.next(&at(before(wrap, Duration::from_millis(millis))));
        assert!(next.sequence.is_after(last), "{millis} ms before");
        assert_eq!(next.restarted, None);
        last = next.sequence;
    }
    assert_eq!(last, Sequence::new(0));
    assert_eq!(signer.next(&at(before(wrap, Duration::from_millis(100)))), issued(1));
}

/// Who signs in the name of a sender that hangs or is gone is above it, and as close to the clock as it can be.
#[test]
fn another_sender_in_its_name_signs_above_it() {
    let cases = [
        ("a second ago", Sequence::new(NOW_BITS - SECOND), NOW_BITS),
        ("now", Sequence::new(NOW_BITS), NOW_BITS + 0x10_0001),
        ("a second ahead", Sequence::new(NOW_BITS + SECOND), NOW_BITS + SECOND + 0x10_0001),
    ];
    for (case, noted, expected) in cases {
        assert_eq!(Signer::after(noted).next(&at(NOW)), issued(expected), "{case}");
    }
}

#[test]
fn a_sender_that_wakes_goes_on_above_who_signed_in_its_name() {
    for (used, expected) in [(NOW_BITS + 7, NOW_BITS + 8), (NOW_BITS - 7, NOW_BITS + 1)] {
        let mut signer = after(Sequence::new(NOW_BITS));
        signer.heed(Sequence::new(used));
        assert_eq!(signer.next(&at(NOW)), issued(expected));
    }
    let mut signer = Signer::new();
    signer.heed(Sequence::new(NOW_BITS));
    assert_eq!(signer.next(&at(NOW)), issued(NOW_BITS + 1));
}
