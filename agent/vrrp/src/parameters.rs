//! The parameters of one virtual router on one router. RFC 9568 §6.1.

use std::time::Duration;

use crate::{Centiseconds, Priority};

/// What an [`Election`](crate::election::Election) is configured with; legal by the types of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Priority of this router; 255 where it owns the virtual addresses.
    pub priority: Priority,
    /// Time between our own adverts.
    pub advertisement_interval: Centiseconds,
    /// Whether a Backup takes over from an Active Router of lower priority. The owner always does.
    pub preempt_mode: bool,
    /// The longest interval learned from an Active Router; `None` believes any, as the RFC has it.
    ///
    /// One advert that says 40.95 s would otherwise delay the next takeover by more than two minutes.
    pub learned_interval_max: Option<Duration>,
}

impl Parameters {
    /// Whether this router owns the virtual addresses. RFC 9568 §1.7.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.priority == Priority::OWNER
    }

    /// Preempt_Mode as it works: "the router that owns the addresses always preempts". RFC 9568 §6.1.
    #[must_use]
    pub fn preempts(&self) -> bool {
        self.preempt_mode || self.is_owner()
    }

    /// Active_Adver_Interval as learned from an advert that says `advertised`.
    #[must_use]
    pub fn learn(&self, advertised: Duration) -> Duration {
        self.learned_interval_max.map_or(advertised, |longest| advertised.min(longest))
    }
}
