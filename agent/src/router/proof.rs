//! Whether a takeover was heard: frames that come here for the virtual addresses prove it. Where none come, although gateways were
//! asked for an answer to one of the addresses, the announcements are made again, and people are told.

use std::{net::IpAddr, time::Duration};

use tracing::{info, warn};
use vrrp::Instant;

use super::VirtualRouter;
use crate::{
    datapath::Datapath,
    desk::Desk,
    observe::{Alarm, AlarmKind, history::Takeover, microseconds},
};

/// How long nothing may come before the announcements are made again: longer than the last but one of their repeats.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest time until they are made again.
const PATIENCE_MAX: Duration = Duration::from_mins(1);
/// How long it is looked at what comes where nobody was asked for an answer, or after the last announcements: longer than until
/// the next.
const WATCH: Duration = Duration::from_mins(2);

/// What is known of one takeover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    since: Instant,
    progress: Progress,
    /// Who was asked for an answer.
    gateways: Vec<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing has come yet.
    Open {
        /// When the announcements are made again.
        again_at: Instant,
        /// How often that has been done.
        attempts: u32,
    },
    /// The first frame came so long after the takeover.
    Confirmed(Duration),
    /// Nothing came, and nobody had been asked, or what came was not watched any more.
    Unknown,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Wait,
    /// It is no longer of interest what comes.
    EndWatch,
    AnnounceAgain,
}

impl Proof {
    fn new(now: Instant) -> Self {
        let progress = Progress::Open { again_at: now + PATIENCE, attempts: 0 };
        Self { since: now, progress, gateways: Vec::new() }
    }

    const fn is_open(&self) -> bool {
        matches!(self.progress, Progress::Open { .. })
    }

    /// Takes in when the first frame came, if one has, and says what follows at `now`.
    fn look(&mut self, first: Option<Instant>, now: Instant) -> Step {
        let Progress::Open { again_at, attempts } = &mut self.progress else { return Step::Wait };
        if let Some(first) = first {
            self.progress = Progress::Confirmed(first.since(self.since));
            return Step::EndWatch;
        }
        if self.gateways.is_empty() {
            if now.since(self.since) < WATCH {
                return Step::Wait;
            }
            self.progress = Progress::Unknown;
            return Step::EndWatch;
        }
        if now < *again_at {
            return Step::Wait;
        }
        *attempts += 1;
        *again_at = now + (PATIENCE * 2_u32.saturating_pow(*attempts)).min(PATIENCE_MAX);
        Step::AnnounceAgain
    }

    /// Takes in whether it `is_watched` at all what comes.
    fn heed_watch(&mut self, is_watched: bool) {
        if !is_watched && self.is_open() {
            self.progress = Progress::Unknown;
        }
    }

    /// How long nothing has come although somebody was asked, once that is too long.
    fn missing_for(&self, now: Instant) -> Option<Duration> {
        match self.progress {
            Progress::Open { attempts: 1.., .. } => Some(now.since(self.since)),
            Progress::Open { .. } | Progress::Confirmed(_) | Progress::Unknown => None,
        }
    }
}

impl VirtualRouter {
    /// Begins to look for a proof that others have heard of the takeover at `now`.
    pub(super) fn begin_proof(&mut self, desk: &mut Desk, now: Instant) {
        self.end_proof(desk);
        self.proof = self.watch(desk, now).then(|| Proof::new(now));
    }

    fn watch(&self, desk: &mut Desk, now: Instant) -> bool {
        desk.datapath.watch_arrivals(self.key, now + WATCH).unwrap_or_else(|error| {
            warn!(router = %self.name(), "whether others hear of the takeover is not watched: {error:#}");
            false
        })
    }

    /// Ends that: the addresses are here no longer.
    pub(super) fn end_proof(&mut self, desk: &mut Desk) {
        self.proof = None;
        self.end_watch(desk);
    }

    fn end_watch(&self, desk: &mut Desk) {
        if let Err(error) = desk.datapath.end_watch(&self.key) {
            warn!(router = %self.name(), "{error:#}");
        }
    }

    /// Begins to say how long the takeover at `now` takes.
    pub(super) fn note_takeover(&mut self, now: Instant) {
        let silence = self.election.last_advert().map(|advert| now.since(advert.received_at));
        self.history.takeover = Takeover { silent_us: silence.map(microseconds), ..Takeover::default() };
    }

    /// Takes in that the addresses are held at `now`; those that were there when this program began were not taken over.
    pub(super) fn note_held(&mut self, now: Instant) {
        if self.resumed.is_none() && self.history.takeover.held_us.is_none() {
            self.history.takeover.held_us = Some(microseconds(now.since(self.since(now))));
        }
    }

    /// Takes in that `gateways` were asked for an answer to a virtual address in `term`.
    pub fn note_asked(&mut self, term: u64, gateways: Vec<IpAddr>) {
        if term == self.terms
            && let Some(proof) = &mut self.proof
        {
            proof.gateways = gateways;
        }
    }

    /// Looks what has come, and does what follows.
    pub fn look_at_proof(&mut self, desk: &mut Desk, now: Instant) {
        if !self.proof.as_ref().is_some_and(Proof::is_open) {
            return;
        }
        let first = self.first_arrival(&desk.datapath);
        let Some(proof) = &mut self.proof else { return };
        match proof.look(first, now) {
            Step::Wait => {}
            Step::EndWatch => {
                if let Progress::Confirmed(after) = proof.progress {
                    self.history.takeover.confirmed_us = Some(microseconds(after));
                    info!(router = %self.name(), ?after, "the takeover is confirmed: frames for the virtual addresses come here");
                }
                self.end_watch(desk);
            }
            Step::AnnounceAgain => {
                // The guard may have been taken off the interface meanwhile.
                let is_watched = self.watch(desk, now);
                if let Some(proof) = &mut self.proof {
                    proof.heed_watch(is_watched);
                }
                if !is_watched {
                    self.end_watch(desk);
                }
                self.announce_again();
            }
        }
    }

    /// How long after the takeover the first frame for the virtual addresses came here.
    pub(super) fn takeover_confirmed(&self, datapath: &Datapath) -> Option<Duration> {
        let proof = self.proof.as_ref()?;
        match proof.progress {
            Progress::Confirmed(after) => Some(after),
            Progress::Open { .. } => self.first_arrival(datapath).map(|first| first.since(proof.since)),
            Progress::Unknown => None,
        }
    }

    fn first_arrival(&self, datapath: &Datapath) -> Option<Instant> {
        let arrivals = datapath.arrivals(&self.key)?;
        (arrivals.first_ns != 0).then(|| Instant::from_nanos(arrivals.first_ns))
    }

    /// That nothing has come for too long.
    pub(super) fn unconfirmed_alarm(&self, now: Instant) -> Option<Alarm> {
        let proof = self.proof.as_ref()?;
        let span = proof.missing_for(now)?;
        let gateways: Vec<_> = proof.gateways.iter().map(IpAddr::to_string).collect();
        let what = format!(
            "no frame for the virtual addresses has come to `{}` in the {} s since the takeover, although {} was asked for one: it is \
             down, or a switch or another host keeps what is meant for them; they are announced again and again",
            self.config.interface,
            span.as_secs(),
            gateways.join(" and ")
        );
        Some(Alarm { kind: AlarmKind::TakeoverUnconfirmed, router: Some(self.name()), peer: None, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(1_000_000_000_000);

    fn proof(gateways: &[&str]) -> Proof {
        let gateways = gateways.iter().map(|gateway| gateway.parse().unwrap()).collect();
        Proof { gateways, ..Proof::new(START) }
    }

    fn after(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_frame_confirms_a_takeover() {
        let mut proof = proof(&["10.77.0.1"]);
        assert_eq!(proof.look(None, after(1)), Step::Wait);
        assert_eq!(proof.look(Some(START + Duration::from_millis(3)), after(2)), Step::EndWatch);
        assert_eq!(proof.progress, Progress::Confirmed(Duration::from_millis(3)));
        assert_eq!(proof.look(None, after(100)), Step::Wait);
        assert_eq!(proof.missing_for(after(100)), None);
    }

    #[test]
    fn announcements_are_made_again_at_growing_intervals_while_a_gateway_does_not_answer() {
        let mut proof = proof(&["10.77.0.1"]);
        let again: Vec<_> = (0..200).filter(|&at| proof.look(None, after(at)) == Step::AnnounceAgain).collect();
        assert_eq!(again, [2, 6, 14, 30, 62, 122, 182]);
        assert_eq!(proof.missing_for(after(200)), Some(Duration::from_secs(200)));
    }

    #[test]
    fn without_a_guard_silence_says_nothing_either() {
        let mut proof = proof(&["10.77.0.1"]);
        assert_eq!(proof.look(None, after(2)), Step::AnnounceAgain);
        proof.heed_watch(true);
        assert_eq!(proof.missing_for(after(3)), Some(Duration::from_secs(3)));
        proof.heed_watch(false);
        assert!((3..200).all(|at| proof.look(None, after(at)) == Step::Wait));
        assert_eq!(proof.missing_for(after(200)), None);
    }

    #[test]
    fn where_nobody_was_asked_silence_says_nothing() {
        let mut proof = proof(&[]);
        assert!((0..120).all(|at| proof.look(None, after(at)) == Step::Wait));
        assert_eq!(proof.look(None, after(120)), Step::EndWatch);
        assert_eq!((proof.progress.clone(), proof.missing_for(after(121))), (Progress::Unknown, None));
    }
}
