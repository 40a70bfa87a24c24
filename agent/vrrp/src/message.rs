//! The whole VRRPv3 ADVERTISEMENT: decode, encode, checksum. RFC 9568 §5. [`version_2`] has that of VRRPv2.
//!
//! Decoding trusts nothing about the bytes and cannot panic.

pub mod version_2;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_wire::judge::{HEADER_LEN, TYPE_ADVERTISEMENT, VERSION_3};

use crate::{
    Centiseconds, Family, Priority, Vrid,
    auth::{self, Key, Sequence, TRAILER_LEN, Trailer},
};

/// First byte of every advert: version 3, type 1. RFC 9568 §5.2.1, §5.2.2.
const VERSION_TYPE: u8 = VERSION_3 << 4 | TYPE_ADVERTISEMENT;
const CHECKSUM_OFFSET: usize = 6;
const PROTOCOL: u8 = vrrp_wire::parse::IP_PROTO_VRRP;

/// The addresses of the datagram that carries an advert, which its checksum may cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// An IPv4 datagram.
    Ipv4 {
        /// Source address.
        source: Ipv4Addr,
        /// Destination address.
        destination: Ipv4Addr,
    },
    /// An IPv6 datagram.
    Ipv6 {
        /// Source address.
        source: Ipv6Addr,
        /// Destination address.
        destination: Ipv6Addr,
    },
}

impl Endpoints {
    /// The IP version of both addresses.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Ipv4 { .. } => Family::Ipv4,
            Self::Ipv6 { .. } => Family::Ipv6,
        }
    }

    /// Source address.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match *self {
            Self::Ipv4 { source, .. } => IpAddr::V4(source),
            Self::Ipv6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// Destination address.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        match *self {
            Self::Ipv4 { destination, .. } => IpAddr::V4(destination),
            Self::Ipv6 { destination, .. } => IpAddr::V6(destination),
        }
    }

    /// Source and destination as an IP header carries them.
    pub(crate) fn octets(&self) -> Vec<u8> {
        match self {
            Self::Ipv4 { source, destination } => [source.octets(), destination.octets()].concat(),
            Self::Ipv6 { source, destination } => [source.octets(), destination.octets()].concat(),
        }
    }

    /// One's-complement sum of the pseudo-header for a message of `len` bytes. RFC 9568 §5.2.8, RFC 8200 §8.1.
    fn pseudo_header_sum(&self, len: usize) -> u64 {
        sum(&self.octets()) + u64::from(PROTOCOL) + len as u64
    }
}

/// What an IPv4 advert's checksum covers. IPv6 adverts have one form only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumForm {
    /// The message and a pseudo-header: RFC 5798 as keepalived and FRR read it, and IPv6.
    PseudoHeader,
    /// The message alone. RFC 9568 §5.2.8 for IPv4.
    MessageOnly,
}

/// An ADVERTISEMENT, as far as versions 2 and 3 agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Virtual Router Identifier.
    pub vrid: Vrid,
    /// Priority of the sender; `None` is the wire's 0: the sender leaves.
    pub priority: Option<Priority>,
    /// Max Advertise Interval: the time between the sender's adverts. Version 2 says whole seconds only.
    pub max_advertise_interval: Centiseconds,
    /// Virtual addresses, all of the carrying IP version.
    pub addresses: Vec<IpAddr>,
}

/// Why bytes are no advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than the fixed part.
    #[error("{0} bytes are less than the 8 of an empty advert")]
    TooShort(usize),
    /// Not the version that is read.
    #[error("VRRP version {actual}, not {expected}")]
    Version {
        /// The version that is read.
        expected: u8,
        /// The version received.
        actual: u8,
    },
    /// Not an ADVERTISEMENT.
    #[error("type {0}, not 1 (ADVERTISEMENT)")]
    Type(u8),
    /// VRID 0.
    #[error("VRID 0")]
    Vrid,
    /// IPvX Addr Count 0.
    #[error("no address")]
    AddressCount,
    /// Max Advertise Interval 0, or longer than 40.95 s.
    #[error("Max Advertise Interval 0 or too long")]
    Interval,
    /// An authentication type of version 2 that is neither 0 nor 1.
    #[error("authentication type {0}, not 0 (none) or 1 (simple password)")]
    AuthType(u8),
    /// Not as long as the count says.
    #[error("{actual} bytes where the address count makes {expected}")]
    Length {
        /// Bytes that the address count makes.
        expected: usize,
        /// Bytes received.
        actual: usize,
    },
    /// The checksum is wrong in every form that is in use.
    #[error("wrong checksum {0:#06x}")]
    Checksum(u16),
}

/// An advert as it came, in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The message, or all bytes where what follows it is no trailer.
    pub message: &'a [u8],
    /// What authenticates it.
    pub trailer: Option<&'a Trailer>,
}

/// Tells the message from its trailer: the 28 bytes beyond those that the address count makes.
#[must_use]
pub fn split(bytes: &[u8], family: Family) -> Parts<'_> {
    let unsigned = Parts { message: bytes, trailer: None };
    let Some((message, trailer)) = bytes.split_last_chunk::<TRAILER_LEN>() else { return unsigned };
    match message.first_chunk::<HEADER_LEN>() {
        Some(&[_, _, _, count, ..]) if message.len() == message_len(count, family) => {
            Parts { message, trailer: Some(trailer) }
        }
        Some(_) | None => unsigned,
    }
}

impl Message {
    /// Reads an advert without a trailer that came in a datagram between `endpoints`, and says what its checksum
    /// covers.
    pub fn decode(bytes: &[u8], endpoints: &Endpoints) -> Result<(Self, ChecksumForm), DecodeError> {
        Self::decode_parts(bytes, &[], endpoints)
    }

    /// Reads an advert as [`Message::decode`] does, from the parts that [`split`] has found.
    ///
    /// Says nothing about who sent it: that takes [`Keyring::verify`](auth::Keyring::verify).
    pub fn decode_signed(
        message: &[u8],
        trailer: &Trailer,
        endpoints: &Endpoints,
    ) -> Result<(Self, ChecksumForm), DecodeError> {
        Self::decode_parts(message, trailer, endpoints)
    }

    fn decode_parts(bytes: &[u8], trailer: &[u8], endpoints: &Endpoints) -> Result<(Self, ChecksumForm), DecodeError> {
        let Some(&[version_type, vrid, priority, count, i0, i1, c0, c1]) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(DecodeError::TooShort(bytes.len()));
        };
        check_version_type(version_type, VERSION_3)?;
        let family = endpoints.family();
        let expected = message_len(count, family);
        if bytes.len() != expected {
            return Err(DecodeError::Length { expected, actual: bytes.len() });
        }
        let form =
            checksum_form(bytes, trailer, endpoints).ok_or(DecodeError::Checksum(u16::from_be_bytes([c0, c1])))?;
        if count == 0 {
            return Err(DecodeError::AddressCount);
        }
        // The upper four bits are reserved and ignored on reception. RFC 9568 §5.2.6.
        let interval = Centiseconds::new(u16::from_be_bytes([i0, i1]) & 0x0fff).ok_or(DecodeError::Interval)?;
        let message = Self {
            vrid: Vrid::new(vrid).ok_or(DecodeError::Vrid)?,
            priority: Priority::new(priority),
            max_advertise_interval: interval,
            addresses: decode_addresses(bytes.get(HEADER_LEN..).unwrap_or_default(), family),
        };
        Ok((message, form))
    }

    /// The advert as bytes for a datagram between `endpoints`.
    ///
    /// Addresses of the other family, and those beyond the 255th, cannot be said and are left out.
    #[must_use]
    pub fn encode(&self, endpoints: &Endpoints, form: ChecksumForm) -> Vec<u8> {
        let mut bytes = self.encode_unchecked(endpoints.family());
        put_checksum(&mut bytes, &[], endpoints, form);
        bytes
    }

    /// The advert as [`Message::encode`] makes it, and the trailer that authenticates it as one of `sequence`.
    #[must_use]
    pub fn encode_signed(&self, endpoints: &Endpoints, form: ChecksumForm, key: &Key, sequence: Sequence) -> Vec<u8> {
        let mut bytes = self.encode_unchecked(endpoints.family());
        let trailer = auth::sign(key, endpoints.source(), &bytes, sequence);
        put_checksum(&mut bytes, &trailer, endpoints, form);
        bytes.extend(trailer);
        bytes
    }

    /// The advert with a checksum of 0.
    fn encode_unchecked(&self, family: Family) -> Vec<u8> {
        let addresses: Vec<u8> = self
            .addresses
            .iter()
            .filter_map(|address| octets(address, family))
            .take(usize::from(u8::MAX))
            .flatten()
            .collect();
        let count = u8::try_from(addresses.len() / family.address_len()).unwrap_or(u8::MAX);
        let [i0, i1] = self.max_advertise_interval.get().to_be_bytes();
        let priority = self.priority.map_or(0, Priority::get);
        let mut bytes = vec![VERSION_TYPE, self.vrid.get(), priority, count, i0, i1, 0, 0];
        bytes.extend(addresses);
        bytes
    }
}

/// Checks the first byte of a message.
fn check_version_type(version_type: u8, expected: u8) -> Result<(), DecodeError> {
    match (version_type >> 4, version_type & 0x0f) {
        (version, TYPE_ADVERTISEMENT) if version == expected => Ok(()),
        (version, packet_type) if version == expected => Err(DecodeError::Type(packet_type)),
        (actual, _) => Err(DecodeError::Version { expected, actual }),
    }
}

/// Bytes of a message with `count` addresses.
fn message_len(count: u8, family: Family) -> usize {
    HEADER_LEN + usize::from(count) * family.address_len()
}

/// Writes the checksum into `message`, where it is 0 so far.
fn put_checksum(message: &mut [u8], trailer: &[u8], endpoints: &Endpoints, form: ChecksumForm) {
    let checksum = !fold(covered_sum(message, trailer, endpoints, form));
    if let Some(field) = message.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The form in which the checksum of `message` is right; both are accepted for IPv4.
fn checksum_form(message: &[u8], trailer: &[u8], endpoints: &Endpoints) -> Option<ChecksumForm> {
    let is_right = |form| fold(covered_sum(message, trailer, endpoints, form)) == 0xffff;
    let forms: &[_] = match endpoints.family() {
        Family::Ipv4 => &[ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly],
        Family::Ipv6 => &[ChecksumForm::PseudoHeader],
    };
    forms.iter().copied().find(|&form| is_right(form))
}

/// Sum of what the checksum covers. Over IPv6 that includes the trailer, since the kernel computes it over all that
/// is sent.
fn covered_sum(message: &[u8], trailer: &[u8], endpoints: &Endpoints, form: ChecksumForm) -> u64 {
    let trailer = match endpoints.family() {
        Family::Ipv4 => &[],
        Family::Ipv6 => trailer,
    };
    let pseudo_header = match form {
        ChecksumForm::PseudoHeader => endpoints.pseudo_header_sum(message.len() + trailer.len()),
        ChecksumForm::MessageOnly => 0,
    };
    pseudo_header + sum(message) + sum(trailer)
}

fn decode_addresses(bytes: &[u8], family: Family) -> Vec<IpAddr> {
    match family {
        Family::Ipv4 => bytes.as_chunks::<4>().0.iter().map(|&octets| IpAddr::from(octets)).collect(),
        Family::Ipv6 => bytes.as_chunks::<16>().0.iter().map(|&octets| IpAddr::from(octets)).collect(),
    }
}

fn octets(address: &IpAddr, family: Family) -> Option<Vec<u8>> {
    match (address, family) {
        (IpAddr::V4(address), Family::Ipv4) => Some(address.octets().to_vec()),
        (IpAddr::V6(address), Family::Ipv6) => Some(address.octets().to_vec()),
        (IpAddr::V4(_), Family::Ipv6) | (IpAddr::V6(_), Family::Ipv4) => None,
    }
}

/// Sum of 16-bit words in network order; an odd byte counts as the upper half of a word. RFC 1071.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let odd = rest.first().map_or(0, |&byte| u64::from(byte) << 8);
    words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum::<u64>() + odd
}

/// Folds a sum into its one's-complement 16 bits. RFC 1071.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
