//! How this agent signs its adverts and verifies those of its peers.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use tokio::sync::watch;
use tracing::warn;
use vrrp::{
    Instant,
    auth::{AuthError, Clock, Key, KeyId, Keyring, KeyringError, Sequence, Signed, Signer, Skew, Trailer},
};
use vrrp_wire::{
    abi::{Router, Verdict},
    hmac::Midstates,
    sequence::from_parts,
};

use crate::{
    clock,
    config::{self, AuthMode, KeyFile},
    supervisor::will::Signing,
};

/// Signs and verifies for all virtual routers of this node.
#[derive(Debug)]
pub struct Authentication {
    mode: AuthMode,
    active_key: Option<KeyId>,
    files: Vec<KeyFile>,
    keyring: Keyring,
    window: Duration,
    signer: Signer,
    /// The last sequence that was sent, for those who keep it.
    sent: watch::Sender<Option<Sequence>>,
}

/// An advert without a trailer, or with a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthentic {
    /// Without a trailer.
    #[error("not signed, and only signed adverts are accepted")]
    Unsigned,
    /// With a wrong one.
    #[error(transparent)]
    Wrong(#[from] AuthError),
}

impl NotAuthentic {
    /// One word for it: that of the guard's verdict.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unsigned => Verdict::AuthMissing.name(),
            Self::Wrong(AuthError::Malformed { .. }) => Verdict::AuthMalformed.name(),
            Self::Wrong(AuthError::UnknownKey(_)) => Verdict::AuthUnknownKey.name(),
            Self::Wrong(AuthError::Stale { .. }) => Verdict::AuthStale.name(),
            Self::Wrong(AuthError::Replayed { .. }) => Verdict::AuthReplayed.name(),
            Self::Wrong(AuthError::Tag(_)) => Verdict::AuthCode.name(),
        }
    }
}

impl Authentication {
    /// Begins with `keys`, and after the sequence that an earlier run has `kept`.
    pub fn new(config: &config::Auth, keys: Vec<Key>, kept: Option<Sequence>) -> Result<Self, KeyringError> {
        Ok(Self {
            mode: config.mode,
            active_key: config.active_key,
            files: config.keys.clone(),
            keyring: Keyring::new(keys)?,
            window: config.window,
            signer: kept.map_or_else(Signer::new, |kept| Signer::resume(kept, clock::wall())),
            sent: watch::Sender::new(kept),
        })
    }

    /// Takes over mode and keys of a configuration that was read again; what was sent stays sent.
    pub fn change(&mut self, config: &config::Auth, keys: Vec<Key>) -> Result<(), KeyringError> {
        self.keyring = Keyring::new(keys)?;
        (self.mode, self.active_key, self.window) = (config.mode, config.active_key, config.window);
        self.files.clone_from(&config.keys);
        Ok(())
    }

    /// Follows the last sequence that was sent.
    #[must_use]
    pub fn sent(&self) -> watch::Receiver<Option<Sequence>> {
        self.sent.subscribe()
    }

    /// What is signed and what must be.
    #[must_use]
    pub const fn mode(&self) -> AuthMode {
        self.mode
    }

    /// The key that signs.
    #[must_use]
    pub const fn active_key(&self) -> Option<KeyId> {
        self.active_key
    }

    /// The key that signs and what others need to sign in this node's name; `None` where nothing is signed.
    #[must_use]
    pub fn signing(&self) -> Option<(&Key, Signing)> {
        let id = self.active_key.filter(|_| self.mode.signs())?;
        let file = self.files.iter().find(|key| key.id == id)?.file.clone();
        Some((self.keyring.get(id.get())?, Signing { key: id.get(), file, window: self.window }))
    }

    /// The last sequence that was sent.
    #[must_use]
    pub const fn last_sent(&self) -> Option<Sequence> {
        self.signer.last()
    }

    /// Takes in that the supervisor has advertised in this node's name since the last sequence that it was told.
    pub fn go_on_after_another(&mut self) {
        self.signer.go_on_after_another();
    }

    /// Takes in that the supervisor has signed with `sequence` in this node's name.
    pub fn heed(&mut self, sequence: Sequence) {
        self.signer.heed(sequence);
    }

    /// The keys in the form that the guard computes with.
    #[must_use]
    pub fn midstates(&self) -> BTreeMap<u8, Midstates> {
        self.keyring.iter().map(|key| (key.id().get(), key.midstates())).collect()
    }

    /// How far the time in a trailer may be from ours, as a difference of [sequences](vrrp_wire::sequence).
    #[must_use]
    pub const fn window(&self) -> u64 {
        from_parts(self.window.as_secs(), self.window.subsec_nanos())
    }

    /// Whether nothing but signed adverts counts.
    #[must_use]
    pub const fn enforces(&self) -> bool {
        match self.mode {
            AuthMode::ReceiveOnly | AuthMode::Permissive => false,
            AuthMode::Enforce => true,
        }
    }

    /// What the guard is to demand: [`Router::AUTH_OPTIONAL`] or [`Router::AUTH_REQUIRED`].
    #[must_use]
    pub const fn demand(&self) -> u8 {
        if self.enforces() { Router::AUTH_REQUIRED } else { Router::AUTH_OPTIONAL }
    }

    /// What the next advert is signed with; `None` where nothing is signed.
    ///
    /// One sequence serves all destinations of an advert: the code does not cover them.
    pub fn sign_next(&mut self) -> Option<(&Key, Sequence)> {
        let clock = Clock { now: clock::wall(), window: self.window };
        let key = self.active_key.filter(|_| self.mode.signs()).and_then(|id| self.keyring.get(id.get()))?;
        let issued = self.signer.next(&clock);
        if let Some(ahead) = issued.restarted {
            warn!(
                "the clock is {ahead:?} behind what this node has signed before, more than peers bear: they refuse its \
                 adverts until they have forgotten, or the clock has caught up; see that it is right"
            );
        }
        self.sent.send_replace(Some(issued.sequence));
        Some((key, issued.sequence))
    }

    /// Verifies the `trailer` of `message`, which arrived at `received_at` and whose sender was last heard with the sequence
    /// `mark`; returns the sequence, or `None` for an advert without a trailer where none is needed.
    ///
    /// An agent that was held up judges by the time when the advert came, as the kernel did.
    pub fn verify(
        &self,
        source: IpAddr,
        message: &[u8],
        trailer: Option<&Trailer>,
        mark: Option<Sequence>,
        received_at: Instant,
    ) -> Result<Option<Sequence>, NotAuthentic> {
        let Some(trailer) = trailer else {
            return if self.enforces() { Err(NotAuthentic::Unsigned) } else { Ok(None) };
        };
        let clock = Clock { now: clock::wall_at(received_at), window: self.window };
        Ok(Some(self.keyring.verify(&Signed { source, message, trailer }, &clock, mark)?))
    }

    /// How far the clock of a sender whose advert arrived at `received_at` is from ours, if that is more than half of what
    /// is borne: time to mend it.
    #[must_use]
    pub fn alarming_skew(&self, sequence: Sequence, received_at: Instant) -> Option<Skew> {
        let skew = sequence.skew(clock::wall_at(received_at));
        (skew.distance() > self.window / 2).then_some(skew)
    }
}
