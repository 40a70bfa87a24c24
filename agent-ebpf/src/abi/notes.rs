//! What the program notes for people to look into.

use super::{REJECT_LEN, VipKey};

/// Somebody who is no peer and says that a virtual address is his.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct ClaimKey {
    /// The virtual address.
    pub vip: VipKey,
    /// The Ethernet address that it is said to be at.
    pub mac: [u8; 6],
    /// Written out so that no byte of the key is uninitialised.
    pub padding: [u8; 2],
}

/// How often and when it was claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Claim {
    /// First time, in nanoseconds of CLOCK_MONOTONIC.
    pub first_ns: u64,
    /// Last time.
    pub last_ns: u64,
    /// Frames.
    pub frames: u64,
}

/// A speaker of VRRP or CARP, ours or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct SourceKey {
    /// Interface that the guard is attached to.
    pub ifindex: u32,
    /// VLAN identifier; 0 for untagged.
    pub vlan: u16,
    /// 4 or 6.
    pub family: u8,
    /// VRID, or CARP's VHID.
    pub vrid: u8,
    /// Source address of the adverts.
    pub source: [u8; 16],
    /// Sender of the Ethernet frames.
    pub mac: [u8; 6],
    /// VRRP version; 0 for CARP.
    pub version: u8,
    /// Written out so that no byte of the key is uninitialised.
    pub padding: u8,
}

/// What a speaker last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Source {
    /// First time, in nanoseconds of CLOCK_MONOTONIC.
    pub first_ns: u64,
    /// Last time.
    pub last_ns: u64,
    /// Frames.
    pub frames: u64,
    /// The first address that it claims; zero for CARP.
    pub address: [u8; 16],
    /// Number of the [`Verdict`] on its last frame.
    pub verdict: u32,
    /// Time between its adverts in centiseconds; for CARP without its skew.
    pub interval_cs: u16,
    /// Priority; for CARP its skew.
    pub priority: u8,
    /// IPvX Addr Count.
    pub addresses: u8,
}

/// A bad frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reject {
    /// Arrival, in nanoseconds of CLOCK_MONOTONIC; 0 where nothing has been kept yet.
    pub at_ns: u64,
    /// Interface that it came to.
    pub ifindex: u32,
    /// Number of its [`Verdict`].
    pub verdict: u32,
    /// Bytes of the frame.
    pub frame_len: u32,
    /// Bytes in `frame`.
    pub captured: u16,
    /// Control information of a VLAN tag that the kernel had taken out of the frame; 0 for none.
    pub stripped_tag: u16,
    /// Its beginning.
    pub frame: [u8; REJECT_LEN],
}

const _: () = {
    assert!(size_of::<ClaimKey>() == 32);
    assert!(size_of::<Claim>() == 24);
    assert!(size_of::<SourceKey>() == 32);
    assert!(size_of::<Source>() == 48);
    assert!(size_of::<Reject>() == 24 + REJECT_LEN);
};
