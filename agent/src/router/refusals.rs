//! Whose adverts are refused, and whether that was said lately: whoever sends bad adverts in a peer's name, between its good
//! ones, must not fill the log. RFC 9568 §7.1.

use std::{collections::BTreeMap, time::Duration};

use vrrp::Instant;
use vrrp_wire::abi::PeerKey;

/// Senders that are remembered; an attacker may make up link-local ones.
const SENDERS_MAX: usize = 256;
/// Least time between two lines of the log about one sender.
const SILENCE: Duration = Duration::from_mins(1);

/// The senders whose adverts were refused.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<PeerKey, Refused>);

#[derive(Debug)]
struct Refused {
    said_at: Instant,
    /// A good advert came since.
    is_over: bool,
}

impl Refusals {
    /// Takes in a refused advert; whether to say so.
    pub(super) fn refuse(&mut self, sender: PeerKey, now: Instant) -> bool {
        let is_full = self.0.len() >= SENDERS_MAX;
        let is_news = match self.0.get(&sender) {
            Some(refused) => refused.is_over && now >= refused.said_at + SILENCE,
            None => !is_full,
        };
        if is_news {
            self.0.insert(sender, Refused { said_at: now, is_over: false });
        }
        is_news
    }

    /// Takes in an advert that was not refused.
    pub(super) fn accept(&mut self, sender: PeerKey, now: Instant) {
        let Some(refused) = self.0.get_mut(&sender) else { return };
        refused.is_over = true;
        if now >= refused.said_at + SILENCE {
            self.0.remove(&sender);
        }
    }

    /// Forgets a sender.
    pub(super) fn forget(&mut self, sender: PeerKey) {
        self.0.remove(&sender);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerKey = sender(1);

    const fn sender(number: u16) -> PeerKey {
        let [high, low] = number.to_be_bytes();
        let source = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low];
        PeerKey { source, router: vrrp_wire::abi::RouterKey { ifindex: 2, vlan: 0, family: 6, vrid: 51 } }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// Rows: +B15
    #[test]
    fn a_refusal_is_said_once_until_it_is_over() {
        let mut refusals = Refusals::default();
        assert!(refusals.refuse(PEER, at(0)));
        assert!(![1, 59, 60, 3_600].into_iter().any(|second| refusals.refuse(PEER, at(second))));
        assert!(refusals.refuse(sender(2), at(1)), "of another sender it is news");
        refusals.accept(PEER, at(3_601));
        assert!(refusals.refuse(PEER, at(3_602)));
    }

    /// Rows: -B15
    #[test]
    fn bad_adverts_between_good_ones_are_said_once_a_minute() {
        let mut refusals = Refusals::default();
        let mut said = Vec::new();
        for second in 0..180 {
            for _ in 0..100 {
                if refusals.refuse(PEER, at(second)) {
                    said.push(second);
                }
                refusals.accept(PEER, at(second));
            }
        }
        assert_eq!(said, [0, 60, 120]);
    }

    #[test]
    fn senders_that_an_attacker_makes_up_have_an_end() {
        let mut refusals = Refusals::default();
        assert_eq!((0..1_000).filter(|&number| refusals.refuse(sender(number), at(0))).count(), 256);
        refusals.accept(sender(0), at(60));
        assert!(refusals.refuse(sender(999), at(60)));
        refusals.forget(sender(1));
        assert!(refusals.refuse(sender(998), at(60)));
        refusals.clear();
        assert!(refusals.refuse(sender(1), at(61)));
    }
}
