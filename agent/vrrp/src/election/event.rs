//! What happens to an election, and what the caller must then do.

use std::{net::IpAddr, time::Duration};

use super::{Cause, Parting, Transition};
use crate::{Instant, Parameters, Priority};

/// An advert as the election sees it: accepted by every check before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Primary address of the sender.
    pub source: IpAddr,
    /// Its priority; `None`: it leaves.
    pub priority: Option<Priority>,
    /// Its Max Advertise Interval.
    pub max_advertise_interval: Duration,
    /// When it reached this host, which may be well before it is handled.
    pub received_at: Instant,
}

/// Who is told that a router hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every Backup Router.
    All,
    /// One of them. The others go on waiting for the next advert.
    One,
}

/// What happens to an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The router begins to take part.
    Startup,
    /// The router leaves on purpose.
    Shutdown,
    /// The [deadline](super::Election::deadline) may have come.
    Timer,
    /// An advert was received.
    Advert(Advert),
    /// The primary address, which adverts come from, is this one.
    PrimaryAddress(IpAddr),
    /// Something keeps this router from serving.
    Fault(Cause),
    /// It no longer does.
    Recovered(Cause),
    /// All virtual addresses are on the interface.
    AddressesHeld,
    /// Somebody wants another router to serve.
    HandOver(Audience),
    /// It may preempt again after [`Event::HandOver`].
    Reclaim,
    /// While this router seemed hung it was made to leave in its name: Priority 0 was sent, the virtual addresses are gone.
    Relieved,
    /// Another member of its [group](crate::group) is Backup and has to stay it.
    Follow(Parting),
    /// Another member of its group, Active with the same Advertisement_Interval, advertises at this time: so does this one.
    AdvertiseBy(Instant),
    /// Another member of its group, Active as well, has a rival that will have fallen silent at this time. It may have served this
    /// one's addresses too.
    Rival(Instant),
    /// The host was suspended for so long, which no clock of this router has counted.
    Slept(Duration),
    /// It is configured in another way from now on.
    Parameters(Parameters),
}

/// What the caller must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an advert of this priority now; `None` is Priority 0: this router leaves.
    Advertise(Option<Priority>),
    /// Send an advert of this priority and the shortest Max Advertise Interval. Priority 0 follows: who has learned that
    /// interval waits for no more than its Skew_Time then.
    Hasten(Priority),
    /// Put the virtual addresses on the interface and announce them.
    TakeAddresses,
    /// Announce the virtual addresses again.
    Announce,
    /// Remove the virtual addresses.
    ReleaseAddresses,
    /// Tell people.
    Report(Transition),
}
