//! What may be found about a VRRP frame, and the counters of it.

/// Defines [`Verdict`] and [`Counters`] from one list, so that a verdict's number is its counter's place.
macro_rules! verdicts {
    ($($(#[$doc:meta])* $verdict:ident => $counter:ident,)*) => {
        /// What was found about a VRRP frame. Its number is the place of its counter in [`Counters`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Verdict { $($(#[$doc])* $verdict,)* }

        impl Verdict {
            /// Every verdict, in the order of its counters.
            pub const ALL: &[Self] = &[$(Self::$verdict),*];

            /// The name of its counter, as bpftool, `vipd status` and the metrics print it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$verdict => stringify!($counter),)* }
            }
        }

        /// Frames by verdict, for one virtual router.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Counters {
            $($(#[$doc])* pub $counter: u64,)*
            /// Admitted adverts for which the ring buffer had no room.
            pub record_lost: u64,
            /// Frames that were dropped.
            pub dropped: u64,
            /// Frames that `enforce` would have dropped.
            pub would_drop: u64,
            /// ARP and Neighbor Discovery in which a stranger claims a virtual address.
            pub claims: u64,
            /// ARP requests and Neighbor Solicitations that the closed fence kept from being answered.
            pub fenced_neighbor: u64,
            /// Frames to a virtual address that the closed fence stopped.
            pub fenced_traffic: u64,
            /// ARP and Neighbor Discovery of this host in the name of a virtual address that it does not hold, stopped.
            pub held_back: u64,
        }

        impl Counters {
            /// Frames with this verdict.
            #[must_use]
            pub const fn of(&self, verdict: Verdict) -> u64 {
                match verdict { $(Verdict::$verdict => self.$counter,)* }
            }

            /// Counts one frame with this verdict.
            pub const fn add(&mut self, verdict: Verdict) {
                match verdict { $(Verdict::$verdict => self.$counter += 1,)* }
            }
        }
    };
}

verdicts! {
    /// A good advert: stamped, recorded, handed over.
    Admitted => admitted,
    /// No virtual router of this VRID and family is configured on this interface. Passes.
    NotConfigured => not_configured,
    /// Sent to another node, and seen because a switch or bridge floods. Passes.
    OtherDestination => other_destination,
    /// The frame ends before the message does; the host discards it as well. Passes.
    Truncated => truncated,
    /// Multicast where unicast is configured, or the other way round.
    WrongDestination => wrong_destination,
    /// IPv4 options, which no VRRP router sends.
    IpOptions => ip_options,
    /// A fragment, which no VRRP router sends.
    Fragment => fragment,
    /// IPv6 extension headers before protocol 112, which no VRRP router sends.
    ExtensionHeader => extension_header,
    /// TTL or Hop Limit is not 255, or less than a unicast peer may have: not from this link. RFC 9568 §5.1.1.3, §5.1.2.3.
    Ttl => ttl,
    /// Not the configured VRRP version. RFC 9568 §7.1.
    Version => version,
    /// Not an ADVERTISEMENT. RFC 9568 §5.2.2.
    Type => packet_type,
    /// Our own source address, received: a loop or a forgery.
    OwnAddress => own_address,
    /// The sender is not in the allow-list.
    UnknownSource => unknown_source,
    /// The sender's address is in the allow-list, with another MAC address.
    WrongMac => wrong_mac,
    /// The message is not as long as its address count says. RFC 9568 §7.1.
    Length => length,
    /// IPvX Addr Count 0. RFC 9568 §5.2.5.
    AddressCount => address_count,
    /// Max Advertise Interval 0, or in version 2 another interval than ours. RFC 9568 §5.2.7, RFC 3768 §7.1.
    Interval => interval,
    /// Too long to be verified here, as those of this virtual router are, or before the daemon has said what time it is.
    /// Passes; the daemon decides.
    Unverified => unverified,
    /// Not VRRP but CARP, which has the same protocol number. Passes.
    Carp => carp,
    /// Without a trailer where only authenticated adverts are accepted.
    AuthMissing => auth_missing,
    /// The trailer is none: another type, or reserved bits set.
    AuthMalformed => auth_malformed,
    /// Authenticated by a key that is not in use here.
    AuthUnknownKey => auth_unknown_key,
    /// Authenticated at a time too far from ours: old, or a clock is wrong.
    AuthStale => auth_stale,
    /// Not after the last advert of this sender: a copy of an earlier one.
    AuthReplayed => auth_replayed,
    /// The authentication code is wrong: forged, or another key of the same identifier.
    AuthCode => auth_code,
    /// The first address of an IPv6 advert is not link-local. RFC 9568 erratum 8300.
    AddressList => address_list,
    /// Another authentication type of version 2 than the configured one. RFC 3768 §7.1.
    AuthType => auth_type,
    /// The simple password of version 2 is wrong.
    Password => password,
    /// Signed, and too long to be verified here, as none with the addresses of this virtual router is.
    TooLong => too_long,
}

impl Verdict {
    /// Whether the frame is bad beyond doubt, and is dropped in `enforce`.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        !self.is_handed_over()
            && !matches!(self, Self::NotConfigured | Self::OtherDestination | Self::Truncated | Self::Carp)
    }

    /// Whether the daemon gets the advert.
    #[must_use]
    pub const fn is_handed_over(self) -> bool {
        matches!(self, Self::Admitted | Self::Unverified)
    }

    /// Whether authentication failed, in whichever way.
    #[must_use]
    pub const fn is_of_authentication(self) -> bool {
        matches!(
            self,
            Self::AuthMissing
                | Self::AuthMalformed
                | Self::AuthUnknownKey
                | Self::AuthStale
                | Self::AuthReplayed
                | Self::AuthCode
                | Self::AuthType
                | Self::Password
        )
    }
}

impl Counters {
    /// Place of `record_lost` among the counters.
    pub const RECORD_LOST: usize = Verdict::ALL.len();
    /// Place of `dropped`.
    pub const DROPPED: usize = Verdict::ALL.len() + 1;
    /// Place of `would_drop`.
    pub const WOULD_DROP: usize = Verdict::ALL.len() + 2;
    /// Place of `claims`.
    pub const CLAIMS: usize = Verdict::ALL.len() + 3;
    /// Place of `fenced_neighbor`.
    pub const FENCED_NEIGHBOR: usize = Verdict::ALL.len() + 4;
    /// Place of `fenced_traffic`.
    pub const FENCED_TRAFFIC: usize = Verdict::ALL.len() + 5;
    /// Place of `held_back`.
    pub const HELD_BACK: usize = Verdict::ALL.len() + 6;
    /// Number of counters.
    pub const LEN: usize = Verdict::ALL.len() + 7;
}

const _: () = assert!(size_of::<Counters>() == 8 * Counters::LEN);

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel counts by place, the daemon reads by name.
    #[test]
    fn a_verdicts_number_is_its_counters_place() {
        for (place, &verdict) in Verdict::ALL.iter().enumerate() {
            let mut counters = Counters::default();
            // SAFETY: `Counters` is `LEN` consecutive `u64`s, as asserted above, and `place` is below `LEN`.
            unsafe { *core::ptr::from_mut(&mut counters).cast::<u64>().add(place) = 7 };
            assert_eq!(counters.of(verdict), 7, "{}", verdict.name());
            assert_eq!(verdict as usize, place);
        }
    }

    #[test]
    fn only_what_is_bad_beyond_doubt_is_dropped() {
        extern crate std;
        use std::{vec, vec::Vec};
        let pass: Vec<_> = Verdict::ALL.iter().filter(|verdict| !verdict.is_bad()).map(|v| v.name()).collect();
        let expected = vec!["admitted", "not_configured", "other_destination", "truncated", "unverified", "carp"];
        assert_eq!(pass, expected);
    }
}
