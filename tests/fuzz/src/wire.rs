//! The format of adverts, worked out a second time, and adverts of any content.

use std::net::IpAddr;

use vrrp::{
    Centiseconds, Family, Priority, Vrid,
    message::{ChecksumForm, Endpoints, Message},
};

use crate::input::Input;

/// More addresses than an advert can say.
const ADDRESSES_MAX: u16 = 300;
const CHECKSUM_AT: usize = 6;
const PROTOCOL: u32 = 112;
const SOME_VRID: Vrid = Vrid::new(1).unwrap();

/// Any two addresses of `family`.
pub(crate) fn endpoints(input: &mut Input<'_>, family: Family) -> Endpoints {
    match family {
        Family::Ipv4 => Endpoints::Ipv4 { source: input.array().into(), destination: input.array().into() },
        Family::Ipv6 => Endpoints::Ipv6 {
            source: u128::from_be_bytes(input.array()).into(),
            destination: u128::from_be_bytes(input.array()).into(),
        },
    }
}

/// Any message, with addresses of either family in it.
pub(crate) fn message(input: &mut Input<'_>) -> Message {
    let vrid = Vrid::new(input.byte()).unwrap_or(SOME_VRID);
    let interval = Centiseconds::new(input.u16() & 0x0fff).unwrap_or(Centiseconds::MIN);
    let priority = Priority::new(input.byte());
    let (kinds, count) = (input.byte(), input.u16() % ADDRESSES_MAX);
    let addresses = (0..count).map(|at| {
        let is_ipv4 = kinds >> (at % 8) & 1 == 0;
        if is_ipv4 { IpAddr::from(input.array::<4>()) } else { IpAddr::from(input.array::<16>()) }
    });
    let addresses = addresses.collect();
    Message { vrid, priority, max_advertise_interval: interval, addresses }
}

/// The addresses of `message` that an advert over `family` can say.
pub(crate) fn said(message: &Message, family: Family) -> Vec<IpAddr> {
    let is_sayable = |address: &IpAddr| address.is_ipv4() == (family == Family::Ipv4);
    message.addresses.iter().copied().filter(is_sayable).take(255).collect()
}

/// Whether `bytes` are an advert of version 3 in all but the checksum. RFC 9568 §5.2, §7.1.
pub(crate) fn is_version_3(bytes: &[u8], family: Family) -> bool {
    let &[0x31, vrid, _, count, i0, i1, _, _, ..] = bytes else { return false };
    let len = 8 + usize::from(count) * if family == Family::Ipv4 { 4 } else { 16 };
    vrid != 0 && count != 0 && bytes.len() == len && (i0 & 0x0f != 0 || i1 != 0)
}

/// Whether `bytes` are an advert of version 2 in all but the checksum. RFC 3768 §5.3, §7.1; vipd bears at most 40 s.
pub(crate) fn is_version_2(bytes: &[u8]) -> bool {
    let &[0x21, vrid, _, count, 0 | 1, 1..=40, _, _, ..] = bytes else { return false };
    vrid != 0 && count != 0 && bytes.len() == 16 + usize::from(count) * 4
}

/// Whether the one's-complement sum of `bytes`, and of a pseudo-header where one is given, is as it must be.
pub(crate) fn is_summed(bytes: &[u8], pseudo_header: Option<&Endpoints>) -> bool {
    sum(bytes, pseudo_header) == 0xffff
}

/// Puts the checksum right, where `bytes` have one.
pub(crate) fn put_checksum(bytes: &mut [u8], pseudo_header: Option<&Endpoints>) {
    let Some(field) = bytes.get_mut(CHECKSUM_AT..CHECKSUM_AT + 2) else { return };
    field.fill(0);
    let checksum = !sum(bytes, pseudo_header);
    if let Some(field) = bytes.get_mut(CHECKSUM_AT..CHECKSUM_AT + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// The sum with every carry added at once. RFC 1071 §1; RFC 8200 §8.1 for the pseudo-header.
pub(crate) fn sum(bytes: &[u8], pseudo_header: Option<&Endpoints>) -> u16 {
    let addresses = pseudo_header
        .map_or_else(Vec::new, |endpoints| [octets(endpoints.source()), octets(endpoints.destination())].concat());
    let counted = pseudo_header.map_or(0, |_| PROTOCOL + u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    [counted >> 16, counted & 0xffff].into_iter().chain(words(&addresses)).chain(words(bytes)).fold(0, |sum, word| {
        let (sum, carry) = sum.overflowing_add(u16::try_from(word).unwrap_or(u16::MAX));
        sum + u16::from(carry)
    })
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | word.get(1).map_or(0, |&low| u32::from(low)))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The form that an advert over `family` may have besides that with a pseudo-header.
pub(crate) const fn form(family: Family, message_only: bool) -> ChecksumForm {
    match family {
        Family::Ipv4 if message_only => ChecksumForm::MessageOnly,
        Family::Ipv4 | Family::Ipv6 => ChecksumForm::PseudoHeader,
    }
}
