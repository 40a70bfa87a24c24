//! The numbers of VRRP as types: checked once where they enter, trusted afterwards.

use core::{fmt, num::NonZeroU8, str::FromStr, time::Duration};

/// A Virtual Router Identifier, 1 to 255. RFC 9568 §5.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// The identifier `number`, or `None` for 0, which no virtual router may have.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The identifier as the wire carries it.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The Virtual Router MAC Address: 00-00-5E-00-01-{VRID} for IPv4, 00-00-5E-00-02-{VRID} for IPv6.
    /// RFC 9568 §7.3.
    #[must_use]
    pub const fn mac(self, family: Family) -> MacAddr {
        let block = match family {
            Family::Ipv4 => 1,
            Family::Ipv6 => 2,
        };
        MacAddr([0x00, 0x00, 0x5e, 0x00, block, self.get()])
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A router's Priority, 1 to 255; 255 is the address owner. RFC 9568 §5.2.4.
///
/// The wire's 0, "the Active Router leaves", is not a priority but its absence: `Option<Priority>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// The priority of the router whose own addresses are the virtual router's.
    pub const OWNER: Self = Self(NonZeroU8::MAX);
    /// The priority of a router that serves where nobody else does.
    pub const LEAST: Self = Self(NonZeroU8::MIN);

    /// The priority `number`, or `None` for 0.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The priority as the wire carries it.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time span as VRRP carries it: 1 to 4095 hundredths of a second.
///
/// Used only by the wire format and the configuration; [`Centiseconds::duration`] is the single way into the rest
/// of the program, which counts in [`Duration`]. RFC 9568 §5.2.7, §6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Centiseconds(u16);

impl Centiseconds {
    /// The longest interval that the 12 bits of the wire can say: 40.95 s.
    pub const MAX: Self = Self(4095);
    /// The shortest interval that VRRPv3 can say: 10 ms.
    pub const MIN: Self = Self(1);

    /// `count` hundredths of a second, or `None` outside 1 to 4095.
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        if count >= Self::MIN.0 && count <= Self::MAX.0 { Some(Self(count)) } else { None }
    }

    /// The span that equals `duration`, or `None` where `duration` is no whole number of hundredths from 1 to 4095.
    #[must_use]
    pub fn from_duration(duration: Duration) -> Option<Self> {
        if !duration.as_micros().is_multiple_of(10_000) || !duration.subsec_nanos().is_multiple_of(1_000) {
            return None;
        }
        u16::try_from(duration.as_micros() / 10_000).ok().and_then(Self::new)
    }

    /// The count as the wire carries it.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The span as the rest of the program counts it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

/// The version of VRRP that a virtual router speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// RFC 3768, IPv4 only.
    V2 = 2,
    /// RFC 9568.
    V3 = 3,
}

impl Version {
    /// The number that adverts and records carry: 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// The IP version that carries an advertisement. IPv4 and IPv6 virtual routers of one VRID are different routers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// IPv4, adverts to 224.0.0.18.
    Ipv4 = 4,
    /// IPv6, adverts to ff02::12.
    Ipv6 = 6,
}

impl Family {
    /// Bytes of one address in an advertisement: 4 or 16.
    #[must_use]
    pub const fn address_len(self) -> usize {
        match self {
            Self::Ipv4 => 4,
            Self::Ipv6 => 16,
        }
    }

    /// The number that map keys and records carry: 4 or 6.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The family with this number, if there is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            4 => Some(Self::Ipv4),
            6 => Some(Self::Ipv6),
            _ => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mac = self.0;
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
    }
}

/// The text is not six colon-separated pairs of hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddrError;

impl fmt::Display for MacAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a MAC address such as 02:00:00:00:00:01")
    }
}

impl core::error::Error for MacAddrError {}

impl FromStr for MacAddr {
    type Err = MacAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or(MacAddrError)?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(MacAddrError);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| MacAddrError)?;
        }
        if pairs.next().is_some() {
            return Err(MacAddrError);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn zero_is_neither_a_vrid_nor_a_priority() {
        assert_eq!(Vrid::new(0), None);
        assert_eq!(Priority::new(0), None);
        assert_eq!(Vrid::new(255).map(Vrid::get), Some(255));
        assert_eq!(Priority::new(255), Some(Priority::OWNER));
    }

    #[test]
    fn centiseconds_are_1_to_4095() {
        assert_eq!(Centiseconds::new(0), None);
        assert_eq!(Centiseconds::new(4096), None);
        assert_eq!(Centiseconds::new(1).map(Centiseconds::duration), Some(Duration::from_millis(10)));
        assert_eq!(Centiseconds::new(4095).map(Centiseconds::duration), Some(Duration::from_millis(40_950)));
    }

    #[test]
    fn only_whole_centiseconds_convert() {
        let cases = [
            (Duration::ZERO, None),
            (Duration::from_millis(10), Some(1)),
            (Duration::from_millis(15), None),
            (Duration::from_nanos(10_000_001), None),
            (Duration::from_secs(1), Some(100)),
            (Duration::from_millis(40_950), Some(4095)),
            (Duration::from_millis(40_960), None),
            (Duration::MAX, None),
        ];
        for (duration, count) in cases {
            assert_eq!(Centiseconds::from_duration(duration).map(Centiseconds::get), count, "{duration:?}");
        }
    }

    #[test]
    fn virtual_router_mac_carries_family_and_vrid() {
        let vrid = Vrid::new(51).unwrap();
        assert_eq!(vrid.mac(Family::Ipv4).to_string(), "00:00:5e:00:01:33");
        assert_eq!(vrid.mac(Family::Ipv6).to_string(), "00:00:5e:00:02:33");
    }

    #[test]
    fn mac_addresses_are_read_strictly() {
        assert_eq!("02:00:00:00:0a:Ff".parse(), Ok(MacAddr([2, 0, 0, 0, 10, 255])));
        for wrong in
            ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "2:0:0:0:0:1", "02-00-00-00-00-01", "+2:00:00:00:00:01"]
        {
            assert_eq!(wrong.parse::<MacAddr>(), Err(MacAddrError), "{wrong:?}");
        }
    }
}
