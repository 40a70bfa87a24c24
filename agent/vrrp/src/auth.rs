//! Authentication of adverts: the trailer of draft-cassen-vrrp-auth-hmac, as keepalived has sent it since 2.4.2.
//!
//! ```text
//!  0  type 1     1  key identifier     2  reserved, 0
//!  4  seconds, 32 bits                 8  2⁻¹⁶ seconds    10  counter
//! 12  tag: HMAC-SHA256 cut to 128 bits
//! ```
//!
//! The tag covers the IP version, the VRRP version, the VRID and the source address, the message with its checksum
//! read as zero, and the trailer before the tag. It does not cover the destination: one signature serves every peer.
//! Adverts are signed first and given their checksum afterwards, which covers the trailer only over IPv6.

mod key;
mod sequence;

use std::{net::IpAddr, time::Duration};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use vrrp_wire::{
    abi::address_bytes,
    judge::{HEADER_LEN, VERSION_3},
};

pub use self::{
    key::{Key, KeyId, KeyLengthError, Keyring, KeyringError},
    sequence::{Clock, Issued, Sequence, Signer, Skew},
};
use crate::Family;

/// Bytes of a trailer.
pub const TRAILER_LEN: usize = vrrp_wire::judge::TRAILER_LEN;
/// A trailer as the wire carries it.
pub type Trailer = [u8; TRAILER_LEN];

/// Bytes of a trailer before its tag.
const HEAD_LEN: usize = TRAILER_LEN - TAG_LEN;
const TAG_LEN: usize = 16;
/// HMAC-SHA256 cut to 128 bits, the only type there is.
const TYPE_HMAC_SHA256_128: u8 = 1;

/// An advert with its trailer.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Source address of the datagram.
    pub source: IpAddr,
    /// The message without the trailer, whatever its checksum.
    pub message: &'a [u8],
    /// What followed it.
    pub trailer: &'a Trailer,
}

/// Why an advert is not authentic, in the order in which it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Another type, or reserved bits that are set.
    #[error("the trailer is of type {ext_type} with reserved bits {reserved:#06x}, not of type 1 with none")]
    Malformed {
        /// Type found.
        ext_type: u8,
        /// Reserved bits found.
        reserved: u16,
    },
    /// No key has this identifier.
    #[error("signed with key {0}, which is not configured here")]
    UnknownKey(u8),
    /// Signed at a time too far from ours.
    #[error("signed {skew} our clock, more than {window:?}: an old advert, or a clock that is wrong")]
    Stale {
        /// How far from ours.
        skew: Skew,
        /// What is borne.
        window: Duration,
    },
    /// Not after the last advert of this sender.
    #[error("sequence {sequence} is not above {mark}, the last from this sender: an advert seen before")]
    Replayed {
        /// Sequence found.
        sequence: Sequence,
        /// The sender's high-water mark.
        mark: Sequence,
    },
    /// The tag is not what the key makes of the advert.
    #[error("wrong tag for key {0}: forged, changed on the way, or another secret under this identifier")]
    Tag(KeyId),
}

/// The trailer that authenticates `message`, whose checksum may be anything, when it is sent from `source`.
#[must_use]
pub fn sign(key: &Key, source: IpAddr, message: &[u8], sequence: Sequence) -> Trailer {
    let code = tag(key, source, message, sequence).finalize().into_bytes();
    let mut trailer = [0; TRAILER_LEN];
    for (to, from) in trailer.iter_mut().zip(head(key, sequence).into_iter().chain(code)) {
        *to = from;
    }
    trailer
}

/// A trailer before its tag.
fn head(key: &Key, sequence: Sequence) -> [u8; HEAD_LEN] {
    let [s0, s1, s2, s3, f0, f1, c0, c1] = sequence.get().to_be_bytes();
    [TYPE_HMAC_SHA256_128, key.id().get(), 0, 0, s0, s1, s2, s3, f0, f1, c0, c1]
}

/// The computation of a tag, with its whole input.
fn tag(key: &Key, source: IpAddr, message: &[u8], sequence: Sequence) -> Hmac<Sha256> {
    let family = match source {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    };
    let vrid = message.get(1).copied().unwrap_or(0);
    let (before_checksum, rest) = message.split_at_checked(HEADER_LEN - 2).unwrap_or((message, &[]));
    key.hmac()
        .chain_update([family.number(), VERSION_3, vrid, 0])
        .chain_update(address_bytes(source))
        .chain_update(before_checksum)
        .chain_update([0; 2])
        .chain_update(rest.get(2..).unwrap_or_default())
        .chain_update(head(key, sequence))
        .chain_update([0; TAG_LEN])
}

impl Keyring {
    /// The sequence of an authentic advert, which becomes the sender's `mark`; `None` while it has none.
    ///
    /// What costs least is checked first and in the same order as in the kernel, so that both give the same reason.
    /// Nothing but a right tag is a reason to believe anything.
    pub fn verify(&self, advert: &Signed<'_>, clock: &Clock, mark: Option<Sequence>) -> Result<Sequence, AuthError> {
        let &[ext_type, id, r0, r1, s0, s1, s2, s3, f0, f1, c0, c1, ref expected @ ..] = advert.trailer;
        let reserved = u16::from_be_bytes([r0, r1]);
        if ext_type != TYPE_HMAC_SHA256_128 || reserved != 0 {
            return Err(AuthError::Malformed { ext_type, reserved });
        }
        let key = self.get(id).ok_or(AuthError::UnknownKey(id))?;
        let sequence = Sequence::new(u64::from_be_bytes([s0, s1, s2, s3, f0, f1, c0, c1]));
        if !clock.admits(sequence) {
            return Err(AuthError::Stale { skew: sequence.skew(clock.now), window: clock.window });
        }
        if let Some(mark) = mark.filter(|&mark| clock.is_replayed(sequence, mark)) {
            return Err(AuthError::Replayed { sequence, mark });
        }
        let code = tag(key, advert.source, advert.message, sequence);
        code.verify_truncated_left(expected).map_err(|_| AuthError::Tag(key.id()))?;
        Ok(sequence)
    }
}

#[cfg(test)]
mod tests;
