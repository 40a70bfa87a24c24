//! The frames of an interface, with the time of each.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{LinkAddr, recvfrom},
};

use crate::{
    Namespace,
    packet_socket::{self, Receive},
    realtime::prefer_this_thread,
    until,
};

/// Frames that are kept; a flood beyond them is lost.
const FRAMES_MAX: usize = 200_000;
/// How long a capture may take to notice that it shall stop.
const STOP_LATENCY_MS: u16 = 20;

/// A captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When it was read.
    pub at: Instant,
    /// Whether the interface sent it.
    pub outgoing: bool,
    /// The frame from its Ethernet header on. The kernel has removed a VLAN tag, if it had one.
    pub bytes: Vec<u8>,
}

/// A running capture. Stops when dropped.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    frames: Mutex<Vec<Captured>>,
    stop: AtomicBool,
}

impl Shared {
    fn frames(&self) -> MutexGuard<'_, Vec<Captured>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Capture {
    /// Starts to capture what an interface of `namespace` sends and receives.
    pub fn start(namespace: &Namespace, interface: &str) -> Result<Self> {
        let socket = packet_socket::open(namespace, interface, Receive::All)?;
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(format!("capture {interface}"))
            .spawn(move || run(&socket, &for_thread))
            .context("failed to start a capture")?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Every frame so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Captured> {
        self.shared.frames().clone()
    }

    /// The frames that were read after `since`.
    #[must_use]
    pub fn frames_after(&self, since: Instant) -> Vec<Captured> {
        let frames = self.shared.frames();
        frames[frames.partition_point(|frame| frame.at <= since)..].to_vec()
    }

    /// Waits for the first frame since the start of the capture that satisfies `condition`.
    pub fn wait_for(&self, what: &str, limit: Duration, condition: impl Fn(&Captured) -> bool) -> Result<Captured> {
        let mut looked_at = 0;
        until(what, limit, || {
            let frames = self.shared.frames();
            let found = frames[looked_at..].iter().find(|frame| condition(frame)).cloned();
            looked_at = frames.len();
            Ok(found)
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(socket: &OwnedFd, shared: &Shared) {
    prefer_this_thread();
    let mut buffer = vec![0; 65_536];
    while !shared.stop.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::from(STOP_LATENCY_MS));
        while !shared.stop.load(Ordering::Relaxed)
            && let Some(frame) = read(socket, &mut buffer)
        {
            let mut frames = shared.frames();
            if frames.len() < FRAMES_MAX {
                frames.push(frame);
            }
        }
    }
}

fn read(socket: &OwnedFd, buffer: &mut [u8]) -> Option<Captured> {
    let (len, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), buffer).ok()?;
    let outgoing = from.is_some_and(|from| from.pkttype() == libc::PACKET_OUTGOING);
    Some(Captured { at: Instant::now(), outgoing, bytes: buffer[..len].to_vec() })
}
