//! What is odd about peers. It is remembered for as long as the peer goes on with it, and becomes an alarm.

use std::collections::BTreeMap;

use vrrp::Instant;
use vrrp_wire::abi::PeerKey;

use crate::observe::AlarmKind;

/// Senders and oddities that are remembered; an attacker may make up link-local senders.
const ODDITIES_MAX: usize = 256;

/// A peculiarity of a peer's adverts, which count all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Oddity {
    /// Another list of addresses than ours. RFC 9568 §7.1.
    Addresses,
    /// Another interval than ours. RFC 9568 §7.1.
    Interval,
    /// Our priority; of two owners one at least is wrong. RFC 9568 §8.3.2.
    Priority,
    /// A clock far from ours.
    Clock,
}

impl Oddity {
    pub(super) const fn kind(self) -> AlarmKind {
        match self {
            Self::Addresses => AlarmKind::AddressListDiffers,
            Self::Interval => AlarmKind::IntervalDiffers,
            Self::Priority => AlarmKind::PriorityConflict,
            Self::Clock => AlarmKind::ClockSkew,
        }
    }
}

/// The oddities of a virtual router's peers.
#[derive(Debug, Default)]
pub(super) struct Oddities(BTreeMap<(PeerKey, Oddity), Noted>);

#[derive(Debug)]
struct Noted {
    what: String,
    at: Instant,
}

impl Oddities {
    /// Notes what an advert that came `at` has shown of its sender; `None`: nothing of the kind.
    pub(super) fn note(&mut self, sender: PeerKey, oddity: Oddity, what: Option<String>, at: Instant) {
        match what {
            None => _ = self.0.remove(&(sender, oddity)),
            Some(_) if self.0.len() >= ODDITIES_MAX && !self.0.contains_key(&(sender, oddity)) => {}
            Some(what) => _ = self.0.insert((sender, oddity), Noted { what, at }),
        }
    }

    /// Forgets a sender.
    pub(super) fn forget(&mut self, sender: PeerKey) {
        self.0.retain(|&(of, _), _| of != sender);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What was noted at `since` or later: a peer that is no longer heard may have been mended.
    pub(super) fn noted(&self, since: Instant) -> impl Iterator<Item = (PeerKey, Oddity, &str)> {
        self.0
            .iter()
            .filter(move |(_, noted)| noted.at >= since)
            .map(|(&(sender, oddity), noted)| (sender, oddity, noted.what.as_str()))
    }
}
