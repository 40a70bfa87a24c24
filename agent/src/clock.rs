//! The one clock that elections run on, and what it is to the wall clock, by which adverts are authenticated.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::{
    libc,
    sys::{
        time::TimeSpec,
        timerfd::{self, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    time::{ClockId, clock_gettime},
};
use time::OffsetDateTime;
use vrrp::Instant;

/// Now, on the scale of the kernel's stamps: CLOCK_MONOTONIC, which no change of the wall clock moves.
#[must_use]
pub fn now() -> Instant {
    Instant::from_nanos(nanoseconds(read(ClockId::CLOCK_MONOTONIC)))
}

/// Becomes readable at a moment of [`now`]. The timeout of a poll may be late by a thousandth of what is waited for.
#[derive(Debug)]
pub struct Alarm(TimerFd);

impl Alarm {
    /// One that is not set.
    pub fn new() -> nix::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        TimerFd::new(timerfd::ClockId::CLOCK_MONOTONIC, flags).map(Self)
    }

    /// Has it go off at `at` and not before; at once, where that has passed.
    pub fn set(&self, at: Instant) -> nix::Result<()> {
        // 0 would be never.
        let at = TimeSpec::from_duration(Duration::from_nanos(at.as_nanos().max(1)));
        self.0.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The moment `span` ago.
#[must_use]
pub fn before_now(span: Duration) -> Instant {
    Instant::from_nanos(now().as_nanos().saturating_sub(nanoseconds(span)))
}

/// How long the host has been suspended since it was booted, which [`now`] does not count.
#[must_use]
pub fn suspended() -> Duration {
    // In this order a delay between the two cannot make it less than it was.
    let monotonic = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(monotonic)
}

/// Time since 1970.
#[must_use]
pub fn wall() -> Duration {
    read(ClockId::CLOCK_REALTIME)
}

/// A time since 1970 as a date. Only a clock beyond the year 9999 has none: it gets 1970.
#[must_use]
pub fn date(wall: Duration) -> OffsetDateTime {
    let nanoseconds = i128::try_from(wall.as_nanos()).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What makes [`wall`] of [`now`], in nanoseconds; it changes only when somebody sets the wall clock.
#[must_use]
pub fn wall_offset_ns() -> u64 {
    nanoseconds(wall().saturating_sub(read(ClockId::CLOCK_MONOTONIC)))
}

/// What [`wall`] would have shown at `moment`, by what it shows now.
#[must_use]
pub fn wall_at(moment: Instant) -> Duration {
    Duration::from_nanos(moment.as_nanos().saturating_add(wall_offset_ns()))
}

/// Whether something keeps the wall clock right, as far as the kernel has been told.
#[must_use]
pub fn is_synchronised() -> bool {
    discipline().is_some_and(|(state, _)| state != libc::TIME_ERROR)
}

/// How far the wall clock may be off, by whoever keeps it right; `None` where nobody does.
#[must_use]
pub fn uncertainty() -> Option<Duration> {
    let (state, discipline) = discipline()?;
    let microseconds = u64::try_from(discipline.maxerror).ok()?;
    (state != libc::TIME_ERROR).then(|| Duration::from_micros(microseconds))
}

/// The state of the wall clock, as the kernel has been told; `None` where it does not tell.
fn discipline() -> Option<(libc::c_int, libc::timex)> {
    // SAFETY: all zero is a `timex` that asks and changes nothing, and the call writes no further than it.
    let (state, timex) = unsafe {
        let mut timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    (state >= 0).then_some((state, timex))
}

fn read(clock: ClockId) -> Duration {
    // The call fails only for a clock that the kernel does not have.
    clock_gettime(clock).map_or(Duration::ZERO, Into::into)
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use nix::{
        errno::Errno,
        poll::{PollFd, PollFlags, PollTimeout, poll},
        time::clock_settime,
    };

    use super::*;

    /// For what is to come, in milliseconds.
    const GENEROUS: u16 = 10_000;

    /// Rows: +C23
    #[test]
    fn elections_run_on_the_clock_that_nobody_can_set() {
        let before = read(ClockId::CLOCK_MONOTONIC);
        let between = now();
        let after = read(ClockId::CLOCK_MONOTONIC);
        assert!(nanoseconds(before) <= between.as_nanos() && between.as_nanos() <= nanoseconds(after));
        assert_eq!(clock_settime(ClockId::CLOCK_MONOTONIC, before.into()), Err(Errno::EINVAL));
    }

    #[test]
    fn an_alarm_goes_off_at_its_moment() {
        let alarm = Alarm::new().unwrap();
        let goes_off = |timeout: PollTimeout| poll(&mut [PollFd::new(alarm.as_fd(), PollFlags::POLLIN)], timeout);
        assert_eq!(goes_off(PollTimeout::ZERO), Ok(0));
        let at = now() + Duration::from_millis(20);
        alarm.set(at).unwrap();
        assert_eq!(goes_off(GENEROUS.into()), Ok(1));
        assert!(now() >= at);
        alarm.set(now() + Duration::from_hours(1)).unwrap();
        assert_eq!(goes_off(PollTimeout::ZERO), Ok(0), "set anew, it has not gone off");
        alarm.set(Instant::from_nanos(0)).unwrap();
        assert_eq!(goes_off(GENEROUS.into()), Ok(1), "what has passed is due");
    }
}
