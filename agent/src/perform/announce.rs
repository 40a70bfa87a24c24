//! Tells the LAN where the virtual addresses are: gratuitous ARP in both forms, unsolicited Neighbor Advertisements; and asks
//! gateways for an answer, which shows that they have heard.

use std::{collections::VecDeque, io, net::IpAddr, num::NonZeroU32, time::Duration};

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

    /// Sends as many of `frames` as `rate` allows at `now`, and removes them; says when to go on with the others.
    fn send_some(&self, frames: &mut VecDeque<Vec<u8>>, rate: Option<NonZeroU32>, now: Instant) -> io::Result<Instant> {
        let Leave { count, again } = self.pace.take(frames.len(), rate, now);
        if count == 0 {
            return Ok(again);
        }
        match self.socket.send_all(frames.iter().take(count).map(Vec::as_slice)) {
            Ok(sent) => {
                frames.drain(..sent.min(count));
                Ok(if sent < count { now + FULL_AGAIN } else { again })
            }
            Err(error) if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EAGAIN | Errno::ENOBUFS)) => {
                Ok(again.max(now + FULL_AGAIN))
            }
            Err(error) => Err(error),
        }
    }
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

    /// Does what is due at `now`, for `addresses` at `place`, at `rate`.
    pub fn go_on(
        &mut self,
        place: &Place,
        addresses: &[IpNet],
        rate: Option<NonZeroU32>,
        now: Instant,
    ) -> io::Result<()> {
        match self.next().filter(|&(at, _)| at <= now) {
            Some((_, Due::Frames)) => {}
            Some((_, Due::Repeat)) => {
                self.repeats.pop_front();
                self.announce(place, addresses, now);
            }
            Some((_, Due::Refresh)) => {
                self.refresh = self.refresh.map(|(every, _)| (every, now + every));
                self.add(first_frames(place, addresses), now);
            }
            None => return Ok(()),
        }
        let Some(announcer) = &place.announcer else {
            self.drop_frames();
            return Ok(());
        };
        match announcer.send_some(&mut self.frames, rate, now) {
            Ok(again) => {
                self.go_on_at = (!self.frames.is_empty()).then_some(again);
                Ok(())
            }
            Err(error) => {
                self.drop_frames();
                Err(error)
            }
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
        announcements.repeats.clear();
        assert_eq!(at(&announcements, start), Some((30_000, Due::Refresh)));
    }
}
