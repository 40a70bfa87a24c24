//! Tells the LAN where the virtual addresses are: gratuitous ARP in both forms, unsolicited Neighbor Advertisements; and asks
//! gateways for an answer, which shows that they have heard.

use std::{collections::VecDeque, io, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use ipnet::IpNet;
use nix::errno::Errno;
use tokio::time::Instant;
use vrrp::neighbor::{ArpForm, arp_request, gratuitous_arp, neighbor_solicitation, unsolicited_advertisement};

use super::{
    Place,
    outbox::Letter,
    pace::{Leave, Pace},
};
use crate::packet::PacketSocket;

/// When an announcement is repeated after it was first made: one lost frame, a switch that was busy with the change
/// of its ports, and one that learned late must not leave a client cut off.
const REPEATS: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];
/// How long until an interface whose queue is full is tried again.
const FULL_AGAIN: Duration = Duration::from_millis(1);
/// Over how many moments the refreshes of virtual routers that began together are spread.
const SLOTS: u32 = 32;

/// Announces addresses on one interface. Opened once: closing a packet socket waits for the kernel's readers.
#[derive(Debug)]
pub struct Announcer {
    socket: PacketSocket,
    pace: Pace,
}

impl Announcer {
    /// Opens a socket on the interface `ifindex`; needs `CAP_NET_RAW`.
    pub fn open(ifindex: u32) -> io::Result<Self> {
        Ok(Self { socket: PacketSocket::sender(ifindex)?, pace: Pace::default() })
    }

    /// Sends the adverts, which are whole frames, in their order; says how many it could send before one failed. That
    /// the first fails is an error. The pace of announcements does not hold them up.
    pub fn send(&self, letters: &[Letter]) -> io::Result<usize> {
        self.socket.send_all(letters.iter().map(|letter| letter.bytes.as_slice()))
    }

    /// Sends announcements; says how many the interface had room for.
    pub fn announce(&self, frames: &[Vec<u8>]) -> io::Result<usize> {
        match self.socket.send_all(frames.iter().map(Vec::as_slice)) {
            Err(error) if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EAGAIN | Errno::ENOBUFS)) => {
                Ok(0)
            }
            sent => sent,
        }
    }
}

/// Frames that may leave now.
#[derive(Debug)]
pub struct Batch {
    /// Through what.
    pub announcer: Arc<Announcer>,
    /// What.
    pub frames: Vec<Vec<u8>>,
}

/// The announcements of one virtual router: what waits to be sent, and when there is more.
#[derive(Debug, Default)]
pub struct Announcements {
    frames: VecDeque<Vec<u8>>,
    /// Who is asked for an answer with each announcement but the refreshes.
    gateways: Vec<IpAddr>,
    /// When the frames that wait go on.
    go_on_at: Option<Instant>,
    repeats: VecDeque<Instant>,
    /// How often and when next.
    refresh: Option<(Duration, Instant)>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Frames wait.
    Frames,
    /// All addresses are to be announced once more.
    Repeat,
    /// All addresses are to be recalled to the switches.
    Refresh,
}

impl Announcements {
    /// Announces `addresses` at `place` from now on, beside what waits, and repeats at the times of [`REPEATS`].
    pub fn start(&mut self, place: &Place, addresses: &[IpNet], now: Instant) {
        self.repeats = REPEATS.iter().map(|&after| now + after).collect();
        self.announce(place, addresses, now);
    }

    /// Asks `gateways` for an answer to the first of `addresses` of their family, now and with each announcement from now on.
    pub fn ask(&mut self, gateways: Vec<IpAddr>, place: &Place, addresses: &[IpNet], now: Instant) {
        self.gateways = gateways;
        self.add(questions(place, addresses, &self.gateways), now);
    }

    fn announce(&mut self, place: &Place, addresses: &[IpNet], now: Instant) {
        self.add(frames(place, addresses), now);
        self.add(questions(place, addresses, &self.gateways), now);
    }

    /// Forgets what waits: it no longer holds.
    pub fn drop_frames(&mut self) {
        self.frames.clear();
        self.go_on_at = None;
    }

    /// Refreshes so often from now on. `router` tells virtual routers apart: their refreshes do not coincide.
    pub fn set_refresh(&mut self, every: Option<Duration>, router: u32, now: Instant) {
        let slot = router % SLOTS;
        self.refresh = every.map(|every| (every, now + every * (SLOTS + slot) / (2 * SLOTS)));
    }

    /// When something is due, and what. What waits comes first.
    #[must_use]
    pub fn next(&self) -> Option<(Instant, Due)> {
        if let Some(at) = self.go_on_at {
            return Some((at, Due::Frames));
        }
        let repeat = self.repeats.front().map(|&at| (at, Due::Repeat));
        let refresh = self.refresh.map(|(_, at)| (at, Due::Refresh));
        repeat.into_iter().chain(refresh).min_by_key(|&(at, _)| at)
    }

    /// Begins what is due at `now`, for `addresses` at `place`; returns the frames that may leave now, at `rate`.
    pub fn begin(
        &mut self,
        place: &Place,
        addresses: &[IpNet],
        rate: Option<NonZeroU32>,
        now: Instant,
    ) -> Option<Batch> {
        match self.next().filter(|&(at, _)| at <= now)? {
            (_, Due::Frames) => {}
            (_, Due::Repeat) => {
                self.repeats.pop_front();
                self.announce(place, addresses, now);
            }
            (_, Due::Refresh) => {
                self.refresh = self.refresh.map(|(every, _)| (every, now + every));
                self.add(first_frames(place, addresses), now);
            }
        }
        let Some(announcer) = &place.announcer else {
            self.drop_frames();
            return None;
        };
        let Leave { count, again } = announcer.pace.take(self.frames.len(), rate, now);
        let frames: Vec<_> = self.frames.drain(..count.min(self.frames.len())).collect();
        self.go_on_at = (!self.frames.is_empty()).then_some(again);
        Some(Batch { announcer: Arc::clone(announcer), frames })
    }

    /// Takes back frames that the interface had no room for at `now`.
    pub fn put_back(&mut self, unsent: Vec<Vec<u8>>, now: Instant) {
        if !unsent.is_empty() {
            unsent.into_iter().rev().for_each(|frame| self.frames.push_front(frame));
            self.go_on_at = Some(now + FULL_AGAIN);
        }
    }

    fn add(&mut self, frames: Vec<Vec<u8>>, now: Instant) {
        if frames.is_empty() {
            return;
        }
        self.frames.extend(frames);
        self.go_on_at = Some(self.go_on_at.unwrap_or(now));
    }
}

/// What would be sent to announce `addresses` at `place`. Nobody's pace is heeded.
pub(super) fn rehearsal(place: &Place, addresses: &[IpNet]) -> Option<Batch> {
    Some(Batch { announcer: Arc::clone(place.announcer.as_ref()?), frames: frames(place, addresses) })
}

/// Every frame of an announcement: each address is told once before any is told again.
fn frames(place: &Place, addresses: &[IpNet]) -> Vec<Vec<u8>> {
    let mut frames = first_frames(place, addresses);
    frames.extend(addresses.iter().filter_map(|net| match net.addr() {
        IpAddr::V4(address) => Some(gratuitous_arp(place.mac, address, ArpForm::Reply)),
        IpAddr::V6(_) => None,
    }));
    frames
}

/// One frame for each address, from which switches learn where it is.
fn first_frames(place: &Place, addresses: &[IpNet]) -> Vec<Vec<u8>> {
    let frame = |net: &IpNet| match net.addr() {
        IpAddr::V4(address) => gratuitous_arp(place.mac, address, ArpForm::Request),
        IpAddr::V6(address) => unsolicited_advertisement(place.mac, place.link_local.unwrap_or(address), address),
    };
    addresses.iter().map(frame).collect()
}

/// For each gateway a question in the name of an address of its family: the first that is not link-local, if there is one.
fn questions(place: &Place, addresses: &[IpNet], gateways: &[IpAddr]) -> Vec<Vec<u8>> {
    let question = |&gateway: &IpAddr| {
        let askers = addresses.iter().map(IpNet::addr).filter(|address| address.is_ipv4() == gateway.is_ipv4());
        let asker =
            askers.min_by_key(|address| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()))?;
        match (asker, gateway) {
            (IpAddr::V4(asker), IpAddr::V4(gateway)) => Some(arp_request(place.mac, asker, gateway)),
            (IpAddr::V6(asker), IpAddr::V6(gateway)) => Some(neighbor_solicitation(place.mac, asker, gateway)),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
        }
    };
    gateways.iter().filter_map(question).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(announcements: &Announcements, start: Instant) -> Option<(u128, Due)> {
        announcements.next().map(|(at, due)| (at.duration_since(start).as_millis(), due))
    }

    #[test]
    fn virtual_routers_that_begin_together_refresh_apart() {
        let start = Instant::now();
        for (router, refresh_ms) in [(0, 30_000), (1, 30_937), (31, 59_062), (32, 30_000)] {
            let mut announcements = Announcements::default();
            announcements.set_refresh(Some(Duration::from_mins(1)), router, start);
            assert_eq!(at(&announcements, start), Some((refresh_ms, Due::Refresh)), "{router}");
        }
        let mut announcements = Announcements::default();
        announcements.set_refresh(None, 0, start);
        assert_eq!(announcements.next(), None);
    }

    #[test]
    fn what_waits_goes_before_repeats_and_these_before_a_refresh() {
        let start = Instant::now();
        let mut announcements = Announcements::default();
        announcements.set_refresh(Some(Duration::from_mins(1)), 0, start);
        announcements.repeats = [start + Duration::from_secs(1)].into();
        assert_eq!(at(&announcements, start), Some((1_000, Due::Repeat)));
        announcements.add(vec![vec![0; 60]], start);
        announcements.add(vec![vec![1; 60]], start + Duration::from_millis(3));
        assert_eq!(at(&announcements, start), Some((0, Due::Frames)));
        announcements.drop_frames();
        announcements.put_back(Vec::new(), start);
        assert_eq!(at(&announcements, start), Some((1_000, Due::Repeat)));
        announcements.put_back(vec![vec![0], vec![1]], start);
        assert_eq!((at(&announcements, start), &announcements.frames[0]), (Some((1, Due::Frames)), &vec![0]));
        announcements.drop_frames();
        announcements.repeats.clear();
        assert_eq!(at(&announcements, start), Some((30_000, Due::Refresh)));
    }
}
