//! The abstract Unix sockets of a network namespace, and whose they are: sock_diag(7).

use std::io;

use nix::errno::Errno;
use rtnetlink::{
    packet_core::{NLM_F_DUMP, NLM_F_REQUEST},
    sys::{Socket, SocketAddr},
};

const NETLINK_SOCK_DIAG: isize = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const AF_UNIX: u32 = 1;
const UDIAG_SHOW_NAME: u32 = 1;
const UDIAG_SHOW_UID: u32 = 1 << 6;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_UID: u16 = 7;
/// Bytes of `struct nlmsghdr`, of `struct unix_diag_msg`, and of `struct nlattr`.
const HEADER_LEN: usize = 16;
const SOCKET_LEN: usize = 16;
const ATTRIBUTE_LEN: usize = 4;

/// The abstract names that processes of root have. Of a user namespace's root the kernel says that it is another user.
pub(super) fn names_of_root() -> io::Result<Vec<String>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(), 0)?;
    let mut names = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        for (kind, body) in messages(&datagram) {
            match kind {
                NLMSG_DONE => return Ok(names),
                NLMSG_ERROR => return Err(refusal(body)),
                _ => names.extend(name_of_root(body)),
            }
        }
    }
}

/// Asks for all, in whatever state.
fn request() -> Vec<u8> {
    let flags = NLM_F_REQUEST | NLM_F_DUMP;
    let header = [40, u32::from(SOCK_DIAG_BY_FAMILY) | u32::from(flags) << 16, 1, 0];
    let wanted = [AF_UNIX, u32::MAX, 0, UDIAG_SHOW_NAME | UDIAG_SHOW_UID, 0, 0];
    header.iter().chain(&wanted).flat_map(|word| word.to_ne_bytes()).collect()
}

/// The messages in a datagram, each with its type.
fn messages(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    parts(datagram, |part| Some((u32_at(part, 0)?, u16_at(part, 4)?, HEADER_LEN)))
}

/// Parts that each say their length, in the order of their bytes; none after one that is too short.
fn parts<'b>(
    bytes: &'b [u8],
    head: impl Fn(&[u8]) -> Option<(u32, u16, usize)> + 'b,
) -> impl Iterator<Item = (u16, &'b [u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, kind, head_len) = head(rest)?;
        let len = usize::try_from(len).ok()?;
        let body = rest.get(head_len..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn refusal(body: &[u8]) -> io::Error {
    let code = u32_at(body, 0).map_or(0, u32::cast_signed);
    // Without CONFIG_UNIX_DIAG nobody answers.
    if code == 0 { Errno::ENOENT.into() } else { io::Error::from_raw_os_error(-code) }
}

fn name_of_root(socket: &[u8]) -> Option<String> {
    let attributes = socket.get(SOCKET_LEN..)?;
    let attributes = || parts(attributes, |part| Some((u32::from(u16_at(part, 0)?), u16_at(part, 2)?, ATTRIBUTE_LEN)));
    let value = |wanted| attributes().find(|&(kind, _)| kind == wanted).map(|(_, value)| value);
    if u32_at(value(UNIX_DIAG_UID)?, 0)? != 0 {
        return None;
    }
    // Only an abstract name begins with a zero.
    let name = value(UNIX_DIAG_NAME)?.strip_prefix(b"\0")?;
    String::from_utf8(name.to_vec()).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket as the kernel lists it: inode 7, with a user and a name.
    fn listed(uid: u32, name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 1, 10, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(u16::try_from(name.len() + 4).unwrap().to_ne_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend([8_u16.to_ne_bytes(), 7_u16.to_ne_bytes()].concat());
        bytes.extend(uid.to_ne_bytes());
        bytes
    }

    #[test]
    fn only_abstract_names_of_root_count() {
        assert_eq!(name_of_root(&listed(0, b"\0vipd/x")), Some("vipd/x".to_owned()));
        assert_eq!(name_of_root(&listed(1_000, b"\0vipd/x")), None);
        assert_eq!(name_of_root(&listed(0, b"/run/vipd\0")), None);
        assert_eq!(name_of_root(&listed(0, b"\0vipd/x")[..20]), None);
    }

    #[test]
    fn a_datagram_has_several_messages() {
        let one = [&20_u32.to_ne_bytes()[..], &20_u16.to_ne_bytes(), &[0; 10], b"abcd"].concat();
        let last = [&16_u32.to_ne_bytes()[..], &3_u16.to_ne_bytes(), &[0; 10]].concat();
        let found: Vec<_> = messages(&[one, last].concat()).map(|(kind, body)| (kind, body.to_vec())).collect();
        assert_eq!(found, [(20, b"abcd".to_vec()), (3, Vec::new())]);
        assert_eq!(messages(&[7, 0, 0, 0]).count(), 0);
    }
}
