//! Whoever puts frames on the LAN that no honest stack would send.

use std::{
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, MultiHeaders, send, sendmmsg},
};

use crate::{
    Host, Namespace,
    packet_socket::{self, Receive},
};

/// Frames that a pair of virtual Ethernet interfaces queues without loss, with room for other traffic.
const BURST: usize = 64;

/// A sender of frames on a host's interface.
#[derive(Debug)]
pub struct Injector {
    socket: OwnedFd,
}

impl Injector {
    /// A sender on the interface of `host`.
    pub fn new(host: &Host) -> Result<Self> {
        Self::on(host.namespace(), Host::INTERFACE)
    }

    /// A sender on any interface.
    pub fn on(namespace: &Namespace, interface: &str) -> Result<Self> {
        Ok(Self { socket: packet_socket::open(namespace, interface, Receive::None)? })
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        loop {
            match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
                Ok(len) if len == frame.len() => return Ok(()),
                Ok(len) => bail!("only {len} of {} bytes were sent", frame.len()),
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => self.wait_for_room()?,
                Err(error) => return Err(error).context("failed to send a frame"),
            }
        }
    }

    /// Sends one frame unless the host's own filters stop it, which they report like a full queue.
    pub fn offer(&self, frame: &[u8]) -> Result<()> {
        match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS) => Ok(()),
            Err(error) => Err(error).context("failed to send a frame"),
        }
    }

    /// Sends one frame `count` times, as fast as the receivers on this machine can take it.
    pub fn flood(&self, frame: &[u8], count: usize) -> Result<()> {
        for number in 1..=count {
            self.send(frame)?;
            if number % BURST == 0 {
                // Lets the kernel's threads empty the queues that a burst has filled.
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    /// Sends frames in turn until `end`, as fast as the machine can; returns how many.
    pub fn flood_until(&self, end: Instant, frames: &[Vec<u8>]) -> Result<u64> {
        let burst: Vec<_> = frames.iter().cycle().take(BURST).map(|frame| [IoSlice::new(frame)]).collect();
        let mut sent = 0;
        while Instant::now() < end {
            let mut headers = MultiHeaders::<()>::preallocate(burst.len(), None);
            let nowhere = vec![None; burst.len()];
            match sendmmsg(self.socket.as_raw_fd(), &mut headers, &burst, nowhere, [], MsgFlags::empty()) {
                Ok(results) => sent += u64::try_from(results.count())?,
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => self.wait_for_room()?,
                Err(error) => return Err(error).context("failed to send frames"),
            }
        }
        Ok(sent)
    }

    fn wait_for_room(&self) -> Result<()> {
        poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)], PollTimeout::from(10_u8))?;
        Ok(())
    }
}

/// Sends `frame` from the interface of `host`, `count` times.
pub fn inject(host: &Host, frame: &[u8], count: usize) -> Result<()> {
    Injector::new(host)?.flood(frame, count)
}
