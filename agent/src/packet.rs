//! `AF_PACKET` sockets: whole Ethernet frames of one interface.

pub mod filter;

use std::{
    io,
    mem::ManuallyDrop,
    num::TryFromIntError,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, recvmsg, sendmmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
    time::{ClockId, clock_gettime},
};
use socket2::{Domain, SockAddr, SockFilter, Socket, Type};
use vrrp::Instant;

use crate::clock;

/// A packet socket that is bound to one interface. Opening one needs `CAP_NET_RAW`. Nobody waits for its end.
#[derive(Debug)]
pub struct PacketSocket(ManuallyDrop<Socket>);

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
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        Self::bind(socket, ifindex, libc::ETH_P_ALL)
    }

    fn bind(socket: Socket, ifindex: u32, protocol: libc::c_int) -> io::Result<Self> {
        socket.bind(&address(ifindex, protocol)?)?;
        Ok(Self(ManuallyDrop::new(socket)))
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.0.send(frame).map(drop)
    }

    /// Sends the frames in their order; says how many it could send before one failed. That the first fails is an error.
    pub fn send_all<'f>(&self, frames: impl Iterator<Item = &'f [u8]>) -> io::Result<usize> {
        let frames: Vec<_> = frames.map(|frame| [io::IoSlice::new(frame)]).collect();
        let mut headers = MultiHeaders::<()>::preallocate(frames.len(), None);
        let nowhere = vec![None; frames.len()];
        let sent = sendmmsg(self.0.as_raw_fd(), &mut headers, &frames, nowhere, [], MsgFlags::MSG_DONTWAIT)?;
        Ok(sent.count())
    }

    /// The next frame that waits, if any, cut to the length of `buffer`, and when it arrived.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<(&'a [u8], Instant)>> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let received = loop {
            let mut parts = [io::IoSliceMut::new(buffer)];
            match recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => break (message.bytes, arrival(&message)?),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let (len, at) = received;
        Ok(buffer.get(..len).map(|frame| (frame, at)))
    }
}

/// When a message arrived, on the elections' clock. The kernel stamps by the wall clock; what that says of the age of a
/// message holds as long as nobody sets it while the message waits.
fn arrival(message: &RecvMsg<'_, '_, ()>) -> io::Result<Instant> {
    let stamp = |it| if let ControlMessageOwned::ScmTimestampns(stamp) = it { Some(stamp) } else { None };
    let Some(stamp) = message.cmsgs()?.find_map(stamp) else { return Ok(clock::now()) };
    let wall = Duration::from(clock_gettime(ClockId::CLOCK_REALTIME)?);
    Ok(clock::before_now(wall.saturating_sub(stamp.into())))
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        // SAFETY: nobody looks at it after this.
        close(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// Closes `socket` in a thread that is there for that. The kernel waits until no CPU looks at a packet socket any more, for as
/// long as ten adverts may be apart.
fn close(socket: impl Send + 'static) {
    static CLOSER: OnceLock<Option<mpsc::Sender<Box<dyn Send>>>> = OnceLock::new();
    let closer = CLOSER.get_or_init(|| {
        let (closer, sockets) = mpsc::channel();
        let thread = thread::Builder::new().name("close".to_owned()).spawn(move || sockets.into_iter().for_each(drop));
        thread.is_ok().then_some(closer)
    });
    // Where there is no thread to be had, it is closed here.
    if let Some(closer) = closer {
        let _ = closer.send(Box::new(socket));
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

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// What holds the thread up until the other end of its channel is gone.
    struct Obstacle(mpsc::Receiver<()>);

    impl Drop for Obstacle {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }

    #[test]
    fn nobody_waits_for_the_end_of_a_socket() {
        let (hold, obstacle) = mpsc::channel();
        close(Obstacle(obstacle));
        let (socket, _other) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        let file = PathBuf::from(format!("/proc/self/fd/{}", socket.as_raw_fd()));
        let name = fs::read_link(&file).unwrap();
        let is_open = || fs::read_link(&file).is_ok_and(|now| now == name);
        drop(PacketSocket(ManuallyDrop::new(socket)));
        assert!(is_open());
        drop(hold);
        while is_open() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
