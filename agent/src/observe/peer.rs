//! What people see of the other nodes of a virtual router.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp::Instant;
use vrrp_wire::abi::{Peer, Verdict};

use super::milliseconds;
use crate::config;

/// Another node of a virtual router, and what it was heard to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeerStatus {
    /// Its name.
    pub node: String,
    /// Its priority by the configuration.
    pub configured_priority: u8,
    /// That of its last good advert, 0 where it was leaving; `None` where there was none.
    pub last_priority: Option<u8>,
    /// How long ago that came, in milliseconds.
    pub heard_ms: Option<u64>,
    /// Good adverts so far.
    pub adverts: u32,
    /// Why an advert in its name was refused since then, as the counters call it.
    pub refused_for: Option<String>,
}

impl PeerStatus {
    /// What the guard, or the agent in its stead, has noted of `node`.
    #[must_use]
    pub fn new(node: &config::Peer, stamp: &Peer, now: Instant) -> Self {
        let has_spoken = stamp.last_good_ns != 0;
        let failure = Verdict::ALL.iter().find(|&&verdict| verdict as u32 == stamp.last_failure);
        let failure = failure.filter(|_| stamp.failing_since_ns != 0);
        Self {
            node: node.node.clone(),
            configured_priority: node.priority.get(),
            last_priority: has_spoken.then_some(stamp.last_priority),
            heard_ms: has_spoken.then(|| milliseconds(now.since(Instant::from_nanos(stamp.last_good_ns)))),
            adverts: stamp.adverts,
            refused_for: failure.map(|verdict| verdict.name().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use vrrp::Priority;

    use super::*;
    use crate::config::PeerSource;

    #[test]
    fn a_peer_is_known_by_its_last_good_advert_and_what_was_refused_since() {
        let source = PeerSource::Address([10, 77, 0, 1].into());
        let node = config::Peer { node: "n1".to_owned(), priority: Priority::new(200).unwrap(), source, mac: None };
        let now = Instant::from_nanos(5_000_000_000);
        let silent = PeerStatus::new(&node, &Peer::default(), now);
        assert_eq!((silent.last_priority, silent.heard_ms, silent.refused_for), (None, None, None));
        let mut stamp = Peer { last_priority: 0, adverts: 3, last_good_ns: 4_730_000_000, ..Peer::default() };
        let heard = PeerStatus::new(&node, &stamp, now);
        assert_eq!((heard.last_priority, heard.heard_ms, heard.adverts), (Some(0), Some(270), 3));
        stamp.note_failure(Verdict::Ttl, 4_900_000_000);
        assert_eq!(PeerStatus::new(&node, &stamp, now).refused_for.as_deref(), Some("ttl"));
    }
}
