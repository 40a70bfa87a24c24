//! I3: that what is no advert of a router of this LAN changes nothing.
//!
//! Where adverts are not signed, nothing tells an advert in the name of a router from one of its own. Those reach the Active
//! Router only, and only ones that it must answer, so that the other rules hold all the same: it answers, and stays.
//!
//! One thing is borne. The kernel stamps the time of the last good advert of each peer, and a Backup that would take over
//! asks the stamps first: of adverts that found no room in the ring buffer nothing else is left. The kernel looks neither
//! at checksums nor, while the daemon does not run, at repetitions, so that such a stamp may be of
//!
//! - a damaged or forged advert in the name of a peer, where adverts need not be signed,
//! - a copy of an advert that was signed within the window, or
//! - a signed advert whose checksum alone was damaged, which the signature does not cover.
//!
//! It may put the takeover off, as any advert would that comes from there, and it may hide an earlier stamp of the same
//! peer, as if that advert had been lost. It never makes a router yield, and never takes back what another stamp promises.

use vrrp::{
    Instant, Parameters,
    election::{Advert, State, StateName},
};
use vrrp_wire::abi::Verdict;

use super::{Oracle, Violation, violated};
use crate::{
    attacker::Forgery,
    clock::{Time, nanoseconds},
    host::{Heard, Host},
    kernel::{Arrival, Provenance},
    world::Delivery,
};

impl Oracle {
    /// What a frame is.
    pub(crate) fn provenance(&self, delivery: &Delivery) -> Provenance {
        let Some((from, number)) = delivery.origin.filter(|_| !delivery.is_changed) else {
            let is_plausible = delivery.forgery.is_none() && !delivery.is_changed;
            return if is_plausible { Provenance::Plausible } else { Provenance::Forged };
        };
        let is_old = number <= self.records[delivery.to].seen[from];
        let is_copy = delivery.forgery.is_some() && (is_old || delivery.to == from);
        if is_copy { Provenance::Copy } else { Provenance::Genuine }
    }

    /// The arrival of a frame that the kernel has admitted.
    pub(super) fn admitted(
        &mut self,
        delivery: &Delivery,
        is_genuine: bool,
        arrival: Option<Arrival>,
        now: Time,
    ) -> Result<Option<Arrival>, Violation> {
        let is_admitted = arrival.is_some_and(|arrival| arrival.verdict == Verdict::Admitted);
        match delivery.forgery.filter(|_| !is_genuine) {
            Some(forgery) if is_admitted && !forgery.is_for_daemon() => violated(now, || {
                format!("I3: the guard of host {} admits a forged advert: {forgery:?}", delivery.to + 1)
            }),
            Some(forgery) if !is_admitted => {
                self.judged.refuse(forgery);
                Ok(None)
            }
            Some(_) | None => Ok(arrival.filter(|_| is_admitted)),
        }
    }

    /// The daemon has refused an advert that the kernel has admitted.
    pub(crate) fn refused(&mut self, provenance: Provenance, forgery: Option<Forgery>) {
        self.judged.refused_by_daemon += u64::from(provenance != Provenance::Genuine);
        if let Some(forgery) = forgery.filter(|_| provenance != Provenance::Genuine) {
            self.judged.refuse(forgery);
        }
    }

    /// The daemon has taken an advert in.
    pub(crate) fn heard(
        &mut self,
        host: usize,
        advert: &Advert,
        (before, after): (State, State),
        heard: Heard,
        there: &Host,
        now: Time,
    ) -> Result<(), Violation> {
        let is_bearable = match (heard.provenance, heard.by_stamp) {
            (Provenance::Genuine, _) => true,
            (Provenance::Copy, false) => before == after,
            (Provenance::Plausible, _) => {
                matches!((before, after), (State::Active(_), State::Active(_)))
            }
            (Provenance::Forged, false) => false,
            (Provenance::Copy | Provenance::Forged, true) => only_delays(before, after, there.now(now)),
        };
        if !is_bearable {
            return violated(now, || {
                format!("I3: host {} took a forgery in, {heard:?}: {before:?} became {after:?}", host + 1)
            });
        }
        self.check_answer(host, advert, (before, after), heard, there, now)?;
        self.check_turn(host, advert, (before, after), there, now)?;
        let record = &mut self.records[host];
        if heard.provenance != Provenance::Genuine {
            self.judged.forged_stamps += u64::from(heard.by_stamp && before != after);
            if let State::Backup(backup) = after {
                // It has learned the interval, by which it waits when the Active Router leaves.
                record.learned = record.learned.min(nanoseconds(backup.active_adver_interval));
                if heard.by_stamp && before != after {
                    // It stands again when it has waited in vain, for as long as the stamp says.
                    let wait = nanoseconds(backup.active_down_at.since(there.now(now)));
                    record.recovered_at = record.recovered_at.max(Some(now + wait));
                }
            }
            return Ok(());
        }
        record.heard = Some(*advert);
        if before.name() == StateName::Backup {
            let parameters: &Parameters = there.election.parameters();
            record.take_in(parameters, advert);
        }
        Ok(())
    }
}

/// Whether a Backup waits as long as before, or longer. One whose time has come by `now` cannot wait less.
fn only_delays(before: State, after: State, now: Instant) -> bool {
    match (before, after) {
        (State::Backup(before), State::Backup(after)) => {
            before.active_down_at <= now || after.active_down_at >= before.active_down_at
        }
        (State::Initialize(_) | State::Backup(_) | State::Active(_) | State::Fault { .. }, _) => before == after,
    }
}
