//! Another router is to serve because somebody wants it: asked for, confirmed by that router's advert, and taken back where
//! nobody takes over.

use std::{fmt, net::IpAddr, time::Duration};

use tokio::sync::oneshot;
use vrrp::{
    Centiseconds, Instant, MacAddr, Parameters, Priority,
    election::{Audience, Event, Expects, State, StateName},
};

use super::{VirtualRouter, better_than};
use crate::{
    config::{Peer, PeerSource},
    desk::Desk,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandoverRequest {
    /// The virtual routers of a name hand over once.
    Transfer {
        /// The name.
        router: String,
        /// Who is to serve; the best of the others where it is `None`.
        to: Option<Successor>,
    },
    /// All virtual routers hand over, and the node takes over again only where nobody else does.
    Drain,
    /// The node takes part again as it is configured.
    Undrain,
}

/// Another node, and how it may be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub node: String,
    /// The interface that it is behind.
    pub ifindex: u32,
    /// Its Ethernet address, where the configuration gives it.
    pub mac: Option<MacAddr>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Candidate {
    /// What is known here and there of one node.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.addresses.extend(other.addresses);
        Self { mac: self.mac.or(other.mac), ..self }
    }
}

/// The node that is to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its name.
    pub node: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
}

/// A handover that is on its way.
#[derive(Debug)]
pub struct PendingHandover {
    /// Of which virtual router, as `NAME/FAMILY`.
    pub router: String,
    /// What becomes of it.
    pub outcome: oneshot::Receiver<Handover>,
}

/// Who waits for what becomes of a handover.
#[derive(Debug)]
pub(super) struct PendingAnswer {
    asker: oneshot::Sender<Handover>,
    to: Option<Successor>,
}

/// What became of a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// This router advertises.
    TakenBy(IpAddr),
    /// This router advertises, and another one was to serve.
    TakenByOther(IpAddr),
    /// Nobody took over, so this node serves again.
    NotTaken,
    /// It was over before anybody could take over.
    Ended(StateName),
}

impl fmt::Display for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakenBy(address) => write!(f, "{address} has taken over"),
            Self::TakenByOther(address) => write!(f, "{address} has taken over, and was not meant to"),
            Self::NotTaken => f.write_str("no other router took over, so this node serves again"),
            Self::Ended(state) => write!(f, "no other router has taken over yet, and this node is in {state}"),
        }
    }
}

impl VirtualRouter {
    /// `node`, if it takes part and is known; an error where it could not keep what is handed over to it.
    pub fn candidate(&self, node: &str) -> Result<Option<Candidate>, String> {
        let peers = &self.config.peers;
        let Some(peer) = peers.iter().find(|peer| peer.node == node) else { return Ok(None) };
        let better = peers.iter().find(|other| other.priority > peer.priority);
        if let Some(better) = better.filter(|_| self.config.preempt_after == Some(Duration::ZERO)) {
            return Err(format!(
                "{} (priority {}) would take over from {node} ({}) at once, since preempt = true: `vipd transfer` without --to lets the \
                 best node serve that is up and not drained",
                better.node, better.priority, peer.priority
            ));
        }
        let (waits, patience) = (self.waits_for_its_turn(peer), self.election.handover_patience(Audience::One));
        if waits >= patience {
            return Err(format!(
                "{node} would take over {waits:?} after the goodbye, and {patience:?} after it others may miss this node's adverts: \
                 `vipd transfer` without --to lets the best node serve; a longer advertisement_interval leaves more time"
            ));
        }
        let (mac, addresses) = match peer.source {
            PeerSource::Address(address) => (peer.mac, vec![address]),
            PeerSource::Mac(mac) => (Some(mac), Vec::new()),
        };
        Ok(Some(Candidate { node: node.to_owned(), ifindex: self.ifindex, mac, addresses }))
    }

    /// How long `peer` lets better ones be first, once it has heard the goodbye of this router.
    fn waits_for_its_turn(&self, peer: &Peer) -> Duration {
        let others = self.config.peers.iter().filter(|other| other.node != peer.node).map(|other| other.priority);
        let better = better_than(peer.priority, others.chain([self.config.priority]));
        let theirs = Parameters {
            priority: peer.priority,
            stagger: self.config.stagger * better,
            ..*self.election.parameters()
        };
        // The shortest interval is said before the goodbye.
        theirs.turn_time(Centiseconds::MIN.duration())
    }

    /// Lets another router serve, if this one does: `to`, who alone is told that this one leaves, or the best one. `None` where
    /// there is nothing to hand over.
    pub fn hand_over(&mut self, to: Option<&Successor>, desk: &mut Desk, now: Instant) -> Option<PendingHandover> {
        if self.election.state().name() != StateName::Active || self.config.priority == Priority::OWNER {
            return None;
        }
        let (sender, outcome) = oneshot::channel();
        self.handover = Some(PendingAnswer { asker: sender, to: to.cloned() });
        self.only_to = to.cloned();
        let audience = if to.is_some() { Audience::One } else { Audience::All };
        self.handle(Event::HandOver(audience), desk, now);
        self.only_to = None;
        Some(PendingHandover { router: self.name(), outcome })
    }

    /// Takes the node out, or in again. An owner of the addresses stays: nobody else has them.
    pub fn drain(&mut self, is_drained: bool, desk: &mut Desk, now: Instant) -> Option<PendingHandover> {
        let pending = if is_drained { self.hand_over(None, desk, now) } else { None };
        self.set_drained(is_drained, desk, now);
        if !is_drained {
            self.handle(Event::Reclaim, desk, now);
        }
        pending
    }

    /// Takes in whether the node serves only where nobody else does, in whatever state it is.
    pub fn set_drained(&mut self, is_drained: bool, desk: &mut Desk, now: Instant) {
        self.is_drained = is_drained;
        self.handle(Event::Parameters(self.parameters()), desk, now);
    }

    /// Tells who waits what has become of the handover.
    pub(super) fn settle_handover(&mut self) {
        let outcome = match self.election.state() {
            State::Backup(backup) if backup.expects != Expects::Advert => return,
            State::Backup(_) => self.election.last_advert().map_or(Handover::NotTaken, |it| self.taken_by(it.source)),
            State::Active(_) => Handover::NotTaken,
            State::Initialize(_) | State::Fault { .. } => Handover::Ended(self.election.state().name()),
        };
        if let Some(pending) = self.handover.take() {
            // An asker that has gone away needs no answer.
            let _ = pending.asker.send(outcome);
        }
    }

    fn taken_by(&self, source: IpAddr) -> Handover {
        let to = self.handover.as_ref().and_then(|pending| pending.to.as_ref());
        let is_other = |to: &Successor| {
            let source = PeerSource::Address(source);
            self.config.peers.iter().any(|peer| peer.source == source && peer.node != to.node)
        };
        if to.is_some_and(is_other) { Handover::TakenByOther(source) } else { Handover::TakenBy(source) }
    }
}
