//! Whose adverts are refused, and whether that was said lately: whoever sends bad adverts in a peer's name, between its good
//! ones, must not fill the log. RFC 9568 §7.1.

use std::{collections::BTreeMap, time::Duration};

use vrrp::Instant;
use vrrp_wire::abi::PeerKey;

/// Senders besides the peers that are remembered; an attacker may make up link-local ones.
const STRANGERS_MAX: usize = 256;
/// Least time between two lines of the log about one sender.
const SILENCE: Duration = Duration::from_mins(1);
/// How long after the line about it a stranger keeps its place from another one.
const PLACE_IS_KEPT: Duration = Duration::from_hours(1);

/// The senders whose adverts were refused.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<PeerKey, Refused>);

/// Who a sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in the allow-list, which has an end.
    Peer,
    /// It is not.
    Stranger,
}

#[derive(Debug)]
struct Refused {
    standing: Standing,
    said_at: Instant,
    /// A good advert came since.
    is_over: bool,
}

impl Refusals {
    /// Takes in a refused advert; whether to say so.
    pub(super) fn refuse(&mut self, sender: PeerKey, standing: Standing, now: Instant) -> bool {
        let is_news = match self.0.get(&sender) {
            Some(refused) => refused.is_over && now >= refused.said_at + SILENCE,
            None => standing == Standing::Peer || self.has_room(now),
        };
        if is_news {
            self.0.insert(sender, Refused { standing, said_at: now, is_over: false });
        }
        is_news
    }

    /// Whether there is a place for one more stranger, perhaps that of another one.
    fn has_room(&mut self, now: Instant) -> bool {
        let strangers = self.0.iter().filter(|(_, refused)| refused.standing == Standing::Stranger);
        if strangers.clone().count() < STRANGERS_MAX {
            return true;
        }
        let oldest = strangers.min_by_key(|(_, refused)| refused.said_at);
        let old = oldest.filter(|(_, refused)| now >= refused.said_at + PLACE_IS_KEPT).map(|(&sender, _)| sender);
        old.is_some_and(|sender| self.0.remove(&sender).is_some())
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
        assert!(refusals.refuse(PEER, Standing::Stranger, at(0)));
        assert!(![1, 59, 60, 3_600].into_iter().any(|second| refusals.refuse(PEER, Standing::Stranger, at(second))));
        assert!(refusals.refuse(sender(2), Standing::Stranger, at(1)), "of another sender it is news");
        refusals.accept(PEER, at(3_601));
        assert!(refusals.refuse(PEER, Standing::Stranger, at(3_602)));
    }

    /// Rows: -B15
    #[test]
    fn bad_adverts_between_good_ones_are_said_once_a_minute() {
        let mut refusals = Refusals::default();
        let mut said = Vec::new();
        for second in 0..180 {
            for _ in 0..100 {
                if refusals.refuse(PEER, Standing::Stranger, at(second)) {
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
        assert_eq!(
            (0..1_000).filter(|&number| refusals.refuse(sender(number), Standing::Stranger, at(0))).count(),
            256
        );
        refusals.accept(sender(0), at(60));
        assert!(refusals.refuse(sender(999), Standing::Stranger, at(60)));
        refusals.forget(sender(1));
        assert!(refusals.refuse(sender(998), Standing::Stranger, at(60)));
        refusals.clear();
        assert!(refusals.refuse(sender(1), Standing::Stranger, at(61)));
    }
    #[test]
    fn a_peer_is_heard_of_whatever_an_attacker_makes_up() {
        let mut refusals = Refusals::default();
        for number in 0..1_000 {
            refusals.refuse(sender(number), Standing::Stranger, at(0));
        }
        assert!(refusals.refuse(sender(2_000), Standing::Peer, at(1)));
        assert!(!refusals.refuse(sender(2_000), Standing::Peer, at(2)));
    }

    #[test]
    fn strangers_give_way_an_hour_after_they_were_spoken_of() {
        let mut refusals = Refusals::default();
        for number in 0..256 {
            refusals.refuse(sender(number), Standing::Stranger, at(u64::from(number)));
        }
        let mut is_news = |number, second| refusals.refuse(sender(number), Standing::Stranger, at(second));
        assert!(!is_news(2_000, 3_599));
        assert!(is_news(2_000, 3_600));
        assert!(!is_news(2_001, 3_600), "the next is a second younger");
        assert!(is_news(2_001, 3_601));
    }
}
