//! What an election reports: from which state to which, and why.

use std::{fmt, net::IpAddr};

use crate::{Instant, Priority};

/// A state without its timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// Not taking part.
    Initialize,
    /// Listening to the Active Router.
    Backup,
    /// Serving the virtual addresses.
    Active,
    /// Not able to serve.
    Fault,
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Initialize => "Initialize",
            Self::Backup => "Backup",
            Self::Active => "Active",
            Self::Fault => "Fault",
        })
    }
}

/// What keeps a router from serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The interface is gone, down or without carrier.
    Link,
    /// The interface has not the IPv4 address that adverts come from.
    PrimaryAddress,
    /// The virtual addresses could not be put on the interface.
    VirtualAddresses,
    /// The clock, which signed adverts go by, may be wrong: nothing keeps it right yet.
    Clock,
    /// The interface has no IPv6 address yet that adverts can come from: none, or one that is still tentative.
    Ipv6Source,
    /// A check of the virtual router fails.
    Check,
    /// A check of the virtual router has no result yet.
    Unchecked,
    /// Another member of the [group](crate::group) cannot serve.
    Member,
    /// Another member of the group cannot take part yet.
    MemberWaits,
}

impl Cause {
    /// Whether it is a [fault](StateName::Fault). What every interface goes through when it comes up is none, nor is what
    /// nobody has looked at yet: the router waits for the end of it in Initialize.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::Ipv6Source | Self::Unchecked | Self::MemberWaits)
    }

    /// Whether it is another member's of the [group](crate::group), and not this router's own.
    #[must_use]
    pub const fn is_of_group(self) -> bool {
        matches!(self, Self::Member | Self::MemberWaits)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "the link is down",
            Self::PrimaryAddress => "no address to advertise from",
            Self::VirtualAddresses => "the virtual addresses could not be held",
            Self::Clock => "the clock is not synchronised",
            Self::Ipv6Source => "no IPv6 address to advertise from yet",
            Self::Check => "a check fails",
            Self::Unchecked => "a check has no result yet",
            Self::Member => "another member of its group cannot serve",
            Self::MemberWaits => "another member of its group cannot take part yet",
        })
    }
}

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The router began to take part.
    Startup,
    /// The router left on purpose.
    Shutdown,
    /// The router owns the virtual addresses and does not wait.
    AddressOwner,
    /// Active_Down_Interval passed without an advert.
    ActiveSilent,
    /// The Active Router sent Priority 0, and Skew_Time passed.
    ActiveLeft,
    /// A router of higher priority, or of equal priority and greater address, is Active.
    BetterRouter {
        /// Its primary address.
        source: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// This router has sent nothing for so long that another one has taken over.
    WasSilent {
        /// The other one's primary address.
        source: IpAddr,
    },
    /// The host was suspended: another router may have taken over.
    Slept,
    /// This router seemed hung, and was made to leave.
    Relieved,
    /// Another member of its group is Backup and has to stay it.
    Follows,
    /// Somebody wants another router to serve.
    HandedOver,
    /// No other router has taken over from this one, which has handed over.
    NotTaken,
    /// Something keeps this router from serving.
    Fault(Cause),
    /// It can again.
    Recovered(Cause),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup => f.write_str("started"),
            Self::Shutdown => f.write_str("stopped"),
            Self::AddressOwner => f.write_str("owns the virtual addresses"),
            Self::ActiveSilent => f.write_str("no advert from an Active Router"),
            Self::ActiveLeft => f.write_str("the Active Router left"),
            Self::BetterRouter { source, priority } => write!(f, "{source} advertises priority {priority}"),
            Self::WasSilent { source } => write!(f, "this node was silent for too long, and {source} has taken over"),
            Self::Slept => f.write_str("the host was suspended"),
            Self::Relieved => f.write_str("the agent seemed hung, and its supervisor has handed over"),
            Self::Follows => f.write_str("followed another member of its group"),
            Self::HandedOver => f.write_str("handed over"),
            Self::NotTaken => f.write_str("handed over, and no other router took over"),
            Self::Fault(cause) => cause.fmt(f),
            Self::Recovered(cause) => write!(f, "over: {cause}"),
        }
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: StateName,
    /// The state after.
    pub to: StateName,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Instant,
}
