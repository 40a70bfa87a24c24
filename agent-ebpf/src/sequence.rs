//! The time-based sequence of a trailer as a number: what kernel and daemon compare, and how.
//!
//! A sequence is seconds since 1970 in 32 bits, 2⁻¹⁶ seconds in 16, and a counter in 16 that tells adverts of one
//! instant apart. A time is a sequence whose counter is 0, a span the difference of two times. Seconds wrap in 2106,
//! so that only differences mean anything: RFC 1982.

const COUNTER: u64 = 0xffff;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The time, or span, of `seconds` and `nanoseconds` below 10⁹, rounded down.
#[must_use]
pub const fn from_parts(seconds: u64, nanoseconds: u32) -> u64 {
    // Seconds beyond 32 bits are shifted out.
    seconds << 32 | (((nanoseconds as u64) << 16) / NANOSECONDS_PER_SECOND) << 16
}

/// The time, or span, of `nanoseconds`, rounded down.
#[inline(always)]
#[must_use]
pub const fn from_nanoseconds(nanoseconds: u64) -> u64 {
    let (seconds, rest) = (nanoseconds / NANOSECONDS_PER_SECOND, nanoseconds % NANOSECONDS_PER_SECOND);
    seconds << 32 | ((rest << 16) / NANOSECONDS_PER_SECOND) << 16
}

/// Whether `sequence` comes after `other`: by less than 2³¹ seconds, beyond which there is no telling.
#[inline(always)]
#[must_use]
pub const fn is_after(sequence: u64, other: u64) -> bool {
    sequence.wrapping_sub(other).cast_signed() > 0
}

/// How far the time of `sequence` is ahead of `now`; negative where it lies behind.
#[inline(always)]
#[must_use]
pub const fn ahead(sequence: u64, now: u64) -> i64 {
    (sequence & !COUNTER).wrapping_sub(now & !COUNTER).cast_signed()
}

/// Whether the time of `sequence` is at most `window` away from `now`, to either side.
#[inline(always)]
#[must_use]
pub const fn is_within(sequence: u64, now: u64, window: u64) -> bool {
    ahead(sequence, now).unsigned_abs() <= window
}

/// Whether `sequence`, which is within the window, must be refused for the sender's high-water `mark`.
///
/// A mark outside the window does not count: behind it, the sequence is above it anyway; ahead of it, the mark was
/// set by a clock that has been put right since, and would lock the sender out until time has caught up.
#[inline(always)]
#[must_use]
pub const fn is_replayed(sequence: u64, mark: u64, now: u64, window: u64) -> bool {
    is_within(mark, now, window) && !is_after(sequence, mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;
    /// 2026-11-22, 12:45:11 UTC.
    const NOW: u64 = 0x6b02_98d7_0000_0000;
    const WINDOW: u64 = 5 * SECOND;

    #[test]
    fn a_time_is_seconds_and_their_fraction() {
        // (seconds, nanoseconds, time)
        let cases = [
            (0, 0, 0),
            (0x6800_0000, 500_000_000, 0x6800_0000_8000_0000),
            (1, 999_999_999, 0x0000_0001_ffff_0000),
            (1, 15_258, 0x0000_0001_0000_0000),
            (1, 15_259, 0x0000_0001_0001_0000),
            // 2106-02-07, 06:28:16 UTC: the seconds start again.
            (0x1_0000_0000, 0, 0),
            (0x1_0000_0007, 250_000_000, 0x0000_0007_4000_0000),
        ];
        for (seconds, nanoseconds, time) in cases {
            assert_eq!(from_parts(seconds, nanoseconds), time, "{seconds} s {nanoseconds} ns");
            let total = seconds * 1_000_000_000 + u64::from(nanoseconds);
            assert_eq!(from_nanoseconds(total), time, "{total} ns");
        }
    }

    #[test]
    fn later_is_later_across_the_wrap() {
        let cases = [
            ("next", NOW + 1, NOW, true),
            ("same", NOW, NOW, false),
            ("one before", NOW - 1, NOW, false),
            ("first of the next era", 0, u64::MAX, true),
            ("last of the era before", u64::MAX, 0, false),
            ("68 years on", NOW + (1 << 63) - 1, NOW, true),
            ("undecided", NOW + (1 << 63), NOW, false),
        ];
        for (case, sequence, other, expected) in cases {
            assert_eq!(is_after(sequence, other), expected, "{case}");
        }
    }

    #[test]
    fn the_window_is_closed_at_both_edges() {
        let step = 0x1_0000;
        let cases = [
            ("now", NOW, NOW, true),
            ("the edge ahead", NOW + 5 * SECOND, NOW, true),
            ("the edge ahead, counter and all", NOW + 5 * SECOND + 0xffff, NOW, true),
            ("past the edge ahead", NOW + 5 * SECOND + step, NOW, false),
            ("the edge behind", NOW - 5 * SECOND, NOW, true),
            ("past the edge behind", NOW - 5 * SECOND - step, NOW, false),
            ("past the edge behind, counter and all", NOW - 5 * SECOND - 1, NOW, false),
            ("an hour ahead", NOW + 3600 * SECOND, NOW, false),
            ("an hour behind", NOW - 3600 * SECOND, NOW, false),
            ("the wrap, ahead", 0, u64::MAX - 5 * SECOND + step, true),
            ("the wrap, behind", 0_u64.wrapping_sub(5 * SECOND), 0, true),
            ("the wrap, too far behind", 0_u64.wrapping_sub(6 * SECOND), 0, false),
            ("68 years", NOW + (1 << 63), NOW, false),
        ];
        for (case, sequence, now, expected) in cases {
            assert_eq!(is_within(sequence, now, WINDOW), expected, "{case}");
        }
    }

    #[test]
    fn a_mark_counts_within_the_window_only() {
        let cases = [
            ("above the mark", NOW, NOW - 1, false),
            ("the mark itself", NOW, NOW, true),
            ("below the mark", NOW, NOW + 1, true),
            ("below a mark at the edge", NOW, NOW + 5 * SECOND, true),
            ("below a mark past the edge", NOW, NOW + 6 * SECOND, false),
            ("below a mark an hour ahead", NOW, NOW + 3600 * SECOND, false),
            ("above an old mark", NOW, NOW - 3600 * SECOND, false),
            ("no mark", NOW, 0, false),
        ];
        for (case, sequence, mark, expected) in cases {
            assert_eq!(is_replayed(sequence, mark, NOW, WINDOW), expected, "{case}");
        }
        let after_2038 = 0x8000_0001 << 32;
        assert!(!is_replayed(after_2038, 0, after_2038, WINDOW), "no mark, more than 2³¹ seconds ago");
    }
}
