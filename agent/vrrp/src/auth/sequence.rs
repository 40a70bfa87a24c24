//! The sequence of signed adverts: wall-clock time that never stands still.

use std::{fmt, time::Duration};

use vrrp_wire::sequence::{ahead, from_parts, is_after, is_replayed, is_within};

/// When an advert was signed: seconds since 1970, modulo 2³², their fraction, and a counter within it.
///
/// Seconds wrap in 2106, so there is no smallest and no largest: [`Sequence::is_after`] instead of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The sequence that the wire carries as `bits`: 32 of seconds, 16 of their fraction, 16 of the counter.
    #[must_use]
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The sequence as the wire carries it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The first sequence of the time that is `wall` after 1970, in UTC.
    #[must_use]
    pub const fn from_wall(wall: Duration) -> Self {
        Self(from_parts(wall.as_secs(), wall.subsec_nanos()))
    }

    /// Whether this is the later of the two, as long as they are less than 68 years apart. RFC 1982.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        is_after(self.0, other.0)
    }

    /// The sequence that follows at once.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// How far from `now`, the time since 1970, it was signed.
    #[must_use]
    pub const fn skew(self, now: Duration) -> Skew {
        let ahead = ahead(self.0, Self::from_wall(now).0);
        let (seconds, fraction) = (ahead.unsigned_abs() >> 32, (ahead.unsigned_abs() & 0xffff_ffff) >> 16);
        let distance =
            Duration::from_secs(seconds).saturating_add(Duration::from_nanos((fraction * 1_000_000_000) >> 16));
        if ahead < 0 { Skew::Behind(distance) } else { Skew::Ahead(distance) }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bits) = self;
        write!(f, "{:08x}.{:04x}.{:04x}", bits >> 32, bits >> 16 & 0xffff, bits & 0xffff)
    }
}

/// How far the time in a trailer is from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// The sender's clock, or its choice of a sequence, is ahead.
    Ahead(Duration),
    /// It is behind, or the advert was long on its way.
    Behind(Duration),
}

impl Skew {
    /// How far, to whichever side.
    #[must_use]
    pub const fn distance(self) -> Duration {
        match self {
            Self::Ahead(distance) | Self::Behind(distance) => distance,
        }
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(distance) => write!(f, "{:.3} s ahead of", distance.as_secs_f64()),
            Self::Behind(distance) => write!(f, "{:.3} s behind", distance.as_secs_f64()),
        }
    }
}

/// What time it is, and how far from it a sequence may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Wall-clock time since 1970, in UTC.
    pub now: Duration,
    /// Furthest that a sequence may be from it, to either side.
    pub window: Duration,
}

impl Clock {
    /// Whether `sequence` is within the window.
    pub(super) const fn admits(&self, sequence: Sequence) -> bool {
        is_within(sequence.0, self.time().0, self.window_span())
    }

    /// Whether `sequence`, which is within the window, is no news after `mark`.
    pub(super) const fn is_replayed(&self, sequence: Sequence, mark: Sequence) -> bool {
        is_replayed(sequence.0, mark.0, self.time().0, self.window_span())
    }

    const fn time(&self) -> Sequence {
        Sequence::from_wall(self.now)
    }

    /// The window as a difference of sequences.
    const fn window_span(&self) -> u64 {
        from_parts(self.window.as_secs(), self.window.subsec_nanos())
    }
}

/// The time between two moments at which a sender keeps its sequence, as a difference of sequences.
const SECOND: u64 = 1 << 32;
/// More adverts than anybody sends in that time, on top of what another one signs in the sender's name meanwhile: [`Signer::after`].
const COUNTED_IN_A_SECOND: u64 = 2 * COUNTED_IN_A_TURN;
/// More adverts than anybody sends between two notes of the last sequence: a quarter of a millisecond, as a difference.
const COUNTED_IN_A_TURN: u64 = 1 << 20;

/// Gives every advert of one sender a sequence above the last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signer {
    last: Option<Sequence>,
    /// The last one before the clock jumped further than receivers bear.
    before_jump: Option<Sequence>,
}

/// The sequence for an advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The sequence.
    pub sequence: Sequence,
    /// Set where it is below an earlier one: that lay so far ahead of the clock, by this much, that receivers refuse
    /// what is above it. The clock has been put back, or was wrong before: worth an alarm.
    pub restarted: Option<Duration>,
}

impl Signer {
    /// A sender that has never signed.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None, before_jump: None }
    }

    /// A sender that starts again at the time of day `now`, above all that it may have signed since it kept `kept`.
    ///
    /// In that second the sequence has run with the clock; one that was far ahead of it was only counted. A second each
    /// time would take a daemon that keeps crashing beyond the receivers' window.
    #[must_use]
    pub fn resume(kept: Sequence, now: Duration) -> Self {
        let is_far_ahead = matches!(kept.skew(now), Skew::Ahead(distance) if distance >= Duration::from_secs(1));
        let unkept = if is_far_ahead { COUNTED_IN_A_SECOND } else { SECOND };
        Self { last: Some(Sequence(kept.0.wrapping_add(unkept))), before_jump: None }
    }

    /// A sender that signs in the name of another one, which noted `noted` less than a turn before its last advert.
    #[must_use]
    pub const fn after(noted: Sequence) -> Self {
        Self { last: Some(Sequence(noted.0.wrapping_add(COUNTED_IN_A_TURN))), before_jump: None }
    }

    /// Takes in that another sender may have signed [`after`](Self::after) the last sequence of this one.
    pub fn go_on_after_another(&mut self) {
        self.last = self.last.map(|last| Sequence(last.0.wrapping_add(COUNTED_IN_A_SECOND)));
    }

    /// Takes in that another sender has signed with `used` in this one's name.
    pub fn heed(&mut self, used: Sequence) {
        if self.last.is_none_or(|last| used.is_after(last)) {
            self.last = Some(used);
        }
    }

    /// The last sequence that was given, to be kept for [`Signer::resume`].
    #[must_use]
    pub const fn last(&self) -> Option<Sequence> {
        self.last
    }

    /// The sequence for the next advert: the time, or the one after the last if the time is not above it.
    ///
    /// If that would lie outside the receivers' window, the sequence starts again: from the time, or where it was before a
    /// clock that was wrong for a while took it there.
    pub fn next(&mut self, clock: &Clock) -> Issued {
        let time = clock.time();
        let above = |used: Sequence| (!time.is_after(used) && clock.admits(used.next())).then(|| used.next());
        let sequence = self.last.and_then(above).or_else(|| self.before_jump.and_then(above)).unwrap_or(time);
        let mut restarted = None;
        if let Some(last) = self.last {
            restarted = (!sequence.is_after(last)).then(|| last.skew(clock.now).distance());
            if !clock.admits(last) {
                self.before_jump = Some(last);
            }
        }
        self.last = Some(sequence);
        Issued { sequence, restarted }
    }
}

#[cfg(test)]
mod tests;
