//! `AF_PACKET` sockets: whole Ethernet frames of one interface.

use std::{
    io,
    num::TryFromIntError,
    os::fd::{AsFd, BorrowedFd},
};

use nix::libc;
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};

/// A packet socket that is bound to one interface. Opening one needs `CAP_NET_RAW`.
#[derive(Debug)]
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// A socket that only sends.
    pub fn sender(ifindex: u32) -> io::Result<Self> {
        // Protocol 0 delivers nothing.
        Self::bind(Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?, ifindex, 0)
    }

    /// A socket that receives the frames which `filter` lets through, with room for `buffer` bytes of them.
    pub fn receiver(ifindex: u32, filter: &[SockFilter], buffer: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
        socket.attach_filter(filter)?;
        socket.set_recv_buffer_size(buffer)?;
        Self::bind(socket, ifindex, libc::ETH_P_ALL)
    }

    fn bind(socket: Socket, ifindex: u32, protocol: libc::c_int) -> io::Result<Self> {
        socket.bind(&address(ifindex, protocol)?)?;
        Ok(Self(socket))
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }

    /// The next frame that waits, if any, cut to the length of `buffer`.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        loop {
            match io::Read::read(&mut &self.0, buffer) {
                Ok(len) => return Ok(buffer.get(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The address of everything that `ifindex` carries under `protocol` (`ETH_P_…`).
fn address(ifindex: u32, protocol: libc::c_int) -> io::Result<SockAddr> {
    let unfit = |_: TryFromIntError| io::Error::from(io::ErrorKind::InvalidInput);
    let ifindex = i32::try_from(ifindex).map_err(unfit)?;
    let protocol = u16::try_from(protocol).map_err(unfit)?;
    let family = u16::try_from(libc::AF_PACKET).map_err(unfit)?;
    let address_len = u32::try_from(size_of::<libc::sockaddr_ll>()).map_err(unfit)?;
    // SAFETY: a `sockaddr_ll` is smaller than the storage and aligned like it; the closure initialises all of it and
    // states its length.
    unsafe {
        SockAddr::try_init(|storage, len| {
            storage.cast::<libc::sockaddr_ll>().write(libc::sockaddr_ll {
                sll_family: family,
                sll_protocol: protocol.to_be(),
                sll_ifindex: ifindex,
                sll_hatype: 0,
                sll_pkttype: 0,
                sll_halen: 0,
                sll_addr: [0; 8],
            });
            *len = address_len;
            Ok(())
        })
    }
    .map(|((), address)| address)
}
