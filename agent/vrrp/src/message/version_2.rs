//! The VRRPv2 ADVERTISEMENT, for routers that migrate. RFC 3768 §5, with the simple password of RFC 2338 §5.3.6.
//!
//! It is carried by IPv4 alone, counts its interval in seconds, and ends with eight bytes of authentication data. Its
//! checksum covers the message and no pseudo-header.

use std::{fmt, net::IpAddr};

use vrrp_wire::judge::{AUTH_DATA_LEN, HEADER_LEN, TYPE_ADVERTISEMENT, VERSION_2};

use super::{
    CHECKSUM_OFFSET, DecodeError, Message, check_version_type, decode_addresses, fold, message_len, octets, sum,
};
use crate::{Centiseconds, Family, Priority, Vrid};

/// First byte of every advert: version 2, type 1.
const VERSION_TYPE: u8 = VERSION_2 << 4 | TYPE_ADVERTISEMENT;

/// What an advert carries besides its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Type 0: nothing.
    None,
    /// Type 1: a password that everyone on the LAN can read.
    Password(Password),
}

impl Authentication {
    /// The number of the type on the wire.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Password(_) => 1,
        }
    }

    /// The authentication data.
    #[must_use]
    pub const fn data(&self) -> [u8; AUTH_DATA_LEN] {
        match self {
            Self::None => [0; AUTH_DATA_LEN],
            Self::Password(password) => password.0,
        }
    }
}

/// A simple password: up to eight bytes, filled up with zeros.
///
/// It protects from mistakes, not from anyone who can see an advert. It is compared in constant time and not printed
/// all the same.
#[derive(Clone, Copy)]
pub struct Password([u8; AUTH_DATA_LEN]);

impl Password {
    /// The password `text`; `None` where it is empty, has more than eight bytes, or a zero among them.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.is_empty() || text.contains(&0) {
            return None;
        }
        let mut bytes = [0; AUTH_DATA_LEN];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(bytes))
    }

    /// The password that adverts with this authentication data carry.
    #[must_use]
    pub const fn from_data(data: [u8; AUTH_DATA_LEN]) -> Self {
        Self(data)
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        u64::from_ne_bytes(self.0) ^ u64::from_ne_bytes(other.0) == 0
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Reads an advert that came over IPv4.
pub fn decode(bytes: &[u8]) -> Result<(Message, Authentication), DecodeError> {
    let Some(&[version_type, vrid, priority, count, auth_type, seconds, c0, c1]) = bytes.first_chunk::<HEADER_LEN>()
    else {
        return Err(DecodeError::TooShort(bytes.len()));
    };
    check_version_type(version_type, VERSION_2)?;
    let expected = message_len(count, Family::Ipv4) + AUTH_DATA_LEN;
    let Some((message, data)) = bytes.split_last_chunk::<AUTH_DATA_LEN>().filter(|_| bytes.len() == expected) else {
        return Err(DecodeError::Length { expected, actual: bytes.len() });
    };
    if fold(sum(bytes)) != 0xffff {
        return Err(DecodeError::Checksum(u16::from_be_bytes([c0, c1])));
    }
    if count == 0 {
        return Err(DecodeError::AddressCount);
    }
    let authentication = match auth_type {
        0 => Authentication::None,
        1 => Authentication::Password(Password(*data)),
        _ => return Err(DecodeError::AuthType(auth_type)),
    };
    let message = Message {
        vrid: Vrid::new(vrid).ok_or(DecodeError::Vrid)?,
        priority: Priority::new(priority),
        max_advertise_interval: Centiseconds::new(u16::from(seconds) * 100).ok_or(DecodeError::Interval)?,
        addresses: decode_addresses(message.get(HEADER_LEN..).unwrap_or_default(), Family::Ipv4),
    };
    Ok((message, authentication))
}

/// The advert as bytes for an IPv4 datagram. Its interval is cut to whole seconds, of which there is at least one.
///
/// IPv6 addresses, and those beyond the 255th, cannot be said and are left out.
#[must_use]
pub fn encode(message: &Message, authentication: &Authentication) -> Vec<u8> {
    let listed = message.addresses.iter().filter_map(|address: &IpAddr| octets(address, Family::Ipv4));
    let addresses: Vec<_> = listed.take(usize::from(u8::MAX)).collect();
    let count = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
    let seconds = u8::try_from(message.max_advertise_interval.get() / 100).unwrap_or(u8::MAX).max(1);
    let priority = message.priority.map_or(0, Priority::get);
    let mut bytes = vec![VERSION_TYPE, message.vrid.get(), priority, count, authentication.number(), seconds, 0, 0];
    bytes.extend(addresses.concat());
    bytes.extend(authentication.data());
    let checksum = !fold(sum(&bytes));
    if let Some(field) = bytes.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests;
