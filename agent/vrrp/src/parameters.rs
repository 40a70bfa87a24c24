//! The parameters of one virtual router on one router. RFC 9568 §6.1.

use std::time::Duration;

use crate::{Centiseconds, Priority, Version};

/// What an [`Election`](crate::election::Election) is configured with; legal by the types of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Which version of VRRP is spoken.
    pub version: Version,
    /// Priority of this router; 255 where it owns the virtual addresses.
    pub priority: Priority,
    /// Time between our own adverts.
    pub advertisement_interval: Centiseconds,
    /// Preempt_Mode: how long after it has heard an Active Router of lower priority a Backup begins to take over from
    /// it; `None`: never. The owner does so at once.
    pub preempt_after: Option<Duration>,
    /// How long the router waits at its start before it takes part.
    pub startup_delay: Duration,
    /// How much longer than Active_Down_Interval a router listens when it begins to: a part of the interval of its own, so
    /// that the many virtual routers of a host do not all send at the same moment.
    pub spread: Duration,
    /// Intervals without an advert after which, and Skew_Time, a Backup takes over: 3 by the RFC.
    pub down_timer_adverts: u8,
    /// The longest interval learned from an Active Router; `None` believes any, as the RFC has it.
    ///
    /// One advert that says 40.95 s would otherwise delay the next takeover by more than two minutes.
    pub learned_interval_max: Option<Duration>,
    /// How much longer than Skew_Time a Backup lets others be first: [`Parameters::STAGGER`] for each router that is better, besides
    /// the one that was Active. Of the shortest interval, which whoever leaves says last, Skew_Times differ by less than a
    /// busy host is late.
    pub stagger: Duration,
    /// Whether an Active Router gives way to one of its own priority and a greater address, as the RFC has it. Of a
    /// [group](crate::group) one member decides that for all: addresses of other members may be in another order.
    pub breaks_ties: bool,
}

impl Parameters {
    /// `down_timer_adverts` of the RFC. RFC 9568 §6.1.
    pub const DOWN_TIMER_ADVERTS: u8 = 3;

    /// The part of `stagger` for each router. A busy host runs a thread of ordinary priority up to 9 ms late.
    pub const STAGGER: Duration = Duration::from_millis(20);

    /// Whether this router owns the virtual addresses. RFC 9568 §1.7.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.priority == Priority::OWNER
    }

    /// Preempt_Mode as it works: "the router that owns the addresses always preempts". RFC 9568 §6.1.
    #[must_use]
    pub fn preempts_after(&self) -> Option<Duration> {
        if self.is_owner() { Some(Duration::ZERO) } else { self.preempt_after }
    }

    /// Active_Adver_Interval as learned from an advert that says `advertised`. Version 2 learns none.
    #[must_use]
    pub fn learn(&self, advertised: Duration) -> Duration {
        match self.version {
            Version::V2 => self.advertisement_interval.duration(),
            Version::V3 => self.learned_interval_max.map_or(advertised, |longest| advertised.min(longest)),
        }
    }
}
