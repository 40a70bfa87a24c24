//! What a client notices: an echo request to a virtual address every millisecond, and which ones are answered.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, ppoll},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Host, frame::checksum, realtime::prefer_this_thread, until};

const INTERVAL: Duration = Duration::from_millis(1);
const HEADER_LEN: usize = 8;
const PAYLOAD_LEN: usize = 12;

/// An echo request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Number of the request, from 0.
    pub sequence: u32,
    /// When the request was sent.
    pub sent_at: Instant,
    /// When the answer arrived.
    pub answered_at: Instant,
}

/// A running probe. Stops when dropped.
#[derive(Debug)]
pub struct Probe {
    target: IpAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<Vec<Answer>>,
    stop: AtomicBool,
}

impl Shared {
    fn answers(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe {
    /// Starts to probe `target` from `client`.
    pub fn start(client: &Host, target: IpAddr) -> Result<Self> {
        let opened = client.namespace().enter(|| open(target))?;
        let socket = opened.with_context(|| format!("failed to open a raw socket to {target}"))?;
        let shared = Arc::new(Shared::default());
        let sender = Sender::new(socket, target.is_ipv6(), Arc::clone(&shared));
        let thread = thread::Builder::new().name(format!("probe {target}")).spawn(move || sender.run())?;
        Ok(Self { target, shared, thread: Some(thread) })
    }

    /// Every answer so far, in the order of their arrival.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        self.shared.answers().clone()
    }

    /// Waits until a request is answered that was sent after the call.
    pub fn wait_answered(&self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        until(&format!("an answer from {}", self.target), limit, || {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("the probe of {} has ended", self.target);
            }
            Ok(self.shared.answers().last().filter(|answer| answer.sent_at >= start).map(drop))
        })
    }

    /// The longest time without an answer since `start`, counted from the last answer before it.
    #[must_use]
    pub fn outage_since(&self, start: Instant) -> Duration {
        let answers = self.shared.answers();
        let Some(zero) = answers.first().map(|answer| answer.sent_at.min(start)) else { return start.elapsed() };
        longest_gap(answers.iter().map(|answer| answer.answered_at - zero), start - zero, zero.elapsed())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The longest time between two `arrivals`, counted from the last one before `start` and to `end`.
pub fn longest_gap(arrivals: impl Iterator<Item = Duration>, start: Duration, end: Duration) -> Duration {
    let (mut last, mut longest) = (start, Duration::ZERO);
    for arrival in arrivals.filter(|arrival| *arrival <= end).chain([end]) {
        if arrival > start {
            longest = longest.max(arrival.saturating_sub(last));
        }
        last = arrival;
    }
    longest
}

fn open(target: IpAddr) -> Result<Socket> {
    let (domain, protocol, address) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4, SocketAddr::new(target, 0)),
        IpAddr::V6(target) => {
            let scope = if target.is_unicast_link_local() { if_nametoindex(Host::INTERFACE)? } else { 0 };
            (Domain::IPV6, Protocol::ICMPV6, SocketAddrV6::new(target, 0, 0, scope).into())
        }
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.connect(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The thread's side.
struct Sender {
    socket: Socket,
    is_ipv6: bool,
    identifier: u16,
    start: Instant,
    shared: Arc<Shared>,
}

impl Sender {
    fn new(socket: Socket, is_ipv6: bool, shared: Arc<Shared>) -> Self {
        static IDENTIFIER: AtomicU16 = AtomicU16::new(1);
        let identifier = IDENTIFIER.fetch_add(1, Ordering::Relaxed);
        Self { socket, is_ipv6, identifier, start: Instant::now(), shared }
    }

    fn run(self) {
        prefer_this_thread();
        let mut sequence = 0;
        let mut next = self.start;
        while !self.shared.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= next {
                // No route, no neighbour: that is what an outage looks like.
                let _ = self.socket.send(&self.request(sequence, now));
                sequence += 1;
                next = (next + INTERVAL).max(now);
            }
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            let patience = next.saturating_duration_since(Instant::now());
            let _ = ppoll(&mut ready, Some(patience.into()), None);
            self.receive();
        }
    }

    /// Notes the answers that have come, until there is none, or the network reports an error.
    fn receive(&self) {
        let mut buffer = [0; 256];
        loop {
            match io::Read::read(&mut &self.socket, &mut buffer) {
                Ok(len) => {
                    if let Some(answer) = self.answer(&buffer[..len], Instant::now()) {
                        self.shared.answers().push(answer);
                    }
                }
                Err(_) => return,
            }
        }
    }

    fn request(&self, sequence: u32, now: Instant) -> [u8; HEADER_LEN + PAYLOAD_LEN] {
        let mut message = [0; HEADER_LEN + PAYLOAD_LEN];
        message[0] = if self.is_ipv6 { 128 } else { 8 };
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&sequence.to_be_bytes()[2..]);
        message[8..12].copy_from_slice(&sequence.to_be_bytes());
        let elapsed_ns = u64::try_from(now.duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        message[12..].copy_from_slice(&elapsed_ns.to_be_bytes());
        if !self.is_ipv6 {
            // The kernel adds the one of ICMPv6.
            let checksum = checksum(&[&message]);
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
        message
    }

    /// What arrived, if it answers one of our requests.
    fn answer(&self, packet: &[u8], now: Instant) -> Option<Answer> {
        let header_len = if self.is_ipv6 { 0 } else { usize::from(packet.first()? & 0x0f) * 4 };
        let message = packet.get(header_len..)?;
        let echo_reply = if self.is_ipv6 { 129 } else { 0 };
        if message.len() != HEADER_LEN + PAYLOAD_LEN || message[0] != echo_reply {
            return None;
        }
        let (header, payload) = message.split_at(HEADER_LEN);
        let (sequence, elapsed_ns) = payload.split_first_chunk()?;
        let elapsed = Duration::from_nanos(u64::from_be_bytes(elapsed_ns.try_into().ok()?));
        (header[4..6] == self.identifier.to_be_bytes()).then(|| Answer {
            sequence: u32::from_be_bytes(*sequence),
            sent_at: self.start + elapsed,
            answered_at: now,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_answer_to_answer() {
        let answers = [0, 40, 41, 90, 91].map(Duration::from_millis);
        // (start, end, longest time without an answer)
        let cases = [(0, 91, 49), (45, 91, 49), (89, 91, 49), (90, 91, 1), (91, 91, 0), (91, 191, 100), (30, 41, 40)];
        for (start, end, longest) in cases {
            let [start, end, longest] = [start, end, longest].map(Duration::from_millis);
            assert_eq!(longest_gap(answers.into_iter(), start, end), longest, "from {start:?} to {end:?}");
        }
        let end = Duration::from_millis(7);
        assert_eq!(longest_gap([].into_iter(), Duration::ZERO, end), end);
    }
}
