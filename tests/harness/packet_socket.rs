//! Sockets for whole Ethernet frames.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::{
    libc,
    net::if_::if_nametoindex,
    sys::socket::{AddressFamily, LinkAddr, SockFlag, SockType, SockaddrLike, bind, setsockopt, socket, sockopt},
};

use crate::Namespace;

/// Room for what arrives while the reader waits for a CPU.
const RECEIVE_BUFFER_LEN: usize = 32 << 20;

/// Which frames a socket receives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receive {
    All,
    None,
}

/// Opens a non-blocking socket on an interface of `namespace`.
pub(crate) fn open(namespace: &Namespace, interface: &str, receive: Receive) -> Result<OwnedFd> {
    namespace
        .enter(|| open_here(interface, receive))?
        .with_context(|| format!("failed to open a packet socket on `{interface}`"))
}

/// Opens a non-blocking socket for all frames of an interface of the calling thread's namespace.
pub fn listen_here(interface: &str) -> Result<OwnedFd> {
    open_here(interface, Receive::All).with_context(|| format!("failed to open a packet socket on `{interface}`"))
}

fn open_here(interface: &str, receive: Receive) -> Result<OwnedFd> {
    // No protocol yet: the socket would receive from every interface until it is bound.
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    if receive == Receive::All {
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_LEN)?;
    }
    bind(socket.as_raw_fd(), &link_address(if_nametoindex(interface)?, receive)?)?;
    Ok(socket)
}

fn link_address(ifindex: u32, receive: Receive) -> Result<LinkAddr> {
    let protocol = if receive == Receive::All { libc::ETH_P_ALL } else { 0 };
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: u16::try_from(protocol)?.to_be(),
        sll_ifindex: i32::try_from(ifindex)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = u32::try_from(size_of_val(&address))?;
    // SAFETY: `address` is a whole `sockaddr_ll` of `len` bytes.
    unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(len)) }.context("no link-layer address")
}
