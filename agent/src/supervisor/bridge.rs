//! An agent that is gone may be started again by a service manager within moments: until then the supervisor sends its adverts,
//! and the host goes on serving. Without another run in time it hands over.
//!
//! A run that begins asks for what there is by a note in the vitals, and goes on only where the supervisor has granted it. That
//! one decides, so none of the two can go on while the other hands over.

use std::{fs, thread, time::Duration};

use tracing::{info, warn};
use vrrp::Instant;

use super::watch::Watch;
use crate::clock;

/// Between two looks for another run.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How long another run may take from when it was granted what there is to its first sign of life.
const START_MAX: Duration = Duration::from_secs(10);

/// The other run that was granted what there is.
struct Heir {
    pid: u32,
    until: Instant,
}

impl Watch {
    /// Waits for another run of the agent for so long as the configuration says, and advertises meanwhile. Says whether it goes on.
    pub(super) fn bridge(&mut self) -> bool {
        let grace = self.handover.restart_grace();
        if grace.is_zero() || !self.handover.bequests().iter().any(|bequest| self.vitals.is_active(bequest.slot)) {
            return false;
        }
        warn!(?grace, "{} has ended without a word; advertising for it until it is back", self.instance);
        let before = self.vitals.last_beat();
        let end = clock::now() + grace;
        let mut heir: Option<Heir> = None;
        self.begin_cover();
        loop {
            if self.vitals.last_beat() != before {
                info!("another run of {} goes on", self.instance);
                return true;
            }
            let now = clock::now();
            heir = heir.or_else(|| self.grant(now));
            let is_over = heir.as_ref().map_or(now >= end, |heir| now >= heir.until || !is_running(heir.pid));
            if is_over {
                return false;
            }
            self.cover();
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Grants another run what there is, if one has asked.
    fn grant(&self, now: Instant) -> Option<Heir> {
        // The run that has just ended may have asked in its time.
        let pid = self.vitals.asked_by().filter(|&pid| is_running(pid))?;
        match self.vitals.grant(pid) {
            Ok(()) => Some(Heir { pid, until: now + START_MAX }),
            Err(error) => {
                warn!(%error, pid, "another run cannot be told that it may go on");
                None
            }
        }
    }
}

/// One that has ended and was not waited for yet has no program any more.
fn is_running(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}
