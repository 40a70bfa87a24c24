//! Spoils the IP header of a good, untagged advert in ways that no honest sender would.

/// Bytes of the Ethernet header.
const IP_AT: usize = 14;
/// Where the message of an IPv4 advert begins.
const IPV4_MESSAGE_AT: usize = 34;
/// Where the message of an IPv6 advert begins.
const IPV6_MESSAGE_AT: usize = 54;
const FRAGMENT_HEADER: u8 = 44;

/// An IPv4 advert with four bytes of options, all No Operation; the header's checksum is put right.
pub(crate) fn with_options(frame: &[u8]) -> Vec<u8> {
    let (before, message) = frame.split_at(IPV4_MESSAGE_AT);
    let mut frame = [before, &[1; 4], message].concat();
    frame[IP_AT] += 1;
    frame[IP_AT + 3] += 4;
    repair_ipv4(&mut frame);
    frame
}

/// An advert that says of itself that it is the first fragment of several.
pub(crate) fn as_first_fragment(frame: &[u8]) -> Vec<u8> {
    if frame[IP_AT] >> 4 == 6 {
        return with_extension(frame, FRAGMENT_HEADER, &[0, 0, 1, 0, 0, 0, 7]);
    }
    let mut frame = frame.to_vec();
    frame[IP_AT + 6] |= 0x20;
    repair_ipv4(&mut frame);
    frame
}

/// An IPv6 advert with an extension header: its number, and all its bytes but the first, which names what follows.
pub(crate) fn with_extension(frame: &[u8], number: u8, rest: &[u8]) -> Vec<u8> {
    let (before, message) = frame.split_at(IPV6_MESSAGE_AT);
    let mut frame = [before, &[112], rest, message].concat();
    frame[IP_AT + 5] += 8;
    frame[IP_AT + 6] = number;
    frame
}

fn repair_ipv4(frame: &mut [u8]) {
    let header_len = usize::from(frame[IP_AT] & 0x0f) * 4;
    frame[IP_AT + 10..IP_AT + 12].fill(0);
    let checksum = harness::frame::checksum(&[&frame[IP_AT..IP_AT + header_len]]);
    frame[IP_AT + 10..IP_AT + 12].copy_from_slice(&checksum.to_be_bytes());
}
